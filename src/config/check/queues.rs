//! `[exchanges]`, `[queues]`, `[routes]` and the queues a worker consumes.

use super::super::tree::{Step, path_of};
use super::Checks;
use crate::topology::{QueueKind, QueueSettings, RouteSettings, Router, Target};

impl Checks<'_> {
    pub(super) fn exchanges(&mut self) {
        for (name, exchange) in &self.config.exchanges {
            if let Some(alternate) = &exchange.alternate {
                self.expect_exchange(alternate, &path_of(["exchanges", name, "alternate"]));
            }
            self.expect_free_name("exchange", name, &path_of(["exchanges", name]));
        }
    }

    pub(super) fn queues(&mut self) {
        for (name, queue) in self.config.queues.iter() {
            self.expect_free_name("queue", name, &path_of(["queues", name]));
            self.priorities(name, &queue);
            if let Some(exchange) = &queue.exchange {
                let path = self.inherited("queues", name, &["exchange"]);
                self.expect_exchange(exchange, &path);
            }
            for (key, value) in
                [("prefetch", queue.prefetch.map(usize::from)), ("concurrency", queue.concurrency)]
            {
                if value == Some(0) {
                    let path = self.inherited("queues", name, &[key]);
                    self.error(
                        format!("{key} must be at least 1"),
                        &path,
                        "leave it out for no limit",
                    );
                }
            }
        }
    }

    fn priorities(&mut self, name: &str, queue: &QueueSettings) {
        let Some(priority) = queue.max_priority else { return };
        let path = self.inherited("queues", name, &["max_priority"]);
        if queue.kind == QueueKind::Quorum {
            let title = format!("queue `{name}` is a quorum queue and cannot have priorities");
            self.error(title, &path, "add type = \"classic\", or take this out");
        } else if priority > 10 {
            let title = format!("{priority} priorities cost the broker much in queue `{name}`");
            self.warn(title, &path, "up to 10 are usual");
        }
    }

    fn expect_free_name(&mut self, what: &str, name: &str, path: &[Step]) {
        if name.starts_with("amq.") {
            let title = format!("RabbitMQ keeps names that begin with `amq.`: {what} `{name}`");
            self.error(title, path, "choose another name");
        } else if name.starts_with("celeriac.") {
            let title =
                format!("Celeriac keeps names that begin with `celeriac.`: {what} `{name}`");
            self.error(title, path, "choose another name");
        } else if name.is_empty() || name.len() > 255 {
            self.error(format!("a name has 1 to 255 bytes: {what} `{name}`"), path, "");
        }
    }

    pub(super) fn consumed_queues(&mut self) {
        let queues = &self.config.worker.queues;
        if queues.is_empty() {
            let path = path_of(["worker", "queues"]);
            self.error("the worker has no queue to consume", &path, "name at least one");
        }
        for (index, queue) in queues.iter().enumerate() {
            let mut path = path_of(["worker", "queues"]);
            path.push(Step::Index(index));
            self.expect_queue(queue, &path);
        }
    }

    pub(super) fn routes(&mut self) {
        for (pattern, route) in &self.config.routes.0 {
            let path = path_of(["routes", pattern]);
            if let Err(bad) = Router::new("celeriac").with_rule(pattern, Target::default()) {
                self.error(bad.to_string(), &path, "`*` and `?` match as in file names");
            }
            self.route(pattern, route);
        }
    }

    fn route(&mut self, pattern: &str, route: &RouteSettings) {
        let path = path_of(["routes", pattern]);
        let inner = |key: &str| {
            let mut inner = path.clone();
            inner.push(Step::Key(key.to_owned()));
            inner
        };
        if let Some(exchange) = &route.exchange {
            self.expect_exchange(exchange, &inner("exchange"));
        }
        match &route.queue {
            Some(queue) => {
                let place = inner("queue");
                let place = if self.is_set(&place) { place } else { path.clone() };
                self.expect_queue(queue, &place);
                let kept = self.config.queues.get(queue).max_priority;
                if route.priority.is_some() && kept.is_none() {
                    let title = format!("queue `{queue}` has no priorities");
                    let label = format!("no effect without max_priority in [queues.{queue}]");
                    self.warn(title, &inner("priority"), &label);
                }
            }
            None if route.exchange.is_none() && route.routing_key.is_none() => {
                let title = format!("the route `{pattern}` leads nowhere");
                self.error(title, &path, "give it a queue, an exchange or a routing_key");
            }
            None => {}
        }
    }
}
