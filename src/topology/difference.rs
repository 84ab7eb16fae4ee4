//! Where the broker and a topology disagree.
//!
//! RabbitMQ does not tell what it holds; it refuses a declaration that differs and names one
//! argument in a sentence. The sentence is taken apart here.

use super::{Exchange, ExchangeKind, Queue};
use crate::protocol::HeaderValue;
use serde::{Serialize, Serializer};
use serde_json::json;
use std::fmt;

/// A thing in the broker, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// An exchange.
    Exchange(String),
    /// A queue or stream.
    Queue(String),
    /// A binding.
    Binding {
        /// The exchange it starts from.
        source: String,
        /// The queue or exchange it leads to.
        destination: String,
        /// Its key.
        routing_key: String,
    },
}

/// One argument of one object that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs.
    pub object: Object,
    /// In which argument: `durable`, `type`, `x-message-ttl` and the like.
    pub argument: String,
    /// What we declare; [`HeaderValue::Null`] for nothing.
    pub ours: HeaderValue,
    /// What the broker holds; [`HeaderValue::Null`] for nothing.
    pub theirs: HeaderValue,
}

/// What a comparison found about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The broker does not have it.
    Missing(Object),
    /// The broker has it, otherwise.
    Differs(Difference),
    /// The broker did not say, for the reason given.
    Unknown(Object, String),
}

impl Object {
    /// Its name; of a binding, the name of its source.
    pub fn name(&self) -> &str {
        match self {
            Self::Exchange(name) | Self::Queue(name) | Self::Binding { source: name, .. } => name,
        }
    }
}

impl Finding {
    /// What it is about.
    pub fn object(&self) -> &Object {
        match self {
            Self::Missing(object) | Self::Unknown(object, _) => object,
            Self::Differs(difference) => &difference.object,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = self.object();
        let kind = match object {
            Object::Exchange(_) => "exchange",
            Object::Queue(_) => "queue",
            Object::Binding { .. } => "binding",
        };
        let mut json = json!({ "kind": kind, "name": object.name(), "text": self.to_string() });
        match self {
            Self::Missing(_) => json["finding"] = json!("missing"),
            Self::Unknown(..) => json["finding"] = json!("unknown"),
            Self::Differs(difference) => {
                json["finding"] = json!("differs");
                json["argument"] = json!(difference.argument);
                json["broker"] = json!(difference.theirs());
                json["configuration"] = json!(difference.ours());
            }
        }
        json.serialize(serializer)
    }
}

impl Difference {
    /// Reads RabbitMQ's `inequivalent arg ...` sentence.
    ///
    /// `None` when the text is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once("' for ")?;
        let (kind, rest) = rest.split_once(" '")?;
        let (name, rest) = rest.split_once("' in vhost '")?;
        let (_, rest) = rest.split_once(": received ")?;
        let (ours, theirs) = rest.split_once(" but current is ")?;
        let object = match kind {
            "exchange" => Object::Exchange(name.to_owned()),
            _ => Object::Queue(name.to_owned()),
        };
        Some(Self {
            object,
            argument: argument.to_owned(),
            ours: read_value(ours),
            theirs: read_value(theirs),
        })
    }

    /// What we declare, as a person reads it.
    pub fn ours(&self) -> String {
        self.shown(&self.ours)
    }

    /// What the broker holds, as a person reads it.
    pub fn theirs(&self) -> String {
        self.shown(&self.theirs)
    }

    /// A queue that does not say what it is, is a classic one.
    fn shown(&self, value: &HeaderValue) -> String {
        match value {
            HeaderValue::Null if self.argument == "x-queue-type" => "classic".to_owned(),
            value => text(value),
        }
    }

    /// Changes `queue` into what the broker holds. `false` when it cannot be expressed.
    pub fn adopt_queue(&self, queue: &mut Queue) -> bool {
        let flag = match self.argument.as_str() {
            "durable" => &mut queue.durable,
            "auto_delete" => &mut queue.auto_delete,
            "exclusive" => &mut queue.exclusive,
            _ => {
                self.adopt_argument(&mut queue.arguments);
                return true;
            }
        };
        self.adopt_flag(flag)
    }

    /// Changes `exchange` into what the broker holds. `false` when it cannot be expressed.
    pub fn adopt_exchange(&self, exchange: &mut Exchange) -> bool {
        let flag = match self.argument.as_str() {
            "durable" => &mut exchange.durable,
            "auto_delete" => &mut exchange.auto_delete,
            "internal" => &mut exchange.internal,
            "type" => {
                let kind = ExchangeKind::parse(&text(&self.theirs));
                exchange.kind = kind.unwrap_or(exchange.kind);
                return kind.is_some();
            }
            _ => {
                self.adopt_argument(&mut exchange.arguments);
                return true;
            }
        };
        self.adopt_flag(flag)
    }

    fn adopt_flag(&self, flag: &mut bool) -> bool {
        let theirs = text(&self.theirs).parse();
        *flag = theirs.clone().unwrap_or(*flag);
        theirs.is_ok()
    }

