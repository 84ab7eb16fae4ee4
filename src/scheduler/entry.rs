//! An entry: what is sent, and by which rules. Made from settings or in code, checked either way.

use super::cron::{Cron, CronError};
use super::instant::to_system;
use super::overlap::WhileRunning;
use super::schedule::Schedule;
use super::settings::{Missed, Overlap, ScheduleSettings};
use super::sun::Sun;
use crate::clock::to_iso;
use crate::ids::TaskId;
use crate::publisher::SendOptions;
use crate::task::check_rate_key;
use crate::units::format_duration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// A run that is at most so late is late, and not missed.
const GRACE: Duration = Duration::from_secs(60);

/// How long a run without a word of its end counts as running.
const OVERLAP_LIMIT: Duration = Duration::from_secs(3600);

/// Something that is sent again and again.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name; part of the id of every run.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// The task.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Map<String, Value>,
    /// Queue, priority, headers.
    pub options: SendOptions,
    /// How long after it was due a run is worth starting; `None` for ever.
    pub expires: Option<Duration>,
    /// Each run is sent up to this much later.
    pub jitter: Duration,
    /// What happens when a run is due and the one before may not have ended.
    pub while_running: WhileRunning,
    /// What happens to runs that nobody sent in time.
    pub missed: MissedRuns,
    /// Whether it runs at all.
    pub enabled: bool,
}

/// What happens to runs that were due while no scheduler led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedRuns {
    /// The last of them is sent, unless it is more than this late.
    Last(Duration),
    /// Each that is at most this late is sent.
    Each(Duration),
}

/// Something that makes an entry impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("schedule `{name}`: {title}{}", match advice.as_str() { "" => String::new(), advice => format!("; {advice}") })]
pub struct EntryError {
    /// The schedule.
    pub name: String,
    /// The key that is wrong; empty when one is missing.
    pub key: &'static str,
    /// What is wrong.
    pub title: String,
    /// What to write instead; may be empty.
    pub advice: String,
    /// The bytes of the value that are wrong, if not all of it.
    pub part: Option<Range<usize>>,
}

impl Entry {
    /// Makes an entry of settings. `now` is when it is judged: how far apart the next runs are.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn new(
        name: &str,
        settings: &ScheduleSettings,
        now: SystemTime,
    ) -> Result<Self, Vec<EntryError>> {
        let mut reader = Reader { name, settings, errors: Vec::new() };
        let task = reader.task();
        let schedule = reader.schedule();
        reader.arguments();
        reader.rate_key();
        let missed = reader.missed();
        reader.overlap();
        if let Some(schedule) = &schedule
            && (settings.jitter.is_some() || settings.missed == Some(Missed::All))
        {
            reader.distances(schedule, now);
        }
        match (task, schedule) {
            (Some(task), Some(schedule)) if reader.errors.is_empty() => Ok(Self {
                name: name.to_owned(),
                schedule,
                task,
                args: json(settings.args.as_ref()),
                kwargs: json(settings.kwargs.as_ref()),
                options: options(settings),
                expires: settings.expires.filter(|wait| !wait.is_zero()),
                jitter: settings.jitter.unwrap_or_default(),
                while_running: while_running(settings),
                missed,
                enabled: settings.enabled.unwrap_or(true),
            }),
            _ => Err(reader.errors),
        }
    }

    /// The id of the run that is due at `due`: the same wherever and however often it is made.
    pub fn id(&self, due: SystemTime) -> TaskId {
        TaskId::derived(&self.run(due), 0)
    }

    /// One run, in words that no other has.
    fn run(&self, due: SystemTime) -> String {
        format!("{}@{}", self.name, to_iso(due))
    }

    /// When the run that is due at `due` is sent: a part of the jitter later, always the same.
    pub fn sent_at(&self, due: SystemTime) -> SystemTime {
        if self.jitter.is_zero() {
            return due;
        }
        let share = TaskId::share(&self.run(due));
        due + self.jitter.mul_f64(share)
    }

    /// Whether the run that is due at `due` may still be sent at `now`.
    pub fn is_worth(&self, due: SystemTime, now: SystemTime) -> bool {
        self.expires.is_none_or(|wait| due + wait > now)
    }
}

