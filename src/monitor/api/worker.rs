//! A worker, as the API has it.

use super::super::change::time_of;
use super::super::index::workers::WorkerRow;
use crate::clock::to_iso;
use schemars::JsonSchema;
use serde::Serialize;

/// A worker, by its last heartbeat.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Worker {
    name: String,
    state: &'static str,
    seen: String,
    started: Option<String>,
    /// Attempts that run.
    active: Option<i64>,
    /// Attempts that it has begun.
    processed: Option<i64>,
    /// Its machine's load over the last minute.
    load: Option<f64>,
    kind: Option<String>,
    version: Option<String>,
    pid: Option<i64>,
    events_dropped: i64,
}

impl From<WorkerRow> for Worker {
    fn from(row: WorkerRow) -> Self {
        Self {
            name: row.name,
            state: row.presence.as_str(),
            seen: to_iso(time_of(row.seen)),
            started: row.online.map(|online| to_iso(time_of(online))),
            active: row.active,
            processed: row.processed,
            load: row.load,
            kind: row.ident,
            version: row.version,
            pid: row.pid,
            events_dropped: row.dropped,
        }
    }
}
