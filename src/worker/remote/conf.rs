//! How a worker is configured, in Celery's words and in ours. Nothing here is a secret: of the
//! broker the address without its password, of tasks their limits and not what they run with.

use super::super::settings::Settings;
use super::Remote;
use crate::control::PAUSABLE;
use crate::protocol::HeaderValue;
use crate::topology::{self, Arguments, Exchange, Topology};
use serde_json::{Map, Value, json};
use std::fmt::Write;

impl Remote {
    /// The settings as they are now. Without defaults: those that somebody set.
    pub(super) fn conf(&self, with_defaults: bool) -> Value {
        let mut conf = self.celerys();
        let (mut now, defaults) = (flat(&self.settings), flat(&Settings::default()));
        let queues: Vec<_> = self.context.status.queues().into_iter().map(|it| it.0).collect();
        now.insert("worker.queues".to_owned(), json!(queues));
        let slots = self.context.slots.size();
        if self.settings.concurrency.unwrap_or(0) as usize != slots {
            now.insert("worker.concurrency".to_owned(), json!(slots));
        }
        now.retain(|name, value| with_defaults || defaults.get(name) != Some(value));
        conf.extend(now);
        conf.extend(self.tasks());
        conf.into()
    }

    /// The settings that Celery has, too, under their names there.
    fn celerys(&self) -> Map<String, Value> {
        let address = self.broker.address();
        let url = address.map_or(Value::Null, |address| json!(address.to_string()));
        let queues = self.context.status.queues();
        let settings = [
            ("broker_url", url),
            ("task_default_queue", json!(queues.first().map(|(queue, _)| queue))),
            ("worker_concurrency", json!(self.context.slots.size())),
            ("worker_send_task_events", json!(self.context.events.is_on())),
            ("worker_enable_remote_control", json!(true)),
            ("accept_content", json!(["json", "msgpack"])),
            ("task_acks_late", json!(true)),
            ("timezone", json!("UTC")),
            ("enable_utc", json!(true)),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The limits of the tasks that have some.
    fn tasks(&self) -> Map<String, Value> {
        let mut limits = Map::new();
        for (task, known) in &self.context.tasks {
            let seconds =
                |limit: Option<std::time::Duration>| limit.map(|it| json!(it.as_secs_f64()));
            for (name, value) in [
                ("rate", known.limits.rate().map(Value::from)),
                ("soft_limit", seconds(known.limits.soft())),
                ("time_limit", seconds(known.limits.hard())),
            ] {
                if let Some(value) = value {
                    limits.insert(format!("tasks.{task}.{name}"), value);
                }
            }
        }
        limits
    }

    /// A text about the installation, for the report of a bug.
    pub(super) fn report(&self) -> String {
        let mut report = format!(
            "\nsoftware -> celeriac:{}\nplatform -> system:{} arch:{}\nsettings -> transport:amqp\n\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
        );
        for (name, value) in self.conf(false).as_object().into_iter().flatten() {
            // Writing into a String cannot fail.
            let _ = writeln!(report, "{name}: {value}");
        }
        report
    }
}

/// Settings with the names that they have in `celeriac config explain`.
fn flat(settings: &Settings) -> Map<String, Value> {
    let mut flat = Map::new();
    let settings = serde_json::to_value(settings).unwrap_or_default();
    let mut open = vec![("worker".to_owned(), settings)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                open.extend(map.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}

/// A queue that is consumed, as Celery shows its queues. Of several bindings it shows one: the one
/// that was `asked` for when the queue was added, or the queue's own name.
pub(in crate::worker) fn queue_shape(
    topology: &topology::Settings,
    name: &str,
    asked: Option<&(Exchange, String)>,
) -> Value {
    let work = Topology::work(topology, &[name.to_owned()]);
    let own = work.bindings.iter().find(|binding| binding.routing_key == name);
    let own = own.map(|binding| &binding.source);
    let own = own.and_then(|source| work.exchanges.iter().find(|it| it.name == *source));
    let (exchange, key) = match asked {
        Some((exchange, key)) => (Some(exchange), key.as_str()),
        None => (own, name),
    };
    let declared = work.queues.first();
    let arguments = declared.filter(|queue| queue.declare).map(|queue| &queue.arguments);
    json!({
        "name": name,
        "exchange": {
            "name": exchange.map_or("", |exchange| exchange.name.as_str()),
            "type": exchange.map_or("direct", |exchange| exchange.kind.as_str()),
            "arguments": null, "durable": true, "passive": false, "auto_delete": false,
            "delivery_mode": null, "no_declare": false,
        },
        "routing_key": key,
        "queue_arguments": arguments.filter(|it| !it.is_empty()).map(shown),
        "binding_arguments": null,
        "consumer_arguments": null,
        "durable": declared.is_none_or(|queue| queue.durable),
        "exclusive": declared.is_some_and(|queue| queue.exclusive),
        "auto_delete": declared.is_some_and(|queue| queue.auto_delete),
        "no_ack": false,
        "alias": null,
        "bindings": [],
        "no_declare": declared.map(|queue| !queue.declare).filter(|no| *no),
        "expires": null, "message_ttl": null, "max_length": null, "max_length_bytes": null,
        "max_priority": null,
        PAUSABLE: true,
    })
}

fn shown(arguments: &Arguments) -> Value {
    let shown = |value: &HeaderValue| match value {
        HeaderValue::Bool(truth) => json!(truth),
        HeaderValue::Int(number) => json!(number),
        HeaderValue::Float(number) => json!(number),
        HeaderValue::Text(text) => json!(text),
        other => json!(crate::topology::value_text(other)),
    };
    arguments.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
}
