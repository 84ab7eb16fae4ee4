//! Tasks by name: how many, how long, how often they fail; and one name with all of it.

use super::super::change::{Micros, micros};
use super::super::histogram::Histogram;
use super::super::http::Pages;
use super::super::index::failures::FailureRow;
use super::super::index::series::{By, Stretch};
use super::super::index::{self, IndexError, TaskRow};
use super::super::state::State;
use super::draw;
use super::frame::{Facts, Frame, Place};
use super::overview::columns;
use super::range::{Choice, Range};
use super::shown::{self, Html, UNKNOWN};
use super::task::Fact;
use super::tasks::{Row, address};
use super::trouble::Trouble;
use super::{Answer, Asking, page};
use askama::Template;
use axum::extract::{Path, Query, State as Given};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Deserialize;

/// So many names are shown.
const NAMES: usize = 500;

/// So many tasks of each list, and kinds of failure, does the page of a name show.
const ROWS: usize = 20;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default = "hour")]
    range: Range,
    #[serde(default)]
    sort: Sort,
}

fn hour() -> Range {
    Range::Hour
}

/// What the list goes by, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Ended,
    Failed,
    Wait,
    Run,
}

#[derive(Template)]
#[template(path = "names.html")]
struct List {
    frame: Frame,
    ranges: Vec<Choice>,
    status: String,
    sorts: Vec<Choice>,
    rows: Vec<Name>,
}

#[derive(Template)]
#[template(path = "name.html")]
struct One {
    frame: Frame,
    name: String,
    ranges: Vec<Choice>,
    facts: Vec<Fact>,
    chart: Html,
    spreads: Vec<Spread>,
    failing: Vec<Failing>,
    failed: Vec<Row>,
    latest: Vec<Row>,
    all: String,
    all_failed: String,
}

/// A name in the list.
struct Name {
    href: String,
    name: String,
    ended: String,
    failed: String,
    is_failing: bool,
    retried: String,
    wait: String,
    run50: String,
    run95: String,
    run99: String,
}

/// How long something took, one by one.
struct Spread {
    id: &'static str,
    term: &'static str,
    p50: String,
    p95: String,
    p99: String,
    drawn: Html,
}

/// A kind of failure of this name.
struct Failing {
    href: String,
    title: String,
    count: String,
    last: Html,
}

/// `GET /names?range=1h&sort=failed`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let since = now - asked.range.span();
    let found = pages.index.read(move |connection| {
        Ok((Facts::read(connection, now)?, index::series::by(connection, By::Name, since, now)?))
    });
    let (facts, counts) = found.await?;
    let mut names: Vec<_> =
        counts.into_iter().filter_map(|(name, counts)| Some((name?, counts))).collect();
    names.sort_by(|a, b| asked.sort.key(&b.1).cmp(&asked.sort.key(&a.1)).then(a.0.cmp(&b.0)));
    page(&List {
        frame: Frame::new(&pages, Place::Names, &facts, now),
        ranges: asked.range.choices(&format!("/names?sort={}&", asked.sort.word())),
        status: shown::counted(names.len() as i64, "name", "names"),
        sorts: asked.sort.choices(asked.range),
        rows: names.iter().take(NAMES).map(|(name, it)| Name::new(name, it, asked.range)).collect(),
    })
}

/// `GET /names/{name}?range=1h`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    Path(name): Path<String>,
    asked: Asking<Asked>,
) -> Answer {
    let Query(Asked { range, .. }) = asked?;
    let now = micros(pages.clock.now());
    let wanted = name.clone();
    let found =
        pages.index.read(move |connection| find(connection, &wanted, now - range.span(), now));
    let found = found.await?;
    if found.latest.is_empty() && found.stretches.is_empty() {
        return Err(Trouble::Missing("name"));
    }
    let (sum, since) = (Stretch::sum(&found.stretches), now - range.span());
    let columns = columns(&found.stretches, found.step, since, now);
    let quoted = crate::filter::quoted(&name);
    page(&One {
        frame: Frame::new(&pages, Place::Names, &found.facts, now),
        ranges: range.choices(&format!("/names/{}?", shown::in_address(&name))),
        facts: facts_of(&sum),
        chart: draw::columns(&columns.bars, columns.step),
        spreads: vec![
            Spread::new("h-wait", "Wait", &sum.wait),
            Spread::new("h-run", "Run", &sum.run),
        ],
        failing: found.failing.iter().map(|it| Failing::new(it, &quoted, now)).collect(),
        failed: found.failed.iter().map(|task| Row::new(task, now)).collect(),
        latest: found.latest.iter().map(|task| Row::new(task, now)).collect(),
        all: address(&format!("name:{quoted}"), None),
        all_failed: address(&format!("name:{quoted} state:bad"), None),
        name: shown::plain(&name),
    })
}