/// Reads settings and gathers what is wrong with them.
struct Reader<'a> {
    name: &'a str,
    settings: &'a ScheduleSettings,
    errors: Vec<EntryError>,
}

impl Reader<'_> {
    fn error(&mut self, key: &'static str, title: impl Into<String>, advice: impl Into<String>) {
        self.errors.push(EntryError {
            name: self.name.to_owned(),
            key,
            title: title.into(),
            advice: advice.into(),
            part: None,
        });
    }

    fn task(&mut self) -> Option<String> {
        let task = self.settings.task.clone().filter(|task| !task.is_empty());
        if task.is_none() {
            let advice = "add task = \"NAME\"";
            self.error("task", "it names no task", advice);
        }
        task
    }

    fn schedule(&mut self) -> Option<Schedule> {
        let settings = self.settings;
        if settings.times() != 1 {
            let title = match settings.times() {
                0 => "it is never due",
                _ => "it is due in more than one way",
            };
            self.error("cron", title, "give it one of cron, every, at or sun");
            return None;
        }
        if settings.from.is_some() && settings.every.is_none() {
            self.error("from", "`from` goes with `every`", "take it out");
        }
        if settings.days.is_some() && settings.cron.is_none() && settings.times() == 0 {
            self.error("days", "`days` goes with `cron`", "take it out");
        }
        let zone = self.zone()?;
        if let Some(text) = &settings.cron {
            let cron = Cron::parse(text, zone, settings.days.unwrap_or_default());
            return match cron {
                Ok(cron) => Some(Schedule::Cron(Box::new(cron))),
                Err(error) => self.cron_error(error),
            };
        }
        if let Some(period) = settings.every {
            return self.every(period, &zone);
        }
        if let Some(text) = &settings.at {
            return self.time("at", text, &zone).map(Schedule::At);
        }
        let sun = settings.sun.as_ref()?;
        let Some(event) = sun.event else {
            self.error("sun", "it says no event of the sun", "add event = \"sunrise\"");
            return None;
        };
        match Sun::new(event, sun.latitude, sun.longitude) {
            Some(sun) => Some(Schedule::Sun(sun)),
            None => {
                let advice = "latitude -90 to 90, longitude -180 to 180";
                self.error("sun", "there is no such place", advice);
                None
            }
        }
    }

    fn cron_error(&mut self, error: CronError) -> Option<Schedule> {
        self.errors.push(EntryError {
            name: self.name.to_owned(),
            key: "cron",
            title: error.problem,
            advice: error.advice,
            part: Some(error.part),
        });
        None
    }

    fn zone(&mut self) -> Option<TimeZone> {
        let name = self.settings.timezone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name);
        if zone.is_err() {
            let near = near_zone(name);
            let advice = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write it like \"Europe/Berlin\" or \"UTC\"".to_owned(),
            };
            self.error("timezone", format!("there is no time zone `{name}`"), advice);
        }
        zone.ok()
    }

    fn every(&mut self, period: Duration, zone: &TimeZone) -> Option<Schedule> {
        if period < Duration::from_millis(100) {
            self.error("every", "it is due too often", "at least \"100ms\"");
            return None;
        }
        let from = match &self.settings.from {
            Some(text) => self.time("from", text, zone)?,
            None => SystemTime::UNIX_EPOCH,
        };
        Some(Schedule::Every { period, from })
    }

    fn time(&mut self, key: &'static str, text: &str, zone: &TimeZone) -> Option<SystemTime> {
        let instant = text.parse::<Timestamp>().ok().or_else(|| {
            let civil = text.parse::<DateTime>().ok()?;
            zone.to_ambiguous_zoned(civil).compatible().ok().map(|zoned| zoned.timestamp())
        });
        if instant.is_none() {
            let advice = "write it like \"2026-12-31T23:59:00\", or with Z or an offset behind";
            self.error(key, format!("`{text}` is no time"), advice);
        }
        instant.map(to_system)
    }

    /// JSON has no word for what is not finite.
    fn arguments(&mut self) {
        let finite = |value: &toml::Value| is_finite(value);
        if !self.settings.args.iter().flatten().all(finite) {
            self.error("args", "an argument is no number", "JSON has neither nan nor inf");
        }
        if !self.settings.kwargs.iter().flat_map(|kwargs| kwargs.values()).all(finite) {
            self.error("kwargs", "an argument is no number", "JSON has neither nan nor inf");
        }
    }

    fn rate_key(&mut self) {
        let key = self.settings.rate_key.as_deref();
        if let Some(Err(error)) = key.map(check_rate_key) {
            self.error("rate_key", error.to_string(), "");
        }
    }

    fn missed(&mut self) -> MissedRuns {
        let within = self.settings.missed_within;
        match self.settings.missed.unwrap_or_default() {
            Missed::Skip => MissedRuns::Last(GRACE),
            Missed::Once => MissedRuns::Last(within.unwrap_or(Duration::MAX)),
            Missed::All => {
                if within.is_none() {
                    let title = "missed = \"all\" needs to know how far back";
                    self.error("missed", title, "add missed_within = \"1d\"");
                }
                MissedRuns::Each(within.unwrap_or_default())
            }
        }
    }

    /// Each of the runs that are made up for would stop the one before it.
    fn overlap(&mut self) {
        if self.settings.overlap == Some(Overlap::CancelPrevious)
            && self.settings.missed == Some(Missed::All)
        {
            let title = "overlap = \"cancel_previous\" and missed = \"all\" exclude each other";
            let advice =
                "each missed run would stop the one before; missed = \"once\" sends the last";
            self.error("overlap", title, advice);
        }
    }

    fn distances(&mut self, schedule: &Schedule, now: SystemTime) {
        let Some(gap) = schedule.shortest_gap(now) else { return };
        let words = schedule.words();
        let spoken = format_duration(gap);
        if self.settings.jitter.is_some_and(|jitter| jitter >= gap) {
            let title = format!("the jitter is as long as the time between runs ({words})");
            self.error("jitter", title, format!("less than \"{spoken}\""));
        }
        let within = self.settings.missed_within;
        if self.settings.missed == Some(Missed::All) && within.is_some_and(|within| within < gap) {
            let title = format!("the window is smaller than the time between runs ({words})");
            let advice = format!("at least \"{spoken}\", or missed = \"once\"");
            self.error("missed_within", title, advice);
        }
    }
}

