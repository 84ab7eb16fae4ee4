//! `celeriac doctor`

use super::exit::Exit;
use super::global::Global;
use crate::app::{App, AppError};
use crate::config::{Config, Loaded, Severity};
use crate::handler::exec::{Program, Watcher};
use crate::ids::TaskId;
use crate::topology::{Finding, Topology};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Check configuration, programs, broker, result store and limits, and say what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac doctor                   exit code 1 when something must be mended
  celeriac doctor -c worker.toml -o json")]
pub(crate) struct Arguments {}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Diagnosis {
    verdict: Verdict,
    about: String,
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// RabbitMQ takes a delivery back that was not acknowledged within this time, unless told otherwise.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(1800);

/// Fewer open files than this are few for a worker with many connections and programs.
const OPEN_FILES: u64 = 1024;

pub(super) async fn run(global: &Global, _: &Arguments) -> anyhow::Result<Exit> {
    let found = look(&global.load(global.loader())?).await;
    let bad = found.iter().filter(|it| it.verdict == Verdict::Bad).count();
    let warned = found.iter().filter(|it| it.verdict == Verdict::Warning).count();
    let mut text: String = found.iter().map(Diagnosis::text).collect();
    text.push_str(&match (bad, warned) {
        (0, 0) => "all is well".to_owned(),
        _ => format!("{bad} to mend, {warned} to know"),
    });
    global.output.one(&found, &text)?;
    Ok(if bad > 0 { Exit::No } else { Exit::Done })
}

/// Looks at everything.
pub(super) async fn look(loaded: &Loaded) -> Vec<Diagnosis> {
    let warnings = loaded.report.problems.iter().filter(|it| it.severity == Severity::Warning);
    let mut found = vec![configuration(warnings.count())];
    found.extend(programs(&loaded.config));
    found.extend(long_tasks(&loaded.config));
    found.push(open_files());
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    found.extend(outbox(&loaded.config).await);
    found.extend(broker(loaded.config.clone()).await);
    found
}

fn configuration(warnings: usize) -> Diagnosis {
    match warnings {
        0 => Diagnosis::good("config", "read, no mistakes"),
        count => Diagnosis::warning("config", format!("read, {count} warnings"))
            .remedy("celeriac config check"),
    }
}

/// Whether the programs of tasks are there.
fn programs(config: &Config) -> Vec<Diagnosis> {
    let watcher = Arc::new(Watcher::new());
    let mut found = Vec::new();
    let mut good = 0;
    for (name, task) in config.tasks.iter() {
        let Some(settings) = task.program() else { continue };
        let located = match Program::try_new(settings, Arc::clone(&watcher)) {
            Ok(program) => program.locate().map(drop).map_err(|missing| missing.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match located {
            Ok(()) => good += 1,
            Err(why) => found.push(
                Diagnosis::bad(format!("task {name}"), why)
                    .remedy("install the program, or write its whole path in `exec`"),
            ),
        }
    }
    if good > 0 {
        found.push(Diagnosis::good("programs", format!("{good} found")));
    }
    found
}

/// Tasks that may run longer than the broker waits for an acknowledgement.
fn long_tasks(config: &Config) -> Vec<Diagnosis> {
    let limit = |task: crate::task::TaskSettings| task.time_limit.filter(|it| !it.is_zero());
    let long = config.tasks.iter().filter_map(|(name, task)| {
        let limit = limit(task).filter(|limit| *limit >= CONSUMER_TIMEOUT)?;
        let finding = format!("may run {limit:?}; RabbitMQ takes a task back after 30 minutes");
        let remedy = "raise consumer_timeout for its queue, see rabbitmq/README.md";
        Some(Diagnosis::warning(format!("task {name}"), finding).remedy(remedy))
    });
    long.collect()
}

fn open_files() -> Diagnosis {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < OPEN_FILES => {
            Diagnosis::warning("open files", format!("at most {limit}"))
                .remedy("ulimit -n 65536, or LimitNOFILE= in the systemd unit")
        }
        Some(limit) => Diagnosis::good("open files", format!("at most {limit}")),
        None => Diagnosis::good("open files", "no limit"),
    }
}

/// Whether the database of staged tasks answers, and has its table.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
async fn outbox(config: &Config) -> Option<Diagnosis> {
    Some(match super::outbox::backlog(config).await? {
        Ok(backlog) => Diagnosis::good("outbox", backlog),
        Err(error) => Diagnosis::bad("outbox", error.to_string())
            .remedy("staged tasks wait there: is the database running at `url` in [outbox]?"),
    })
}

/// Whether the store of results answers.
async fn results(app: &App) -> Diagnosis {
    let backend = app.config().results.backend;
    let started = Instant::now();
    match app.client().results().latest(&TaskId::random()).await {
        Ok(_) => {
            Diagnosis::good("results", format!("{backend} answered in {:.0?}", started.elapsed()))
        }
        Err(error) => Diagnosis::bad("results", error.to_string())
            .remedy("finished tasks wait for it: is it running at `url` in [results]?"),
    }
}

/// Whether the broker is there and holds what the configuration says.
async fn broker(config: Config) -> Vec<Diagnosis> {
    let url = config.broker.redacted_url();
    let topology = Topology::whole(&config.topology(), &config.worker.queues);
    let declares = config.topology.declare;
    let started = Instant::now();
    let keeps_results = !config.results.backend.schemes().is_empty();
    let app = match App::connect(config).await {
        Ok(app) => app,
        Err(error @ AppError::Results(_)) => {
            return vec![Diagnosis::bad("results", error.to_string())];
        }
        Err(error) => {
            return vec![
                Diagnosis::bad("broker", error.to_string())
                    .remedy("is RabbitMQ running there? set broker.url or CELERIAC_BROKER_URL"),
            ];
        }
    };
    let connected = format!("{url} answered in {:.0?}", started.elapsed());
    let mut found = vec![Diagnosis::good("broker", connected)];
    if keeps_results {
        found.push(results(&app).await);
    }
    match app.broker().differences(&topology).await {
        Ok(findings) => found.extend(judge(&findings, declares)),
        Err(error) => found.push(Diagnosis::bad("topology", error.to_string())),
    }
    app.close().await;
    found
}

fn judge(findings: &[Finding], declares: bool) -> Vec<Diagnosis> {
    let missing = findings.iter().filter(|it| matches!(it, Finding::Missing(_))).count();
    let mut found = Vec::new();
    match (missing, declares) {
        (0, _) => {}
        (missing, true) => found.push(Diagnosis::good(
            "topology",
            format!("{missing} things to declare at the first start"),
        )),
        (missing, false) => found.push(
            Diagnosis::bad("topology", format!("{missing} things are missing"))
                .remedy("celeriac topology apply, as a user who may"),
        ),
    }
    for finding in findings {
        match finding {
            Finding::Missing(_) => {}
            Finding::Differs(difference) => {
                found.push(Diagnosis::bad("topology", difference.to_string()).remedy(
                    "change the configuration to match, set `declare = false`, or delete it",
                ))
            }
            Finding::Unknown(object, why) => {
                found.push(Diagnosis::warning("topology", format!("{object}: {why}")));
            }
        }
    }
    if findings.is_empty() {
        found.push(Diagnosis::good("topology", "exchanges and queues are as configured"));
    }
    found
}

impl Diagnosis {
    fn new(verdict: Verdict, about: impl Into<String>, finding: impl Into<String>) -> Self {
        Self { verdict, about: about.into(), finding: finding.into(), remedy: None }
    }

    fn good(about: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(Verdict::Good, about, finding)
    }

    fn warning(about: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, about, finding)
    }

    fn bad(about: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(Verdict::Bad, about, finding)
    }

    fn remedy(self, remedy: &str) -> Self {
        Self { remedy: Some(remedy.to_owned()), ..self }
    }

    fn text(&self) -> String {
        let mark = match self.verdict {
            Verdict::Good => "✓",
            Verdict::Warning => "!",
            Verdict::Bad => "✗",
        };
        let mut text = format!("{mark} {:<12} {}\n", self.about, self.finding);
        if let Some(remedy) = &self.remedy {
            text.push_str(&format!("               do: {remedy}\n"));
        }
        text
    }
}
