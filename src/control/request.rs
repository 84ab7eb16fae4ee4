//! A remote command on its way.

use super::recipients::Recipients;
use crate::broker::{Delivery, RawMessage};
use crate::ids::TaskId;
use crate::protocol::{EncodeError, Format, HeaderValue, Properties};
use crate::topology::names;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Arguments of a command, by name.
pub type Arguments = Map<String, Value>;

/// The longest command that is read, in bytes: room for 50,000 revoked ids.
const LONGEST: usize = 8 << 20;

/// How deeply a command may be nested.
const DEEPEST: usize = 16;

/// AMQP's bound on a routing key, in bytes.
const LONGEST_KEY: usize = 255;

/// A remote command.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What to do, in Celery's words.
    pub method: String,
    /// With what.
    pub arguments: Arguments,
    /// Who shall do it.
    pub to: Recipients,
    /// Who wants the answers; `None` when nobody does.
    pub reply_to: Option<ReplyTo>,
    /// Where the sender's logical clock stood.
    pub clock: u64,
    /// How it was written; the answer is written alike.
    pub format: Format,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// The exchange: `reply.celery.pidbox`, or that of an application with a name of its own.
    pub exchange: String,
    /// The key by which the asker's queue is bound.
    pub routing_key: String,
    /// What tells this question's answers from those to others.
    pub ticket: String,
}

/// Why a message is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// It is too long to be one.
    #[error("{0} bytes long; a remote command has at most {LONGEST}")]
    TooLong(usize),
    /// It is encoded otherwise than commands are.
    #[error("encoded as `{0}`; remote commands are JSON or MessagePack")]
    ContentType(String),
    /// It cannot be decoded, or lacks what a command has.
    #[error("not a remote command: {0}")]
    Body(String),
}

/// The body as Celery writes it.
#[derive(Deserialize)]
struct Body {
    method: String,
    #[serde(default)]
    arguments: Option<Arguments>,
    #[serde(default)]
    destination: Option<Vec<String>>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    matcher: Option<String>,
    #[serde(default)]
    ticket: Option<String>,
    #[serde(default)]
    reply_to: Option<Address>,
}

#[derive(Deserialize)]
struct Address {
    exchange: String,
    routing_key: String,
}

impl Request {
    /// A command to everybody, answered by nobody.
    pub fn new(method: impl Into<String>, arguments: Arguments) -> Self {
        Self {
            method: method.into(),
            arguments,
            to: Recipients::All,
            reply_to: None,
            clock: 0,
            format: Format::Json,
        }
    }

    /// Reads one. Nothing of it is believed before its length, type and depth were checked.
    ///
    /// # Errors
    ///
    /// See [`BadRequest`].
    pub fn read(delivery: &Delivery) -> Result<Self, BadRequest> {
        let kind = delivery.content_type().unwrap_or_default();
        let format = Format::from_content_type(&kind).ok_or(BadRequest::ContentType(kind))?;
        let clock = match RawMessage::from(delivery).header("clock") {
            HeaderValue::Int(clock) => u64::try_from(clock).unwrap_or(0),
            _ => 0,
        };
        Self::parse(format, &delivery.body, clock)
    }

    fn parse(format: Format, bytes: &[u8], clock: u64) -> Result<Self, BadRequest> {
        if bytes.len() > LONGEST {
            return Err(BadRequest::TooLong(bytes.len()));
        }
        let body: Body = format
            .decode_within(bytes, DEEPEST)
            .map_err(|error| BadRequest::Body(error.to_string()))?;
        let (ticket, to) = (body.ticket, body.reply_to);
        Ok(Self {
            method: body.method,
            arguments: body.arguments.unwrap_or_default(),
            to: Recipients::new(body.destination, body.pattern, body.matcher),
            reply_to: to.and_then(|address| ReplyTo::new(address, ticket.unwrap_or_default())),
            clock,
            format,
        })
    }

    /// The message for all nodes. `patience` is how long the asker waits.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded.
    pub(super) fn message(
        &self,
        now: SystemTime,
        patience: Duration,
    ) -> Result<RawMessage, EncodeError> {
        let (destination, pattern, matcher) = self.to.parts();
        let mut body = json!({
            "method": self.method, "arguments": self.arguments,
            "destination": destination, "pattern": pattern, "matcher": matcher,
        });
        if let Some(ReplyTo { exchange, routing_key, ticket }) = &self.reply_to {
            body["ticket"] = json!(ticket);
            body["reply_to"] = json!({ "exchange": exchange, "routing_key": routing_key });
        }
        let until = now + patience;
        let expires = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let headers = BTreeMap::from([
            ("clock".to_owned(), clock_header(self.clock)),
            ("expires".to_owned(), HeaderValue::Float(expires.as_secs_f64())),
        ]);
        let properties = properties(self.format);
        let bytes = self.format.encode(&body)?.into();
        RawMessage::try_from_parts(names::CONTROL, "", &properties, headers, bytes)
    }
}

