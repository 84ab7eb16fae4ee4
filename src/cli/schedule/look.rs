//! `celeriac schedule list`, `show`, `next` and `check`

use super::super::exit::{Exit, OrExit};
use super::super::global::Global;
use super::super::output::{Row, plain, write};
use super::super::status::in_line;
use super::Schedules;
use crate::clock::{Clock, SystemClock, parse_iso, to_iso, until};
use crate::control::leader::Edited;
use crate::control::{Pause, Standbys};
use crate::scheduler::{Answer, Entries, Entry, Report, ScheduleReport, ScheduleSettings};
use crate::topology::{Router, Target};
use crate::units::format_duration;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// One schedule in the list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    words: String,
    task: String,
    next: Option<String>,
    last: Option<String>,
    state: String,
    #[serde(skip)]
    now: SystemTime,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["name", "when", "task", "next", "last", "state"];

    fn cells(&self) -> Vec<String> {
        let next = self.next.as_deref().and_then(parse_iso);
        let last = self.last.as_deref().and_then(parse_iso);
        vec![
            self.name.clone(),
            self.words.clone(),
            self.task.clone(),
            next.map_or("-".to_owned(), |next| format!("in {}", rough(until(next, self.now)))),
            last.map_or("-".to_owned(), |last| format!("{} ago", rough(until(self.now, last)))),
            self.state.clone(),
        ]
    }
}

/// One run that is to come.
#[derive(Debug, Serialize)]
struct Coming {
    due: String,
    wait: String,
    id: String,
}

impl Row for Coming {
    const COLUMNS: &'static [&'static str] = &["due", "in", "id"];

    fn cells(&self) -> Vec<String> {
        vec![self.due.clone(), self.wait.clone(), self.id.clone()]
    }
}

/// Everything about one schedule.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    words: String,
    task: String,
    args: serde_json::Value,
    kwargs: serde_json::Value,
    queue: Option<String>,
    expires: Option<String>,
    jitter: Option<String>,
    overlap: String,
    missed: String,
    enabled: bool,
    next: Option<String>,
    #[serde(flatten)]
    known: Known,
}

/// What the leader knows that the files do not.
#[derive(Debug, Serialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Pause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<Box<ScheduleSettings>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<Edited>,
}

impl From<ScheduleReport> for Known {
    fn from(report: ScheduleReport) -> Self {
        let ScheduleReport { last, running, paused, edit, edited, .. } = report;
        Self { last, running, paused, edit, edited }
    }
}

/// Lists the schedules of the files alone.
pub(in super::super) fn list_files(global: &Global, entries: &Entries) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let rows: Vec<Listed> = entries.iter().map(|entry| Listed::new(entry, None, now)).collect();
    global.output.rows(&rows)
}

impl Listed {
    fn new(entry: &Entry, known: Option<&ScheduleReport>, now: SystemTime) -> Self {
        let next = entry.schedule.next_after(now).filter(|_| entry.enabled).map(to_iso);
        let state = match known {
            _ if !entry.enabled => "off".to_owned(),
            None => "on".to_owned(),
            Some(known) => match (&known.paused, &known.edit, &known.running) {
                (Some(pause), _, _) if pause.reason.is_empty() => format!("paused by {}", pause.by),
                (Some(pause), _, _) => format!("paused by {}: {}", pause.by, pause.reason),
                (None, Some(_), _) => "on, edited".to_owned(),
                (None, None, Some(_)) => "on, running".to_owned(),
                (None, None, None) => "on".to_owned(),
            },
        };
        let next = match known {
            Some(known) => known.next.clone(),
            None => next,
        };
        Self {
            name: entry.name.clone(),
            words: entry.schedule.words(),
            task: entry.task.clone(),
            next,
            last: known.and_then(|known| known.last.clone()),
            state,
            now,
        }
    }
}

