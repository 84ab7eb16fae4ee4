//! The configuration for others to read: without secrets, and without the data of tasks.

use super::Config;
use super::layer;
use super::tree::{Path, Step};
use crate::secret::{MASK, redact_url};

/// Under these keys stands what tasks are given, which may be anything.
const DATA: [&str; 4] = ["args", "kwargs", "headers", "env"];

/// Under this key stands a command line, of which only the program says nothing of anybody.
const COMMAND: &str = "exec";

impl Config {
    /// All settings as TOML. Secrets, by their type or by a name that sounds so, arguments of
    /// schedules and of programs, and what stands behind the `?` of a URL are masked.
    pub fn masked(&self) -> String {
        let table = toml::Table::try_from(self).expect("settings are tables of TOML values");
        let mut root = table.into();
        mask(&mut root, &mut Path::new());
        toml::to_string(&root).expect("it was TOML before")
    }
}

fn mask(value: &mut toml::Value, path: &mut Path) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                path.push(Step::Key(key.clone()));
                mask(value, path);
                path.pop();
            }
        }
        toml::Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                mask(value, path);
                path.pop();
            }
        }
        scalar if is_hidden(path) => *scalar = MASK.into(),
        toml::Value::String(text) => *text = without_passwords(text),
        _ => {}
    }
}

fn is_hidden(path: &[Step]) -> bool {
    let is_key = |step: &Step, key: &str| matches!(step, Step::Key(it) if it == key);
    let is_data = path.iter().any(|step| DATA.iter().any(|key| is_key(step, key)));
    let is_argument = matches!(path, [.., key, Step::Index(at)] if is_key(key, COMMAND) && *at > 0);
    is_data || is_argument || layer::is_secret(path)
}

fn without_passwords(text: &str) -> String {
    if !text.contains("://") {
        return text.to_owned();
    }
    let shown = redact_url(text);
    match shown.split_once('?') {
        Some((place, _)) => format!("{place}?{MASK}"),
        None => shown,
    }
}
