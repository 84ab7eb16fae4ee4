//! Tasks that are sent, and what they return.

use super::super::access::Operator;
use super::super::act::{NewTask, Outcome};
use super::super::http::Pages;
use super::super::index::tasks;
use super::super::state::State as Ended;
use super::Sender;
use super::given::Given;
use super::refusal::Refusal;
use super::shape::celerys;
use crate::clock::parse_iso;
use crate::ids::TaskId;
use crate::protocol::{StoredException, StoredResult};
use crate::publisher::SendOptions;
use crate::results::{Expected, Watch};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Nobody waits longer for a result, in seconds.
const LONGEST: f64 = 60.0;

type Answered = Result<Json<Value>, Refusal>;

/// `POST /api/task/send-task/{name}`: whoever runs it.
pub(super) async fn send(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    body: Bytes,
) -> Answered {
    let wanted = Wanted::read(&body)?;
    let (id, _) = publish(&pages, &person.name, name, wanted).await?;
    Ok(Json(json!({ "task-id": id, "state": "PENDING" })))
}

/// `POST /api/task/async-apply/{name}`: of a task that somebody knows.
pub(super) async fn apply_async(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    body: Bytes,
) -> Answered {
    let wanted = Wanted::read(&body)?;
    expect_known(&pages, &name).await?;
    let (id, _) = publish(&pages, &person.name, name, wanted).await?;
    Ok(Json(json!({ "task-id": id, "state": "PENDING" })))
}

/// `POST /api/task/apply/{name}`: and wait for what it returns.
pub(super) async fn apply(
    State(pages): State<Pages>,
    Operator(person): Operator,
    Path(name): Path<String>,
    body: Bytes,
) -> Answered {
    let wanted = Wanted::read(&body)?;
    expect_known(&pages, &name).await?;
    let patience = wanted.timeout.unwrap_or(LONGEST);
    let (id, watch) = publish(&pages, &person.name, name, wanted).await?;
    Ok(Json(answer(&id, wait(watch, patience).await.as_deref())))
}

/// `GET /api/task/result/{id}?timeout=5`
pub(super) async fn result(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    given: Given,
) -> Answered {
    let results = sender(&pages)?.results.clone();
    let patience = given.number::<f64>("timeout")?;
    let id = TaskId::from(id);
    // Where no store keeps it, or none answers, what was told of the task is known.
    let Ok(mut known) = results.latest(&id).await else { return told(&pages, &id).await };
    if let Some(patience) = patience
        && !known.as_ref().is_some_and(|known| known.state.is_ready())
    {
        known = wait(results.watch(id.clone()), patience).await.or(known);
    }
    Ok(Json(answer(&id, known.as_deref())))
}

/// What workers told of a task: its result as Python shows it.
async fn told(pages: &Pages, id: &TaskId) -> Answered {
    let wanted = id.to_string();
    let found = pages.index.read(move |index| tasks::one(index, &wanted)).await?;
    let Some((task, attempts)) = found else { return Ok(Json(answer(id, None))) };
    let mut told = json!({ "task-id": id, "state": celerys(task.state) });
    match task.state {
        Ended::Success => told["result"] = json!(task.result),
        Ended::Failure => {
            told["result"] = json!(task.error);
            told["traceback"] = json!(attempts.last().and_then(|it| it.attempt.traceback.clone()));
        }
        _ => {}
    }
    Ok(Json(told))
}

async fn wait(mut watch: Watch, seconds: f64) -> Option<std::sync::Arc<StoredResult>> {
    let patience = Duration::from_secs_f64(seconds.clamp(0.0, LONGEST));
    match timeout(patience, watch.ended()).await {
        Ok(ended) => ended.ok(),
        Err(_) => watch.latest(),
    }
}

/// What is known of a task, as Flower says it.
fn answer(id: &TaskId, known: Option<&StoredResult>) -> Value {
    let Some(known) = known else { return json!({ "task-id": id, "state": "PENDING" }) };
    let mut answer = json!({ "task-id": id, "state": known.state.as_str() });
    if known.state.is_exception() {
        let shown = known.result.decode::<StoredException>().map(|it| it.repr());
        answer["result"] = shown.map_or(Value::Null, Value::from);
        answer["traceback"] = json!(known.traceback);
    } else if known.state.is_ready() {
        answer["result"] = known.result.decode().unwrap_or_default();
    }
    answer
}

fn sender(pages: &Pages) -> Result<&Sender, Refusal> {
    let none = || Refusal::unavailable("this monitor sends no tasks and hears of no results");
    pages.sender.as_ref().ok_or_else(none)
}

/// Refuses the name of a task that nobody has told of, and no worker that is there runs.
async fn expect_known(pages: &Pages, name: &str) -> Result<(), Refusal> {
    let told = pages.index.read(|index| tasks::words(index, "name")).await?;
    if told.iter().any(|it| it == name) {
        return Ok(());
    }
    let asked = pages.inspector.ask(&pages.broker, None).await;
    let workers = asked.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let runs = |task: &Value| {
        // A rate limit may stand behind the name.
        task.as_str().and_then(|task| task.split_whitespace().next()) == Some(name)
    };
    let all = workers.values().filter_map(|worker| worker["registered"].as_array()).flatten();
    match all.into_iter().any(runs) {
        true => Ok(()),
        false => Err(Refusal::unknown("task", name)),
    }
}

