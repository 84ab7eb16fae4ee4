//! Dead letters and the audit, as the API has them.

use super::super::change::time_of;
use super::super::http::Pages;
use super::super::index::audit::{self, AuditRow};
use super::super::index::dead::{self, DeadRow};
use super::super::index::select::acts;
use super::super::index::select::letters::condition;
use super::{Items, Problem};
use crate::archive::{ArchiveError, DeadLetter, Filter};
use crate::clock::to_iso;
use crate::filter;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use rusqlite::types::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A dead letter, without its body.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Letter {
    offset: i64,
    dead_at: Option<String>,
    reason: String,
    task: Option<String>,
    id: Option<String>,
    queue: Option<String>,
    worker: Option<String>,
    error: Option<String>,
    args: Option<String>,
    retries: i64,
    size: i64,
    state: String,
    done_at: Option<String>,
    by: Option<String>,
}

/// Which part of the dead letters is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// As `docs/filter.md` has it; open letters unless it names a state.
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Dead letters, and how many there are of all.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LetterList {
    #[serde(flatten)]
    list: Items<Letter>,
    /// Nobody has dealt with so many.
    open: i64,
    /// The archive has so many.
    total: i64,
}

/// `GET /dead?q=…`
pub(super) async fn list(
    State(pages): State<Pages>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<LetterList>, Problem> {
    let Query(Wanted { q, limit, cursor }) = wanted?;
    let part = super::Part { limit, cursor };
    let (limit, before) = (part.limit()?, part.before()?);
    let now = pages.clock.now();
    let filter = Filter::parse(&q, now).map_err(|error| Problem::field("q", error.to_string()))?;
    let (condition, parameters) = condition(&filter, now);
    let asked = pages.index.read(move |index| {
        let found = dead::list(index, (&condition, parameters), before, limit)?;
        Ok((found, dead::totals(index)?))
    });
    let ((rows, older), totals) = asked.await?;
    let items = rows.into_iter().map(Letter::from).collect();
    let list = Items { items, next: older.map(|older| older.to_string()) };
    Ok(Json(LetterList { list, open: totals.open, total: totals.kept }))
}

/// `GET /dead/{offset}`: with the whole message.
pub(super) async fn one(
    State(pages): State<Pages>,
    Path(offset): Path<u64>,
) -> Result<Json<serde_json::Value>, Problem> {
    let archive = &pages.archive;
    let unavailable = |error: ArchiveError| Problem::unavailable(error.to_string());
    let row = pages
        .index
        .read(move |index| dead::one(index, offset.try_into().unwrap_or(i64::MAX)))
        .await?;
    match archive.message(offset).await.map_err(unavailable)? {
        Some(message) => {
            let mut letter = DeadLetter::read(offset, &message);
            letter.state = row.map_or(letter.state, |row| row.became());
            Ok(Json(letter.to_record(&message)))
        }
        None => Err(Problem::not_found(format!("there is no dead letter {offset}"))),
    }
}

/// `GET /dead/states`: how many letters there are, by what became of them.
pub(super) async fn states(
    State(pages): State<Pages>,
) -> Result<Json<BTreeMap<String, i64>>, Problem> {
    Ok(Json(pages.index.read(dead::states).await?.into_iter().collect()))
}

/// Something that somebody did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Act {
    id: String,
    at: String,
    by: String,
    action: String,
    target: String,
    arguments: serde_json::Value,
    /// Null where nobody has told how it ended.
    ended: Option<String>,
    outcome: Option<serde_json::Value>,
}

/// Whose audit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// Such as `by:ana action:purge since:2d`; as `docs/filter.md` has it.
    #[serde(default)]
    q: String,
    /// Only what was done to this.
    target: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /audit`
pub(super) async fn acts(
    State(pages): State<Pages>,
    of: Result<Query<Of>, QueryRejection>,
) -> Result<Json<Items<Act>>, Problem> {
    let Query(Of { q, target, limit, cursor }) = of?;
    let part = super::Part { limit, cursor };
    let (limit, before) = (part.limit()?, part.before()?);
    let expr =
        filter::parse(&q, &acts::FIELDS).map_err(|error| Problem::field("q", error.to_string()))?;
    let (mut condition, mut parameters) = acts::condition(&expr, pages.clock.now());
    if let Some(target) = target {
        condition = format!("({condition}) AND target = ?");
        parameters.push(Value::Text(target));
    }
    let asked =
        pages.index.read(move |index| audit::list(index, (&condition, parameters), before, limit));
    let (acts, older) = asked.await?;
    let items = acts.into_iter().map(Act::from).collect();
    Ok(Json(Items { items, next: older.map(|older| older.to_string()) }))
}

impl From<DeadRow> for Letter {
    fn from(row: DeadRow) -> Self {
        Self {
            offset: row.offset,
            dead_at: row.at.map(|at| to_iso(time_of(at))),
            reason: row.reason,
            task: row.task,
            id: row.id,
            queue: row.queue,
            worker: row.worker,
            error: row.error,
            args: row.args,
            retries: row.retries,
            size: row.size,
            state: row.state,
            done_at: row.done.map(|at| to_iso(time_of(at))),
            by: row.by,
        }
    }
}

impl From<AuditRow> for Act {
    fn from(row: AuditRow) -> Self {
        let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
        Self {
            id: row.id,
            at: to_iso(time_of(row.at)),
            by: row.by,
            action: row.action,
            target: row.target,
            arguments: json(row.arguments),
            ended: row.ended.map(|at| to_iso(time_of(at))),
            outcome: row.outcome.map(json),
        }
    }
}
