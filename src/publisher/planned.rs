//! Sending what a workflow has planned.

use super::apply::mark;
use super::options::Declared;
use super::{Encoded, Prepared, Publisher, SendError, SendOptions, Sent};
use crate::canvas::Message;
use crate::protocol::{Body, Format};
use crate::task::TaskOptions;

impl Publisher {
    /// Sends one message of a workflow and waits for the broker's confirm.
    ///
    /// It is written in the format that its signature names, else in `format`, else as the settings
    /// say. `declared` is the task's own declaration, if the sender knows it.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. After [`PublishError::Unconfirmed`] the task may have been sent; sending
    /// the same message again sends the same task.
    ///
    /// [`PublishError::Unconfirmed`]: crate::broker::PublishError::Unconfirmed
    pub async fn send_planned(
        &self,
        message: &Message,
        format: Option<Format>,
        declared: Option<TaskOptions>,
    ) -> Result<Sent, SendError> {
        let prepared = self.prepare_planned(message, format, declared)?;
        self.dispatch(prepared).await
    }

    /// Makes the message of one task of a workflow, as [`Publisher::send_planned`] sends it.
    pub(crate) fn prepare_planned(
        &self,
        message: &Message,
        format: Option<Format>,
        declared: Option<TaskOptions>,
    ) -> Result<Prepared, SendError> {
        let mut options = SendOptions::from_named(&message.options);
        options.id = Some(message.id.clone());
        options.reply_to.clone_from(&message.reply_to);
        if options.declared == Declared::default() {
            options.declared = declared.map(Declared::from).unwrap_or_default();
        }
        let format = options.format.or(format).unwrap_or(self.shared.settings.serializer.format());
        let Message { given, args, kwargs, embed, .. } = message;
        let body = Body::encode_given(format, given.as_ref(), args, kwargs, embed)?;
        let encoded = Encoded { task: &message.task, format, body, options };
        self.prepare_encoded(encoded, |headers| {
            headers.group.clone_from(&message.group);
            headers.group_index = message.group_index;
            headers.root_id.clone_from(&message.root);
            headers.parent_id.clone_from(&message.parent);
            headers.replaced_task_nesting = message.nesting;
            mark(headers, &message.options);
        })
    }
}
