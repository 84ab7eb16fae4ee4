//! Work queues with their exchanges, the archive, and everything together.

use super::{
    Arguments, Binding, EventStream, Exchange, ExchangeKind, Queue, QueueKind, QueueSettings,
    Retain, Settings, Topology, names,
};
use crate::protocol::HeaderValue::{self, Int, Text};
use std::collections::BTreeSet;

impl Topology {
    /// Everything the settings speak of: the defined queues, `queues` besides, the delay ladder
    /// and the archive.
    pub fn whole(settings: &Settings, queues: &[String]) -> Self {
        let defined = settings.queues.names().map(str::to_owned);
        let names: BTreeSet<_> = defined.chain(queues.iter().cloned()).collect();
        let names: Vec<_> = names.into_iter().collect();
        Self::dead(settings)
            .and(Self::revocations())
            .and(Self::pauses())
            .and(Self::events(&settings.events))
            .and(Self::ladder(settings))
            .and(Self::work(settings, &names))
    }

    /// The exchanges that tasks are published to, `queues`, and the bindings between them and from
    /// the exit of the delay ladder.
    pub fn work(settings: &Settings, queues: &[String]) -> Self {
        let mut work = Self { exchanges: task_exchanges(settings), ..Self::default() };
        let exits = work.exchanges.iter().map(|exchange| {
            let key = names::delay_to_exchange(&exchange.name);
            Binding::to_exchange(names::DELAY_EXIT, &exchange.name, key)
        });
        work.bindings.extend(exits);
        for name in queues {
            let queue = settings.queues.get(name);
            work.bindings.extend(bindings(settings, name, &queue));
            work.queues.push(Queue {
                declare: queue.declare,
                ..Queue::new(name, arguments(settings, &queue))
            });
        }
        work
    }

    /// The archive of what was given up, an exchange and a stream; and the place where the
    /// broker's own dead letters arrive before somebody takes them there.
    ///
    /// They cannot go into the stream at once: RabbitMQ 3.10 drops what a classic queue
    /// dead-letters into a stream, and streams forget headers that are lists or tables, `x-death`
    /// among them.
    pub fn dead(settings: &Settings) -> Self {
        let dead = &settings.dead;
        let arrival = names::dead_arrival(&dead.exchange);
        let kept = [
            ("x-queue-type", Text("quorum".to_owned())),
            // None would be twenty, and what exceeds it is dropped here.
            ("x-delivery-limit", Int(1_000_000)),
        ];
        Self {
            exchanges: vec![
                Exchange::new(&dead.exchange, ExchangeKind::Fanout),
                Exchange::new(&arrival, ExchangeKind::Fanout),
            ],
            queues: vec![
                Queue::new(&dead.stream, retention(&dead.retain)),
                Queue::new(&arrival, kept),
            ],
            bindings: vec![
                Binding::to_queue(&dead.exchange, &dead.stream, ""),
                Binding::to_queue(&arrival, &arrival, ""),
            ],
        }
    }
}

impl Topology {
    /// The stream of revocations, which keeps each for seven days.
    pub fn revocations() -> Self {
        let arguments = [
            ("x-queue-type", Text("stream".to_owned())),
            ("x-max-age", Text("7D".to_owned())),
            ("x-max-length-bytes", Int(20_000_000)),
            ("x-stream-max-segment-size-bytes", Int(1_000_000)),
        ];
        Self {
            exchanges: vec![Exchange::new(names::REVOKED, ExchangeKind::Fanout)],
            queues: vec![Queue::new(names::REVOKED, arguments)],
            bindings: vec![Binding::to_queue(names::REVOKED, names::REVOKED, "")],
        }
    }
}

impl Topology {
    /// The stream of the queues that are paused. Nothing in it grows old: the newest are kept, and a
    /// pause that stands is written again before it is among the oldest.
    pub fn pauses() -> Self {
        let arguments = [
            ("x-queue-type", Text("stream".to_owned())),
            ("x-max-length-bytes", Int(20_000_000)),
            ("x-stream-max-segment-size-bytes", Int(1_000_000)),
        ];
        Self {
            exchanges: vec![Exchange::new(names::PAUSED, ExchangeKind::Fanout)],
            queues: vec![Queue::new(names::PAUSED, arguments)],
            bindings: vec![Binding::to_queue(names::PAUSED, names::PAUSED, "")],
        }
    }
}

impl Topology {
    /// The stream of what people did through a monitor, which keeps each for a year.
    pub fn audit() -> Self {
        let arguments = [
            ("x-queue-type", Text("stream".to_owned())),
            ("x-max-age", Text("1Y".to_owned())),
            ("x-max-length-bytes", Int(200_000_000)),
            ("x-stream-max-segment-size-bytes", Int(10_000_000)),
        ];
        Self {
            exchanges: vec![Exchange::new(names::AUDIT, ExchangeKind::Fanout)],
            queues: vec![Queue::new(names::AUDIT, arguments)],
            bindings: vec![Binding::to_queue(names::AUDIT, names::AUDIT, "")],
        }
    }
}

