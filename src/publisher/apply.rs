//! What a signature says about how it is sent: the options of Celery's `apply_async`.

use super::SendOptions;
use super::options::{Declared, Expiry, Start};
use crate::clock::{parse_iso, to_iso};
use crate::protocol::{Format, HeaderValue, Headers, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Options of `apply_async` by name.
type Named = BTreeMap<String, Value>;

/// The declaration of a task that only its sender knows: a table of what it says.
const DECLARED: &str = "celeriac_declared";

const STAMPED: &str = "stamped_headers";

impl SendOptions {
    /// The options as a signature inside a message holds them.
    #[must_use]
    pub fn to_named(&self) -> Named {
        let mut named = Named::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                named.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let seconds = |wait: Duration| Value::from(wait.as_secs_f64());
        set("task_id", self.id.as_ref().map(|id| id.as_str().into()));
        set("queue", text(&self.target.queue));
        set("exchange", text(&self.target.exchange));
        set("routing_key", text(&self.target.routing_key));
        set("priority", self.target.priority.map(Value::from));
        match self.start {
            Start::Now => {}
            Start::In(wait) => set("countdown", Some(seconds(wait))),
            Start::At(time) => set("eta", Some(to_iso(time).into())),
        }
        match self.expires {
            None => {}
            Some(Expiry::In(wait)) => set("expires", Some(seconds(wait))),
            Some(Expiry::At(time)) => set("expires", Some(to_iso(time).into())),
        }
        set("soft_time_limit", self.soft_limit.map(seconds));
        set("time_limit", self.time_limit.map(seconds));
        set("reply_to", text(&self.reply_to));
        set("ignore_result", self.ignore_result.map(Value::from));
        set("serializer", self.format.map(|format| format.name().into()));
        set(DECLARED, self.declared.to_named());
        let headers = self.extra_headers();
        if !headers.is_empty() {
            set("headers", Some(to_value(&HeaderValue::Table(headers))));
        }
        named
    }

    /// Reads what [`SendOptions::to_named`] or Celery has written. What means nothing here is left
    /// out.
    pub fn from_named(named: &Named) -> Self {
        let text = |name: &str| named.get(name).and_then(Value::as_str).map(str::to_owned);
        let wait = |name: &str| named.get(name).and_then(seconds);
        let time = |name: &str| named.get(name).and_then(Value::as_str).and_then(parse_iso);
        let mut options = Self {
            id: text("task_id").map(Into::into),
            expires: wait("expires").map(Expiry::In).or(time("expires").map(Expiry::At)),
            soft_limit: wait("soft_time_limit"),
            time_limit: wait("time_limit"),
            reply_to: text("reply_to"),
            ignore_result: named.get("ignore_result").and_then(Value::as_bool),
            format: text("serializer").as_deref().and_then(format),
            declared: named.get(DECLARED).map(Declared::from_named).unwrap_or_default(),
            ..Self::default()
        };
        options.target.queue = text("queue");
        options.target.exchange = text("exchange").filter(|exchange| !exchange.is_empty());
        options.target.routing_key = text("routing_key");
        options.target.priority = named.get("priority").and_then(priority);
        options.start = match (wait("countdown"), time("eta")) {
            (Some(wait), _) => Start::In(wait),
            (None, Some(time)) => Start::At(time),
            (None, None) => Start::Now,
        };
        if let Some(Value::Map(headers)) = named.get("headers") {
            options.headers.extend(table(headers));
        }
        options
    }
}

impl Declared {
    /// `None` when it says nothing.
    fn to_named(&self) -> Option<Value> {
        let Self { queue, priority, expires, ignore_result } = self;
        let said = [
            ("queue", queue.as_deref().map(Value::from)),
            ("priority", priority.map(Value::from)),
            ("expires", expires.map(|wait| wait.as_secs_f64().into())),
            ("ignore_result", ignore_result.then_some(true.into())),
        ];
        let said: Vec<_> =
            said.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
        (!said.is_empty()).then_some(Value::Map(said))
    }

    fn from_named(named: &Value) -> Self {
        let entries = named.as_map().map_or(&[][..], Vec::as_slice);
        let get = |name: &str| {
            entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
        };
        Self {
            queue: get("queue").and_then(Value::as_str).map(str::to_owned),
            priority: get("priority").and_then(priority),
            expires: get("expires").and_then(seconds),
            ignore_result: get("ignore_result").and_then(Value::as_bool).unwrap_or_default(),
        }
    }
}

/// Writes what a signature says of a message's headers beyond [`SendOptions`].
pub(super) fn mark(headers: &mut Headers, named: &Named) {
    headers.shadow = named.get("shadow").and_then(Value::as_str).map(str::to_owned);
    let names = named.get(STAMPED).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for name in names.iter().filter_map(Value::as_str) {
        headers.stamped_headers.push(name.to_owned());
        let stamp = named.get(name).map_or(HeaderValue::Null, header_value);
        headers.stamps.insert(name.to_owned(), stamp);
    }
}

fn format(name: &str) -> Option<Format> {
    [Format::Json, Format::MessagePack].into_iter().find(|format| format.name() == name)
}

fn priority(value: &Value) -> Option<u8> {
    value.as_u64().map(|priority| u8::try_from(priority).unwrap_or(u8::MAX))
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

fn table(entries: &[(Value, Value)]) -> BTreeMap<String, HeaderValue> {
    let entries = entries.iter();
    entries
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), header_value(value))))
        .collect()
}

