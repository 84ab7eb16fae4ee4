//! From AMQP to an envelope.

use crate::broker::fields;
use crate::clock::parse_iso;
use crate::ids::TaskId;
use crate::protocol::{
    Bytes, Envelope, HeaderValue, Headers, Limits, Properties, TimeLimits, Unreadable, upgrade_v1,
};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Reads a message as a task. The body is not looked into, except when it is of protocol 1.
///
/// lapin gives its strings only by reference, so the texts are copied; the body is not.
///
/// # Errors
///
/// When a header has a type or value that it cannot have, or the message is no task.
pub(crate) fn read(
    properties: &BasicProperties,
    body: Bytes,
    limits: &Limits,
) -> Result<Envelope, Unreadable> {
    let table = properties.headers().as_ref();
    let properties = read_properties(properties);
    let found = match table {
        Some(table) => read_headers(table)?,
        None => Found::default(),
    };
    let Some(task) = found.task else {
        let Headers { compression, extra, .. } = found.headers;
        return upgrade_v1(properties, extra, compression.as_deref(), &body, limits);
    };
    let id = found.id.ok_or_else(|| wrong("id", TEXT, "nothing"))?;
    // Celery always names the root; that it is the task itself goes without saying.
    let root_id = found.headers.root_id.filter(|root| *root != id);
    let headers = Headers { task, id, root_id, ..found.headers };
    Ok(Envelope { properties, headers, body })
}

pub(super) fn read_properties(properties: &BasicProperties) -> Properties {
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    let expiration = properties.expiration().as_ref();
    Properties {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        priority: *properties.priority(),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        // The broker has refused whatever is no number.
        expiration: expiration.and_then(|millis| millis.as_str().parse().ok()),
        message_id: text(properties.message_id()),
        persistent: *properties.delivery_mode() == Some(2),
        timestamp: *properties.timestamp(),
        kind: text(properties.kind()),
        app_id: text(properties.app_id()),
    }
}

/// What the table holds. Of `headers`, `task` and `id` are not filled in.
struct Found {
    task: Option<String>,
    id: Option<TaskId>,
    headers: Headers,
}

impl Default for Found {
    fn default() -> Self {
        Self { task: None, id: None, headers: Headers::new(String::new(), String::new().into()) }
    }
}

fn read_headers(table: &FieldTable) -> Result<Found, Unreadable> {
    let mut found = Found::default();
    let headers = &mut found.headers;
    for (name, value) in table {
        match name.as_str() {
            "task" => found.task = text("task", value)?,
            "id" => found.id = text("id", value)?.map(TaskId::from),
            "lang" => headers.lang = display_text(value),
            "shadow" => headers.shadow = display_text(value),
            "eta" => headers.eta = time("eta", value)?,
            "expires" => headers.expires = time("expires", value)?,
            "group" => headers.group = text("group", value)?,
            "group_index" => headers.group_index = integer("group_index", value)?,
            "retries" => headers.retries = count("retries", value)?,
            "timelimit" => headers.time_limits = time_limits(value)?,
            "root_id" => headers.root_id = text("root_id", value)?.map(TaskId::from),
            "parent_id" => headers.parent_id = text("parent_id", value)?.map(TaskId::from),
            "argsrepr" => headers.argsrepr = display_text(value),
            "kwargsrepr" => headers.kwargsrepr = display_text(value),
            "origin" => headers.origin = display_text(value),
            "ignore_result" => headers.ignore_result = truth("ignore_result", value)?,
            "replaced_task_nesting" => {
                headers.replaced_task_nesting = count("replaced_task_nesting", value)?;
            }
            "stamped_headers" => headers.stamped_headers = texts("stamped_headers", value)?,
            "stamps" => headers.stamps = stamps(value)?,
            "compression" => headers.compression = text("compression", value)?,
            extra => {
                headers.extra.insert(extra.to_owned(), any(extra, value)?);
            }
        }
    }
    Ok(found)
}

const TEXT: &str = "text";
const TIME: &str = "an ISO 8601 time";
const COUNT: &str = "a whole number from 0 to 4294967295";
const LIMITS: &str = "null or a list of exactly two numbers of seconds, or nulls";

fn wrong(name: &str, expected: &'static str, found: impl Into<String>) -> Unreadable {
    Unreadable::Header { name: name.to_owned(), expected, found: found.into() }
}

/// The type of a value, for a person; scalars with the value itself.
fn shown(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Void => "null".to_owned(),
        AMQPValue::LongString(text) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            let start: String = text.chars().take(80).collect();
            format!("text {start:?}")
        }
        AMQPValue::FieldArray(items) => format!("a list of {}", items.as_slice().len()),
        AMQPValue::FieldTable(table) => format!("a table of {}", table.inner().len()),
        AMQPValue::ByteArray(bytes) => format!("{} bytes", bytes.len()),
        AMQPValue::Boolean(truth) => format!("truth value {truth}"),
        AMQPValue::Timestamp(seconds) => format!("timestamp {seconds}"),
        other => match number(other) {
            Some(number) => format!("number {number}"),
            None => format!("a value of AMQP type {}", other.get_type()),
        },
    }
}

