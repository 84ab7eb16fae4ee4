//! The overview: whether all is well, and if not, where to look.

use super::super::change::{Micros, micros};
use super::super::depths::Seen;
use super::super::histogram::Histogram;
use super::super::http::Pages;
use super::super::index::failures::{FailureList, FailureOrder, FailureRow, Listed, Spread};
use super::super::index::series::{By, Stretch};
use super::super::index::workers::{Presence, WorkerRow};
use super::super::index::{self, IndexError};
use super::super::state::State;
use super::draw::{self, Bar};
use super::failures;
use super::frame::{Facts, Frame, Place};
use super::queues::{self, Queue};
use super::range::{Choice, Range};
use super::shown::{self, Html, UNKNOWN};
use super::tasks::address;
use super::workers::Worker;
use super::{Answer, Asking, page};
use askama::Template;
use axum::extract::{Query, State as Given};
use rusqlite::Connection;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// A chart has so many columns.
const COLUMNS: Micros = 60;

/// Each list has so many rows.
const ROWS: usize = 6;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    range: Range,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    ranges: Vec<Choice>,
    cards: Vec<Card>,
    chart: Html,
    queues: Vec<Queue>,
    failing: Vec<failures::Row>,
    slow: Vec<Slow>,
    workers: Vec<Worker>,
}

/// One number, and how it went.
struct Card {
    name: &'static str,
    href: String,
    value: String,
    unit: String,
    tone: &'static str,
    spark: Html,
}

/// A task by how long it runs.
struct Slow {
    href: String,
    name: String,
    count: String,
    p50: String,
    p95: String,
}

/// What the index says.
struct Found {
    facts: Facts,
    step: Micros,
    stretches: Vec<Stretch>,
    names: HashMap<Option<String>, Stretch>,
    queues: HashMap<Option<String>, Stretch>,
    failures: Vec<(FailureRow, Spread)>,
    states: BTreeMap<State, i64>,
    workers: Vec<WorkerRow>,
}

/// `GET /?range=1h`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let since = now - asked.range.span();
    let found = pages.index.read(move |connection| find(connection, since, now)).await?;
    let depths = pages.depths.all();
    let columns = columns(&found.stretches, found.step, since, now);
    let mut queues = queues::rows(&depths, &pages.paused.now(), &found.queues, asked.range, now);
    queues.truncate(ROWS);
    page(&Page {
        frame: Frame::new(&pages, Place::Overview, &found.facts, now),
        ranges: asked.range.choices("/?"),
        cards: cards(&found, &columns, &depths, asked.range),
        chart: draw::columns(&columns.bars, columns.step),
        queues,
        failing: found.failures.iter().map(|it| failures::Row::new(it, now)).collect(),
        slow: slow(&found.names, asked.range),
        workers: found.workers.iter().take(ROWS).map(|it| Worker::new(it, now)).collect(),
    })
}

fn find(connection: &Connection, since: Micros, now: Micros) -> Result<Found, IndexError> {
    let (step, stretches) = index::series::since(connection, since, now)?;
    let wanted =
        FailureList { since, order: FailureOrder::Last, listed: Listed::Unresolved, limit: ROWS };
    let mut workers = index::workers::all(connection)?;
    // Those that somebody should look at first.
    workers.sort_by_key(|worker| worker.presence != Presence::Lost);
    Ok(Found {
        facts: Facts::read(connection, now)?,
        step,
        stretches,
        names: index::series::by(connection, By::Name, since, now)?,
        queues: index::series::by(connection, By::Queue, since, now)?,
        failures: index::failures::failures(connection, wanted, now)?,
        states: index::tasks::states(connection)?,
        workers,
    })
}

/// Stretches of time, all of the same length, without gaps.
pub(super) struct Columns {
    pub(super) step: Micros,
    pub(super) bars: Vec<Bar>,
    wait: Vec<Histogram>,
}

pub(super) fn columns(stretches: &[Stretch], step: Micros, since: Micros, now: Micros) -> Columns {
    let step = step * ((now - since) / (COLUMNS * step)).max(1);
    let begin = since - since % step + step;
    let many = usize::try_from((now - begin) / step + 1).unwrap_or_default();
    let bar = |at: usize| Bar { at: begin + at as Micros * step, ..Bar::default() };
    let mut bars: Vec<Bar> = (0..many).map(bar).collect();
    let mut wait = vec![Histogram::default(); many];
    for stretch in stretches.iter().filter(|it| it.at >= begin) {
        let Ok(at) = usize::try_from((stretch.at - begin) / step) else { continue };
        let (Some(bar), Some(wait)) = (bars.get_mut(at), wait.get_mut(at)) else { continue };
        wait.add_all(&stretch.wait);
        for (state, count) in &stretch.counts {
            match state {
                State::Success => bar.ok += count,
                State::Retry => bar.again += count,
                state if state.is_bad() => bar.bad += count,
                _ => {}
            }
        }
    }
    Columns { step, bars, wait }
}

