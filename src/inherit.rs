//! A table whose own keys are what its named sub-tables inherit.
//!
//! `[queues] delivery_limit = 5` holds for every queue that does not say otherwise in
//! `[queues.NAME]`. A key that `T` knows belongs to the table itself, any other key must be a
//! sub-table. Values are read as they stream by, so that an error keeps its path.

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A table of which every key may be absent, and is then inherited.
pub(crate) trait Inherit: Default {
    /// This table, with what it leaves out taken from `parent`.
    #[must_use]
    fn or(self, parent: &Self) -> Self;
}

/// What all inherit, and the named tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Inherited<T> {
    /// What every named table inherits.
    pub(crate) own: T,
    /// The named tables, as written: nothing inherited yet.
    pub(crate) named: BTreeMap<String, T>,
}

impl<T: Inherit + Clone> Inherited<T> {
    /// The table `name` with everything it inherits; a name without a table inherits all.
    pub(crate) fn resolve(&self, name: &str) -> T {
        self.named.get(name).cloned().unwrap_or_default().or(&self.own)
    }
}

impl<'de, T: Inherit + DeserializeOwned> Deserialize<'de> for Inherited<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor { keys: keys_of::<T>(), table: PhantomData })
    }
}

impl<T: Serialize> Serialize for Inherited<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = toml::Table::try_from(&self.own).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(own.len() + self.named.len()))?;
        for (key, value) in &own {
            map.serialize_entry(key, value)?;
        }
        for (name, table) in &self.named {
            map.serialize_entry(name, table)?;
        }
        map.end()
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Inherited<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Tables", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("additionalProperties".to_owned(), T::json_schema(generator).to_value());
        schema
    }
}

struct TableVisitor<T> {
    keys: &'static [&'static str],
    table: PhantomData<T>,
}

impl<'de, T: Inherit + DeserializeOwned> Visitor<'de> for TableVisitor<T> {
    type Value = Inherited<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tables = Inherited { own: T::default(), named: BTreeMap::new() };
        while let Some(key) = map.next_key::<String>()? {
            if self.keys.contains(&key.as_str()) {
                let one: T = map.next_value_seed(OneKey { key: &key, table: PhantomData })?;
                tables.own = one.or(&tables.own);
            } else {
                let table = map.next_value_seed(NamedTable {
                    key: &key,
                    keys: self.keys,
                    table: PhantomData,
                })?;
                tables.named.insert(key, table);
            }
        }
        Ok(tables)
    }
}

/// Reads a named table; what is no table was meant to be a key of the parent, and misspelt.
struct NamedTable<'a, T> {
    key: &'a str,
    keys: &'static [&'static str],
    table: PhantomData<T>,
}

impl<T> NamedTable<'_, T> {
    fn unknown_key<E: de::Error>(&self) -> E {
        E::unknown_field(self.key, self.keys)
    }
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for NamedTable<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for NamedTable<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<T, E> {
        Err(self.unknown_key())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<T, E> {
        Err(self.unknown_key())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<T, E> {
        Err(self.unknown_key())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<T, E> {
        Err(self.unknown_key())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<T, E> {
        Err(self.unknown_key())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.unknown_key())
    }
}

/// Reads a value as the only key of a `T`.
struct OneKey<'a, T> {
    key: &'a str,
    table: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for OneKey<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<T, D::Error> {
        let map = OneEntry { key: Some(self.key), value: Some(value) };
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }
}

struct OneEntry<'a, D> {
    key: Option<&'a str>,
    value: Option<D>,
}

impl<'de, D: Deserializer<'de>> MapAccess<'de> for OneEntry<'_, D> {
    type Error = D::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, D::Error> {
        let Some(key) = self.key.take() else { return Ok(None) };
        seed.deserialize(de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, D::Error> {
        let value = self.value.take().ok_or_else(|| de::Error::custom("value read twice"))?;
        seed.deserialize(value)
    }
}

/// The keys a derived `Deserialize` knows: it names them when it asks for a struct.
pub(crate) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(KeyProbe { keys: &mut keys });
    keys
}

struct KeyProbe<'a> {
    keys: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for KeyProbe<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only a struct has keys"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.keys = fields;
        Err(de::Error::custom("the keys are known now"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Table {
        limit: Option<u32>,
        kind: Option<String>,
    }

    impl Inherit for Table {
        fn or(self, parent: &Self) -> Self {
            Self { limit: self.limit.or(parent.limit), kind: self.kind.or(parent.kind.clone()) }
        }
    }

    fn read(text: &str) -> Result<Inherited<Table>, String> {
        let table: toml::Table = toml::from_str(text).unwrap();
        serde_path_to_error::deserialize(table)
            .map_err(|error| format!("{}: {}", error.path(), error.inner().message()))
    }

    #[test]
    fn a_named_table_inherits_key_by_key() {
        let tables = read("limit = 1\nkind = \"a\"\n[mail]\nlimit = 2").unwrap();
        assert_eq!(tables.resolve("mail"), Table { limit: Some(2), kind: Some("a".into()) });
        assert_eq!(tables.resolve("other"), Table { limit: Some(1), kind: Some("a".into()) });
    }

    #[test]
    fn an_error_names_the_path_in_the_file() {
        assert_eq!(
            read("[mail]\nlimits = 2").unwrap_err(),
            "mail.limits: unknown field `limits`, expected `limit` or `kind`"
        );
        assert_eq!(
            read("limit = \"x\"").unwrap_err(),
            "limit: invalid type: string \"x\", expected u32"
        );
        assert_eq!(
            read("limits = 2").unwrap_err(),
            "limits: unknown field `limits`, expected `limit` or `kind`"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tables = read("limit = 1\n[mail]\nkind = \"b\"").unwrap();
        assert_eq!(read(&toml::to_string(&tables).unwrap()).unwrap(), tables);
    }
}
