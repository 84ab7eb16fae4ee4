//! A task as a row of the table, and back.

use crate::broker::RawMessage;
use crate::clock;
use crate::ids::TaskId;
use crate::protocol::{Bytes, Properties, header_json};
use crate::publisher::Parcel;
use crate::results::NewChord;
use crate::store::StoreError;
use crate::store::sql::Row;
use serde::Deserialize;
use serde_json::{Value, json};

/// A task that is about to be staged.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRow {
    pub(super) parcel: Parcel,
    /// Chords that are begun before it is sent, as JSON.
    pub(super) chords: Option<String>,
}

/// A row that this relay has claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: i64,
    pub(super) task_id: String,
    pub(super) task: String,
    pub(super) attempts: u32,
    /// What is to be sent, or why it cannot be read.
    pub(super) content: Result<Content, Damaged>,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    pub(super) parcel: Parcel,
    pub(super) chords: Vec<NewChord>,
}

/// A column that does not hold what is written when a task is staged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "column `{0}` of the row does not hold what staging writes; mend it, or set the row aside with \
     `celeriac outbox discard`"
)]
pub(super) struct Damaged(&'static str);

impl NewRow {
    pub(crate) fn new(parcel: Parcel, chords: &[NewChord]) -> Self {
        let written = |chord: &NewChord| json!([chord.group_id, chord.members]);
        let chords =
            (!chords.is_empty()).then(|| chords.iter().map(written).collect::<Value>().to_string());
        Self { parcel, chords }
    }

    /// Microseconds since 1970.
    pub(super) fn eta(&self) -> Option<i64> {
        self.parcel.eta.map(clock::micros)
    }

    /// Properties and headers, as JSON.
    pub(super) fn message(&self) -> String {
        let mut properties = json!(self.parcel.message.properties());
        if let Some(properties) = properties.as_object_mut() {
            properties.retain(|_, value| !value.is_null());
        }
        let headers = header_json::table_to_json(&self.parcel.message.headers());
        json!({ "properties": properties, "headers": headers }).to_string()
    }
}

/// Reads a row as a claim gives it.
pub(super) fn read(row: &Row) -> Result<Claimed, StoreError> {
    let text = |column| Ok::<_, StoreError>(row.text(column)?.unwrap_or_default());
    let [task_id, task, exchange, routing_key] = [text(1)?, text(2)?, text(3)?, text(4)?];
    let (message, chords) = (text(7)?, row.text(9)?);
    let address = Address { exchange, routing_key, queue: row.text(5)?, eta: row.number(6)? };
    let body = Bytes::from(row.bytes(8)?.unwrap_or_default());
    let content = read_message(&task_id, &task, address, &message, body)
        .and_then(|parcel| Ok(Content { parcel, chords: read_chords(chords.as_deref())? }));
    let attempts = row.number(10)?.unwrap_or_default();
    Ok(Claimed {
        id: row.number(0)?.unwrap_or_default(),
        task_id,
        task,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        content,
    })
}

/// What [`NewRow::message`] writes.
#[derive(Deserialize)]
struct Written {
    properties: Properties,
    headers: Value,
}

struct Address {
    exchange: String,
    routing_key: String,
    queue: Option<String>,
    eta: Option<i64>,
}

fn read_message(
    task_id: &str,
    task: &str,
    address: Address,
    message: &str,
    body: Bytes,
) -> Result<Parcel, Damaged> {
    let Address { exchange, routing_key, queue, eta } = address;
    let Written { properties, headers } =
        serde_json::from_str(message).map_err(|_| Damaged("message"))?;
    let headers = header_json::table_from_json(&headers).ok_or(Damaged("message"))?;
    let message = RawMessage::try_from_parts(exchange, routing_key, &properties, headers, body)
        .map_err(|_| Damaged("message"))?;
    Ok(Parcel {
        id: TaskId::from(task_id),
        task: task.to_owned(),
        queue,
        eta: eta.map(clock::time_of),
        message,
    })
}

fn read_chords(chords: Option<&str>) -> Result<Vec<NewChord>, Damaged> {
    let Some(chords) = chords else { return Ok(Vec::new()) };
    let read: Vec<(String, u64)> = serde_json::from_str(chords).map_err(|_| Damaged("chords"))?;
    Ok(read.into_iter().map(|(group_id, members)| NewChord { group_id, members }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::HeaderValue;
    use std::collections::BTreeMap;

    fn parcel() -> Parcel {
        let properties = Properties {
            content_type: Some("application/x-msgpack".to_owned()),
            priority: Some(7),
            correlation_id: Some("a".to_owned()),
            persistent: true,
            ..Properties::default()
        };
        let headers = BTreeMap::from([
            ("task".to_owned(), HeaderValue::from("mail.send")),
            ("blob".to_owned(), HeaderValue::Bytes(vec![0, 255])),
            ("retries".to_owned(), HeaderValue::Int(0)),
            ("nothing".to_owned(), HeaderValue::Null),
        ]);
        let body = Bytes::from_static(b"\x93\x00\xff");
        let message =
            RawMessage::try_from_parts("celeriac", "mail", &properties, headers, body).unwrap();
        Parcel {
            id: "a".into(),
            task: "mail.send".to_owned(),
            queue: Some("mail".to_owned()),
            eta: Some(clock::time_of(1_700_000_000_125_001)),
            message,
        }
    }

    fn address(row: &NewRow) -> Address {
        Address {
            exchange: row.parcel.message.exchange.clone(),
            routing_key: row.parcel.message.routing_key.clone(),
            queue: row.parcel.queue.clone(),
            eta: row.eta(),
        }
    }

    #[test]
    fn a_message_comes_back_from_its_row_as_it_was() {
        let row = NewRow::new(parcel(), &[]);
        let body = row.parcel.message.body.clone();
        let read = read_message("a", "mail.send", address(&row), &row.message(), body).unwrap();
        assert_eq!(read, parcel());
        assert_eq!(row.chords, None);
    }

    #[test]
    fn chords_come_back_with_their_members() {
        let chords = [
            NewChord { group_id: "g".to_owned(), members: 3 },
            NewChord { group_id: "h".to_owned(), members: 1 },
        ];
        let row = NewRow::new(parcel(), &chords);
        assert_eq!(read_chords(row.chords.as_deref()).unwrap(), chords);
    }

    #[test]
    fn a_row_that_somebody_changed_says_which_column_is_wrong() {
        let row = NewRow::new(parcel(), &[]);
        let long = "x".repeat(256);
        let long = json!({ "properties": { "correlation_id": long }, "headers": {} }).to_string();
        for wrong in ["", "[]", "{}", r#"{"properties":{},"headers":{"a":{"$time":"x"}}}"#, &long] {
            let read = read_message("a", "t", address(&row), wrong, Bytes::new());
            assert_eq!(read, Err(Damaged("message")), "{wrong}");
        }
        for wrong in ["", "{}", "[1]", r#"[["g","many"]]"#] {
            assert_eq!(read_chords(Some(wrong)), Err(Damaged("chords")), "{wrong}");
        }
    }
}
