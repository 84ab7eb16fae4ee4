//! Orders: what a worker does when it is told to.

use super::super::adjust::read_rate;
use super::super::attempt::Attempt;
use super::super::heartbeat;
use super::super::roster::{Change, Standing, Wanted};
use super::super::withdraw::withdraw;
use super::Remote;
use super::answer::{Answer, Given, Refused, ok, quoted, refused, texts};
use crate::control::{PAUSES, Pauses, Reach, RevokeError, revoke, revoke_stamped};
use crate::events::{Event, Turned};
use crate::ids::TaskId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long the broker may take to keep a revocation, or to make a queue.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most slots that can be asked for.
const MOST_SLOTS: usize = 100_000;

/// Signals that end a process, in Python's names and as numbers. Tasks here are stopped in one way
/// whatever the signal is.
const ENDING: [(&str, u64); 4] = [("TERM", 15), ("KILL", 9), ("INT", 2), ("QUIT", 3)];

impl Remote {
    /// Carries out an order; `None` when it is none.
    pub(super) async fn act(&self, given: Given<'_>) -> Option<Answer> {
        Some(match given.method {
            "revoke" => self.revoke(given, reach(given)).await,
            "terminate" => self.revoke(given, signal(given).map(|()| Reach::Running)).await,
            "revoke_by_stamped_headers" => self.revoke_stamped(given).await,
            "rate_limit" => self.rate_limit(given),
            "time_limit" => self.time_limit(given),
            "pool_grow" => self.resize(given, usize::saturating_add, "pool will grow"),
            "pool_shrink" => self.resize(given, usize::saturating_sub, "pool will shrink"),
            "autoscale" => self.autoscale(given),
            "pool_restart" => Err(Refused::python("ValueError", "Pool restarts not enabled")),
            "add_consumer" => self.add_consumer(given).await,
            "cancel_consumer" => self.cancel_consumer(given).await,
            "enable_events" => switched(self.context.events.switch().enable(), "enabled"),
            "disable_events" => switched(self.context.events.switch().disable(), "disabled"),
            "hello" => self.hello(given),
            "heartbeat" => {
                heartbeat::tell(&self.context, Event::Heartbeat);
                Ok(Value::Null)
            }
            "election" => refused("this worker takes part in no elections"),
            "shutdown" => {
                warn!("told to shut down from elsewhere: finishing what runs");
                self.context.shutdown.drain();
                ok("shutting down")
            }
            _ => return None,
        })
    }

    /// Revokes tasks for all workers and for good; stops those that run here, if that is asked for.
    async fn revoke(&self, given: Given<'_>, reach: Result<Reach, Refused>) -> Answer {
        let (ids, reach) = (given.ids("task_id")?, reach?);
        let running = self.context.here.running(&ids);
        // All workers hear this; what one of them has written already, the others need not.
        let news = self.context.revoked.unknown(&ids, reach);
        self.context.revoked.hear(&ids, reach);
        kept(revoke(&self.broker, news, reach, PATIENCE).await)?;
        withdraw(&ids, &self.context).await;
        match reach {
            Reach::NotBegun => {
                let ids: Vec<String> = ids.iter().map(|id| quoted(id.as_str())).collect();
                info!(tasks = ids.join(", "), "revoked from elsewhere");
                ok(format!("tasks {{{}}} flagged as revoked", ids.join(", ")))
            }
            Reach::Running => stopped(&running),
        }
    }

    async fn revoke_stamped(&self, given: Given<'_>) -> Answer {
        let stamps = stamps(given)?;
        let reach = reach(given)?;
        let running = self.context.here.all();
        self.context.revoked.hear_stamps(&stamps, reach);
        kept(revoke_stamped(&self.broker, &stamps, reach, PATIENCE).await)?;
        let shown = python_map(&stamps);
        if reach == Reach::NotBegun {
            return ok(format!("headers {shown} flagged as revoked, but not terminated"));
        }
        let bear = |attempt: &Arc<Attempt>| {
            let here = &attempt.headers.stamps;
            attempt.stage.began().is_some() && self.context.revoked.bears(here)
        };
        let running: Vec<_> = running.into_iter().filter(bear).collect();
        if running.is_empty() {
            return ok(format!("headers {shown} were not terminated"));
        }
        stopped(&running)?;
        ok(format!("headers {shown} revoked"))
    }

