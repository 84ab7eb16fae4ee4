//! Results in Redis, in Celery's keys: its clients read ours, and our handles read its.
//!
//! `celery-task-meta-ID` holds the document and expires; a channel of the same name tells it.
//! Chords are joined in the keys that Celery's workers use, so that members of one chord may run
//! here and there.

mod chord;
mod listen;

use super::{ChordStore, Document, Expected, Latest, ResultBackend, StoreError, Watch, Watched};
use crate::ids::TaskId;
use crate::protocol::StoredResult;
use crate::secret::SecretUrl;
use crate::store::redis::Redis as Server;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::warn;

/// Writes a document unless a `SUCCESS` is there, and tells whoever listens. The state is the first
/// entry of a document, ours and Celery's, so that its beginning is enough to know it.
const STORE: &str = r#"
local known = redis.call('GETRANGE', KEYS[1], 0, 63)
local packed = string.find(known, '\166status\167SUCCESS', 1, true)
if string.find(known, '^{%s*"status"%s*:%s*"SUCCESS"') or (packed and packed <= 4) then
    return 0
end
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"#;

/// Where Celery keeps the result of a task, and the channel that tells it.
const TASK: &str = "celery-task-meta-";

/// Keeps results in Redis.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    expires: Duration,
    watched: Arc<Watched>,
    listener: OnceLock<JoinSet<()>>,
}

impl Redis {
    /// Keeps results in the database at `url` for as long as `expires` says; zero is for ever.
    /// Connects when it is first used.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read.
    pub fn open(url: &SecretUrl, expires: Duration) -> Result<Self, StoreError> {
        let server = Server::open(url)?;
        Ok(Self { server, expires, watched: Arc::default(), listener: OnceLock::new() })
    }

    /// How long things are kept, as the scripts take it: whole milliseconds, 0 for ever.
    fn expires(&self) -> String {
        self.expires.as_millis().to_string()
    }
}

impl ResultBackend for Redis {
    fn wants(&self, _: Option<&str>) -> bool {
        true
    }

    fn store<'a>(&'a self, document: &'a Document) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = [key(&document.task_id)];
            let expires = self.expires();
            self.server.run::<()>(STORE, &key, &[&document.body, expires.as_bytes()]).await
        })
    }

    /// Nothing can be too early: what was told before the subscription is asked for after it.
    fn expect(&self, id: TaskId) -> BoxFuture<'_, Expected> {
        let watch = self.watch(id);
        Box::pin(std::future::ready(Expected { watch, reply_to: None }))
    }

    fn watch(&self, id: TaskId) -> Watch {
        self.listener.get_or_init(|| {
            let mut listener = JoinSet::new();
            listener.spawn(listen::listen(self.server.clone(), Arc::clone(&self.watched)));
            listener
        });
        self.watched.watch(id)
    }

    fn latest<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<Latest, StoreError>> {
        Box::pin(async move {
            let mut get = redis::cmd("GET");
            get.arg(key(id));
            let bytes: Option<Vec<u8>> = self.server.ask(&get).await?;
            let Some(bytes) = bytes else { return Ok(None) };
            let read = StoredResult::read_kept(bytes);
            read.map(|result| Some(Arc::new(result))).map_err(|error| unreadable(&key(id), &error))
        })
    }

    fn forget<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut del = redis::cmd("DEL");
            del.arg(key(id));
            self.server.ask(&del).await
        })
    }

    fn chords(&self) -> Option<&dyn ChordStore> {
        Some(self)
    }
}

fn key(id: &TaskId) -> String {
    format!("{TASK}{id}")
}

fn unreadable(key: &str, error: &crate::protocol::DecodeError) -> StoreError {
    StoreError::permanent(format!("Redis holds no result that can be read at {key}: {error}"))
}

/// Reads a document that was told or asked for. One that cannot be read is told as a failure, so that
/// nobody waits for ever.
fn read(key: &str, bytes: Vec<u8>) -> StoredResult {
    StoredResult::read_kept(bytes).unwrap_or_else(|error| {
        warn!(%key, %error, "not a result that can be read");
        let id = key.strip_prefix(TASK).unwrap_or(key);
        StoredResult::unreadable(id.into(), &error)
    })
}
