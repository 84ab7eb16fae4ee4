//! One source of settings, and all of them on top of one another.

use super::problem::{Place, line_of};
use super::schema;
use super::tree::{Node, Path, Span, Step, Tree};
use config::{ConfigError, Map, Value, ValueKind};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A TOML file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line.
    Option(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "env {name}"),
            Self::Option(name) => write!(f, "option {name}"),
        }
    }
}

/// The settings of one source. Its `Debug` shows no value, because one may be a secret.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) source: Source,
    /// The text with secrets masked byte for byte, so that places still fit.
    pub(super) shown: Arc<str>,
    pub(super) root: Node,
}

impl Layer {
    pub(super) fn new(source: Source, text: &str, root: Node) -> Self {
        let shown = masked(text, &root).into();
        Self { source, shown, root }
    }

    /// A layer of one value, from outside any file.
    pub(super) fn single(source: Source, keys: &[String], value: toml::Value) -> Self {
        Self { source, shown: "".into(), root: Node::nested(keys, value, &(0..0)) }
    }

    /// A place in this layer, if it is a file.
    pub(super) fn place(&self, span: Span, label: impl Into<String>) -> Option<Place> {
        let Source::File(path) = &self.source else { return None };
        Some(Place {
            file: path.display().to_string(),
            text: Arc::clone(&self.shown),
            span,
            label: label.into(),
            also: None,
        })
    }

    /// `celeriac.toml:40`, or the name of the variable or option.
    pub(super) fn describe(&self, span: &Span) -> String {
        match &self.source {
            Source::File(path) => {
                format!("{}:{}", path.display(), line_of(&self.shown, span.start))
            }
            source => source.to_string(),
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The key under which everything is merged: `config` would read a top-level key as a path.
const ROOT: &str = "celeriac";

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from_iter([(ROOT.to_owned(), to_config(self.root.to_toml()))]))
    }
}

/// All layers as one table: tables merge key by key, anything else is replaced by a later layer.
///
/// # Errors
/// If a number cannot be represented.
pub(super) fn merge(layers: &[Layer]) -> Result<toml::Table, ConfigError> {
    let builder = layers
        .iter()
        .fold(config::Config::builder(), |builder, layer| builder.add_source(layer.clone()));
    let merged: Map<String, Value> = builder.build()?.get(ROOT).or_else(|error| match error {
        ConfigError::NotFound(_) => Ok(Map::new()),
        error => Err(error),
    })?;
    Ok(merged.into_iter().map(|(key, value)| (key, from_config(value))).collect())
}

fn to_config(value: toml::Value) -> Value {
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(flag),
        toml::Value::Datetime(date) => ValueKind::String(date.to_string()),
        toml::Value::Array(items) => ValueKind::Array(items.into_iter().map(to_config).collect()),
        toml::Value::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(key, v)| (key, to_config(v))).collect())
        }
    };
    Value::new(None, kind)
}

fn from_config(value: Value) -> toml::Value {
    match value.kind {
        ValueKind::Nil => toml::Table::new().into(),
        ValueKind::Boolean(flag) => flag.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::Float(number) => number.into(),
        ValueKind::String(text) => text.into(),
        ValueKind::Array(items) => items.into_iter().map(from_config).collect::<Vec<_>>().into(),
        ValueKind::Table(table) => {
            let pairs = table.into_iter().map(|(key, value)| (key, from_config(value)));
            pairs.collect::<toml::Table>().into()
        }
        // `to_config` makes none of these.
        ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => value.to_string().into(),
    }
}

/// The last layer that has something at `path`: its key's place, if the path ends in a key, and
/// the value.
pub(super) fn find<'a>(
    layers: &'a [Layer],
    path: &[Step],
) -> Option<(&'a Layer, Option<Span>, &'a Node)> {
    layers.iter().rev().find_map(|layer| {
        let (key, node) = layer.root.find(path)?;
        Some((layer, key, node))
    })
}

