//! `celeriac failures`

use super::api::{Api, At};
use super::exit::Exit;
use super::global::Global;
use super::output::{Row, as_text, plain};
use super::send;
use crate::units;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What fails, in groups of failures that are the same, from a monitor's history
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  celeriac failures                             of the last day, the newest first
  celeriac failures --since 1h --by count       the most frequent first
  celeriac failures show 17
  celeriac failures resolve 17                  dealt with, until it happens again
  celeriac tasks sig:17                         the tasks that have failed so
  celeriac dead requeue 'error:\"timed out\" since:6h' --dry-run

Exit codes: 4 when there is no such group, 69 when the monitor does not answer, 77 when it wants a login.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Only what has happened this long ago or later
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = send::duration)]
    since: Duration,

    /// Which come first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "last")]
    by: Order,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,

    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one group
    #[command(after_help = "\
Examples:
  celeriac failures show 17
  celeriac failures show 17 -o json")]
    Show {
        /// Its number
        sig: u64,
        #[command(flatten)]
        at: At,
    },
    /// Say that a group is dealt with, until it happens again
    #[command(after_help = "\
Examples:
  celeriac failures resolve 17")]
    Resolve(Group),
    /// Take back that a group is dealt with
    #[command(after_help = "\
Examples:
  celeriac failures unresolve 17")]
    Unresolve(Group),
}

#[derive(Debug, clap::Args)]
struct Group {
    /// Its number
    sig: u64,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Order {
    /// The last that happened
    Last,
    /// The most frequent
    Count,
}

/// A group as the API gives it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Failure(Value);

#[derive(Debug, Deserialize)]
struct Failures {
    items: Vec<Failure>,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        None => list(global, arguments).await,
        Some(Command::Show { sig, at }) => show(global, &at.open(global)?, *sig).await,
        Some(Command::Resolve(group)) => say(global, group, "resolve").await,
        Some(Command::Unresolve(group)) => say(global, group, "unresolve").await,
    }
}

async fn list(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let order = match arguments.by {
        Order::Last => "last",
        Order::Count => "count",
    };
    let (since, limit) =
        (units::format_duration(arguments.since), arguments.limit.clamp(1, 1_000).to_string());
    let parameters = [("range", since.as_str()), ("by", order), ("limit", limit.as_str())];
    let found: Failures = arguments.at.open(global)?.get(&["failures"], &parameters).await?;
    global.output.rows(&found.items)?;
    Ok(Exit::Done)
}

async fn show(global: &Global, api: &Api, sig: u64) -> anyhow::Result<Exit> {
    let failure: Failure = api.get(&["failures", &sig.to_string()], &[]).await?;
    global.output.one(&failure, &failure.page())?;
    Ok(Exit::Done)
}

async fn say(global: &Global, group: &Group, what: &str) -> anyhow::Result<Exit> {
    let sig = group.sig.to_string();
    let reply: Value = group.at.open(global)?.post(&["failures", &sig, what]).await?;
    let said = reply["results"][0]["detail"].as_str().unwrap_or_default();
    global.output.one(&reply, &format!("{}: {}", sig, plain(said)))?;
    Ok(Exit::Done)
}

impl Failure {
    fn text(&self, field: &str) -> String {
        as_text(&self.0[field])
    }

    fn tasks(&self) -> String {
        let names = self.0["names"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(",")
    }

    fn page(&self) -> String {
        format!(
            "{}\n  happened  {} times, from {} to {}\n  open      {} tasks, {}\n  in        {}\n  \
             tasks     celeriac tasks sig:{}\n",
            self.text("title"),
            self.text("count"),
            self.text("first"),
            self.text("last"),
            self.text("open"),
            self.text("state"),
            self.tasks(),
            self.text("sig"),
        )
    }
}

impl Row for Failure {
    const COLUMNS: &'static [&'static str] =
        &["sig", "count", "open", "state", "last", "in", "what"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.text("sig"),
            self.text("count"),
            self.text("open"),
            self.text("state"),
            format!("{}Z", self.text("last").get(..19).unwrap_or_default()),
            self.tasks(),
            self.text("title"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_is_one_line() {
        let failure = Failure(json!({
            "sig": 17, "title": "SMTPTimeout: <host>\u{1b}", "kind": "SMTPTimeout", "count": 3,
            "open": 2, "state": "regressed", "first": "2026-11-25T09:00:00.000000Z", "last": "2026-11-25T10:00:00.000000Z",
            "names": ["mail.a", "mail.b"],
        }));
        assert_eq!(
            failure.cells(),
            [
                "17",
                "3",
                "2",
                "regressed",
                "2026-11-25T10:00:00Z",
                "mail.a,mail.b",
                "SMTPTimeout: <host>\\u{1b}"
            ]
        );
        assert!(failure.page().ends_with("celeriac tasks sig:17\n"));
    }
}
