//! Bodies: Celery's own, ours, broken and hostile ones.

use super::*;
use crate::protocol::captures::Capture;
use crate::protocol::{Compression, Headers, Properties, Signature, Steps};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn envelope(content_type: &str, body: impl Into<Bytes>) -> Envelope {
    let properties =
        Properties { content_type: Some(content_type.to_owned()), ..Properties::default() };
    Envelope { properties, headers: Headers::new("t", "i".into()), body: body.into() }
}

fn parse(format: Format, body: impl Into<Bytes>) -> Result<Body, Unreadable> {
    Body::parse(&envelope(format.content_type(), body), &Limits::default())
}

fn json_body(text: &'static str) -> Result<Body, Unreadable> {
    parse(Format::Json, text)
}

fn captured(capture: &Capture) -> Envelope {
    let mut envelope = envelope(capture.property("content_type").unwrap(), capture.body());
    let compression = capture.headers.get("compression").and_then(serde_json::Value::as_str);
    envelope.headers.compression = compression.map(str::to_owned);
    envelope
}

#[test]
fn every_captured_body_is_read_and_written_again_with_the_same_meaning() {
    let mut read = 0;
    for capture in Capture::tasks() {
        let envelope = captured(&capture);
        let Some(decoded) = capture.decoded() else { continue };
        let body = Body::parse(&envelope, &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
        assert_eq!(json!(body.args_json().unwrap()), decoded[0], "{}", capture.name);
        assert_eq!(json!(body.kwargs_json().unwrap()), decoded[1], "{}", capture.name);

        let embed = body.embed().unwrap();
        assert_eq!(embed.to_json(), without_nulls(&decoded[2]), "{}", capture.name);

        let args: Vec<Value> = body.args().unwrap();
        let kwargs: Value = body.kwargs().unwrap();
        let written = Body::encode(body.format(), &args, &kwargs, &embed).unwrap();
        let again = parse(body.format(), written).unwrap();
        assert_eq!(again.args::<Vec<Value>>().unwrap(), args, "{}", capture.name);
        assert_eq!(again.kwargs::<Value>().unwrap(), kwargs, "{}", capture.name);
        assert_eq!(again.embed().unwrap(), embed, "{}", capture.name);
        read += 1;
    }
    assert!(read >= 70, "only {read} bodies");
}

/// An embed as we write it: only what is there. Inside signatures nothing is left out.
fn without_nulls(embed: &serde_json::Value) -> serde_json::Value {
    let is_there = |value: &serde_json::Value| !value.is_null() && *value != json!([]);
    let entries = embed.as_object().unwrap().iter().filter(|(_, value)| is_there(value));
    entries.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn a_body_cut_short_anywhere_is_refused() {
    for capture in Capture::tasks() {
        let whole = captured(&capture);
        if Body::parse(&whole, &Limits::default()).is_err() {
            continue;
        }
        for end in 0..whole.body.len() {
            let cut = Envelope { body: whole.body.slice(..end), ..whole.clone() };
            // What ends a compressed body after its last block is not needed to read it.
            let is_trailer = cut.headers.compression.is_some() && end + 64 > whole.body.len();
            let outcome = Body::parse(&cut, &Limits::default());
            assert!(outcome.is_err() || is_trailer, "{} at {end}", capture.name);
        }
    }
}

#[test]
fn a_body_of_another_shape_is_refused_by_its_part() {
    let whole = "body: expected a list of args, kwargs, embed, found ";
    for (text, message) in [
        ("{}", "a map"),
        ("7", "a number"),
        ("[]", "an empty list"),
        ("[[]]", "a list of 1"),
        ("[[],{}]", "a list of 2"),
        ("[[],{},null,1]", "a longer list"),
    ] {
        assert_eq!(json_body(text).unwrap_err().to_string(), format!("{whole}{message}"));
    }
    for (text, message) in [
        ("[{},{},{}]", "args: expected a list, found a map"),
        ("[[],[],{}]", "kwargs: expected a map, found a list"),
        ("[[],{},1]", "embed: expected a map, found a number"),
        ("[[1,],{},1]", "args is not json: expected a value at byte 4"),
        ("[[],{},null] x", "body is not json: expected the end of the body at byte 13"),
        ("", "body is not json: expected a value at byte 0"),
    ] {
        assert_eq!(json_body(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_part_that_is_null_is_empty() {
    for body in
        [json_body("[null,null,null]"), parse(Format::MessagePack, &b"\x93\xc0\xc0\xc0"[..])]
    {
        let body = body.unwrap();
        assert!(body.args::<Vec<u8>>().unwrap().is_empty());
        assert_eq!(body.kwargs_json().unwrap(), serde_json::Map::new());
        assert_eq!(body.embed().unwrap(), Embed::default());
    }
}

#[test]
fn an_argument_of_the_wrong_type_is_named() {
    for format in [Format::Json, Format::MessagePack] {
        let kwargs = json!({ "size": { "width": "wide" } });
        let bytes = Body::encode(format, &(1, "two"), &kwargs, &Embed::default()).unwrap();
        let body = parse(format, bytes).unwrap();
        assert_eq!(body.args::<(i64, String)>().unwrap(), (1, "two".to_owned()));

        let error = body.args::<(i64, i64)>().unwrap_err();
        assert_eq!(error.place, "args[1]");
        let message = match format {
            Format::Json => "invalid type: string \"two\", expected i64 at line 1 column 8",
            Format::MessagePack => "text is not the type that is wanted here",
        };
        assert_eq!(error.message, message);

        #[derive(Debug, serde::Deserialize)]
        struct Size {
            #[serde(rename = "width")]
            _width: u32,
        }
        type Sizes = BTreeMap<String, Size>;
        assert_eq!(body.kwargs::<Sizes>().unwrap_err().place, "kwargs.size.width");
    }
}

#[test]
fn a_number_that_would_change_is_an_error_and_passes_on_unchanged() {
    let body = json_body(r#"[[1, "NaN", [NaN]], {"big": 36893488147419103232}, null]"#).unwrap();
    let error = body.args_json().unwrap_err();
    assert_eq!(error.to_string(), "args[2]: NaN is no JSON number: send null or text");
    let error = body.kwargs_json().unwrap_err();
    let message = "kwargs.big: integer 36893488147419103232 is beyond 64 bits: send it as text";
    assert_eq!(error.to_string(), message);
    assert_eq!(body.raw_args(), br#"[1, "NaN", [NaN]]"#);

    let body = json_body("[[18446744073709551615, -9223372036854775808], {}, null]").unwrap();
    assert_eq!(body.args::<(u64, i64)>().unwrap(), (u64::MAX, i64::MIN));
    for odd in ["18446744073709551616", "-9223372036854775809", "-Infinity", "Infinity"] {
        let text = format!("[[{odd}],{{}},null]");
        let body = parse(Format::Json, text).unwrap();
        assert_eq!(body.args_json().unwrap_err().place, "args[0]", "{odd}");
    }
}

#[test]
fn a_float_is_read_to_its_last_digit() {
    let body = json_body("[[-911760313.94834, 5e-324, 1e+308], {}, null]").unwrap();
    let exact = (-911760313.94834, 5e-324, 1e308);
    assert_eq!(body.args::<(f64, f64, f64)>().unwrap(), exact);
    assert_eq!(body.args::<Vec<Value>>().unwrap()[0], Value::from(exact.0));
}

#[test]
fn binary_in_messagepack_is_celerys_map_in_json() {
    let args = vec![Value::Binary(b"text".to_vec()), Value::Binary(vec![255, 0])];
    let bytes = Body::encode(Format::MessagePack, &args, &(), &Embed::default()).unwrap();
    let body = parse(Format::MessagePack, bytes).unwrap();
    assert_eq!(body.args::<Vec<Value>>().unwrap(), args);
    let celery = json!([
        { "__type__": "bytes", "__value__": "text" },
        { "__type__": "base64", "__value__": "/wA=" },
    ]);
    assert_eq!(json!(body.args_json().unwrap()), celery);

    let written = Body::encode(Format::Json, &args, &(), &Embed::default()).unwrap();
    assert_eq!(json!(parse(Format::Json, written).unwrap().args_json().unwrap()), celery);
}

#[test]
fn what_is_sent_is_short_and_has_three_parts() {
    let encode =
        |format, args: &dyn erased_serde::Serialize, kwargs: &dyn erased_serde::Serialize| {
            Body::encode(format, args, kwargs, &Embed::default())
        };
    assert_eq!(encode(Format::Json, &(1, "é"), &()).unwrap(), "[[1,\"é\"],{},{}]".as_bytes());
    assert_eq!(encode(Format::MessagePack, &(1,), &()).unwrap(), b"\x93\x91\x01\x80\x80");
    let error = encode(Format::Json, &"text", &()).unwrap_err();
    assert_eq!(error.to_string(), "cannot be written as args: expected a list, got text");
    let error = encode(Format::MessagePack, &(1,), &[1]).unwrap_err();
    assert_eq!(error.to_string(), "cannot be written as kwargs: expected a map, got a list");

    let embed = Embed { chain: Steps::from_iter([Signature::new("next")]), ..Embed::default() };
    let bytes = Body::encode(Format::Json, &(), &(), &embed).unwrap();
    let signature = r#"{"task":"next","args":[],"kwargs":{},"options":{},"subtask_type":null,"immutable":false}"#;
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        format!(r#"[[],{{}},{{"chain":[{signature}]}}]"#)
    );
}

#[test]
fn a_signature_needs_only_its_task() {
    let body = json_body(r#"[[],{},{"callbacks":[{"task":"t","args":null,"unknown":3}]}]"#);
    let embed = body.unwrap().embed().unwrap();
    assert_eq!(embed.callbacks, [Signature::new("t")]);
    let body = json_body(r#"[[],{},{"errbacks":[{"args":[]}]}]"#).unwrap();
    assert_eq!(body.embed().unwrap_err().place, "embed.errbacks[0]");
}

#[test]
fn other_content_types_are_refused_with_their_reason() {
    let refused = |content_type| {
        let error = Body::parse(&envelope(content_type, ""), &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "content_type");
        error.to_string()
    };
    let instead = ": send application/json or application/x-msgpack instead";
    assert_eq!(
        refused("application/x-python-serialize"),
        format!(
            "content type `application/x-python-serialize` (pickle) can run code and is never read{instead}"
        )
    );
    assert!(refused("application/x-yaml").contains("(yaml) is not read"));
    assert!(
        refused("application/data")
            .contains("(signed by Celery's `auth` serializer, or raw data) is not read")
    );
    assert!(refused("text/plain").contains("(raw text) is not a task"));
    assert!(refused("image/png").contains("`image/png` is not read"));

    let mut nameless = envelope("", "[[],{},null]");
    nameless.properties.content_type = None;
    let error = Body::parse(&nameless, &Limits::default()).unwrap_err();
    assert_eq!(error, Unreadable::NoContentType);
    nameless.properties.content_type = Some("application/json; charset=utf-8".to_owned());
    assert!(Body::parse(&nameless, &Limits::default()).is_ok());
}

#[test]
fn nesting_ends_at_the_limit_in_every_part() {
    let deep = 100_000;
    let json = format!("[{}{},{{}},null]", "[".repeat(deep), "]".repeat(deep));
    let msgpack = [&b"\x93"[..], &vec![0x91; deep], b"\xc0\x80\xc0"].concat();
    for (format, body) in [(Format::Json, json.into_bytes()), (Format::MessagePack, msgpack)] {
        let error = parse(format, body).unwrap_err();
        assert_eq!(error.to_string(), "args is nested deeper than 100 levels");
        assert_eq!(error.reason(), "too_deep");
    }
    // The body is the first level, so 99 more fit, and 100 do not.
    for (levels, fits) in [(99, true), (100, false)] {
        let json = format!("[{}1{},{{}},null]", "[".repeat(levels), "]".repeat(levels));
        let msgpack = [&b"\x93"[..], &vec![0x91; levels], b"\x01\x80\xc0"].concat();
        for (format, body) in [(Format::Json, json.into_bytes()), (Format::MessagePack, msgpack)] {
            let outcome = parse(format, body);
            assert_eq!(outcome.is_ok(), fits, "{levels} levels of {}", format.name());
            if let Ok(body) = outcome {
                body.args_json().unwrap();
            }
        }
    }
}

#[test]
fn lengths_beyond_the_end_are_refused() {
    for hostile in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\x93\xdd\xff\xff\xff\xff\x80\xc0",
        b"\x93\xdf\xff\xff\xff\xff\x80\xc0",
        b"\x93\x91\xdb\xff\xff\xff\xff\x80\xc0",
        b"\x93\x91\xc6\xff\xff\xff\xff\x80\xc0",
        b"\x93\x91\xc9\xff\xff\xff\xff\x01\x80\xc0",
        b"\x93\x91\xdc\xff\xff\x80\xc0",
    ] {
        let error = parse(Format::MessagePack, hostile).unwrap_err();
        assert_eq!(error.reason(), "unreadable");
        assert!(error.to_string().contains("ends within the body"), "{error}");
    }
}

#[test]
fn compressed_bodies_are_read_up_to_the_limit() {
    let plain =
        Body::encode(Format::Json, &("x".repeat(100_000),), &(), &Embed::default()).unwrap();
    let bzip2 = {
        let mut bytes = Vec::new();
        let level = bzip2::Compression::best();
        std::io::Read::read_to_end(&mut bzip2::read::BzEncoder::new(&*plain, level), &mut bytes)
            .unwrap();
        bytes
    };
    let gzip = {
        let mut bytes = Vec::new();
        let level = flate2::Compression::best();
        std::io::Read::read_to_end(&mut flate2::read::GzEncoder::new(&*plain, level), &mut bytes)
            .unwrap();
        bytes
    };
    let xz =
        Capture::load(&["task_"]).into_iter().find(|capture| capture.name == "task_xz").unwrap();
    for (name, compressed) in [
        (Compression::Gzip.header(), Compression::Gzip.compress(&plain)),
        (Compression::Zstd.header(), Compression::Zstd.compress(&plain)),
        ("gzip", gzip),
        ("bzip2", bzip2),
        ("xz", xz.body().to_vec()),
    ] {
        let mut message = envelope("application/json", compressed);
        message.headers.compression = Some(name.to_owned());
        Body::parse(&message, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));

        let tight = Limits { max_decompressed: 80, ..Limits::default() };
        assert_eq!(Body::parse(&message, &tight).unwrap_err().reason(), "too_large", "{name}");

        message.body = Bytes::from_static(b"this is not compressed at all");
        assert_eq!(Body::parse(&message, &tight).unwrap_err().reason(), "compression", "{name}");
    }
}

#[test]
fn a_long_body_is_refused_before_anything_is_done_with_it() {
    let limits = Limits { max_body: 5, ..Limits::default() };
    let error = Body::parse(&envelope("application/json", "[[],{},null]"), &limits).unwrap_err();
    assert_eq!(error.to_string(), "body of 12 bytes, at most 5 are read");
}

#[test]
fn an_unknown_compression_is_named() {
    let mut message = envelope("application/json", "[[],{},null]");
    message.headers.compression = Some("application/x-brotli".to_owned());
    let error = Body::parse(&message, &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compression `application/x-brotli` is not read: use gzip, zstd, bzip2, xz or none"
    );
}

proptest! {
    #[test]
    fn a_body_is_read_as_it_was_written(
        args in proptest::collection::vec(any_value(), 0..4),
        kwargs in any_map(),
        chain in proptest::collection::vec(any_signature(), 0..3),
        chord in proptest::option::of(any_signature()),
    ) {
        let embed = Embed { chain: chain.into_iter().collect(), chord: chord.map(Box::new), ..Embed::default() };
        for format in [Format::Json, Format::MessagePack] {
            let bytes = Body::encode(format, &args, &kwargs, &embed).unwrap();
            let body = parse(format, bytes).unwrap();
            prop_assert_eq!(&body.args::<Vec<Value>>().unwrap(), &args);
            prop_assert_eq!(&body.kwargs::<BTreeMap<String, Value>>().unwrap(), &kwargs);
            prop_assert_eq!(&body.embed().unwrap(), &embed);
        }
    }

    #[test]
    fn any_bytes_are_a_body_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        (magic, compression) in proptest::sample::select(vec![
            (&b""[..], None),
            (b"\x93\x90\x80", None),
            (b"\x78\x9c", Some("zlib")),
            (b"\x1f\x8b\x08\x00", Some("gzip")),
            (b"BZh91AY&SY", Some("bzip2")),
            (b"\xfd7zXZ\x00", Some("xz")),
            (b"\x28\xb5\x2f\xfd", Some("zstd")),
        ]),
    ) {
        let limits = Limits { max_decompressed: 1 << 20, ..Limits::default() };
        for format in [Format::Json, Format::MessagePack] {
            let mut message = envelope(format.content_type(), [magic, &bytes].concat());
            message.headers.compression = compression.map(str::to_owned);
            if let Ok(body) = Body::parse(&message, &limits) {
                let _ = (body.args_json(), body.kwargs_json(), body.embed());
            }
        }
    }
}

fn any_map() -> impl Strategy<Value = BTreeMap<String, Value>> {
    proptest::collection::btree_map("[a-z]{0,5}", any_value(), 0..4)
}

/// Whatever comes back from JSON as it was.
fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let entries = proptest::collection::btree_map("[a-z]{0,5}", inner.clone(), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
            entries.prop_map(|map| Value::Map(
                map.into_iter().map(|(key, value)| (key.into(), value)).collect()
            )),
        ]
    })
}

fn any_signature() -> impl Strategy<Value = Signature> {
    let parts = (
        "[a-z.]{1,9}",
        proptest::collection::vec(any_value(), 0..3),
        any_map(),
        any_map(),
        proptest::option::of("[a-z]{1,5}"),
        any::<bool>(),
    );
    parts.prop_map(|(task, args, kwargs, options, subtask_type, immutable)| Signature {
        task,
        args,
        kwargs,
        options,
        subtask_type,
        immutable,
        chord_size: None,
    })
}
