//! `[tasks]` and `[tasks."NAME"]`: how tasks run, and tasks that are programs or HTTP calls.

use super::{RetryPolicy, TaskOptions};
use crate::backoff::Backoff;
use crate::inherit::{Inherit, Inherited};
use crate::secret::{Secret, SecretUrl};
use crate::units::{self, Rate, WordOrNumber};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
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
    /// How often a failed task is tried again: a number, 0 for never, or "forever". Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 3)]
    pub retries: Option<Retries>,
    /// How long a failed task waits before it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// The most starts in one worker process, such as "50/s". Default: no limit.
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
    /// Exit codes that mean success. Default [0].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = [0])]
    pub success_codes: Option<Vec<i32>>,
    /// Exit codes that mean "try again later". Default [75]. All other codes are failures, tried
    /// again like any failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = [75])]
    pub retry_codes: Option<Vec<i32>>,
    /// Exit codes that mean "never try this again": the task goes to the archive. Default [65].
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
    /// The program to run, if the task is one.
    pub fn program(&self) -> Option<ProgramSettings> {
        Some(ProgramSettings {
            exec: self.exec.clone()?,
            workdir: self.workdir.clone(),
            env: self.env.clone().unwrap_or_default(),
            stdin: self.stdin.unwrap_or_default(),
            success_codes: self.success_codes.clone().unwrap_or_else(|| vec![0]),
            retry_codes: self.retry_codes.clone().unwrap_or_else(|| vec![75]),
            reject_codes: self.reject_codes.clone().unwrap_or_else(|| vec![65]),
            discard_codes: self.discard_codes.clone().unwrap_or_default(),
            snooze_codes: self.snooze_codes.clone().unwrap_or_default(),
            snooze: self.snooze.unwrap_or(Duration::from_secs(60)),
            grace: self.grace.unwrap_or(Duration::from_secs(5)),
            max_output: self.max_output(),
        })
    }

    /// The most bytes of a program's output or an HTTP reply that are kept.
    pub fn max_output(&self) -> u64 {
        self.max_output.unwrap_or(1 << 20)
    }

    /// How long after sending the task may still start; `None` for ever.
    pub fn expires(&self) -> Option<Duration> {
        self.expires.filter(|wait| !wait.is_zero())
    }

    /// `declared` with everything replaced that these settings say.
    fn override_options(self, declared: TaskOptions) -> TaskOptions {
        TaskOptions {
            queue: self.queue.or(declared.queue),
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
    /// A task that is a program or an HTTP call itself inherits neither from its parent.
    fn or(self, parent: &Self) -> Self {
        let runs = self.exec.is_some() || self.http.is_some();
        let inherits = |kind: bool| !runs && kind;
        Self {
            queue: self.queue.or_else(|| parent.queue.clone()),
            retries: self.retries.or(parent.retries),
            backoff: inherit_backoff(self.backoff, parent.backoff.as_ref()),
            retry_on: self.retry_on.or_else(|| parent.retry_on.clone()),
            give_up_on: self.give_up_on.or_else(|| parent.give_up_on.clone()),
            soft_limit: self.soft_limit.or(parent.soft_limit),
            time_limit: self.time_limit.or(parent.time_limit),
            expires: self.expires.or(parent.expires),
            rate: self.rate.or(parent.rate),
            ack: self.ack.or(parent.ack),
            store_result: self.store_result.or(parent.store_result),
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
            exec: if inherits(parent.exec.is_some()) { parent.exec.clone() } else { self.exec },
            http: if inherits(parent.http.is_some()) { parent.http.clone() } else { self.http },
        }
    }
}

fn inherit_backoff(
    own: Option<BackoffTable>,
    parent: Option<&BackoffTable>,
) -> Option<BackoffTable> {
    let Some(parent) = parent else { return own };
    let own = own.unwrap_or_default();
    Some(BackoffTable {
        first: own.first.or(parent.first),
        factor: own.factor.or(parent.factor),
        max: own.max.or(parent.max),
        jitter: own.jitter.or(parent.jitter),
    })
}

/// How often a failed task is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// This many times after the first attempt.
    Times(u32),
    /// Until it succeeds.
    Forever,
}

impl Retries {
    /// As [`RetryPolicy::max_retries`] has it.
    pub fn max(self) -> Option<u32> {
        match self {
            Self::Times(times) => Some(times),
            Self::Forever => None,
        }
    }
}

impl<'de> Deserialize<'de> for Retries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrNumber {
            word: ("forever", Self::Forever),
            number: |times| Some(Self::Times(times)),
            expected: r#"a number from 0, or "forever""#,
        })
    }
}

impl Serialize for Retries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Times(times) => serializer.serialize_u32(*times),
            Self::Forever => serializer.serialize_str("forever"),
        }
    }
}

impl JsonSchema for Retries {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Retries".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "const": "forever" },
                { "type": "integer", "minimum": 0, "maximum": u32::MAX }
            ]
        })
    }
}

/// How long a failed task waits before it is tried again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffTable {
    /// The wait before the first retry. Default "1s".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub first: Option<Duration>,
    /// What each further wait is multiplied by, from 1 (every wait the same). Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0))]
    pub factor: Option<f64>,
    /// No wait is longer than this. Default "10m".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max: Option<Duration>,
    /// The share of each wait that chance may take away, from 0 to 1, so that tasks which failed
    /// together do not come back together. Default 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: Option<f64>,
}

