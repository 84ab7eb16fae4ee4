//! What a program says by its exit code.

use crate::handler::{Failure, TaskError};
use crate::task::ProgramSettings;
use std::collections::BTreeMap;
use std::time::Duration;

/// The exit codes that mean something; all others mean that it went wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExitCodes {
    meanings: BTreeMap<i32, Meaning>,
    snooze: Duration,
}

/// What follows from one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Success,
    Retry,
    Reject,
    Discard,
    Snooze,
    Error,
}

impl ExitCodes {
    /// The codes of `settings`, or a code that stands in two of its lists.
    pub(super) fn try_new(settings: &ProgramSettings) -> Result<Self, i32> {
        let mut meanings = BTreeMap::new();
        for (codes, meaning) in [
            (&settings.success_codes, Meaning::Success),
            (&settings.retry_codes, Meaning::Retry),
            (&settings.reject_codes, Meaning::Reject),
            (&settings.discard_codes, Meaning::Discard),
            (&settings.snooze_codes, Meaning::Snooze),
        ] {
            for code in codes {
                if meanings.insert(*code, meaning).is_some_and(|other| other != meaning) {
                    return Err(*code);
                }
            }
        }
        Ok(Self { meanings, snooze: settings.snooze })
    }

    /// What `code` means.
    pub(super) fn meaning(&self, code: i32) -> Meaning {
        self.meanings.get(&code).copied().unwrap_or(Meaning::Error)
    }

    /// The failure that `meaning` is, unless it is success. `after` is the wait that the program
    /// asked for.
    pub(super) fn failure(
        &self,
        meaning: Meaning,
        after: Option<Duration>,
        error: TaskError,
    ) -> Option<Failure> {
        Some(match meaning {
            Meaning::Success => return None,
            Meaning::Error => Failure::Error(error),
            Meaning::Retry => Failure::Retry { after, error },
            Meaning::Reject => Failure::Reject(error),
            Meaning::Discard => Failure::Discard(error),
            Meaning::Snooze => Failure::Snooze { after: after.unwrap_or(self.snooze) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::program_settings;

    #[test]
    fn without_settings_the_codes_mean_what_sysexits_says() {
        let codes = ExitCodes::try_new(&program_settings("exec = ['true']")).unwrap();
        for (code, meaning) in [
            (0, Meaning::Success),
            (1, Meaning::Error),
            (65, Meaning::Reject),
            (75, Meaning::Retry),
            (255, Meaning::Error),
        ] {
            assert_eq!(codes.meaning(code), meaning, "{code}");
        }
    }

    #[test]
    fn each_list_gives_its_codes_their_meaning_and_no_code_has_two() {
        let lists = "exec = ['true']\nsuccess_codes = [0, 1]\nretry_codes = []\n\
                     discard_codes = [3, 3]\nsnooze_codes = [4]";
        let codes = ExitCodes::try_new(&program_settings(lists)).unwrap();
        for (code, meaning) in [
            (1, Meaning::Success),
            (75, Meaning::Error),
            (3, Meaning::Discard),
            (4, Meaning::Snooze),
        ] {
            assert_eq!(codes.meaning(code), meaning, "{code}");
        }
        let twice = program_settings("exec = ['true']\ndiscard_codes = [75]");
        assert_eq!(ExitCodes::try_new(&twice), Err(75));
    }
}
