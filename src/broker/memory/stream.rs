//! Reading a stream of the broker in memory.

use super::Memory;
use super::entry::Entry;
use super::queue::Kind;
use crate::broker::{DeclareError, RawMessage, StreamError, StreamStart};
use crate::protocol::HeaderValue;
use crate::topology::Object;
use std::time::SystemTime;

/// What was in a stream when reading began, from some place on.
#[derive(Debug)]
pub(in crate::broker) struct Reader {
    messages: std::vec::IntoIter<(u64, RawMessage)>,
}

impl Reader {
    pub(in crate::broker) fn next(&mut self) -> Option<(u64, RawMessage)> {
        self.messages.next()
    }
}

impl Memory {
    pub(in crate::broker) fn read_stream(
        &self,
        stream: &str,
        start: StreamStart,
    ) -> Result<Reader, StreamError> {
        let state = self.state();
        let Some(queue) = state.queues.get(stream) else {
            let missing = DeclareError::Missing(Object::Queue(stream.to_owned()));
            return Err(StreamError::Unknown(missing));
        };
        if queue.rules.kind != Kind::Stream {
            let why = "it is no stream".to_owned();
            return Err(StreamError::Interrupted { stream: stream.to_owned(), why });
        }
        let first = position(&queue.log, start);
        let messages: Vec<_> = (0_u64..)
            .zip(&queue.log)
            .skip(first)
            .map(|(offset, (_, entry))| {
                let place = HeaderValue::Int(i64::try_from(offset).unwrap_or(i64::MAX));
                let message = RawMessage::clone(&entry.message);
                (offset, message.with_headers([("x-stream-offset", place)]))
            })
            .collect();
        Ok(Reader { messages: messages.into_iter() })
    }
}

/// Where in `log` a reader begins.
pub(super) fn position(log: &[(SystemTime, Entry)], start: StreamStart) -> usize {
    match start {
        StreamStart::First => 0,
        StreamStart::Last => log.len().saturating_sub(1),
        StreamStart::Offset(first) => usize::try_from(first).unwrap_or(usize::MAX),
        StreamStart::Time(since) => log.partition_point(|(at, _)| *at < since),
    }
}
