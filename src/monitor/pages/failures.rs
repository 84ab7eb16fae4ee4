//! Failures that are the same, together: type and message without what differs.

use super::super::access::Person;
use super::super::change::micros;
use super::super::http::Pages;
use super::super::index;
use super::super::index::failures::{FailureOrder, FailureRow, Spread};
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::range::{Choice, Range};
use super::shown::{self, Html};
use super::tasks::address;
use super::{Answer, Asking, draw, page};
use crate::monitor::change::Micros;
use askama::Template;
use axum::extract::{Query, State as Given};
use serde::Deserialize;

/// So many kinds are shown.
const ROWS: usize = 200;

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default = "day")]
    range: Range,
    #[serde(default)]
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Last,
    Count,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Page {
    frame: Frame,
    ranges: Vec<Choice>,
    range: &'static str,
    is_by_count: bool,
    may_act: bool,
    status: String,
    rows: Vec<Row>,
}

/// A kind of failure.
pub(super) struct Row {
    pub(super) href: String,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) title: String,
    pub(super) names: String,
    pub(super) spark: Html,
    pub(super) first: Html,
    pub(super) last: Html,
    pub(super) count: String,
    pub(super) open: String,
    pub(super) is_open: bool,
    /// Where all of them are run again.
    again: String,
}

fn day() -> Range {
    Range::Day
}

/// `GET /failures?range=24h&sort=last`
pub(super) async fn show(
    Given(pages): Given<Pages>,
    person: Person,
    asked: Asking<Asked>,
) -> Answer {
    let Query(asked) = asked?;
    let now = micros(pages.clock.now());
    let since = now - asked.range.span();
    let order = match asked.sort {
        Sort::Last => FailureOrder::Last,
        Sort::Count => FailureOrder::Count,
    };
    let found = pages.index.read(move |connection| {
        let facts = Facts::read(connection, now)?;
        Ok((facts, index::failures::failures(connection, since, order, ROWS, now)?))
    });
    let (facts, rows) = found.await?;
    let sort = if asked.sort == Sort::Count { "sort=count&" } else { "" };
    page(&Page {
        frame: Frame::new(&pages, Place::Failures, &facts, now),
        ranges: asked.range.choices(&format!("/failures?{sort}")),
        range: asked.range.word(),
        is_by_count: asked.sort == Sort::Count,
        may_act: person.role >= Role::Operator,
        status: status(rows.len()),
        rows: rows.iter().map(|it| Row::new(it, now)).collect(),
    })
}

fn status(kinds: usize) -> String {
    let more = if kinds == ROWS { "at least " } else { "" };
    format!("{more}{}", shown::counted(kinds as i64, "kind of failure", "kinds of failure"))
}

impl Row {
    pub(super) fn new((failure, spread): &(FailureRow, Spread), now: Micros) -> Self {
        let message = failure.title.strip_prefix(&failure.kind).unwrap_or(&failure.title);
        let hours: Vec<f64> = spread.hours.iter().map(|count| *count as f64).collect();
        let names: Vec<_> = spread.names.iter().map(|name| shown::line(name)).collect();
        Self {
            href: address(&format!("sig:{}", failure.id), None),
            kind: shown::line(&failure.kind),
            message: shown::line(message.trim_start_matches([':', ' '])),
            title: shown::line(&failure.title),
            names: names.join(", "),
            spark: draw::spark(&hours, "bad"),
            first: shown::ago(failure.first, now),
            last: shown::ago(failure.last, now),
            count: shown::count(failure.count),
            open: shown::count(failure.open),
            is_open: failure.open > 0,
            again: format!("/ops/new?action=retry&q=sig:{}%20state:failure", failure.id),
        }
    }
}
