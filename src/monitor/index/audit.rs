//! What people did.

use super::super::change::Micros;
use super::{IndexError, operations, resolution};
use crate::control::audit::Record;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct AuditRow {
    pub(in super::super) n: i64,
    pub(in super::super) id: String,
    pub(in super::super) at: Micros,
    pub(in super::super) by: String,
    pub(in super::super) action: String,
    pub(in super::super) target: String,
    /// JSON.
    pub(in super::super) arguments: String,
    /// When it ended; `None` where nobody has told.
    pub(in super::super) ended: Option<Micros>,
    /// JSON.
    pub(in super::super) outcome: Option<String>,
}

/// Takes in a record.
pub(super) fn note(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Begun(begun) => {
            let mut add = transaction.prepare_cached(
                "INSERT INTO audit (id, at, by, action, target, arguments)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
            )?;
            let arguments = begun.arguments.to_string();
            add.execute((&begun.id, begun.at, &begun.by, &begun.action, &begun.target, arguments))?;
            operations::note_begun(transaction, begun)?;
            resolution::note(transaction, begun)?;
        }
        Record::Ended(ended) => {
            let mut end = transaction
                .prepare_cached("UPDATE audit SET ended = ?2, outcome = ?3 WHERE id = ?1")?;
            end.execute((&ended.id, ended.at, ended.outcome.to_string()))?;
            operations::note_ended(transaction, ended)?;
        }
    }
    Ok(())
}

/// What was done last of what `condition` holds for, over the columns of `audit`, with its
/// parameters; older than `before`, at most `limit`.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn list(
    connection: &Connection,
    (condition, parameters): (&str, Vec<Value>),
    before: Option<i64>,
    limit: usize,
) -> Result<(Vec<AuditRow>, Option<i64>), IndexError> {
    let mut query = connection.prepare_cached(&format!(
        "SELECT * FROM audit WHERE ({condition}) AND n < ? ORDER BY n DESC LIMIT ?"
    ))?;
    let more = [Value::Integer(before.unwrap_or(i64::MAX)), Value::Integer(limit as i64 + 1)];
    let parameters = params_from_iter(parameters.into_iter().chain(more));
    let rows = query.query_map(parameters, |row| {
        Ok(AuditRow {
            n: row.get("n")?,
            id: row.get("id")?,
            at: row.get("at")?,
            by: row.get("by")?,
            action: row.get("action")?,
            target: row.get("target")?,
            arguments: row.get("arguments")?,
            ended: row.get("ended")?,
            outcome: row.get("outcome")?,
        })
    })?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let older = rows.last().map(|last| last.n).filter(|_| is_more);
    Ok((rows, older))
}
