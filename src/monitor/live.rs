//! Tells open pages that something has changed, so that they look again.
//!
//! Server-sent events, one connection per page. Nothing waits for a page: what it is told is always
//! about now, so that nothing has to be kept for one that is slow, and one that was away simply
//! looks again.

use super::http::Pages;
use super::index::{self, IndexError};
use super::ingest::News;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

/// A page is told at most so often about one thing: four times a second.
const PAUSE: Duration = Duration::from_millis(250);

/// What changes all the time is told so often.
const TICK: Duration = Duration::from_secs(2);

/// A comment goes out so often, so that nothing between here and there takes the connection for
/// dead.
const COMMENT: Duration = Duration::from_secs(15);

/// Beyond `max_streams` a page is told to come back after so many seconds.
const LATER: &str = "10";

/// What the address asks for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Asked {
    /// Such as `tasks,overview`.
    #[serde(default)]
    topics: String,
}

/// What one page wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Topics {
    tasks: bool,
    overview: bool,
    workers: bool,
}

/// One open page.
struct Listener {
    pages: Pages,
    topics: Topics,
    news: watch::Receiver<News>,
    tick: Interval,
    /// Before then nothing is told.
    rested: Instant,
    /// The newest task that it was told of.
    newest: i64,
    /// Steps of tasks that it was told of.
    steps: u64,
    condition: Condition,
    ready: VecDeque<Event>,
    _permit: OwnedSemaphorePermit,
}

/// How the monitor is, as far as every page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    is_connected: bool,
    is_reading: bool,
    /// Whole seconds, from 2 on.
    lag: Option<u64>,
}

/// `GET /api/v1/stream?topics=tasks,overview,workers`
pub(super) async fn serve(State(pages): State<Pages>, Query(asked): Query<Asked>) -> Response {
    let Ok(permit) = pages.streams.clone().try_acquire_owned() else {
        let error = json!({"error": "too many pages are live; see monitor.max_streams"});
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, LATER)], Json(error))
            .into_response();
    };
    match Listener::new(pages, Topics::read(&asked.topics), permit).await {
        Ok(listener) => {
            let events = Sse::new(listener.events()).keep_alive(KeepAlive::new().interval(COMMENT));
            // Proxies that gather answers would hold back what is to be told at once.
            let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
            (unbuffered, events).into_response()
        }
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}

impl Topics {
    fn read(text: &str) -> Self {
        let has = |topic: &str| text.split(',').any(|it| it.trim() == topic);
        Self { tasks: has("tasks"), overview: has("overview"), workers: has("workers") }
    }
}

impl Condition {
    fn of(pages: &Pages) -> Self {
        let (broker, status) = (&pages.broker, &pages.status);
        let lag = status.lag().map(|lag| lag.as_secs()).filter(|lag| *lag >= 2);
        Self { is_connected: broker.is_connected(), is_reading: status.is_reading(), lag }
    }
}

impl Listener {
    async fn new(
        pages: Pages,
        topics: Topics,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, IndexError> {
        let mut news = pages.news.clone();
        let steps = news.borrow_and_update().steps;
        let newest = pages.index.read(index::tasks::newest).await?;
        let condition = Condition::of(&pages);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        let hello = json!({"lag_s": condition.lag.unwrap_or_default()});
        let ready = VecDeque::from([event("hello", &hello)]);
        let rested = Instant::now();
        Ok(Self {
            pages,
            topics,
            news,
            tick,
            rested,
            newest,
            steps,
            condition,
            ready,
            _permit: permit,
        })
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut listener| async {
            loop {
                if let Some(event) = listener.ready.pop_front() {
                    return Some((Ok(event), listener));
                }
                listener.wait().await.ok()?;
            }
        })
    }

    /// Waits until there may be something to tell.
    ///
    /// # Errors
    /// When there will be nothing any more: the monitor stops.
    async fn wait(&mut self) -> Result<(), watch::error::RecvError> {
        sleep_until(self.rested).await;
        tokio::select! {
            told = self.news.changed() => {
                told?;
                self.tell_tasks().await;
            }
            _ = self.tick.tick() => self.tell_time(),
        }
        self.rested = Instant::now() + PAUSE;
        Ok(())
    }

    /// How many tasks are new, and that others have changed.
    async fn tell_tasks(&mut self) {
        let steps = self.news.borrow_and_update().steps;
        if !self.topics.tasks || steps == self.steps {
            return;
        }
        // An index that gives no answer now is asked again after the next batch.
        let Ok(newest) = self.pages.index.read(index::tasks::newest).await else { return };
        let told = json!({"new": newest - self.newest, "steps": steps - self.steps});
        (self.newest, self.steps) = (newest, steps);
        self.ready.push_back(event("tasks", &told));
    }

    /// What goes on by itself: depths, heartbeats, how far behind we are.
    fn tell_time(&mut self) {
        let condition = Condition::of(&self.pages);
        if condition.lag != self.condition.lag {
            let lag = json!({"lag_s": condition.lag.unwrap_or_default()});
            self.ready.push_back(event("lag", &lag));
        }
        let is_well = |it: Condition| (it.is_connected, it.is_reading);
        if is_well(condition) != is_well(self.condition) {
            self.ready.push_back(event("warning", &json!({})));
        }
        self.condition = condition;
        for (wanted, topic) in
            [(self.topics.overview, "overview"), (self.topics.workers, "workers")]
        {
            if wanted {
                self.ready.push_back(event(topic, &json!({})));
            }
        }
    }
}

fn event(kind: &str, data: &serde_json::Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}
