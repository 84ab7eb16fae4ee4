//! Letters as JSON: what the command line shows, and what leaves and enters the archive as a file.

use super::burial::{self, header};
use super::{Archive, AttemptRecord, DeadLetter};
use crate::broker::{PublishError, RawMessage};
use crate::clock;
use crate::protocol::{Bytes, EncodeError, Properties, header_json as json};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long one publication may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a line could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is no JSON, or not what an export writes.
    #[error("not a line of an export: {0}")]
    NoRecord(#[from] serde_json::Error),
    /// A field holds what it cannot hold.
    #[error("field `{0}` does not hold what an export writes")]
    Field(&'static str),
    /// A property is too long for AMQP.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The broker did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The part of an exported line that is read back.
#[derive(Debug, Deserialize)]
struct Record {
    message: MessageRecord,
}

/// A whole message.
#[derive(Debug, Serialize, Deserialize)]
struct MessageRecord {
    routing_key: String,
    properties: PropertyRecord,
    headers: Value,
    /// In base64.
    body: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PropertyRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
}

impl Archive {
    /// Puts an exported letter into the archive, open, whatever its state was.
    ///
    /// # Errors
    /// The line is not one of an export, or the broker did not take it.
    pub async fn import(&self, line: &str) -> Result<(), ImportError> {
        let record: Record = serde_json::from_str(line)?;
        let message = record.message.into_message(&self.settings.exchange)?;
        self.broker.publish(Arc::new(burial::pack(message)), DEADLINE).await?;
        Ok(())
    }
}

impl DeadLetter {
    /// What is known of the letter, without its message.
    pub fn to_json(&self) -> Value {
        let deed = self.state.deed();
        json!({
            "offset": self.offset,
            "id": self.id.as_ref().map(|id| id.as_str()),
            "task": self.task,
            "reason": self.reason.as_str(),
            "error": self.error,
            "dead_at": self.dead_at.map(clock::to_iso),
            "queue": self.queue,
            "exchange": self.exchange,
            "routing_key": self.routing_key,
            "worker": self.worker,
            "argsrepr": self.argsrepr,
            "retries": self.retries,
            "attempts": self.attempts.iter().map(AttemptRecord::to_json).collect::<Vec<_>>(),
            "size": self.size,
            "state": self.state.as_str(),
            "done_at": deed.map(|deed| clock::to_iso(deed.at)),
            "done_by": deed.map(|deed| deed.by.as_str()),
        })
    }

    /// The letter with its whole message: one line of an export.
    pub fn to_record(&self, message: &RawMessage) -> Value {
        let mut record = self.to_json();
        record["message"] = json!(MessageRecord::of(message));
        record
    }
}

impl AttemptRecord {
    fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "at": clock::to_iso(self.at),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "worker": self.worker,
            "error": self.error,
        })
    }
}

impl MessageRecord {
    fn of(message: &RawMessage) -> Self {
        let mut headers = message.headers();
        headers.retain(|name, _| name != "x-stream-offset" && name != header::PACKED);
        Self {
            routing_key: message.routing_key.clone(),
            properties: message.properties().into(),
            headers: json::table_to_json(&headers),
            body: BASE64_STANDARD.encode(&message.body),
        }
    }

    fn into_message(self, exchange: &str) -> Result<RawMessage, ImportError> {
        let headers = json::table_from_json(&self.headers).ok_or(ImportError::Field("headers"))?;
        let body = BASE64_STANDARD.decode(&self.body);
        let body = Bytes::from(body.map_err(|_| ImportError::Field("body"))?);
        let properties = self.properties.into();
        Ok(RawMessage::try_from_parts(exchange, self.routing_key, &properties, headers, body)?)
    }
}

impl From<Properties> for PropertyRecord {
    fn from(from: Properties) -> Self {
        Self {
            content_type: from.content_type,
            content_encoding: from.content_encoding,
            priority: from.priority,
            correlation_id: from.correlation_id,
            reply_to: from.reply_to,
            message_id: from.message_id,
            timestamp: from.timestamp,
            kind: from.kind,
            app_id: from.app_id,
        }
    }
}

impl From<PropertyRecord> for Properties {
    fn from(from: PropertyRecord) -> Self {
        Self {
            content_type: from.content_type,
            content_encoding: from.content_encoding,
            priority: from.priority,
            correlation_id: from.correlation_id,
            reply_to: from.reply_to,
            expiration: None,
            message_id: from.message_id,
            persistent: true,
            timestamp: from.timestamp,
            kind: from.kind,
            app_id: from.app_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::HeaderValue;
    use std::collections::BTreeMap;

    #[test]
    fn a_message_comes_back_from_its_line() {
        let properties = Properties {
            content_type: Some("application/x-msgpack".to_owned()),
            priority: Some(3),
            correlation_id: Some("i".to_owned()),
            persistent: true,
            timestamp: Some(5),
            ..Properties::default()
        };
        let headers = BTreeMap::from([
            ("task".to_owned(), HeaderValue::Text("t".to_owned())),
            ("timelimit".to_owned(), HeaderValue::List(vec![HeaderValue::Null])),
        ]);
        let body = Bytes::from_static(&[0, 255]);
        let message = RawMessage::try_from_parts("celeriac.dead", "k", &properties, headers, body);
        let message = message.unwrap();
        let line = DeadLetter::read(7, &message).to_record(&message).to_string();
        let record: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(record.message.into_message("celeriac.dead").unwrap(), message);
    }
}
