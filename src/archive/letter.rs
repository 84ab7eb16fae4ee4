//! What the archive holds: dead letters, and marks of what became of them.

use super::burial::{header, unpack};
use super::death::Death;
use super::{AttemptRecord, Reason};
use crate::broker::RawMessage;
use crate::clock;
use crate::ids::TaskId;
use crate::protocol::{self, HeaderValue};
use std::time::SystemTime;

/// A message that was given up, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its place in the archive; identifies it.
    pub offset: u64,
    /// Why it is here.
    pub reason: Reason,
    /// The last error, if a worker gave it up.
    pub error: Option<String>,
    /// When it was given up.
    pub dead_at: Option<SystemTime>,
    /// Name of the task, if the message says.
    pub task: Option<String>,
    /// Id of the task, if the message says.
    pub id: Option<TaskId>,
    /// The queue it died in; it goes back there.
    pub queue: Option<String>,
    /// The exchange it had been published to, if known.
    pub exchange: Option<String>,
    /// The routing key it had been published with.
    pub routing_key: String,
    /// The worker that gave it up; none if it was the broker.
    pub worker: Option<String>,
    /// The arguments for display, if the sender gave them.
    pub argsrepr: Option<String>,
    /// Retries made.
    pub retries: u32,
    /// The attempts that failed, as far as they were recorded.
    pub attempts: Vec<AttemptRecord>,
    /// Length of the body in bytes.
    pub size: usize,
    /// What became of it.
    pub state: State,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Nothing yet.
    Open,
    /// It was published again.
    Requeued(Deed),
    /// Somebody decided that nothing is to be done.
    Discarded(Deed),
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// When.
    pub at: SystemTime,
    /// Who.
    pub by: String,
}

/// A note in the archive that something was done with a letter before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Place of the letter.
    pub offset: u64,
    /// Id of the letter's task, against confusion when a stream was made anew.
    pub id: Option<TaskId>,
    /// What was done.
    pub state: State,
}

/// A message of the archive.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Something that was given up.
    Letter(Box<DeadLetter>),
    /// What became of one.
    Mark(Mark),
}

impl Entry {
    /// Reads the message at `offset` of the archive's stream. Whatever it is, it is one or the
    /// other.
    pub fn read(offset: u64, message: RawMessage) -> Self {
        Self::of(offset, &unpack(message))
    }

    pub(super) fn of(offset: u64, message: &RawMessage) -> Self {
        match Mark::read(message) {
            Some(mark) => Self::Mark(mark),
            None => Self::Letter(Box::new(DeadLetter::read(offset, message))),
        }
    }
}

impl DeadLetter {
    /// Reads a message of the archive that is no mark.
    pub fn read(offset: u64, message: &RawMessage) -> Self {
        let text = |name: &str| message.text_header(name);
        let reason = text(header::REASON).map(|word| Reason::parse(&word).unwrap_or(Reason::Other));
        // Somebody may dead-letter into the archive's exchange directly.
        let death = if reason.is_none() { Death::of(message) } else { None };
        let at = text(header::AT).and_then(|text| clock::parse_iso(&text));
        let id = text("id").or_else(|| message.correlation_id().map(str::to_owned));
        Self {
            offset,
            reason: reason.or(death.as_ref().map(|it| it.reason)).unwrap_or(Reason::Other),
            error: text(header::ERROR),
            dead_at: at.or(death.as_ref().and_then(|death| death.at)),
            task: text("task"),
            id: id.map(TaskId::from),
            queue: text(header::QUEUE).or(death.as_ref().map(|death| death.queue.clone())),
            exchange: text(header::EXCHANGE).or(death.and_then(|death| death.exchange)),
            routing_key: text(header::ROUTING_KEY).unwrap_or_else(|| message.routing_key.clone()),
            worker: text(header::WORKER),
            argsrepr: text("argsrepr"),
            retries: match message.header("retries") {
                HeaderValue::Int(retries) => u32::try_from(retries).unwrap_or(0),
                _ => 0,
            },
            attempts: AttemptRecord::read_all(&message.header(protocol::header::ATTEMPTS)),
            size: message.body.len(),
            state: State::Open,
        }
    }

    /// Whether nothing was done with it yet.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

impl State {
    /// `open`, `requeued` or `discarded`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Requeued(_) => "requeued",
            Self::Discarded(_) => "discarded",
        }
    }

    /// Who did it, and when; nobody, while it is open.
    pub fn deed(&self) -> Option<&Deed> {
        match self {
            Self::Open => None,
            Self::Requeued(deed) | Self::Discarded(deed) => Some(deed),
        }
    }
}

