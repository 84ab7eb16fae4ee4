//! `celeriac tasks`

use super::api::{Api, At, Page};
use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::{Format, Row, plain, seconds, write};
use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

/// Find tasks in a monitor's history, show one, or follow them
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  celeriac tasks                                          the newest
  celeriac tasks 'state:failure kwargs.tenant:acme since:2h'
  celeriac tasks '(state:bad OR try:>3) NOT name:report.*' -n 500 -o jsonl
  celeriac tasks -f name:mail.*                           and what happens from now on
  celeriac tasks state:failure -o id | xargs -n1 celeriac tasks show
  CELERIAC_TOKEN=… celeriac tasks --monitor https://monitor.example

What a filter may say is in docs/filter.md.

Exit codes: 4 when there is no such task, 65 when the filter is not valid, 69 when the monitor does not
answer, 77 when it wants a login.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Which tasks: state:failure name:mail.* since:2h
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,

    /// At most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,

    /// Go on with what happens to such tasks, until interrupted
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show everything that is known of a task: its attempts, arguments and tracebacks
    #[command(after_help = "\
Examples:
  celeriac tasks show 4f0c1c3e-5d0a-4c1e-9d3a-0a6b8c1f7f11
  celeriac tasks show 4f0c1c3e                            the beginning of its id
  celeriac tasks show 4f0c1c3e -o json")]
    Show {
        /// Its id, or at least six characters of its beginning
        id: String,
        #[command(flatten)]
        at: At,
    },
}

/// A task as the API gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Task(Value);

/// The longest part of a list that the API gives.
const LONGEST: usize = 1_000;

/// How often is looked for what has happened.
const EVERY: Duration = Duration::from_secs(1);

/// What was told so long ago is not news; events may come late by less.
const NEWS: Duration = Duration::from_secs(10);

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    if let Some(Command::Show { id, at }) = &arguments.command {
        return show(global, &at.open(global)?, id).await;
    }
    let api = arguments.at.open(global)?;
    let filter = arguments.filter.join(" ");
    if arguments.follow {
        return follow(global, &api, &filter).await;
    }
    let (tasks, searched) = find(&api, &filter, arguments.limit).await?;
    global.output.rows(&tasks)?;
    if let Some(searched) = searched {
        global
            .note(&format!("only the newest {searched} tasks were looked at; see docs/filter.md"));
    }
    Ok(Exit::Done)
}

/// The newest tasks, and how many were looked at where it was not all.
async fn find(api: &Api, filter: &str, limit: usize) -> anyhow::Result<(Vec<Task>, Option<u64>)> {
    let mut found: Vec<Task> = Vec::new();
    let mut cursor = None;
    loop {
        let part = (limit - found.len()).clamp(1, LONGEST).to_string();
        let mut parameters = vec![("q", filter), ("limit", part.as_str())];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page<Task> = api.get(&["tasks"], &parameters).await?;
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() || found.len() >= limit {
            found.truncate(limit);
            return Ok((found, page.searched));
        }
    }
}

/// Writes each task again whenever something is told of it. Ends when nobody reads on.
async fn follow(global: &Global, api: &Api, filter: &str) -> anyhow::Result<Exit> {
    global.output.must_be_lines()?;
    let news = format!("since:{}s", NEWS.as_secs());
    let filter = match filter.trim() {
        "" => news,
        filter => {
            // Alone first, so that a mistake is pointed at in what was written.
            find(api, filter, 1).await?;
            format!("({filter}) {news}")
        }
    };
    let mut told: HashMap<String, String> = HashMap::new();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let (mut tasks, _) = find(api, &filter, 5 * LONGEST).await?;
        tasks.sort_by(|one, other| one.text("changed").cmp(other.text("changed")));
        let state = |task: &Task| format!("{} {}", task.text("state"), task.text("changed"));
        for task in &tasks {
            if told.get(task.text("id")) != Some(&state(task)) {
                task.write_line(global.output)?;
            }
        }
        told = tasks.iter().map(|task| (task.text("id").to_owned(), state(task))).collect();
    }
}

async fn show(global: &Global, api: &Api, id: &str) -> anyhow::Result<Exit> {
    let task: Task = api.get(&["tasks", &whole(api, id).await?], &[]).await?;
    global.output.one(&task, &task.page())?;
    Ok(Exit::Done)
}

/// The id that begins so.
async fn whole(api: &Api, id: &str) -> anyhow::Result<String> {
    if id.len() < 6 || id.len() >= 36 || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Ok(id.to_owned());
    }
    let (found, _) = find(api, &format!("id:{id}"), 2).await?;
    match found.as_slice() {
        [] => Ok(id.to_owned()),
        [task] => Ok(task.text("id").to_owned()),
        _ => Err(anyhow!("more than one task begins with {id}; write more of it"))
            .or_exit(Exit::Invalid),
    }
}

