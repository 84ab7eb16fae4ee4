//! Saying that something is dealt with.

use super::super::index::resolution::{Kind, RESOLVE, UNRESOLVE};
use super::{Actor, Answer, NotRecorded, Reply};
use serde_json::json;

impl Actor {
    /// Says that what failed until now is dealt with. It is done when the audit has it: every
    /// monitor reads it from there.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn resolve(
        &self,
        by: &str,
        kind: Kind,
        key: String,
    ) -> Result<Reply, NotRecorded> {
        let work = async { vec![Answer::done("audit", "dealt with, until it happens again")] };
        self.act(by, (RESOLVE, key), json!({ "kind": kind.as_str() }), work).await
    }

    /// Takes back that something is dealt with.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn unresolve(
        &self,
        by: &str,
        kind: Kind,
        key: String,
    ) -> Result<Reply, NotRecorded> {
        let work = async { vec![Answer::done("audit", "open again")] };
        self.act(by, (UNRESOLVE, key), json!({ "kind": kind.as_str() }), work).await
    }
}
