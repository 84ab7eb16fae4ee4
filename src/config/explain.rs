//! What a key means.

use super::Config;
use super::complaint::suggest;
use super::schema;
use super::tree::{Path, Step, path_of, write_path};
use serde::Serialize;
use serde_json::Value;

/// What a key means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The key, such as `worker.prefetch`.
    pub key: String,
    /// What may be written: `duration`, `"late" or "early"`, `table`.
    pub kind: String,
    /// The value if nobody says anything, as TOML; `None` for a table and an optional key.
    pub default: Option<String>,
    /// What it is for.
    pub meaning: String,
    /// The keys inside, if it is a table: each with the first sentence of its meaning.
    pub keys: Vec<(String, String)>,
}

/// What `key` means.
///
/// # Errors
/// If there is no such key: the nearest one, or the keys there are.
pub fn explain(key: &str) -> Result<Explanation, String> {
    let path = parse(key)?;
    let mut known = Path::new();
    for step in &path {
        known.push(step.clone());
        if schema::at(&known).is_none() {
            return Err(unknown(&known));
        }
    }
    let schema = schema::at(&path).unwrap_or(&Value::Null);
    Ok(Explanation {
        key: write_path(&path),
        kind: kind(schema),
        default: default(&path),
        meaning: meaning(schema),
        keys: inner_keys(schema),
    })
}

fn parse(key: &str) -> Result<Path, String> {
    if key.is_empty() {
        return Ok(Path::new());
    }
    let written = format!("{key} = 0");
    let table: toml::Table =
        toml::from_str(&written).map_err(|_| format!("`{key}` is not a key"))?;
    let mut keys = Vec::new();
    let mut table = &table;
    while let Some((key, value)) = table.iter().next() {
        keys.push(key.as_str());
        match value.as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    Ok(path_of(keys))
}

fn unknown(path: &Path) -> String {
    let written = write_path(path);
    let Some((Step::Key(last), table)) = path.split_last() else { return String::new() };
    let known = schema::at(table).map(schema::keys).unwrap_or_default();
    let hint = suggest(last, &known, '`');
    match hint.is_empty() {
        true => format!("there is no key `{written}`"),
        false => format!("there is no key `{written}`; {hint}"),
    }
}

fn default(path: &Path) -> Option<String> {
    let defaults = toml::Table::try_from(Config::default()).ok()?;
    let mut value = toml::Value::Table(defaults);
    for step in path {
        let Step::Key(key) = step else { return None };
        value = value.as_table()?.get(key)?.clone();
    }
    (!value.is_table()).then(|| value.to_string())
}

/// The description without its line breaks.
pub(super) fn meaning(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|part| part.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn inner_keys(schema: &Value) -> Vec<(String, String)> {
    let keys = schema::keys(schema).into_iter().filter_map(|key| {
        let inner = schema["properties"].get(key)?;
        Some((key.to_owned(), first_sentence(&meaning(inner))))
    });
    keys.collect()
}

fn first_sentence(text: &str) -> String {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.').to_owned()
}

/// What may be written, in a word or two.
pub(super) fn kind(schema: &Value) -> String {
    let choices: Vec<String> = ["anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
        .map(kind)
        .collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("\"{word}\"");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    match schema["type"].as_str() {
        Some("string") if schema["format"] == "uri" => "URL".to_owned(),
        Some("string") => "text".to_owned(),
        Some("integer") => number("whole number", schema),
        Some("number") => number("number", schema),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("object") => "table".to_owned(),
        _ => "any value".to_owned(),
    }
}

fn number(what: &str, schema: &Value) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(min), Some(max)) if max < 1e9 => format!("{what} from {min} to {max}"),
        (Some(min), _) => format!("{what} from {min}"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained_with_its_kind_and_default() {
        let prefetch = explain("worker.prefetch").unwrap();
        assert_eq!(prefetch.kind, "\"auto\" or whole number from 1");
        assert_eq!(prefetch.default.as_deref(), Some("\"auto\""));
        assert!(prefetch.meaning.starts_with("How many messages may be held"));
        let limit = explain("tasks.\"shop.mail\".time_limit").unwrap();
        assert_eq!((limit.kind.as_str(), limit.default), ("text", None));
    }

    #[test]
    fn a_section_lists_its_keys() {
        let worker = explain("worker").unwrap();
        assert_eq!(worker.kind, "table");
        assert!(worker.keys.iter().any(|(key, _)| key == "drain_timeout"));
    }

    #[test]
    fn an_unknown_key_is_told_the_nearest() {
        assert_eq!(
            explain("worker.prefech").unwrap_err(),
            "there is no key `worker.prefech`; did you mean `prefetch`?"
        );
        assert_eq!(explain("= 1").unwrap_err(), "`= 1` is not a key");
    }
}
