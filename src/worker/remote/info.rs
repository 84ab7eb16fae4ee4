//! An attempt as Celery's workers show a request.

use super::super::attempt::Attempt;
use super::super::here::Step;
use crate::clock::to_iso;
use crate::protocol::Body;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Longer arguments of one task are not shown, in bytes as they stand in the message.
const LONGEST: usize = 16 << 10;

/// And no more arguments in one answer, in bytes.
const MOST: usize = 4 << 20;

/// How arguments are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// As values.
    Values,
    /// As text, in the words of whoever sent the task.
    Words,
}

/// Shows attempts, within bounds.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    node: &'a str,
    arguments: Arguments,
    left: usize,
}

/// What an attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for its time.
    Scheduled,
    /// It waits for its rate or a slot.
    Reserved,
    /// It runs.
    Active,
    /// It has run.
    Ready,
}

impl State {
    pub(super) fn of(attempt: &Attempt, now: SystemTime) -> Self {
        match attempt.stage.step() {
            Step::Waiting if attempt.headers.eta.is_some_and(|eta| eta > now) => Self::Scheduled,
            Step::Waiting => Self::Reserved,
            Step::Running => Self::Active,
            Step::Settling => Self::Ready,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Ready => "ready",
        }
    }
}

impl<'a> Shown<'a> {
    pub(super) fn new(node: &'a str, arguments: Arguments) -> Self {
        Self { node, arguments, left: MOST }
    }

    /// An attempt with the fields that Celery shows of a request.
    pub(super) fn request(&mut self, attempt: &Attempt) -> Value {
        let (args, kwargs) = self.arguments(attempt);
        let stage = &attempt.stage;
        json!({
            "id": attempt.headers.id.as_str(),
            "name": attempt.headers.task,
            "args": args,
            "kwargs": kwargs,
            "type": attempt.headers.task,
            "hostname": self.node,
            "time_start": stage.began().map(|began| began.as_secs_f64()),
            "acknowledged": stage.is_acknowledged(),
            "delivery_info": {
                "exchange": attempt.exchange,
                "routing_key": attempt.routing_key,
                "priority": attempt.properties.priority,
                "redelivered": attempt.redelivered,
            },
            "worker_pid": stage.began().map(|_| std::process::id()),
        })
    }

    /// The same, with the time it waits for.
    pub(super) fn scheduled(&mut self, attempt: &Attempt) -> Value {
        let eta = attempt.headers.eta.map(to_iso);
        json!({ "eta": eta, "priority": 6, "request": self.request(attempt) })
    }

    fn arguments(&mut self, attempt: &Attempt) -> (Value, Value) {
        if attempt.known.as_ref().is_some_and(|known| known.hides_arguments) {
            let note = "secret, not shown";
            return match self.arguments {
                Arguments::Values => (json!([note]), json!({})),
                Arguments::Words => (json!(note), json!("{}")),
            };
        }
        let body = &attempt.body;
        let bytes = body.raw_args().len() + body.raw_kwargs().len();
        if bytes > LONGEST.min(self.left) {
            let note = format!("{bytes} bytes, not shown");
            return match self.arguments {
                Arguments::Values => (json!([note]), json!({})),
                Arguments::Words => (json!(note), json!("{}")),
            };
        }
        self.left -= bytes;
        let (args, kwargs) = values(body);
        match self.arguments {
            Arguments::Values => (args, kwargs),
            Arguments::Words => {
                let said = |repr: &Option<String>, value: &Value| match repr {
                    Some(words) => json!(words),
                    None => json!(value.to_string()),
                };
                let headers = &attempt.headers;
                (said(&headers.argsrepr, &args), said(&headers.kwargsrepr, &kwargs))
            }
        }
    }
}

/// The arguments as JSON; a note in place of those that JSON cannot show.
fn values(body: &Body) -> (Value, Value) {
    let args = body.args_json().map(Value::from);
    let kwargs = body.kwargs_json().map(Value::from);
    (args.unwrap_or_else(|error| json!([error.to_string()])), kwargs.unwrap_or_else(|_| json!({})))
}
