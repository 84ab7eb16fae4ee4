//! `[routes]`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Which tasks go where, in the order of the file; the first that matches wins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routes(pub Vec<(String, RouteSettings)>);

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> de::Visitor<'de> for InOrder {
            type Value = Routes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of patterns of task names")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Routes, A::Error> {
                let mut routes = Vec::new();
                while let Some(route) = map.next_entry()? {
                    routes.push(route);
                }
                Ok(Routes(routes))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(glob, route)| (glob, route)))
    }
}

impl JsonSchema for Routes {
    fn schema_name() -> Cow<'static, str> {
        "Routes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, RouteSettings>::json_schema(generator)
    }
}

/// Where the tasks of one pattern go: the name of a queue, or a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[schemars(with = "RouteForm")]
pub struct RouteSettings {
    /// The queue, reached through the task exchange by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Another exchange than the task exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// The routing key, when it is not the queue's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// The priority, from 0 to 255, unless the call gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// The two forms of a route; read by hand because an untagged enum loses its errors.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum RouteForm {
    /// The name of a queue.
    Queue(String),
    /// Exchange, key and priority.
    Table(RouteTable),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    /// The queue, reached through the task exchange by its name.
    queue: Option<String>,
    /// Another exchange than the task exchange.
    exchange: Option<String>,
    /// The routing key, when it is not the queue's name.
    routing_key: Option<String>,
    /// The priority, from 0 to 255, unless the call gives one.
    priority: Option<u8>,
}

impl<'de> Deserialize<'de> for RouteSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> de::Visitor<'de> for EitherForm {
            type Value = RouteSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a queue, or a table")
            }

            fn visit_str<E: de::Error>(self, queue: &str) -> Result<RouteSettings, E> {
                Ok(RouteSettings { queue: Some(queue.to_owned()), ..RouteSettings::default() })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RouteSettings, A::Error> {
                let table = de::value::MapAccessDeserializer::new(map);
                let RouteTable { queue, exchange, routing_key, priority } =
                    RouteTable::deserialize(table)?;
                Ok(RouteSettings { queue, exchange, routing_key, priority })
            }
        }
        deserializer.deserialize_any(EitherForm)
    }
}