impl Mark {
    pub(super) fn of(letter: &DeadLetter, state: State) -> Self {
        Self { offset: letter.offset, id: letter.id.clone(), state }
    }

    /// The message to publish to the archive's exchange.
    pub(super) fn message(&self, archive: &str) -> RawMessage {
        let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
        let mut headers = vec![
            (header::MARK, HeaderValue::Text(self.state.as_str().to_owned())),
            (header::OF, HeaderValue::Int(offset)),
        ];
        let id = self.id.as_ref().map(|id| HeaderValue::Text(id.as_str().to_owned()));
        headers.extend(id.map(|id| (header::OF_ID, id)));
        if let Some(deed) = self.state.deed() {
            headers.push((header::AT, HeaderValue::Text(clock::to_iso(deed.at))));
            headers.push((header::BY, HeaderValue::Text(deed.by.clone())));
        }
        RawMessage::note(archive, headers)
    }

    /// Reads a message of the archive. `None` when it is no mark.
    pub(super) fn read(message: &RawMessage) -> Option<Self> {
        let word = message.text_header(header::MARK)?;
        let HeaderValue::Int(offset) = message.header(header::OF) else { return None };
        let at = message.text_header(header::AT).and_then(|text| clock::parse_iso(&text))?;
        let deed = Deed { at, by: message.text_header(header::BY).unwrap_or_default() };
        let state = match word.as_str() {
            "requeued" => State::Requeued(deed),
            _ => State::Discarded(deed),
        };
        let id = message.text_header(header::OF_ID).map(TaskId::from);
        Some(Self { offset: u64::try_from(offset).ok()?, id, state })
    }

    /// Whether this mark is about `letter`.
    pub(super) fn is_about(&self, letter: &DeadLetter) -> bool {
        self.offset == letter.offset && self.id == letter.id
    }
}

#[cfg(test)]
mod tests {
    use super::super::Burial;
    use super::*;

    const TIME: SystemTime = SystemTime::UNIX_EPOCH;

    fn task() -> RawMessage {
        let headers = [
            ("task", HeaderValue::Text("mail.send".into())),
            ("id", HeaderValue::Text("i".into())),
            ("retries", HeaderValue::Int(3)),
        ];
        let message = RawMessage::note("celeriac", headers);
        RawMessage { routing_key: "mail".into(), body: b"[]".as_slice().into(), ..message }
    }

    #[test]
    fn what_a_worker_buries_is_read_back() {
        let burial = Burial {
            reason: Reason::Exhausted,
            error: Some("SMTPTimeout: timed out".into()),
            at: TIME,
            queue: "mail".into(),
            worker: "alpha@web1".into(),
        };
        let buried = burial.bury(task(), "celeriac.dead");
        assert_eq!(buried.exchange, "celeriac.dead");
        let letter = DeadLetter::read(7, &buried);
        let expected = DeadLetter {
            offset: 7,
            reason: Reason::Exhausted,
            error: Some("SMTPTimeout: timed out".into()),
            dead_at: Some(TIME),
            task: Some("mail.send".into()),
            id: Some("i".into()),
            queue: Some("mail".into()),
            exchange: Some("celeriac".into()),
            routing_key: "mail".into(),
            worker: Some("alpha@web1".into()),
            argsrepr: None,
            retries: 3,
            attempts: Vec::new(),
            size: 2,
            state: State::Open,
        };
        assert_eq!(letter, expected);
    }

    #[test]
    fn a_message_that_says_nothing_is_a_letter_too() {
        let letter = DeadLetter::read(0, &RawMessage::note("e", [("", HeaderValue::Null); 0]));
        assert_eq!((letter.reason, letter.queue, letter.id), (Reason::Other, None, None));
    }

    #[test]
    fn a_mark_is_about_one_letter() {
        let letter = DeadLetter::read(7, &task());
        let state = State::Requeued(Deed { at: TIME, by: "ana".into() });
        let mark = Mark::of(&letter, state);
        let read = Mark::read(&mark.message("celeriac.dead")).unwrap();
        assert_eq!(read, mark);
        assert!(read.is_about(&letter));
        assert!(!read.is_about(&DeadLetter { offset: 8, ..letter }));
        assert_eq!(Mark::read(&task()), None);
    }
}
