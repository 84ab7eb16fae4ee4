//! `celeriac inspect` and `celeriac control`

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::output::{Row, as_text};
use super::send;
use crate::control::{Answers, Arguments, Caller, Recipients, Reply};
use anyhow::anyhow;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Ask workers what they know: ours and Celery's
///
/// Finds the workers by a ping, waits until each of them has answered, and says who did not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac inspect ping                             who is there
  celeriac inspect active -d worker@web1            what runs there now
  celeriac inspect query_task 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac inspect registered max_retries
  celeriac inspect policy mail.send                 its retries and limits, and who says so
  celeriac inspect stats -o json

Over AMQP nobody knows which workers there are: one that is too busy to answer a ping, and sends no
heartbeat meanwhile, is not missed. Name the workers that must answer with -d.")]
pub(crate) struct Inspect {
    /// The question
    #[arg(value_enum)]
    question: Question,

    /// What it is about: ids for query_task, attributes for registered, tasks for policy
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,

    #[command(flatten)]
    asked: Asked,
}

/// Tell workers what to do: ours and Celery's
///
/// What is changed holds until the worker stops; revocations are kept for seven days.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac control rate_limit mail.send 10/m        0 lifts it
  celeriac control time_limit video.compress 60 90  soft and hard, in seconds
  celeriac control pool_grow 4 -d worker@web1
  celeriac control add_consumer video
  celeriac control cancel_consumer video -d worker@web1
  celeriac control terminate TERM 1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11
  celeriac control shutdown -d worker@web1          finishes what runs, then stops

Exit codes: 3 when some workers refused or did not answer, 4 when there is no such worker, 75 when
none answered in time.")]
pub(crate) struct Control {
    /// The order
    #[arg(value_enum)]
    order: Order,

    /// What it takes, in Celery's order
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,

    #[command(flatten)]
    asked: Asked,
}

/// Who is asked, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Ask only these workers, separated by commas
    #[arg(short, long, value_name = "WORKER", value_delimiter = ',')]
    destination: Vec<String>,

    /// How long to wait for those that are there
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = send::duration)]
    pub(super) timeout: Duration,
}

/// What can be asked, in Celery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Question {
    /// Whether they are there
    Ping,
    /// The tasks that run
    Active,
    /// The tasks that wait for a slot or their rate
    Reserved,
    /// The tasks that wait for their time in a worker; ours leave them in the broker
    Scheduled,
    /// The tasks with these ids, and what they do
    QueryTask,
    /// The tasks that can run, with these attributes
    Registered,
    /// How these tasks are treated: retries, limits, queue, and what in code or files says so
    Policy,
    /// The ids that are revoked
    Revoked,
    /// The queues that are consumed
    ActiveQueues,
    /// Numbers: tasks run, slots, memory, processor time
    Stats,
    /// The configuration, without secrets
    Conf,
    /// A text for the report of a bug
    Report,
    /// The logical clock
    Clock,
    /// Resident memory
    Memsample,
}

/// What can be told, in Celery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Order {
    /// ID..: these tasks shall not begin
    Revoke,
    /// SIGNAL ID..: nor go on if they run
    Terminate,
    /// NAME=VALUE..: tasks that bear these stamps shall not begin
    RevokeByStampedHeaders,
    /// TASK RATE: how often it may start, such as 10/m; 0 lifts it
    RateLimit,
    /// TASK SOFT HARD: how many seconds it may run; HARD may be left out
    TimeLimit,
    /// N: so many more slots; 1 if left out
    PoolGrow,
    /// N: so many fewer slots; 1 if left out
    PoolShrink,
    /// MAX MIN: so many slots; MIN may be left out
    Autoscale,
    /// QUEUE EXCHANGE TYPE KEY: consume it, too; all but QUEUE may be left out
    AddConsumer,
    /// QUEUE: consume it no more
    CancelConsumer,
    /// Send events about tasks
    EnableEvents,
    /// Send none
    DisableEvents,
    /// Send a heartbeat now
    Heartbeat,
    /// Finish what runs, and stop
    Shutdown,
}

/// A value of an argument as it is sent.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
}

/// What one command takes: arguments in order, of which so many are needed, and then any number of
/// texts under one name.
struct Takes {
    method: String,
    named: &'static [(&'static str, Kind)],
    needed: usize,
    rest: Option<&'static str>,
}

