//! The documented file: every key with its meaning and default.
//!
//! Made from the same types and doc comments as everything else. A key with a default stands there
//! with it; a key without one is commented out, with an example.

use super::explain::meaning;
use super::schema::{self, schema};
use super::tree::write_key;
use serde_json::Value;

const HEAD: &str = "\
# Celeriac: every setting, what it is for, and its default.
#
# Durations, sizes and rates carry their unit: \"30s\", \"1h30m\", \"16 MiB\", \"100/m\".
# A secret need not stand here: url_file = \"path\" reads it from a file, and
# url_credential = \"name\" from a systemd credential.
# Any key can come from the environment: CELERIAC__WORKER__CONCURRENCY=16.
#
# Check with: celeriac config check
# Explain with: celeriac config explain worker.prefetch
";

/// A file that says what the built-in defaults say, with an explanation of every key.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    table(&mut text, &[], schema());
    text
}

/// Writes the keys of a table, first those that are no tables themselves.
fn table(text: &mut String, path: &[String], schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let keys = properties.iter().filter(|(key, _)| !names_a_secret(key, schema));
    let (tables, values): (Vec<_>, Vec<_>) = keys.partition(|(_, inner)| is_table(inner));
    for (key, inner) in values {
        comment(text, &meaning(inner));
        match (inner.get("default"), example_of(inner)) {
            (Some(default), _) => setting(text, "", key, default),
            (None, Some(example)) => setting(text, "#", key, example),
            (None, None) => {}
        }
    }
    for (key, inner) in tables {
        let path: Vec<String> = path.iter().cloned().chain([key.clone()]).collect();
        comment(text, &meaning(inner));
        text.push_str(&format!("[{}]\n", path.join(".")));
        if let Some(Value::Object(entries)) = example_of(inner) {
            for (name, value) in entries {
                setting(text, "#", name, value);
            }
        }
        table(text, &path, inner);
    }
}

/// A table that is always there; one that may be absent is written as an example.
fn is_table(schema: &Value) -> bool {
    let open = schema::takes_names(schema) || schema["properties"].is_object();
    open && schema.get("default").is_some()
}

fn names_a_secret(key: &str, schema: &Value) -> bool {
    let base = key.strip_suffix("_file").or_else(|| key.strip_suffix("_credential"));
    base.is_some_and(|base| schema["properties"].get(base).is_some_and(schema::holds_secret))
}

fn example_of(schema: &Value) -> Option<&Value> {
    schema["examples"].as_array()?.first()
}

/// Writes an explanation after an empty line.
fn comment(text: &mut String, meaning: &str) {
    text.push('\n');
    for line in wrap(meaning, 96) {
        text.push_str(&format!("# {line}\n"));
    }
}

/// `text` in lines of at most `width` characters, unless a word is longer.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn setting(text: &mut String, prefix: &str, key: &str, value: &Value) {
    let value = toml::Value::try_from(value).expect("examples and defaults are TOML");
    text.push_str(&format!("{prefix}{} = {value}\n", write_key(key)));
}

#[cfg(test)]
mod tests {
    use super::super::{Config, read};
    use super::*;

    fn parse(text: &str) -> Config {
        let (config, complaints) = read::read(toml::from_str(text).unwrap());
        assert!(complaints.is_empty(), "{complaints:?}");
        config
    }

    #[test]
    fn the_documented_file_says_what_the_defaults_say() {
        assert_eq!(parse(&document()), Config::default());
    }

    #[test]
    fn every_example_in_the_documented_file_may_be_written() {
        let commented = |line: &str| line.starts_with('#') && !line.starts_with("# ");
        let uncomment =
            |line: &str| if commented(line) { line[1..].to_owned() } else { line.to_owned() };
        let text: Vec<String> = document().lines().map(uncomment).collect();
        assert_ne!(parse(&text.join("\n")), Config::default());
    }

    #[test]
    fn the_file_in_the_repository_is_the_documented_file() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/celeriac.toml");
        let written = std::fs::read_to_string(file).unwrap();
        assert!(written == document(), "run: cargo run -- init --preset full --force {file}");
    }
}
