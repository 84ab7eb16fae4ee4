//! `[scheduler]` and `[schedules]`: how the scheduler works, and what it sends when.

use super::cron::Days;
use super::sun::SunEvent;
use crate::inherit::{Inherit, Inherited};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How the scheduler works. Run as many as you like: one leads, the others stand by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// This scheduler's name, as `celeriac schedule list` shows the one that leads. `%h` is the
    /// host, `%p` the process id.
    pub name: String,
    /// A leader whose messages RabbitMQ does not confirm for so long steps down, so that another
    /// may lead. From "1s".
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub lease: Duration,
    /// How often leader and broker prove to each other that they live, instead of
    /// `broker.heartbeat`. A leader that hangs is replaced after two to three of these. Whole
    /// seconds, from "1s".
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub heartbeat: Duration,
    /// How often the files are looked at for changes. One that has changed is read when it looks the
    /// same twice. "0s" reloads on SIGHUP only.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub watch: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "%h-%p".to_owned(),
            lease: Duration::from_secs(4),
            heartbeat: Duration::from_secs(5),
            watch: Duration::from_secs(2),
        }
    }
}

/// The schedules, and what all of them inherit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Schedules(Inherited<ScheduleSettings>);

impl Schedules {
    /// The schedule `name`, with everything it inherits.
    pub fn get(&self, name: &str) -> ScheduleSettings {
        self.0.resolve(name)
    }

    /// Whether there is a table `[schedules.NAME]`.
    pub fn is_defined(&self, name: &str) -> bool {
        self.0.named.contains_key(name)
    }

    /// The names of the schedules, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.named.keys().map(String::as_str)
    }

    /// The schedules with everything they inherit, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ScheduleSettings)> {
        self.names().map(|name| (name, self.get(name)))
    }

    /// Adds a schedule, or replaces its table.
    pub fn insert(&mut self, name: impl Into<String>, schedule: ScheduleSettings) {
        self.0.named.insert(name.into(), schedule);
    }
}

/// `[schedules]` and `[schedules.NAME]` as written: a key left out is inherited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSettings {
    /// The task that is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"reports.nightly")]
    pub task: Option<String>,
    /// When: minute, hour, day of month, month, day of week; with seconds in front if there are
    /// six fields. Names, ranges, steps, `L` (last), `15W` (nearest weekday) and `5#2` (second
    /// Friday) work; `@daily` and the like, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"30 2 * * *")]
    pub cron: Option<String>,
    /// How day of month and day of week of `cron` go together if both are given: "either" matches,
    /// as cron has it, or "both" do, as Celery has it. Default "either".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"either")]
    pub days: Option<Days>,
    /// When, instead of `cron`: at this distance, in real time, whatever clocks do.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = &"30s")]
    pub every: Option<Duration>,
    /// A time at which `every` is due, from which the others follow, such as
    /// "2026-01-01T00:15:00Z". Default: the start of 1970, so "1h" is due at every full hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2026-01-01T00:15:00Z")]
    pub from: Option<String>,
    /// When, instead of `cron`: once, at this time; without an offset it is in `timezone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2026-12-31T23:59:00")]
    pub at: Option<String>,
    /// When, instead of `cron`: with the sun, at a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "event": "sunset", "latitude": 52.52, "longitude": 13.4 }))]
    pub sun: Option<SunSettings>,
    /// The time zone of `cron` and `at`, by its IANA name. Default "UTC".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"Europe/Berlin")]
    pub timezone: Option<String>,

    /// Positional arguments of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>", example = serde_json::json!([7]))]
    pub args: Option<Vec<toml::Value>>,
    /// Keyword arguments of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    #[schemars(example = serde_json::json!({ "format": "pdf" }))]
    pub kwargs: Option<toml::Table>,
    /// The queue it goes to, instead of where the routes lead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"default")]
    pub queue: Option<String>,
    /// Its priority, on a queue that has priorities; higher goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 5)]
    pub priority: Option<u8>,
    /// Whom it counts for where its task has a rate: each key has the whole rate for itself. From 1
    /// to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"smtp:acme", length(min = 1, max = 255))]
    pub rate_key: Option<String>,
    /// A run not started this long after it was due is given up. "0s", the default, is never.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = &"2h")]
    pub expires: Option<Duration>,
    /// Headers of the message; the task sees them in its context.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "tenant": "acme" }))]
    pub headers: Option<BTreeMap<String, String>>,

    /// Each run is sent up to this much later, by an amount that is fixed for that run, so that
    /// not everything starts at the full hour. Default "0s".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = &"30s")]
    pub jitter: Option<Duration>,
    /// What happens when a run is due and the one before has not ended: "allow" sends it, "skip"
    /// leaves it out, "cancel_previous" revokes the one before, and stops it if it runs. Default
    /// "allow". "skip" needs workers that send results through RabbitMQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"skip")]
    pub overlap: Option<Overlap>,
    /// With `overlap = "skip"`: a run whose end is not heard of for so long is taken for lost, and
    /// the next is sent. Default "1h".
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = &"1h")]
    pub overlap_limit: Option<Duration>,
    /// What happens to runs that were due while no scheduler led: "skip" leaves out what is more
    /// than a minute late, "once" sends the last of them, "all" sends each. Default "once".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"once")]
    pub missed: Option<Missed>,
    /// The most that a missed run may be late and still be sent. Default: for "once" until the
    /// next run is due; "all" needs it.
    #[serde(with = "units::optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = &"6h")]
    pub missed_within: Option<Duration>,
    /// Whether it runs at all. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub enabled: Option<bool>,
}

