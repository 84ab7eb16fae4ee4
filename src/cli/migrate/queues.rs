//! Exchanges, queues and routes, declared as Celery declares them.

use super::document::Document;
use super::fleet::{Fleet, Queue, Route};
use super::{inline, spoken};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn write(fleet: &Fleet, to: &mut Document) {
    let declared = fleet.queues.iter().filter(|queue| queue.declare && !queue.exchange.is_empty());
    let exchanges: BTreeMap<&str, &str> =
        declared.map(|queue| (queue.exchange.as_str(), queue.exchange_type.as_str())).collect();
    for (name, kind) in exchanges {
        to.section(&["exchanges", name]);
        to.set("type", kind);
    }
    let kind = fleet.changed.get("task_default_queue_type").and_then(Value::as_str);
    let priority = fleet.changed.get("task_queue_max_priority").and_then(Value::as_u64);
    for queue in &fleet.queues {
        self::queue(queue, kind.unwrap_or("classic"), priority, to);
    }
    to.section(&["routes"]);
    for route in &fleet.routes {
        self::route(route, to);
    }
    if !fleet.routes.iter().any(|route| route.pattern.as_deref() == Some("*")) {
        to.set("*", fleet.default_queue.as_str());
    }
}

fn queue(queue: &Queue, kind: &str, priority: Option<u64>, to: &mut Document) {
    to.section(&["queues", &queue.name]);
    if !queue.declare {
        to.comment(
            "Celery does not declare it. Without this line Celeriac does, with its archive.",
        );
        return to.set("declare", false);
    }
    if !queue.durable {
        to.note(format!("queue {}", queue.name), "queues are durable, and belong to nobody");
    }
    let mut arguments = queue.arguments.clone();
    let mut take = |name: &str| arguments.remove(name);
    let kind = take("x-queue-type")
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or(kind.to_owned());
    let is_classic = kind == "classic";
    if !["classic", "quorum"].contains(&kind.as_str()) {
        to.note(format!("queue {}", queue.name), format!("of type {kind}; it is left as it is"));
        return to.set("declare", false);
    }
    to.set("type", kind);
    to.comment("Both sides declare the same, or RabbitMQ refuses the second.");
    to.set("dead_letter", false);
    if !queue.exchange.is_empty() {
        to.set("exchange", queue.exchange.as_str());
        to.set("bindings", queue.bindings.clone());
    }
    let number = |value: Option<Value>| value.and_then(|value| value.as_u64());
    let highest = number(take("x-max-priority")).or(queue.max_priority.map(u64::from)).or(priority);
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    if is_classic {
        to.maybe("max_priority", highest.map(integer));
    }
    let ttl = number(take("x-message-ttl")).map(|millis| millis as f64 / 1000.0);
    to.maybe("message_ttl", ttl.or(queue.message_ttl).map(spoken));
    to.maybe("max_length", number(take("x-max-length")).or(queue.max_length).map(integer));
    if let Some(table) = inline(&Value::Object(arguments))
        .filter(|table| table.as_table().is_some_and(|it| !it.is_empty()))
    {
        to.set("arguments", table);
    }
}

fn route(route: &Route, to: &mut Document) {
    let Some(pattern) = &route.pattern else {
        let kind = route.kind.as_deref().unwrap_or("an object");
        let why = format!("a route by {kind}; write patterns with * and ? instead");
        return to.note("task_routes", why);
    };
    let mut table = toml::Table::new();
    for (name, value) in [
        ("queue", &route.queue),
        ("exchange", &route.exchange),
        ("routing_key", &route.routing_key),
    ] {
        if let Some(value) = value {
            table.insert(name.to_owned(), value.as_str().into());
        }
    }
    if let Some(priority) = route.priority {
        table.insert("priority".to_owned(), i64::from(priority).into());
    }
    if table.contains_key("queue") {
        table.remove("exchange");
        table.remove("routing_key");
    }
    match (table.len(), &route.queue) {
        (0, _) => to.note(format!("route {pattern}"), "it says neither queue nor exchange"),
        (1, Some(queue)) => to.set(pattern, queue.as_str()),
        _ => to.set(pattern, table),
    }
}