/// How one worker took a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Answered,
    Refused,
    Silent,
    Absent,
}

/// What became of a command at one worker.
#[derive(Debug, Serialize)]
struct Outcome {
    worker: String,
    state: Ended,
    answer: Value,
}

/// A line for people: a worker's answer may have many.
#[derive(Debug, Serialize)]
struct Line {
    worker: String,
    answer: String,
}

pub(super) async fn inspect(global: &Global, arguments: &Inspect) -> anyhow::Result<Exit> {
    let (question, asked) = (arguments.question, &arguments.asked);
    let arguments = question.takes().arguments(&arguments.arguments).or_exit(Exit::Used)?;
    ask(global, &question.takes().method, arguments, asked).await
}

pub(super) async fn control(global: &Global, arguments: &Control) -> anyhow::Result<Exit> {
    let (order, asked) = (arguments.order, &arguments.asked);
    let takes = order.takes();
    let arguments = takes.arguments(&arguments.arguments).or_exit(Exit::Used)?;
    ask(global, &takes.method, arguments, asked).await
}

async fn ask(
    global: &Global,
    method: &str,
    arguments: Arguments,
    asked: &Asked,
) -> anyhow::Result<Exit> {
    let to = asked.recipients();
    let app = send::connect(global).await?;
    let answers = async {
        let mut caller = Caller::open(app.broker()).await?;
        let answers = caller.ask(method, arguments, to, asked.timeout).await;
        caller.close().await;
        answers
    };
    let answers = answers.await;
    app.close().await;
    let outcomes = outcomes(method, answers.or_exit(Exit::Unreachable)?);
    if global.output.is_for_people() {
        let lines: Vec<Line> = outcomes.iter().flat_map(|it| it.lines(asked.timeout)).collect();
        global.output.rows(&lines)?;
    } else {
        global.output.rows(&outcomes)?;
    }
    verdict(&outcomes, asked)
}

/// Everybody's part, sorted by name. A worker of Celery's that is told to shut down says nothing.
fn outcomes(method: &str, answers: Answers) -> Vec<Outcome> {
    let said = answers.replies.into_values().map(Outcome::from);
    let mute = |nodes: BTreeSet<String>, state: Ended| {
        nodes.into_iter().map(move |worker| Outcome { worker, state, answer: Value::Null })
    };
    let silent = mute(answers.silent, Ended::Silent).map(|outcome| match method {
        "shutdown" => Outcome {
            state: Ended::Answered,
            answer: json!({ "ok": "told; Celery's workers do not answer to this" }),
            ..outcome
        },
        _ => outcome,
    });
    let mut all: Vec<_> = said.chain(silent).chain(mute(answers.absent, Ended::Absent)).collect();
    all.sort_by(|one, other| one.worker.cmp(&other.worker));
    all
}

fn verdict(outcomes: &[Outcome], asked: &Asked) -> anyhow::Result<Exit> {
    let count = |state: Ended| outcomes.iter().filter(|outcome| outcome.state == state).count();
    let (answered, refused, silent) =
        (count(Ended::Answered), count(Ended::Refused), count(Ended::Silent));
    if answered == outcomes.len() && answered > 0 {
        return Ok(Exit::Done);
    }
    if answered + refused > 0 {
        return Ok(Exit::Partly);
    }
    if silent > 0 {
        let error = anyhow!("no worker answered within {:?}", asked.timeout);
        return Err(failed(Exit::TimedOut, error));
    }
    let error = match asked.destination.as_slice() {
        [] => anyhow!("there is no worker in this virtual host"),
        nodes => {
            anyhow!("no such worker: {}; `celeriac inspect ping` lists them", nodes.join(", "))
        }
    };
    Err(failed(Exit::NotFound, error))
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        let state = if reply.error().is_some() { Ended::Refused } else { Ended::Answered };
        Self { worker: reply.node, state, answer: reply.value }
    }
}

impl Row for Outcome {
    const COLUMNS: &'static [&'static str] = &["worker", "state", "answer"];

    fn cells(&self) -> Vec<String> {
        vec![self.worker.clone(), format!("{:?}", self.state), self.answer.to_string()]
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["worker", "answer"];

    fn cells(&self) -> Vec<String> {
        vec![self.worker.clone(), self.answer.clone()]
    }
}