impl Topology {
    /// The exchanges of remote control, as Celery declares them: they do not survive the broker's
    /// restart, whoever needs them makes them again.
    pub fn control() -> Self {
        let transient = |name, kind| Exchange { durable: false, ..Exchange::new(name, kind) };
        Self {
            exchanges: vec![
                transient(names::CONTROL, ExchangeKind::Fanout),
                transient(names::CONTROL_REPLIES, ExchangeKind::Direct),
            ],
            ..Self::default()
        }
    }

    /// The exchange of events, as Celery declares it, and the stream that keeps them.
    pub fn events(events: &EventStream) -> Self {
        let exchanges = vec![Exchange::new(&events.exchange, ExchangeKind::Topic)];
        if events.stream.is_empty() {
            return Self { exchanges, ..Self::default() };
        }
        Self {
            exchanges,
            queues: vec![Queue::new(&events.stream, retention(&events.retain))],
            bindings: vec![Binding::to_queue(&events.exchange, &events.stream, "#")],
        }
    }
}

/// A queue that drops nothing on the way to its dead-letter exchange, even when the broker dies.
pub(super) fn safe_dead_lettering() -> [(String, HeaderValue); 3] {
    [
        ("x-queue-type".to_owned(), Text("quorum".to_owned())),
        ("x-dead-letter-strategy".to_owned(), Text("at-least-once".to_owned())),
        // At-least-once is refused with any other overflow.
        ("x-overflow".to_owned(), Text("reject-publish".to_owned())),
    ]
}

fn task_exchanges(settings: &Settings) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    if !settings.exchanges.contains_key(&settings.exchange) {
        exchanges.push(Exchange::new(&settings.exchange, ExchangeKind::Topic));
    }
    for (name, further) in &settings.exchanges {
        let exchange = Exchange::new(name, further.kind);
        exchanges.push(match &further.alternate {
            Some(alternate) => exchange.with_alternate(alternate),
            None => exchange,
        });
    }
    exchanges
}

fn bindings(settings: &Settings, name: &str, queue: &QueueSettings) -> Vec<Binding> {
    let exit = Binding::to_queue(names::DELAY_EXIT, name, names::delay_to_queue(name));
    let mut bindings = vec![exit];
    if queue.declare {
        bindings.push(Binding::to_queue(&settings.exchange, name, name));
    }
    let exchange = queue.exchange.as_ref().unwrap_or(&settings.exchange);
    let patterns = queue.bindings.iter().map(|key| Binding::to_queue(exchange, name, key));
    bindings.extend(patterns);
    if queue.bindings.is_empty() && queue.exchange.is_some() {
        bindings.push(Binding::to_queue(exchange, name, name));
    }
    bindings
}

fn arguments(settings: &Settings, queue: &QueueSettings) -> Arguments {
    let mut arguments = Arguments::new();
    let mut set = |name: &str, value: HeaderValue| drop(arguments.insert(name.to_owned(), value));
    if queue.kind == QueueKind::Quorum {
        set("x-queue-type", Text("quorum".to_owned()));
    }
    if let Some(highest) = queue.max_priority {
        set("x-max-priority", Int(highest.into()));
    }
    if let Some(ttl) = queue.message_ttl {
        set("x-message-ttl", Int(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)));
    }
    if let Some(longest) = queue.max_length {
        set("x-max-length", Int(i64::try_from(longest).unwrap_or(i64::MAX)));
        set("x-overflow", Text("reject-publish".to_owned()));
    }
    if queue.dead_letter {
        let archive = names::dead_arrival(&settings.dead.exchange);
        set("x-dead-letter-exchange", Text(archive));
    }
    // Without a dead-letter exchange the limit would make the broker drop messages.
    if queue.dead_letter && queue.kind == QueueKind::Quorum {
        set("x-delivery-limit", Int(queue.delivery_limit.into()));
        safe_dead_lettering().into_iter().for_each(|(name, value)| set(&name, value));
    }
    for (name, value) in &queue.arguments {
        set(name, from_toml(value));
    }
    arguments
}

/// RabbitMQ deletes whole segments, so they are small against what is kept. Zero keeps all.
fn retention(retain: &Retain) -> Vec<(&'static str, HeaderValue)> {
    let mut arguments = vec![("x-queue-type", Text("stream".to_owned()))];
    let age = retain.age.as_secs();
    if age > 0 {
        arguments.push(("x-max-age", Text(format!("{age}s"))));
    }
    if retain.size > 0 {
        let size = i64::try_from(retain.size).unwrap_or(i64::MAX);
        let segment = (size / 20).clamp(1_000_000, 100_000_000);
        arguments.push(("x-max-length-bytes", Int(size)));
        arguments.push(("x-stream-max-segment-size-bytes", Int(segment)));
    }
    arguments
}

