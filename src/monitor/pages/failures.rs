//! Failures that are the same, together: type and message without what differs.

use super::super::access::Person;
use super::super::change::micros;
use super::super::http::Pages;
use super::super::index;
use super::super::index::failures::{
    FailureList, FailureOrder, FailureRow, Listed, Spread, Standing,
};
use super::super::settings::Role;
use super::acts::{self, Act};
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
    /// Those too that somebody has dealt with.
    #[serde(default)]
    resolved: bool,
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
    /// The same list with those that somebody has dealt with, or without them.
    other: (String, &'static str),
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
    /// Whether somebody has dealt with it, and who when.
    pub(super) standing: Html,
    /// Where all of them are run again, for who may.
    again: Option<String>,
    acts: Vec<Act>,
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
    let listed = if asked.resolved { Listed::All } else { Listed::Unresolved };
    let wanted = FailureList { since, order, listed, limit: ROWS };
    let found = pages.index.read(move |connection| {
        let facts = Facts::read(connection, now)?;
        Ok((facts, index::failures::failures(connection, wanted, now)?))
    });
    let (facts, rows) = found.await?;
    let sort = asked.parts(asked.resolved);
    page(&Page {
        frame: Frame::new(&pages, Place::Failures, &facts, now),
        ranges: asked.range.choices(&format!("/failures?{sort}")),
        range: asked.range.word(),
        is_by_count: asked.sort == Sort::Count,
        other: asked.other(),
        status: status(rows.len()),
        rows: rows.iter().map(|it| Row::new(it, now).with_acts(&it.0, &person)).collect(),
    })
}

impl Asked {
    /// What stands in front of the range in an address of this list.
    fn parts(&self, resolved: bool) -> String {
        let sort = if self.sort == Sort::Count { "sort=count&" } else { "" };
        let resolved = if resolved { "resolved=true&" } else { "" };
        format!("{sort}{resolved}")
    }

    fn other(&self) -> (String, &'static str) {
        let (parts, range) = (self.parts(!self.resolved), self.range.word());
        let text = if self.resolved { "without what is resolved" } else { "with what is resolved" };
        (format!("/failures?{parts}range={range}"), text)
    }
}

fn standing(failure: &FailureRow, now: Micros) -> Html {
    let said = failure
        .resolved
        .as_ref()
        .map(|(at, by)| format!("{} by {}", shown::ago(*at, now), shown::escaped(by)));
    match (failure.standing(), said) {
        (Standing::Resolved, Some(said)) => Html::safe(format!("resolved {said}")),
        (Standing::Regressed, Some(said)) => {
            Html::safe(format!("<b>regressed</b>, resolved {said}"))
        }
        _ => Html::default(),
    }
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
            standing: standing(failure, now),
            again: None,
            acts: Vec::new(),
        }
    }

    /// With what this person can do with it.
    fn with_acts(self, failure: &FailureRow, person: &Person) -> Self {
        let act = match failure.standing() {
            Standing::Resolved => Act::on_failure("Open again", failure.id, "unresolve"),
            _ => Act::on_failure("Resolve", failure.id, "resolve"),
        };
        let may = person.role >= Role::Operator && failure.open > 0;
        let again = format!("/ops/new?action=retry&q=sig:{}%20state:failure", failure.id);
        Self { again: may.then_some(again), acts: acts::allowed(person, vec![act]), ..self }
    }
}
