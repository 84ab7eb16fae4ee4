//! A topology as RabbitMQ's definitions file: for `load_definitions`, `rabbitmqctl
//! import_definitions` or an upload, by somebody who may declare when our programs may not.

use super::{Arguments, Binding, Endpoint, Exchange, Queue, Topology};
use crate::protocol::HeaderValue;
use serde_json::{Value, json};

impl Topology {
    /// The definitions of everything that is ours to declare, for one virtual host.
    ///
    /// What belongs to somebody else (`declare = false`) is left out.
    pub fn definitions(&self, vhost: &str) -> Value {
        let ours = self.queues.iter().filter(|queue| queue.declare);
        json!({
            "exchanges": self.exchanges.iter().map(|it| exchange(it, vhost)).collect::<Vec<_>>(),
            "queues": ours.map(|it| queue(it, vhost)).collect::<Vec<_>>(),
            "bindings": self.bindings.iter().map(|it| binding(it, vhost)).collect::<Vec<_>>(),
        })
    }
}

fn exchange(exchange: &Exchange, vhost: &str) -> Value {
    json!({
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.kind.as_str(),
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": arguments(&exchange.arguments),
    })
}

fn queue(queue: &Queue, vhost: &str) -> Value {
    json!({
        "name": queue.name,
        "vhost": vhost,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": arguments(&queue.arguments),
    })
}

fn binding(binding: &Binding, vhost: &str) -> Value {
    let kind = match binding.destination {
        Endpoint::Queue(_) => "queue",
        Endpoint::Exchange(_) => "exchange",
    };
    json!({
        "source": binding.source,
        "vhost": vhost,
        "destination": binding.destination.name(),
        "destination_type": kind,
        "routing_key": binding.routing_key,
        "arguments": arguments(&binding.arguments),
    })
}

fn arguments(arguments: &Arguments) -> Value {
    arguments.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()
}

/// JSON has no bytes; an argument that is not text is shown as text as far as it goes.
pub(super) fn json_of(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(value) => json!(value),
        HeaderValue::Int(value) => json!(value),
        HeaderValue::Float(value) => json!(value),
        HeaderValue::Text(value) => json!(value),
        HeaderValue::Bytes(value) => json!(String::from_utf8_lossy(value)),
        HeaderValue::Time(value) => json!(value),
        HeaderValue::List(values) => values.iter().map(json_of).collect(),
        HeaderValue::Table(table) => arguments(table),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExchangeKind;
    use super::*;

    #[test]
    fn definitions_hold_what_is_ours_and_nothing_of_others() {
        let ttl = [("x-message-ttl", HeaderValue::Int(5))];
        let foreign = Queue { declare: false, ..Queue::new("theirs", ttl.clone()) };
        let topology = Topology {
            exchanges: vec![Exchange::new("e", ExchangeKind::Topic).with_alternate("dead")],
            queues: vec![Queue::new("q", ttl), foreign],
            bindings: vec![Binding::to_queue("e", "q", "#.q"), Binding::to_exchange("e", "f", "k")],
        };
        let expected = json!({
            "exchanges": [{
                "name": "e", "vhost": "v", "type": "topic", "durable": true, "auto_delete": false,
                "internal": false, "arguments": {"alternate-exchange": "dead"},
            }],
            "queues": [{
                "name": "q", "vhost": "v", "durable": true, "auto_delete": false,
                "arguments": {"x-message-ttl": 5},
            }],
            "bindings": [
                {
                    "source": "e", "vhost": "v", "destination": "q", "destination_type": "queue",
                    "routing_key": "#.q", "arguments": {},
                },
                {
                    "source": "e", "vhost": "v", "destination": "f",
                    "destination_type": "exchange", "routing_key": "k", "arguments": {},
                },
            ],
        });
        assert_eq!(topology.definitions("v"), expected);
    }
}
