//! What the index holds of one task, and what a step changes of it. Pure.
//!
//! Steps are taken in the order in which the stream has them. Steps of one node never overtake each
//! other; those of two can, because each gathers its events before it publishes them. So a step of
//! another node than the last one's that is older than the last one, and does not end the task,
//! changes no state. And what one node told twice, because its connection broke, is recognised by
//! its clocks: neither its logical clock nor its time has gone on.

use super::change::{Message, Micros, Step, What};
use super::state::State;

/// An interned word: the name of a task, of a queue or of a worker.
pub(super) type Word = i64;

/// Interns words.
pub(super) trait Intern {
    /// What goes wrong.
    type Error;

    /// The number of `text`, the same each time.
    fn word(&mut self, text: &str) -> Result<Word, Self::Error>;
}

/// A task. Fields are as in `schema.sql`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// `None` while it is not in the index.
    pub(super) n: Option<i64>,
    pub(super) id: String,
    pub(super) name: Option<Word>,
    pub(super) queue: Option<Word>,
    pub(super) worker: Option<Word>,
    pub(super) state: State,
    pub(super) root: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) group: Option<String>,
    pub(super) retries: i64,
    pub(super) redelivered: i64,
    pub(super) eta: Option<Micros>,
    pub(super) expires: Option<Micros>,
    pub(super) sent: Option<Micros>,
    pub(super) received: Option<Micros>,
    pub(super) started: Option<Micros>,
    pub(super) ended: Option<Micros>,
    pub(super) changed: Micros,
    pub(super) clock: i64,
    pub(super) wait: Option<Micros>,
    pub(super) run: Option<Micros>,
    pub(super) args: Option<String>,
    pub(super) kwargs: Option<String>,
    pub(super) result: Option<String>,
    pub(super) error: Option<String>,
    /// The group of failures that its last failure belongs to.
    pub(super) failure: Option<i64>,
    pub(super) resolved: Option<Micros>,
    /// The attempts that are loaded or new: at least the latest.
    pub(super) attempts: Vec<Attempt>,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Attempt {
    /// From 1.
    pub(super) no: i64,
    pub(super) worker: Option<Word>,
    pub(super) pid: Option<i64>,
    pub(super) started: Option<Micros>,
    pub(super) ended: Option<Micros>,
    /// `None` while it runs.
    pub(super) outcome: Option<State>,
    pub(super) error: Option<String>,
    pub(super) traceback: Option<String>,
}

/// What is counted of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) at: Micros,
    /// What it came to: [`State::Started`], or how an attempt ended.
    pub(super) state: State,
    /// How long it waited since it was due; known when it starts for the first time.
    pub(super) wait: Option<Micros>,
    /// How long it ran; known when an attempt ends.
    pub(super) run: Option<Micros>,
}

impl Record {
    /// A task of which nothing is known but its id.
    pub(super) fn new(id: String) -> Self {
        Self {
            n: None,
            id,
            name: None,
            queue: None,
            worker: None,
            state: State::Sent,
            root: None,
            parent: None,
            group: None,
            retries: 0,
            redelivered: 0,
            eta: None,
            expires: None,
            sent: None,
            received: None,
            started: None,
            ended: None,
            changed: 0,
            clock: 0,
            wait: None,
            run: None,
            args: None,
            kwargs: None,
            result: None,
            error: None,
            failure: None,
            resolved: None,
            attempts: Vec::new(),
        }
    }

    /// Takes a step, of which the teller's logical clock was `clock`.
    ///
    /// # Errors
    /// When a word cannot be interned.
    pub(super) fn take<I: Intern>(
        &mut self,
        step: &Step,
        clock: i64,
        words: &mut I,
    ) -> Result<Option<Turn>, I::Error> {
        if let What::Sent(message) = &step.what {
            self.learn(message, words)?;
            self.sent.get_or_insert(step.at);
            self.changed = self.changed.max(step.at);
            return Ok(None);
        }
        let node = words.word(&step.node)?;
        let is_same = self.worker == Some(node);
        if is_same && clock <= self.clock && step.at <= self.changed {
            return Ok(None);
        }
        if let What::Received(message) = &step.what {
            self.learn(message, words)?;
            self.received.get_or_insert(step.at);
        }
        let turn = self.attempt(step, node);
        let state = self.state_after(step);
        let is_stale = !is_same && step.at < self.changed && state.is_open();
        if self.worker.is_none() || !is_stale {
            (self.worker, self.clock, self.changed) = (Some(node), clock, step.at);
            self.enter(state, step.at);
        }
        Ok(turn)
    }

    fn learn<I: Intern>(&mut self, message: &Message, words: &mut I) -> Result<(), I::Error> {
        if let Some(name) = &message.name {
            self.name = Some(words.word(name)?);
        }
        if let Some(queue) = &message.queue {
            self.queue = Some(words.word(queue)?);
        }
        let keep = |own: &mut Option<String>, told: &Option<String>| {
            if told.is_some() {
                own.clone_from(told);
            }
        };
        keep(&mut self.args, &message.args);
        keep(&mut self.kwargs, &message.kwargs);
        keep(&mut self.parent, &message.parent);
        keep(&mut self.group, &message.group);
        self.root = message.root.clone().filter(|root| *root != self.id);
        self.retries = self.retries.max(message.retries);
        self.eta = message.eta.or(self.eta);
        self.expires = message.expires.or(self.expires);
        Ok(())
    }

