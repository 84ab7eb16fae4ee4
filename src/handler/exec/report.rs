//! What a program says on its standard error: how far it is, and everything else.

use super::lines::Lines;
use crate::handler::Progress;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use serde_json::Value;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;
use tracing::info;

/// Lines that one attempt may log per second, and at once.
const LOGGED_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const LOGGED_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// What is kept of the end, to explain an error.
const KEPT_LINES: usize = 20;
const KEPT_BYTES: usize = 4096;

/// Reads standard error.
#[derive(Debug)]
pub(super) struct Report {
    lines: Lines,
    heard: Heard,
}

/// What the lines said.
#[derive(Debug)]
struct Heard {
    progress: Progress,
    tail: VecDeque<String>,
    tail_bytes: usize,
    after: Option<Duration>,
    throttle: Throttle<DefaultClock>,
}

/// Bounds what one attempt logs.
#[derive(Debug)]
struct Throttle<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    unlogged: u64,
}

/// One line, understood.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// `::progress 0.42 words`
    Share(f64, &'a str),
    /// `::progress {"any": "json object"}`
    Progress(Value),
    /// `::after 90s`
    After(Duration),
    /// Anything else.
    Words(&'a str),
}

impl Report {
    /// An empty report, which passes on what it hears of progress.
    pub(super) fn new(progress: Progress) -> Self {
        let heard = Heard {
            progress,
            tail: VecDeque::new(),
            tail_bytes: 0,
            after: None,
            throttle: Throttle::new(DefaultClock::default()),
        };
        Self { lines: Lines::default(), heard }
    }

    /// Takes more bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes, |line| self.heard.hear(line));
    }

    /// Ends the report: what it heard at last.
    pub(super) fn finish(mut self) -> Summary {
        self.lines.finish(|line| self.heard.hear(line));
        note_unlogged(self.heard.throttle.unlogged);
        Summary { tail: self.heard.tail.into(), after: self.heard.after }
    }
}

/// What remains of a report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    /// The last lines.
    pub(super) tail: Vec<String>,
    /// How long the program wants to wait for its next attempt.
    pub(super) after: Option<Duration>,
}

impl Heard {
    fn hear(&mut self, line: &str) {
        match understand(line) {
            Line::Share(share, words) => self.progress.share(share, words),
            Line::Progress(value) => self.progress.report(value),
            Line::After(wait) => self.after = Some(wait),
            Line::Words(words) => {
                self.keep(words);
                self.log(words);
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.tail.push_back(line.to_owned());
        self.tail_bytes += line.len();
        while self.tail.len() > KEPT_LINES || self.tail_bytes > KEPT_BYTES {
            let dropped = self.tail.pop_front();
            self.tail_bytes -= dropped.map_or(0, |line| line.len());
        }
    }

    fn log(&mut self, line: &str) {
        if let Some(unlogged) = self.throttle.admit() {
            note_unlogged(unlogged);
            info!(line, "program says");
        }
    }
}

impl<C: Clock> Throttle<C> {
    fn new(clock: C) -> Self {
        let quota = Quota::per_second(LOGGED_PER_SECOND).allow_burst(LOGGED_AT_ONCE);
        Self { limiter: RateLimiter::direct_with_clock(quota, clock), unlogged: 0 }
    }

    /// Whether a line may be logged, and how many before it were not.
    fn admit(&mut self) -> Option<u64> {
        if self.limiter.check().is_ok() {
            return Some(std::mem::take(&mut self.unlogged));
        }
        self.unlogged += 1;
        None
    }
}

fn note_unlogged(lines: u64) {
    if lines > 0 {
        info!(lines, "program says too much, not all is logged");
    }
}

/// A line that begins like one of ours but cannot be read is words: it is shown, not lost.
fn understand(line: &str) -> Line<'_> {
    let understood = match line.split_once(' ') {
        Some(("::progress", rest)) => progress(rest.trim()),
        Some(("::after", rest)) => humantime::parse_duration(rest.trim()).ok().map(Line::After),
        _ => None,
    };
    understood.unwrap_or(Line::Words(line))
}

fn progress(text: &str) -> Option<Line<'_>> {
    if text.starts_with('{') {
        return serde_json::from_str(text).ok().map(Line::Progress);
    }
    let (share, words) = text.split_once(' ').unwrap_or((text, ""));
    let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
    Some(Line::Share(share, words.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use serde_json::json;

    #[test]
    fn only_whole_lines_of_the_right_form_are_taken_as_meant_for_us() {
        for (line, understood) in [
            ("::progress 0.42", Line::Share(0.42, "")),
            ("::progress 1 all  done ", Line::Share(1.0, "all  done")),
            (r#"::progress {"done": 3}"#, Line::Progress(json!({"done": 3}))),
            ("::after 90s", Line::After(Duration::from_secs(90))),
            ("::after 1h 5m", Line::After(Duration::from_secs(3900))),
            ("::progress 42%", Line::Words("::progress 42%")),
            ("::progress 1.5", Line::Words("::progress 1.5")),
            ("::progress NaN", Line::Words("::progress NaN")),
            ("::progress {broken", Line::Words("::progress {broken")),
            ("::progress", Line::Words("::progress")),
            ("::after soon", Line::Words("::after soon")),
            (" ::progress 0.5", Line::Words(" ::progress 0.5")),
            ("at ::progress 0.5", Line::Words("at ::progress 0.5")),
        ] {
            assert_eq!(understand(line), understood, "{line}");
        }
    }

    #[test]
    fn the_last_lines_are_kept_within_both_limits() {
        let mut report = Report::new(Progress::default());
        for n in 0..30 {
            report.push(format!("line {n}\n").as_bytes());
        }
        let tail = report.finish().tail;
        assert_eq!(tail.len(), 20);
        assert_eq!((tail[0].as_str(), tail[19].as_str()), ("line 10", "line 29"));

        let mut wide = Report::new(Progress::default());
        for n in 0..5 {
            wide.push(format!("{n}{}\n", "x".repeat(1500)).as_bytes());
        }
        let tail = wide.finish().tail;
        assert_eq!(tail.len(), 2);
        assert!(tail[1].starts_with('4'));
    }

    #[test]
    fn lines_are_logged_but_not_without_end() {
        let clock = FakeRelativeClock::default();
        let mut throttle = Throttle::new(clock.clone());
        let admitted = (0..10_000).filter(|_| throttle.admit() == Some(0)).count();
        assert_eq!(admitted, 100);
        clock.advance(Duration::from_millis(50));
        assert_eq!(throttle.admit(), Some(9_900));
        assert_eq!(throttle.admit(), None);
        assert_eq!(throttle.unlogged, 1);
    }
}
