//! `celeriac dead requeue` and `celeriac dead discard`

use super::super::exit::{Exit, failed};
use super::super::global::Global;
use super::super::output::{ask, say, say_errors};
use super::super::person;
use super::{find, open};
use crate::archive::{Archive, DeadLetter, Done, Retries};
use crate::broker::DeclareError;
use crate::units::Rate;
use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

/// More letters than this are not requeued without a question.
const MANY: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Requeue {
    #[command(flatten)]
    choice: Choice,

    /// At most so many, such as 20/s
    #[arg(long, value_name = "RATE", value_parser = super::rate)]
    rate: Option<Rate>,

    /// To this queue, instead of the one each letter came from
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,

    /// Go on counting retries where the task gave up, instead of from zero
    #[arg(long)]
    keep_retries: bool,

    /// Also those that were requeued or discarded before (with state:all or the like)
    #[arg(long)]
    again: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    choice: Choice,
}

/// Which letters, and whether to ask.
#[derive(Debug, clap::Args)]
struct Choice {
    /// Which letters: see `celeriac dead --help`
    #[arg(value_name = "FILTER", required = true)]
    filter: Vec<String>,

    /// At most so many, oldest first
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What a command did, or would do.
#[derive(Debug, Default)]
struct Tally {
    matched: usize,
    done: usize,
    failed: usize,
    skipped: BTreeMap<&'static str, usize>,
    errors: Vec<String>,
}

pub(super) async fn requeue(global: &Global, how: &Requeue) -> anyhow::Result<Exit> {
    super::parse(&how.choice.filter)?;
    let (app, archive) = open(global).await?;
    let found = how.choice.find(&archive).await?;
    let mut tally = Tally { matched: found.len(), ..Tally::default() };
    let gone = gone_queues(&app, &found, how.to.as_deref()).await?;
    let eligible = found.into_iter().filter(|letter| {
        let queue = how.to.as_ref().or(letter.queue.as_ref());
        let skip = match queue {
            _ if !letter.is_open() && !how.again => Some("already requeued or discarded"),
            None => Some("origin queue unknown, give --to QUEUE"),
            Some(queue) if gone.contains(queue) => Some("queue gone"),
            Some(_) => None,
        };
        skip.into_iter().for_each(|why| *tally.skipped.entry(why).or_default() += 1);
        skip.is_none()
    });
    let letters: Vec<_> = eligible.collect();
    if how.choice.dry_run {
        return tally.plan(global, &letters);
    }
    let pace = how.rate.map_or_else(String::new, |rate| format!(" at {rate}"));
    if letters.len() > MANY {
        let question = format!("Requeue {} dead letters to their origin{pace}?", letters.len());
        how.choice.confirm(&question, letters.len())?;
    }
    let bar = progress(global, "requeue", letters.len());
    let options = crate::archive::Requeue {
        rate: how.rate.map(Rate::per_second),
        retries: if how.keep_retries { Retries::Keep } else { Retries::Reset },
        queue: how.to.clone(),
        by: person::name(),
    };
    let requeued = archive.requeue(&letters, &options, |done| tally.count(done, &bar)).await;
    bar.finish_and_clear();
    requeued.map_err(super::failed)?;
    app.close().await;
    tally.report(global, "requeued")
}

pub(super) async fn discard(global: &Global, how: &Discard) -> anyhow::Result<Exit> {
    super::parse(&how.choice.filter)?;
    let (app, archive) = open(global).await?;
    let mut letters = how.choice.find(&archive).await?;
    let mut tally = Tally { matched: letters.len(), ..Tally::default() };
    letters.retain(DeadLetter::is_open);
    let settled = tally.matched - letters.len();
    if settled > 0 {
        tally.skipped.insert("already requeued or discarded", settled);
    }
    if how.choice.dry_run {
        return tally.plan(global, &letters);
    }
    if !letters.is_empty() {
        let question = format!("Discard {} dead letters?", letters.len());
        how.choice.confirm(&question, letters.len())?;
    }
    let bar = progress(global, "discard", letters.len());
    archive.discard(&letters, &person::name(), |done| tally.count(done, &bar)).await;
    bar.finish_and_clear();
    app.close().await;
    tally.report(global, "discarded")
}

/// The queues among the letters' destinations that do not exist.
async fn gone_queues(
    app: &crate::app::App,
    letters: &[DeadLetter],
    to: Option<&str>,
) -> anyhow::Result<BTreeSet<String>> {
    let origins = letters.iter().filter_map(|letter| letter.queue.as_deref());
    let queues: BTreeSet<&str> = match to {
        Some(queue) => BTreeSet::from([queue]),
        None => origins.collect(),
    };
    let mut gone = BTreeSet::new();
    for queue in queues {
        match app.broker().depth(queue).await {
            Ok(None) => drop(gone.insert(queue.to_owned())),
            Err(error @ DeclareError::Interrupted(_)) => {
                return Err(failed(Exit::Unreachable, error));
            }
            // It is there, even if it may not be looked at.
            Ok(Some(_)) | Err(_) => {}
        }
    }
    Ok(gone)
}

impl Choice {
    async fn find(&self, archive: &Archive) -> anyhow::Result<Vec<DeadLetter>> {
        let mut letters = find(archive, &self.filter).await?;
        letters.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(letters)
    }