    fn rate_limit(&self, given: Given<'_>) -> Answer {
        let task = given.text("task_name")?;
        let text = match given.value("rate_limit") {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let rate = match read_rate(&text) {
            Ok(rate) => rate,
            Err(why) => return refused(format!("Invalid rate limit string: {why}")),
        };
        let Some(known) = self.context.known(task) else { return refused("unknown task") };
        info!(task, rate = text, "rate limit changed from elsewhere");
        match rate {
            Some(per_second) => {
                known.limits.set_rate(per_second, text);
                ok("new rate limit set successfully")
            }
            None => {
                known.limits.lift_rate();
                ok("rate limit disabled successfully")
            }
        }
    }

    fn time_limit(&self, given: Given<'_>) -> Answer {
        let task = given.text("task_name")?;
        let above_zero = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
        let (soft, hard) = (given.seconds("soft")?, given.seconds("hard")?);
        let Some(known) = self.context.known(task) else { return refused("unknown task") };
        info!(task, ?soft, ?hard, "time limits changed from elsewhere");
        known.limits.set_times(above_zero(soft), above_zero(hard));
        ok("time limits set successfully")
    }

    fn resize(&self, given: Given<'_>, change: fn(usize, usize) -> usize, done: &str) -> Answer {
        let slots = &self.context.slots;
        if slots.range().is_some() {
            let method = given.method;
            return refused(format!(
                "{method} is not supported with autoscale. Adjust autoscale range instead."
            ));
        }
        let by = given.count("n")?.unwrap_or(1);
        let size = change(slots.size(), by);
        if size == 0 || size > MOST_SLOTS {
            let now = slots.size();
            return refused(format!(
                "{now} slots cannot become {size}: at least 1 stays, at most {MOST_SLOTS} can be; \
                 `shutdown` stops a worker, `cancel_consumer` a queue"
            ));
        }
        info!(slots = size, "number of slots changed from elsewhere");
        slots.resize(size);
        ok(done)
    }

    /// Between the two is what a worker does by itself: a slot that nobody uses costs nothing.
    fn autoscale(&self, given: Given<'_>) -> Answer {
        let slots = &self.context.slots;
        let before = slots.range().unwrap_or((slots.size(), 1));
        let max = given.count("max")?.unwrap_or(before.0);
        let min = given.count("min")?.unwrap_or(before.1.min(max));
        if max == 0 || min > max || max > MOST_SLOTS {
            return refused(format!(
                "autoscale max={max} min={min}: max is at least 1, at most {MOST_SLOTS}, and not \
                 below min"
            ));
        }
        info!(max, min, "number of slots changed from elsewhere");
        slots.scale(max, min);
        ok(format!("autoscale now max={max} min={min}"))
    }

    async fn add_consumer(&self, given: Given<'_>) -> Answer {
        let queue = given.text("queue")?;
        if let Some(pauses) = pauses(given)? {
            return self.obey(given, queue, pauses).await;
        }
        let exchange = given.maybe_text("exchange")?;
        let kind = given.maybe_text("exchange_type")?;
        let wanted = Wanted::new(queue, exchange, kind, given.maybe_text("routing_key")?);
        let wanted = wanted.map_err(Refused::new)?;
        let (done, answer) = oneshot::channel();
        self.change(Change::Add(wanted, done), answer).await?.map_err(|error| {
            warn!(queue, %error, "asked from elsewhere to consume what cannot be consumed");
            Refused::new(error.to_string())
        })?;
        ok(format!("add consumer {queue}"))
    }

    async fn cancel_consumer(&self, given: Given<'_>) -> Answer {
        let queue = given.text("queue")?;
        if let Some(pauses) = pauses(given)? {
            return self.obey(given, queue, pauses).await;
        }
        let (done, answer) = oneshot::channel();
        self.change(Change::Cancel(queue.to_owned(), done), answer).await?;
        ok(format!("no longer consuming from {queue}"))
    }

    /// Goes by a pause, or its end, before the stream has told of it, and says so when it is done.
    async fn obey(&self, given: Given<'_>, queue: &str, pauses: Pauses) -> Answer {
        self.context.paused.hear(pauses);
        let (done, answer) = oneshot::channel();
        match self.change(Change::Obey(queue.to_owned(), done), answer).await? {
            Standing::Consumed if given.method == "cancel_consumer" => {
                refused(format!("consumes {queue}, which was resumed meanwhile"))
            }
            Standing::Consumed => ok(format!("consumes {queue}")),
            Standing::Paused(_) if given.method == "add_consumer" => {
                refused(format!("does not consume {queue}, which was paused again meanwhile"))
            }
            Standing::NotOurs => ok(format!("{queue} is none of its queues")),
            Standing::Paused(stopped) => {
                if timeout(PATIENCE, stopped.cancelled()).await.is_err() {
                    return refused(format!("the broker has not confirmed within {PATIENCE:?}"));
                }
                let here = self.context.here.all();
                let runs = |it: &&Arc<Attempt>| *it.queue == *queue && it.stage.began().is_some();
                match here.iter().filter(runs).count() {
                    0 => ok(format!("does not consume {queue}")),
                    1 => ok(format!("does not consume {queue}; 1 task of it still runs")),
                    many => ok(format!("does not consume {queue}; {many} tasks of it still run")),
                }
            }
        }
    }

    async fn change<T>(&self, change: Change, answer: oneshot::Receiver<T>) -> Result<T, Refused> {
        let changed = async {
            self.changes.send(change).await.ok()?;
            answer.await.ok()
        };
        match timeout(PATIENCE, changed).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(Refused::new("this worker is about to stop")),
            Err(_) => Err(Refused::new(format!("not done within {PATIENCE:?}, may be done later"))),
        }
    }

