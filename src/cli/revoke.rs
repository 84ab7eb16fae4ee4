//! `celeriac revoke`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::say;
use super::send;
use crate::broker::Broker;
use crate::control::{self, Answers, Arguments as Given, AskError, Caller, Reach, Recipients};
use crate::ids::TaskId;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Say that tasks shall not run
///
/// The broker keeps it for seven days: workers hear of it at once, those that start later when they
/// start. A task that waits in a queue, in the delay ladder or for a retry ends as REVOKED when it
/// arrives. Celery's workers that run now are told, too; they forget it when they stop.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac revoke 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac revoke --terminate 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11   # also if it runs
  celeriac send slow -o id | xargs celeriac revoke

With --terminate it ends with 3 when a worker cannot stop such a task: a blocking function.")]
pub(crate) struct Arguments {
    /// Their ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Stop those that run, too
    #[arg(long)]
    terminate: bool,
}

/// How long workers may take to say whether they could stop it.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let reach = if arguments.terminate { Reach::Running } else { Reach::NotBegun };
    let app = send::connect(global).await?;
    let ids = arguments.ids.iter().map(|id| TaskId::from(id.clone()));
    let deadline = app.client().publisher().deadline();
    let revoked = control::revoke(app.broker(), ids, reach, deadline).await;
    let told = match &revoked {
        Ok(()) => tell(app.broker(), arguments).await,
        Err(_) => Ok(Answers::default()),
    };
    app.close().await;
    revoked.or_exit(Exit::Unreachable)?;
    let refused = refusals(told, global);
    for id in &arguments.ids {
        let mut value = json!({ "id": id, "revoked": true, "terminate": arguments.terminate });
        if !refused.is_empty() {
            value["refused"] = json!(refused);
        }
        global.output.one(&value, &format!("revoked {id}"))?;
    }
    Ok(if refused.is_empty() { Exit::Done } else { Exit::Partly })
}

/// Tells the workers that run, for those that do not read the stream. Only who is to stop something
/// is waited for.
async fn tell(broker: &Broker, arguments: &Arguments) -> Result<Answers, AskError> {
    let given: Given = Map::from_iter([
        ("task_id".to_owned(), json!(arguments.ids)),
        ("terminate".to_owned(), json!(arguments.terminate)),
        ("signal".to_owned(), json!("SIGTERM")),
    ]);
    let mut caller = Caller::open(broker).await?;
    let answers = match arguments.terminate {
        true => caller.ask("revoke", given, Recipients::All, PATIENCE).await,
        false => caller
            .tell("revoke", given, Recipients::All, PATIENCE)
            .await
            .map(|()| Answers::default()),
    };
    caller.close().await;
    answers
}

/// Which workers refused, and why. That the workers could not be told is a warning: the broker keeps
/// what matters.
fn refusals(told: Result<Answers, AskError>, global: &Global) -> BTreeMap<String, String> {
    let answers = match told {
        Ok(answers) => answers,
        Err(error) => {
            global.note(&format!("warning: Celery's workers are not told: {error}"));
            return BTreeMap::new();
        }
    };
    let refused = answers.replies.into_iter();
    let refused = refused.filter_map(|(worker, reply)| Some((worker, reply.error()?.to_owned())));
    let refused: BTreeMap<_, _> = refused.collect();
    for (worker, why) in &refused {
        say(format_args!("{worker}: {why}"));
    }
    refused
}
