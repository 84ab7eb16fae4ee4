//! `celeriac send`, and what it shares with `celeriac call`.

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::say_errors;
use crate::app::App;
use crate::client::NamedCall;
use crate::clock;
use crate::publisher::{SendError, SendOptions, Sent};
use crate::task::RetryPolicy;
use crate::telemetry::{self, Traces};
use crate::topology::Destination;
use crate::units;
use anyhow::{Context, anyhow, bail};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, IsTerminal};
use std::time::Duration;

/// Publish a task, or many from a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac send mail.welcome --kwargs '{\"user\": 42}'
  celeriac send report.daily --args '[\"2026-11-25\"]' --countdown 10m --expires 1h
  celeriac send video.resize --kwargs @job.json -Q video --priority 7
  celeriac send mail.welcome --from users.jsonl      one line per task: its keyword arguments,
                                                     or {\"args\": [..], \"kwargs\": {..}, \"id\": ..}
  generate | celeriac send mail.welcome --from -")]
pub(crate) struct Arguments {
    #[command(flatten)]
    call: CallArguments,

    /// Send one task per line of this file; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["args", "kwargs", "id"])]
    from: Option<String>,
}

/// A call as it is written on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct CallArguments {
    /// Name of the task
    task: String,

    /// Positional arguments, as a JSON list; @FILE reads it from a file
    #[arg(long, value_name = "JSON")]
    args: Option<String>,

    /// Keyword arguments, as a JSON object; @FILE reads it from a file
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,

    /// Id of the task, instead of a random one
    #[arg(long)]
    id: Option<String>,

    /// Queue, instead of where the routes lead
    #[arg(short = 'Q', long)]
    queue: Option<String>,

    /// Exchange to publish to
    #[arg(long, conflicts_with = "queue")]
    exchange: Option<String>,

    /// Routing key for the exchange
    #[arg(long, conflicts_with = "queue")]
    routing_key: Option<String>,

    /// Priority; higher goes first
    #[arg(long)]
    priority: Option<u8>,

    /// Start it this long from now, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "eta")]
    countdown: Option<Duration>,

    /// Start it at this time, such as 2026-11-25T18:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    eta: Option<std::time::SystemTime>,

    /// Give it up if it has not started this long from now
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,

    /// Ask it to stop after running this long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    soft_limit: Option<Duration>,

    /// Stop it after running this long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time_limit: Option<Duration>,

    /// How often it is tried again, instead of what the configuration says
    #[arg(long, value_name = "N")]
    retries: Option<u32>,

    /// Whom it counts for where its task has a rate: each key has the whole rate for itself
    #[arg(long, value_name = "KEY")]
    rate_key: Option<String>,

    /// A header of the message, may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,

    /// How long to wait for the broker to take it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
}

/// What is said about a task that was sent.
#[derive(Debug, Serialize)]
struct Receipt {
    id: String,
    task: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta: Option<String>,
    confirmed: bool,
}

/// One line of `--from`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    args: Vec<Value>,
    kwargs: Map<String, Value>,
    id: Option<String>,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let call = arguments.call.call(global)?;
    if let Some(file) = &arguments.from {
        return send_lines(global, &call, file).await;
    }
    let (app, traces) = connect_traced(global).await?;
    let sent = app.client().send(&call.task, &call.args, &call.kwargs, call.options.clone()).await;
    let sent = sent.map_err(failed)?;
    let receipt = Receipt::new(&call.task, &sent);
    global.output.one(&receipt, &receipt.to_string())?;
    app.close().await;
    traces.close().await;
    Ok(Exit::Done)
}

/// Connects with the configuration of this command, to send tasks that are traced as it says.
pub(super) async fn connect_traced(global: &Global) -> anyhow::Result<(App, Traces)> {
    let config = global.load(global.loader())?.config;
    let traces = telemetry::trace(&config.log.otlp).or_exit(Exit::Config)?;
    Ok((App::connect(config).await.or_exit(Exit::Unreachable)?, traces))
}

/// Connects with the configuration of this command.
pub(super) async fn connect(global: &Global) -> anyhow::Result<App> {
    let config = global.load(global.loader())?.config;
    App::connect(config).await.or_exit(Exit::Unreachable)
}

/// A send error with the exit code that fits it.
pub(super) fn failed(error: SendError) -> anyhow::Error {
    use crate::broker::PublishError as Why;
    let exit = match &error {
        SendError::Publish(Why::Unroutable { .. } | Why::NoExchange { .. }) => Exit::NotFound,
        SendError::Publish(Why::Disconnected { .. }) => Exit::Unreachable,
        SendError::Publish(_) => Exit::TimedOut,
        _ => Exit::Invalid,
    };
    match Err::<(), _>(error).or_exit(exit) {
        Err(error) => error,
        Ok(()) => anyhow!("sent"),
    }
}

