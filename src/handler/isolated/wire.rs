//! What a worker and the process of an isolated task tell each other: MessagePack in frames, each
//! after its length, over the one socket that is the process's standard input.

use crate::canvas::{BadCanvas, Canvas};
use crate::handler::{Failure, TaskError};
use crate::protocol::{Headers, Signature, Value};
use futures::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame. A result that large belongs into a file.
const MOST: u32 = 256 << 20;

/// To the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Run(Box<Job>),
    /// End early: the soft limit has passed, or the worker stops.
    Cancel,
}

/// One attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) headers: Headers,
    pub(super) queue: String,
    pub(super) redelivered: bool,
    /// How long until the hard limit.
    pub(super) left: Option<Duration>,
    pub(super) content_type: String,
    #[serde(with = "serde_bytes")]
    pub(super) body: Vec<u8>,
}

/// From the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Progress(Value),
    Ended(Box<Ended>),
}

/// How the attempt ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ended {
    Done(Value),
    Failed(Failed),
    Panicked(String),
}

/// A [`Failure`] that can travel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failed {
    Error(TaskError),
    Retry(Option<Duration>, TaskError),
    Snooze(Duration),
    Discard(TaskError),
    Reject(TaskError),
    Replace(Box<Signature>),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) => Self::Error(error),
            Failure::Retry { after, error } => Self::Retry(after, error),
            Failure::Snooze { after } => Self::Snooze(after),
            Failure::Discard(error) => Self::Discard(error),
            Failure::Reject(error) => Self::Reject(error),
            Failure::Replace(by) => Self::Replace(Box::new((*by).into())),
        }
    }
}

impl TryFrom<Failed> for Failure {
    type Error = BadCanvas;

    fn try_from(failed: Failed) -> Result<Self, BadCanvas> {
        Ok(match failed {
            Failed::Error(error) => Self::Error(error),
            Failed::Retry(after, error) => Self::Retry { after, error },
            Failed::Snooze(after) => Self::Snooze { after },
            Failed::Discard(error) => Self::Discard(error),
            Failed::Reject(error) => Self::Reject(error),
            Failed::Replace(by) => Self::Replace(Box::new(Canvas::read(*by)?)),
        })
    }
}

/// Writes one frame.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    let bytes = rmp_serde::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MOST);
    let length = length.ok_or_else(|| too_large(bytes.len()))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&bytes).await?;
    to.flush().await
}

/// The frames that come, until the other side is gone. Awaiting the next one is cancel safe.
pub(super) fn frames<T: DeserializeOwned>(
    from: impl AsyncRead + Unpin,
) -> impl Stream<Item = io::Result<T>> {
    futures::stream::try_unfold(from, |mut from| async move {
        let mut length = [0; 4];
        match from.read_exact(&mut length).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let length = u32::from_be_bytes(length);
        if length > MOST {
            return Err(too_large(length as usize));
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes).await?;
        let message = rmp_serde::from_slice(&bytes).map_err(io::Error::other)?;
        Ok(Some((message, from)))
    })
}

fn too_large(bytes: usize) -> io::Error {
    io::Error::other(format!("{bytes} bytes at once, at most {MOST} can be passed on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::chain;
    use futures::StreamExt;

    #[tokio::test]
    async fn every_ending_survives_the_way() {
        let error = || TaskError::new("E", "m").with_detail("d");
        let canvas = chain([Signature::new("a"), Signature::new("b")]);
        let failures = [
            Failure::Error(error()),
            Failure::Retry { after: Some(Duration::from_millis(1_500)), error: error() },
            Failure::Snooze { after: Duration::from_secs(3) },
            Failure::Discard(error()),
            Failure::Reject(error()),
            Failure::Replace(Box::new(canvas)),
        ];
        for failure in failures {
            let mut bytes = Vec::new();
            let ended = Ended::Failed(failure.clone().into());
            write(&mut bytes, &Answer::Ended(Box::new(ended))).await.unwrap();
            let mut read = std::pin::pin!(frames::<Answer>(&bytes[..]));
            let Some(Ok(Answer::Ended(ended))) = read.next().await else { panic!("{failure}") };
            let Ended::Failed(failed) = *ended else { panic!("{failure}") };
            assert_eq!(Failure::try_from(failed).unwrap(), failure);
            assert!(read.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_frame_beyond_all_measure_is_refused_before_it_is_read() {
        let mut read = std::pin::pin!(frames::<Answer>(&[0xff; 8][..]));
        assert!(read.next().await.unwrap().unwrap_err().to_string().contains("at most"));
    }
}
