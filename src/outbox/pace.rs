//! How many rows are sent at once, so that one that takes others with it is found.
//!
//! A message that the broker cannot bear does not say so: it closes the channel, with everything that
//! is on it. Then nobody is blamed, the rows go back, and half as many are sent next, until one is
//! alone in what breaks. What goes well doubles them again. Pure.

use crate::broker::PublishError;
use crate::publisher::SendError;

/// What became of sending one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// The broker has it.
    Sent,
    /// It cannot be sent as things are: it waits with this reason, and the others go on.
    Failed(String),
    /// It may have broken what it was sent on, or something else has.
    Suspect(String),
    /// The broker is away. It is no fault of the row.
    Away(String),
}

/// What a whole batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// All were sent, or are known to be unsendable.
    Well,
    /// Something broke.
    Broken,
    /// The broker is away.
    Away,
}

/// How many rows are sent at once.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    now: usize,
}

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), now: most.max(1) }
    }

    /// How many to take next.
    pub(super) fn batch(&self) -> usize {
        self.now
    }

    /// Judges a batch: what each row is in for, and how many are taken next.
    pub(super) fn judge(&mut self, fates: &mut [Fate]) -> Went {
        let alone = fates.len() == 1;
        for fate in fates.iter_mut() {
            if let (Fate::Suspect(why), true) = (&*fate, alone) {
                *fate = Fate::Failed(why.clone());
            }
        }
        let is_suspect = |fate: &Fate| matches!(fate, Fate::Suspect(_));
        if fates.iter().any(is_suspect) {
            self.now = (fates.len() / 2).max(1);
            return Went::Broken;
        }
        if fates.iter().any(|fate| matches!(fate, Fate::Away(_))) {
            return Went::Away;
        }
        self.now = (self.now * 2).min(self.most);
        Went::Well
    }
}

impl From<&SendError> for Fate {
    fn from(error: &SendError) -> Self {
        let why = error.to_string();
        match error {
            SendError::Publish(
                PublishError::Blocked { .. } | PublishError::Disconnected { .. },
            ) => Self::Away(why),
            SendError::Publish(
                PublishError::Unconfirmed(_) | PublishError::Refused(_) | PublishError::Fenced,
            ) => Self::Suspect(why),
            _ => Self::Failed(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn suspect() -> Fate {
        Fate::Suspect("broken".to_owned())
    }

    #[test]
    fn one_that_breaks_everything_is_found_and_alone_is_to_blame() {
        let mut pace = Pace::new(500);
        let mut sizes = Vec::new();
        loop {
            let mut fates = vec![suspect(); pace.batch()];
            sizes.push(fates.len());
            if pace.judge(&mut fates) == Went::Well {
                assert_eq!(fates, [Fate::Failed("broken".to_owned())]);
                break;
            }
            assert!(fates.iter().all(|fate| *fate == suspect()), "nobody is blamed yet");
        }
        assert_eq!(sizes, [500, 250, 125, 62, 31, 15, 7, 3, 1]);
        assert_eq!(pace.batch(), 2);
        for expected in [4, 8, 16, 32, 64, 128, 256, 500, 500] {
            assert_eq!(pace.judge(&mut [Fate::Sent, Fate::Sent]), Went::Well);
            assert_eq!(pace.batch(), expected);
        }
    }

    #[test]
    fn a_broker_that_is_away_is_nobodys_fault() {
        let mut pace = Pace::new(8);
        let mut fates = [Fate::Sent, Fate::Away("gone".to_owned())];
        assert_eq!(pace.judge(&mut fates), Went::Away);
        assert_eq!(pace.judge(&mut [Fate::Away("gone".to_owned())]), Went::Away);
        assert_eq!(pace.batch(), 8);
    }

    #[test]
    fn every_error_has_its_fate() {
        let publish = |error| Fate::from(&SendError::Publish(error));
        let (reason, waited) = ("x".to_owned(), Duration::from_secs(1));
        let away = PublishError::Disconnected { reason: reason.clone(), waited };
        assert!(matches!(publish(away), Fate::Away(_)));
        let blocked = PublishError::Blocked { reason: reason.clone(), waited };
        assert!(matches!(publish(blocked), Fate::Away(_)));
        assert!(matches!(publish(PublishError::Unconfirmed(waited)), Fate::Suspect(_)));
        assert!(matches!(publish(PublishError::Refused(reason.clone())), Fate::Suspect(_)));
        let unroutable =
            PublishError::Unroutable { exchange: reason.clone(), routing_key: reason.clone() };
        assert!(matches!(publish(unroutable), Fate::Failed(_)));
        assert!(matches!(publish(PublishError::Nacked { routing_key: reason }), Fate::Failed(_)));
    }
}
