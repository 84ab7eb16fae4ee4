//! `celery.map` and `celery.starmap`: many calls in one message.

use super::super::context::Known;
use super::{Ended, unfit};
use crate::handler::{Failure, Handler, Output, TaskContext, TaskError};
use crate::protocol::{
    Body, Embed, Envelope, Format, Headers, Limits, Properties, Signature, Value,
};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;

/// What an item is to the task that is called with it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Items {
    /// Its one argument.
    One,
    /// The list of its arguments.
    Arguments,
}

/// Calls a task with each item in turn, and returns the list of the values.
pub(super) struct Each {
    pub(super) tasks: Arc<HashMap<String, Arc<Known>>>,
    pub(super) items: Items,
}

#[derive(serde::Deserialize)]
struct Given {
    task: Signature,
    it: Vec<Value>,
}

impl Handler for Each {
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> BoxFuture<'static, Ended> {
        let (tasks, items) = (Arc::clone(&self.tasks), self.items);
        Box::pin(async move {
            let Given { task, it } = body.kwargs().map_err(unfit)?;
            let Some(known) = tasks.get(&task.task) else {
                let why = format!("no worker of this queue knows the task `{}`", task.task);
                return Err(Failure::Reject(TaskError::new("NotRegistered", why)));
            };
            let mut values = Vec::with_capacity(it.len());
            for item in it {
                let arguments = match (items, item) {
                    (Items::Arguments, Value::Array(arguments)) => arguments,
                    (_, item) => vec![item],
                };
                let call = written(body.format(), &arguments)?;
                values.push(known.handler.call(cx.clone(), Arc::new(call)).await?);
            }
            Ok(Output::new(values))
        })
    }
}

/// The body of a call with these arguments.
fn written(format: Format, arguments: &[Value]) -> Result<Body, Failure> {
    let bytes = Body::encode(format, arguments, &(), &Embed::default()).map_err(unfit)?;
    let content_type = Some(format.content_type().to_owned());
    let properties = Properties { content_type, ..Properties::default() };
    let headers = Headers::new("", "".into());
    let envelope = Envelope { properties, headers, body: bytes.into() };
    Body::parse(&envelope, &Limits::default()).map_err(unfit)
}