impl BackoffTable {
    fn over(self, declared: &Backoff) -> Backoff {
        Backoff {
            first: self.first.unwrap_or(declared.first),
            factor: self.factor.unwrap_or(declared.factor),
            max: self.max.unwrap_or(declared.max),
            jitter: self.jitter.unwrap_or(declared.jitter),
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

/// What a program reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// The arguments, as one JSON document.
    #[default]
    Json,
    /// Nothing.
    None,
}

/// A task that is a program, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramSettings {
    /// Path and arguments, with `{name}` for arguments of the task.
    pub exec: Vec<String>,
    /// The folder to run in; `None` is the worker's.
    pub workdir: Option<PathBuf>,
    /// Environment variables, added to the worker's own.
    pub env: BTreeMap<String, Secret>,
    /// What the program reads on standard input.
    pub stdin: Stdin,
    /// Exit codes that mean success.
    pub success_codes: Vec<i32>,
    /// Exit codes that mean "try again later".
    pub retry_codes: Vec<i32>,
    /// Exit codes that mean "never try this again".
    pub reject_codes: Vec<i32>,
    /// Exit codes that mean "nothing to do any more".
    pub discard_codes: Vec<i32>,
    /// Exit codes that mean "come back later".
    pub snooze_codes: Vec<i32>,
    /// How long such a task waits when the program does not say.
    pub snooze: Duration,
    /// How long after it was asked to stop a program is killed.
    pub grace: Duration,
    /// The most bytes of output that are kept.
    pub max_output: u64,
}

/// A task that is an HTTP call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// What is sent as JSON: "call" for the whole call, "kwargs" for the arguments by name alone,
    /// "none". Default "call" with "POST", "PUT" and "PATCH", else "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<RequestBody>,
    /// The address. `{name}` is replaced by the keyword argument of that name, encoded.
    pub url: SecretUrl,
    /// How long the whole call may take.
    #[serde(with = "units::duration", default = "default_http_timeout")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Headers of the request. A secret may be given as `NAME_file = "path"`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Replies that are tried again: "503", "5xx", "timeout", "connect".
    #[serde(default = "default_http_retry_on")]
    pub retry_on: Vec<Reply>,
    /// Replies that are never tried again, unless `retry_on` has them too.
    #[serde(default = "default_http_reject_on")]
    pub reject_on: Vec<Reply>,
}

impl HttpSettings {
    /// What is sent.
    pub fn body(&self) -> RequestBody {
        self.body.unwrap_or(match self.method {
            Method::Post | Method::Put | Method::Patch => RequestBody::Call,
            Method::Get | Method::Delete => RequestBody::None,
        })
    }
}

fn default_http_timeout() -> Duration {
    Duration::from_secs(30)
}

fn default_http_retry_on() -> Vec<Reply> {
    let too_early = [Reply::Status(408), Reply::Status(429)];
    [&[Reply::Class(5), Reply::Timeout, Reply::Connect][..], &too_early].concat()
}

fn default_http_reject_on() -> Vec<Reply> {
    vec![Reply::Class(3), Reply::Class(4)]
}

/// What an HTTP call sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestBody {
    /// The call as one JSON document: task, id, attempt, args, kwargs.
    Call,
    /// The arguments by name, as one JSON object.
    Kwargs,
    /// Nothing.
    None,
}

/// The method of an HTTP call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    Get,
    /// Sends.
    #[default]
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// How an HTTP call ended: a status, a hundred of them, or no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// `"503"`: exactly this status.
    Status(u16),
    /// `"5xx"`: every status that begins with this digit.
    Class(u16),
    /// `"timeout"`: no reply in time.
    Timeout,
    /// `"connect"`: no connection.
    Connect,
}

impl Reply {
    /// Whether this is, or includes, the status `code`.
    pub fn has_status(self, code: u16) -> bool {
        match self {
            Self::Status(status) => status == code,
            Self::Class(digit) => digit == code / 100,
            Self::Timeout | Self::Connect => false,
        }
    }
}

impl FromStr for Reply {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!(r#"`{text}` is no HTTP reply; write "503", "5xx", "timeout" or "connect""#);
        match text {
            "timeout" => return Ok(Self::Timeout),
            "connect" => return Ok(Self::Connect),
            _ => {}
        }
        let class = text.strip_suffix("xx");
        let number: u16 = class.unwrap_or(text).parse().map_err(|_| wrong())?;
        match class {
            Some(_) if (1..=5).contains(&number) => Ok(Self::Class(number)),
            None if (100..=599).contains(&number) => Ok(Self::Status(number)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connect => f.write_str("connect"),
        }
    }
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Reply {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reply".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([1-5](xx|[0-9]{2})|timeout|connect)$"
        })
    }
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

    #[test]
    fn an_http_reply_is_a_status_a_hundred_or_none() {
        for text in ["503", "5xx", "timeout", "connect"] {
            assert_eq!(text.parse::<Reply>().unwrap().to_string(), text);
        }
        for text in ["9xx", "60", "xx", "soon"] {
            assert!(text.parse::<Reply>().is_err(), "{text}");
        }
        assert!(Reply::Class(5).has_status(503) && !Reply::Class(5).has_status(404));
    }
}