/// What the index says of one name.
struct Found {
    facts: Facts,
    step: Micros,
    stretches: Vec<Stretch>,
    failing: Vec<(FailureRow, i64)>,
    failed: Vec<TaskRow>,
    latest: Vec<TaskRow>,
}

fn find(
    connection: &Connection,
    name: &str,
    since: Micros,
    now: Micros,
) -> Result<Found, IndexError> {
    let (step, stretches) = index::series::of_name(connection, name, since, now)?;
    let tasks = |condition: &str| {
        let own = format!("name = (SELECT id FROM word WHERE text = ?){condition}");
        let parameters = vec![Value::Text(name.to_owned())];
        Ok::<_, IndexError>(index::tasks::list(connection, (&own, parameters), None, ROWS)?.tasks)
    };
    Ok(Found {
        facts: Facts::read(connection, now)?,
        step,
        stretches,
        failing: index::failures::of_name(connection, name, since, ROWS)?,
        failed: tasks(&format!(" AND state = {}", State::Failure.code()))?,
        latest: tasks("")?,
    })
}

fn facts_of(sum: &Stretch) -> Vec<Fact> {
    let text = |text: String| Html::text(&text);
    let count = |state| text(shown::count(sum.count(state)));
    let share = shown::percent(sum.failed(), sum.ended());
    vec![
        Fact::new("Started", count(State::Started)),
        Fact::new("Ended", text(shown::count(sum.ended()))),
        Fact::new("Succeeded", count(State::Success)),
        Fact::new("Failed", text(shown::count(sum.failed()))),
        Fact::new("Failure rate", text(share.map_or(UNKNOWN.to_owned(), |it| format!("{it} %")))),
        Fact::new("Retried", count(State::Retry)),
    ]
}

impl Sort {
    const ALL: [Self; 4] = [Self::Ended, Self::Failed, Self::Wait, Self::Run];

    fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Wait => "wait",
            Self::Run => "run",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Ended => "Ended",
            Self::Failed => "Failed",
            Self::Wait => "Wait p95",
            Self::Run => "Run p95",
        }
    }

    fn key(self, counts: &Stretch) -> i64 {
        match self {
            Self::Ended => counts.ended(),
            Self::Failed => counts.failed(),
            Self::Wait => counts.wait.quantile(0.95).unwrap_or(-1),
            Self::Run => counts.run.quantile(0.95).unwrap_or(-1),
        }
    }

    fn choices(self, range: Range) -> Vec<Choice> {
        let choice = |sort: Self| Choice {
            href: format!("/names?sort={}&range={}", sort.word(), range.word()),
            text: sort.text(),
            is_current: sort == self,
        };
        Self::ALL.into_iter().map(choice).collect()
    }
}

impl Name {
    fn new(name: &str, counts: &Stretch, range: Range) -> Self {
        let run = |share| shown::about(counts.run.quantile(share));
        Self {
            href: format!("/names/{}?range={}", shown::in_address(name), range.word()),
            name: shown::line(name),
            ended: shown::count(counts.ended()),
            failed: shown::count(counts.failed()),
            is_failing: counts.failed() > 0,
            retried: shown::count(counts.count(State::Retry)),
            wait: shown::about(counts.wait.quantile(0.95)),
            run50: run(0.5),
            run95: run(0.95),
            run99: run(0.99),
        }
    }
}

impl Spread {
    fn new(id: &'static str, term: &'static str, took: &Histogram) -> Self {
        let at = |share| shown::about(took.quantile(share));
        Self { id, term, p50: at(0.5), p95: at(0.95), p99: at(0.99), drawn: draw::spread(took) }
    }
}

impl Failing {
    fn new((failure, count): &(FailureRow, i64), name: &str, now: Micros) -> Self {
        Self {
            href: address(&format!("sig:{} name:{name}", failure.id), None),
            title: shown::line(&failure.title),
            count: shown::count(*count),
            last: shown::ago(failure.last, now),
        }
    }
}
