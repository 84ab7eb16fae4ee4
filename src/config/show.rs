//! What a configuration says in the end, and why.

use super::layer::{self, Source};
use super::load::Loaded;
use super::schema;
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
    #[serde(skip)]
    path: Path,
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
            shown.push(Shown { key: write_path(path), value, origin, path: path.clone() });
        });
        shown
    }

    /// The settings that differ between this configuration and `newer`. A secret that differs is
    /// among them, masked on both sides.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let (old, new) = (self.settings(), newer.settings());
        let changed = new.iter().filter_map(|now| {
            let was = old.iter().find(|was| was.key == now.key);
            let same = was.is_some_and(|was| was.value == now.value)
                && self.written(&now.path) == newer.written(&now.path);
            (!same).then(|| Change {
                key: now.key.clone(),
                old: was.map(|was| was.value.clone()),
                new: Some(now.value.clone()),
            })
        });
        let gone = old.iter().filter(|was| new.iter().all(|now| now.key != was.key));
        let gone = gone.map(|was| Change {
            key: was.key.clone(),
            old: Some(was.value.clone()),
            new: None,
        });
        changed.chain(gone).collect()
    }

    /// A secret as it was written, which `settings` masks; nothing for any other key.
    fn written(&self, path: &[Step]) -> Option<toml::Value> {
        schema::at(path).filter(|schema| schema::holds_secret(schema))?;
        layer::find(&self.layers, path).map(|(_, _, node)| node.to_toml())
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
