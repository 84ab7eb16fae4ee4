//! `/api/v1/openapi.json`: what can be called, for programs that call it and for who writes them.
//!
//! Schemas are made of the types that are read and answered, so that they say what is true. Which
//! calls there are stands in [`calls`]; a test holds that against the routes, and what is really
//! answered against the schemas.

mod calls;

use crate::monitor::settings::Role;
use axum::Json;
use calls::CALLS;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What can be called.
struct Call {
    /// As OpenAPI writes it: `get`, `post`, ...
    method: &'static str,
    path: &'static str,
    about: &'static str,
    /// What one must be.
    role: Role,
    query: Option<Of>,
    body: Option<Of>,
    answer: Kind,
}

/// Makes the schema of a type.
type Of = fn(&mut SchemaGenerator) -> Schema;

/// What is answered.
enum Kind {
    Json(Of),
    /// What an act came to, which its status says too.
    Reply(Of),
    /// Something that goes on in the background, or what it would be about.
    Begun {
        preview: Of,
        begun: Of,
    },
    /// Server-sent events.
    Events,
    /// A file of this type.
    File(&'static str),
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// `GET /openapi.json`
pub(super) async fn show() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Any object.
fn object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

fn document() -> Value {
    let mut answers = settings().for_serialize().into_generator();
    let mut bodies = settings().for_deserialize().into_generator();
    let problem = answers.subschema_for::<super::Problem>();
    let mut paths = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method] = call.describe(&mut answers, &mut bodies, &problem);
    }
    let mut schemas = bodies.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Celeriac's monitor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are RFC 3339 with microseconds, durations seconds. Lists are walked by cursors: give `next` as `cursor`. What goes wrong is a problem of RFC 9457. Each answer has an ETag; send it as If-None-Match, and 304 says that nothing has changed.",
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
}

impl Call {
    fn describe(
        &self,
        answers: &mut SchemaGenerator,
        bodies: &mut SchemaGenerator,
        problem: &Schema,
    ) -> Value {
        let mut described = json!({
            "summary": self.about,
            "description": format!("For whoever is {} or more.", self.role.as_str()),
            "operationId": self.id(),
            "parameters": self.parameters(),
            "responses": self.responses(answers, problem),
        });
        if let Some(body) = self.body {
            let content = json!({ "application/json": { "schema": body(bodies) } });
            described["requestBody"] = json!({ "required": true, "content": content });
        }
        described
    }

    /// `get_tasks_id` of `GET /tasks/{id}`.
    fn id(&self) -> String {
        let words = self.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
        [self.method].into_iter().chain(words).collect::<Vec<_>>().join("_")
    }

    fn parameters(&self) -> Vec<Value> {
        let names = self.path.split('{').skip(1).filter_map(|part| part.split('}').next());
        let mut parameters: Vec<_> = names.map(in_path).collect();
        if self.method != "get" {
            // Or a token: what a page elsewhere cannot send.
            let about = "Says that no page elsewhere sends this; not needed with a token.";
            parameters.push(json!({
                "name": "x-celeriac", "in": "header", "required": false, "description": about,
                "schema": { "const": "1" },
            }));
        }
        if let Some(query) = self.query {
            let mut settings = settings().for_deserialize();
            settings.inline_subschemas = true;
            let schema = query(&mut settings.into_generator()).to_value();
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let is_required = required.iter().any(|it| it == name);
                parameters.push(in_query(name, is_required, schema.clone()));
            }
        }
        parameters
    }

    fn responses(&self, answers: &mut SchemaGenerator, problem: &Schema) -> Value {
        let json = |schema: &Value| json!({ "application/json": { "schema": schema } });
        let problem = json!({ "application/problem+json": { "schema": problem } });
        let mut responses = Map::new();
        let mut add = |status: &str, about: &str, content: Value| {
            let response = json!({ "description": about, "content": content });
            responses.insert(status.to_owned(), response);
        };
        match &self.answer {
            Kind::Json(of) => add("200", "What was asked for", json(&of(answers).to_value())),
            Kind::Begun { preview, begun } => {
                add("200", "What would happen", json(&preview(answers).to_value()));
                add("202", "It has begun", json(&begun(answers).to_value()));
            }
            Kind::File(kind) => add("200", "The file", json!({ *kind: {} })),
            Kind::Events => {
                add("200", "What happens, as it does", json!({ "text/event-stream": {} }))
            }
            Kind::Reply(of) => {
                let reply = of(answers).to_value();
                add("200", "It is done, or some of it", json(&reply));
                for (status, about) in [
                    ("404", "There is no such thing"),
                    ("409", "Who had to do it says no"),
                    ("502", "Something went wrong"),
                    ("504", "Nobody said anything in time; it may be done all the same"),
                ] {
                    let mut content = json(&reply);
                    content["application/problem+json"] =
                        problem["application/problem+json"].clone();
                    add(status, about, content);
                }
            }
        }
        add("default", "Why there is no answer", problem);
        Value::Object(responses)
    }
}

fn in_path(name: &str) -> Value {
    let kind = if matches!(name, "offset" | "sig") { "integer" } else { "string" };
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": kind } })
}

fn in_query(name: &str, is_required: bool, mut schema: Value) -> Value {
    let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    // What is left out is not in an address as null.
    if let Some(kinds) = schema["type"].as_array().cloned() {
        schema["type"] = kinds.into_iter().find(|kind| kind != "null").unwrap_or_default();
    }
    let mut parameter =
        json!({ "name": name, "in": "query", "required": is_required, "schema": schema });
    if let Some(about) = about {
        parameter["description"] = about;
    }
    parameter
}
