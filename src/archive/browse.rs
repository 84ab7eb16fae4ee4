//! Reading the archive. Changes nothing in it.

use super::burial::unpack;
use super::{Archive, ArchiveError, DeadLetter, Entry, Filter};
use crate::broker::{RawMessage, StreamReader, StreamStart};
use std::collections::{BTreeMap, BTreeSet};

impl Archive {
    /// The letters that `filter` means, oldest first, with what became of them until now.
    ///
    /// Holds no body in memory.
    ///
    /// # Errors
    /// There is no archive, or the connection broke.
    pub async fn survey(&self, filter: &Filter) -> Result<Vec<DeadLetter>, ArchiveError> {
        let start = filter.since().map_or(StreamStart::First, StreamStart::Time);
        let mut reader = self.broker.read_stream(&self.settings.stream, start).await?;
        let mut found = BTreeMap::new();
        while let Some((offset, message)) = reader.next().await? {
            fold(&mut found, filter, offset, &unpack(message));
        }
        reader.close().await;
        Ok(found.into_values().filter(|letter| filter.matches(letter)).collect())
    }

    /// The letters at these offsets, oldest first, as they came: what became of them is not looked
    /// for. Those that retention has removed are left out, and so is what is no letter.
    ///
    /// # Errors
    /// There is no archive, or the connection broke.
    pub async fn letters(&self, offsets: BTreeSet<u64>) -> Result<Vec<DeadLetter>, ArchiveError> {
        let mut messages = self.messages(offsets).await?;
        let mut letters = Vec::new();
        while let Some((offset, message)) = messages.next().await? {
            if let Entry::Letter(letter) = Entry::of(offset, &message) {
                letters.push(*letter);
            }
        }
        messages.close().await;
        Ok(letters)
    }

    /// The letters at these offsets with their whole messages, oldest first, as
    /// [`letters`](Self::letters) has them. All of them are in memory together.
    ///
    /// # Errors
    /// There is no archive, or the connection broke.
    pub async fn whole(
        &self,
        offsets: BTreeSet<u64>,
    ) -> Result<Vec<(DeadLetter, RawMessage)>, ArchiveError> {
        let mut messages = self.messages(offsets).await?;
        let mut whole = Vec::new();
        while let Some((offset, message)) = messages.next().await? {
            if let Entry::Letter(letter) = Entry::of(offset, &message) {
                whole.push((*letter, message));
            }
        }
        messages.close().await;
        Ok(whole)
    }

    /// The offset of the last message that is there now, letter or mark: whoever has read up to it
    /// knows of everything that was confirmed before this was called. `None` while it is empty.
    ///
    /// # Errors
    /// There is no archive, or the connection broke.
    pub async fn end(&self) -> Result<Option<u64>, ArchiveError> {
        let mut reader = self.broker.read_stream(&self.settings.stream, StreamStart::Last).await?;
        let mut last = None;
        while let Some((offset, _)) = reader.next().await? {
            last = Some(offset);
        }
        reader.close().await;
        Ok(last)
    }

    /// The messages of letters that are known by offset, oldest first.
    ///
    /// # Errors
    /// There is no archive.
    pub(super) async fn messages(&self, offsets: BTreeSet<u64>) -> Result<Messages, ArchiveError> {
        let first = offsets.first().copied().unwrap_or(u64::MAX);
        let start = StreamStart::Offset(first);
        let reader = self.broker.read_stream(&self.settings.stream, start).await?;
        Ok(Messages { reader, offsets })
    }

    /// Shows `visit` each letter with its whole message, oldest first. Those that retention has
    /// removed meanwhile are passed over.
    ///
    /// # Errors
    /// There is no archive, the connection broke, or `visit` has enough.
    pub async fn each_message<E: From<ArchiveError>>(
        &self,
        letters: &[DeadLetter],
        mut visit: impl FnMut(&DeadLetter, RawMessage) -> Result<(), E>,
    ) -> Result<(), E> {
        let letters: BTreeMap<u64, &DeadLetter> =
            letters.iter().map(|letter| (letter.offset, letter)).collect();
        let mut messages = self.messages(letters.keys().copied().collect()).await?;
        while let Some((offset, message)) = messages.next().await? {
            visit(letters[&offset], message)?;
        }
        messages.close().await;
        Ok(())
    }

    /// The message at `offset`, with its body, if it is still there.
    ///
    /// # Errors
    /// There is no archive, or the connection broke.
    pub async fn message(&self, offset: u64) -> Result<Option<RawMessage>, ArchiveError> {
        let mut messages = self.messages(BTreeSet::from([offset])).await?;
        let found = messages.next().await?;
        messages.close().await;
        Ok(found.map(|(_, message)| message))
    }
}

/// Messages at certain offsets.
pub(super) struct Messages {
    reader: StreamReader,
    offsets: BTreeSet<u64>,
}

impl Messages {
    /// Says that we listen no more.
    pub(super) async fn close(self) {
        self.reader.close().await;
    }

    /// The next one. Those that retention has removed meanwhile are passed over.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, RawMessage)>, ArchiveError> {
        while !self.offsets.is_empty() {
            let Some((offset, message)) = self.reader.next().await? else { return Ok(None) };
            if self.offsets.remove(&offset) {
                return Ok(Some((offset, unpack(message))));
            }
        }
        Ok(None)
    }
}

/// Adds a letter, or lets a mark change the state of the letter that it is about.
fn fold(found: &mut BTreeMap<u64, DeadLetter>, filter: &Filter, offset: u64, message: &RawMessage) {
    match Entry::of(offset, message) {
        Entry::Letter(letter) if filter.may_match(&letter) => {
            found.insert(offset, *letter);
        }
        Entry::Letter(_) => {}
        Entry::Mark(mark) => {
            let letter = found.get_mut(&mark.offset).filter(|letter| mark.is_about(letter));
            if let Some(letter) = letter {
                letter.state = mark.state;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Deed, Mark, State};
    use super::*;
    use crate::protocol::HeaderValue;
    use std::time::SystemTime;

    fn task(id: &str) -> RawMessage {
        RawMessage::note("e", [("id", HeaderValue::Text(id.to_owned()))])
    }

    fn states(messages: &[RawMessage]) -> Vec<State> {
        let filter = Filter::parse("state:all", SystemTime::UNIX_EPOCH).unwrap();
        let mut found = BTreeMap::new();
        for (offset, message) in (0..).zip(messages) {
            fold(&mut found, &filter, offset, message);
        }
        found.into_values().map(|letter| letter.state).collect()
    }

    fn mark(offset: u64, id: &str, state: &State) -> RawMessage {
        let letter = DeadLetter::read(offset, &task(id));
        Mark::of(&letter, state.clone()).message("e")
    }

    #[test]
    fn the_latest_mark_counts_for_the_letter_that_it_names() {
        let deed = |by: &str| Deed { at: SystemTime::UNIX_EPOCH, by: by.to_owned() };
        let (requeued, discarded) = (State::Requeued(deed("a")), State::Discarded(deed("b")));
        let stream = [
            task("one"),
            task("two"),
            mark(0, "one", &requeued),
            mark(1, "another", &requeued),
            mark(0, "one", &discarded),
        ];
        assert_eq!(states(&stream), [discarded, State::Open]);
        assert_eq!(states(&stream[..3]), [requeued, State::Open]);
    }
}
