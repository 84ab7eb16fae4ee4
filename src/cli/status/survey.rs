//! What the broker, those that are connected to it, and a monitor say about the present.

use super::super::api::Api;
use super::super::queue::said;
use super::super::workers::{self, Worker};
use crate::app::App;
use crate::broker::{Broker, DeclareError, Depth};
use crate::config::Config;
use crate::control::leader::ask;
use crate::control::{self, AskError, Pause, Pauses, Recipients, Standbys, standbys};
use crate::scheduler::{Answer, Command};
use crate::topology::names;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is known of everything.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Survey {
    pub(in crate::cli) broker: BrokerState,
    pub(in crate::cli) workers: Vec<Worker>,
    pub(in crate::cli) queues: Vec<QueueState>,
    /// Why it is not known which queues are paused; null where it is.
    pub(in crate::cli) pauses_error: Option<String>,
    /// Null where there are no schedules and nobody who sends them.
    pub(in crate::cli) scheduler: Option<SchedulerState>,
    /// Null where no monitor was asked.
    pub(in crate::cli) monitor: Option<MonitorState>,
}

/// The broker.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct BrokerState {
    pub(in crate::cli) url: String,
    /// Why it takes no publications, if it does not.
    pub(in crate::cli) blocked: Option<String>,
}

/// A queue, by passive declaration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::cli) struct QueueState {
    pub(in crate::cli) name: String,
    pub(in crate::cli) state: Consumed,
    /// Messages that wait.
    pub(in crate::cli) ready: Option<u32>,
    pub(in crate::cli) consumers: Option<u32>,
    /// Who paused it, if somebody did.
    pub(in crate::cli) paused: Option<Pause>,
}

/// Whether a queue is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Consumed {
    /// Somebody consumes it.
    Running,
    /// Somebody wants that nobody consumes it.
    Paused,
    /// Nobody does.
    NoConsumer,
    /// There is no such queue.
    Missing,
    /// It may not be looked at.
    Unknown,
}

/// The schedulers.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct SchedulerState {
    /// The one that leads; null where none answers.
    pub(in crate::cli) leader: Option<String>,
    pub(in crate::cli) since: Option<String>,
    pub(in crate::cli) standbys: Standbys,
    pub(in crate::cli) schedules: usize,
    pub(in crate::cli) paused: Vec<String>,
}