impl Task {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    fn took(&self, field: &str) -> String {
        self.0[field].as_f64().map_or_else(|| "–".to_owned(), seconds)
    }

    /// Its arguments, or its error where it has one.
    fn what(&self) -> String {
        let fields = match self.text("error") {
            "" => ["args", "kwargs"],
            _ => ["error", ""],
        };
        let texts = fields.map(|field| self.text(field));
        let texts = texts.into_iter().filter(|text| !matches!(*text, "" | "()" | "{}"));
        plain(&texts.collect::<Vec<_>>().join(" "))
    }

    fn write_line(&self, format: Format) -> anyhow::Result<()> {
        let cells = self.cells();
        let line = match format {
            Format::Id => cells[0].clone(),
            Format::Table => {
                let padded = cells.iter().zip([36, 9, 20, 10, 3, 8, 8, 20, 16, 0]);
                padded.map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>().join("  ")
            }
            _ => serde_json::to_string(&self.0)?,
        };
        write(format!("{}\n", line.trim_end()).as_bytes())
    }

    /// All that is known of it, for people.
    fn page(&self) -> String {
        let mut text = format!("{}  {}\n", plain(self.text("name")), self.text("id"));
        for (label, field) in [
            ("state", "state"),
            ("queue", "queue"),
            ("worker", "worker"),
            ("args", "args"),
            ("kwargs", "kwargs"),
            ("result", "result"),
            ("error", "error"),
            ("eta", "eta"),
            ("expires", "expires"),
            ("sent", "sent"),
            ("received", "received"),
            ("started", "started"),
            ("ended", "ended"),
            ("root", "root_id"),
            ("parent", "parent_id"),
        ] {
            if !self.text(field).is_empty() {
                let _ = writeln!(text, "  {label:<9} {}", plain(self.text(field)));
            }
        }
        let _ = writeln!(text, "  {:<9} {}", "waited", self.took("wait_s"));
        let _ = writeln!(text, "  {:<9} {}", "ran", self.took("run_s"));
        for attempt in self.0["attempts"].as_array().into_iter().flatten() {
            Task(attempt.clone()).write_attempt(&mut text);
        }
        text
    }

    fn write_attempt(&self, text: &mut String) {
        let outcome = if self.0["outcome"].is_null() { "running" } else { self.text("outcome") };
        let _ = writeln!(
            text,
            "attempt {}  {outcome}  {}  from {} to {}",
            self.0["n"],
            plain(self.text("worker")),
            self.text("started"),
            self.text("ended"),
        );
        for line in self.text("error").lines().chain(self.text("traceback").lines()) {
            let _ = writeln!(text, "  {}", plain(line));
        }
    }
}

impl Row for Task {
    const COLUMNS: &'static [&'static str] =
        &["id", "state", "name", "queue", "try", "wait", "run", "when", "worker", "what"];

    fn cells(&self) -> Vec<String> {
        let tries = self.0["retries"].as_u64().unwrap_or_default() + 1;
        vec![
            plain(self.text("id")),
            self.text("state").to_owned(),
            plain(self.text("name")),
            plain(self.text("queue")),
            tries.to_string(),
            self.took("wait_s"),
            self.took("run_s"),
            // To the second.
            format!("{}Z", self.text("changed").get(..19).unwrap_or_default()),
            plain(self.text("worker")),
            self.what(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task() -> Task {
        Task(json!({
            "id": "a279a6c9-1", "state": "FAILURE", "name": "mail.send", "queue": "mail",
            "worker": "w@h", "args": "()", "kwargs": "{'to': 'a\u{1b}[2J'}", "retries": 4,
            "error": "SMTPTimeout('no\nanswer')", "changed": "2026-11-25T10:00:00.123456Z",
            "wait_s": 0.012, "run_s": null,
            "attempts": [{ "n": 1, "worker": "w@h", "outcome": null, "traceback": "a\nb\u{7}" }],
        }))
    }

    #[test]
    fn a_task_is_one_line_with_its_error_and_nothing_that_moves_the_cursor() {
        let expected = [
            "a279a6c9-1",
            "FAILURE",
            "mail.send",
            "mail",
            "5",
            "12ms",
            "–",
            "2026-11-25T10:00:00Z",
            "w@h",
            "SMTPTimeout('no\\nanswer')",
        ];
        assert_eq!(task().cells(), expected);
    }

    #[test]
    fn its_page_has_its_arguments_and_each_line_of_a_traceback() {
        let page = task().page();
        assert!(page.starts_with("mail.send  a279a6c9-1\n"), "{page}");
        assert!(page.contains("  kwargs    {'to': 'a\\u{1b}[2J'}\n"), "{page}");
        assert!(page.contains("attempt 1  running  w@h"), "{page}");
        assert!(page.ends_with("  a\n  b\\u{7}\n"), "{page}");
    }
}
