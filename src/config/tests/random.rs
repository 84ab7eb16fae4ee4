//! No text makes loading panic.

use super::*;
use proptest::prelude::*;

/// Text that is nearly a configuration.
fn nearly_toml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "worker",
        "queues",
        "tasks",
        "routes",
        "broker",
        "url",
        "http",
        "exec",
        "type",
        "rate",
        "default",
        "name",
        "backoff",
        "headers",
        "x",
        "\"a.b\"",
        "arguments",
        "url_file",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1e400",
        "nan",
        "\"10m\"",
        "\"\"",
        "\"amqp://u:p@h\"",
        "[]",
        "[1, \"a\"]",
        "{}",
        "{ first = 1 }",
        "{ url = 3 }",
        "true",
        "2024-01-01",
        "\"\u{e4}\u{1f600}\"",
        "0xffffffffffffffff",
    ]);
    let line = (prop::collection::vec(key.clone(), 1..4), value)
        .prop_map(|(keys, value)| format!("{} = {value}", keys.join(".")));
    let header = prop::collection::vec(key, 1..3).prop_map(|keys| format!("[{}]", keys.join(".")));
    prop::collection::vec(prop_oneof![line, header, "[ -~\u{e4}]{0,20}"], 0..8)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in nearly_toml(), value in ".{0,10}") {
        let variables = [("CELERIAC__QUEUES__X__RATE", value.as_str())];
        match load_with(&text, &variables) {
            Ok(loaded) => drop(loaded.settings()),
            Err(report) => prop_assert!(report.contains("error"), "{}", report),
        }
    }
}
