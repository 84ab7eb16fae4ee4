//! One result on its way into a backend.

use crate::ids::TaskId;
use crate::protocol::{Bytes, Format, TaskState};

/// One encoded result document and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The task it tells about.
    pub task_id: TaskId,
    /// The state it tells.
    pub state: TaskState,
    /// The queue that the caller waits at, if the caller named one.
    pub reply_to: Option<String>,
    /// How `body` is encoded.
    pub format: Format,
    /// The document, see [`crate::protocol::StoredResult`].
    pub body: Bytes,
}