    /// Asks on a terminal; elsewhere `--yes` must have been given.
    fn confirm(&self, question: &str, count: usize) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(failed(Exit::Invalid, anyhow!("{question} Say so with --yes")));
        }
        if ask(format_args!("{question} type {count}"))? == count.to_string() {
            return Ok(());
        }
        Err(failed(Exit::No, anyhow!("not confirmed, nothing done")))
    }
}

impl Tally {
    fn count(&mut self, done: Done, bar: &ProgressBar) {
        bar.inc(1);
        match done.result {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.failed += 1;
                self.errors.push(format!("letter at offset {}: {error}", done.offset));
            }
        }
        bar.set_message(format!("ok {} · failed {}", self.done, self.failed));
    }

    fn skipped(&self) -> usize {
        self.skipped.values().sum()
    }

    fn plan(self, global: &Global, letters: &[DeadLetter]) -> anyhow::Result<Exit> {
        let mut text = format!("{} match · {} eligible", self.matched, letters.len());
        for (why, count) in &self.skipped {
            text.push_str(&format!(" · {count} skipped: {why}"));
        }
        if let Some(letter) = letters.first() {
            let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
            let id = letter.id.as_ref().map_or("–", |id| id.as_str());
            text.push_str(&format!(
                "\nsample  {id} {} {}   queue {}   reason {}",
                name(&letter.task),
                letter.argsrepr.as_deref().unwrap_or_default(),
                name(&letter.queue),
                letter.reason,
            ));
        }
        let answer = json!({
            "matched": self.matched,
            "eligible": letters.len(),
            "skipped": self.skipped,
            "dry_run": true,
        });
        global.output.one(&answer, &text)?;
        Ok(if self.matched == 0 { Exit::NotFound } else { Exit::Done })
    }

    fn report(self, global: &Global, verb: &str) -> anyhow::Result<Exit> {
        say_errors(&self.errors);
        for (why, count) in &self.skipped {
            say(format_args!("{count} skipped: {why}"));
        }
        let (done, failed, skipped) = (self.done, self.failed, self.skipped());
        let answer = json!({
            "matched": self.matched,
            verb: done,
            "failed": failed,
            "skipped": self.skipped,
        });
        let text = format!("{done} {verb}, {failed} failed, {skipped} skipped");
        global.output.one(&answer, &text)?;
        Ok(match (self.matched, failed + skipped) {
            (0, _) => Exit::NotFound,
            (_, 0) => Exit::Done,
            _ => Exit::Partly,
        })
    }
}

fn progress(global: &Global, verb: &'static str, length: usize) -> ProgressBar {
    if global.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {per_sec}  eta {eta}  {msg}");
    ProgressBar::new(length as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(verb)
}
