//! Asks the scheduler that leads, from another program.

use super::command::{Answer, Command};
use super::told::commands_queue;
use crate::broker::{AckPolicy, Broker, Consume, DeclareError, PublishError, RawMessage};
use crate::ids::TaskId;
use crate::protocol::{EncodeError, Properties};
use crate::topology::{Queue, Topology, names};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a queue of answers is kept that nobody consumes, in milliseconds.
const KEPT: i64 = 60_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody answered.
    #[error("no scheduler answers within {0:?}; is one running? (celeriac scheduler)")]
    Silence(Duration),
    /// The queue of commands cannot be made or used.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The command is not sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The command cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The scheduler is of another version.
    #[error("the scheduler's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Gives a command to the scheduler that leads and waits for its answer. A command that nobody takes
/// within `patience` is not carried out later.
///
/// # Errors
///
/// See [`AskError`].
pub async fn ask(
    broker: &Broker,
    command: &Command,
    patience: Duration,
) -> Result<Answer, AskError> {
    broker.declare(&Topology { queues: vec![commands_queue()], ..Topology::default() }).await?;
    let id = TaskId::random();
    let queue = format!("celeriac.reply.{id}");
    let mut answers = broker.consume(Consume {
        stream: None,
        declare: Some(Queue::new(&queue, [("x-expires", KEPT.into())]).into()),
        repair: None,
        queue: queue.clone(),
        prefetch: 1,
        acks: AckPolicy { every: 1, within: Duration::from_millis(50) },
        tag: "answers".to_owned(),
    });
    answers.opened().await;
    let message = Arc::new(message(command, &id, &queue, patience)?);
    let answered = async {
        broker.publish(message, patience).await?;
        match answers.next().await {
            Some(answer) => Ok(serde_json::from_slice(&answer.body)?),
            None => Err(AskError::Silence(patience)),
        }
    };
    let answer = timeout(patience, answered).await.unwrap_or(Err(AskError::Silence(patience)));
    // Goes by itself if not now.
    let _ = broker.delete_queue(&queue).await;
    answer
}

fn message(
    command: &Command,
    id: &TaskId,
    reply_to: &str,
    patience: Duration,
) -> Result<RawMessage, EncodeError> {
    let body = serde_json::to_vec(command)
        .map_err(|error| EncodeError { format: "JSON", message: error.to_string() })?;
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        correlation_id: Some(id.to_string()),
        reply_to: Some(reply_to.to_owned()),
        expiration: Some(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)),
        persistent: true,
        ..Properties::default()
    };
    let (key, headers) = (names::SCHEDULER_COMMANDS, BTreeMap::new());
    RawMessage::try_from_parts("", key, &properties, headers, body.into())
}