fn text(name: &'static str, value: &AMQPValue) -> Result<Option<String>, Unreadable> {
    match value {
        AMQPValue::Void => Ok(None),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(wrong(name, TEXT, format!("{} bytes that are not UTF-8", text.len()))),
        },
        other => Err(wrong(name, TEXT, shown(other))),
    }
}

/// A text that is only shown: of any other type it is as if it were not there.
fn display_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Text, or an AMQP timestamp, which Celery takes as well.
fn time(name: &'static str, value: &AMQPValue) -> Result<Option<SystemTime>, Unreadable> {
    let time = match value {
        AMQPValue::Void => return Ok(None),
        AMQPValue::Timestamp(seconds) => {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*seconds))
        }
        AMQPValue::LongString(text) => {
            std::str::from_utf8(text.as_bytes()).ok().and_then(parse_iso)
        }
        _ => None,
    };
    time.map(Some).ok_or_else(|| wrong(name, TIME, shown(value)))
}

fn whole(value: &AMQPValue) -> Option<i64> {
    Some(match *value {
        AMQPValue::ShortShortInt(number) => number.into(),
        AMQPValue::ShortShortUInt(number) => number.into(),
        AMQPValue::ShortInt(number) => number.into(),
        AMQPValue::ShortUInt(number) => number.into(),
        AMQPValue::LongInt(number) => number.into(),
        AMQPValue::LongUInt(number) => number.into(),
        AMQPValue::LongLongInt(number) => number,
        _ => return None,
    })
}

fn number(value: &AMQPValue) -> Option<f64> {
    match value {
        AMQPValue::Float(number) => Some((*number).into()),
        AMQPValue::Double(number) => Some(*number),
        AMQPValue::DecimalValue(decimal) => {
            Some(f64::from(decimal.value) / 10f64.powi(decimal.scale.into()))
        }
        other => whole(other).map(|number| number as f64),
    }
}

fn integer(name: &'static str, value: &AMQPValue) -> Result<Option<i64>, Unreadable> {
    match (value, whole(value)) {
        (AMQPValue::Void, _) => Ok(None),
        (_, Some(number)) => Ok(Some(number)),
        (other, None) => Err(wrong(name, "a whole number", shown(other))),
    }
}

fn count(name: &'static str, value: &AMQPValue) -> Result<u32, Unreadable> {
    let number = match value {
        AMQPValue::Void => Some(0),
        other => whole(other).and_then(|number| u32::try_from(number).ok()),
    };
    number.ok_or_else(|| wrong(name, COUNT, shown(value)))
}

fn truth(name: &'static str, value: &AMQPValue) -> Result<Option<bool>, Unreadable> {
    match (value, whole(value)) {
        (AMQPValue::Void, _) => Ok(None),
        (AMQPValue::Boolean(truth), _) => Ok(Some(*truth)),
        (_, Some(number)) => Ok(Some(number != 0)),
        (other, None) => Err(wrong(name, "a truth value", shown(other))),
    }
}

fn time_limits(value: &AMQPValue) -> Result<TimeLimits, Unreadable> {
    let seconds = |limit: &AMQPValue| match (limit, number(limit)) {
        (AMQPValue::Void, _) => Ok(None),
        (_, Some(seconds)) => Ok(Some(seconds)),
        (other, None) => Err(wrong("timelimit", LIMITS, format!("a list with {}", shown(other)))),
    };
    match value {
        AMQPValue::Void => Ok(TimeLimits::default()),
        AMQPValue::FieldArray(pair) => match pair.as_slice() {
            [hard, soft] => {
                let (hard, soft) = (seconds(hard)?, seconds(soft)?);
                TimeLimits::checked(hard, soft).ok_or_else(|| {
                    let found = format!("{hard:?} and {soft:?}");
                    wrong("timelimit", "seconds that are finite and not negative", found)
                })
            }
            items => Err(wrong("timelimit", LIMITS, format!("a list of {}", items.len()))),
        },
        other => Err(wrong("timelimit", LIMITS, shown(other))),
    }
}

fn texts(name: &'static str, value: &AMQPValue) -> Result<Vec<String>, Unreadable> {
    match value {
        AMQPValue::Void => Ok(Vec::new()),
        AMQPValue::FieldArray(items) => items
            .as_slice()
            .iter()
            .map(|item| {
                text(name, item)?.ok_or_else(|| wrong(name, "a list of texts", "null in it"))
            })
            .collect(),
        other => Err(wrong(name, "a list of texts", shown(other))),
    }
}

fn stamps(value: &AMQPValue) -> Result<BTreeMap<String, HeaderValue>, Unreadable> {
    match any("stamps", value)? {
        HeaderValue::Null => Ok(BTreeMap::new()),
        HeaderValue::Table(stamps) => Ok(stamps),
        _ => Err(wrong("stamps", "a table", shown(value))),
    }
}

/// A value of any type.
fn any(name: &str, value: &AMQPValue) -> Result<HeaderValue, Unreadable> {
    if fields::is_readable(value) {
        Ok(fields::value(value))
    } else {
        Err(wrong(name, "less nesting", "too many levels"))
    }
}