impl CallArguments {
    /// The call; reads files that `@FILE` names.
    pub(super) fn call(
        &self,
        global: &Global,
    ) -> anyhow::Result<NamedCall<Vec<Value>, Map<String, Value>>> {
        let args = json(self.args.as_deref(), "--args", "a JSON list, such as '[1, \"two\"]'")?;
        let kwargs =
            json(self.kwargs.as_deref(), "--kwargs", "a JSON object, such as '{\"user\": 42}'")?;
        Ok(NamedCall { task: self.task.clone(), args, kwargs, options: self.options(global)? })
    }

    fn options(&self, global: &Global) -> anyhow::Result<SendOptions> {
        let mut options = SendOptions::default();
        options.target.queue.clone_from(&self.queue);
        options.target.exchange.clone_from(&self.exchange);
        options.target.routing_key.clone_from(&self.routing_key);
        options.target.priority = self.priority;
        options.soft_limit = self.soft_limit;
        options.time_limit = self.time_limit;
        options.deadline = self.deadline;
        if let (Some(soft), Some(hard)) = (self.soft_limit, self.time_limit)
            && soft >= hard
        {
            return Err(anyhow!("--soft-limit must be shorter than --time-limit"))
                .or_exit(Exit::Invalid);
        }
        if let Some(id) = &self.id {
            options = options.id(id.as_str());
        }
        if let Some(wait) = self.countdown {
            options = options.countdown(wait);
        }
        if let Some(time) = self.eta {
            options = options.eta(time);
        }
        if let Some(wait) = self.expires {
            options = options.expires_in(wait);
        }
        if let Some(retries) = self.retries {
            let config = global.load(global.loader())?.config;
            let configured = config.tasks.options(&self.task, Default::default()).retry;
            options = options.retry(RetryPolicy { max_retries: Some(retries), ..configured });
        }
        if let Some(key) = &self.rate_key {
            options = options.rate_key(key);
        }
        for (name, value) in &self.headers {
            options = options.header(name.as_str(), value.as_str());
        }
        Ok(options)
    }
}

fn json<T: serde::de::DeserializeOwned + Default>(
    text: Option<&str>,
    option: &str,
    expected: &str,
) -> anyhow::Result<T> {
    let Some(text) = text else { return Ok(T::default()) };
    let text = match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("reading {file} for {option}"))
            .or_exit(Exit::Invalid)?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text)
        .with_context(|| format!("{option} takes {expected}"))
        .or_exit(Exit::Invalid)
}

type JsonCall = NamedCall<Vec<Value>, Map<String, Value>>;

/// Sends one task per line, many in flight, and says of each whether it was taken.
async fn send_lines(global: &Global, template: &JsonCall, file: &str) -> anyhow::Result<Exit> {
    let (lines, calls): (Vec<_>, Vec<_>) = read_lines(template, file)?.into_iter().unzip();
    let (app, traces) = connect_traced(global).await?;
    let bar = progress(global, calls.len() as u64);
    let sending = app.client().send_all(calls).zip(futures::stream::iter(lines));
    let mut answers = std::pin::pin!(sending);
    let (mut sent, mut errors) = (0_u64, Vec::new());
    while let Some((answer, line)) = answers.next().await {
        bar.inc(1);
        match answer {
            Ok(_) => sent += 1,
            Err(error) => errors.push(format!("line {line}: {error}")),
        }
    }
    bar.finish_and_clear();
    report(global, sent, &errors)?;
    app.close().await;
    traces.close().await;
    Ok(match (sent, errors.len()) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Unreachable,
        _ => Exit::Partly,
    })
}

fn report(global: &Global, sent: u64, errors: &[String]) -> anyhow::Result<()> {
    say_errors(errors);
    let answer = serde_json::json!({ "sent": sent, "failed": errors.len() });
    let text = match errors.len() {
        0 => format!("{sent} sent and confirmed"),
        failed => format!("{sent} sent and confirmed, {failed} failed"),
    };
    global.output.one(&answer, &text)?;
    Ok(())
}

