//! `celeriac topology`

use super::exit::{Exit, failed};
use super::global::Global;
use super::output::Row;
use super::send;
use crate::app::App;
use crate::broker::DeclareError;
use crate::topology::{Arguments as Table, Finding, Settings, Topology, delay, names};
use crate::topology::{Endpoint, value_text};
use serde::Serialize;
use serde_json::json;

/// Show what should be in the broker, compare, and create it
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// With the delay ladder of Celery's producers, for where they meet our workers alone
    #[arg(long, global = true)]
    celery: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the exchanges, queues and bindings that the configuration asks for; needs no broker
    #[command(after_help = "\
Examples:
  celeriac topology show
  celeriac topology show --all -o json")]
    Show {
        /// With every part of the delay ladder
        #[arg(long)]
        all: bool,
    },

    /// Say where the broker differs from the configuration; changes nothing
    #[command(after_help = "\
Example:
  celeriac topology check -o json

Exits with 1 if something differs or is missing. Bindings cannot be asked for over AMQP.")]
    Check,

    /// Create what is missing
    #[command(after_help = "\
Example:
  celeriac topology apply --broker amqp://admin:secret@rabbit1/shop

What exists with other arguments is left as it is and told.")]
    Apply,

    /// Print RabbitMQ definitions, for `rabbitmqctl import_definitions` or load_definitions
    #[command(after_help = "\
Example:
  celeriac topology export --vhost shop > definitions.json")]
    Export {
        /// The virtual host, instead of the one in the broker's URL
        #[arg(long)]
        vhost: Option<String>,
    },
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Show { all: true } => show(global, &wanted(global, arguments)?),
        Command::Show { all: false } => show(global, &wanted(global, arguments)?.without_ladders()),
        Command::Check => check(global, arguments).await,
        Command::Apply => apply(global, arguments).await,
        Command::Export { vhost } => {
            let config = global.load(global.loader())?.config;
            let vhost = vhost.clone().unwrap_or_else(|| config.broker.vhost());
            let definitions = arguments.topology(&config.topology()).definitions(&vhost);
            global.output.one(&definitions, &serde_json::to_string_pretty(&definitions)?)?;
            Ok(Exit::Done)
        }
    }
}

impl Arguments {
    fn topology(&self, settings: &Settings) -> Topology {
        let whole = Topology::whole(settings, &[]);
        if !self.celery {
            return whole;
        }
        let queues: Vec<_> = settings.queues.names().map(str::to_owned).collect();
        whole.and(Topology::celery_ladder(settings, &queues))
    }
}

fn wanted(global: &Global, arguments: &Arguments) -> anyhow::Result<Topology> {
    let config = global.load(global.loader())?.config;
    Ok(arguments.topology(&config.topology()))
}

/// One thing in the broker.
#[derive(Debug, Serialize)]
struct Thing {
    kind: &'static str,
    name: String,
    #[serde(rename = "type")]
    sort: String,
    details: String,
}

impl Row for Thing {
    const COLUMNS: &'static [&'static str] = &["kind", "name", "type", "details"];

    fn cells(&self) -> Vec<String> {
        vec![self.kind.to_owned(), self.name.clone(), self.sort.clone(), self.details.clone()]
    }
}

