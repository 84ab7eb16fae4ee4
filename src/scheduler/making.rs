//! Entries made in code.

use super::cron::Days;
use super::entries::Entries;
use super::entry::{Entry, EntryError};
use super::settings::{Missed, Overlap, ScheduleSettings};
use crate::clock::to_iso;
use crate::handler::linked;
use crate::protocol::Format;
use crate::publisher::{Call, SendOptions};
use crate::task::Task;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// An entry that is being made; [`Making::call`] ends it.
#[derive(Debug)]
#[must_use = "nothing is scheduled before `call`"]
pub struct Making<'a> {
    name: String,
    settings: ScheduleSettings,
    entries: &'a watch::Sender<Entries>,
    format: Format,
}

/// Everything that is wrong with an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryErrors(pub Vec<EntryError>);

impl std::error::Error for EntryErrors {}

impl fmt::Display for EntryErrors {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl<'a> Making<'a> {
    /// Begins an entry that goes to `entries`.
    pub fn new(name: impl Into<String>, entries: &'a watch::Sender<Entries>) -> Self {
        Self {
            name: name.into(),
            settings: ScheduleSettings::default(),
            entries,
            format: Format::Json,
        }
    }

    /// Its arguments are checked as they will be written.
    pub(crate) fn written_in(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Due by a cron expression: five fields, or six with seconds in front.
    pub fn cron(mut self, expression: impl Into<String>) -> Self {
        self.settings.cron = Some(expression.into());
        self
    }

    /// A day of `cron` has to match day of month and day of week, as Celery has it.
    pub fn both_days(mut self) -> Self {
        self.settings.days = Some(Days::Both);
        self
    }

    /// Due at this distance, at least 100 ms; an hour is due at every full hour.
    pub fn every(mut self, period: Duration) -> Self {
        self.settings.every = Some(period);
        self
    }

    /// Due once.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.settings.at = Some(to_iso(time));
        self
    }

    /// The time zone of `cron`, by its IANA name, instead of UTC.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.settings.timezone = Some(name.into());
        self
    }

