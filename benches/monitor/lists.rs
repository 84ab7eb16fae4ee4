//! Somebody who looks at everything, again and again.

use crate::monitor::Monitor;
use anyhow::Result;
use std::fmt;
use std::time::{Duration, Instant};

/// What is asked for.
const PATHS: [&str; 15] = [
    "/",
    "/tasks",
    "/tasks?q=state:success+name:shop.task3",
    "/failures",
    "/workers",
    "/queues",
    "/names",
    "/workflows",
    "/dead",
    "/schedules",
    "/audit",
    "/live",
    "/ops",
    "/api/v1/tasks?limit=50",
    "/api/v1/series?range=15m",
];

/// How long each took.
pub(crate) struct Lists(Vec<(&'static str, Times)>);

/// How long one took, each time.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Lists {
    /// Asks for each in turn, until so much time is over.
    pub(crate) async fn ask(monitor: &Monitor, during: Duration) -> Result<Self> {
        let mut lists = Self(PATHS.map(|path| (path, Times::default())).into());
        let began = Instant::now();
        while began.elapsed() < during {
            for (path, times) in &mut lists.0 {
                times.note(monitor.get(path)).await?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(lists)
    }

    pub(crate) fn times(self) -> impl Iterator<Item = (&'static str, Times)> {
        self.0.into_iter().map(|(path, times)| (path, times.sorted()))
    }
}

impl Times {
    /// Notes how long an answer takes.
    pub(crate) async fn note(
        &mut self,
        answer: impl Future<Output = Result<String>>,
    ) -> Result<()> {
        let asked = Instant::now();
        answer.await?;
        self.0.push(asked.elapsed());
        Ok(())
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Of those that are sorted.
    fn share(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.0.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, most) = (self.share(0.5), self.share(0.99), self.share(1.0));
        write!(f, "{p50:.1} / {p99:.1} / {most:.1} ms")
    }
}
