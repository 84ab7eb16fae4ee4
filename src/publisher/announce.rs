//! Telling monitors that a task was sent.

use super::Sent;
use crate::clock::to_iso;
use crate::events::{Event, Events, SentTask};
use crate::ids::TaskId;
use crate::protocol::Headers;

/// What is told of a task once the broker has it.
#[derive(Debug)]
pub(super) struct Announcement {
    task: String,
    root: Option<TaskId>,
    parent: Option<TaskId>,
    group: Option<String>,
    args: Option<String>,
    kwargs: Option<String>,
    retries: u32,
    expires: Option<String>,
}

impl Announcement {
    /// Arguments are told as far as the headers show them: which of them are secret is known to the
    /// worker, which tells them then.
    pub(super) fn new(headers: &Headers) -> Self {
        Self {
            task: headers.task.clone(),
            root: headers.root_id.clone(),
            parent: headers.parent_id.clone(),
            group: headers.group.clone(),
            args: headers.argsrepr.clone(),
            kwargs: headers.kwargsrepr.clone(),
            retries: headers.retries,
            expires: headers.expires.map(to_iso),
        }
    }

    pub(super) fn tell(self, sent: &Sent, events: &Events) {
        events.tell(&Event::Sent(SentTask {
            uuid: &sent.id,
            root_id: self.root.as_ref().unwrap_or(&sent.id),
            parent_id: self.parent.as_ref(),
            group_id: self.group.as_deref(),
            name: &self.task,
            args: self.args,
            kwargs: self.kwargs,
            retries: self.retries,
            eta: sent.eta.map(to_iso),
            expires: self.expires,
            queue: sent.destination.queue.as_deref(),
            exchange: &sent.destination.route.exchange,
            routing_key: &sent.destination.route.routing_key,
        }));
    }
}
