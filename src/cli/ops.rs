//! `celeriac ops`

use super::api::{Api, At};
use super::exit::Exit;
use super::global::Global;
use super::output::{Row, as_text, in_text, plain, seconds};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is done with many letters or tasks at once, in a monitor
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  celeriac ops                          the newest first
  celeriac ops show 0b54c0de-…          how far it is, and what did not go well
  celeriac ops pause 0b54c0de-…
  celeriac ops cancel 0b54c0de-…        what was done is done

Exit codes: 3 when some of it did not go well, 4 when there is no such operation, 65 when it has ended
already, 69 when the monitor does not answer, 77 when it wants a login or another role.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,

    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List operations, the newest first
    #[command(after_help = "\
Examples:
  celeriac ops list
  celeriac ops list -o id | head -1")]
    List {
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        at: At,
    },
    /// Show one operation, with what did not go well
    #[command(after_help = "\
Examples:
  celeriac ops show 0b54c0de-…
  celeriac ops show 0b54c0de-… -o json")]
    Show(One),
    /// Let an operation wait
    #[command(after_help = "\
Examples:
  celeriac ops pause 0b54c0de-…")]
    Pause(One),
    /// Let a paused operation go on
    #[command(after_help = "\
Examples:
  celeriac ops resume 0b54c0de-…")]
    Resume(One),
    /// End an operation after what is in hand; what was done is done
    #[command(after_help = "\
Examples:
  celeriac ops cancel 0b54c0de-…")]
    Cancel(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Its id, as the list has it
    id: String,
    #[command(flatten)]
    at: At,
}

/// An operation as the API gives it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Operation(Value);

#[derive(Debug, Deserialize)]
struct Operations {
    items: Vec<Operation>,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        None => list(global, &arguments.at.open(global)?, arguments.limit).await,
        Some(Command::List { limit, at }) => list(global, &at.open(global)?, *limit).await,
        Some(Command::Show(one)) => show(global, &one.at.open(global)?, &one.id).await,
        Some(Command::Pause(one)) => turn(global, one, "pause").await,
        Some(Command::Resume(one)) => turn(global, one, "resume").await,
        Some(Command::Cancel(one)) => turn(global, one, "cancel").await,
    }
}

async fn list(global: &Global, api: &Api, limit: usize) -> anyhow::Result<Exit> {
    let limit = limit.clamp(1, 1_000).to_string();
    let found: Operations = api.get(&["operations"], &[("limit", &limit)]).await?;
    global.output.rows(&found.items)?;
    Ok(Exit::Done)
}

async fn show(global: &Global, api: &Api, id: &str) -> anyhow::Result<Exit> {
    let operation: Operation = api.get(&["operations", id], &[]).await?;
    global.output.one(&operation, &operation.page())?;
    let all_well = operation.0["failed"].as_u64() == Some(0);
    Ok(if all_well { Exit::Done } else { Exit::Partly })
}

async fn turn(global: &Global, one: &One, wish: &str) -> anyhow::Result<Exit> {
    let api = one.at.open(global)?;
    let reply: Value = api.post(&["operations", &one.id, wish]).await?;
    let said = reply["results"][0]["detail"].as_str().unwrap_or_default();
    global.output.one(&reply, &format!("operation {}: {}", plain(&one.id), plain(said)))?;
    Ok(Exit::Done)
}

impl Operation {
    fn text(&self, field: &str) -> String {
        as_text(&self.0[field])
    }

    fn page(&self) -> String {
        let text = |field: &str| self.text(field);
        let left = self.0["eta_s"].as_f64();
        let left = left.map(|left| format!(", about {} to go", seconds(left))).unwrap_or_default();
        let mut page = format!(
            "{} {} {}\n  state      {}{left}\n  done       {} of {}, {} failed, {} passed over\n  \
             rate       {} per second\n  begun      {} by {}\n",
            text("action"),
            text("source"),
            text("q"),
            text("state"),
            text("done"),
            text("matched"),
            text("failed"),
            text("skipped"),
            text("rate"),
            text("begun"),
            text("by"),
        );
        if !self.0["ended"].is_null() {
            page += &format!("  ended      {}\n", text("ended"));
        }
        for reason in self.0["reasons"].as_array().into_iter().flatten() {
            let why = reason["reason"].as_str().unwrap_or_default();
            page += &format!("  passed over {}: {}\n", reason["count"], plain(why));
        }
        let failed: Vec<Failed> =
            serde_json::from_value(self.0["errors"].clone()).unwrap_or_default();
        if !failed.is_empty() {
            page += &format!("\n{}", in_text(&failed));
        }
        page
    }
}

impl Row for Operation {
    const COLUMNS: &'static [&'static str] =
        &["id", "state", "action", "done", "failed", "skipped", "of", "by", "begun", "filter"];

    fn cells(&self) -> Vec<String> {
        let mut cells: Vec<_> =
            ["id", "state", "action", "done", "failed", "skipped", "matched", "by"]
                .map(|field| self.text(field))
                .into();
        cells.push(format!("{}Z", self.text("begun").get(..19).unwrap_or_default()));
        cells.push(self.text("q"));
        cells
    }
}

/// One with which it did not go well.
#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    target: String,
    outcome: String,
    detail: String,
}

impl Row for Failed {
    const COLUMNS: &'static [&'static str] = &["outcome", "what", "why"];

    fn cells(&self) -> Vec<String> {
        vec![plain(&self.outcome), plain(&self.target), plain(&self.detail)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operation_is_one_line_and_one_page() {
        let operation = Operation(json!({
            "id": "0b54", "action": "requeue", "source": "dead", "q": "queue:mail\u{1b}",
            "to": null, "state": "running", "matched": 128, "done": 84, "failed": 1, "skipped": 7,
            "rate": 20.0, "eta_s": 1.8, "by": "ana", "begun": "2026-11-25T09:00:00.000000Z",
            "ended": null,
            "reasons": [{ "reason": "already requeued", "count": 7 }],
            "errors": [{ "target": "letter 4", "outcome": "refused", "detail": "no queue" }],
        }));
        assert_eq!(
            operation.cells().join(" "),
            "0b54 running requeue 84 1 7 128 ana 2026-11-25T09:00:00Z queue:mail\\u{1b}"
        );
        let page = operation.page();
        for line in [
            "requeue dead queue:mail\\u{1b}\n",
            "running, about 1.8s to go\n",
            "84 of 128, 1 failed, 7 passed over\n",
            "passed over 7: already requeued\n",
            "refused  letter 4  no queue",
        ] {
            assert!(page.contains(line), "{page}");
        }
    }
}
