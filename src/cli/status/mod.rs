//! `celeriac status`

mod problem;
pub(super) mod survey;

pub(super) use problem::{Problem, problems};
pub(super) use survey::{Consumed, QueueState, Survey, configured, queues};

use super::api::At;
use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::{Row, counted, in_text, plain, seconds};
use super::send;
use crate::control::{Standby, Standbys};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;
use survey::{MonitorState, SchedulerState};

/// One screen: broker, workers, queues, scheduler, and what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac status
  celeriac status --check && echo all is well     ends with 1 when something is wrong
  celeriac status --monitor http://127.0.0.1:5555 with lag, the last hour, and lost workers
  celeriac status -o json | jq .problems

The broker alone is asked, and whoever is connected to it; only --monitor asks a monitor, with the token
in CELERIAC_TOKEN if it wants one. Queues are those of the configuration and those that a worker consumes.

Exit codes: 1 with --check when something is wrong, 69 when the broker is not reachable.")]
pub(crate) struct Arguments {
    /// End with 1 when something is wrong
    #[arg(long)]
    check: bool,

    /// How long to wait for those that are there
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = send::duration)]
    timeout: Duration,

    #[command(flatten)]
    at: At,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    survey: Survey,
    problems: Vec<Problem>,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let app = send::connect(global).await?;
    let api = match arguments.at.is_given() {
        true => Some(arguments.at.open_for(app.config())?),
        false => None,
    };
    let survey = Survey::take(&app, api.as_ref(), arguments.timeout).await;
    app.close().await;
    let survey = survey.or_exit(Exit::Unreachable)?;
    let answer = Answer { problems: problems(&survey), survey };
    global.output.one(&answer, &answer.page())?;
    Ok(if arguments.check && !answer.problems.is_empty() { Exit::No } else { Exit::Done })
}

impl Answer {
    fn page(&self) -> String {
        let Self { survey, problems } = self;
        let mut text = String::new();
        let _ = writeln!(text, "broker     {}", survey.broker.url);
        let _ = writeln!(text, "workers    {}", workers(survey));
        if let Some(scheduler) = &survey.scheduler {
            let _ = writeln!(text, "scheduler  {}", scheduler.line());
        }
        if let Some(monitor) = &survey.monitor {
            let _ = writeln!(text, "monitor    {}", monitor.line());
        }
        if let Some(monitor) = survey.monitor.as_ref().filter(|it| it.error.is_none()) {
            let _ = writeln!(text, "last hour  {}", monitor.last_hour_line());
        }
        let _ = write!(text, "\n{}\n{}", in_text(&survey.queues), list(problems));
        text
    }
}

fn workers(survey: &Survey) -> String {
    let up = survey.workers.iter().filter(|worker| worker.state == "up").count();
    let sum = |count: fn(&super::workers::Worker) -> Option<u64>| {
        survey.workers.iter().filter_map(count).sum::<u64>()
    };
    let (running, slots) = (sum(|worker| worker.running), sum(|worker| worker.slots));
    let silent = match survey.workers.len() - up {
        0 => String::new(),
        silent => format!(", {silent} silent"),
    };
    format!("{up} up{silent}, {running} of {slots} slots busy")
}

fn list(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "no problems\n".to_owned();
    }
    let width = problems.iter().map(|it| plain(&it.message).chars().count()).max().unwrap_or(0);
    let lines = problems.iter().enumerate().map(|(index, problem)| {
        let (message, hint) = (plain(&problem.message), plain(&problem.hint));
        format!("{:>2}  {message:width$}  {hint}\n", index + 1)
    });
    format!("problems\n{}", lines.collect::<String>())
}

/// Which schedulers stand by, where, and since when.
pub(super) fn in_line(standbys: &Standbys) -> String {
    let named = standbys.named.iter().map(|Standby { name, host, since }| {
        let on = if name.contains(host) { String::new() } else { format!(" on {}", plain(host)) };
        format!("{} stands by{on} since {}", plain(name), plain(since))
    });
    let silent =
        (standbys.silent > 0).then(|| format!("{} more without an answer", standbys.silent));
    let all: Vec<_> = named.chain(silent).collect();
    if all.is_empty() { "nobody stands by".to_owned() } else { all.join(", ") }
}

impl SchedulerState {
    fn line(&self) -> String {
        let leader = match (&self.leader, &self.since) {
            (Some(leader), Some(since)) => format!("{} leads since {since}", plain(leader)),
            _ => "none answers".to_owned(),
        };
        let paused = match self.paused.as_slice() {
            [] => String::new(),
            paused => format!(", paused: {}", plain(&paused.join(", "))),
        };
        let schedules = counted(self.schedules as u64, "schedule");
        format!("{leader}, {schedules}{paused}; {}", in_line(&self.standbys))
    }
}

impl MonitorState {
    fn line(&self) -> String {
        match self.lag_s {
            _ if self.error.is_some() => format!("{}  no answer", self.url),
            Some(lag) => format!("{}  lag {}", self.url, seconds(lag)),
            None => self.url.clone(),
        }
    }

    fn last_hour_line(&self) -> String {
        format!(
            "{} succeeded, {} failed, {} retried; {} dead letters open",
            self.came_to("success"),
            self.came_to("failure"),
            self.came_to("retry"),
            self.dead_open,
        )
    }
}

impl Consumed {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::NoConsumer => "no consumer",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl Row for QueueState {
    const COLUMNS: &'static [&'static str] = &["queue", "ready", "consumers", "state"];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u32>| number.map_or("–".to_owned(), |it| it.to_string());
        let state = plain(&self.state_line());
        vec![plain(&self.name), number(self.ready), number(self.consumers), state]
    }
}
