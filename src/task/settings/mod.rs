//! `[tasks]` and `[tasks."NAME"]`: how tasks run, and tasks that are programs or HTTP calls.

mod http;
mod policy;
mod program;
mod retries;

pub use http::{HttpSettings, Method, Reply, RequestBody};
pub use policy::{PolicyLine, Source};
pub use program::{ProgramSettings, Stdin};
pub use retries::{BackoffTable, Retries};

use super::{RetryPolicy, TaskOptions};
use crate::inherit::{Inherit, Inherited};
use crate::secret::Secret;
use crate::units::{self, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The tasks, and what all tasks inherit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tasks(Inherited<TaskSettings>);

impl Tasks {
    /// The task `name`, defined or not, with everything it inherits.
    pub fn get(&self, name: &str) -> TaskSettings {
        self.0.resolve(name)
    }

    /// Whether there is a table `[tasks."NAME"]`.
    pub fn is_defined(&self, name: &str) -> bool {
        self.0.named.contains_key(name)
    }

    /// What the table `[tasks."NAME"]` itself says, if there is one.
    pub fn table(&self, name: &str) -> Option<&TaskSettings> {
        self.0.named.get(name)
    }

    /// The names of the defined tasks, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.named.keys().map(String::as_str)
    }

    /// The defined tasks with everything they inherit, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TaskSettings)> {
        self.names().map(|name| (name, self.get(name)))
    }

    /// Defines a task, or replaces its table.
    pub fn insert(&mut self, name: impl Into<String>, task: TaskSettings) {
        self.0.named.insert(name.into(), task);
    }

    /// The options of the task `name`: `declared` in code, overridden by the configuration.
    pub fn options(&self, name: &str, declared: TaskOptions) -> TaskOptions {
        self.get(name).override_options(declared)
    }
}

/// `[tasks]` and `[tasks."NAME"]` as written: a key left out is inherited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskSettings {
    /// The queue the task goes to, unless a route or the call says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"default")]
    pub queue: Option<String>,
    /// Its priority from 0 to 255, unless a route or the call says otherwise; higher goes first.
    /// Only a queue with `max_priority` minds it. Default: none, which counts as 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 5)]
    pub priority: Option<u8>,
    /// How often a failed task is tried again: a number, 0 for never, or "forever". Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 3)]
    pub retries: Option<Retries>,
    /// How long a failed task waits before it is tried again: a table, or as text "10s..1h" for a wait
    /// that doubles up to the longest, "10s" for one that stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<retries::BackoffForm>")]
    #[schemars(example = serde_json::json!({ "first": "1s", "factor": 2.0, "max": "10m", "jitter": 0.5 }))]
    pub backoff: Option<BackoffTable>,
    /// If given, only errors of these types are tried again; `*` and `?` match as in file names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["*Timeout*"])]
    pub retry_on: Option<Vec<String>>,
    /// Errors of these types are never tried again. Wins over `retry_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["ValueError"])]
    pub give_up_on: Option<Vec<String>>,
    /// The task is asked to stop after this long. "0s", the default, is no limit.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "0s")]
    pub soft_limit: Option<Duration>,
    /// The task is stopped after this long, and has failed. "0s", the default, is no limit.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "0s")]
    pub time_limit: Option<Duration>,
    /// A task not started this long after it was sent is given up. "0s", the default, is never.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "0s")]
    pub expires: Option<Duration>,
    /// The most starts in one worker process, such as "50/s"; of each key where calls have a rate
    /// key. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "50/s")]
    pub rate: Option<Rate>,
    /// "late" acknowledges after the task has run: it may run twice when the worker dies. "early"
    /// acknowledges before: it may be lost instead. Default "late".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"late")]
    pub ack: Option<Acknowledge>,
    /// Whether the result goes to the result backend when the caller did not say. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub store_result: Option<bool>,
    /// Do not run a task again that has a value: when its message is handed out again, the result
    /// backend is asked first. Needs a backend that keeps results. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub skip_finished: Option<bool>,

    /// The most memory that the process of the task may use: of a program, or of a task that its
    /// code declares with isolation = "process". "0 B", the default, is no limit.
    #[serde(with = "units::optional_size", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "0 B")]
    pub max_memory: Option<u64>,

    /// Makes the task a program: its path and arguments, started without a shell. `{name}` is
    /// replaced by the keyword argument of that name, `{0}` by the first positional one. The
    /// program's standard output is the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["./tasks/compress", "{path}", "{height}"])]
    pub exec: Option<Vec<String>>,
    /// The folder the program runs in. Default: the worker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/srv/app")]
    pub workdir: Option<PathBuf>,
    /// Environment variables of the program, added to the worker's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "RUST_LOG": "info" }))]
    pub env: Option<BTreeMap<String, Secret>>,
    /// What the program reads on standard input: "json" for the arguments as one JSON document,
    /// "none" for nothing. Default "json".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"json")]
    pub stdin: Option<Stdin>,
    /// Exit codes that mean success. Default `[0]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = [0])]
    pub success_codes: Option<Vec<i32>>,
    /// Exit codes that mean "try again later". Default `[75]`. All other codes are failures, tried
    /// again like any failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = [75])]
    pub retry_codes: Option<Vec<i32>>,
    /// Exit codes that mean "never try this again": the task goes to the archive. Default `[65]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = [65])]
    pub reject_codes: Option<Vec<i32>>,
    /// Exit codes that mean "nothing to do any more": failed, neither tried again nor archived.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard_codes: Option<Vec<i32>>,
    /// Exit codes that mean "come back later", without counting an attempt. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snooze_codes: Option<Vec<i32>>,
    /// How long such a task waits when the program does not say. Default "1m".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub snooze: Option<Duration>,
    /// How long a program that was asked to stop may go on before it is killed. Default "5s".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub grace: Option<Duration>,
    /// The most output of a program, or of an HTTP reply, that is kept. Default "1 MiB".
    #[serde(with = "units::optional_size", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[schemars(example = "1 MiB")]
    pub max_output: Option<u64>,

    /// Makes the task an HTTP call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "url": "http://127.0.0.1:8080/push", "timeout": "5s" }))]
    pub http: Option<HttpSettings>,
}

