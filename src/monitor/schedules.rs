//! What the scheduler that leads says of the schedules, remembered for a moment: pages look again
//! whenever something happens, and it has better things to do.

use crate::broker::Broker;
use crate::control::leader::{Answer, Command, Detail, Report, ask};
use crate::control::{AskError, Standbys, standbys};
use crate::topology::names;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// What was said is good for so long.
const FRESH: Duration = Duration::from_secs(2);

/// How long the leader may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many of a schedule's last runs are asked for.
const RUNS: usize = 50;

/// Asks the leader, and remembers what it said. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Schedules(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    said: Mutex<Option<Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    known: Result<Arc<Known>, Silent>,
}

/// What is known of all schedules.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) report: Report,
    /// Schedulers that stand in line to lead.
    pub(super) standbys: Standbys,
}

/// Nobody says anything, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Silent(String);

impl Schedules {
    pub(super) fn new(broker: Broker) -> Self {
        Self(Arc::new(Inner { broker, said: Mutex::default() }))
    }

    /// All schedules, as of some seconds ago at most. Whoever asks meanwhile waits for the same answer.
    ///
    /// # Errors
    /// When no scheduler leads, or it does not answer.
    pub(super) async fn all(&self) -> Result<Arc<Known>, Silent> {
        let mut said = self.0.said.lock().await;
        if let Some(last) = said.as_ref().filter(|last| last.at.elapsed() < FRESH) {
            return last.known.clone();
        }
        let known = self.ask_all().await.map(Arc::new);
        *said = Some(Said { at: Instant::now(), known: known.clone() });
        known
    }

    /// Something was changed: what was said is old.
    pub(super) async fn forget(&self) {
        *self.0.said.lock().await = None;
    }

    /// One schedule with its last runs; `None` where the leader has none of this name.
    ///
    /// # Errors
    /// When no scheduler leads, or it does not answer.
    pub(super) async fn one(&self, name: &str) -> Result<Option<Detail>, Silent> {
        self.look().await?;
        let show = Command::Show { schedule: name.to_owned(), runs: RUNS };
        match self.ask(&show).await? {
            Answer::Shown(detail) => Ok(Some(*detail)),
            Answer::Refused(why) if why.starts_with("not a command") => Err(Silent(format!(
                "the scheduler that leads is of a version that cannot say this: {why}"
            ))),
            Answer::Refused(_) => Ok(None),
            _ => Err(Silent("the scheduler that leads answered something else".to_owned())),
        }
    }

    async fn ask_all(&self) -> Result<Known, Silent> {
        self.look().await?;
        let (said, standbys) = tokio::join!(self.ask(&Command::Status), standbys(&self.0.broker));
        let standbys = standbys.map_err(|error| Silent(error.to_string()))?;
        match said? {
            Answer::Status(report) => Ok(Known { report: *report, standbys }),
            _ => Err(Silent("the scheduler that leads answered something else".to_owned())),
        }
    }

    async fn ask(&self, command: &Command) -> Result<Answer, Silent> {
        let asked: Result<Answer, AskError> = ask(&self.0.broker, command, PATIENCE).await;
        asked.map_err(|error| Silent(error.to_string()))
    }

    /// Whether there is any: they all consume the queue of the state.
    async fn look(&self) -> Result<(), Silent> {
        let depth = timeout(PATIENCE, self.0.broker.depth(names::SCHEDULER)).await;
        let away = || Silent(format!("the broker does not answer within {PATIENCE:?}"));
        let depth = depth.map_err(|_| away())?.map_err(|error| Silent(error.to_string()))?;
        match depth.map_or(0, |depth| depth.consumers) {
            0 => Err(Silent("no scheduler is running: start `celeriac scheduler`".to_owned())),
            _ => Ok(()),
        }
    }
}
