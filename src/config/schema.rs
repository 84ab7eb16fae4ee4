//! The JSON Schema of a configuration file, and questions to it.
//!
//! It is made from the settings' types and doc comments, so it cannot disagree with the program.
//! A key that may hold a secret is marked `writeOnly`, or is of the format `uri`.

use super::Config;
use super::tree::Step;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The JSON Schema (draft 2020-12) of a configuration file, without references.
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
        tidy(&mut schema);
        schema["title"] = json!("Celeriac configuration");
        schema
    })
}

/// TOML has no null, so an optional key is just a key; and a secret may stand in a file.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            drop_null(object);
            object.values_mut().for_each(tidy);
            allow_secret_files(object);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            object["type"] = only.clone();
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

fn allow_secret_files(object: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let secrets: Vec<String> = properties
        .iter()
        .filter(|(_, schema)| holds_secret(schema))
        .map(|(k, _)| k.clone())
        .collect();
    for key in secrets {
        let file = format!("The file that holds `{key}`.");
        properties.insert(format!("{key}_file"), json!({ "type": "string", "description": file }));
        let credential = format!("The systemd credential that holds `{key}`.");
        properties.insert(
            format!("{key}_credential"),
            json!({ "type": "string", "description": credential }),
        );
    }
}

/// What the schema says about the key at `path`.
pub(super) fn at(path: &[Step]) -> Option<&'static Value> {
    path.iter().try_fold(schema(), |schema, step| into(schema, step))
}

fn into<'a>(schema: &'a Value, step: &Step) -> Option<&'a Value> {
    let direct = match step {
        Step::Key(key) => schema
            .get("properties")
            .and_then(|keys| keys.get(key))
            .or_else(|| schema.get("additionalProperties").filter(|further| further.is_object())),
        Step::Index(_) => schema.get("items"),
    };
    direct.or_else(|| choices(schema).find_map(|choice| into(choice, step)))
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

/// The keys a table may have, in the order of the type.
pub(super) fn keys(schema: &Value) -> Vec<&str> {
    let own = schema["properties"].as_object().into_iter().flat_map(|keys| keys.keys());
    own.map(String::as_str).chain(choices(schema).flat_map(keys)).collect()
}

/// Whether a table may have keys of any name.
pub(super) fn takes_names(schema: &Value) -> bool {
    schema["additionalProperties"].is_object()
}

/// Whether the value is always text, so that `123` is text too.
pub(super) fn takes_text(schema: &Value) -> bool {
    schema["type"] == "string" || schema["enum"].is_array() || all_constants(schema)
}

fn all_constants(schema: &Value) -> bool {
    let mut choices = choices(schema).peekable();
    choices.peek().is_some() && choices.all(|choice| choice["const"].is_string())
}

/// Whether the value may be, or carry, a secret.
pub(super) fn holds_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true || schema["format"] == "uri"
}

/// Whether the whole value is a secret.
pub(super) fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true
}

#[cfg(test)]
mod tests {
    use super::super::tree::path_of;
    use super::*;

    #[test]
    fn the_schema_knows_sections_names_and_secrets() {
        let at = |keys: &[&str]| at(&path_of(keys.iter().copied()));
        assert!(takes_text(at(&["worker", "drain_timeout"]).unwrap()));
        assert!(takes_text(at(&["queues", "mail", "type"]).unwrap()));
        assert!(!takes_text(at(&["worker", "concurrency"]).unwrap()));
        assert!(holds_secret(at(&["broker", "url"]).unwrap()));
        assert!(is_secret(
            at(&["tasks", "shop.push", "http", "headers", "Authorization"]).unwrap()
        ));
        assert!(takes_names(at(&["queues"]).unwrap()));
        assert!(at(&["worker", "concurency"]).is_none());
        assert!(at(&["broker", "url_file"]).is_some());
    }

    #[test]
    fn every_key_is_explained() {
        fn undocumented(schema: &Value, path: &str, found: &mut Vec<String>) {
            for (key, value) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                if value["description"].as_str().is_none_or(str::is_empty) {
                    found.push(path.clone());
                }
                undocumented(value, &path, found);
            }
            undocumented_names(schema, path, found);
        }
        fn undocumented_names(schema: &Value, path: &str, found: &mut Vec<String>) {
            if takes_names(schema) {
                undocumented(&schema["additionalProperties"], &format!("{path}.*"), found);
            }
        }
        let mut found = Vec::new();
        undocumented(schema(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