impl Schedules<'_> {
    pub(super) async fn list(&self) -> anyhow::Result<Exit> {
        let (report, standbys) = self.schedulers().await.unzip();
        let rows: Vec<Listed> = self
            .entries
            .iter()
            .map(|entry| {
                let known = report.as_ref().and_then(|report| report.schedules.get(&entry.name));
                Listed::new(&self.in_force(entry, known), known, self.now)
            })
            .collect();
        self.global.output.rows(&rows)?;
        if let (true, Some(report), Some(standbys)) =
            (self.global.output.is_for_people(), report, standbys)
        {
            let Report { leader, since, .. } = report;
            let leads = format!("\n{} leads since {}; ", plain(&leader), plain(&since));
            write(format!("{leads}{}\n", in_line(&standbys)).as_bytes())?;
        }
        Ok(Exit::Done)
    }

    pub(super) async fn show(&self, name: &str) -> anyhow::Result<Exit> {
        let entry = self.entry(name)?;
        let report = self.schedulers().await.map(|(report, _)| report);
        let known = report.as_ref().and_then(|report| report.schedules.get(name)).cloned();
        let entry = self.in_force(entry, known.as_ref());
        let known = known.unwrap_or_default();
        let shown = Shown {
            name: entry.name.clone(),
            words: entry.schedule.words(),
            task: entry.task.clone(),
            args: entry.args.clone().into(),
            kwargs: entry.kwargs.clone().into(),
            queue: self.queue_of(&entry)?,
            expires: entry.expires.map(format_duration),
            jitter: Some(entry.jitter).filter(|jitter| !jitter.is_zero()).map(format_duration),
            overlap: entry.overlap_words(),
            missed: entry.missed_words(),
            enabled: entry.enabled,
            next: known.next.clone().or_else(|| entry.schedule.next_after(self.now).map(to_iso)),
            known: Known::from(known),
        };
        self.global.output.one(&shown, &shown.text())?;
        Ok(Exit::Done)
    }

    pub(super) fn next(
        &self,
        name: &str,
        count: usize,
        after: Option<SystemTime>,
    ) -> anyhow::Result<Exit> {
        let entry = self.entry(name)?;
        let zone = self.config.schedules.get(name).timezone;
        let coming = |due| Coming {
            due: local(due, zone.as_deref()),
            wait: rough(until(due, self.now)),
            id: entry.id(due).to_string(),
        };
        let dues = entry.schedule.after(after.unwrap_or(self.now)).take(count);
        let rows: Vec<Coming> = dues.map(coming).collect();
        self.global.output.rows(&rows)?;
        Ok(Exit::Done)
    }

    /// The files have been checked when we come here.
    pub(super) async fn check(&self) -> anyhow::Result<Exit> {
        let app = self.app().await?;
        let mut missing = Vec::new();
        for entry in self.entries.iter() {
            let Some(queue) = self.queue_of(entry)? else { continue };
            if app.broker().depth(&queue).await.or_exit(Exit::Unreachable)?.is_none() {
                missing.push(format!(
                    "schedule `{}`: the broker has no queue `{queue}` yet; \
                     start a worker that consumes it, or run `celeriac topology apply`",
                    entry.name
                ));
            }
        }
        app.close().await;
        let text = match missing.as_slice() {
            [] => format!("{} schedules, no problems", self.entries.len()),
            missing => missing.join("\n"),
        };
        self.global.output.one(&missing, &text)?;
        Ok(if missing.is_empty() { Exit::Done } else { Exit::No })
    }

    /// What the leader knows, and who stands by; nothing, after a word about it, when nobody answers.
    async fn schedulers(&self) -> Option<(Report, Standbys)> {
        match self.ask_all().await {
            Ok((Answer::Status(report), standbys)) => Some((*report, standbys)),
            Ok(_) => None,
            Err(error) => {
                self.global.note(&format!("note: {error}; showing what the files say"));
                None
            }
        }
    }

    /// The entry as the leader has it.
    fn in_force(&self, entry: &Entry, known: Option<&ScheduleReport>) -> Entry {
        let edit = known.and_then(|known| known.edit.as_deref());
        let edited = edit.and_then(|edit| self.entries.edited(&entry.name, edit, self.now).ok());
        edited.unwrap_or_else(|| entry.clone())
    }

    fn queue_of(&self, entry: &Entry) -> anyhow::Result<Option<String>> {
        let router = Router::from_settings(&self.config.topology()).or_exit(Exit::Config)?;
        let own = self.config.tasks.get(&entry.task).queue;
        let target: &Target = entry.options.target();
        Ok(router.route(&entry.task, own.as_deref(), target).queue)
    }
}

impl Shown {
    fn text(&self) -> String {
        let known = &self.known;
        let pause = known
            .paused
            .as_ref()
            .map(|pause| format!("by {} since {} {}", pause.by, to_iso(pause.at), pause.reason));
        let edit = known.edit.as_ref().and_then(|edit| toml::to_string(edit).ok());
        let edit = edit.map(|edit| edit.trim().replace('\n', ", "));
        let lines = [
            ("name", Some(self.name.clone())),
            ("when", Some(self.words.clone())),
            ("task", Some(self.task.clone())),
            ("args", Some(self.args.to_string())),
            ("kwargs", Some(self.kwargs.to_string())),
            ("queue", self.queue.clone()),
            ("expires", self.expires.clone()),
            ("jitter", self.jitter.clone()),
            ("overlap", Some(self.overlap.clone())),
            ("missed", Some(self.missed.clone())),
            ("enabled", Some(self.enabled.to_string())),
            ("next", self.next.clone()),
            ("last", known.last.clone()),
            ("running", known.running.clone()),
            ("paused", pause),
            ("edited", edit),
        ];
        let lines = lines.into_iter().filter_map(|(key, value)| Some((key, value?)));
        lines.map(|(key, value)| format!("{key:<8}  {value}\n")).collect()
    }
}

/// A time in a zone, with its offset.
fn local(time: SystemTime, zone: Option<&str>) -> String {
    let zone = zone.and_then(|zone| jiff::tz::TimeZone::get(zone).ok());
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => to_iso(time),
    }
}

/// A duration in its two largest units.
fn rough(wait: Duration) -> String {
    let seconds = wait.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}