fn show(global: &Global, topology: &Topology) -> anyhow::Result<Exit> {
    let mut things = Vec::new();
    for exchange in &topology.exchanges {
        let sort = exchange.kind.to_string();
        let details = details(&exchange.arguments);
        things.push(Thing { kind: "exchange", name: exchange.name.clone(), sort, details });
    }
    for queue in &topology.queues {
        let sort = queue.arguments.get("x-queue-type").map_or("classic".to_owned(), value_text);
        let details = if queue.declare {
            details(&queue.arguments)
        } else {
            "not ours to declare".to_owned()
        };
        things.push(Thing { kind: "queue", name: queue.name.clone(), sort, details });
    }
    for binding in &topology.bindings {
        let sort = match &binding.destination {
            Endpoint::Queue(_) => "to queue",
            Endpoint::Exchange(_) => "to exchange",
        };
        things.push(Thing {
            kind: "binding",
            name: binding.source.clone(),
            sort: sort.to_owned(),
            details: format!("{} by key {:?}", binding.destination.name(), binding.routing_key),
        });
    }
    let ladder = topology.queues.iter().any(|queue| names::is_delay_level(&queue.name));
    if !ladder {
        things.push(Thing {
            kind: "ladder",
            name: "celeriac.delay.*".to_owned(),
            sort: String::new(),
            details: format!("{} levels from {:?}; --all shows them", delay::LEVELS, delay::STEP),
        });
    }
    global.output.rows(&things)?;
    Ok(Exit::Done)
}

fn details(arguments: &Table) -> String {
    let shown = arguments.iter().filter(|(name, _)| *name != "x-queue-type");
    let shown = shown.map(|(name, value)| format!("{name}={}", value_text(value)));
    shown.collect::<Vec<_>>().join(" ")
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["object", "argument", "broker", "configuration"];

    fn cells(&self) -> Vec<String> {
        let object = self.object().to_string();
        match self {
            Finding::Missing(_) => vec![object, String::new(), "missing".into(), String::new()],
            Finding::Unknown(_, why) => vec![object, String::new(), why.clone(), String::new()],
            Finding::Differs(difference) => {
                vec![object, difference.argument.clone(), difference.theirs(), difference.ours()]
            }
        }
    }
}

async fn check(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let app = send::connect(global).await?;
    let topology = arguments.topology(&app.config().topology());
    let exit = compare(global, &app, &topology).await?;
    app.close().await;
    Ok(exit)
}

/// Prints the differences. A broker without a ladder misses one thing, not a hundred.
async fn compare(global: &Global, app: &App, topology: &Topology) -> anyhow::Result<Exit> {
    let mut findings = app.broker().differences(topology).await.map_err(refused)?;
    let is_rung = |finding: &Finding| matches!(finding, Finding::Missing(object) if names::is_delay_level(object.name()));
    let rungs = findings.iter().filter(|finding| is_rung(finding)).count();
    if global.output.is_for_people() {
        findings.retain(|finding| !is_rung(finding));
    }
    let none = findings.is_empty() && rungs == 0;
    if !findings.is_empty() || !global.output.is_for_people() {
        global.output.rows(&findings)?;
    }
    if rungs > 0 {
        global.note(&format!("{rungs} parts of the delay ladder are missing"));
    }
    global.note(match none {
        true => "the broker has everything as configured",
        false => "create what is missing: celeriac topology apply",
    });
    Ok(if none { Exit::Done } else { Exit::No })
}

async fn apply(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let app = send::connect(global).await?;
    let topology = arguments.topology(&app.config().topology());
    let declared = app.broker().declare(&topology).await;
    if let Err(error @ DeclareError::Differs(_)) = declared {
        compare(global, &app, &topology).await?;
        return Err(refused(error));
    }
    declared.map_err(refused)?;
    app.close().await;
    let (exchanges, queues) = (topology.exchanges.len(), topology.queues.len());
    let bindings = topology.bindings.len();
    let answer = json!({ "exchanges": exchanges, "queues": queues, "bindings": bindings });
    let text = format!("{exchanges} exchanges, {queues} queues and {bindings} bindings are there");
    global.output.one(&answer, &text)?;
    Ok(Exit::Done)
}

/// A declaration's error with the exit code that fits it.
fn refused(error: DeclareError) -> anyhow::Error {
    let exit = match &error {
        DeclareError::Missing(_) => Exit::NotFound,
        DeclareError::Forbidden { .. } => Exit::Refused,
        DeclareError::Interrupted(_) => Exit::Unreachable,
        _ => Exit::No,
    };
    failed(exit, error)
}
