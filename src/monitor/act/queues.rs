//! What is done with queues.

use super::{Actor, Answer, NotRecorded, Outcome, Reply};
use crate::broker::DeclareError;
use serde_json::json;

impl Actor {
    /// Deletes what waits in a queue.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn purge(
        &self,
        by: &str,
        queue: String,
    ) -> Result<Reply, NotRecorded> {
        let work = async {
            vec![match self.0.broker.purge_queue(&queue).await {
                Ok(purged) => Answer::done("broker", format!("{purged} messages are deleted")),
                Err(error @ DeclareError::Missing(_)) => {
                    Answer::not("broker", Outcome::UnknownTarget, error.to_string())
                }
                Err(error) => Answer::not("broker", Outcome::Error, error.to_string()),
            }]
        };
        self.act(by, ("purge", queue.clone()), json!({}), work).await
    }
}
