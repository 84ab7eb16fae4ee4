//! `celeriac events`

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::output::{Format, OutputClosed, plain, write};
use super::send;
use crate::app::App;
use crate::broker::{AckPolicy, Consume, RawMessage, StreamError, StreamStart};
use crate::clock::{Clock, SystemClock, to_iso};
use crate::control::{Arguments as Given, Caller, Recipients};
use crate::events::filter::{Filter, Heard};
use crate::events::{self, Told};
use crate::topology::{EventStream, Topology};
use futures::StreamExt;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};
use tracing::debug;

/// Show what workers and senders tell of tasks and of themselves, as it comes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac events -f                                what happens from now on
  celeriac events -f 'event:task-failed name:mail.*' -o jsonl
  celeriac events --since 10m worker:worker@web1    what the stream has of the last ten minutes
  celeriac events -f -o jsonl | jq 'select(.type == \"task-failed\") | .exception'

Filters:
  event:task-failed,task-retried   what happened; * matches any text, :~ finds a part
  name:mail.* queue:mail           of tasks whose first event was heard
  worker:~web1 id:4f0c1c3e error:\"timed out\"
  NOT event:worker-heartbeat       OR, NOT and parentheses as in docs/filter.md

Read from the broker's stream of events, without a monitor; that of Celery's workers is there, too. With
-f all workers are asked to tell of their tasks, as a monitor asks them.")]
pub(crate) struct Arguments {
    /// Which events: event:task-failed name:mail.*
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,

    /// Go on with what happens from now on, until interrupted
    #[arg(short, long)]
    follow: bool,

    /// Begin this long ago [default: 1h; with --follow, now]
    #[arg(long, value_name = "TIME", value_parser = send::duration)]
    since: Option<Duration>,
}

/// So many messages of the stream are under way.
const PREFETCH: u16 = 200;

/// Where no time is named, what is this old is shown.
const USUAL: Duration = Duration::from_secs(3600);

/// How long it may take to ask the workers.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let filter = Filter::parse(&arguments.filter.join(" ")).or_exit(Exit::Invalid)?;
    if arguments.follow {
        global.output.must_be_lines()?;
    }
    let app = send::connect(global).await?;
    let ago = arguments.since.unwrap_or(if arguments.follow { Duration::ZERO } else { USUAL });
    let now = SystemClock.now();
    let mut tail =
        Tail { filter, heard: Heard::default(), since: now.checked_sub(ago).unwrap_or(now) };
    let ended = match arguments.follow {
        true => tail.follow(&app, global.output).await,
        false => tail.read(&app, global.output).await,
    };
    app.close().await;
    ended.map(|()| Exit::Done)
}

/// What is shown of the stream.
struct Tail {
    filter: Filter,
    heard: Heard,
    since: SystemTime,
}

impl Tail {
    /// What the stream has, to its present end.
    async fn read(&mut self, app: &App, format: Format) -> anyhow::Result<()> {
        let stream = EventStream::from(&app.config().events).stream;
        let broker = app.broker();
        let mut reader =
            broker.read_stream(&stream, StreamStart::Time(self.since)).await.map_err(unreadable)?;
        let mut all = Vec::new();
        while let Some((_, message)) = reader.next().await.map_err(unreadable)? {
            for told in self.of(&message) {
                match format {
                    Format::Json => all.push(document(&told)),
                    _ => write(line(&told, &self.heard, format)?.as_bytes())?,
                }
            }
        }
        reader.close().await;
        match format {
            Format::Json => write(format!("{}\n", Value::Array(all)).as_bytes()),
            _ => Ok(()),
        }
    }

    /// What the stream gets, until nobody reads on.
    async fn follow(&mut self, app: &App, format: Format) -> anyhow::Result<()> {
        let stream = EventStream::from(&app.config().events);
        let broker = app.broker();
        let topology = Topology::events(&stream);
        broker.declare(&topology).await.or_exit(Exit::Unreachable)?;
        let mut deliveries = broker.consume(Consume {
            queue: stream.stream,
            stream: Some(StreamStart::Time(self.since)),
            declare: None,
            repair: Some(topology),
            prefetch: PREFETCH,
            acks: AckPolicy {
                every: usize::from(PREFETCH) / 4,
                within: Duration::from_millis(100),
            },
            tag: "celeriac-events".to_owned(),
        });
        deliveries.opened().await;
        ask_to_tell(app).await?;
        while let Some(delivery) = deliveries.next().await {
            let message = RawMessage::from(&delivery);
            delivery.settle.ack();
            for told in self.of(&message) {
                match write(line(&told, &self.heard, format)?.as_bytes()) {
                    Err(error) if error.is::<OutputClosed>() => return Ok(()),
                    written => written?,
                }
            }
        }
        Ok(())
    }