    /// The queue it goes to, instead of where the routes lead.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.settings.queue = Some(queue.into());
        self
    }

    /// Its priority, on a queue that has priorities; higher goes first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.settings.priority = Some(priority);
        self
    }

    /// Whom it counts for where its task has a rate, from 1 to 255 bytes: see
    /// [`SendOptions::rate_key`].
    pub fn rate_key(mut self, key: impl Into<String>) -> Self {
        self.settings.rate_key = Some(key.into());
        self
    }

    /// A run not started this long after it was due is given up.
    pub fn expires(mut self, wait: Duration) -> Self {
        self.settings.expires = Some(wait);
        self
    }

    /// A header of the message.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Each run is sent up to this much later; less than the time between runs.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.settings.jitter = Some(most);
        self
    }

    /// A run is left out while the one before has not ended, or for `limit` if nothing is heard.
    pub fn skip_while_running(mut self, limit: Duration) -> Self {
        self.settings.overlap = Some(Overlap::Skip);
        self.settings.overlap_limit = Some(limit);
        self
    }

    /// The run before is revoked when the next is due, and stopped if it runs. Not together with
    /// [`Making::make_up_missed`].
    pub fn cancel_previous(mut self) -> Self {
        self.settings.overlap = Some(Overlap::CancelPrevious);
        self
    }

    /// What nobody could send in time is left out if it is more than a minute late.
    pub fn skip_missed(mut self) -> Self {
        self.settings.missed = Some(Missed::Skip);
        self
    }

    /// What nobody could send in time is sent, each run that is at most so late.
    pub fn make_up_missed(mut self, within: Duration) -> Self {
        self.settings.missed = Some(Missed::All);
        self.settings.missed_within = Some(within);
        self
    }

    /// Schedules the task with these arguments: `args` is a tuple, list or `()`, `kwargs` a map,
    /// struct or `()`. A scheduler that runs already takes it in at once.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; also when it names a `#[task]` of this program that cannot
    /// read these arguments.
    pub fn call(
        self,
        task: impl Into<String>,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
    ) -> Result<(), EntryErrors> {
        self.add(task.into(), args, kwargs, SendOptions::default())
    }

    fn add(
        mut self,
        task: String,
        args: &(impl Serialize + ?Sized),
        kwargs: &(impl Serialize + ?Sized),
        options: SendOptions,
    ) -> Result<(), EntryErrors> {
        options.check().map_err(|error| self.wrong("rate_key", &error.to_string()))?;
        self.settings.task = Some(task);
        let entry = Entry::new(&self.name, &self.settings, SystemTime::now());
        let entry = entry.map_err(EntryErrors)?;
        let args = match self.json(args, "args")? {
            Value::Array(args) => args,
            Value::Null => Vec::new(),
            _ => return Err(self.wrong("args", "the arguments are no list")),
        };
        let kwargs = match self.json(kwargs, "kwargs")? {
            Value::Object(kwargs) => kwargs,
            Value::Null => Map::new(),
            _ => return Err(self.wrong("kwargs", "the keyword arguments are no map")),
        };
        if let Some(known) = linked().find(|known| known.name() == entry.task) {
            let fits = known.fits(self.format, &args, &kwargs);
            fits.map_err(|error| self.wrong("args", &error.to_string()))?;
        }
        let entries = self.entries.borrow().clone();
        let options = entry.options.over(options);
        let entries = entries.with(Entry { args, kwargs, options, ..entry });
        self.entries.send_replace(entries.map_err(|error| EntryErrors(vec![error]))?);
        Ok(())
    }

    /// Schedules a call of a task, whose arguments the compiler has checked. Its queue, priority,
    /// rate key, limits and headers hold unless they are given here.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn send<T: Task>(self, call: Call<T>) -> Result<(), EntryErrors> {
        let (args, options) = call.into_parts();
        let written = T::write(&args);
        self.add(T::NAME.to_owned(), &written.args(), &written.kwargs(), options)
    }

    fn json(
        &self,
        value: &(impl Serialize + ?Sized),
        key: &'static str,
    ) -> Result<Value, EntryErrors> {
        serde_json::to_value(value).map_err(|error| self.wrong(key, &error.to_string()))
    }

    fn wrong(&self, key: &'static str, title: &str) -> EntryErrors {
        EntryErrors(vec![EntryError {
            name: self.name.clone(),
            key,
            title: title.to_owned(),
            advice: String::new(),
            part: None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_and_a_second_of_its_name_is_not() {
        let entries = watch::Sender::new(Entries::default());
        let nightly =
            || Making::new("nightly", &entries).cron("30 2 * * *").timezone("Europe/Berlin");
        nightly().call("report", &(42,), &serde_json::json!({ "format": "pdf" })).unwrap();
        let made = entries.borrow().get("nightly").cloned().unwrap();
        assert_eq!((made.args.len(), made.kwargs["format"].as_str()), (1, Some("pdf")));
        assert_eq!(made.schedule.words(), "every day at 02:30, Europe/Berlin");
        let twice = nightly().call("report", &(), &()).unwrap_err();
        assert!(twice.to_string().contains("two of this name"), "{twice}");
        assert_eq!(entries.borrow().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let entries = watch::Sender::new(Entries::default());
        let wrong = Making::new("x", &entries)
            .every(Duration::from_secs(60))
            .jitter(Duration::from_secs(60))
            .make_up_missed(Duration::from_secs(10))
            .call("t", &(), &())
            .unwrap_err();
        assert_eq!(
            wrong.0.iter().map(|error| error.key).collect::<Vec<_>>(),
            ["jitter", "missed_within"]
        );
        assert!(Making::new("x", &entries).call("t", &(), &()).is_err());
        let hourly = || Making::new("x", &entries).every(Duration::from_secs(3600));
        let call = || sum(1, 2).rate_key("k".repeat(256));
        for error in [
            hourly().rate_key("").call("t", &(), &()).unwrap_err(),
            hourly().send(call()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("rate key"), "{error}");
            assert_eq!(error.0[0].key, "rate_key");
        }
        hourly().rate_key("acme").send(sum(1, 2).rate_key("other")).unwrap();
        let made = entries.borrow().get("x").cloned().unwrap();
        assert_eq!(made.options, SendOptions::of::<sum>().rate_key("acme"));
    }

    #[celeriac::prelude::task(name = "making.sum")]
    async fn sum(a: i64, b: i64) -> anyhow::Result<i64> {
        Ok(a + b)
    }

    #[test]
    fn a_task_of_this_program_is_given_arguments_it_can_read() {
        let entries = watch::Sender::new(Entries::default());
        let often = |name: &str| Making::new(name, &entries).every(Duration::from_secs(60));
        let wrong = often("x").call("making.sum", &(1, "two"), &()).unwrap_err().to_string();
        assert!(wrong.starts_with("schedule `x`: argument `b`: invalid type: string"), "{wrong}");
        let few = often("x").call("making.sum", &(1,), &()).unwrap_err().to_string();
        assert!(few.contains("missing argument `b` (i64)"), "{few}");
        often("x").call("making.sum", &(1, 2), &()).unwrap();
    }
}
