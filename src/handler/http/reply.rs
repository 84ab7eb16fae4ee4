//! What a reply means for the task.

use crate::clock;
use crate::handler::{Failure, TaskError};
use crate::task::{HttpSettings, Reply};
use std::time::{Duration, SystemTime};

/// No server makes a task wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The failure that a call is which ended with `ending`. `after` is the wait that the server asked
/// for.
pub(super) fn failure(
    settings: &HttpSettings,
    ending: Reply,
    after: Option<Duration>,
    error: TaskError,
) -> Failure {
    let listed = |replies: &[Reply]| replies.iter().any(|reply| includes(*reply, ending));
    if listed(&settings.retry_on) {
        Failure::Retry { after, error }
    } else if listed(&settings.reject_on) {
        Failure::Reject(error)
    } else {
        Failure::Error(error)
    }
}

fn includes(listed: Reply, ending: Reply) -> bool {
    match ending {
        Reply::Status(status) => listed.has_status(status),
        other => listed == other,
    }
}

/// What `Retry-After` asks for: seconds, or a time of day.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let time = jiff::fmt::rfc2822::parse(header).ok()?;
            clock::until(time.timestamp().into(), now)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::http_settings;

    #[test]
    fn retry_wins_over_reject_and_what_is_in_neither_list_is_left_to_the_policy() {
        let settings = http_settings(
            "url = 'http://h/'\nretry_on = ['404', '5xx', 'timeout']\nreject_on = ['4xx', '503', 'connect']",
        );
        let error = || TaskError::new("k", "m");
        let after = Some(Duration::from_secs(1));
        for (ending, expected) in [
            (Reply::Status(404), Failure::Retry { after, error: error() }),
            (Reply::Status(503), Failure::Retry { after, error: error() }),
            (Reply::Timeout, Failure::Retry { after, error: error() }),
            (Reply::Status(400), Failure::Reject(error())),
            (Reply::Connect, Failure::Reject(error())),
            (Reply::Status(302), Failure::Error(error())),
        ] {
            assert_eq!(failure(&settings, ending, after, error()), expected, "{ending}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
        let now = clock::parse_iso("2026-11-25T13:00:00Z").unwrap();
        for (header, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 25 Nov 2026 13:01:30 GMT", Some(90)),
            ("Wed, 25 Nov 2026 12:00:00 GMT", Some(0)),
            ("Thu, 25 Nov 2027 12:00:00 GMT", Some(86_400)),
            ("999999999999", Some(86_400)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
