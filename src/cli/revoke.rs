//! `celeriac revoke`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::send;
use crate::control::{self, Reach};
use crate::ids::TaskId;
use serde_json::json;

/// Say that tasks shall not run
///
/// Workers hear of it at once, those that start later when they start, for seven days. A task that
/// waits in a queue, in the delay ladder or for a retry ends as REVOKED when it arrives.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac revoke 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac revoke --terminate 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11   # also if it runs
  celeriac send slow -o id | xargs celeriac revoke")]
pub(crate) struct Arguments {
    /// Their ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Stop those that run, too
    #[arg(long)]
    terminate: bool,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let reach = if arguments.terminate { Reach::Running } else { Reach::NotBegun };
    let app = send::connect(global).await?;
    let ids = arguments.ids.iter().map(|id| TaskId::from(id.clone()));
    let deadline = app.client().publisher().deadline();
    let revoked = control::revoke(app.broker(), ids, reach, deadline).await;
    app.close().await;
    revoked.or_exit(Exit::Unreachable)?;
    for id in &arguments.ids {
        let value = json!({ "id": id, "revoked": true, "terminate": arguments.terminate });
        global.output.one(&value, &format!("revoked {id}"))?;
    }
    Ok(Exit::Done)
}