/// Sends a task: its id, and what hears of its result.
async fn publish(
    pages: &Pages,
    by: &str,
    name: String,
    wanted: Wanted,
) -> Result<(TaskId, Watch), Refusal> {
    let sender = sender(pages)?;
    let id = wanted.id.unwrap_or_else(TaskId::random);
    let Expected { watch, reply_to } = sender.results.expect(id.clone()).await;
    let mut options = wanted.options.id(id.clone());
    if let Some(queue) = reply_to {
        options = options.reply_to(queue);
    }
    let task = NewTask { name, args: wanted.args, kwargs: wanted.kwargs, options };
    let reply = pages.actor.send(by, &sender.publisher, task).await?;
    match reply.status {
        Outcome::Done => Ok((id, watch)),
        _ => Err(Refusal::unavailable(reply.told())),
    }
}

/// What is to be sent.
#[derive(Debug)]
struct Wanted {
    args: Vec<Value>,
    kwargs: Map<String, Value>,
    id: Option<TaskId>,
    options: SendOptions,
    /// How long its result is waited for, in seconds.
    timeout: Option<f64>,
}

impl Wanted {
    fn read(body: &Bytes) -> Result<Self, Refusal> {
        let given = match body.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(body).map_err(|it| Refusal::invalid(it.to_string()))?,
        };
        let Value::Object(given) = given else { return Err(Refusal::invalid("invalid options")) };
        let mut wanted = Self {
            args: Vec::new(),
            kwargs: Map::new(),
            id: None,
            options: SendOptions::default(),
            timeout: None,
        };
        for (option, value) in given {
            let wrong = || Refusal::invalid(format!("Invalid option '{option}'"));
            wanted = wanted.with(&option, value)?.ok_or_else(wrong)?;
        }
        Ok(wanted)
    }

    /// With one more option; `None` for one that there is not, or that is no such value.
    fn with(mut self, option: &str, value: Value) -> Result<Option<Self>, Refusal> {
        let text = value.as_str().map(str::to_owned);
        // Flower takes numbers as texts too.
        let number = value.as_f64().or_else(|| text.as_ref()?.parse().ok());
        let wait = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let options = std::mem::take(&mut self.options);
        let options = match (option, value) {
            ("args", Value::Array(args)) => {
                self.args = args;
                Some(options)
            }
            ("args", _) => return Err(Refusal::invalid("args must be an array")),
            ("kwargs", Value::Object(kwargs)) => {
                self.kwargs = kwargs;
                Some(options)
            }
            ("timeout", value) => {
                self.timeout = number;
                (value.is_null() || wait.is_some()).then_some(options)
            }
            // As in Celery: nothing is said.
            (_, Value::Null) => Some(options),
            ("task_id", _) => {
                self.id = text.map(TaskId::from);
                self.id.is_some().then_some(options)
            }
            ("queue", _) => text.map(|queue| options.queue(queue)),
            ("exchange", _) => text.map(|exchange| options.exchange(exchange)),
            ("routing_key", _) => text.map(|key| options.routing_key(key)),
            ("priority", _) => number.and_then(byte).map(|priority| options.priority(priority)),
            ("countdown", _) => wait.map(|wait| options.countdown(wait)),
            ("eta", _) => text.as_deref().and_then(date).map(|at| options.eta(at)),
            ("expires", _) => match (wait, text.as_deref().and_then(date)) {
                (Some(wait), _) => Some(options.expires_in(wait)),
                (None, at) => at.map(|at| options.expires_at(at)),
            },
            ("soft_time_limit", _) => wait.map(|limit| options.soft_limit(limit)),
            ("time_limit", _) => wait.map(|limit| options.time_limit(limit)),
            ("ignore_result", Value::Bool(true)) => Some(options.ignore_result()),
            ("ignore_result", Value::Bool(false)) => Some(options),
            _ => None,
        };
        Ok(options.map(|options| Self { options, ..self }))
    }
}

fn byte(number: f64) -> Option<u8> {
    let is_byte = number.fract() == 0.0 && (0.0..256.0).contains(&number);
    is_byte.then_some(number as u8)
}

/// `2026-11-26 06:50:00.000000` in UTC, as Celery takes what has no zone, or ISO 8601.
fn date(text: &str) -> Option<std::time::SystemTime> {
    parse_iso(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn read(body: &Value) -> Result<Wanted, Refusal> {
        Wanted::read(&serde_json::to_vec(body).unwrap().into())
    }

    #[test]
    fn options_are_those_of_celerys_calls() {
        let wanted = read(&json!({
            "args": [1, 2], "kwargs": {"a": 3}, "queue": "mail", "priority": "7", "countdown": "1.5",
            "task_id": "x", "timeout": 2, "expires": null,
        }))
        .unwrap();
        assert_eq!((wanted.args.len(), wanted.timeout), (2, Some(2.0)));
        assert_eq!(wanted.id, Some(TaskId::from("x")));
        let options = SendOptions::default().queue("mail").priority(7);
        assert_eq!(wanted.options, options.countdown(Duration::from_millis(1_500)));
        let eta = read(&json!({"eta": "1970-01-01 00:00:02.500000"})).unwrap().options;
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(2_500);
        assert_eq!(eta, SendOptions::default().eta(at));
        assert!(Wanted::read(&Bytes::new()).unwrap().args.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        for (body, why) in [
            (json!([]), "invalid options"),
            (json!({"args": 3}), "args must be an array"),
            (json!({"kwargs": []}), "Invalid option 'kwargs'"),
            (json!({"countdown": "soon"}), "Invalid option 'countdown'"),
            (json!({"countdown": -1}), "Invalid option 'countdown'"),
            (json!({"priority": 256}), "Invalid option 'priority'"),
            (json!({"retry_policy": {}}), "Invalid option 'retry_policy'"),
        ] {
            assert_eq!(read(&body).unwrap_err(), Refusal::invalid(why), "{body}");
        }
    }
}
