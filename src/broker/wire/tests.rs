//! The captured messages, read and written again; and headers that Celery never sends.

use super::read::read;
use super::write::write;
use crate::clock::{parse_iso, to_iso};
use crate::protocol::captures::Capture;
use crate::protocol::{Bytes, Envelope, HeaderValue, Headers, Limits, Properties, Unreadable};
use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame};
use lapin::BasicProperties;
use lapin::protocol::basic::parse_properties;
use lapin::types::{AMQPValue, DecimalValue, FieldTable};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[test]
fn every_captured_task_is_read_and_written_again_with_the_same_meaning() {
    for capture in Capture::tasks() {
        let properties = capture_properties(&capture);
        let envelope = read(&properties, capture.body(), &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
        let written = write(&envelope).unwrap();

        let headers = written.headers().as_ref().map(table_json).unwrap();
        assert_eq!(headers, sparse(&capture.headers), "headers of {}", capture.name);
        assert_eq!(properties_json(&written), capture.properties, "{}", capture.name);
        assert_eq!(envelope.body, capture.body(), "{}", capture.name);
        assert_eq!(over_the_wire(&envelope), envelope, "{}", capture.name);
    }
}

#[test]
fn the_recorded_bytes_say_the_same_as_the_decoded_headers() {
    let mut compared = 0;
    for capture in Capture::tasks() {
        let Some(raw) = capture.raw_properties() else { continue };
        let (_, from_bytes) = parse_properties(raw.as_slice()).unwrap();
        let limits = Limits::default();
        let from_bytes = read(&from_bytes, capture.body(), &limits).unwrap();
        let from_json = read(&json_properties(&capture), capture.body(), &limits).unwrap();
        assert_eq!(from_bytes, from_json, "{}", capture.name);
        compared += 1;
    }
    assert!(compared >= 25);
}

#[test]
fn a_task_that_says_nothing_costs_two_headers() {
    let envelope = envelope(Headers::new("mail.send", "id-1".into()));
    let written = write(&envelope).unwrap();
    let headers = table_json(written.headers().as_ref().unwrap());
    assert_eq!(Value::Object(headers), json!({ "task": "mail.send", "id": "id-1" }));
}

#[test]
fn the_headers_of_the_broker_are_never_written() {
    let mut headers = Headers::new("t", "i".into());
    for name in
        ["x-death", "x-first-death-queue", "x-last-death-reason", "x-delivery-count", "mine"]
    {
        headers.extra.insert(name.to_owned(), HeaderValue::Int(1));
    }
    let written = write(&envelope(headers)).unwrap();
    let headers = table_json(written.headers().as_ref().unwrap());
    assert_eq!(Value::Object(headers), json!({ "task": "t", "id": "i", "mine": 1 }));
}

#[test]
fn what_is_too_long_for_amqp_is_refused_before_it_is_sent() {
    let mut message = envelope(Headers::new("t", "i".into()));
    message.properties.reply_to = Some("q".repeat(256));
    let error = write(&message).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot be written as AMQP: reply_to is 256 bytes long, at most 255 are possible"
    );
    let mut headers = Headers::new("t", "i".into());
    headers.extra.insert("n".repeat(300), HeaderValue::Null);
    assert!(write(&envelope(headers)).is_err());
}

#[test]
fn a_header_of_the_wrong_type_is_named_with_what_was_found() {
    let list = |items: Vec<AMQPValue>| AMQPValue::FieldArray(items.into());
    let whole = || AMQPValue::LongInt(-1);
    let cases = [
        ("task", whole(), "text", "number -1"),
        ("id", AMQPValue::Boolean(true), "text", "truth value true"),
        ("eta", long("tomorrow"), "an ISO 8601 time", "text \"tomorrow\""),
        ("expires", AMQPValue::Double(1.5), "an ISO 8601 time", "number 1.5"),
        ("group", list(vec![]), "text", "a list of 0"),
        ("group_index", long("1"), "a whole number", "text \"1\""),
        ("retries", whole(), "a whole number from 0 to 4294967295", "number -1"),
        ("root_id", AMQPValue::FieldTable(FieldTable::default()), "text", "a table of 0"),
        ("parent_id", AMQPValue::Timestamp(5), "text", "timestamp 5"),
        ("ignore_result", long("yes"), "a truth value", "text \"yes\""),
        (
            "replaced_task_nesting",
            list(vec![]),
            "a whole number from 0 to 4294967295",
            "a list of 0",
        ),
        ("stamped_headers", long("a"), "a list of texts", "text \"a\""),
        ("stamped_headers", list(vec![AMQPValue::Void]), "a list of texts", "null in it"),
        ("stamps", list(vec![]), "a table", "a list of 0"),
        ("compression", whole(), "text", "number -1"),
        ("timelimit", long("5"), LIMITS, "text \"5\""),
        ("timelimit", list(vec![AMQPValue::LongInt(5)]), LIMITS, "a list of 1"),
        ("timelimit", list(vec![long("5"), AMQPValue::Void]), LIMITS, "a list with text \"5\""),
        (
            "timelimit",
            list(vec![whole(), AMQPValue::Void]),
            "seconds that are finite and not negative",
            "Some(-1.0) and None",
        ),
        (
            "timelimit",
            list(vec![AMQPValue::Void, AMQPValue::Double(f64::NAN)]),
            "seconds that are finite and not negative",
            "None and Some(NaN)",
        ),
    ];
    for (name, value, expected, found) in cases {
        let error = read_with(name, value).unwrap_err();
        let wanted =
            Unreadable::Header { name: name.to_owned(), expected, found: found.to_owned() };
        assert_eq!(error, wanted);
        assert_eq!(error.reason(), "unreadable");
    }
}

