//! Questions: what a worker knows, without changing anything.

use super::super::attempt::Attempt;
use super::super::context::Known;
use super::Remote;
use super::answer::{Answer, Given, ok, refused, texts};
use super::info::{Arguments, Shown, State};
use crate::task::{PolicyLine, Source};
use crate::units::format_duration;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What Celery shows of tasks unless told otherwise.
const SHOWN: [&str; 3] = ["exchange", "routing_key", "rate_limit"];

impl Remote {
    /// Answers a question; `None` when it is none.
    pub(super) fn inspect(&self, given: Given<'_>) -> Option<Answer> {
        Some(match given.method {
            "ping" => ok("pong"),
            "clock" => Ok(json!({ "clock": self.context.events.logical_clock().value() })),
            "active" | "dump_active" => {
                let arguments = match given.flag("safe") {
                    true => Arguments::Words,
                    false => Arguments::Values,
                };
                self.requests(State::Active, arguments)
            }
            "reserved" | "dump_reserved" => self.requests(State::Reserved, Arguments::Values),
            "scheduled" | "dump_schedule" => self.scheduled(),
            "query_task" => self.query(given),
            "registered" | "dump_tasks" => self.registered(given),
            "policy" => self.policy(given),
            "revoked" | "dump_revoked" => Ok(json!(self.context.revoked.ids())),
            "active_queues" => Ok(self.context.status.shapes()),
            "stats" => Ok(self.stats()),
            "conf" | "dump_conf" => Ok(self.conf(given.flag("with_defaults"))),
            "report" => ok(self.report()),
            "memsample" => Ok(self.memory()),
            "memdump" | "objgraph" => {
                refused(format!("{}: there is no Python interpreter to look into", given.method))
            }
            _ => return None,
        })
    }

    /// The attempts of a state, those that are here longest first.
    fn in_state(&self, state: State) -> Vec<Arc<Attempt>> {
        let now = self.context.clock.now();
        let mut attempts = self.context.here.all();
        attempts.retain(|attempt| State::of(attempt, now) == state);
        attempts.sort_by_key(|attempt| attempt.stage.began());
        attempts
    }

    fn requests(&self, state: State, arguments: Arguments) -> Answer {
        let mut shown = Shown::new(&self.node, arguments);
        Ok(self.in_state(state).iter().map(|attempt| shown.request(attempt)).collect())
    }

    fn scheduled(&self) -> Answer {
        let mut shown = Shown::new(&self.node, Arguments::Values);
        Ok(self.in_state(State::Scheduled).iter().map(|it| shown.scheduled(it)).collect())
    }

    fn query(&self, given: Given<'_>) -> Answer {
        let ids = given.ids("ids")?;
        let now = self.context.clock.now();
        let mut shown = Shown::new(&self.node, Arguments::Values);
        let mut found = Map::new();
        for attempt in self.context.here.all() {
            if ids.contains(&attempt.headers.id) {
                let state = State::of(&attempt, now).word();
                let answer = json!([state, shown.request(&attempt)]);
                found.insert(attempt.headers.id.to_string(), answer);
            }
        }
        Ok(found.into())
    }

    fn policy(&self, given: Given<'_>) -> Answer {
        let names = given.texts("task_name")?;
        let mut policies = Map::new();
        for name in names {
            let Some(known) = self.context.known(&name) else {
                return refused(format!("no task {name} is registered here"));
            };
            policies.insert(name, policy(&known));
        }
        Ok(policies.into())
    }

    fn registered(&self, given: Given<'_>) -> Answer {
        let items = given.value("taskinfoitems").and_then(texts).unwrap_or_default();
        let items: Vec<&str> = match items.is_empty() {
            true => SHOWN.to_vec(),
            false => items.iter().map(String::as_str).collect(),
        };
        let builtins = given.flag("builtins");
        let tasks = self.context.tasks.iter();
        let mut tasks: Vec<_> =
            tasks.filter(|(name, _)| builtins || !name.starts_with("celery.")).collect();
        tasks.sort_by_key(|(name, _)| name.as_str());
        Ok(tasks.into_iter().map(|(name, known)| described(name, known, &items)).collect())
    }
}

/// The options of a task as they are in force, and who says so.
fn policy(known: &Known) -> Value {
    let limits = &known.limits;
    let time = |limit: Option<Duration>| limit.map(format_duration);
    let now = [
        ("rate", limits.rate()),
        ("soft_limit", time(limits.soft())),
        ("time_limit", time(limits.hard())),
    ];
    let lines = known.policy.iter().map(|line| {
        let mut line = line.clone();
        if let Some((_, value)) = now.iter().find(|(option, _)| *option == line.option) {
            let value = value.clone().unwrap_or_else(|| "none".to_owned());
            if value != line.value {
                line = PolicyLine { value, from: Source::Remote, ..line };
            }
        }
        (line.option.to_owned(), json!(line))
    });
    Value::Object(lines.collect())
}

/// A task with those of its attributes that are asked for and not null, in Celery's words.
fn described(name: &str, known: &Known, items: &[&str]) -> Value {
    let shown: Vec<String> = items
        .iter()
        .filter_map(|item| Some(format!("{item}={}", attribute(known, item)?)))
        .collect();
    match shown.is_empty() {
        true => json!(name),
        false => json!(format!("{name} [{}]", shown.join(" "))),
    }
}

fn attribute(known: &Known, name: &str) -> Option<String> {
    let options = &known.options;
    let truth = |truth: bool| if truth { "True" } else { "False" }.to_owned();
    let seconds = |limit: std::time::Duration| limit.as_secs_f64().to_string();
    match name {
        "rate_limit" => known.limits.rate(),
        "queue" => options.queue.clone(),
        "max_retries" => options.retry.max_retries.map(|retries| retries.to_string()),
        "time_limit" => known.limits.hard().map(seconds),
        "soft_time_limit" => known.limits.soft().map(seconds),
        "ignore_result" => Some(truth(options.ignore_result)),
        "acks_late" => Some(truth(!options.acknowledge_early)),
        _ => None,
    }
}