    fn state_after(&self, step: &Step) -> State {
        match &step.what {
            What::Sent(_) | What::GivenBack => State::Sent,
            What::Received(_) if self.eta.is_some_and(|eta| eta > step.at) => State::Scheduled,
            What::Received(_) => State::Received,
            What::Started { .. } => State::Started,
            What::Succeeded { .. } => State::Success,
            What::Failed { .. } => State::Failure,
            What::Retried { .. } => State::Retry,
            What::Revoked => State::Revoked,
            What::Expired => State::Expired,
            What::Rejected => State::Rejected,
        }
    }

    fn enter(&mut self, state: State, at: Micros) {
        self.state = state;
        self.ended = (!state.is_open()).then_some(at);
        if matches!(state, State::Success | State::Started) {
            self.error = None;
        }
    }

    /// What the step says of an attempt.
    fn attempt(&mut self, step: &Step, node: Word) -> Option<Turn> {
        let at = step.at;
        match &step.what {
            What::Sent(_) | What::Received(_) => None,
            What::Started { pid } => {
                let wait = self.waited(at);
                self.begin(node, *pid, at);
                Some(Turn { at, state: State::Started, wait, run: None })
            }
            What::Succeeded { result, run } => {
                self.result.clone_from(result);
                self.run = run.or(self.run);
                Some(self.end(node, at, State::Success, *run))
            }
            What::Failed { error, traceback } => {
                self.failed(node, at, State::Failure, error, traceback.as_ref())
            }
            What::Retried { error, traceback } => {
                self.retries += 1;
                self.failed(node, at, State::Retry, error, traceback.as_ref())
            }
            What::Revoked => Some(self.end(node, at, State::Revoked, None)),
            What::Expired => Some(self.end(node, at, State::Expired, None)),
            What::Rejected => Some(self.end(node, at, State::Rejected, None)),
            What::GivenBack => {
                if self.running(node).is_some() {
                    self.end(node, at, State::Sent, None);
                }
                None
            }
        }
    }

    fn waited(&mut self, at: Micros) -> Option<Micros> {
        if self.wait.is_some() {
            return None;
        }
        let due = self.sent.or(self.received)?.max(self.eta.unwrap_or_default());
        self.wait = Some((at - due).max(0));
        self.wait
    }

    fn begin(&mut self, node: Word, pid: Option<i64>, at: Micros) {
        if let Some(last) = self.attempts.last_mut()
            && last.outcome.is_none()
        {
            // Nobody has told of its end: its worker is gone, and the message was handed out again.
            last.outcome = Some(State::Lost);
            self.redelivered += 1;
        }
        self.started = Some(at);
        let (worker, started, no) = (Some(node), Some(at), self.next_no());
        self.attempts.push(Attempt { no, worker, pid, started, ..Attempt::default() });
    }

    fn failed(
        &mut self,
        node: Word,
        at: Micros,
        state: State,
        error: &str,
        traceback: Option<&String>,
    ) -> Option<Turn> {
        let turn = self.end(node, at, state, None);
        if let Some(last) = self.attempts.last_mut() {
            (last.error, last.traceback) = (Some(error.to_owned()), traceback.cloned());
        }
        self.error = Some(error.to_owned());
        Some(turn)
    }

    /// Ends the attempt that runs at `node`; one that never began, if there is none.
    fn end(&mut self, node: Word, at: Micros, state: State, run: Option<Micros>) -> Turn {
        if self.running(node).is_none() {
            let attempt = Attempt { no: self.next_no(), worker: Some(node), ..Attempt::default() };
            self.attempts.push(attempt);
        }
        let mut ran = run;
        if let Some(last) = self.attempts.last_mut() {
            (last.ended, last.outcome) = (Some(at), Some(state));
            ran = run.or_else(|| last.started.map(|started| (at - started).max(0)));
        }
        self.run = ran.or(self.run);
        Turn { at, state, wait: None, run: ran }
    }

    fn running(&self, node: Word) -> Option<&Attempt> {
        let last = self.attempts.last()?;
        (last.outcome.is_none() && last.worker == Some(node)).then_some(last)
    }

