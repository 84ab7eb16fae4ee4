//! One event as JSON.

use super::event::Event;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What all events of a node have in common.
#[derive(Debug)]
pub(super) struct Common {
    node: String,
    /// `{"hostname": .., "pid": ..`, which never changes.
    head: Vec<u8>,
    /// The hours from here west to Greenwich, as the bits of a float, and the hour since 1970 for
    /// which that was looked up: it changes with the seasons.
    west: AtomicU64,
    hour: AtomicU64,
}

impl Common {
    pub(super) fn new(node: &str) -> Self {
        let name = serde_json::Value::from(node);
        let head = format!(r#"{{"hostname":{name},"pid":{}"#, std::process::id()).into_bytes();
        Self {
            node: node.to_owned(),
            head,
            west: AtomicU64::new(0),
            hour: AtomicU64::new(u64::MAX),
        }
    }

    /// The node's name.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// An event, whole.
    pub(super) fn line(&self, event: &Event<'_>, clock: u64, now: SystemTime) -> Vec<u8> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut line = Vec::with_capacity(384);
        line.extend_from_slice(&self.head);
        let mut field = |name: &str, value: &dyn erased_serde::Serialize| {
            line.extend_from_slice(name.as_bytes());
            // Numbers go into memory; nothing can fail.
            let _ = serde_json::to_writer(&mut line, value);
        };
        field(r#","utcoffset":"#, &self.west(since));
        field(r#","clock":"#, &clock);
        field(r#","timestamp":"#, &since.as_secs_f64());
        let own = line.len();
        // Neither can text: no map in an event has keys that are not.
        let _ = serde_json::to_writer(&mut line, event);
        // The event's own object goes on where ours has stopped.
        line[own] = b',';
        line
    }

    fn west(&self, since: Duration) -> f64 {
        let hour = since.as_secs() / 3600;
        if self.hour.swap(hour, Ordering::Relaxed) != hour {
            let here = jiff::tz::TimeZone::system();
            let timestamp = jiff::Timestamp::from_second(i64::try_from(hour * 3600).unwrap_or(0));
            let east = here.to_offset(timestamp.unwrap_or_default()).seconds();
            // Zero and not minus zero in Greenwich.
            let west = if east == 0 { 0.0 } else { -f64::from(east) / 3600.0 };
            self.west.store(west.to_bits(), Ordering::Relaxed);
        }
        f64::from_bits(self.west.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ReceivedTask;
    use super::*;
    use crate::ids::TaskId;

    fn written(event: &Event<'_>) -> serde_json::Value {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_345_623_499_176);
        serde_json::from_slice(&Common::new("w\"@h").line(event, 7, now)).unwrap()
    }

    #[test]
    fn an_event_is_one_object_with_who_when_and_what() {
        let uuid = TaskId::from("u");
        let event = written(&Event::Received(ReceivedTask {
            uuid: &uuid,
            name: "shop.add",
            args: Some("(1,)".to_owned()),
            kwargs: None,
            root_id: &uuid,
            parent_id: None,
            group_id: None,
            retries: 1,
            eta: None,
            expires: None,
            queue: "mail",
        }));
        let expected = serde_json::json!({
            "hostname": "w\"@h", "pid": std::process::id(), "utcoffset": event["utcoffset"],
            "clock": 7, "timestamp": 1_795_345_623.499_176, "type": "task-received", "uuid": "u",
            "name": "shop.add", "args": "(1,)", "kwargs": null, "root_id": "u", "parent_id": null,
            "retries": 1, "eta": null, "expires": null, "queue": "mail",
        });
        assert_eq!(event, expected);
        assert!(event["utcoffset"].is_f64(), "{event}");
    }

    #[test]
    fn a_time_that_was_not_measured_is_no_reason_to_be_silent() {
        let uuid = TaskId::from("u");
        let event =
            written(&Event::Succeeded { uuid: &uuid, result: None, runtime: Duration::ZERO });
        assert_eq!((&event["runtime"], &event["result"]), (&0.0.into(), &().into()));
    }
}