/// The calls of a file, each with the number of its line.
fn read_lines(template: &JsonCall, file: &str) -> anyhow::Result<Vec<(usize, JsonCall)>> {
    let reader: Box<dyn BufRead> = match file {
        "-" => Box::new(std::io::stdin().lock()),
        _ => {
            let file = std::fs::File::open(file)
                .with_context(|| format!("opening {file}"))
                .or_exit(Exit::Invalid)?;
            Box::new(BufReader::new(file))
        }
    };
    let mut calls = Vec::new();
    for (number, line) in (1..).zip(reader.lines()) {
        let line = line.with_context(|| format!("reading {file}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let call = read_line(template, &line)
            .with_context(|| format!("{file}, line {number}"))
            .or_exit(Exit::Invalid)?;
        calls.push((number, call));
    }
    Ok(calls)
}

/// A line is `{"args": [..], "kwargs": {..}, "id": ".."}`, or else an object of keyword arguments, or
/// a list of positional ones.
fn read_line(template: &JsonCall, line: &str) -> anyhow::Result<JsonCall> {
    let mut call = template.clone();
    match serde_json::from_str(line).map_err(|error| no_json(&error))? {
        Value::Array(args) => call.args = args,
        Value::Object(object) if is_call(&object) => {
            if let Some(key) = object.keys().find(|key| !CALL.contains(&key.as_str())) {
                bail!(
                    "`{key}` beside the arguments: a line has `args`, `kwargs` and `id`, the options \
                     of the command are for all of them. If all of this are keyword arguments, \
                     write {{\"kwargs\": {{..}}}}"
                );
            }
            let line: Line = serde_json::from_value(Value::Object(object))?;
            (call.args, call.kwargs) = (line.args, line.kwargs);
            if let Some(id) = line.id {
                call.options = call.options.id(id);
            }
        }
        Value::Object(kwargs) => call.kwargs = kwargs,
        _ => bail!("expected an object of keyword arguments or a list of arguments"),
    }
    Ok(call)
}

/// What a line may have that is a call and not its keyword arguments.
const CALL: [&str; 3] = ["args", "kwargs", "id"];

fn is_call(object: &Map<String, Value>) -> bool {
    let (args, kwargs) = (object.get("args"), object.get("kwargs"));
    args.is_none_or(Value::is_array)
        && kwargs.is_none_or(Value::is_object)
        && (args.is_some() || kwargs.is_some())
}

/// What is wrong with a line, which has one line only.
fn no_json(error: &serde_json::Error) -> anyhow::Error {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    anyhow!(
        "no JSON, column {}: {what}; write an object of keyword arguments or a list of arguments",
        error.column()
    )
}

fn progress(global: &Global, length: u64) -> ProgressBar {
    if global.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("send {bar:30} {pos}/{len}  {per_sec}  eta {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Receipt {
    fn new(task: &str, sent: &Sent) -> Self {
        let Destination { route, queue, .. } = &sent.destination;
        let through = queue.is_none();
        Self {
            id: sent.id.to_string(),
            task: task.to_owned(),
            queue: queue.clone(),
            exchange: through.then(|| route.exchange.clone()),
            routing_key: through.then(|| route.routing_key.clone()),
            eta: sent.eta.map(clock::to_iso),
            confirmed: true,
        }
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.id)?;
        match (&self.queue, &self.exchange, &self.routing_key) {
            (Some(queue), ..) => write!(f, "  queue {queue}")?,
            (None, Some(exchange), Some(key)) => write!(f, "  exchange {exchange}, key {key}")?,
            _ => {}
        }
        self.eta.iter().try_for_each(|eta| write!(f, ", eta {eta}"))
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text)
}

fn instant(text: &str) -> Result<std::time::SystemTime, String> {
    clock::parse_iso(text).ok_or_else(|| format!("`{text}` is no time; write 2026-11-25T18:00:00Z"))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is no header; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn template() -> JsonCall {
        let (args, kwargs, options) = Default::default();
        NamedCall { task: "t".to_owned(), args, kwargs, options }
    }

    fn read(line: &str) -> anyhow::Result<JsonCall> {
        read_line(&template(), line)
    }

    #[test]
    fn a_line_is_a_call_or_its_arguments() {
        let read = |line: &str| {
            let call = read(line).unwrap();
            (Value::from(call.args).to_string(), Value::from(call.kwargs).to_string())
        };
        let cases = [
            (r#"{"user": 1}"#, "[]", r#"{"user":1}"#),
            ("[1, 2]", "[1,2]", "{}"),
            (r#"{"args": [1], "kwargs": {"a": 2}, "id": "x"}"#, "[1]", r#"{"a":2}"#),
            (r#"{"id": "x"}"#, "[]", r#"{"id":"x"}"#),
            (r#"{"args": 3}"#, "[]", r#"{"args":3}"#),
        ];
        for (line, args, kwargs) in cases {
            assert_eq!(read(line), (args.to_owned(), kwargs.to_owned()), "{line}");
        }
    }

    #[test]
    fn each_call_of_a_file_has_its_id_and_the_number_of_its_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"[1]\n\n \n{\"args\": [], \"id\": \"x\"}\n").unwrap();
        let calls = read_lines(&template(), file.path().to_str().unwrap()).unwrap();
        let read = calls.into_iter().map(|(line, call)| (line, call.options.id));
        assert_eq!(read.collect::<Vec<_>>(), [(1, None), (4, Some("x".into()))]);
    }

    #[test]
    fn a_line_that_is_neither_says_why() {
        let cases = [
            ("3", "expected an object of keyword arguments or a list of arguments"),
            ("garbage", "no JSON, column 1: expected value;"),
            (r#"{"a": 1"#, "no JSON, column 7: EOF while parsing an object;"),
            (r#"{"args": [1], "countdown": "1s"}"#, "`countdown` beside the arguments"),
            (r#"{"kwargs": {}, "id": 7}"#, "invalid type: integer `7`, expected a string"),
        ];
        for (line, why) in cases {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