/// An event of the sun, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SunSettings {
    /// "sunrise", "sunset", "solar_noon", or "dawn_" and "dusk_" with "civil", "nautical" or
    /// "astronomical".
    #[serde(default)]
    pub event: Option<SunEvent>,
    /// Degrees, from -90 to 90; north is positive.
    #[schemars(range(min = -90.0, max = 90.0))]
    pub latitude: f64,
    /// Degrees, from -180 to 180; east is positive.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub longitude: f64,
}

/// What happens when the run before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Both run.
    #[default]
    Allow,
    /// The new one is left out.
    Skip,
    /// The one before is revoked, and stopped if it runs.
    CancelPrevious,
}

/// What happens to runs that were due while no scheduler led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out, unless they are less than a minute late.
    Skip,
    /// The last of them is sent.
    #[default]
    Once,
    /// Each is sent.
    All,
}

impl Inherit for ScheduleSettings {
    /// When it is due and what is sent belong to one schedule and are not inherited.
    fn or(self, parent: &Self) -> Self {
        Self {
            days: self.days.or(parent.days),
            timezone: self.timezone.or_else(|| parent.timezone.clone()),
            queue: self.queue.or_else(|| parent.queue.clone()),
            priority: self.priority.or(parent.priority),
            rate_key: self.rate_key.or_else(|| parent.rate_key.clone()),
            expires: self.expires.or(parent.expires),
            headers: self.headers.or_else(|| parent.headers.clone()),
            jitter: self.jitter.or(parent.jitter),
            overlap: self.overlap.or(parent.overlap),
            overlap_limit: self.overlap_limit.or(parent.overlap_limit),
            missed: self.missed.or(parent.missed),
            missed_within: self.missed_within.or(parent.missed_within),
            enabled: self.enabled.or(parent.enabled),
            ..self
        }
    }
}

impl ScheduleSettings {
    /// Keys that one schedule has for itself.
    pub(crate) const OWN: [&str; 8] =
        ["task", "cron", "every", "from", "at", "sun", "args", "kwargs"];

    /// This schedule with `edit` on top. A new time replaces the old one, of whatever kind.
    #[must_use]
    pub fn edited(self, edit: &Self) -> Self {
        let mut edited = edit.clone().or(&self);
        edited.task = edited.task.or(self.task);
        edited.args = edited.args.or(self.args);
        edited.kwargs = edited.kwargs.or(self.kwargs);
        if edit.times() == 0 {
            edited.from = edited.from.or(self.from);
            Self { cron: self.cron, every: self.every, at: self.at, sun: self.sun, ..edited }
        } else {
            edited
        }
    }

    /// How many kinds of time are given; one is right.
    pub(crate) fn times(&self) -> usize {
        [self.cron.is_some(), self.every.is_some(), self.at.is_some(), self.sun.is_some()]
            .into_iter()
            .filter(|given| *given)
            .count()
    }
}
