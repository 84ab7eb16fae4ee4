//! When what was due arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use celeriac::clock::parse_iso;
use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use tokio::task::JoinSet;

use crate::side;

/// Messages that arrived, by task.
type ByTask = HashMap<String, Vec<Arrived>>;

struct Arrived {
    at: SystemTime,
    /// As the message tells; Celery's does not.
    due: Option<SystemTime>,
}

/// Receives what schedulers send.
pub(crate) struct Arrivals {
    by_task: Arc<Mutex<ByTask>>,
    _receiver: JoinSet<()>,
    _connection: Connection,
}

impl Arrivals {
    /// Declares the queue as Celery does, and consumes it.
    pub(crate) async fn consume(url: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("default".into(), durable, FieldTable::default()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consuming =
            channel.basic_consume("default".into(), "".into(), options, FieldTable::default());
        let mut consumer = consuming.await?;
        let by_task: Arc<Mutex<ByTask>> = Arc::default();
        let kept = Arc::clone(&by_task);
        let mut receiver = JoinSet::new();
        receiver.spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let at = SystemTime::now();
                let Some(headers) = delivery.properties.headers() else { continue };
                let due = text(headers, "celeriac-due").and_then(|due| parse_iso(&due));
                let task = text(headers, "task").unwrap_or_default();
                let mut by_task = kept.lock().unwrap_or_else(PoisonError::into_inner);
                by_task.entry(task).or_default().push(Arrived { at, due });
            }
        });
        Ok(Self { by_task, _receiver: receiver, _connection: connection })
    }

    /// Forgets what has arrived so far.
    pub(crate) fn forget(&self) {
        self.by_task.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How late each run arrived. Celery counts a run from the one before, so its first of each
    /// task says nothing.
    pub(crate) fn lateness(&self) -> Vec<Duration> {
        let by_task = self.by_task.lock().unwrap_or_else(PoisonError::into_inner);
        let mut late = Vec::new();
        for (task, runs) in &*by_task {
            let Ok(period) = side::period_of(task).context("a task of ours") else { continue };
            let counted = runs.windows(2).map(|pair| pair[0].at + period);
            let dues = runs.iter().skip(1).map(|run| run.due).zip(counted);
            for ((told, counted), run) in dues.zip(runs.iter().skip(1)) {
                let due = told.unwrap_or(counted);
                late.push(run.at.duration_since(due).unwrap_or_default());
            }
        }
        late
    }
}

fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    }
}
