//! Where a task goes.

use super::names;
use std::fmt;

/// An exchange and a routing key: what AMQP needs to know to take a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Name of the exchange; empty for RabbitMQ's default exchange, where the key is a queue.
    pub exchange: String,
    /// The key that the exchange's bindings are compared with.
    pub routing_key: String,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exchange.is_empty() {
            write!(f, "queue {:?}", self.routing_key)
        } else {
            write!(f, "exchange {:?}, routing key {:?}", self.exchange, self.routing_key)
        }
    }
}

/// The end of a message's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// How to publish it without a delay.
    pub route: Route,
    /// The queue, when it is known; bindings decide otherwise.
    pub queue: Option<String>,
    /// The priority that goes with the route.
    pub priority: Option<u8>,
}

impl Destination {
    /// One of our queues, through the exchange it is bound to by its own name.
    pub fn queue(exchange: impl Into<String>, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        let route = Route { exchange: exchange.into(), routing_key: queue.clone() };
        Self { route, queue: Some(queue), priority: None }
    }

    /// A queue that somebody else declared, by the default exchange.
    pub fn foreign_queue(queue: impl Into<String>) -> Self {
        Self::queue("", queue)
    }

    /// Whatever is bound to `exchange` for `routing_key`.
    pub fn exchange(exchange: impl Into<String>, routing_key: impl Into<String>) -> Self {
        let route = Route { exchange: exchange.into(), routing_key: routing_key.into() };
        let queue = route.exchange.is_empty().then(|| route.routing_key.clone());
        Self { route, queue, priority: None }
    }

    /// The key that leads here from the exit of the delay ladder.
    pub fn exit_key(&self) -> String {
        match &self.queue {
            Some(queue) => names::delay_to_queue(queue),
            None => names::delay_to_exchange(&self.route.exchange),
        }
    }
}
