//! Why a message was given up.

use std::fmt;

/// Why a message is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The task failed, and its retries were used up or not allowed.
    Exhausted,
    /// The task ran longer than it may, and its retries were used up.
    TimeLimit,
    /// The task, or a consumer, refused the message.
    Rejected,
    /// The message could not be read as a task.
    Unreadable,
    /// No worker of the queue knows the task.
    Unknown,
    /// Its time was over before it could run.
    Expired,
    /// It was handed out too often without being finished: its workers died of it.
    Poison,
    /// Its queue or exchange was gone when its delay was over.
    Undeliverable,
    /// Its queue was full and dropped it.
    Overflow,
    /// Somebody put it into the archive without a reason that we know.
    Other,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Exhausted,
        Self::TimeLimit,
        Self::Rejected,
        Self::Unreadable,
        Self::Unknown,
        Self::Expired,
        Self::Poison,
        Self::Undeliverable,
        Self::Overflow,
        Self::Other,
    ];

    /// The words of all of them.
    pub(super) const WORDS: [&'static str; 10] = {
        let mut words = [""; 10];
        let mut at = 0;
        while at < words.len() {
            words[at] = Self::ALL[at].as_str();
            at += 1;
        }
        words
    };

    /// The word in the message's header, in filters and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::TimeLimit => "time_limit",
            Self::Rejected => "rejected",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Poison => "poison",
            Self::Undeliverable => "undeliverable",
            Self::Overflow => "overflow",
            Self::Other => "other",
        }
    }

    /// The reason of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// What RabbitMQ's own word in `x-death` means here.
    pub(super) fn of_broker(word: &str) -> Self {
        match word {
            "rejected" => Self::Rejected,
            "expired" => Self::Expired,
            "maxlen" => Self::Overflow,
            "delivery_limit" => Self::Poison,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_word() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::parse("bored"), None);
    }
}
