//! `celeriac dead list` and `celeriac dead show`

use super::super::exit::{Exit, failed};
use super::super::global::Global;
use super::super::output::{Row, counted};
use super::{find, open};
use crate::archive::{ArchiveError, DeadLetter};
use crate::broker::RawMessage;
use crate::clock;
use crate::protocol::Format;
use crate::units;
use serde::{Serialize, Serializer};
use std::fmt::Write;

/// One line of the list.
struct Line(DeadLetter);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json().serialize(serializer)
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] =
        &["id", "state", "reason", "task", "queue", "retries", "dead", "error"];

    fn cells(&self) -> Vec<String> {
        let letter = &self.0;
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        let error = letter.error.as_deref().unwrap_or_default();
        vec![
            letter.id.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
            letter.state.as_str().to_owned(),
            letter.reason.to_string(),
            text(&letter.task),
            text(&letter.queue),
            letter.retries.to_string(),
            letter.dead_at.map_or_else(|| "–".to_owned(), short_time),
            error.lines().next().unwrap_or_default().to_owned(),
        ]
    }
}

/// To the second, in UTC.
fn short_time(time: std::time::SystemTime) -> String {
    clock::to_iso(time).get(..19).map_or_else(String::new, |text| text.replace('T', " ") + "Z")
}

pub(super) async fn list(global: &Global, filter: &[String], limit: usize) -> anyhow::Result<Exit> {
    super::parse(filter)?;
    let (app, archive) = open(global).await?;
    let letters = find(&archive, filter).await?;
    let found = letters.len();
    let shown: Vec<_> = letters.into_iter().rev().take(limit).map(Line).collect();
    global.output.rows(&shown)?;
    global.note(&match found {
        found if found > shown.len() => {
            format!("{} of {found} dead letters, newest first", shown.len())
        }
        found => counted(found as u64, "dead letter"),
    });
    app.close().await;
    Ok(Exit::Done)
}

pub(super) async fn show(global: &Global, id: &str) -> anyhow::Result<Exit> {
    let (app, archive) = open(global).await?;
    let letters = find(&archive, &["state:all".to_owned(), format!("id:\"{id}\"")]).await?;
    let newest = letters.last().cloned();
    let Some(letter) = newest else {
        let text = format!("no dead letter has the id {id:?}; see `celeriac dead list state:all`");
        return Err(failed(Exit::NotFound, anyhow::anyhow!(text)));
    };
    let message = archive.message(letter.offset).await.map_err(super::failed)?;
    let gone = ArchiveError::Missing(app.config().dead.stream.clone());
    let message = message.ok_or_else(|| super::failed(gone))?;
    let text = page(&letter, letters.len() - 1, &message);
    global.output.one(&letter.to_record(&message), &text)?;
    app.close().await;
    Ok(Exit::Done)
}

/// The letter as text.
fn page(letter: &DeadLetter, earlier: usize, message: &RawMessage) -> String {
    let mut text = String::new();
    for (name, value) in facts(letter) {
        let _ = writeln!(text, "{name:<10}{value}");
    }
    if earlier > 0 {
        let _ = writeln!(text, "{:<10}{earlier} times", "earlier");
    }
    for attempt in &letter.attempts {
        let took = units::format_duration(attempt.took);
        let at = short_time(attempt.at);
        let first = attempt.error.lines().next().unwrap_or_default();
        let _ =
            write!(text, "\nattempt {}  {at}  after {took}  {}", attempt.number, attempt.worker);
        let _ = writeln!(text, "\n  {first}");
    }
    if let Some(error) = &letter.error {
        let _ = writeln!(text, "\nerror\n{}", indent(error));
    }
    let _ = writeln!(text, "\nbody ({} bytes)\n{}", letter.size, indent(&body(message)));
    text
}

fn facts(letter: &DeadLetter) -> Vec<(&'static str, String)> {
    let done = letter
        .state
        .deed()
        .map_or_else(String::new, |deed| format!(" by {} at {}", deed.by, short_time(deed.at)));
    let exchange = letter.exchange.as_deref().unwrap_or("–");
    let facts = [
        ("task", letter.task.clone()),
        ("id", letter.id.as_ref().map(ToString::to_string)),
        ("state", Some(format!("{}{done}", letter.state.as_str()))),
        ("reason", Some(letter.reason.to_string())),
        ("dead", letter.dead_at.map(short_time)),
        ("queue", letter.queue.clone()),
        ("route", Some(format!("exchange {exchange}, key {}", letter.routing_key))),
        ("worker", letter.worker.clone()),
        ("retries", Some(letter.retries.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// So many characters of a body are shown.
const SHOWN: usize = 4_000;

/// The body as text, if it is text or MessagePack.
fn body(message: &RawMessage) -> String {
    let properties = message.properties();
    let format = properties.content_type.as_deref().and_then(Format::from_content_type);
    let packed = message.text_header("compression").is_some_and(|name| !name.is_empty());
    let text = match (format, packed) {
        (Some(Format::MessagePack), false) => Format::MessagePack
            .decode::<crate::protocol::Value>(&message.body)
            .map(|value| value.to_string())
            .ok(),
        (_, false) => String::from_utf8(message.body.to_vec()).ok(),
        (_, true) => None,
    };
    let Some(text) = text else {
        return "not text; `celeriac dead export` has it whole".to_owned();
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
