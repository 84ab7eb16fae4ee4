//! What each worker told of tasks of each name and queue, for metrics that have a worker in their
//! labels. Nothing is counted unless somebody wants it.

use super::super::change::{Micros, Step, What};
use super::super::exporters::{Of, Told};
use super::super::failure::signature;
use super::super::record::{Record, Word};
use super::super::totals::Took;
use rusqlite::{OptionalExtension, Transaction};
use std::collections::HashMap;

/// What one batch told.
#[derive(Debug, Default)]
pub(super) struct Tellings(HashMap<Key, Sum>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    worker: String,
    name: Word,
    queue: Word,
    kind: &'static str,
    exception: Option<String>,
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    run: Took,
    prefetched: i64,
    waited: Option<Micros>,
    at: Micros,
}

impl Tellings {
    /// Counts a step that `record` has taken.
    pub(super) fn add(&mut self, record: &Record, step: &Step) {
        let (kind, run, exception) = match &step.what {
            What::Sent(_) => ("task-sent", None, None),
            What::Received(_) => ("task-received", None, None),
            What::Started { .. } => ("task-started", None, None),
            What::Succeeded { run, .. } => ("task-succeeded", *run, None),
            What::Failed { error, .. } => ("task-failed", None, Some(signature(error).kind)),
            What::Retried { .. } => ("task-retried", None, None),
            What::Revoked | What::Expired => ("task-revoked", None, None),
            What::Rejected | What::GivenBack => ("task-rejected", None, None),
        };
        let worker = step.node.clone();
        let (name, queue) = (record.name.unwrap_or(0), record.queue.unwrap_or(0));
        let sum = self.0.entry(Key { worker, name, queue, kind, exception }).or_default();
        sum.count += 1;
        run.into_iter().for_each(|run| sum.run.add(run));
        sum.at = sum.at.max(step.at);
        let (prefetched, waited) = prefetch(record, step);
        sum.prefetched += prefetched;
        sum.waited = waited.or(sum.waited);
    }

    /// All of it, with its words.
    pub(super) fn keep(self, transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Told>> {
        let mut text = transaction.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let mut text = |word: Word| -> rusqlite::Result<String> {
            let text: Option<String> = text.query_row([word], |row| row.get(0)).optional()?;
            Ok(text.unwrap_or_default())
        };
        let told = self.0.into_iter().map(|(key, sum)| {
            let Key { worker, name, queue, kind, exception } = key;
            let of = Of { worker, name: text(name)?, queue: text(queue)? };
            let Sum { count, run, prefetched, waited, at } = sum;
            Ok(Told { of, kind, exception, count, run, prefetched, waited, at })
        });
        told.collect()
    }
}

/// How many more tasks its worker has that it has not begun, and how long this one waited there. Of
/// one that has a time of its own, or is there again, nothing is known.
fn prefetch(record: &Record, step: &Step) -> (i64, Option<Micros>) {
    if record.eta.is_some() {
        return (0, None);
    }
    let is_first = record.retries == 0 && record.redelivered == 0;
    match (&step.what, record.received) {
        (What::Received(_), _) => (1, None),
        (What::Started { .. }, Some(received)) => {
            (-1, is_first.then(|| (step.at - received).max(0)))
        }
        (What::Succeeded { .. } | What::Failed { .. }, Some(_)) => (0, Some(0)),
        (What::Revoked | What::Expired | What::Rejected | What::GivenBack, Some(_))
            if record.started.is_none() =>
        {
            (-1, None)
        }
        _ => (0, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::change::Message;
    use super::*;

    fn step(at: Micros, what: What) -> Step {
        Step { id: "a".to_owned(), at, node: "w@h".to_owned(), what }
    }

    #[test]
    fn what_a_worker_has_and_has_not_begun_is_counted() {
        let received = Record { received: Some(5), ..Record::new("a".to_owned()) };
        let begun = Record { started: Some(9), ..received.clone() };
        let later = Record { eta: Some(99), ..received.clone() };
        let again = Record { retries: 1, ..received.clone() };
        for (record, what, expected) in [
            (&received, What::Received(Message::default()), (1, None)),
            (&received, What::Started { pid: None }, (-1, Some(4))),
            (&again, What::Started { pid: None }, (-1, None)),
            (&later, What::Started { pid: None }, (0, None)),
            (&received, What::Revoked, (-1, None)),
            (&begun, What::Revoked, (0, None)),
            (&begun, What::Succeeded { result: None, run: None }, (0, Some(0))),
        ] {
            assert_eq!(prefetch(record, &step(9, what.clone())), expected, "{what:?}");
        }
    }
}
