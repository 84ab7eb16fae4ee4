//! The tasks that every Celery worker has, and that Celery's producers rely on.
//!
//! | name | what it does |
//! | --- | --- |
//! | `celery.accumulate` | returns its arguments, or the one at `index` |
//! | `celery.map`, `celery.starmap` | calls a task with each item in turn, in one message |
//! | `celery.group`, `celery.chord`, `celery.chunks` | puts the workflow in its place |
//! | `celery.chain` | fails, as Celery's does: a chain is sent as its first step |
//! | `celery.chord_unlock` | waits for the members of a chord in a store that cannot count |
//! | `celery.backend_cleanup` | removes expired results |
//!
//! A task of the same name that is registered takes the place of the built-in one.

mod each;
mod unlock;

use super::context::Known;
use crate::canvas::Canvas;
use crate::clock::Clock;
use crate::handler::{Failure, Handler, Output, TaskContext, TaskError};
use crate::protocol::{Body, Signature, Value};
use crate::publisher::Publisher;
use crate::results::{ResultBackend, StoreError};
use crate::task::TaskOptions;
use each::{Each, Items};
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use unlock::Unlock;

/// What a handler ends in.
type Ended = Result<Output, Failure>;

/// A built-in task made of a function of its context and body.
struct Builtin<F>(F);

impl<F> Handler for Builtin<F>
where
    F: Fn(TaskContext, Arc<Body>) -> BoxFuture<'static, Ended> + Send + Sync + 'static,
{
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> BoxFuture<'static, Ended> {
        (self.0)(cx, body)
    }
}

/// Adds what is not there.
pub(super) fn add(
    tasks: &mut HashMap<String, Arc<Known>>,
    publisher: &Publisher,
    results: &Arc<dyn ResultBackend>,
    clock: &Arc<dyn Clock>,
) {
    let own = Arc::new(tasks.clone());
    let mut add = |name: &str, handler: Arc<dyn Handler>| {
        let known = Known::new(handler, TaskOptions::default(), clock);
        tasks.entry(name.to_owned()).or_insert_with(|| Arc::new(known));
    };
    add("celery.accumulate", now(accumulate));
    add("celery.map", Arc::new(Each { tasks: Arc::clone(&own), items: Items::One }));
    add("celery.starmap", Arc::new(Each { tasks: own, items: Items::Arguments }));
    for (name, kind) in
        [("celery.group", "group"), ("celery.chord", "chord"), ("celery.chunks", "chunks")]
    {
        add(name, now(move |cx, body| workflow(kind, cx, body)));
    }
    add("celery.chain", now(|_, _| Err(chain())));
    add("celery.chord_unlock", Arc::new(Unlock::new(publisher, results)));
    add("celery.backend_cleanup", cleanup(Arc::clone(results)));
}

/// A handler that ends at once.
fn now(run: impl Fn(&TaskContext, &Body) -> Ended + Send + Sync + 'static) -> Arc<dyn Handler> {
    Arc::new(Builtin(move |cx: TaskContext, body: Arc<Body>| -> BoxFuture<'static, Ended> {
        Box::pin(std::future::ready(run(&cx, &body)))
    }))
}

fn accumulate(_: &TaskContext, body: &Body) -> Ended {
    let args: Vec<Value> = body.args().map_err(unfit)?;
    let kwargs: BTreeMap<String, Value> = body.kwargs().map_err(unfit)?;
    let index = match kwargs.get("index") {
        None | Some(Value::Nil) => return Ok(Output::new(args)),
        Some(index) => index.as_u64().and_then(|index| usize::try_from(index).ok()),
    };
    match index.and_then(|index| args.into_iter().nth(index)) {
        Some(value) => Ok(Output::new(value)),
        None => Err(Failure::argument("kwargs.index: there is no such argument")),
    }
}

/// A workflow that was sent as a task.
fn workflow(kind: &str, cx: &TaskContext, body: &Body) -> Ended {
    let mut signature = Signature::new(cx.headers.task.as_str());
    signature.kwargs = body.kwargs().map_err(unfit)?;
    signature.subtask_type = Some(kind.to_owned());
    cx.replace(Canvas::read(signature).map_err(unfit)?)
}

fn chain() -> Failure {
    let why = "a chain is not a task; send its first step with the others behind it";
    Failure::Reject(TaskError::new("NotImplementedError", why))
}

fn cleanup(results: Arc<dyn ResultBackend>) -> Arc<dyn Handler> {
    Arc::new(Builtin(move |_: TaskContext, _: Arc<Body>| -> BoxFuture<'static, Ended> {
        let results = Arc::clone(&results);
        Box::pin(async move {
            let mut removed = 0;
            loop {
                match results.purge().await.map_err(unanswered)? {
                    0 => return Ok(Output::new(removed)),
                    more => removed += more,
                }
            }
        })
    }))
}

fn unfit(error: impl std::fmt::Display) -> Failure {
    Failure::argument(error.to_string())
}

/// A store that does not answer is asked again.
fn unanswered(error: StoreError) -> Failure {
    let error_text = TaskError::new("StoreError", error.reason);
    match error.is_transient {
        true => Failure::Retry { after: None, error: error_text },
        false => Failure::Reject(error_text),
    }
}