    fn next_no(&self) -> i64 {
        self.attempts.last().map_or(1, |last| last.no + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const SECOND: Micros = 1_000_000;

    struct Words(Vec<String>);

    impl Intern for Words {
        type Error = Infallible;

        fn word(&mut self, text: &str) -> Result<Word, Infallible> {
            let found = self.0.iter().position(|it| it == text);
            let at = found.unwrap_or_else(|| {
                self.0.push(text.to_owned());
                self.0.len() - 1
            });
            Ok(at as i64 + 1)
        }
    }

    /// A task and the steps it took: node, logical clock, second, what.
    fn taken(steps: &[(&str, i64, i64, What)]) -> (Record, Vec<Turn>) {
        let mut words = Words(Vec::new());
        let mut record = Record::new("id".into());
        let turns = steps.iter().filter_map(|(node, clock, second, what)| {
            let (id, at) = ("id".to_owned(), second * SECOND);
            let step = Step { id, at, node: (*node).to_owned(), what: what.clone() };
            record.take(&step, *clock, &mut words).unwrap()
        });
        let turns = turns.collect();
        (record, turns)
    }

    fn received() -> What {
        What::Received(Message { name: Some("t".into()), ..Message::default() })
    }

    fn started() -> What {
        What::Started { pid: None }
    }

    fn succeeded() -> What {
        What::Succeeded { result: Some("1".into()), run: Some(SECOND / 2) }
    }

    fn retried() -> What {
        What::Retried { error: "E('x')".into(), traceback: None }
    }

    #[test]
    fn a_task_that_succeeds_has_waited_and_run() {
        let sent = What::Sent(Message { queue: Some("q".into()), ..Message::default() });
        let (task, turns) = taken(&[
            ("p", 1, 1, sent),
            ("w", 1, 2, received()),
            ("w", 2, 3, started()),
            ("w", 3, 4, succeeded()),
        ]);
        assert_eq!(
            (task.state, task.wait, task.run),
            (State::Success, Some(2 * SECOND), Some(SECOND / 2))
        );
        assert_eq!((task.sent, task.ended), (Some(SECOND), Some(4 * SECOND)));
        assert_eq!(
            turns.iter().map(|it| it.state).collect::<Vec<_>>(),
            [State::Started, State::Success]
        );
        assert_eq!(task.attempts.len(), 1);
    }

    #[test]
    fn every_attempt_keeps_its_own_end() {
        let (task, _) = taken(&[
            ("a", 1, 1, received()),
            ("a", 2, 2, started()),
            ("a", 3, 3, retried()),
            ("b", 1, 4, received()),
            ("b", 2, 5, started()),
            ("b", 3, 6, succeeded()),
        ]);
        let outcomes: Vec<_> = task.attempts.iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Some(State::Retry), Some(State::Success)]);
        assert_eq!((task.attempts[0].error.as_deref(), task.retries), (Some("E('x')"), 1));
        assert_eq!((task.state, task.error), (State::Success, None));
    }

    #[test]
    fn an_attempt_whose_end_nobody_told_is_lost_once_another_begins() {
        let (task, _) = taken(&[
            ("a", 1, 1, received()),
            ("a", 2, 2, started()),
            ("b", 1, 9, received()),
            ("b", 2, 9, started()),
        ]);
        assert_eq!(task.attempts[0].outcome, Some(State::Lost));
        assert_eq!((task.redelivered, task.state), (1, State::Started));
    }

    #[test]
    fn what_is_told_twice_counts_once() {
        let once = [("w", 1, 1, received()), ("w", 2, 2, started()), ("w", 3, 3, succeeded())];
        let twice: Vec<_> = once.iter().chain(&once).cloned().collect();
        assert_eq!(taken(&twice), taken(&once));
    }

    #[test]
    fn a_worker_that_starts_anew_counts_its_clock_anew() {
        let (task, _) =
            taken(&[("w", 70, 1, received()), ("w", 1, 9, received()), ("w", 2, 9, started())]);
        assert_eq!(task.state, State::Started);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_a_task() {
        let (task, _) =
            taken(&[("w", 1, 90, received()), ("w", 2, 5, started()), ("w", 3, 6, succeeded())]);
        assert_eq!(task.state, State::Success);
    }

    #[test]
    fn a_late_retry_of_another_worker_opens_nothing_again() {
        let (task, _) = taken(&[
            ("a", 1, 1, received()),
            ("a", 2, 2, started()),
            ("b", 1, 4, received()),
            ("b", 2, 5, started()),
            ("b", 3, 6, succeeded()),
            ("a", 3, 3, retried()),
        ]);
        assert_eq!(task.state, State::Success);
    }

    #[test]
    fn a_late_word_of_the_sender_only_adds_what_it_knows() {
        let sent = What::Sent(Message { queue: Some("q".into()), ..Message::default() });
        let (task, _) =
            taken(&[("w", 1, 2, received()), ("w", 2, 2, started()), ("p", 1, 3, sent)]);
        assert_eq!((task.state, task.sent), (State::Started, Some(3 * SECOND)));
        assert!(task.queue.is_some());
    }

    #[test]
    fn a_task_whose_time_is_ahead_is_scheduled() {
        let eta = Message { eta: Some(9 * SECOND), ..Message::default() };
        let (task, _) = taken(&[("w", 1, 2, What::Received(eta.clone()))]);
        assert_eq!(task.state, State::Scheduled);
        let (task, _) = taken(&[("w", 1, 2, What::Received(eta)), ("w", 2, 10, started())]);
        assert_eq!(task.wait, Some(SECOND), "since it was due");
    }
}
