//! A TOML document whose every key and value knows where it stands in the text.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a text.
pub(super) type Span = Range<usize>;

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Tree,
}

/// A value, or values.
#[derive(Clone)]
pub(super) enum Tree {
    Scalar(toml::Value),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table, its place, and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

/// Why a text is not TOML, or not TOML for us.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) span: Span,
}

impl From<toml::de::Error> for SyntaxError {
    fn from(error: toml::de::Error) -> Self {
        Self { message: error.message().to_owned(), span: error.span().unwrap_or(0..0) }
    }
}

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A way into a tree.
pub(super) type Path = Vec<Step>;

/// A path of keys only.
pub(super) fn path_of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Path {
    keys.into_iter().map(|key| Step::Key(key.to_owned())).collect()
}

/// `worker.queues[1]`, with quotes around keys that need them.
pub(super) fn write_path(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&write_key(key));
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A key as TOML writes it: bare if it can be.
pub(super) fn write_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    }
}

/// What the parser says of a key that is there twice.
pub(super) const DUPLICATE: &str = "duplicate key";

impl Node {
    /// Reads a document, though keys in it may be there twice: then without the second, and with an
    /// error for each.
    ///
    /// # Errors
    /// Every syntax error of the text, when there are others.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<SyntaxError>), Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let errors: Vec<_> = errors.into_iter().map(SyntaxError::from).collect();
        if errors.iter().any(|error| !error.message.starts_with(DUPLICATE)) {
            return Err(errors);
        }
        let span = table.span();
        let value = table_of(table.into_inner()).map_err(|error| vec![error])?;
        Ok((Self { span, value }, errors))
    }

    /// A table that holds `value` at the end of `keys`, all at one place.
    pub(super) fn nested(keys: &[String], value: toml::Value, span: &Span) -> Self {
        let leaf = Self { span: span.clone(), value: Tree::Scalar(value) };
        keys.iter().rev().fold(leaf, |node, key| {
            let entry = Entry { key: key.clone(), key_span: span.clone(), node };
            Self { span: span.clone(), value: Tree::Table(vec![entry]) }
        })
    }

    /// The value of `key`, if this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Tree::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Where `path` leads: the place of its last key, if it ends in one, and the value.
    pub(super) fn find(&self, path: &[Step]) -> Option<(Option<Span>, &Self)> {
        let mut found = (None, self);
        for step in path {
            found = match (step, &found.1.value) {
                (Step::Key(key), Tree::Table(_)) => {
                    let entry = found.1.get(key)?;
                    (Some(entry.key_span.clone()), &entry.node)
                }
                (Step::Index(index), Tree::Array(items)) => (None, items.get(*index)?),
                _ => return None,
            };
        }
        Some(found)
    }

    /// The value without its places.
    pub(super) fn to_toml(&self) -> toml::Value {
        match &self.value {
            Tree::Scalar(value) => value.clone(),
            Tree::Array(items) => items.iter().map(Self::to_toml).collect::<Vec<_>>().into(),
            Tree::Table(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.node.to_toml()));
                pairs.collect::<toml::Table>().into()
            }
        }
    }

    /// Calls `see` with every scalar and the way to it.
    pub(super) fn scalars(
        &self,
        path: &mut Path,
        see: &mut impl FnMut(&Path, &Span, &toml::Value),
    ) {
        match &self.value {
            Tree::Scalar(value) => see(path, &self.span, value),
            Tree::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    item.scalars(path, see);
                    path.pop();
                }
            }
            Tree::Table(entries) => {
                for entry in entries {
                    path.push(Step::Key(entry.key.clone()));
                    entry.node.scalars(path, see);
                    path.pop();
                }
            }
        }
    }
}

fn table_of(table: DeTable<'_>) -> Result<Tree, SyntaxError> {
    let entries = table.into_iter().map(|(key, value)| {
        let key_span = key.span();
        Ok(Entry { key: key.into_inner().into_owned(), key_span, node: node_of(value)? })
    });
    entries.collect::<Result<_, _>>().map(Tree::Table)
}

fn node_of(value: Spanned<DeValue<'_>>) -> Result<Node, SyntaxError> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => table_of(table)?,
        DeValue::Array(items) => {
            Tree::Array(items.into_iter().map(node_of).collect::<Result<_, _>>()?)
        }
        DeValue::Datetime(_) => {
            return Err(SyntaxError { message: "no key takes a date".to_owned(), span });
        }
        scalar => {
            let scalar = Spanned::new(span.clone(), scalar);
            let value = toml::Value::deserialize(scalar.into_deserializer());
            Tree::Scalar(value.map_err(SyntaxError::from)?)
        }
    };
    Ok(Node { span, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "[worker]\nqueues = [\"a\", \"b\"]\n";
        let tree = Node::parse(text).unwrap().0;
        let mut path = path_of(["worker", "queues"]);
        let (key, value) = tree.find(&path).unwrap();
        assert_eq!(&text[key.unwrap()], "queues");
        assert_eq!(&text[value.span.clone()], "[\"a\", \"b\"]");
        path.push(Step::Index(1));
        assert_eq!(&text[tree.find(&path).unwrap().1.span.clone()], "\"b\"");
    }

    #[test]
    fn a_path_is_written_as_toml_writes_keys() {
        let mut path = path_of(["tasks", "shop.mail", "retries"]);
        assert_eq!(write_path(&path), "tasks.\"shop.mail\".retries");
        path.push(Step::Index(2));
        assert_eq!(write_path(&path), "tasks.\"shop.mail\".retries[2]");
    }
}