    /// The events in a message that are meant.
    fn of(&mut self, message: &RawMessage) -> Vec<Told> {
        let mut told = events::read(message).unwrap_or_else(|error| {
            debug!(%error, "a message that is no event");
            Vec::new()
        });
        told.iter().for_each(|told| self.heard.listen(told));
        told.retain(|told| at(told) >= self.since && self.filter.matches(told, &self.heard));
        told
    }
}

/// Has all workers tell of their tasks.
async fn ask_to_tell(app: &App) -> anyhow::Result<()> {
    let mut caller = Caller::open(app.broker()).await.or_exit(Exit::Unreachable)?;
    let told = caller.tell("enable_events", Given::new(), Recipients::All, PATIENCE).await;
    caller.close().await;
    told.or_exit(Exit::Unreachable)
}

fn unreadable(error: StreamError) -> anyhow::Error {
    use crate::broker::DeclareError;
    let exit = match &error {
        StreamError::Unknown(DeclareError::Missing(_)) => Exit::NotFound,
        error if error.is_forbidden() => Exit::Refused,
        _ => Exit::Unreachable,
    };
    failed(exit, error)
}

/// When it was told; what cannot be is the beginning of time.
fn at(told: &Told) -> SystemTime {
    let since = Duration::try_from_secs_f64(told.timestamp).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The event as it was told.
fn document(told: &Told) -> Value {
    let mut document = Map::new();
    document.insert("type".to_owned(), told.kind.as_str().into());
    document.insert("hostname".to_owned(), told.hostname.as_str().into());
    document.insert("clock".to_owned(), told.clock.into());
    document.insert("timestamp".to_owned(), told.timestamp.into());
    document.extend(told.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    document.into()
}

fn line(told: &Told, heard: &Heard, format: Format) -> anyhow::Result<String> {
    let id = told.uuid();
    Ok(match (format, &id) {
        (Format::Json | Format::Jsonl, _) => serde_json::to_string(&document(told))? + "\n",
        (Format::Id, Some(id)) => format!("{}\n", plain(id.as_str())),
        (Format::Id, None) => String::new(),
        (Format::Table, id) => {
            let name = heard.of(told).name.unwrap_or_default();
            let id = id.as_ref().map_or("", |id| id.as_str());
            let error = told.fields.get("exception").and_then(Value::as_str).unwrap_or_default();
            let cells = [id, &name, &told.hostname, error].map(plain);
            let cells = cells.iter().filter(|cell| !cell.is_empty()).map(String::as_str);
            let rest = cells.collect::<Vec<_>>().join("  ");
            format!("{}  {:<16}  {rest}\n", to_iso(at(told)), plain(&told.kind))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(value: Value) -> Told {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_event_is_a_line_and_a_document() {
        let failed = told(json!({
            "type": "task-failed", "hostname": "w@h", "clock": 3, "timestamp": 1.5,
            "uuid": "u-1", "exception": "E('\u{1b}')",
        }));
        let mut heard = Heard::default();
        heard.listen(&told(json!({
            "type": "task-received", "hostname": "w@h", "timestamp": 1.0, "uuid": "u-1",
            "name": "mail.send",
        })));
        let text = line(&failed, &heard, Format::Table).unwrap();
        assert!(
            text.ends_with("  task-failed       u-1  mail.send  w@h  E('\\u{1b}')\n"),
            "{text}"
        );
        assert_eq!(line(&failed, &heard, Format::Id).unwrap(), "u-1\n");
        let json: Value =
            serde_json::from_str(&line(&failed, &heard, Format::Jsonl).unwrap()).unwrap();
        assert_eq!(
            (&json["type"], &json["exception"]),
            (&json!("task-failed"), &json!("E('\u{1b}')"))
        );
    }

    #[test]
    fn a_time_that_is_none_is_no_panic() {
        for timestamp in [-1.0, 1e300] {
            let odd = told(json!({ "type": "x", "hostname": "h", "timestamp": timestamp }));
            assert_eq!(at(&odd), SystemTime::UNIX_EPOCH);
        }
    }
}
