//! Workflows against a real broker: every form, nested, with errors, and under kill -9.

mod builtin;
mod celery;
mod forms;
mod joins;
mod memory;
mod redis;

use celeriac::canvas::Canvas;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::protocol::Signature;
use celeriac::topology::QueueKind;
use serde_json::Value;

use crate::rig::{PATIENCE, Rig, Running, add};

/// `math.add` adds its arguments, `math.sum` those in a list; `math.fail` fails for good.
fn math() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "math.add", |_, body| {
        Box::pin(async move {
            let numbers: Vec<i64> = body.args().map_err(unfit)?;
            Ok(Output::new(numbers.into_iter().sum::<i64>()))
        })
    });
    add(&mut registry, "math.sum", |_, body| {
        Box::pin(async move {
            let (numbers,): (Vec<i64>,) = body.args().map_err(unfit)?;
            Ok(Output::new(numbers.into_iter().sum::<i64>()))
        })
    });
    add(&mut registry, "echo", |_, body| {
        Box::pin(async move { Ok(Output::new(body.args_json().map_err(unfit)?)) })
    });
    add(&mut registry, "math.fail", |_, _| {
        Box::pin(async { Err(Failure::Reject(TaskError::new("ValueError", "no"))) })
    });
    registry
}

fn unfit(error: impl std::fmt::Display) -> Failure {
    Failure::argument(error.to_string())
}

fn call(task: &str, args: impl serde::Serialize) -> Canvas {
    Signature::call(task, &args).unwrap().into()
}

fn plus(number: i64) -> Canvas {
    call("math.add", (number,))
}

async fn running(rig: &Rig) -> Running {
    Running::start(rig, QueueKind::Quorum, math()).await
}

/// Sends a workflow and awaits its result.
async fn value(running: &Running, canvas: Canvas) -> Value {
    let handle = running.app.client().apply::<Value>(canvas).await.unwrap();
    handle.timeout(PATIENCE).await.unwrap()
}