const LIMITS: &str = "null or a list of exactly two numbers of seconds, or nulls";

#[test]
fn what_celery_tolerates_is_tolerated() {
    let table = || AMQPValue::FieldTable(FieldTable::default());
    let read = |name: &str, value| read_with(name, value).unwrap().headers;
    assert_eq!(read("lang", table()).lang, None);
    assert_eq!(read("argsrepr", AMQPValue::LongInt(1)).argsrepr, None);
    assert_eq!(read("ignore_result", AMQPValue::LongInt(1)).ignore_result, Some(true));
    assert_eq!(read("retries", AMQPValue::Void).retries, 0);
    assert_eq!(read("retries", AMQPValue::LongLongInt(3)).retries, 3);
    let five_seconds = AMQPValue::Timestamp(5);
    assert_eq!(
        read("eta", five_seconds).eta.map(to_iso).unwrap(),
        "1970-01-01T00:00:05.000000+00:00"
    );
    let none = vec![AMQPValue::LongInt(0), AMQPValue::Double(2.5)];
    let limits = read("timelimit", AMQPValue::FieldArray(none.into())).time_limits;
    assert_eq!((limits.hard, limits.soft), (None, Some(2.5)));
}

#[test]
fn a_task_needs_an_id() {
    let mut table = FieldTable::default();
    table.insert("task".into(), long("t"));
    let properties = BasicProperties::default().with_headers(table);
    let error = read(&properties, Bytes::new(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "header `id`: expected text, found nothing");
}

#[test]
fn nested_headers_end_at_the_limit() {
    let mut value = AMQPValue::Void;
    for _ in 0..200 {
        value = AMQPValue::FieldArray(vec![value].into());
    }
    let error = read_with("deep", value.clone()).unwrap_err();
    assert_eq!(error.to_string(), "header `deep`: expected less nesting, found too many levels");
    assert!(read_with("stamps", value).is_err());
}

#[test]
fn a_message_without_headers_is_protocol_1_or_nothing() {
    let json = BasicProperties::default().with_content_type("application/json".into());
    let limits = Limits::default();
    let read = |body: &'static str| read(&json, Bytes::from_static(body.as_bytes()), &limits);
    let envelope = read(r#"{"task": "t", "id": "i", "args": [1], "kwargs": {}}"#).unwrap();
    assert_eq!((envelope.headers.task.as_str(), envelope.headers.id.as_str()), ("t", "i"));
    assert_eq!(envelope.body, r#"[[1],{},{}]"#);
    assert_eq!(read("[[], {}, null]").unwrap_err().reason(), "protocol");
    assert_eq!(read(r#"{"task": "t"}"#).unwrap_err().reason(), "protocol");
}

proptest! {
    #[test]
    fn an_envelope_arrives_as_it_was_sent(envelope in any_envelope()) {
        prop_assert_eq!(over_the_wire(&envelope), envelope);
    }

    #[test]
    fn any_value_under_any_name_is_read_or_refused(
        name in prop_oneof![
            proptest::sample::select(NAMES).prop_map(str::to_owned),
            "[a-z-]{1,12}",
        ],
        value in any_amqp_value(),
    ) {
        if let Err(error) = read_with(&name, value) {
            prop_assert!(error.to_string().contains(&name));
        }
    }
}

const NAMES: &[&str] = &[
    "task",
    "id",
    "lang",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
];

fn envelope(headers: Headers) -> Envelope {
    Envelope { properties: Properties::default(), headers, body: Bytes::new() }
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Reads a task that has one more header, or another one.
fn read_with(name: &str, value: AMQPValue) -> Result<Envelope, Unreadable> {
    let mut table = FieldTable::default();
    table.insert("task".into(), long("t"));
    table.insert("id".into(), long("i"));
    table.insert(name.into(), value);
    let properties =
        BasicProperties::default().with_headers(table).with_content_type("application/json".into());
    read(&properties, Bytes::from_static(b"[[],{},null]"), &Limits::default())
}

/// Encodes into an AMQP frame and back.
fn over_the_wire(envelope: &Envelope) -> Envelope {
    let properties = write(envelope).unwrap();
    let header = AMQPContentHeader { class_id: 60, body_size: 0, properties };
    let frame = AMQPFrame::Header(1, header);
    let context = WriteContext { write: Vec::new(), position: 0 };
    let bytes = gen_frame(&frame)(context).unwrap().write;
    let (_, parsed) = parse_frame(bytes.as_slice()).unwrap();
    let AMQPFrame::Header(_, header) = parsed else { panic!("not a header") };
    read(&header.properties, envelope.body.clone(), &Limits::default()).unwrap()
}

fn capture_properties(capture: &Capture) -> BasicProperties {
    match capture.raw_properties() {
        Some(raw) => parse_properties(raw.as_slice()).unwrap().1,
        None => json_properties(capture),
    }
}

fn json_properties(capture: &Capture) -> BasicProperties {
    let short = |name: &str| capture.property(name).map(Into::into);
    let octet =
        |name: &str| capture.properties.get(name).and_then(Value::as_u64).map(|octet| octet as u8);
    let mut table = FieldTable::default();
    for (name, value) in &capture.headers {
        table.insert(name.as_str().into(), amqp_value(value));
    }
    let mut properties = BasicProperties::default().with_headers(table);
    for (name, with) in [
        ("content_type", BasicProperties::with_content_type as fn(_, _) -> _),
        ("content_encoding", BasicProperties::with_content_encoding),
        ("correlation_id", BasicProperties::with_correlation_id),
        ("reply_to", BasicProperties::with_reply_to),
        ("expiration", BasicProperties::with_expiration),
        ("app_id", BasicProperties::with_app_id),
    ] {
        if let Some(value) = short(name) {
            properties = with(properties, value);
        }
    }
    if let Some(mode) = octet("delivery_mode") {
        properties = properties.with_delivery_mode(mode);
    }
    if let Some(priority) = octet("priority") {
        properties = properties.with_priority(priority);
    }
    properties
}

/// A value as py-amqp writes it.
fn amqp_value(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(truth) => AMQPValue::Boolean(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => match i32::try_from(number) {
                Ok(number) => AMQPValue::LongInt(number),
                Err(_) => AMQPValue::LongLongInt(number),
            },
            (None, number) => AMQPValue::Double(number.unwrap()),
        },
        Value::String(text) => long(text),
        Value::Array(items) => {
            AMQPValue::FieldArray(items.iter().map(amqp_value).collect::<Vec<_>>().into())
        }
        Value::Object(map) => {
            if let Some(seconds) = map.get("__amqp_timestamp__") {
                return AMQPValue::Timestamp(seconds.as_u64().unwrap());
            }
            if let Some(decimal) = map.get("__amqp_decimal__") {
                let (scale, value) = (decimal[0].as_u64().unwrap(), decimal[1].as_u64().unwrap());
                let decimal = DecimalValue { scale: scale as u8, value: value as u32 };
                return AMQPValue::DecimalValue(decimal);
            }
            let mut table = FieldTable::default();
            for (name, value) in map {
                table.insert(name.as_str().into(), amqp_value(value));
            }
            AMQPValue::FieldTable(table)
        }
    }
}

fn value_json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Void => Value::Null,
        AMQPValue::Boolean(truth) => json!(truth),
        AMQPValue::LongInt(number) => json!(number),
        AMQPValue::LongLongInt(number) => json!(number),
        AMQPValue::Double(number) => json!(number),
        AMQPValue::LongString(text) => json!(text.to_string()),
        AMQPValue::Timestamp(seconds) => json!({ "__amqp_timestamp__": seconds }),
        AMQPValue::FieldArray(items) => items.as_slice().iter().map(value_json).collect(),
        AMQPValue::FieldTable(table) => Value::Object(table_json(table)),
        other => panic!("we write no {:?}", other.get_type()),
    }
}

fn table_json(table: &FieldTable) -> Map<String, Value> {
    table.into_iter().map(|(name, value)| (name.to_string(), value_json(value))).collect()
}

/// Celery's headers without those that say nothing, and in the form that we write.
fn sparse(headers: &Map<String, Value>) -> Map<String, Value> {
    let says_nothing = |name: &str, value: &Value| match name {
        "retries" | "replaced_task_nesting" => *value == json!(0),
        "timelimit" => *value == json!([null, null]),
        "stamped_headers" => *value == json!([]),
        "stamps" => *value == json!({}),
        "root_id" => *value == headers["id"],
        _ => false,
    };
    let same_time = |value: &Value| json!(to_iso(parse_iso(value.as_str().unwrap()).unwrap()));
    headers
        .iter()
        .filter(|(name, value)| name.starts_with("x-") || !value.is_null())
        .filter(|(name, value)| !says_nothing(name, value))
        .map(|(name, value)| match name.as_str() {
            "eta" | "expires" => (name.clone(), same_time(value)),
            "x-dec" => (name.clone(), json!(1.25)),
            _ => (name.clone(), value.clone()),
        })
        .collect()
}

fn properties_json(properties: &BasicProperties) -> Map<String, Value> {
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("message_id", properties.message_id()),
        ("app_id", properties.app_id()),
    ];
    let octets =
        [("priority", properties.priority()), ("delivery_mode", properties.delivery_mode())];
    let texts = texts.into_iter().filter_map(|(name, text)| {
        text.as_ref().map(|text| (name.to_owned(), json!(text.as_str())))
    });
    let octets = octets
        .into_iter()
        .filter_map(|(name, octet)| octet.map(|octet| (name.to_owned(), json!(octet))));
    texts.chain(octets).collect()
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zé🐇]{0,9}")
}

fn any_header_value() -> impl Strategy<Value = HeaderValue> {
    let scalar = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        (-1e300..1e300).prop_map(HeaderValue::Float),
        ".{0,9}".prop_map(HeaderValue::Text),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(HeaderValue::Bytes),
        any::<u64>().prop_map(HeaderValue::Time),
    ];
    scalar.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
            proptest::collection::btree_map("[a-z]{1,8}", inner, 0..4).prop_map(HeaderValue::Table),
        ]
    })
}

