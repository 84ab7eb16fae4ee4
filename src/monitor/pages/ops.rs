//! Operations: something done with each of many, how far that is, and what did not go well.

use super::super::access::{Operator, Person};
use super::super::change::{Micros, micros};
use super::super::http::Pages;
use super::super::index::operations::{self, FailureLine, OperationRow};
use super::super::operations::{Action, Phase, Source, Wish};
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::task::Fact;
use super::trouble::Trouble;
use super::{Answer, Asking, page};
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State as Given};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

/// A page of the list has so many rows.
const ROWS: usize = 50;

/// So many failures are shown one by one.
const SHOWN: usize = 200;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "ops.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    is_first: bool,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "op.html")]
struct One {
    frame: Frame,
    row: Row,
    id: String,
    verdict: String,
    wishes: Vec<&'static str>,
    matched: i64,
    place: i64,
    numbers: Vec<Fact>,
    facts: Vec<Fact>,
    skips: Vec<(String, String)>,
    failures: Vec<FailureLine>,
    more: Option<String>,
}

struct Row {
    href: String,
    mark: Html,
    what: String,
    q: String,
    done: String,
    failed: String,
    skipped: String,
    matched: String,
    by: String,
    begun: Html,
}

/// `GET /ops?before=…`
pub(super) async fn show(Given(pages): Given<Pages>, asked: Asking<Asked>) -> Answer {
    let Query(Asked { before }) = asked?;
    let now = micros(pages.clock.now());
    let found = pages
        .index
        .read(move |index| Ok((Facts::read(index, now)?, operations::list(index, before, ROWS)?)));
    let (facts, (rows, older)) = found.await?;
    page(&List {
        frame: Frame::new(&pages, Place::Operations, &facts, now),
        rows: rows.iter().map(|row| Row::new(row, now)).collect(),
        is_first: before.is_none(),
        older: older.map(|older| format!("/ops?before={older}")),
    })
}

/// `GET /ops/{id}`
pub(super) async fn one(
    Given(pages): Given<Pages>,
    person: Person,
    Path(id): Path<String>,
) -> Answer {
    let now = micros(pages.clock.now());
    let found = pages.index.read(move |index| {
        let facts = Facts::read(index, now)?;
        let Some(row) = operations::one(index, &id)? else { return Ok(None) };
        let skips = operations::skips(index, row.n)?;
        let failures = operations::failures(index, row.n, SHOWN)?;
        Ok(Some((facts, row, skips, failures)))
    });
    let (facts, row, skips, failures) = found.await?.ok_or(Trouble::Missing("operation"))?;
    let unseen = row.failed - failures.len() as i64;
    let may = person.role >= Role::Operator;
    page(&One {
        frame: Frame::new(&pages, Place::Operations, &facts, now),
        id: shown::plain(&row.id),
        verdict: verdict(&row, now),
        wishes: if may { wishes(row.phase) } else { Vec::new() },
        matched: row.matched,
        place: row.place,
        numbers: numbers(&row),
        facts: about(&row),
        skips: skips.into_iter().map(|(why, count)| (why, shown::count(count))).collect(),
        failures: failures.iter().map(line).collect(),
        more: (unseen > 0).then(|| format!("and {} more", shown::count(unseen))),
        row: Row::new(&row, now),
    })
}

/// What somebody wants of an operation.
#[derive(Debug, Deserialize)]
pub(super) struct Wished {
    wish: Wish,
}

/// `POST /ops/{id}`
pub(super) async fn turn(
    Given(pages): Given<Pages>,
    Operator(person): Operator,
    Path(id): Path<String>,
    Form(Wished { wish }): Form<Wished>,
) -> Answer {
    let back = format!("/ops/{}", shown::in_address(&id));
    let turned = pages.actor.turn(&person.name, &pages.operations, id, wish).await;
    turned.map_err(|error| Trouble::Away(error.to_string()))?;
    Ok(Redirect::to(&back).into_response())
}

