//! Declaring, with the refusals that RabbitMQ would answer.

use super::queue::Queue;
use super::routing::Exit;
use super::state::State;
use crate::broker::DeclareError;
use crate::broker::declare::{Item, items};
use crate::protocol::HeaderValue::{self, Bool, Null, Text};
use crate::topology::{
    self, Arguments, Binding, Difference, Endpoint, Exchange, ExchangeKind, Finding, Object,
    Topology,
};
use std::time::SystemTime;

/// What a broker has from the start, besides the default exchange.
const BORN_WITH: [(&str, ExchangeKind); 4] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.topic", ExchangeKind::Topic),
];

/// The arguments of a queue that a second declaration must repeat.
const COMPARED: [&str; 14] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-expires",
    "x-max-age",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-type",
    "x-single-active-consumer",
    "x-stream-max-segment-size-bytes",
];

/// What a kind of queue cannot have.
const REFUSED: [(&str, &[&str]); 3] = [
    ("classic", &["x-delivery-limit", "x-dead-letter-strategy"]),
    ("quorum", &["x-max-priority", "x-queue-mode"]),
    ("stream", &["x-message-ttl", "x-dead-letter-exchange", "x-max-length", "x-expires"]),
];

impl State {
    /// An empty broker.
    pub(super) fn new() -> Self {
        let mut state = Self::default();
        for (name, kind) in BORN_WITH {
            let exit = Exit { exchange: Exchange::new(name, kind), bindings: Vec::new() };
            state.exits.insert(name.to_owned(), exit);
        }
        state
    }

    /// Declares everything; what came before the first refusal stays declared.
    pub(super) fn declare(
        &mut self,
        topology: &Topology,
        now: SystemTime,
    ) -> Result<(), DeclareError> {
        items(topology).try_for_each(Item::check_names)?;
        let declared = items(topology).try_for_each(|item| match item {
            Item::Exchange(exchange) => self.declare_exchange(exchange),
            Item::Queue(queue) => self.declare_queue(queue, now),
            Item::Binding(binding) => self.bind(binding),
        });
        self.settle(now);
        declared
    }

    pub(super) fn verify(&self, topology: &Topology) -> Result<(), DeclareError> {
        let exchanges = topology.exchanges.iter();
        let mut missing = exchanges.filter(|it| !self.exits.contains_key(&it.name));
        let queues = topology.queues.iter();
        let mut missing_queues = queues.filter(|it| !self.queues.contains_key(&it.name));
        let first = missing.next().map(Exchange::object);
        match first.or_else(|| missing_queues.next().map(topology::Queue::object)) {
            Some(object) => Err(DeclareError::Missing(object)),
            None => Ok(()),
        }
    }

    pub(super) fn differences(&self, topology: &Topology) -> Vec<Finding> {
        let exchanges =
            topology.exchanges.iter().flat_map(|wanted| match self.exits.get(&wanted.name) {
                Some(exit) => findings(compare_exchanges(wanted, &exit.exchange)),
                None => vec![Finding::Missing(wanted.object())],
            });
        let queues =
            topology.queues.iter().flat_map(|wanted| match self.queues.get(&wanted.name) {
                Some(_) if !wanted.declare => Vec::new(),
                Some(queue) => findings(compare_queues(wanted, &queue.declared)),
                None => vec![Finding::Missing(wanted.object())],
            });
        exchanges.chain(queues).collect()
    }

    fn declare_exchange(&mut self, wanted: &Exchange) -> Result<(), DeclareError> {
        if let Some(exit) = self.exits.get(&wanted.name) {
            return first_of(compare_exchanges(wanted, &exit.exchange));
        }
        check_reserved(&wanted.name, wanted.object())?;
        let exit = Exit { exchange: wanted.clone(), bindings: Vec::new() };
        self.exits.insert(wanted.name.clone(), exit);
        Ok(())
    }

    fn declare_queue(
        &mut self,
        wanted: &topology::Queue,
        now: SystemTime,
    ) -> Result<(), DeclareError> {
        if let Some(queue) = self.queues.get_mut(&wanted.name) {
            if wanted.declare {
                first_of(compare_queues(wanted, &queue.declared))?;
            }
            queue.used = now;
            return Ok(());
        }
        if !wanted.declare {
            return Err(DeclareError::Missing(wanted.object()));
        }
        check_reserved(&wanted.name, wanted.object())?;
        check_arguments(wanted)?;
        self.queues.insert(wanted.name.clone(), Queue::new(wanted.clone(), now));
        Ok(())
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), DeclareError> {
        let has_end = match &binding.destination {
            Endpoint::Queue(name) => self.queues.contains_key(name),
            Endpoint::Exchange(name) => self.exits.contains_key(name),
        };
        match self.exits.get_mut(&binding.source) {
            Some(exit) if has_end => {
                if !exit.bindings.contains(binding) {
                    exit.bindings.push(binding.clone());
                }
                Ok(())
            }
            _ => Err(DeclareError::Missing(binding.object())),
        }
    }
}