impl Outcome {
    fn lines(&self, patience: Duration) -> Vec<Line> {
        let mut texts = match self.state {
            Ended::Silent => vec![format!("did not answer within {patience:?}")],
            Ended::Absent => vec!["is not there".to_owned()],
            Ended::Answered | Ended::Refused => told(&self.answer),
        };
        if texts.is_empty() {
            texts.push("-".to_owned());
        }
        let line = |answer: String| Line { worker: self.worker.clone(), answer };
        texts.into_iter().map(line).collect()
    }
}

/// An answer in lines for people.
fn told(answer: &Value) -> Vec<String> {
    match answer {
        Value::Object(map) => match (map.get("ok"), map.get("error")) {
            (Some(said), None) if map.len() == 1 => told(said),
            (None, Some(said)) if map.len() == 1 => {
                told(said).into_iter().map(|line| format!("refused: {line}")).collect()
            }
            _ => {
                let mut lines = Vec::new();
                flatten("", answer, &mut lines);
                lines
            }
        },
        Value::Array(items) => items.iter().map(item).collect(),
        Value::String(text) => {
            text.lines().filter(|it| !it.is_empty()).map(str::to_owned).collect()
        }
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

/// One thing of a list: a task that is here, a queue, or whatever else.
fn item(value: &Value) -> String {
    let request = value.get("request").unwrap_or(value);
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    match (text("name"), text("id")) {
        (Some(name), Some(id)) => format!("{name} {id} {} {}", request["args"], request["kwargs"]),
        (Some(name), None) => name.to_owned(),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

fn flatten(name: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(map)
            if map.len() == 2 && map.contains_key("from") && map.contains_key("value") =>
        {
            lines.push(format!("{name} = {} ({})", as_text(&map["value"]), as_text(&map["from"])));
        }
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, lines);
            }
        }
        Value::String(text) => lines.push(format!("{name} = {text}")),
        value => lines.push(format!("{name} = {value}")),
    }
}

impl Asked {
    /// Whom to ask.
    pub(super) fn recipients(&self) -> Recipients {
        match self.destination.as_slice() {
            [] => Recipients::All,
            nodes => Recipients::Named(nodes.to_vec()),
        }
    }
}

impl Question {
    fn takes(self) -> Takes {
        let rest = match self {
            Self::QueryTask => Some("ids"),
            Self::Registered => Some("taskinfoitems"),
            Self::Policy => Some("task_name"),
            _ => None,
        };
        let needed = usize::from(matches!(self, Self::QueryTask | Self::Policy));
        Takes { method: method(&self), named: &[], needed, rest }
    }
}

impl Order {
    fn takes(self) -> Takes {
        use Kind::{Number, Text};
        type Named = &'static [(&'static str, Kind)];
        let (named, needed, rest): (Named, usize, Option<&'static str>) = match self {
            Self::Revoke => (&[], 1, Some("task_id")),
            Self::Terminate => (&[("signal", Text)], 2, Some("task_id")),
            Self::RevokeByStampedHeaders => (&[], 1, Some("headers")),
            Self::RateLimit => (&[("task_name", Text), ("rate_limit", Text)], 2, None),
            Self::TimeLimit => {
                (&[("task_name", Text), ("soft", Number), ("hard", Number)], 2, None)
            }
            Self::PoolGrow | Self::PoolShrink => (&[("n", Number)], 0, None),
            Self::Autoscale => (&[("max", Number), ("min", Number)], 1, None),
            Self::AddConsumer => (
                &[
                    ("queue", Text),
                    ("exchange", Text),
                    ("exchange_type", Text),
                    ("routing_key", Text),
                ],
                1,
                None,
            ),
            Self::CancelConsumer => (&[("queue", Text)], 1, None),
            Self::EnableEvents | Self::DisableEvents | Self::Heartbeat | Self::Shutdown => {
                (&[], 0, None)
            }
        };
        Takes { method: method(&self), named, needed, rest }
    }
}