fn line(failure: &FailureLine) -> FailureLine {
    FailureLine {
        target: shown::line(&failure.target),
        outcome: failure.outcome.replace('_', " "),
        detail: shown::line(&failure.detail),
    }
}

fn wishes(phase: Phase) -> Vec<&'static str> {
    let all = [Wish::Pause, Wish::Resume, Wish::Cancel];
    all.into_iter().filter(|wish| wish.turns(phase).is_some()).map(Wish::as_str).collect()
}

fn verdict(row: &OperationRow, now: Micros) -> String {
    let left = ((row.matched - row.place) as f64 / row.plan.rate * 1e6) as Micros;
    match (row.phase, row.ended) {
        (Phase::Running, _) => format!("about {} to go", shown::took(left)),
        (Phase::Waiting, _) => "until the ones before it have ended".to_owned(),
        (Phase::Paused, _) => "until somebody lets it go on".to_owned(),
        (Phase::Unknown, _) => {
            "another monitor runs it, or the index of this one was made anew since".to_owned()
        }
        (_, Some(ended)) => format!("after {}", shown::took((ended - row.begun).max(0))),
        (_, None) => format!("for {}", shown::took((now - row.begun).max(0))),
    }
}

fn numbers(row: &OperationRow) -> Vec<Fact> {
    let count = |number: i64| Html::text(&shown::count(number));
    vec![
        Fact::new("Done", count(row.done)),
        Fact::new("Failed", count(row.failed)),
        Fact::new("Passed over", count(row.skipped)),
        Fact::new("To go", count((row.matched - row.place).max(0))),
        Fact::new("At most per second", Html::text(&row.plan.rate.to_string())),
    ]
}

fn about(row: &OperationRow) -> Vec<Fact> {
    let source = match row.plan.action.source() {
        Source::Dead => "dead",
        Source::Tasks => "tasks",
    };
    let q = if row.plan.q.is_empty() { "everything" } else { &row.plan.q };
    let list = Html::link(&format!("/{source}?q={}", shown::in_address(&row.plan.q)), q);
    let mut facts = vec![
        Fact::new("Filter", list),
        Fact::new("By", Html::text(&row.by)),
        Fact::new("Begun", shown::full(row.begun)),
        Fact::new("Ended", shown::some(row.ended, shown::full)),
    ];
    facts.extend(row.plan.to.as_deref().map(|queue| Fact::new("To the queue", Html::text(queue))));
    facts
}

/// A thing that is done with so many, in words.
pub(super) fn what(action: Action, many: i64) -> String {
    let (verb, one, all) = match action {
        Action::Requeue => ("Requeue", "dead letter", "dead letters"),
        Action::Discard => ("Discard", "dead letter", "dead letters"),
        Action::Retry => ("Run again", "task", "tasks"),
        Action::Revoke => ("Revoke", "task", "tasks"),
    };
    format!("{verb} {}", shown::counted(many, one, all))
}

impl Row {
    fn new(row: &OperationRow, now: Micros) -> Self {
        let sign = match row.phase {
            Phase::Waiting => "sent",
            Phase::Running => "started",
            Phase::Paused => "scheduled",
            Phase::Cancelled => "revoked",
            Phase::Done if row.failed > 0 => "failure",
            Phase::Done => "success",
            Phase::Unknown => "lost",
        };
        Self {
            href: format!("/ops/{}", shown::in_address(&row.id)),
            mark: shown::mark(sign, &row.phase.as_str().to_uppercase()),
            what: what(row.plan.action, row.matched),
            q: shown::line(&row.plan.q),
            done: shown::count(row.done),
            failed: shown::count(row.failed),
            skipped: shown::count(row.skipped),
            matched: shown::count(row.matched),
            by: shown::line(&row.by),
            begun: shown::ago(row.begun, now),
        }
    }
}
