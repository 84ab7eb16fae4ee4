//! `[scheduler]` and `[schedules]`.

use super::super::complaint::{at_part, nearest};
use super::super::problem::Problem;
use super::super::tree::path_of;
use super::Checks;
use crate::clock::{Clock, SystemClock};
use crate::handler::{Definition, linked, missing_arguments};
use crate::scheduler::{Entry, EntryError, Missed, Overlap, Schedule, ScheduleSettings};
use crate::topology::{Router, Target};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

impl Checks<'_> {
    pub(super) fn scheduler(&mut self) {
        let settings = &self.config.scheduler;
        for (key, value) in [("lease", settings.lease), ("heartbeat", settings.heartbeat)] {
            if value < Duration::from_secs(1) {
                let title = format!("scheduler.{key} is too short");
                self.error(title, &path_of(["scheduler", key]), "at least \"1s\"");
            }
        }
    }

    pub(super) fn schedules(&mut self) {
        for key in ScheduleSettings::OWN {
            let path = path_of(["schedules", key]);
            if self.is_set(&path) && !self.config.schedules.is_defined(key) {
                let title = format!("{key} belongs to one schedule, and not to all");
                self.error(title, &path, "it belongs in a table [schedules.NAME]");
            }
        }
        let known: BTreeSet<String> = self.known_queues().into_iter().map(str::to_owned).collect();
        let linked: HashMap<&str, Definition> = linked().map(|it| (it.name(), it)).collect();
        for (name, schedule) in self.config.schedules.iter() {
            self.task_of(name, &schedule, &linked);
            match Entry::new(name, &schedule, SystemClock.now()) {
                Ok(entry) => self.entry(&entry, &schedule),
                Err(errors) => errors.into_iter().for_each(|error| self.entry_error(error)),
            }
            // Looking for the place takes its time with ten thousand of them.
            if let Some(queue) = schedule.queue.as_ref().filter(|queue| !known.contains(*queue)) {
                let path = self.inherited("schedules", name, &["queue"]);
                self.expect_queue(queue, &path);
            }
        }
    }

    fn entry_error(&mut self, error: EntryError) {
        let EntryError { name, key, title, advice, part } = error;
        let problem = Problem::error(format!("schedule `{name}`: {title}"));
        let path = self.inherited("schedules", &name, &[key]);
        let path = if self.is_set(&path) { path } else { path_of(["schedules", &name]) };
        self.problems.push(match part {
            Some(part) => at_part(problem, self.layers, &path, part, &advice),
            None => super::super::complaint::at_value(problem, self.layers, &path, &advice),
        });
    }

    /// What is doubtful about an entry that could run.
    fn entry(&mut self, entry: &Entry, settings: &ScheduleSettings) {
        let name = entry.name.as_str();
        if let Schedule::At(at) = entry.schedule
            && at < SystemClock.now()
        {
            let title = format!("schedule `{name}`: this time is past, it will not run");
            self.warn(title, &path_of(["schedules", name, "at"]), "take the schedule out");
        }
        if settings.missed == Some(Missed::Skip) && settings.missed_within.is_some() {
            let path = self.inherited("schedules", name, &["missed_within"]);
            let title = format!("schedule `{name}`: missed_within has no effect");
            self.warn(title, &path, "missed = \"skip\" leaves out what is over a minute late");
        }
        if settings.overlap == Some(Overlap::Skip)
            && self.config.tasks.get(&entry.task).store_result == Some(false)
        {
            let path = self.inherited("schedules", name, &["overlap"]);
            let title = format!("schedule `{name}`: nobody will hear when a run ends");
            let label = format!("task `{}` has store_result = false", entry.task);
            self.error(title, &path, &label);
        }
        self.priority(entry, settings);
    }

    fn priority(&mut self, entry: &Entry, settings: &ScheduleSettings) {
        if settings.priority.is_none() {
            return;
        }
        let Ok(router) = Router::from_settings(&self.config.topology()) else { return };
        let target = Target { queue: settings.queue.clone(), ..Target::default() };
        let own = self.config.tasks.get(&entry.task).queue;
        let Some(queue) = router.route(&entry.task, own.as_deref(), &target).queue else { return };
        if self.config.queues.is_defined(&queue)
            && self.config.queues.get(&queue).max_priority.is_none()
        {
            let path = self.inherited("schedules", &entry.name, &["priority"]);
            let title = format!("schedule `{}`: queue `{queue}` has no priorities", entry.name);
            let label = format!("no effect without max_priority in [queues.{queue}]");
            self.warn(title, &path, &label);
        }
    }

    /// A task of another program is nobody's mistake; one that is spelt almost like a known one is.
    fn task_of(
        &mut self,
        name: &str,
        settings: &ScheduleSettings,
        linked: &HashMap<&str, Definition>,
    ) {
        let Some(task) = settings.task.as_deref() else { return };
        let path = path_of(["schedules", name, "task"]);
        let tasks = &self.config.tasks;
        if let Some(definition) = linked.get(task) {
            return self.signature(name, settings, definition);
        }
        if !tasks.is_defined(task) {
            let known: Vec<&str> = tasks.names().chain(linked.keys().copied()).collect();
            if let Some(near) = nearest(task, &known) {
                let title = format!("schedule `{name}`: there is no task `{task}`");
                self.error(title, &path, &format!("did you mean \"{near}\"?"));
            }
            return;
        }
        let args = settings.args.as_ref().map_or(0, Vec::len);
        let kwargs = serde_json::to_value(settings.kwargs.clone().unwrap_or_default());
        let Ok(serde_json::Value::Object(kwargs)) = kwargs else { return };
        let missing = missing_arguments(&tasks.get(task), args, &kwargs);
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            let title = format!("schedule `{name}`: task `{task}` needs {missing}");
            let kwargs = path_of(["schedules", name, "kwargs"]);
            let path = if self.is_set(&kwargs) { kwargs } else { path };
            self.error(title, &path, "give it in kwargs or args");
        }
    }
}
