//! Queues: what waits in them, who consumes them, how their tasks fare.

use super::super::access::Person;
use super::super::change::{Micros, micros};
use super::super::depths::Seen;
use super::super::http::Pages;
use super::super::index;
use super::super::index::series::{By, Stretch};
use super::acts::{self, Act};
use super::frame::{Facts, Frame, Place};
use super::range::{Choice, Range};
use super::shown::{self, Html, UNKNOWN};
use super::task::Fact;
use super::tasks::{Row, address};
use super::trouble::Trouble;
use super::{Answer, Asking, draw, page};
use crate::control::Pauses;
use askama::Template;
use axum::extract::{Path, Query, State as Given};
use rusqlite::types::Value;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// A queue's page shows so many of its tasks.
const ROWS: usize = 50;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    range: Range,
}

/// The same of the page of one queue, which looks back an hour by itself.
#[derive(Debug, Deserialize)]
pub(super) struct AskedOne {
    range: Option<Range>,
}

#[derive(Template)]
#[template(path = "queues.html")]
struct List {
    frame: Frame,
    ranges: Vec<Choice>,
    queues: Vec<Queue>,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct One {
    frame: Frame,
    queue: Queue,
    acts: Vec<Act>,
    facts: Vec<Fact>,
    ranges: Vec<Choice>,
    /// How many messages were ready.
    chart: Html,
    latest: Vec<Row>,
    all: String,
}

/// A queue as lists show it.
pub(super) struct Queue {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) ready: String,
    pub(super) consumers: String,
    pub(super) spark: Html,
    pub(super) ended: String,
    pub(super) wait: String,
    pub(super) wait95: String,
    pub(super) failed: String,
    pub(super) mark: Html,
    /// Who paused it, since when, and why.
    pub(super) pause: Option<String>,
}

/// `GET /queues?range=15m`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let since = now - asked.range.span();
    let found = pages.index.read(move |connection| {
        Ok((Facts::read(connection, now)?, index::series::by(connection, By::Queue, since, now)?))
    });
    let (facts, counts) = found.await?;
    page(&List {
        frame: Frame::new(&pages, Place::Queues, &facts, now),
        ranges: asked.range.choices("/queues?"),
        queues: rows(&pages.depths.all(), &pages.paused.now(), &counts, asked.range, now),
    })
}

/// `GET /queues/{name}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(name): Path<String>,
    asked: Asking<AskedOne>,
) -> Answer {
    let now = micros(pages.clock.now());
    let Query(AskedOne { range }) = asked?;
    let range = range.unwrap_or(Range::Hour);
    let since = now - range.span();
    let asked = name.clone();
    let found = pages.index.read(move |connection| {
        let own = "queue = (SELECT id FROM word WHERE text = ?)";
        let (step, mut depths) = index::depths::since(connection, Some(&asked), since, now)?;
        let depths = (step, depths.remove(&asked).unwrap_or_default());
        let latest = index::tasks::list(connection, (own, vec![Value::Text(asked)]), None, ROWS)?;
        let counts = index::series::by(connection, By::Queue, since, now)?;
        Ok((Facts::read(connection, now)?, latest.tasks, counts, depths))
    });
    let (facts, latest, counts, (step, levels)) = found.await?;
    let seen = pages.depths.one(&name);
    let stretch = counts.get(&Some(name.clone()));
    let pause = pages.paused.of(&name);
    if seen.is_none() && latest.is_empty() && stretch.is_none() && pause.is_none() {
        return Err(Trouble::Missing("queue"));
    }
    let seen = seen.unwrap_or_default();
    let said = pause.as_ref().map(|pause| shown::pause(pause, now));
    let queue = Queue::new(&name, &seen, said, stretch, range);
    let switch = if pause.is_some() { Act::resume(&name) } else { Act::pause(&name) };
    page(&One {
        frame: Frame::new(&pages, Place::Queues, &facts, now),
        acts: acts::allowed(&person, vec![switch, Act::purge(&name)]),
        facts: facts_of(&queue, &seen, now),
        ranges: range.choices(&format!("{}?", queue.href)),
        chart: draw::levels(&levels, step, since, now),
        queue,
        latest: latest.iter().map(|task| Row::new(task, now)).collect(),
        all: address(&format!("queue:{}", crate::filter::quoted(&name)), None),
    })
}

