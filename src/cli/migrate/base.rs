//! Broker, results, worker and messages.

use super::document::Document;
use super::fleet::Fleet;
use super::spoken;
use serde_json::Value;

pub(super) fn write(fleet: &Fleet, to: &mut Document) {
    broker(fleet, to);
    results(fleet, to);
    publisher(fleet, to);
    worker(fleet, to);
}

fn broker(fleet: &Fleet, to: &mut Document) {
    let speaks = |url: &&String| {
        ["amqp", "amqps", "pyamqp", "pyamqps"].contains(&url.split("://").next().unwrap_or(""))
    };
    let urls: Vec<String> = fleet.broker.iter().filter(speaks).map(|url| bare(url)).collect();
    to.section(&["broker"]);
    if fleet.broker.iter().any(|url| has_account(url)) {
        to.comment(
            "The account is left out. Put the whole URL into the environment, as \
             CELERIAC_BROKER_URL,\nor into a file that only the service reads, and name that in \
             url_file.",
        );
    }
    to.maybe("url", urls.first().cloned());
    if urls.len() > 1 {
        if fleet.broker.iter().any(|url| has_account(url)) {
            to.comment("Likewise: CELERIAC__BROKER__FAILOVER, a list of whole URLs.");
        }
        to.set("failover", urls[1..].to_vec());
    }
    if urls.len() < fleet.broker.len() {
        to.note("broker_url", "of another transport; Celeriac speaks AMQP with RabbitMQ");
    }
    let heartbeat = fleet.changed.get("broker_heartbeat").and_then(Value::as_f64);
    to.maybe("heartbeat", heartbeat.filter(|seconds| *seconds >= 1.0).map(spoken));
}

fn results(fleet: &Fleet, to: &mut Document) {
    let changed = |key: &str| fleet.changed.get(key);
    let url = changed("result_backend").and_then(Value::as_str).unwrap_or("disabled://");
    let scheme = url.split(':').next().unwrap_or_default();
    to.section(&["results"]);
    match scheme {
        "rpc" | "redis" | "rediss" => {}
        "disabled" => {}
        _ => {
            let why = "its rows are read by Celery alone; results that both read are in Redis, \
                       or go back by rpc";
            to.note("result_backend", why);
        }
    }
    match scheme {
        "rpc" => to.set("backend", "rpc"),
        "redis" | "rediss" => {
            to.set("backend", "redis");
            if has_account(url) {
                to.comment(
                    "The password is left out: the whole URL goes into CELERIAC__RESULTS__URL.",
                );
            }
            to.set("url", bare(url));
        }
        _ => to.set("backend", "none"),
    }
    match changed("result_expires") {
        Some(Value::Null) => to.set("expires", "0s"),
        Some(value) => to.maybe("expires", value.as_f64().map(spoken)),
        None => {}
    }
    match changed("result_serializer").and_then(Value::as_str) {
        Some("msgpack") => to.set("format", "msgpack"),
        Some("json") | None => to.set("format", "json"),
        Some(_) => to.note("result_serializer", "results are written as JSON or MessagePack"),
    }
    for (theirs, ours) in [("result_extended", "extended"), ("task_track_started", "track_started")]
    {
        to.maybe(ours, changed(theirs).and_then(Value::as_bool));
    }
}

fn publisher(fleet: &Fleet, to: &mut Document) {
    to.section(&["publisher"]);
    match fleet.changed.get("task_serializer").and_then(Value::as_str) {
        Some("msgpack") => to.set("serializer", "msgpack"),
        Some("json") | None => to.set("serializer", "json"),
        Some(_) => {
            to.set("serializer", "json");
            to.note("task_serializer", "messages are written as JSON or MessagePack");
        }
    }
}

fn worker(fleet: &Fleet, to: &mut Document) {
    let number = |key: &str| fleet.changed.get(key).and_then(Value::as_u64);
    to.section(&["worker"]);
    let queues: Vec<&str> = fleet.queues.iter().map(|queue| queue.name.as_str()).collect();
    to.set("queues", queues);
    let concurrency = number("worker_concurrency").filter(|number| *number > 0);
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    to.maybe("concurrency", concurrency.map(integer));
    match (number("worker_prefetch_multiplier"), concurrency) {
        (Some(times @ 1..), Some(slots)) => to.set("prefetch", integer(times * slots)),
        (Some(_), _) => {
            let why = "worker.prefetch is a number of messages, not a multiple; set it";
            to.note("worker_prefetch_multiplier", why);
        }
        (None, _) => {}
    }
    let remote = fleet.changed.get("worker_enable_remote_control").and_then(Value::as_bool);
    to.maybe("remote_control", remote);
}

/// Whether a URL has an account other than the one every RabbitMQ is born with.
fn has_account(url: &str) -> bool {
    bare(url) != amqp(url) && !url.contains("://guest:guest@") && !url.contains("://guest@")
}

/// A URL without its account.
fn bare(url: &str) -> String {
    let url = amqp(url);
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    // A password may hold an @, a host may not.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        // A password with a slash in it.
        None => match rest.rfind('@') {
            Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
            None => url,
        },
    }
}

fn amqp(url: &str) -> String {
    url.strip_prefix("py").filter(|url| url.starts_with("amqp")).unwrap_or(url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_without_its_account() {
        for (url, written) in [
            ("amqp://ana:hunter2@rabbit1:5672/shop", "amqp://rabbit1:5672/shop"),
            ("pyamqp://ana:p@ss@rabbit1//", "amqp://rabbit1//"),
            ("amqp://ana:p/ss@rabbit1/shop", "amqp://rabbit1/shop"),
            ("redis://:s3cret@redis1:6379/1", "redis://redis1:6379/1"),
            ("redis://redis1:6379/1", "redis://redis1:6379/1"),
        ] {
            assert_eq!(bare(url), written);
            assert_eq!(has_account(url), url.contains('@'));
        }
        assert!(!has_account("amqp://guest:guest@localhost//"));
    }
}
