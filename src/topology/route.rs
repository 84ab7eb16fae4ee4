//! Where a task goes.

use super::{RouteSettings, Settings, names};
use globset::{Glob, GlobMatcher};
use std::collections::BTreeSet;
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

/// What somebody says about where a task goes: a call, or a line of `[routes]`.
///
/// A queue wins over exchange and routing key. An exchange without a key uses the task's name as
/// key; a key without an exchange uses the task exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// This queue.
    pub queue: Option<String>,
    /// This exchange.
    pub exchange: Option<String>,
    /// This key.
    pub routing_key: Option<String>,
    /// With this priority.
    pub priority: Option<u8>,
}

impl Target {
    /// A queue by name.
    pub fn queue(name: impl Into<String>) -> Self {
        Self { queue: Some(name.into()), ..Self::default() }
    }

    fn is_silent(&self) -> bool {
        self.queue.is_none() && self.exchange.is_none() && self.routing_key.is_none()
    }
}

impl From<&RouteSettings> for Target {
    fn from(rule: &RouteSettings) -> Self {
        Self {
            queue: rule.queue.clone(),
            exchange: rule.exchange.clone(),
            routing_key: rule.routing_key.clone(),
            priority: rule.priority,
        }
    }
}

/// Finds the destination of every task.
///
/// The call decides; else the first pattern that matches the task's name; else the queue in the
/// task's declaration; else [`names::DEFAULT_QUEUE`]. A priority is taken from the call, else from
/// the pattern, even when the call chose the place.
#[derive(Debug, Clone)]
pub struct Router {
    exchange: String,
    /// Queues that are bound to `exchange` by their own names.
    ours: BTreeSet<String>,
    rules: Vec<(GlobMatcher, Target)>,
}

/// A pattern that does not follow the rules of globs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no pattern: {reason}")]
pub struct BadPattern {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Router {
    /// A router that knows one exchange and the default queue.
    pub fn new(exchange: impl Into<String>) -> Self {
        Self {
            exchange: exchange.into(),
            ours: BTreeSet::from([names::DEFAULT_QUEUE.to_owned()]),
            rules: Vec::new(),
        }
    }

    /// The router that the settings describe.
    ///
    /// # Errors
    /// A pattern in `[routes]` cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, BadPattern> {
        let mut router = Self::new(&settings.exchange);
        router.ours.extend(settings.queues.names().map(str::to_owned));
        router.ours.retain(|name| settings.queues.get(name).declare);
        for (pattern, rule) in &settings.routes.0 {
            router = router.with_rule(pattern, rule.into())?;
        }
        Ok(router)
    }

    /// Adds a queue that is bound to the exchange by its own name.
    #[must_use]
    pub fn with_queue(mut self, name: impl Into<String>) -> Self {
        self.ours.insert(name.into());
        self
    }

    /// Adds a rule after the others. `*` in the pattern matches any text, dots included.
    ///
    /// # Errors
    /// The pattern cannot be read.
    pub fn with_rule(mut self, pattern: &str, target: Target) -> Result<Self, BadPattern> {
        let bad = |error: globset::Error| BadPattern {
            pattern: pattern.to_owned(),
            reason: error.kind().to_string(),
        };
        let glob = Glob::new(pattern).map_err(bad)?.compile_matcher();
        self.rules.push((glob, target));
        Ok(self)
    }

    /// Where the task goes. `declared` is the queue in the task's own declaration.
    pub fn route(&self, task: &str, declared: Option<&str>, call: &Target) -> Destination {
        let rule = self.rules.iter().find(|(glob, _)| glob.is_match(task)).map(|(_, rule)| rule);
        let place = [Some(call), rule].into_iter().flatten().find(|target| !target.is_silent());
        let mut destination = match place {
            Some(target) => self.place(task, target),
            None => self.queue(declared.unwrap_or(names::DEFAULT_QUEUE)),
        };
        destination.priority = call.priority.or(rule.and_then(|rule| rule.priority));
        destination
    }