fn method(command: &impl clap::ValueEnum) -> String {
    command.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Takes {
    /// The arguments by name.
    ///
    /// # Errors
    ///
    /// What is missing, too much, or no number.
    fn arguments(&self, given: &[String]) -> anyhow::Result<Arguments> {
        let method = &self.method;
        if given.len() < self.needed {
            return Err(anyhow!("{method} takes {}", self.usage()));
        }
        let mut arguments = Arguments::new();
        for ((name, kind), text) in self.named.iter().zip(given) {
            let value = match kind {
                Kind::Text => json!(text),
                Kind::Number => match text.parse::<u64>().map(Value::from) {
                    Ok(number) => number,
                    Err(_) => json!(text.parse::<f64>().map_err(|_| {
                        anyhow!("{method}: `{text}` is no number; it takes {}", self.usage())
                    })?),
                },
            };
            arguments.insert((*name).to_owned(), value);
        }
        let rest = given.get(self.named.len()..).unwrap_or_default();
        match self.rest {
            Some(name) => drop(arguments.insert(name.to_owned(), json!(rest))),
            None if rest.is_empty() => {}
            None => return Err(anyhow!("{method}: too many arguments; it takes {}", self.usage())),
        }
        Ok(arguments)
    }

    fn usage(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (place, (name, _)) in self.named.iter().enumerate() {
            let name = name.to_uppercase();
            parts.push(if place < self.needed { name } else { format!("[{name}]") });
        }
        if let Some(name) = self.rest {
            parts.push(format!("{}..", name.to_uppercase()));
        }
        if parts.is_empty() { "no arguments".to_owned() } else { parts.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn arguments(order: Order, given: &[&str]) -> Result<Value, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        let arguments = order.takes().arguments(&given);
        arguments.map(Value::from).map_err(|error| error.to_string())
    }

    #[test]
    fn orders_have_their_arguments_in_celerys_order() {
        for (order, given, expected) in [
            (Order::Revoke, &["a", "b"][..], json!({ "task_id": ["a", "b"] })),
            (Order::Terminate, &["KILL", "a"], json!({ "signal": "KILL", "task_id": ["a"] })),
            (Order::TimeLimit, &["t", "1.5"], json!({ "task_name": "t", "soft": 1.5 })),
            (Order::PoolGrow, &[], json!({})),
            (Order::PoolGrow, &["3"], json!({ "n": 3 })),
            (Order::AddConsumer, &["q", "e"], json!({ "queue": "q", "exchange": "e" })),
        ] {
            assert_eq!(arguments(order, given), Ok(expected), "{order:?}");
        }
        let wrong = arguments(Order::RateLimit, &["t"]).unwrap_err();
        assert_eq!(wrong, "rate_limit takes TASK_NAME RATE_LIMIT");
        assert!(arguments(Order::Shutdown, &["now"]).unwrap_err().contains("no arguments"));
        assert!(arguments(Order::PoolGrow, &["many"]).unwrap_err().contains("no number"));
    }

    #[test]
    fn every_command_has_the_name_that_celery_gives_it() {
        let names = |names: &[Order]| names.iter().map(method).collect::<Vec<_>>();
        assert!(names(Order::value_variants()).contains(&"revoke_by_stamped_headers".to_owned()));
        assert_eq!(method(&Question::ActiveQueues), "active_queues");
    }

    #[test]
    fn who_says_nothing_is_told_apart_from_who_refuses() {
        let asked = |nodes: &[&str]| Asked {
            destination: nodes.iter().map(|node| (*node).to_owned()).collect(),
            timeout: Duration::from_secs(1),
        };
        let outcome = |state| Outcome { worker: "a".to_owned(), state, answer: Value::Null };
        let code = |states: &[Ended]| {
            let outcomes: Vec<_> = states.iter().map(|state| outcome(*state)).collect();
            match verdict(&outcomes, &asked(&["a"])) {
                Ok(exit) => exit,
                Err(error) => error.downcast_ref::<super::super::exit::Failed>().unwrap().exit,
            }
        };
        use Ended::{Absent, Answered, Refused, Silent};
        assert_eq!(code(&[Answered, Answered]), Exit::Done);
        assert_eq!(code(&[Answered, Silent]), Exit::Partly);
        assert_eq!(code(&[Refused]), Exit::Partly);
        assert_eq!(code(&[Silent, Absent]), Exit::TimedOut);
        assert_eq!(code(&[Absent]), Exit::NotFound);
        assert_eq!(code(&[]), Exit::NotFound);
    }
}
