//! What is sent anew.

use super::{Actor, Answer, NotRecorded, Outcome, Reply};
use crate::publisher::{Publisher, SendOptions};
use serde_json::{Map, Value, json};

/// A task that is to be sent.
#[derive(Debug)]
pub(in super::super) struct NewTask {
    pub(in super::super) name: String,
    pub(in super::super) args: Vec<Value>,
    pub(in super::super) kwargs: Map<String, Value>,
    pub(in super::super) options: SendOptions,
}

impl Actor {
    /// Sends a task. What it is given is not written down: it may be anything.
    ///
    /// # Errors
    /// When it could not be written down; then nothing was done.
    pub(in super::super) async fn send(
        &self,
        by: &str,
        publisher: &Publisher,
        task: NewTask,
    ) -> Result<Reply, NotRecorded> {
        let NewTask { name, args, kwargs, options } = task;
        let queue = options.target().queue.clone();
        let work = async {
            let sent = publisher.send(&name, &args, &kwargs, options).await;
            vec![match sent {
                Ok(sent) => Answer::done("broker", format!("has it as {}", sent.id)),
                Err(error) => Answer::not("broker", Outcome::Error, error.to_string()),
            }]
        };
        self.act(by, ("send", name.clone()), json!({ "queue": queue }), work).await
    }
}
