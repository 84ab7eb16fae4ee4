//! Where remote commands arrive: Celery's exchanges, and a queue per node.

use crate::protocol::HeaderValue::Int;
use crate::topology::{Binding, Exchange, ExchangeKind, Queue, Topology, names};

/// A queue whose owner is gone is kept for so many milliseconds.
const EXPIRES: i64 = 10_000;

/// A command that nobody has taken for so many milliseconds is dropped.
const COMMANDS_LIVE: i64 = 300_000;

/// The queue of commands to `node`, as Celery 5.7 declares it: it belongs to one connection and
/// goes with it, so that two nodes cannot have one name.
pub(crate) fn of_node(node: &str) -> Topology {
    let queue = own(names::control_queue(node));
    let binding = Binding::to_queue(names::CONTROL, &queue.name, "");
    Topology::control().and(Topology {
        queues: vec![queue],
        bindings: vec![binding],
        ..<_>::default()
    })
}

/// The queue of answers to `asker`.
pub(super) fn of_asker(asker: &str) -> Topology {
    let queue = own(names::control_replies(asker));
    let binding = Binding::to_queue(names::CONTROL_REPLIES, &queue.name, asker);
    Topology::control().and(Topology {
        queues: vec![queue],
        bindings: vec![binding],
        ..<_>::default()
    })
}

/// The exchange for answers that somebody named.
pub(crate) fn replies(exchange: &str) -> Topology {
    let exchange = Exchange { durable: false, ..Exchange::new(exchange, ExchangeKind::Direct) };
    Topology { exchanges: vec![exchange], ..Topology::default() }
}

fn own(name: String) -> Queue {
    let arguments = [("x-expires", Int(EXPIRES)), ("x-message-ttl", Int(COMMANDS_LIVE))];
    Queue { durable: false, exclusive: true, auto_delete: true, ..Queue::new(name, arguments) }
}