/// `text` with every secret of `root` replaced by as many asterisks.
fn masked(text: &str, root: &Node) -> String {
    let mut bytes = masked_urls(text).into_bytes();
    root.scalars(&mut Path::new(), &mut |path, span, value| {
        if value.is_str() && is_secret(path) {
            mask(&mut bytes, span.start + 1..span.end.saturating_sub(1));
        } else if value.is_str() && schema::at(path).is_some_and(schema::holds_secret) {
            mask_url(&mut bytes, text, span.clone());
        }
    });
    String::from_utf8(bytes).unwrap_or_default()
}

/// Whether the value at `path` is a secret, by its type or by its name.
pub(super) fn is_secret(path: &[Step]) -> bool {
    let named_so = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(sounds_secret(key)),
        Step::Index(_) => None,
    });
    schema::at(path).is_some_and(schema::is_secret) || named_so == Some(true)
}

/// Whether a key of this name probably holds a secret itself, and not the name of a file.
pub(super) fn sounds_secret(key: &str) -> bool {
    const WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "authorization", "api_key"];
    let key = key.to_lowercase().replace('-', "_");
    WORDS.iter().any(|word| key.contains(word))
        && !key.ends_with("_file")
        && !key.ends_with("_credential")
}

/// `text` with the password of every URL replaced by as many asterisks.
pub(super) fn masked_urls(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (from, _) in text.match_indices("://") {
        let end = text[from..].find(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        mask_url(&mut bytes, text, from..end.map_or(text.len(), |end| from + end));
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Masks what stands between the user and the host of the URL at `span`.
fn mask_url(bytes: &mut [u8], text: &str, span: Span) {
    let url = &text[span.clone()];
    let user = url.find("://").map_or(0, |scheme| scheme + 3);
    if let (Some(colon), Some(at)) = (url[user..].find(':'), url.rfind('@'))
        && user + colon < at
    {
        mask(bytes, span.start + user + colon + 1..span.start + at);
    }
}

/// Line breaks stay, so that line numbers still fit.
fn mask(bytes: &mut [u8], span: Span) {
    for byte in bytes.get_mut(span).into_iter().flatten() {
        if *byte != b'\n' {
            *byte = b'*';
        }
    }
}

/// The last scalar or array at `path` in each layer, latest layer first.
pub(super) fn all<'a>(layers: &'a [Layer], path: &[Step]) -> Vec<(&'a Layer, &'a Node)> {
    let found = layers.iter().rev().filter_map(|layer| Some((layer, layer.root.find(path)?.1)));
    found.filter(|(_, node)| !matches!(node.value, Tree::Table(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_text_has_no_secret_and_the_same_places() {
        let text = "[broker]\nurl = \"amqp://u:pä55@h/\"\n[tasks.push]\nenv = { KEY = \"s3cret\" }\n[x]\npassword = 'hunter2'\n";
        let shown = masked(text, &Node::parse(text).unwrap().0);
        assert_eq!(shown.len(), text.len());
        for secret in ["pä55", "s3cret", "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("amqp://u:*****@h/"), "{shown}");
    }

    #[test]
    fn a_later_layer_replaces_values_and_keeps_the_order_of_keys() {
        let layer = |text: &str| {
            Layer::new(Source::Option("test".into()), text, Node::parse(text).unwrap().0)
        };
        let merged = merge(&[
            layer("[routes]\n\"z.*\" = \"a\"\n\"b.*\" = \"a\"\n[worker]\nqueues = [\"a\", \"b\"]"),
            layer("[routes]\n\"a.*\" = \"c\"\n\"b.*\" = \"c\"\n[worker]\nqueues = [\"c\"]"),
        ]);
        let merged = merged.unwrap();
        let routes: Vec<&str> =
            merged["routes"].as_table().unwrap().keys().map(String::as_str).collect();
        assert_eq!(routes, ["z.*", "b.*", "a.*"]);
        assert_eq!(merged["routes"]["b.*"].as_str(), Some("c"));
        assert_eq!(merged["worker"]["queues"].as_array().unwrap().len(), 1);
    }
}
