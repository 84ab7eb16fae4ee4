//! What an operation is to do. Pure.

use super::super::settings::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be done with each of many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Plan {
    pub(in super::super) action: Action,
    /// A filter: which ones.
    pub(in super::super) q: String,
    /// At most so many per second.
    pub(in super::super) rate: f64,
    /// To this queue instead of the one that each came from.
    pub(in super::super) to: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Action {
    /// Dead letters are published again.
    Requeue,
    /// Dead letters are marked as dealt with.
    Discard,
    /// The messages of tasks, which the archive has, are published again.
    Retry,
    /// Tasks that have not ended are not to begin.
    Revoke,
}

/// Of what something is done with many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Source {
    /// Dead letters.
    Dead,
    /// Tasks.
    Tasks,
}

/// Why something cannot be planned: which field is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct NoPlan {
    pub(in super::super) field: &'static str,
    pub(in super::super) why: String,
}

/// How many per second, unless told.
pub(in super::super) const USUAL_RATE: f64 = 20.0;

/// From one in ten seconds to as many as the broker is likely to take.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

impl Plan {
    /// A plan that can be kept.
    pub(in super::super) fn try_new(
        action: Action,
        source: Option<Source>,
        q: &str,
        rate: f64,
        to: Option<String>,
    ) -> Result<Self, NoPlan> {
        let wrong = |field, why: &str| NoPlan { field, why: why.to_owned() };
        // Tasks are requeued by way of their letters.
        let action = match (action, source) {
            (Action::Requeue, Some(Source::Tasks)) => Action::Retry,
            (Action::Retry, Some(Source::Dead)) => Action::Requeue,
            _ => action,
        };
        if source.is_some_and(|source| source != action.source()) {
            return Err(wrong("source", "letters are discarded, tasks are revoked"));
        }
        if !RATES.contains(&rate) {
            return Err(wrong("rate", "from 0.1 to 1000 per second"));
        }
        let to = to.filter(|queue| !queue.trim().is_empty());
        if to.is_some() && !action.publishes() {
            return Err(wrong("to", "nothing is published, so nothing goes to a queue"));
        }
        Ok(Self { action, q: q.trim().to_owned(), rate, to })
    }

    /// How many are in hand at once: those of about a twentieth of a second.
    pub(super) fn at_once(&self) -> usize {
        (self.rate / 20.0).ceil().clamp(1.0, 32.0) as usize
    }
}

impl Action {
    pub(in super::super) const ALL: [Self; 4] =
        [Self::Requeue, Self::Discard, Self::Retry, Self::Revoke];

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Requeue => "requeue",
            Self::Discard => "discard",
            Self::Retry => "retry",
            Self::Revoke => "revoke",
        }
    }

    pub(in super::super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    pub(in super::super) fn source(self) -> Source {
        match self {
            Self::Requeue | Self::Discard => Source::Dead,
            Self::Retry | Self::Revoke => Source::Tasks,
        }
    }

    /// What one must be to do it.
    pub(in super::super) fn role(self) -> Role {
        match self {
            Self::Discard => Role::Admin,
            _ => Role::Operator,
        }
    }

    /// Whether messages go out.
    pub(in super::super) fn publishes(self) -> bool {
        matches!(self, Self::Requeue | Self::Retry)
    }

    /// Whether it is done to letters of the archive.
    pub(super) fn needs_letters(self) -> bool {
        self != Self::Revoke
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(action: Action, source: Option<Source>, rate: f64, to: &str) -> Result<Plan, NoPlan> {
        Plan::try_new(action, source, " queue:mail ", rate, Some(to.to_owned()))
    }

    #[test]
    fn what_cannot_be_done_is_no_plan() {
        use Action::{Discard, Requeue, Retry, Revoke};
        let (dead, tasks) = (Some(Source::Dead), Some(Source::Tasks));
        for (action, source, becomes) in [
            (Requeue, None, Some(Requeue)),
            (Requeue, tasks, Some(Retry)),
            (Retry, dead, Some(Requeue)),
            (Discard, tasks, None),
            (Revoke, dead, None),
            (Revoke, tasks, Some(Revoke)),
        ] {
            let planned = plan(action, source, USUAL_RATE, " ");
            assert_eq!(planned.ok().map(|plan| plan.action), becomes, "{action:?} {source:?}");
        }
        for rate in [0.0, -1.0, 1_001.0, f64::NAN, f64::INFINITY] {
            assert_eq!(plan(Requeue, None, rate, "").unwrap_err().field, "rate", "{rate}");
        }
        assert_eq!(plan(Discard, None, 1.0, "mail").unwrap_err().field, "to");
        let planned = plan(Requeue, None, 1.0, "mail").unwrap();
        assert_eq!((planned.q.as_str(), planned.to.as_deref()), ("queue:mail", Some("mail")));
    }

    #[test]
    fn little_is_in_hand_at_once() {
        for (rate, at_once) in [(0.1, 1), (20.0, 1), (21.0, 2), (200.0, 10), (1_000.0, 32)] {
            assert_eq!(plan(Action::Requeue, None, rate, "").unwrap().at_once(), at_once);
        }
    }
}