fn from_toml(value: &toml::Value) -> HeaderValue {
    match value {
        toml::Value::String(value) => Text(value.clone()),
        toml::Value::Integer(value) => Int(*value),
        toml::Value::Float(value) => HeaderValue::Float(*value),
        toml::Value::Boolean(value) => HeaderValue::Bool(*value),
        toml::Value::Datetime(value) => Text(value.to_string()),
        toml::Value::Array(values) => HeaderValue::List(values.iter().map(from_toml).collect()),
        toml::Value::Table(values) => HeaderValue::Table(
            values.iter().map(|(key, value)| (key.clone(), from_toml(value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExchangeSettings, QueueTable};
    use super::*;
    use std::time::Duration;

    fn declared(table: QueueTable) -> Queue {
        let mut settings = Settings::default();
        settings.queues.insert("q", table);
        Topology::work(&settings, &["q".to_owned()]).queues.remove(0)
    }

    fn names(queue: &Queue) -> Vec<&str> {
        queue.arguments.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_quorum_queue_gives_up_into_the_archive_and_drops_nothing() {
        let queue = declared(QueueTable::default());
        let expected = [
            ("x-dead-letter-exchange", Text("celeriac.dead.in".into())),
            ("x-dead-letter-strategy", Text("at-least-once".into())),
            ("x-delivery-limit", Int(20)),
            ("x-overflow", Text("reject-publish".into())),
            ("x-queue-type", Text("quorum".into())),
        ];
        assert_eq!(queue, Queue::new("q", expected));
    }

    #[test]
    fn a_queue_shared_with_celery_has_nothing_of_ours() {
        let shared = QueueTable { dead_letter: Some(false), ..QueueTable::default() };
        assert_eq!(names(&declared(shared.clone())), ["x-queue-type"]);
        let classic = QueueTable { kind: Some(QueueKind::Classic), ..shared };
        assert_eq!(names(&declared(classic)), [""; 0]);
    }

    #[test]
    fn what_the_operator_writes_becomes_an_argument() {
        let table = QueueTable {
            kind: Some(QueueKind::Classic),
            max_priority: Some(10),
            message_ttl: Some(Duration::from_secs(60)),
            max_length: Some(5),
            arguments: Some(toml::toml! { x-single-active-consumer = true }),
            ..QueueTable::default()
        };
        let expected = [
            ("x-dead-letter-exchange", Text("celeriac.dead.in".into())),
            ("x-max-length", Int(5)),
            ("x-max-priority", Int(10)),
            ("x-message-ttl", Int(60_000)),
            ("x-overflow", Text("reject-publish".into())),
            ("x-single-active-consumer", HeaderValue::Bool(true)),
        ];
        assert_eq!(declared(table), Queue::new("q", expected));
    }

    #[test]
    fn a_queue_is_bound_by_its_name_and_patterns_and_to_the_ladder() {
        let mut settings = Settings::default();
        settings.exchanges.insert("films".into(), ExchangeSettings::default());
        let table = QueueTable {
            exchange: Some("films".into()),
            bindings: Some(vec!["video.#".into()]),
            ..QueueTable::default()
        };
        settings.queues.insert("q", table);
        let work = Topology::work(&settings, &["q".to_owned()]);
        let expected = [
            Binding::to_exchange("celeriac.delay.out", "celeriac", "out>celeriac"),
            Binding::to_exchange("celeriac.delay.out", "films", "out>films"),
            Binding::to_queue("celeriac.delay.out", "q", "out:q"),
            Binding::to_queue("celeriac", "q", "q"),
            Binding::to_queue("films", "q", "video.#"),
        ];
        assert_eq!(work.bindings, expected);
    }

    #[test]
    fn a_queue_of_somebody_else_is_bound_to_the_ladder_only() {
        let mut settings = Settings::default();
        let foreign = QueueTable { declare: Some(false), ..QueueTable::default() };
        settings.queues.insert("q", foreign);
        let work = Topology::work(&settings, &["q".to_owned()]);
        assert!(!work.queues[0].declare);
        assert_eq!(work.bindings.len(), 2);
    }

    #[test]
    fn every_name_in_the_whole_is_declared_once() {
        let whole = Topology::whole(&Settings::default(), &["default".to_owned()]);
        let queues: BTreeSet<_> = whole.queues.iter().map(|queue| &queue.name).collect();
        let exchanges: BTreeSet<_> = whole.exchanges.iter().map(|it| &it.name).collect();
        assert_eq!((queues.len(), exchanges.len()), (whole.queues.len(), whole.exchanges.len()));
        for binding in &whole.bindings {
            assert!(exchanges.contains(&binding.source), "{binding:?}");
        }
    }
}
