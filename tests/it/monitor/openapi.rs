//! Whether the document of the API says what is true: the calls that there are, and what they answer.

use super::scene::Scene;
use crate::rig::eventually;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

#[tokio::test]
async fn the_document_has_every_call_and_each_answers_as_it_says() {
    let scene = Box::pin(Scene::start()).await;
    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    scene.run("shop.fail", &("x",), "FAILURE").await;
    let waits = scene.run("shop.wait", &(), "STARTED").await;
    eventually("the letter", async || {
        !scene.monitor.get("/api/v1/dead").await["items"].as_array().unwrap().is_empty()
    })
    .await;
    eventually("the queue to be looked at", async || {
        scene.monitor.ask("/api/v1/queues/default").await.status() == 200
    })
    .await;
    let document = scene.monitor.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(described(&document), routed(), "the document, and the routes in the source");

    let worker = scene.monitor.get("/api/v1/workers").await[0]["name"].as_str().unwrap().to_owned();
    let sig = scene.monitor.get("/api/v1/failures").await["items"][0]["sig"].to_string();
    let requeue = json!({"action": "requeue"});
    let (status, begun) = scene.monitor.act("/api/v1/operations", &requeue).await;
    assert_eq!(status, 202, "{begun}");
    let operation = begun["id"].as_str().unwrap().to_owned();
    let fill = |path: &str| {
        let path = match path.strip_prefix("/operations/{id}") {
            Some(rest) => format!("/operations/{operation}{rest}"),
            None => path.to_owned(),
        };
        let path = path.replace("{id}", &good).replace("{sig}", &sig).replace("{offset}", "0");
        let name = match path.split('/').nth(1) {
            Some("workers") => &worker,
            Some("names") => "shop.add",
            _ => "default",
        };
        path.replace("{name}", name)
    };
    for path in paths(&document, "get").into_iter().filter(|path| {
        !["/stream", "/bundle"].contains(&&**path) && !path.starts_with("/schedules")
    }) {
        let call = &document["paths"][&path]["get"];
        let needs = if path == "/suggest" { "?field=name" } else { needs(call) };
        let answer = scene.monitor.get(&format!("/api/v1{}{needs}", fill(&path))).await;
        let schema = &call["responses"]["200"]["content"]["application/json"]["schema"];
        check(&document, schema, &answer, &path);
    }
    for (path, body) in [
        (format!("/tasks/{waits}/revoke"), json!(null)),
        (format!("/tasks/{waits}/terminate"), json!(null)),
        ("/dead/requeue".to_owned(), json!({"offsets": [0]})),
        ("/operations".to_owned(), json!({"action": "requeue", "q": "state:all", "dry_run": true})),
        (format!("/operations/{operation}/cancel"), json!(null)),
        ("/queues/none/pause".to_owned(), json!({"reason": "smtp down"})),
        ("/queues/none/resume".to_owned(), json!(null)),
        ("/workers/order".to_owned(), json!({"action": "grow", "slots": 1})),
    ] {
        let (status, answer) = scene.monitor.act(&format!("/api/v1{path}"), &body).await;
        let of = path.replace(&waits, "{id}").replace(&operation, "{id}");
        let of = of.replace("/none/", "/{name}/");
        let call = &document["paths"][&of]["post"];
        let schema =
            &call["responses"][status.to_string()]["content"]["application/json"]["schema"];
        check(&document, schema, &answer, &format!("{path} {status}"));
        if let Some(content) = call["requestBody"]["content"]["application/json"].as_object() {
            check(&document, &content["schema"], &body, &of);
        }
    }
    for wrong in ["/api/v1/tasks?limit=0", "/api/v1/tasks/nothing", "/api/v1/audit?x=y"] {
        let problem: Value = scene.monitor.ask(wrong).await.json().await.unwrap();
        check(&document, &json!({"$ref": "#/components/schemas/Problem"}), &problem, wrong);
    }
    scene.stop().await;
}

/// What a call cannot be without.
fn needs(call: &Value) -> &'static str {
    let parameters = call["parameters"].as_array().unwrap();
    let mut queries = parameters.iter().filter(|it| it["in"] == "query" && it["required"] == true);
    match queries.next().map(|it| it["name"].as_str().unwrap()) {
        None => "",
        Some("queues") => "?queues=default",
        Some(other) => panic!("no test gives {other}"),
    }
}

fn paths(document: &Value, method: &str) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.filter(|(_, calls)| calls.get(method).is_some()).map(|(path, _)| path.clone()).collect()
}

fn described(document: &Value) -> BTreeSet<(String, &'static str)> {
    let of = |method| paths(document, method).into_iter().map(move |path| (path, method));
    METHODS.into_iter().flat_map(of).collect()
}

/// The routes, as they stand in the source.
fn routed() -> BTreeSet<(String, &'static str)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/monitor");
    let files = std::fs::read_dir(folder.join("api")).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let mut routes = BTreeSet::new();
    for file in files.chain([folder.join("http.rs")]) {
        let text = std::fs::read_to_string(file).unwrap();
        for route in text.split(".route(").skip(1) {
            let (path, rest) = route.trim_start()[1..].split_once('"').unwrap();
            let handlers = rest.split(".merge(").next().unwrap().split(";\n").next().unwrap();
            let is = |method: &&str| {
                [',', '.', ' '].iter().any(|it| handlers.contains(&format!("{it}{method}(")))
            };
            routes.extend(METHODS.into_iter().filter(is).map(|method| (path.to_owned(), method)));
        }
    }
    routes
}

/// Holds a value against a schema. It knows what our schemas say, and fails at anything else.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(why) = holds(document, schema, value) {
        panic!("{at}: {why}\nschema {schema:#}\nvalue {value:#}");
    }
}

fn holds(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &json!(true) { Ok(()) } else { Err(format!("no schema: {schema}")) };
    };
    let all = |schemas: &Value| -> Vec<Result<(), String>> {
        schemas.as_array().unwrap().iter().map(|it| holds(document, it, value)).collect()
    };
    for (keyword, rule) in schema {
        let is_right = match keyword.as_str() {
            "description" | "title" | "default" | "format" => true,
            "$ref" => {
                let place = rule.as_str().unwrap().trim_start_matches('#');
                holds(document, document.pointer(place).ok_or("a broken $ref")?, value)?;
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
                kind => is_of(value, kind),
            },
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|it| it >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= rule.as_f64().unwrap()),
            "uniqueItems" => true,
            "items" => {
                for it in value.as_array().into_iter().flatten() {
                    holds(document, rule, it)?;
                }
                true
            }
            "required" => {
                rule.as_array().unwrap().iter().all(|it| value.get(it.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(it) = value.get(name) {
                        holds(document, rule, it).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let is_more = |name: &str| known.is_none_or(|known| !known.contains_key(name));
                for (name, it) in value.as_object().into_iter().flatten() {
                    if is_more(name) {
                        holds(document, rule, it).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                true
            }
            "anyOf" => all(rule).iter().any(Result::is_ok),
            "oneOf" => all(rule).iter().filter(|it| it.is_ok()).count() == 1,
            "allOf" => all(rule).iter().all(Result::is_ok),
            other => return Err(format!("no test knows {other}")),
        };
        if !is_right {
            return Err(format!("{keyword} {rule}: {value}"));
        }
    }
    Ok(())
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