fn header_value(value: &Value) -> HeaderValue {
    match value {
        Value::Nil => HeaderValue::Null,
        Value::Boolean(truth) => HeaderValue::Bool(*truth),
        Value::Integer(number) => match number.as_i64() {
            Some(number) => HeaderValue::Int(number),
            None => HeaderValue::Float(number.as_f64().unwrap_or(f64::MAX)),
        },
        Value::F32(number) => HeaderValue::Float(f64::from(*number)),
        Value::F64(number) => HeaderValue::Float(*number),
        Value::String(text) => match text.as_str() {
            Some(text) => HeaderValue::Text(text.to_owned()),
            None => HeaderValue::Bytes(text.as_bytes().to_vec()),
        },
        Value::Binary(bytes) | Value::Ext(_, bytes) => HeaderValue::Bytes(bytes.clone()),
        Value::Array(items) => HeaderValue::List(items.iter().map(header_value).collect()),
        Value::Map(entries) => HeaderValue::Table(table(entries)),
    }
}

fn to_value(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Nil,
        HeaderValue::Bool(truth) => (*truth).into(),
        HeaderValue::Int(number) => (*number).into(),
        HeaderValue::Float(number) => (*number).into(),
        HeaderValue::Text(text) => text.as_str().into(),
        HeaderValue::Bytes(bytes) => Value::Binary(bytes.clone()),
        HeaderValue::Time(seconds) => (*seconds).into(),
        HeaderValue::List(items) => Value::Array(items.iter().map(to_value).collect()),
        HeaderValue::Table(entries) => {
            let entries = entries.iter();
            Value::Map(
                entries.map(|(name, value)| (name.as_str().into(), to_value(value))).collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::header;
    use crate::task::RetryPolicy;
    use std::time::UNIX_EPOCH;

    #[test]
    fn what_a_call_says_survives_being_part_of_a_workflow() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let options = SendOptions::default()
            .id("i")
            .queue("q")
            .priority(7)
            .countdown(Duration::from_millis(1_500))
            .expires_at(time)
            .soft_limit(Duration::from_secs(3))
            .time_limit(Duration::from_secs(4))
            .header("tenant", "acme")
            .ignore_result()
            .format(Format::Json);
        assert_eq!(SendOptions::from_named(&options.to_named()), options);
        let routed = SendOptions::default().exchange("x").routing_key("k").eta(time);
        let mut routed = routed.expires_in(Duration::from_secs(9));
        routed.declared = Declared {
            queue: Some("own".to_owned()),
            priority: Some(3),
            expires: Some(Duration::from_secs(60)),
            ignore_result: true,
        };
        assert_eq!(SendOptions::from_named(&routed.to_named()), routed);
    }

    #[test]
    fn a_retry_policy_and_a_rate_key_travel_in_their_headers() {
        let policy = RetryPolicy { max_retries: Some(9), ..RetryPolicy::default() };
        let said = SendOptions::default().retry(policy.clone()).rate_key("acme");
        let read = SendOptions::from_named(&said.to_named());
        let expected = [(header::RATE_KEY, "acme".into()), (header::RETRY, policy.to_header())];
        assert!(
            read.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).eq(expected)
        );
    }

    #[test]
    fn stamps_stand_beside_the_other_options_and_nonsense_means_nothing() {
        let named = Named::from([
            (STAMPED.to_owned(), Value::Array(vec!["tenant".into()])),
            ("tenant".to_owned(), "acme".into()),
            ("countdown".to_owned(), (-3).into()),
            ("expires".to_owned(), "never".into()),
            ("priority".to_owned(), Value::Nil),
        ]);
        assert_eq!(SendOptions::from_named(&named), SendOptions::default());
        let mut headers = Headers::new("t", "i".into());
        mark(&mut headers, &named);
        assert_eq!(headers.stamps["tenant"], HeaderValue::Text("acme".to_owned()));
    }
}
