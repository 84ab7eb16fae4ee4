//! What is done by hand stands in the audit, with what is done through the monitor.

use crate::broker::Broker;
use crate::clock::{Clock, SystemClock, micros};
use crate::control::audit::{Begun, Ended, Record};
use serde_json::{Value, json};
use tracing::debug;

/// A record that was begun. Whoever may not write into the audit may act all the same, so no record
/// is an error.
pub(super) struct Noted<'a> {
    broker: &'a Broker,
    id: String,
}

/// What one of those says who had to do something: who, how it went in a word, and what they say.
pub(super) type Says<'a> = (&'a str, &'a str, &'a str);

impl<'a> Noted<'a> {
    /// Before anything is done: who does what, to what, and how.
    pub(super) async fn begin(
        broker: &'a Broker,
        by: &str,
        what: (&str, &str),
        arguments: Value,
    ) -> Self {
        let begun = Begun::new(by, what, arguments, SystemClock.now());
        let id = begun.id.clone();
        keep(broker, Record::Begun(begun)).await;
        Self { broker, id }
    }

    /// Afterwards: what came of it all together, and from each.
    pub(super) async fn end(self, status: &str, says: &[Says<'_>]) {
        let result = |(who, outcome, detail): &Says<'_>| {
            let outcome = outcome.replace(' ', "_");
            json!({ "who": who, "outcome": outcome, "detail": detail })
        };
        let results: Vec<_> = says.iter().map(result).collect();
        let outcome = json!({ "status": status, "results": results });
        let ended = Ended { id: self.id, at: micros(SystemClock.now()), outcome };
        keep(self.broker, Record::Ended(ended)).await;
    }
}

async fn keep(broker: &Broker, record: Record) {
    if let Err(error) = record.keep(broker).await {
        debug!(%error, "not in the audit");
    }
}
