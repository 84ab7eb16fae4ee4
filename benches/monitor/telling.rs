//! What workers would tell: tasks that are received, started and succeed, one in a hundred fails.

use anyhow::Result;
use celeriac::broker::{Broker, RawMessage};
use celeriac::config::Config;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Events of each task.
pub(crate) const EVENTS: usize = 3;

/// Tasks told of in one message.
const TOGETHER: u64 = 60;

const PATIENCE: Duration = Duration::from_secs(60);

/// Tells of tasks.
pub(crate) struct Teller {
    broker: Broker,
    told: u64,
}

impl Teller {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let broker = Broker::connect(&Config::from(url).broker, 64).await?;
        Ok(Self { broker, told: 0 })
    }

    /// How many tasks it told of.
    pub(crate) fn tasks(&self) -> u64 {
        self.told
    }

    /// Tells of so many tasks, as fast as the broker takes them.
    pub(crate) async fn tell(&mut self, tasks: u64) -> Result<()> {
        let mut left = tasks;
        while left > 0 {
            let now = TOGETHER.min(left);
            self.publish(now).await?;
            left -= now;
        }
        Ok(())
    }

    /// Tells of `rate` tasks per second for so long.
    pub(crate) async fn tell_at(&mut self, rate: u64, during: Duration) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(25));
        for _ in 0..during.as_millis() / 25 {
            ticks.tick().await;
            self.publish(rate / 40).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, tasks: u64) -> Result<()> {
        let events: Vec<Value> = (0..tasks).flat_map(|more| events(self.told + more)).collect();
        self.told += tasks;
        let body = serde_json::to_vec(&events)?;
        let message = RawMessage::event("celeryev", "task.multi", "bench@host", body.into());
        Ok(self.broker.publish(Arc::new(message), PATIENCE).await?)
    }
}

/// The life of one task.
fn events(number: u64) -> [Value; EVENTS] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let id = format!("{number:08x}-0000-4000-8000-{:012x}", number.wrapping_mul(0x9e37_79b9_7f4a));
    let node = format!("worker{}@web{}", number % 8, number % 4);
    let common = |kind: &str, later: u64| {
        let at = now + later as f64 / 1e3;
        json!({
            "type": kind, "uuid": id, "hostname": node, "pid": 4242, "utcoffset": 0,
            "clock": number * EVENTS as u64 + later, "timestamp": at,
        })
    };
    let with = |mut event: Value, more: Value| {
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    };
    let received = json!({
        "name": format!("shop.task{}", number % 20), "args": format!("({number}, 'acme')"),
        "kwargs": "{'tenant': 'acme', 'user': 4}", "root_id": id, "parent_id": null, "retries": 0,
        "eta": null, "expires": null, "queue": format!("queue{}", number % 5),
    });
    [
        with(common("task-received", 0), received),
        common("task-started", 1),
        with(common("task-succeeded", 2), json!({ "result": "3", "runtime": 0.012 })),
    ]
}