prop_compose! {
    fn any_envelope()(
        (shadow, group, parent_id, root_id, reply_to) in
            (any_text(), any_text(), any_text(), any_text(), any_text()),
        (retries, group_index, priority, expiration) in
            (any::<u32>(), any::<Option<i64>>(), any::<Option<u8>>(), any::<Option<u64>>()),
        eta in proptest::option::of(0u64..200_000_000_000),
        (hard, soft) in (proptest::option::of(0.001..1e9), proptest::option::of(0.001..1e9)),
        ignore_result in any::<Option<bool>>(),
        stamps in proptest::collection::btree_map("[a-z]{1,8}", any_header_value(), 0..3),
        extra in proptest::collection::btree_map("x-mine-[a-z]{1,8}", any_header_value(), 0..4),
    ) -> Envelope {
        let instant = |decis| std::time::UNIX_EPOCH + std::time::Duration::from_micros(decis);
        let headers = Headers {
            shadow,
            group,
            group_index,
            parent_id: parent_id.map(Into::into),
            root_id: root_id.map(Into::into),
            retries,
            eta: eta.map(instant),
            time_limits: crate::protocol::TimeLimits { hard, soft },
            ignore_result,
            stamped_headers: stamps.keys().cloned().collect(),
            stamps,
            extra,
            ..Headers::new("some.task", "some-id".into())
        };
        let properties = Properties { priority, expiration, reply_to, ..Properties::default() };
        Envelope { properties, headers, body: Bytes::from_static(b"body") }
    }
}

fn any_amqp_value() -> impl Strategy<Value = AMQPValue> {
    let scalar = prop_oneof![
        Just(AMQPValue::Void),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f32>().prop_map(AMQPValue::Float),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        proptest::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| AMQPValue::FieldArray(items.into())),
            proptest::collection::vec(("[a-z]{1,5}", inner), 0..4).prop_map(|entries| {
                let mut table = FieldTable::default();
                for (name, value) in entries {
                    table.insert(name.into(), value);
                }
                AMQPValue::FieldTable(table)
            }),
        ]
    })
}
