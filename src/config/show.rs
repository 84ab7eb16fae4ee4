//! What a configuration says in the end, and why.

use super::layer::{self, Source};
use super::load::Loaded;
use super::tree::{Path, Step, Tree, write_path};
use serde::Serialize;

/// One setting as it is in the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its key, such as `worker.concurrency`.
    pub key: String,
    /// Its value as TOML; a secret is masked.
    pub value: toml::Value,
    /// Where it comes from: `celeriac.toml:40`, `env CELERIAC_LOG`, `default`.
    pub origin: String,
}

/// A setting that differs between two configurations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// What it was; `None` if the key is new.
    pub old: Option<toml::Value>,
    /// What it is; `None` if the key is gone.
    pub new: Option<toml::Value>,
}

impl Loaded {
    /// Every setting, in the order of the sections.
    pub fn settings(&self) -> Vec<Shown> {
        let mut shown = Vec::new();
        flatten(self.effective().into(), &mut Path::new(), &mut |path, value| {
            let origin = self.origin(path);
            shown.push(Shown { key: write_path(path), value, origin });
        });
        shown
    }

    /// The settings that differ between this configuration and `newer`.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let old: Vec<Shown> = self.settings();
        let new: Vec<Shown> = newer.settings();
        let value = |of: &[Shown], key: &str| {
            of.iter().find(|setting| setting.key == key).map(|setting| setting.value.clone())
        };
        let mut changes: Vec<Change> = new
            .iter()
            .map(|now| Change {
                key: now.key.clone(),
                old: value(&old, &now.key),
                new: Some(now.value.clone()),
            })
            .filter(|change| change.old != change.new)
            .collect();
        let gone = old.into_iter().filter(|was| value(&new, &was.key).is_none());
        changes.extend(gone.map(|was| Change { key: was.key, old: Some(was.value), new: None }));
        changes
    }

    fn effective(&self) -> toml::Table {
        toml::Table::try_from(&self.config).expect("settings are tables of TOML values")
    }

    /// Where the value at `path` comes from, and what it replaced in a file.
    fn origin(&self, path: &[Step]) -> String {
        let found = layer::all(&self.layers, path);
        let Some(((winner, node), shadowed)) = found.split_first() else {
            return self.enclosing_origin(path);
        };
        let origin = winner.describe(&node.span);
        let file = shadowed.iter().find(|(layer, _)| matches!(layer.source, Source::File(_)));
        match file {
            Some((layer, node)) => {
                let said = layer.shown.get(node.span.clone()).unwrap_or_default();
                format!("{origin} (file says {said}, {})", layer.describe(&node.span))
            }
            None => origin,
        }
    }

    /// A route may be written as the name of a queue: then its table is text in the file.
    fn enclosing_origin(&self, path: &[Step]) -> String {
        let Some((_, enclosing)) = path.split_last() else { return "default".to_owned() };
        match layer::find(&self.layers, enclosing) {
            Some((layer, _, node)) if !matches!(node.value, Tree::Table(_)) => {
                layer.describe(&node.span)
            }
            _ => "default".to_owned(),
        }
    }
}

/// Calls `see` with everything in `value` that is no table, and the way to it.
fn flatten(value: toml::Value, path: &mut Path, see: &mut impl FnMut(&Path, toml::Value)) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                path.push(Step::Key(key));
                flatten(value, path, see);
                path.pop();
            }
        }
        value => see(path, value),
    }
}