impl ReplyTo {
    /// Answers to `asker`, with a ticket of their own.
    pub(super) fn asker(asker: &str) -> Self {
        Self {
            exchange: names::CONTROL_REPLIES.to_owned(),
            routing_key: asker.to_owned(),
            ticket: TaskId::random().to_string(),
        }
    }

    /// `None` for a place that nobody may be answered at: it would make a worker publish into
    /// whatever exchange a stranger names.
    fn new(address: Address, ticket: String) -> Option<Self> {
        let Address { exchange, routing_key } = address;
        let fits = exchange.len() <= LONGEST_KEY && routing_key.len() <= LONGEST_KEY;
        let fits = fits && ticket.len() <= LONGEST_KEY && names::is_control_replies(&exchange);
        fits.then_some(Self { exchange, routing_key, ticket })
    }
}

/// Properties of a command or answer: not kept on disk.
pub(super) fn properties(format: Format) -> Properties {
    Properties {
        content_type: Some(format.content_type().to_owned()),
        content_encoding: Some(format.content_encoding().to_owned()),
        priority: Some(0),
        ..Properties::default()
    }
}

/// A clock as a header; one that does not fit stands at its end.
pub(super) fn clock_header(clock: u64) -> HeaderValue {
    HeaderValue::Int(i64::try_from(clock).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::captures::Capture;

    fn parse(body: &str) -> Result<Request, BadRequest> {
        Request::parse(Format::Json, body.as_bytes(), 3)
    }

    #[test]
    fn what_celery_sends_is_read() {
        let request = parse(
            r#"{"method": "revoke", "arguments": {"task_id": "a", "terminate": false},
                "destination": ["w@h"], "pattern": null, "matcher": null, "ticket": "t",
                "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "oid"}}"#,
        );
        let request = request.unwrap();
        assert_eq!((request.method.as_str(), request.clock), ("revoke", 3));
        assert_eq!(request.arguments["task_id"], "a");
        assert_eq!(request.to, Recipients::Named(vec!["w@h".to_owned()]));
        let reply_to = request.reply_to.unwrap();
        assert_eq!((reply_to.routing_key.as_str(), reply_to.ticket.as_str()), ("oid", "t"));
    }

    #[test]
    fn what_we_send_is_read_as_it_was() {
        let mut request = Request::new("ping", Arguments::new());
        request.reply_to = Some(ReplyTo::asker("me"));
        request.clock = 7;
        for format in [Format::Json, Format::MessagePack] {
            request.format = format;
            let message = request.message(SystemTime::UNIX_EPOCH, Duration::from_secs(1)).unwrap();
            assert_eq!(Request::parse(format, &message.body, 7), Ok(request.clone()));
            assert_eq!(message.header("expires"), HeaderValue::Float(1.0));
        }
    }

    #[test]
    fn nobody_makes_a_worker_publish_where_answers_do_not_go() {
        for (exchange, key) in
            [("celeriac", "default"), ("", "q"), ("reply.celery.pidbox", &*"k".repeat(256))]
        {
            let body = json!({ "method": "ping", "ticket": "t",
                "reply_to": { "exchange": exchange, "routing_key": key } });
            assert_eq!(parse(&body.to_string()).unwrap().reply_to, None, "{exchange}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let deep =
            format!(r#"{{"method": "ping", "arguments": {{"a": {}}}}}"#, "[".repeat(100_000));
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "\u{0}",
            r#"{"method": 1}"#,
            r#"{"method": "a", "arguments": 1}"#,
            &deep,
        ] {
            assert!(matches!(parse(body), Err(BadRequest::Body(_))), "{body:.40}");
        }
        let nested = [vec![0x81, 0xa6], b"method".to_vec(), vec![0x91; 100_000]].concat();
        assert!(Request::parse(Format::MessagePack, &nested, 0).is_err());
        let long = vec![b' '; LONGEST + 1];
        assert_eq!(Request::parse(Format::Json, &long, 0), Err(BadRequest::TooLong(LONGEST + 1)));
    }

    #[test]
    fn captured_commands_are_read() {
        for capture in Capture::load(&["pidbox_request_"]) {
            let request = Request::parse(Format::Json, &capture.body(), 0);
            let request = request.unwrap_or_else(|error| panic!("{}: {error}", capture.name));
            let body = capture.decoded().unwrap();
            assert_eq!(body["method"], request.method.as_str(), "{}", capture.name);
            assert_eq!(body["arguments"], Value::Object(request.arguments), "{}", capture.name);
            assert_eq!(
                body["reply_to"].is_object(),
                request.reply_to.is_some(),
                "{}",
                capture.name
            );
        }
    }
}
