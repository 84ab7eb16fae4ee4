//! Every name we give to a thing in the broker.
//!
//! Names are fixed, because two programs of different versions meet in one broker. What the
//! operator may rename (the task exchange, the archive) is a setting whose default stands here.

use crate::protocol::delayed_routing_key;

/// The exchange that tasks are published to.
pub const TASKS: &str = "celeriac";

/// The queue of a task for which nobody named one.
pub const DEFAULT_QUEUE: &str = "default";

/// The archive: its exchange and its stream.
pub const DEAD: &str = "celeriac.dead";

/// Where the broker's own dead letters arrive, on their way to the archive whose exchange is
/// `archive`: an exchange and a queue.
pub fn dead_arrival(archive: &str) -> String {
    format!("{archive}.in")
}

/// What tasks shall not run: an exchange and a stream.
pub const REVOKED: &str = "celeriac.revoked";

/// Which queues nobody shall consume: an exchange and a stream.
pub const PAUSED: &str = "celeriac.paused";

/// What people did through a monitor: an exchange and a stream.
pub const AUDIT: &str = "celeriac.audit";

/// The topic exchange that events are published to. Celery's name, so that its monitors hear ours.
pub const EVENTS: &str = "celeryev";

/// The stream that keeps events, so that a monitor that was down misses none.
pub const EVENT_STREAM: &str = "celeriac.events";

/// The exchange by which Celery's remote commands reach every worker.
pub const CONTROL: &str = "celery.pidbox";

/// The exchange by which the answers to them come back.
pub const CONTROL_REPLIES: &str = "reply.celery.pidbox";

/// The queue of remote commands to one node.
pub fn control_queue(node: &str) -> String {
    format!("{node}.{CONTROL}")
}

/// The queue of answers to one asker.
pub fn control_replies(asker: &str) -> String {
    format!("{asker}.{CONTROL_REPLIES}")
}

/// Whether an exchange is one for answers to remote commands, of whatever application: nothing else
/// is ever answered to.
pub fn is_control_replies(exchange: &str) -> bool {
    exchange.starts_with("reply.") && exchange.ends_with(".pidbox")
}

/// Holds the schedulers' state, one message; whoever holds that message leads.
pub const SCHEDULER: &str = "celeriac.scheduler";

/// Declared for a moment by the one scheduler that looks whether there is a state.
pub const SCHEDULER_LOCK: &str = "celeriac.scheduler.lock";

/// What the scheduler that leads is told and asked.
pub const SCHEDULER_COMMANDS: &str = "celeriac.scheduler.commands";

/// Where schedulers are asked who stands by.
pub const SCHEDULER_STANDBY: &str = "celeriac.scheduler.standby";

/// Holds nothing: every scheduler consumes it, so that RabbitMQ counts them.
pub const SCHEDULER_LINE: &str = "celeriac.scheduler.line";

/// Where scheduled tasks report their end that must not overlap.
pub const SCHEDULER_ENDED: &str = "celeriac.scheduler.ended";

/// The queue in which the results of a chord's members are gathered.
pub fn chord(group_id: &str) -> String {
    format!("celeriac.chord.{group_id}")
}

/// The lock of a unique task, by the digest of its key.
pub fn unique(digest: &str) -> String {
    format!("celeriac.unique.{digest}")
}

/// The exchange at the end of every delay.
pub const DELAY_EXIT: &str = "celeriac.delay.out";

/// Declared last, so that its presence says that the ladder is complete.
pub const DELAY_READY: &str = "celeriac.delay.ready";

/// The exchange through which a message enters the ladder at `level`.
pub fn delay_entry(level: u32) -> String {
    format!("celeriac.delay.in.{level}")
}

/// The queue that holds messages at `level`, and the exchange they leave it by.
pub fn delay_level(level: u32) -> String {
    format!("celeriac.delay.{level}")
}

/// The key by which a message goes on from one level to a lower one.
pub fn delay_hop(from: u32, to: u32) -> String {
    format!("{from}>{to}")
}

/// The key by which a message leaves the ladder after `level`.
pub fn delay_leave(level: u32) -> String {
    format!("{level}>out")
}

/// The key that leads from the ladder's exit to a queue.
pub fn delay_to_queue(queue: &str) -> String {
    format!("out:{queue}")
}

/// The queue to which this key leads from the ladder's exit, if it leads to one.
pub fn queue_after_delay(key: &str) -> Option<&str> {
    key.strip_prefix("out:")
}

/// The key that leads from the ladder's exit to another exchange.
pub fn delay_to_exchange(exchange: &str) -> String {
    format!("out>{exchange}")
}

/// The exchange at the end of Celery's own delays.
pub const CELERY_DELAY_EXIT: &str = "celery_delayed_delivery";

/// The key that a message was sent with, which came by `exchange` with `key`: at the end of a ladder,
/// ours or Celery's, that is not the same.
pub fn sent_key<'a>(exchange: &str, key: &'a str) -> &'a str {
    match exchange {
        CELERY_DELAY_EXIT => delayed_routing_key(key),
        // The exchange of the last level.
        ours if is_delay_level(ours) => queue_after_delay(key).unwrap_or(key),
        _ => key,
    }
}

/// The number of levels in Celery's own ladder.
pub const CELERY_LEVELS: u32 = 28;

/// A queue and exchange of Celery's own ladder; a message waits there for 2^`level` seconds.
pub fn celery_delay_level(level: u32) -> String {
    format!("celery_delayed_{level}")
}

/// Whether `queue` is a level of our delay ladder or of Celery's.
pub fn is_delay_level(queue: &str) -> bool {
    queue.starts_with("celeriac.delay.") || queue.starts_with("celery_delayed_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_gives_back_the_key_that_was_sent() {
        let celery = format!("{}mail.fast", "0.".repeat(27) + "1.");
        for (exchange, key, sent) in [
            (delay_level(3), delay_to_queue("mail"), "mail"),
            (delay_level(3), "mail.fast".to_owned(), "mail.fast"),
            (DELAY_EXIT.to_owned(), delay_to_queue("mail"), "mail"),
            (CELERY_DELAY_EXIT.to_owned(), celery, "mail.fast"),
            (TASKS.to_owned(), "out:mail".to_owned(), "out:mail"),
        ] {
            assert_eq!(sent_key(&exchange, &key), sent);
        }
    }
}
