//! How far an operation is.

use serde::Deserialize;

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Phase {
    /// It has its turn when the ones before it have ended.
    Waiting,
    Running,
    /// Until somebody lets it go on.
    Paused,
    /// Somebody has ended it. What was done is done.
    Cancelled,
    /// Everything has had its turn.
    Done,
    /// The audit says that it began, and nothing of its end: another monitor runs it, or this
    /// index was made anew since.
    Unknown,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Running, Self::Paused, Self::Cancelled, Self::Done, Self::Unknown];

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }

    /// The phase of this word; unknown where it is none of ours.
    pub(in super::super) fn parse(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|phase| phase.as_str() == word);
        known.unwrap_or(Self::Unknown)
    }
}

/// What somebody wants of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Wish {
    Pause,
    Resume,
    Cancel,
}

impl Wish {
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }

    /// In which phase an operation is afterwards; `None` where that cannot be.
    pub(in super::super) fn turns(self, phase: Phase) -> Option<Phase> {
        match (self, phase) {
            (Self::Pause, Phase::Waiting | Phase::Running) => Some(Phase::Paused),
            (Self::Resume, Phase::Paused) => Some(Phase::Waiting),
            (Self::Cancel, Phase::Waiting | Phase::Running | Phase::Paused) => {
                Some(Phase::Cancelled)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_over() {
        for phase in [Phase::Done, Phase::Cancelled, Phase::Unknown] {
            for wish in [Wish::Pause, Wish::Resume, Wish::Cancel] {
                assert_eq!(wish.turns(phase), None, "{wish:?} {phase:?}");
            }
        }
        assert_eq!(Wish::Resume.turns(Phase::Running), None);
        assert_eq!(Wish::Pause.turns(Phase::Running), Some(Phase::Paused));
        assert_eq!(Wish::Resume.turns(Phase::Paused), Some(Phase::Waiting));
        assert_eq!(Wish::Cancel.turns(Phase::Paused), Some(Phase::Cancelled));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Phase::ALL.into_iter().all(|phase| Phase::parse(phase.as_str()) == phase));
        assert_eq!(Phase::parse("eating"), Phase::Unknown);
    }
}
