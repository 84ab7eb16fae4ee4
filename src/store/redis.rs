//! Redis: one connection for commands, shared by all, and one per subscriber.

use super::{PATIENCE, StoreError};
use crate::secret::SecretUrl;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{Client, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use std::fmt;
use std::time::Duration;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A Redis server. Cloning is cheap; all clones share one connection, on which commands do not wait
/// for each other's answers.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    shared: ConnectionManager,
}

impl Redis {
    /// The server at `url`. Connects when it is first asked something.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read. The error does not show it.
    pub fn open(url: &SecretUrl) -> Result<Self, StoreError> {
        let unreadable = |error: RedisError| StoreError::permanent(error.category());
        let client = Client::open(url.expose()).map_err(unreadable)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(PATIENCE))
            .set_min_delay(Duration::from_millis(50))
            // Who asks tries again, with waits of its own.
            .set_number_of_retries(1);
        let shared = ConnectionManager::new_lazy_with_config(client.clone(), config);
        Ok(Self { client, shared: shared.map_err(unreadable)? })
    }

    /// Asks one command. Cancel safe, but the command may be carried out all the same.
    ///
    /// # Errors
    ///
    /// What the server said, or that it did not answer.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let answer = command.query_async(&mut self.shared.clone()).await;
        answer.map_err(|error| failed(&error))
    }

    /// Runs a script on `keys` with `arguments`, atomically. Cancel safe, as [`Redis::ask`].
    ///
    /// # Errors
    ///
    /// As [`Redis::ask`].
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        self.ask(&command).await
    }

    /// A connection of its own, for subscriptions.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub async fn subscriber(&self) -> Result<PubSub, StoreError> {
        match tokio::time::timeout(CONNECT, self.client.get_async_pubsub()).await {
            Ok(connected) => connected.map_err(|error| failed(&error)),
            Err(_) => Err(StoreError::transient(format!("no connection within {CONNECT:?}"))),
        }
    }
}

impl fmt::Debug for Redis {
    /// Without its address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// What went wrong, and whether it can pass. Most can: a server that is full, loading or a replica
/// is one that an operator is about to set right. What the server cannot do with this very command
/// it will not do later.
pub(crate) fn failed(error: &RedisError) -> StoreError {
    let is_transient = !matches!(
        error.kind(),
        ErrorKind::UnexpectedReturnType
            | ErrorKind::Parse
            | ErrorKind::Client
            | ErrorKind::InvalidClientConfig
    ) && !is_wrong_type(error);
    StoreError { reason: format!("Redis: {error}"), is_transient }
}

/// A key that holds something else than we keep there.
fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
        || (error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
            && error.detail().is_some_and(|detail| detail.contains("WRONGTYPE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neither_the_handle_nor_an_error_shows_the_password() {
        let redis = Redis::open(&"redis://user:s3cret@127.0.0.1:1/0".into()).unwrap();
        let error = redis.ask::<()>(&redis::cmd("PING")).await.unwrap_err();
        assert!(error.is_transient, "{error}");
        let wrong = Redis::open(&"http://user:s3cret@h".into()).unwrap_err();
        for shown in [format!("{redis:?}"), error.to_string(), wrong.to_string()] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