/// Every queue that is known, those first in which most waits.
pub(super) fn rows(
    depths: &BTreeMap<String, Seen>,
    pauses: &Pauses,
    counts: &HashMap<Option<String>, Stretch>,
    range: Range,
    now: Micros,
) -> Vec<Queue> {
    let told = counts.keys().flatten().filter(|name| !depths.contains_key(*name));
    let nothing = Seen::default();
    let mut all: Vec<(&String, &Seen)> =
        depths.iter().chain(told.map(|name| (name, &nothing))).collect();
    all.sort_by_key(|(name, seen)| {
        (std::cmp::Reverse(seen.depth.map(|it| it.ready)), (*name).clone())
    });
    let row = |(name, seen): (&String, &Seen)| {
        let pause = pauses.of(name).map(|pause| shown::pause(pause, now));
        Queue::new(name, seen, pause, counts.get(&Some(name.clone())), range)
    };
    all.into_iter().map(row).collect()
}

fn facts_of(queue: &Queue, seen: &Seen, now: Micros) -> Vec<Fact> {
    let text = |text: &String| Html::text(text);
    let worker = |name: &String| {
        Html::link(&format!("/workers/{}", shown::in_address(name)), name).to_string()
    };
    let workers: Vec<_> = seen.workers.iter().map(worker).collect();
    let workers = if workers.is_empty() { Html::unknown() } else { Html::safe(workers.join(", ")) };
    let looked = (seen.at > 0).then_some(seen.at);
    vec![
        Fact::new("Ready", text(&queue.ready)),
        Fact::new("Consumers", text(&queue.consumers)),
        Fact::new("Workers", workers),
        Fact::new("Ended", text(&queue.ended)),
        Fact::new("Failed", text(&queue.failed)),
        Fact::new("Wait, p50", text(&queue.wait)),
        Fact::new("Wait, p95", text(&queue.wait95)),
        Fact::new("Looked at", shown::some(looked, |at| shown::ago(at, now))),
    ]
}

impl Queue {
    fn new(
        name: &str,
        seen: &Seen,
        pause: Option<String>,
        counts: Option<&Stretch>,
        range: Range,
    ) -> Self {
        let number = |it: Option<u32>| shown::some_count(it.map(i64::from));
        let past: Vec<f64> = seen.past.iter().copied().map(f64::from).collect();
        let wait = |share| shown::about(counts.and_then(|it| it.wait.quantile(share)));
        let failed = counts.and_then(|it| shown::percent(it.failed(), it.ended()));
        let ended = counts.map(|it| it.ended() as f64 * 1e6 / range.span() as f64);
        Self {
            href: format!("/queues/{}", shown::in_address(name)),
            name: shown::line(name),
            ready: number(seen.depth.map(|it| it.ready)),
            consumers: number(seen.depth.map(|it| it.consumers)),
            spark: draw::spark(&past, ""),
            ended: ended.map_or(UNKNOWN.to_owned(), |it| format!("{}/s", shown::rate(it))),
            wait: wait(0.5),
            wait95: wait(0.95),
            failed: failed.map_or(UNKNOWN.to_owned(), |it| format!("{it} %")),
            mark: if pause.is_some() { shown::mark("late", "paused") } else { mark(seen) },
            pause,
        }
    }
}

fn mark(seen: &Seen) -> Html {
    match seen.depth {
        None if seen.at == 0 => shown::mark("unknown", "not looked at"),
        None => shown::mark("unknown", "not there"),
        Some(depth) if depth.consumers == 0 && depth.ready > 0 => {
            shown::mark("late", "no consumer")
        }
        Some(depth) if depth.consumers == 0 => shown::mark("unknown", "no consumer"),
        Some(_) => shown::mark("up", "consumed"),
    }
}
