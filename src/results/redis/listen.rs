//! The receiving end: one connection that is subscribed to every watched task.
//!
//! Subscribing and then asking for what is there misses nothing, also after a loss: the connection
//! is made again with growing waits, and everything watched is subscribed to and asked for anew.

use super::{TASK, key, read};
use crate::ids::TaskId;
use crate::results::losses::{Losses, pings};
use crate::results::{StoreError, Watched};
use crate::store::PATIENCE;
use crate::store::redis::{Redis, failed};
use futures::StreamExt;
use redis::Msg;
use redis::aio::PubSubSink;
use std::sync::Arc;
use tokio::time::timeout;

/// How many tasks one command subscribes to or asks for.
const CHUNK: usize = 500;

/// Tells `watched` what Redis tells. Never ends.
pub(super) async fn listen(server: Redis, watched: Arc<Watched>) {
    let mut losses = Losses::default();
    loop {
        let Err(error) = attend(&server, &watched, &mut losses).await;
        losses.wait(&error, &watched).await;
    }
}

/// Listens on one connection until it is lost.
async fn attend(
    server: &Redis,
    watched: &Watched,
    losses: &mut Losses,
) -> Result<std::convert::Infallible, StoreError> {
    let (sink, mut messages) = server.subscriber().await?.split();
    let mut line = Line { server, watched, sink };
    line.follow(&watched.open().begun).await?;
    losses.end();
    let mut ping = pings();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => tell(watched, &message),
                None => return Err(StoreError::transient("the subscription was lost")),
            },
            () = watched.changed() => line.adjust().await?,
            _ = ping.tick() => line.ping().await?,
        }
    }
}

/// One connection with its subscriptions.
struct Line<'a> {
    server: &'a Redis,
    watched: &'a Watched,
    sink: PubSubSink,
}

impl Line<'_> {
    /// Follows who watches what by now.
    async fn adjust(&mut self) -> Result<(), StoreError> {
        let mut changes = self.watched.take();
        changes.begun.retain(|id| self.watched.contains(id));
        changes.ended.retain(|id| !self.watched.contains(id));
        for ids in changes.ended.chunks(CHUNK) {
            let channels: Vec<String> = ids.iter().map(key).collect();
            within(self.sink.unsubscribe(channels)).await?;
        }
        self.follow(&changes.begun).await
    }

    /// Subscribes to tasks, then tells what is known of them by now.
    async fn follow(&mut self, ids: &[TaskId]) -> Result<(), StoreError> {
        for ids in ids.chunks(CHUNK) {
            let keys: Vec<String> = ids.iter().map(key).collect();
            within(self.sink.subscribe(&keys)).await?;
            let mut get = redis::cmd("MGET");
            get.arg(&keys);
            let known: Vec<Option<Vec<u8>>> = self.server.ask(&get).await?;
            let known = keys.iter().zip(known);
            let results = known.filter_map(|(key, bytes)| Some(read(key, bytes?)));
            results.for_each(|result| self.watched.tell(result));
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        within(self.sink.ping::<redis::Value>()).await.map(drop)
    }
}

/// What Redis answers before its connection is taken for dead.
async fn within<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, StoreError> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| failed(&error)),
        Err(_) => Err(StoreError::transient(format!("Redis did not answer within {PATIENCE:?}"))),
    }
}

fn tell(watched: &Watched, message: &Msg) {
    let channel = message.get_channel_name();
    if channel.starts_with(TASK) {
        watched.tell(read(channel, message.get_payload_bytes().to_vec()));
    }
}
