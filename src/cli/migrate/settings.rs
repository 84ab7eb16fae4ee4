//! What becomes of each setting of Celery's that has no table of its own here.

use super::document::Document;
use super::fleet::Fleet;

/// What other parts of this command write.
const WRITTEN: &[&str] = &[
    "broker_url",
    "broker_write_url",
    "broker_read_url",
    "broker_heartbeat",
    "result_backend",
    "result_expires",
    "result_extended",
    "result_serializer",
    "task_track_started",
    "task_serializer",
    "timezone",
    "task_default_queue",
    "task_default_exchange",
    "task_default_exchange_type",
    "task_default_routing_key",
    "task_default_queue_type",
    "task_queue_max_priority",
    "task_queues",
    "task_routes",
    "task_acks_late",
    "task_time_limit",
    "task_soft_time_limit",
    "task_ignore_result",
    "task_default_rate_limit",
    "task_default_priority",
    "task_annotations",
    "worker_concurrency",
    "worker_prefetch_multiplier",
    "worker_enable_remote_control",
    "beat_schedule",
    "beat_cron_starting_deadline",
];

/// Why a setting is not taken over. A name with `*` stands for all that begin so.
pub(super) const OTHERS: &[(&str, &str)] = &[
    ("accept_content", "a worker reads JSON and MessagePack; pickle and YAML go to the archive"),
    ("enable_utc", "times travel with their offset, always"),
    ("imports", "the bodies of the tasks stay in Python; see [tasks]"),
    ("include", "the bodies of the tasks stay in Python; see [tasks]"),
    ("broker_connection_*", "a lost connection is made again, for ever; see [broker.reconnect]"),
    ("broker_channel_error_retry", "a lost channel is made again, for ever"),
    ("broker_pool_limit", "one connection publishes, one consumes"),
    ("broker_failover_strategy", "broker.failover is tried in its order"),
    ("broker_use_ssl", "write amqps:// in the URL; certificates are in [broker.tls]"),
    ("broker_login_method", "the account in the URL, or a certificate in [broker.tls]"),
    ("broker_transport*", "there is one transport, AMQP"),
    ("broker_native_delayed_delivery_*", "delays are Celery's ladder of quorum queues, always"),
    ("task_create_missing_queue*", "a queue needs a table [queues.NAME]; others are an error"),
    ("task_default_delivery_mode", "messages are persistent, always"),
    ("task_reject_on_worker_lost", "what a lost worker held is handed out again, always"),
    ("task_acks_on_*", "a task that is given up is acknowledged when the archive has it"),
    ("task_store_errors_even_if_ignored", "an error is told to those who wait, and archived"),
    ("task_always_eager", "tests use a broker in memory: see docs/testing.md"),
    ("task_eager_propagates", "tests use a broker in memory: see docs/testing.md"),
    ("task_store_eager_result", "tests use a broker in memory: see docs/testing.md"),
    ("task_publish_retry*", "publishing goes on until [publisher] deadline"),
    ("task_compression", "bodies are not compressed; compressed ones are read"),
    ("task_protocol", "protocol 2 is written, 1 and 2 are read"),
    ("task_send_sent_event", "see [events] sent"),
    ("worker_send_task_events", "see [events] tasks"),
    ("task_remote_tracebacks", "an error travels with its type, message and detail"),
    ("task_inherit_parent_priority", "a follow-up has the priority of its own task or route"),
    ("task_allow_error_cb_on_chord_header", "as Celery's default"),
    ("worker_pool*", "functions share one process, programs have one each"),
    ("worker_max_*", "no process is kept that would have to be replaced"),
    ("worker_autoscaler", "concurrency is a number; what waits costs next to nothing"),
    ("worker_soft_shutdown_timeout", "see worker.drain_timeout"),
    ("worker_enable_soft_shutdown_on_idle", "what is held is given back at once, always"),
    ("worker_cancel_long_running_tasks_on_connection_loss", "a task that runs goes on"),
    ("worker_eta_task_limit", "what has an ETA waits in the broker and takes no memory"),
    ("worker_disable_rate_limits", "leave `rate` out"),
    ("worker_disable_prefetch", "set worker.prefetch"),
    ("worker_state_db", "revocations are kept in the broker"),
    ("worker_hijack_root_logger", "see [log]"),
    ("worker_redirect_stdouts*", "what a program writes to standard error goes to the log"),
    ("worker_log_*", "see [log]"),
    ("worker_task_log_format", "see [log]"),
    ("worker_detect_quorum_queues", "the kind of each queue is in [queues]"),
    ("worker_direct", "there are no queues of single workers"),
    ("worker_*", "how Celery runs its processes; there is nothing like it here"),
    ("result_chord_*", "a chord waits in the broker or the store, for as long as it takes"),
    ("result_compression", "results are not compressed"),
    ("result_backend_*", "see results.on_store_error"),
    ("result_accept_content", "results are read as JSON and MessagePack"),
    ("result_*", "how Celery keeps results; see [results]"),
    ("redis_*", "say it in results.url"),
    ("database_*", "the tables of Celery's database backend are not written"),
    ("security_*", "see [security]: it takes the same keys and certificates"),
    ("beat_*", "the state of all schedules is a message in the broker"),
    ("control_*", "the queues of remote control are made as Celery makes them"),
    ("event_*", "the queues of events are made as Celery makes them"),
    ("deprecated_settings", "there are none"),
];

/// Notes what was changed and is not written.
pub(super) fn others(fleet: &Fleet, to: &mut Document) {
    for key in fleet.changed.keys().filter(|key| !WRITTEN.contains(&key.as_str())) {
        let why = OTHERS.iter().find(|(name, _)| covers(name, key)).map(|(_, why)| *why);
        to.note(key, why.unwrap_or("there is no such thing here"));
    }
}

fn covers(name: &str, key: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_setting_that_has_no_counterpart() {
        let guide = include_str!("../../../docs/migrating.md");
        for (name, why) in OTHERS {
            let row = format!("| `{name}` | {why} |");
            assert!(guide.contains(&row), "docs/migrating.md lacks: {row}");
        }
    }

    #[test]
    fn what_is_written_is_not_excused() {
        let excused = |key: &str| OTHERS.iter().any(|(name, _)| *name == key);
        assert!(WRITTEN.iter().all(|key| !excused(key)));
        assert!(covers("broker_connection_*", "broker_connection_retry") && !covers("a", "ab"));
    }
}