fn compare_exchanges(ours: &Exchange, theirs: &Exchange) -> Vec<Difference> {
    let kind = |exchange: &Exchange| Text(exchange.kind.as_str().to_owned());
    let alternate = "alternate-exchange";
    let pairs = [
        ("type", kind(ours), kind(theirs)),
        ("durable", Bool(ours.durable), Bool(theirs.durable)),
        ("auto_delete", Bool(ours.auto_delete), Bool(theirs.auto_delete)),
        ("internal", Bool(ours.internal), Bool(theirs.internal)),
        (alternate, get(&ours.arguments, alternate), get(&theirs.arguments, alternate)),
    ];
    differences(&ours.object(), pairs)
}

fn compare_queues(ours: &topology::Queue, theirs: &topology::Queue) -> Vec<Difference> {
    let flags = [
        ("durable", Bool(ours.durable), Bool(theirs.durable)),
        ("auto_delete", Bool(ours.auto_delete), Bool(theirs.auto_delete)),
        ("exclusive", Bool(ours.exclusive), Bool(theirs.exclusive)),
    ];
    let arguments = COMPARED
        .into_iter()
        .map(|name| (name, get(&ours.arguments, name), get(&theirs.arguments, name)));
    differences(&ours.object(), flags.into_iter().chain(arguments))
}

fn differences(
    object: &Object,
    pairs: impl IntoIterator<Item = (&'static str, HeaderValue, HeaderValue)>,
) -> Vec<Difference> {
    let differing = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
    let difference = |(argument, ours, theirs): (&str, _, _)| Difference {
        object: object.clone(),
        argument: argument.to_owned(),
        ours,
        theirs,
    };
    differing.map(difference).collect()
}

/// A queue that does not say what it is, is a classic one.
fn get(arguments: &Arguments, name: &str) -> HeaderValue {
    match arguments.get(name) {
        Some(Text(kind)) if name == "x-queue-type" && kind == "classic" => Null,
        value => value.cloned().unwrap_or(Null),
    }
}

fn first_of(differences: Vec<Difference>) -> Result<(), DeclareError> {
    match differences.into_iter().next() {
        Some(difference) => Err(DeclareError::Differs(Box::new(difference))),
        None => Ok(()),
    }
}

fn findings(differences: Vec<Difference>) -> Vec<Finding> {
    differences.into_iter().map(Finding::Differs).collect()
}

fn check_reserved(name: &str, object: Object) -> Result<(), DeclareError> {
    if !name.starts_with("amq.") {
        return Ok(());
    }
    let reply = format!("ACCESS_REFUSED - '{name}' begins with the reserved prefix 'amq.'");
    Err(DeclareError::Forbidden { object, reply })
}

fn check_arguments(queue: &topology::Queue) -> Result<(), DeclareError> {
    let kind = match queue.arguments.get("x-queue-type") {
        Some(Text(kind)) => kind.as_str(),
        _ => "classic",
    };
    let refuse = |why: String| {
        let reply = format!("PRECONDITION_FAILED - {why} for a {kind} queue");
        Err(DeclareError::Refused { object: queue.object(), reply })
    };
    let Some((_, refused)) = REFUSED.iter().find(|(name, _)| *name == kind) else {
        return refuse("no such x-queue-type".to_owned());
    };
    let is_refused = |name: &&&str| queue.arguments.contains_key(**name);
    if let Some(argument) = refused.iter().find(is_refused) {
        return refuse(format!("invalid arg '{argument}'"));
    }
    let is_replicated = kind != "classic";
    if is_replicated && (!queue.durable || queue.auto_delete || queue.exclusive) {
        return refuse("invalid property 'durable', 'auto-delete' or 'exclusive'".to_owned());
    }
    let unsafe_overflow = get(&queue.arguments, "x-overflow") != Text("reject-publish".into());
    if get(&queue.arguments, "x-dead-letter-strategy") == Text("at-least-once".into())
        && unsafe_overflow
    {
        return refuse("at-least-once dead-lettering wants reject-publish".to_owned());
    }
    Ok(())
}