    /// The destination that means this queue.
    ///
    /// One that the settings do not know may belong to somebody else and have no binding of ours;
    /// the default exchange reaches it in any case.
    pub fn queue(&self, name: &str) -> Destination {
        if self.ours.contains(name) {
            Destination::queue(&self.exchange, name)
        } else {
            Destination::foreign_queue(name)
        }
    }

    fn place(&self, task: &str, target: &Target) -> Destination {
        if let Some(queue) = &target.queue {
            return self.queue(queue);
        }
        let exchange = target.exchange.as_ref().unwrap_or(&self.exchange);
        let key = target.routing_key.as_deref().unwrap_or(task);
        Destination::exchange(exchange, key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::QueueTable;
    use super::*;

    fn to(exchange: &str, key: &str) -> Target {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Target { exchange: some(exchange), routing_key: some(key), ..Target::default() }
    }

    fn router() -> Router {
        Router::new("celeriac")
            .with_queue("mail")
            .with_queue("video")
            .with_rule("mail.*", Target { priority: Some(5), ..Target::queue("mail") })
            .and_then(|router| router.with_rule("*.slow", to("films", "")))
            .and_then(|router| router.with_rule("mail.urgent", Target::queue("video")))
            .and_then(|router| {
                router.with_rule("plain", Target { priority: Some(2), ..Target::default() })
            })
            .unwrap()
    }

    #[test]
    fn the_call_decides_then_the_first_rule_then_the_declaration_then_the_default() {
        let none = Target::default();
        let cases = [
            ("a", None, &none, "celeriac", "default"),
            ("a", Some("video"), &none, "celeriac", "video"),
            ("a", Some("elsewhere"), &none, "", "elsewhere"),
            ("mail.urgent", Some("video"), &none, "celeriac", "mail"),
            ("mail.x", None, &Target::queue("video"), "celeriac", "video"),
            ("x.slow", None, &none, "films", "x.slow"),
            ("x.slow", None, &to("", "k"), "celeriac", "k"),
            ("x.slow", None, &to("other", ""), "other", "x.slow"),
            ("plain", Some("mail"), &none, "celeriac", "mail"),
        ];
        for (task, declared, call, exchange, key) in cases {
            let found = router().route(task, declared, call);
            assert_eq!(found.route, Route { exchange: exchange.into(), routing_key: key.into() });
        }
    }

    #[test]
    fn a_priority_comes_from_the_call_or_the_rule_wherever_the_task_goes() {
        let router = router();
        let call = Target { priority: Some(9), ..Target::default() };
        assert_eq!(router.route("mail.x", None, &call).priority, Some(9));
        assert_eq!(router.route("mail.x", None, &Target::queue("video")).priority, Some(5));
        assert_eq!(router.route("plain", None, &Target::default()).priority, Some(2));
    }

    #[test]
    fn a_queue_that_is_not_ours_to_declare_is_reached_by_its_name_alone() {
        let mut settings = Settings::default();
        let foreign = QueueTable { declare: Some(false), ..QueueTable::default() };
        settings.queues.insert("theirs", foreign);
        settings.queues.insert("ours", QueueTable::default());
        let router = Router::from_settings(&settings).unwrap();
        assert_eq!(router.queue("theirs"), Destination::foreign_queue("theirs"));
        assert_eq!(router.queue("ours"), Destination::queue("celeriac", "ours"));
        assert_eq!(router.queue("default"), Destination::queue("celeriac", "default"));
    }

    #[test]
    fn only_a_known_queue_is_known_to_the_ladder_by_name() {
        let router = router();
        assert_eq!(router.route("a", None, &Target::queue("mail")).exit_key(), "out:mail");
        assert_eq!(router.route("a", None, &to("films", "hd")).exit_key(), "out>films");
        assert_eq!(Destination::exchange("", "q").exit_key(), "out:q");
    }

    #[test]
    fn a_route_reads_as_a_place() {
        let route = Destination::exchange("films", "hd").route;
        assert_eq!(route.to_string(), r#"exchange "films", routing key "hd""#);
        assert_eq!(Destination::foreign_queue("q").route.to_string(), r#"queue "q""#);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Router::new("x").with_rule("a[", Target::default()).unwrap_err();
        assert_eq!(error.pattern, "a[");
    }
}
