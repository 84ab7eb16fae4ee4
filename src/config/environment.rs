//! `CELERIAC__WORKER__CONCURRENCY=16`: settings from the environment.
//!
//! Below the prefix, two underscores step into a table. Names are upper case; in the name of a
//! queue or task, `-` and `.` are written `_`, which finds the table of a file that matches.

use super::complaint::nearest;
use super::layer::{Layer, Source};
use super::problem::Problem;
use super::schema;
use super::tree::{Path, Step, path_of};
use serde::Deserialize;
use serde_json::Value;
use toml::de::ValueDeserializer;

const PREFIX: &str = "CELERIAC__";

/// Short names for containers, and the key each stands for. `CELERIAC_CONFIG` names files, which
/// are read before.
const SHORT: [(&str, [&str; 2]); 3] = [
    ("CELERIAC_BROKER_URL", ["broker", "url"]),
    ("CELERIAC_LOG", ["log", "level"]),
    ("CELERIAC_LOG_FORMAT", ["log", "format"]),
];

/// Short names that are read elsewhere: by the command line, and by tools that ask a monitor.
const OTHERS: [&str; 3] = ["CELERIAC_CONFIG", "CELERIAC_MONITOR_URL", "CELERIAC_TOKEN"];

/// One layer for each variable that sets a key, and what is wrong with the others.
///
/// `merged` is what the files say: it decides which queue `MY_QUEUE` is.
pub(super) fn layers(
    variables: &[(String, String)],
    merged: &toml::Table,
) -> (Vec<Layer>, Vec<Problem>) {
    let mut layers = Vec::new();
    let mut problems = Vec::new();
    let mut sorted: Vec<_> =
        variables.iter().filter(|(name, _)| name.starts_with("CELERIAC")).collect();
    sorted.sort();
    for (name, value) in sorted {
        match key_of(name, merged) {
            Ok(Some(keys)) => layers.push(layer(name, &keys, value)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    (layers, problems)
}

fn layer(name: &str, keys: &[String], value: &str) -> Layer {
    let path = path_of(keys.iter().map(String::as_str));
    let text_only = schema::at(&path).is_some_and(schema::takes_text);
    let value = if text_only { value.into() } else { read_value(value) };
    Layer::single(Source::Variable(name.to_owned()), keys, value)
}

/// A value as TOML, else as text; `[a,b]` is a list of texts.
fn read_value(text: &str) -> toml::Value {
    if let Ok(value) = ValueDeserializer::parse(text).and_then(toml::Value::deserialize) {
        return value;
    }
    let list = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match list {
        Some(items) => {
            let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(toml::Value::from).collect::<Vec<_>>().into()
        }
        None => text.into(),
    }
}

fn key_of(name: &str, merged: &toml::Table) -> Result<Option<Vec<String>>, Problem> {
    if let Some((_, keys)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Ok(Some(keys.map(str::to_owned).to_vec()));
    }
    if let Some(rest) = name.strip_prefix(PREFIX) {
        return resolve(name, rest, merged).map(Some);
    }
    let short = SHORT.iter().map(|(short, _)| *short).chain(OTHERS).collect::<Vec<_>>();
    if short.contains(&name) {
        return Ok(None);
    }
    match nearest(name, &short).filter(|near| strsim::levenshtein(near, name) <= 3) {
        Some(near) => Err(Problem::warning(format!("environment variable {name} is not read"))
            .note(format!("did you mean {near}?"))),
        None => Ok(None),
    }
}

/// The keys that the segments of a variable's name mean.
fn resolve(name: &str, rest: &str, merged: &toml::Table) -> Result<Vec<String>, Problem> {
    let mut keys: Vec<String> = Vec::new();
    let mut path = Path::new();
    let mut table = Some(merged);
    for segment in rest.split("__") {
        let Some(schema) = schema::at(&path) else {
            return Err(unknown(name, &keys, segment, &[]));
        };
        let names: Vec<&str> =
            table.into_iter().flat_map(toml::Table::keys).map(String::as_str).collect();
        let key = choose(schema, &names, segment)
            .ok_or_else(|| unknown(name, &keys, segment, &schema::keys(schema)))?;
        table = table.and_then(|table| table.get(&key)).and_then(toml::Value::as_table);
        path.push(Step::Key(key.clone()));
        keys.push(key);
    }
    Ok(keys)
}

fn choose(schema: &Value, names: &[&str], segment: &str) -> Option<String> {
    let wanted = |name: &&str| as_segment(name) == segment;
    if let Some(key) = schema::keys(schema).into_iter().find(|key| wanted(key)) {
        return Some(key.to_owned());
    }
    if segment.is_empty() || !schema::takes_names(schema) {
        return None;
    }
    let existing = names.iter().find(|name| wanted(name)).map(|name| (*name).to_owned());
    Some(existing.unwrap_or_else(|| segment.to_lowercase()))
}

/// A key as it is written in a variable's name.
fn as_segment(key: &str) -> String {
    key.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn unknown(name: &str, before: &[String], segment: &str, known: &[&str]) -> Problem {
    let problem = Problem::error(format!("environment variable {name} matches no key"));
    let Some(near) = nearest(segment, known) else { return problem };
    let right: Vec<String> =
        before.iter().map(|key| as_segment(key)).chain([as_segment(near)]).collect();
    let rest = name.split("__").skip(right.len() + 1).map(str::to_owned);
    let right: Vec<String> = right.into_iter().chain(rest).collect();
    problem.note(format!("did you mean {PREFIX}{}?", right.join("__")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<toml::Table, String> {
        let merged = toml::from_str("[queues.my-queue]\n[tasks.\"shop.Mail\"]\n").unwrap();
        let (layers, problems) = layers(&[(name.to_owned(), value.to_owned())], &merged);
        match problems.first() {
            Some(problem) => Err(format!("{}; {}", problem.title, problem.notes.join("; "))),
            None => Ok(super::super::layer::merge(&layers).unwrap()),
        }
    }

    fn read(text: &str) -> Result<toml::Table, String> {
        Ok(toml::from_str(text).unwrap())
    }

    #[test]
    fn a_variable_is_read_as_toml_and_else_as_text() {
        for (name, value, meaning) in [
            ("CELERIAC__WORKER__CONCURRENCY", "16", "worker.concurrency = 16"),
            ("CELERIAC__WORKER__CONCURRENCY", "auto", "worker.concurrency = \"auto\""),
            ("CELERIAC__WORKER__QUEUES", "[a, b]", "worker.queues = [\"a\", \"b\"]"),
            ("CELERIAC__WORKER__QUEUES", "[\"a\"]", "worker.queues = [\"a\"]"),
            ("CELERIAC__WORKER__NAME", "7", "worker.name = \"7\""),
            ("CELERIAC__QUEUES__EMAIL__PREFETCH", "4", "queues.email.prefetch = 4"),
            ("CELERIAC__QUEUES__MY_QUEUE__TYPE", "classic", "queues.my-queue.type = \"classic\""),
            ("CELERIAC__TASKS__SHOP_MAIL__RETRIES", "0", "tasks.\"shop.Mail\".retries = 0"),
            ("CELERIAC_BROKER_URL", "amqp://h", "broker.url = \"amqp://h\""),
            ("CELERIAC_LOG", "debug", "log.level = \"debug\""),
            ("CELERIAC_CONFIG", "a.toml", ""),
            ("CELERIACS", "x", ""),
        ] {
            assert_eq!(set(name, value), read(meaning), "{name}");
        }
    }

    #[test]
    fn a_variable_that_matches_no_key_is_told_the_nearest() {
        for (name, error) in [
            (
                "CELERIAC__WORKER__PREFECH",
                "environment variable CELERIAC__WORKER__PREFECH matches no key; did you mean CELERIAC__WORKER__PREFETCH?",
            ),
            (
                "CELERIAC__BROKR__URL",
                "environment variable CELERIAC__BROKR__URL matches no key; did you mean CELERIAC__BROKER__URL?",
            ),
            (
                "CELERIAC__WORKER__NAME__X",
                "environment variable CELERIAC__WORKER__NAME__X matches no key; ",
            ),
            (
                "CELERIAC_BROKER_URI",
                "environment variable CELERIAC_BROKER_URI is not read; did you mean CELERIAC_BROKER_URL?",
            ),
        ] {
            assert_eq!(set(name, "x").unwrap_err(), error);
        }
    }
}
