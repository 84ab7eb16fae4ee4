//! The answer of one node to a remote command.

use super::request::{ReplyTo, clock_header, properties};
use crate::broker::{Delivery, RawMessage};
use crate::protocol::{DecodeError, EncodeError, Format};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// How deeply an answer may be nested: arguments of tasks are in it.
const DEEPEST: usize = 100;

/// The answer of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Who answers.
    pub node: String,
    /// What it says: often `{"ok": ..}` or `{"error": ..}`, but for most questions the answer itself.
    pub value: Value,
}

impl Reply {
    /// The message to whoever asked. Nobody being there any more is no error.
    pub(crate) fn message(
        &self,
        to: &ReplyTo,
        format: Format,
        clock: u64,
    ) -> Result<RawMessage, EncodeError> {
        let headers = BTreeMap::from([
            ("ticket".to_owned(), to.ticket.as_str().into()),
            ("clock".to_owned(), clock_header(clock)),
        ]);
        let body = format.encode(&json!({ &self.node: self.value }))?;
        let (exchange, key) = (to.exchange.as_str(), to.routing_key.as_str());
        let message =
            RawMessage::try_from_parts(exchange, key, &properties(format), headers, body.into())?;
        Ok(RawMessage { mandatory: false, ..message })
    }

    /// Reads the answers in one message: one, from every node that we know of.
    pub(super) fn read(delivery: &Delivery) -> Result<Vec<Self>, DecodeError> {
        let format = delivery.content_type().and_then(|kind| Format::from_content_type(&kind));
        Self::parse(format.unwrap_or(Format::Json), &delivery.body)
    }

    fn parse(format: Format, bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        if bytes.len() > LONGEST {
            let message = format!("an answer of {} bytes", bytes.len());
            return Err(DecodeError { place: String::new(), message });
        }
        let nodes: Map<String, Value> = format.decode_within(bytes, DEEPEST)?;
        Ok(nodes.into_iter().map(|(node, value)| Self { node, value }).collect())
    }

    /// Why the node did not do it, if it did not.
    pub fn error(&self) -> Option<&str> {
        match self.value.as_object() {
            Some(map) if map.len() == 1 => map.get("error")?.as_str(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let reply = Reply { node: "a@h".to_owned(), value: json!({ "ok": "pong" }) };
        for format in [Format::Json, Format::MessagePack] {
            let message = reply.message(&ReplyTo::asker("me"), format, 3).unwrap();
            assert_eq!(Reply::parse(format, &message.body), Ok(vec![reply.clone()]));
            assert!(!message.mandatory && message.text_header("ticket").is_some());
        }
    }

    #[test]
    fn only_an_error_alone_is_one() {
        let said = |value: Value| Reply { node: "a".to_owned(), value };
        assert_eq!(said(json!({ "error": "no" })).error(), Some("no"));
        for other in [json!({ "ok": 1 }), json!({ "error": "no", "b": 1 }), json!([]), json!(null)]
        {
            assert_eq!(said(other).error(), None);
        }
    }
}
