//! The states that a task is shown in.

/// Where a task is in its life. Celery's words, and three that Celery does not have: `SCHEDULED`,
/// `EXPIRED` and `LOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Its sender has told of it, and no worker yet.
    Sent,
    /// A worker has it.
    Received,
    /// A worker, or the broker, has it until its time.
    Scheduled,
    /// It runs.
    Started,
    /// It has failed, or put itself off, and will run again.
    Retry,
    /// It has returned a value.
    Success,
    /// It has failed for good.
    Failure,
    /// Somebody revoked it.
    Revoked,
    /// It was refused.
    Rejected,
    /// Its time had passed before it ran.
    Expired,
    /// Its worker is gone, and no other has begun it.
    Lost,
}

impl State {
    /// All of them, in the order of a task's life.
    pub const ALL: [Self; 11] = [
        Self::Sent,
        Self::Received,
        Self::Scheduled,
        Self::Started,
        Self::Retry,
        Self::Success,
        Self::Failure,
        Self::Revoked,
        Self::Rejected,
        Self::Expired,
        Self::Lost,
    ];

    /// The word, in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "SENT",
            Self::Received => "RECEIVED",
            Self::Scheduled => "SCHEDULED",
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Lost => "LOST",
        }
    }

    /// A sign that stands before the word, so that colour is never the only mark.
    pub fn glyph(self) -> char {
        match self {
            Self::Sent => '○',
            Self::Received => '◔',
            Self::Scheduled => '◷',
            Self::Started => '▶',
            Self::Retry => '↻',
            Self::Success => '✓',
            Self::Failure => '✗',
            Self::Revoked => '⊘',
            Self::Rejected => '⇥',
            Self::Expired => '⌛',
            Self::Lost => '?',
        }
    }

    /// Whether more will happen to it.
    pub fn is_open(self) -> bool {
        !matches!(
            self,
            Self::Success | Self::Failure | Self::Revoked | Self::Rejected | Self::Expired
        )
    }

    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failure | Self::Rejected | Self::Expired | Self::Lost)
    }

    /// As it stands in the index.
    pub(super) fn code(self) -> i64 {
        Self::ALL.iter().position(|it| *it == self).map_or(0, |at| at as i64)
    }

    /// What [`State::code`] gave.
    pub(super) fn of_code(code: i64) -> Self {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_comes_back_from_the_index() {
        for state in State::ALL {
            assert_eq!(State::of_code(state.code()), state);
        }
    }

    #[test]
    fn a_lost_task_is_bad_and_still_open() {
        assert!(State::Lost.is_bad() && State::Lost.is_open());
        assert!(State::Success.as_str() == "SUCCESS" && !State::Success.is_open());
    }
}