fn cards(
    found: &Found,
    columns: &Columns,
    depths: &BTreeMap<String, Seen>,
    range: Range,
) -> Vec<Card> {
    let seconds = columns.bars.len() as f64 * columns.step as f64 / 1e6;
    let sum = |part: fn(&Bar) -> i64| columns.bars.iter().map(part).sum::<i64>();
    let (ok, bad) = (sum(|bar| bar.ok), sum(|bar| bar.bad));
    let line = |part: fn(&Bar) -> i64| -> Vec<f64> {
        columns.bars.iter().map(|bar| part(bar) as f64).collect()
    };
    let mut wait = Histogram::default();
    columns.wait.iter().for_each(|it| wait.add_all(it));
    let waits: Vec<f64> =
        columns.wait.iter().map(|it| it.quantile(0.95).unwrap_or_default() as f64).collect();
    let since = range.word();
    vec![
        Card {
            name: "Ended",
            href: "/tasks".to_owned(),
            value: shown::rate((ok + bad) as f64 / seconds.max(1.0)),
            unit: "/s".to_owned(),
            tone: "",
            spark: draw::spark(&line(|bar| bar.ok + bar.bad), ""),
        },
        Card {
            name: "Failed",
            href: address(&format!("state:bad since:{since}"), None),
            value: shown::percent(bad, ok + bad).unwrap_or(UNKNOWN.to_owned()),
            unit: "%".to_owned(),
            tone: if bad > 0 { "bad" } else { "" },
            spark: draw::spark(&line(|bar| bar.bad), ""),
        },
        waiting(depths),
        Card {
            name: "Running",
            href: address("state:started", None),
            value: shown::count(found.states.get(&State::Started).copied().unwrap_or_default()),
            unit: String::new(),
            tone: "",
            spark: Html::default(),
        },
        Card {
            name: "Wait, p95",
            href: "/queues".to_owned(),
            value: shown::about(wait.quantile(0.95)),
            unit: String::new(),
            tone: "",
            spark: draw::spark(&waits, ""),
        },
        staff(&found.workers),
    ]
}

/// Messages that are ready, in all queues that were looked at.
fn waiting(depths: &BTreeMap<String, Seen>) -> Card {
    let ready: Vec<i64> =
        depths.values().filter_map(|it| Some(i64::from(it.depth?.ready))).collect();
    let longest = depths.values().map(|it| it.past.len()).max().unwrap_or_default();
    let at = |back: usize| -> f64 {
        let seen = |it: &Seen| it.past.iter().rev().nth(back).copied().map(f64::from);
        depths.values().filter_map(seen).sum()
    };
    let past: Vec<f64> = (0..longest).rev().map(at).collect();
    Card {
        name: "Waiting",
        href: "/queues".to_owned(),
        value: if ready.is_empty() { UNKNOWN.to_owned() } else { shown::count(ready.iter().sum()) },
        unit: String::new(),
        tone: "",
        spark: draw::spark(&past, ""),
    }
}

fn staff(workers: &[WorkerRow]) -> Card {
    let are = |presence| workers.iter().filter(|it| it.presence == presence).count() as i64;
    let (up, lost) = (are(Presence::Up), are(Presence::Lost));
    Card {
        name: "Workers",
        href: "/workers".to_owned(),
        value: shown::count(up),
        unit: if lost > 0 { format!("up, {} lost", shown::count(lost)) } else { "up".to_owned() },
        tone: if lost > 0 { "bad" } else { "" },
        spark: Html::default(),
    }
}

fn slow(names: &HashMap<Option<String>, Stretch>, range: Range) -> Vec<Slow> {
    let ran = |(name, it): (&Option<String>, &Stretch)| {
        Some((name.clone()?, it.run.quantile(0.5)?, it.run.quantile(0.95)?, it.ended()))
    };
    let mut slow: Vec<_> = names.iter().filter_map(ran).collect();
    slow.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    slow.truncate(ROWS);
    let row = |(name, p50, p95, ended): (String, Micros, Micros, i64)| Slow {
        href: format!("/names/{}?range={}", shown::in_address(&name), range.word()),
        name: shown::line(&name),
        count: shown::count(ended),
        p50: shown::about(Some(p50)),
        p95: shown::about(Some(p95)),
    };
    slow.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn columns_have_no_gaps_and_the_same_length() {
        let stretch = |at: Micros, count| Stretch {
            at,
            counts: HashMap::from([(State::Success, count), (State::Started, 99)]),
            ..Stretch::default()
        };
        let now = 100_000 * SECOND;
        let since = now - Range::Quarter.span();
        let stretches = [stretch(now - 20 * SECOND, 3), stretch(now - 10 * SECOND, 4)];
        let columns = columns(&stretches, 10 * SECOND, since, now);
        assert_eq!(columns.bars.iter().map(|bar| bar.ok).sum::<i64>(), 7);
        assert!(columns.bars.windows(2).all(|two| two[1].at - two[0].at == columns.step));
        let last = columns.bars.last().unwrap().at;
        assert!(last <= now && now < last + columns.step, "the last holds now");
        assert!((50..=91).contains(&columns.bars.len()), "{}", columns.bars.len());
    }
}