/// A monitor, and what it has counted.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct MonitorState {
    pub(in crate::cli) url: String,
    /// Why it has no answer; then all else is empty.
    pub(in crate::cli) error: Option<String>,
    pub(in crate::cli) reading: bool,
    pub(in crate::cli) lag_s: Option<f64>,
    /// How many attempts came to what within the last hour.
    pub(in crate::cli) last_hour: BTreeMap<String, u64>,
    pub(in crate::cli) dead_open: u64,
    /// Workers that have missed their heartbeats.
    pub(in crate::cli) lost: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct About {
    reading: bool,
    lag_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Series {
    stretches: Vec<Stretch>,
}

#[derive(Debug, Deserialize)]
struct Stretch {
    counts: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    name: String,
    state: String,
}

impl Survey {
    /// Asks everybody, each at most for `patience`.
    ///
    /// # Errors
    /// When the broker cannot be asked. That others do not answer is part of the survey.
    pub(in crate::cli) async fn take(
        app: &App,
        monitor: Option<&Api>,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let (config, broker) = (app.config(), app.broker());
        let (workers, pauses, scheduler, monitor) = tokio::join!(
            workers::ask(broker, Recipients::All, patience),
            control::pauses(broker),
            SchedulerState::of(broker, config, patience),
            MonitorState::of(monitor),
        );
        let workers = workers?;
        let consumed = workers.iter().flat_map(|worker| worker.queues.iter().cloned());
        let (pauses, pauses_error) = match pauses {
            Ok(pauses) => (pauses, None),
            Err(error) => (Pauses::default(), Some(error.to_string())),
        };
        let paused = pauses.iter().map(|(queue, _)| queue.to_owned());
        let names = configured(config).into_iter().chain(consumed).chain(paused).collect();
        let queues = queues(broker, names, &pauses).await?;
        let broker = BrokerState { url: config.broker.redacted_url(), blocked: broker.blocked() };
        Ok(Self { broker, workers, queues, pauses_error, scheduler: scheduler?, monitor })
    }
}

/// The queues that the configuration names.
pub(in crate::cli) fn configured(config: &Config) -> BTreeSet<String> {
    config.topology().queues.names().map(str::to_owned).collect()
}

/// How these queues are.
///
/// # Errors
/// When the connection broke.
pub(in crate::cli) async fn queues(
    broker: &Broker,
    names: BTreeSet<String>,
    pauses: &Pauses,
) -> Result<Vec<QueueState>, DeclareError> {
    let mut states = Vec::new();
    for name in names {
        let state = match broker.depth(&name).await {
            Ok(Some(depth)) => QueueState::of(&name, depth),
            Ok(None) => QueueState::without_depth(name, Consumed::Missing),
            Err(error @ DeclareError::Interrupted(_)) => return Err(error),
            Err(_) => QueueState::without_depth(name, Consumed::Unknown),
        };
        states.push(state.unless_paused(pauses));
    }
    Ok(states)
}

impl QueueState {
    /// A queue that is there.
    pub(in crate::cli) fn of(name: &str, depth: Depth) -> Self {
        let state = if depth.consumers > 0 { Consumed::Running } else { Consumed::NoConsumer };
        let (ready, consumers) = (Some(depth.ready), Some(depth.consumers));
        Self { name: name.to_owned(), state, ready, consumers, paused: None }
    }

    /// The same, unless somebody wants that nobody consumes it.
    pub(in crate::cli) fn unless_paused(self, pauses: &Pauses) -> Self {
        match pauses.of(&self.name).cloned() {
            Some(pause) => Self { state: Consumed::Paused, paused: Some(pause), ..self },
            None => self,
        }
    }

    /// How it is, and who wants it so.
    pub(in crate::cli) fn state_line(&self) -> String {
        let state = self.state.as_str();
        self.paused.as_ref().map_or(state.to_owned(), |pause| format!("{state} {}", said(pause)))
    }

    fn without_depth(name: String, state: Consumed) -> Self {
        Self { name, state, ready: None, consumers: None, paused: None }
    }
}

impl SchedulerState {
    async fn of(
        broker: &Broker,
        config: &Config,
        patience: Duration,
    ) -> Result<Option<Self>, DeclareError> {
        let in_files = config.schedules.names().count();
        let ears = broker.depth(names::SCHEDULER_COMMANDS).await?;
        if ears.is_none_or(|depth| depth.consumers == 0) {
            let nobody = Self { schedules: in_files, ..Self::default() };
            return Ok((in_files > 0).then_some(nobody));
        }
        let (answer, standbys) =
            tokio::join!(ask(broker, &Command::Status, patience), standbys(broker));
        let answer: Result<Answer, AskError> = answer;
        // Who says nothing may still do its work; that nobody leads is what matters.
        let standbys = standbys.unwrap_or_default();
        let Ok(Answer::Status(report)) = answer else {
            return Ok(Some(Self { schedules: in_files, standbys, ..Self::default() }));
        };
        let paused = report.schedules.iter().filter(|(_, schedule)| schedule.paused.is_some());
        Ok(Some(Self {
            schedules: report.schedules.len(),
            paused: paused.map(|(name, _)| name.clone()).collect(),
            leader: Some(report.leader),
            since: Some(report.since),
            standbys,
        }))
    }
}

impl MonitorState {
    async fn of(api: Option<&Api>) -> Option<Self> {
        let api = api?;
        let url = api.address();
        Some(match Self::ask(api).await {
            Ok(state) => Self { url, ..state },
            Err(error) => Self { url, error: Some(format!("{error:#}")), ..Self::default() },
        })
    }

    async fn ask(api: &Api) -> anyhow::Result<Self> {
        let about: About = api.get(&["about"], &[]).await?;
        let series: Series = api.get(&["series"], &[("range", "1h")]).await?;
        let dead: BTreeMap<String, u64> = api.get(&["dead", "states"], &[]).await?;
        let seen: Vec<Seen> = api.get(&["workers"], &[]).await?;
        let mut last_hour = BTreeMap::<String, u64>::new();
        for (state, count) in series.stretches.into_iter().flat_map(|it| it.counts) {
            *last_hour.entry(state.to_lowercase()).or_default() += count;
        }
        let lost = seen.into_iter().filter(|worker| worker.state == "lost");
        Ok(Self {
            url: String::new(),
            error: None,
            reading: about.reading,
            lag_s: about.lag_s,
            last_hour,
            dead_open: dead.get("open").copied().unwrap_or_default(),
            lost: lost.map(|worker| worker.name).collect(),
        })
    }

    /// How many came to this within the last hour.
    pub(in crate::cli) fn came_to(&self, state: &str) -> u64 {
        self.last_hour.get(state).copied().unwrap_or_default()
    }
}