fn is_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => number.is_finite(),
        toml::Value::Array(items) => items.iter().all(is_finite),
        toml::Value::Table(table) => table.values().all(is_finite),
        _ => true,
    }
}

/// TOML's values as JSON's; what is not there is empty.
fn json<T: serde::Serialize, J: serde::de::DeserializeOwned + Default>(value: Option<&T>) -> J {
    let json = value.and_then(|value| serde_json::to_value(value).ok());
    json.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default()
}

fn while_running(settings: &ScheduleSettings) -> WhileRunning {
    match settings.overlap.unwrap_or_default() {
        Overlap::Allow => WhileRunning::Send,
        Overlap::Skip => WhileRunning::LeaveOut(settings.overlap_limit.unwrap_or(OVERLAP_LIMIT)),
        Overlap::CancelPrevious => WhileRunning::StopPrevious,
    }
}

fn options(settings: &ScheduleSettings) -> SendOptions {
    let mut options = SendOptions::default();
    options.target.queue.clone_from(&settings.queue);
    options.target.priority = settings.priority;
    options.rate_key.clone_from(&settings.rate_key);
    for (name, value) in settings.headers.iter().flatten() {
        options = options.header(name, value.as_str());
    }
    options
}

/// The zone whose name is most like `wrong`.
fn near_zone(wrong: &str) -> Option<String> {
    let wrong = wrong.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let city = name.rsplit('/').next().unwrap_or(&name).to_owned();
        strsim::jaro_winkler(&wrong, &name).max(strsim::jaro_winkler(&wrong, &city))
    };
    let names = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let scored = names.map(|name| (likeness(&name), name));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= 0.85).then_some(best.1)
}