    fn adopt_argument(&self, arguments: &mut super::Arguments) {
        // Of two values of one type RabbitMQ does not tell the type: it is that of ours.
        let theirs = match (&self.theirs, arguments.get(&self.argument)) {
            (HeaderValue::Null, _) => {
                arguments.remove(&self.argument);
                return;
            }
            (HeaderValue::Text(text), Some(HeaderValue::Int(_))) => {
                text.parse().map_or_else(|_| self.theirs.clone(), HeaderValue::Int)
            }
            (HeaderValue::Text(text), Some(HeaderValue::Bool(_))) => {
                text.parse().map_or_else(|_| self.theirs.clone(), HeaderValue::Bool)
            }
            (theirs, _) => theirs.clone(),
        };
        arguments.insert(self.argument.clone(), theirs);
    }
}

/// `none`, `'value'` or `the value 'value' of type 'type'`.
fn read_value(text: &str) -> HeaderValue {
    let text = text.trim();
    if let Some(typed) = text.strip_prefix("the value '")
        && let Some((value, kind)) = typed.rsplit_once("' of type '")
    {
        return match kind.trim_end_matches('\'') {
            "longstr" => HeaderValue::Text(value.to_owned()),
            "bool" => HeaderValue::Bool(value == "true"),
            _ => {
                value.parse().map_or_else(|_| HeaderValue::Text(value.to_owned()), HeaderValue::Int)
            }
        };
    }
    match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(value) => HeaderValue::Text(value.to_owned()),
        None if text == "none" => HeaderValue::Null,
        None => HeaderValue::Text(text.to_owned()),
    }
}

/// A value as a person reads it.
pub fn text(value: &HeaderValue) -> String {
    match value {
        HeaderValue::Null => "none".to_owned(),
        HeaderValue::Bool(value) => value.to_string(),
        HeaderValue::Int(value) => value.to_string(),
        HeaderValue::Float(value) => value.to_string(),
        HeaderValue::Text(value) => value.clone(),
        HeaderValue::Time(value) => value.to_string(),
        other => super::definitions::json_of(other).to_string(),
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange {name:?}"),
            Self::Queue(name) => write!(f, "queue {name:?}"),
            Self::Binding { source, destination, routing_key } => {
                write!(f, "binding {source:?} -> {destination:?} by key {routing_key:?}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, argument, .. } = self;
        let (ours, theirs) = (self.ours(), self.theirs());
        write!(f, "{object}: {argument} is {theirs} in the broker and {ours} here")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(object) => write!(f, "{object}: not in the broker"),
            Self::Differs(difference) => difference.fmt(f),
            Self::Unknown(object, why) => write!(f, "{object}: cannot be compared: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Difference {
        Difference::parse(&format!("PRECONDITION_FAILED - inequivalent arg {rest}")).unwrap()
    }

    #[test]
    fn a_refusal_names_the_argument_and_both_values() {
        let ttl = parse(
            "'x-message-ttl' for queue 'it's' in vhost '/': received none but current is the \
             value '60000' of type 'signedint'",
        );
        assert_eq!(ttl.object, Object::Queue("it's".into()));
        assert_eq!(
            (ttl.ours.clone(), ttl.theirs.clone()),
            (HeaderValue::Null, HeaderValue::Int(60_000))
        );
        assert_eq!(
            ttl.to_string(),
            r#"queue "it's": x-message-ttl is 60000 in the broker and none here"#
        );

        let kind =
            parse("'type' for exchange 'e' in vhost 'v': received 'topic' but current is 'direct'");
        assert_eq!(kind.object, Object::Exchange("e".into()));
        assert_eq!(kind.theirs, HeaderValue::Text("direct".into()));
        assert_eq!(Difference::parse("NOT_FOUND - no queue 'x' in vhost '/'"), None);
    }

    #[test]
    fn what_the_broker_holds_can_be_adopted() {
        let mut queue = Queue::new("q", [("x-message-ttl", HeaderValue::Int(5))]);
        let ttl = "'x-message-ttl' for queue 'q' in vhost '/': received the value '5' of type \
                   'signedint' but current is none";
        assert!(parse(ttl).adopt_queue(&mut queue));
        let durable =
            "'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'";
        assert!(parse(durable).adopt_queue(&mut queue));
        let expected = Queue { durable: false, ..Queue::new("q", [("", HeaderValue::Null); 0]) };
        assert_eq!(queue, expected);

        let mut queue = Queue::new("q", [("x-message-ttl", HeaderValue::Int(5))]);
        let untyped = "'x-message-ttl' for queue 'q' in vhost '/': received '5' but current is '6'";
        assert!(parse(untyped).adopt_queue(&mut queue));
        assert_eq!(queue.arguments["x-message-ttl"], HeaderValue::Int(6), "still a number");

        let mut exchange = Exchange::new("e", ExchangeKind::Topic);
        let kind = "'type' for exchange 'e' in vhost '/': received 'topic' but current is 'x-odd'";
        assert!(!parse(kind).adopt_exchange(&mut exchange), "a type we cannot declare");
    }
}