    /// What another worker wants to know when it starts, and tells. It is not kept: whoever revoked
    /// those has told us, or did not know us.
    fn hello(&self, given: Given<'_>) -> Answer {
        if given.text("from_node")? == self.node {
            return Ok(Value::Null);
        }
        let told = match given.value("revoked") {
            // As Celery before 5.7 has it.
            Some(Value::Object(since)) => since.keys().cloned().collect(),
            Some(list) => texts(list).unwrap_or_default(),
            None => Vec::new(),
        };
        let told: Vec<TaskId> = told.into_iter().map(TaskId::from).collect();
        self.context.revoked.hear(&told, Reach::NotBegun);
        Ok(json!({
            "revoked": self.context.revoked.ids(),
            "clock": self.context.events.logical_clock().forward(),
        }))
    }
}

/// What is said of paused queues, if the command is about a pause.
fn pauses(given: Given<'_>) -> Result<Option<Pauses>, Refused> {
    let said = given.value(PAUSES).map(|value| serde_json::from_value(value.clone()));
    said.transpose().map_err(|error| Refused::new(format!("{PAUSES}: {error}")))
}

/// How far a revocation goes.
fn reach(given: Given<'_>) -> Result<Reach, Refused> {
    if !given.flag("terminate") {
        return Ok(Reach::NotBegun);
    }
    signal(given).map(|()| Reach::Running)
}

/// Checks that the signal is one that ends a task.
fn signal(given: Given<'_>) -> Result<(), Refused> {
    let Some(signal) = given.value("signal") else { return Ok(()) };
    let is_ending = match signal {
        Value::String(name) => {
            let name = name.to_ascii_uppercase();
            let name = name.strip_prefix("SIG").unwrap_or(&name);
            ENDING.iter().any(|(known, number)| *known == name || number.to_string() == name)
        }
        number => ENDING.iter().any(|(_, known)| number.as_u64() == Some(*known)),
    };
    match is_ending {
        true => Ok(()),
        false => Err(Refused::new(format!(
            "signal {signal} is not supported: a task is asked to stop, and half a second later \
             stopped; say TERM, INT, QUIT or KILL for that"
        ))),
    }
}

/// What is said of the tasks that were running and shall stop.
fn stopped(running: &[Arc<Attempt>]) -> Answer {
    let ids = |of: &[&Arc<Attempt>]| {
        of.iter().map(|attempt| attempt.headers.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let blocks = |attempt: &&Arc<Attempt>| {
        attempt.known.as_ref().is_some_and(|known| known.on_thread.is_known())
    };
    let (deaf, others): (Vec<_>, Vec<_>) = running.iter().partition(blocks);
    if !deaf.is_empty() {
        let also = match others.is_empty() {
            true => String::new(),
            false => format!("; terminated: {}", ids(&others)),
        };
        return refused(format!(
            "not terminated: {}: a blocking function cannot be stopped, unless it has `isolation = \
             \"process\"`; it is told to by its context, and what it returns is thrown away{also}",
            ids(&deaf)
        ));
    }
    match running.is_empty() {
        true => ok("terminate: tasks unknown"),
        false => ok(format!("terminate: {}", ids(&others))),
    }
}

/// What somebody revoked must outlive this worker, or it is said that it does not.
fn kept(revoked: Result<(), RevokeError>) -> Result<(), Refused> {
    revoked.map_err(|error| {
        warn!(%error, "a revocation from elsewhere is not kept");
        Refused::new(format!("revoked in this worker only, and until it stops: {error}"))
    })
}

/// Stamps with their values: a map of one or many, or a list of `key=value`.
fn stamps(given: Given<'_>) -> Result<BTreeMap<String, Vec<String>>, Refused> {
    let wrong = || {
        let wanted = "revoke_by_stamped_headers(): headers must be a map, or a list of key=value";
        Refused::python("TypeError", wanted)
    };
    match given.value("headers") {
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, values)| Some((name.clone(), texts(values)?)))
            .collect::<Option<_>>()
            .ok_or_else(wrong),
        Some(list) => {
            let mut stamps = BTreeMap::<_, Vec<String>>::new();
            for pair in texts(list).ok_or_else(wrong)? {
                let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
                stamps.entry(name.to_owned()).or_default().push(value.to_owned());
            }
            Ok(stamps)
        }
        None => Err(wrong()),
    }
}

fn python_map(stamps: &BTreeMap<String, Vec<String>>) -> String {
    let values = |values: &[String]| {
        format!("[{}]", values.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(", "))
    };
    let entries = stamps.iter().map(|(name, all)| format!("{}: {}", quoted(name), values(all)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

fn switched(turned: Turned, to: &str) -> Answer {
    match turned {
        Turned::Now => ok(format!("task events {to}")),
        Turned::Already => ok(format!("task events already {to}")),
    }
}