impl TaskSettings {
    /// The most bytes of a program's output or an HTTP reply that are kept.
    pub fn max_output(&self) -> u64 {
        self.max_output.unwrap_or(1 << 20)
    }

    /// `declared` with everything replaced that these settings say.
    fn override_options(self, declared: TaskOptions) -> TaskOptions {
        TaskOptions {
            queue: self.queue.or(declared.queue),
            priority: self.priority.or(declared.priority),
            expires: limit(self.expires, declared.expires),
            retry: RetryPolicy {
                max_retries: self.retries.map_or(declared.retry.max_retries, Retries::max),
                backoff: self.backoff.unwrap_or_default().over(&declared.retry.backoff),
                retry_on: self.retry_on.unwrap_or(declared.retry.retry_on),
                give_up_on: self.give_up_on.unwrap_or(declared.retry.give_up_on),
            },
            soft_limit: limit(self.soft_limit, declared.soft_limit),
            time_limit: limit(self.time_limit, declared.time_limit),
            rate: self.rate.map(Rate::per_second).or(declared.rate),
            ignore_result: self.store_result.map_or(declared.ignore_result, |store| !store),
            skip_finished: self.skip_finished.unwrap_or(declared.skip_finished),
            isolation: declared.isolation,
            max_memory: self.max_memory.or(declared.max_memory).filter(|bytes| *bytes > 0),
            acknowledge_early: self
                .ack
                .map_or(declared.acknowledge_early, |ack| ack == Acknowledge::Early),
        }
    }
}

/// A limit of zero lifts the declared one.
fn limit(configured: Option<Duration>, declared: Option<Duration>) -> Option<Duration> {
    configured.or(declared).filter(|limit| !limit.is_zero())
}

impl Inherit for TaskSettings {
    /// What a task runs is its own: a program or an HTTP call is not inherited.
    fn or(self, parent: &Self) -> Self {
        Self {
            queue: self.queue.or_else(|| parent.queue.clone()),
            priority: self.priority.or(parent.priority),
            retries: self.retries.or(parent.retries),
            backoff: BackoffTable::inherit(self.backoff, parent.backoff.as_ref()),
            retry_on: self.retry_on.or_else(|| parent.retry_on.clone()),
            give_up_on: self.give_up_on.or_else(|| parent.give_up_on.clone()),
            soft_limit: self.soft_limit.or(parent.soft_limit),
            time_limit: self.time_limit.or(parent.time_limit),
            expires: self.expires.or(parent.expires),
            rate: self.rate.or(parent.rate),
            ack: self.ack.or(parent.ack),
            store_result: self.store_result.or(parent.store_result),
            skip_finished: self.skip_finished.or(parent.skip_finished),
            max_memory: self.max_memory.or(parent.max_memory),
            workdir: self.workdir.or_else(|| parent.workdir.clone()),
            env: self.env.or_else(|| parent.env.clone()),
            stdin: self.stdin.or(parent.stdin),
            success_codes: self.success_codes.or_else(|| parent.success_codes.clone()),
            retry_codes: self.retry_codes.or_else(|| parent.retry_codes.clone()),
            reject_codes: self.reject_codes.or_else(|| parent.reject_codes.clone()),
            discard_codes: self.discard_codes.or_else(|| parent.discard_codes.clone()),
            snooze_codes: self.snooze_codes.or_else(|| parent.snooze_codes.clone()),
            snooze: self.snooze.or(parent.snooze),
            grace: self.grace.or(parent.grace),
            max_output: self.max_output.or(parent.max_output),
            exec: self.exec,
            http: self.http,
        }
    }
}

/// When a task is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// After it has run.
    #[default]
    Late,
    /// Before it runs.
    Early,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(text: &str) -> Tasks {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_the_file_says_wins_over_what_the_code_declares() {
        let tasks = tasks(
            "retries = 1\nbackoff.max = \"5s\"\n[mail]\nretries = \"forever\"\nbackoff.factor = 1\ntime_limit = \"0s\"",
        );
        let declared =
            TaskOptions { time_limit: Some(Duration::from_secs(9)), ..TaskOptions::default() };
        let other = tasks.options("other", declared.clone());
        assert_eq!(other.retry.max_retries, Some(1));
        assert_eq!(other.time_limit, Some(Duration::from_secs(9)));
        let mail = tasks.options("mail", declared);
        assert_eq!(mail.retry.max_retries, None);
        assert_eq!(mail.time_limit, None);
        assert_eq!(mail.retry.backoff.factor, 1.0);
        assert_eq!(mail.retry.backoff.max, Duration::from_secs(5));
        assert_eq!(mail.retry.backoff.first, Duration::from_secs(1));
    }
}
