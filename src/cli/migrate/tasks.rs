//! What is said of tasks: limits, retries, acknowledgement.

use super::document::Document;
use super::fleet::{Fleet, Options};
use super::spoken;
use serde_json::Value;
use toml::Table;

pub(super) fn write(fleet: &Fleet, to: &mut Document) {
    to.section(&["tasks"]);
    to.comment("As in Celery: a task that fails is tried again only where it says so.");
    to.set("retries", 0);
    let changed = |key: &str| fleet.changed.get(key);
    if changed("task_acks_late").and_then(Value::as_bool) != Some(true) {
        to.comment("As in Celery: a worker that dies loses what it runs. \"late\" loses nothing.");
        to.set("ack", "early");
    }
    let all = Options {
        time_limit: changed("task_time_limit").and_then(Value::as_f64),
        soft_time_limit: changed("task_soft_time_limit").and_then(Value::as_f64),
        rate_limit: changed("task_default_rate_limit").cloned(),
        ignore_result: changed("task_ignore_result").and_then(Value::as_bool),
        priority: changed("task_default_priority")
            .and_then(Value::as_u64)
            .and_then(|priority| u8::try_from(priority).ok()),
        ..Options::default()
    };
    let annotated = fleet.annotations.get("*");
    // It wins, as in Celery.
    let usual = |get: fn(&Options) -> Option<f64>| annotated.and_then(get).or_else(|| get(&all));
    limits(
        &Options {
            time_limit: usual(|options| options.time_limit),
            soft_time_limit: usual(|options| options.soft_time_limit),
            rate_limit: annotated
                .and_then(|options| options.rate_limit.clone())
                .or_else(|| all.rate_limit.clone()),
            ignore_result: annotated.and_then(|it| it.ignore_result).or(all.ignore_result),
            priority: annotated.and_then(|it| it.priority).or(all.priority),
            ..Options::default()
        },
        to,
    );
    let annotated = fleet.annotations.keys().filter(|name| *name != "*");
    for name in annotated.filter(|name| !fleet.tasks.iter().any(|task| task.name == **name)) {
        to.section(&["tasks", name]);
        limits(&fleet.annotations[name], to);
    }
    for task in &fleet.tasks {
        to.section(&["tasks", &task.name]);
        limits(&task.options, to);
        retries(&task.options, to);
    }
    if fleet.other_annotations > 0 {
        to.note("task_annotations", "those that are functions, or change other attributes");
    }
    if !fleet.tasks.is_empty() {
        let why = "have their bodies in Python. Leave their queues to Celery's workers, or give \
                   them `exec` or `http` in their tables, or a function in Rust: docs/tasks.md";
        to.note("the tasks", why);
    }
}

fn limits(options: &Options, to: &mut Document) {
    to.maybe("queue", options.queue.as_deref());
    to.maybe("priority", options.priority.map(i64::from));
    to.maybe("time_limit", options.time_limit.map(spoken));
    to.maybe("soft_limit", options.soft_time_limit.map(spoken));
    to.maybe("rate", options.rate_limit.as_ref().and_then(rate));
    let ack = options.acks_late.map(|late| if late { "late" } else { "early" });
    to.maybe("ack", ack);
    to.maybe("store_result", options.ignore_result.map(|ignored| !ignored));
}

fn retries(options: &Options, to: &mut Document) {
    if options.autoretry_for.is_empty() {
        return;
    }
    match options.retries_forever {
        true => to.set("retries", "forever"),
        false => to.set("retries", i64::from(options.max_retries.unwrap_or(3))),
    }
    let is_any = |name: &String| name == "Exception" || name == "BaseException";
    if !options.autoretry_for.iter().any(is_any) {
        to.set("retry_on", options.autoretry_for.clone());
    }
    let wait = |seconds: f64| toml::Value::from(spoken(seconds));
    let first = match &options.retry_backoff {
        Some(Value::Bool(true)) => Some(1.0),
        Some(value) => value.as_f64().filter(|first| *first > 0.0),
        None => None,
    };
    let mut backoff = Table::new();
    match first {
        Some(first) => {
            backoff.insert("first".to_owned(), wait(first));
            let most = options.retry_backoff_max.unwrap_or(600.0).max(first);
            backoff.insert("max".to_owned(), wait(most));
            let jitter = if options.retry_jitter == Some(false) { 0.0 } else { 1.0 };
            backoff.insert("jitter".to_owned(), jitter.into());
        }
        None => {
            let delay = options.default_retry_delay.unwrap_or(180.0);
            backoff.insert("first".to_owned(), wait(delay));
            backoff.insert("max".to_owned(), wait(delay));
            backoff.insert("factor".to_owned(), 1.0.into());
            backoff.insert("jitter".to_owned(), 0.0.into());
        }
    }
    to.set("backoff", backoff);
}

/// `10` is ten a second in Celery.
fn rate(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains('/') => Some(text.clone()),
        Value::String(text) => Some(format!("{text}/s")),
        Value::Number(number) => Some(format!("{number}/s")),
        _ => None,
    }
}
