//! Which events are meant: `event:task-failed name:mail.*`.

use super::Told;
use crate::filter::{Expr, Field, Fields, FilterError, Kind, Pattern, Term, Value, parse};
use std::collections::{HashMap, VecDeque};

/// A filter over events.
#[derive(Debug)]
pub(crate) struct Filter(Expr);

/// What a filter over events may ask about.
pub(crate) static FIELDS: Fields = Fields::new(&[
    Field::new("event", Kind::Text),
    Field::new("name", Kind::Text),
    Field::new("queue", Kind::Text),
    Field::new("worker", Kind::Text),
    Field::new("id", Kind::Id { shortest: 1 }),
    Field::new("error", Kind::Prose),
]);

/// So many tasks are remembered: later events do not repeat what the first one said.
const REMEMBERED: usize = 100_000;

/// What was heard of tasks.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    tasks: HashMap<String, About>,
    /// The oldest first.
    order: VecDeque<String>,
}

/// What is known of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
}

impl Heard {
    /// Remembers what an event says of its task.
    pub(crate) fn listen(&mut self, told: &Told) {
        let said = About::said_in(told);
        let Some(id) = told.uuid().filter(|_| said != About::default()) else { return };
        let id = id.as_str().to_owned();
        if !self.tasks.contains_key(&id) {
            self.order.push_back(id.clone());
        }
        let known = self.tasks.entry(id).or_default();
        known.name = said.name.or(known.name.take());
        known.queue = said.queue.or(known.queue.take());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.tasks.remove(&oldest);
        }
    }

    /// What is known of the task of an event.
    pub(crate) fn of(&self, told: &Told) -> About {
        let known = told.uuid().and_then(|id| self.tasks.get(id.as_str()));
        known.cloned().unwrap_or_default()
    }
}

impl About {
    fn said_in(told: &Told) -> Self {
        let text = |field| Some(told.fields.get(field)?.as_str()?.to_owned());
        Self { name: text("name"), queue: text("queue") }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Where the text is none.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        parse(text, &FIELDS).map(Self)
    }

    /// Whether an event is meant, given what was heard before.
    pub(crate) fn matches(&self, told: &Told, heard: &Heard) -> bool {
        self.means(told, &heard.of(told))
    }

    /// Whether an event is meant, given what is known of its task.
    pub(crate) fn means(&self, told: &Told, about: &About) -> bool {
        holds(&self.0, told, about)
    }
}

fn holds(expr: &Expr, told: &Told, about: &About) -> bool {
    match expr {
        Expr::Or(parts) => parts.iter().any(|part| holds(part, told, about)),
        Expr::And(parts) => parts.iter().all(|part| holds(part, told, about)),
        Expr::Not(part) => !holds(part, told, about),
        Expr::Term(term) => says(term, told, about),
        // The fields let nothing stand alone.
        Expr::Word(..) | Expr::Phrase(..) => false,
    }
}

fn says(term: &Term, told: &Told, about: &About) -> bool {
    let id = told.uuid();
    let text = match term.field.name() {
        "event" => Some(told.kind.as_str()),
        "worker" => Some(told.hostname.as_str()),
        "name" => about.name.as_deref(),
        "queue" => about.queue.as_deref(),
        "id" => id.as_ref().map(|id| id.as_str()),
        "error" => told.fields.get("exception").and_then(serde_json::Value::as_str),
        _ => None,
    };
    let Some(text) = text else { return false };
    term.values.iter().any(|given| match &given.value {
        Value::Present => true,
        Value::Text(pattern) => pattern.matches(text),
        Value::Containing(pattern) => Pattern::is_in(pattern, text),
        Value::Id(beginning) => text.starts_with(beginning),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(id: &str, kind: &str, more: &serde_json::Value) -> Told {
        let mut event = json!({ "type": kind, "hostname": "w@web1", "timestamp": 1.0, "uuid": id });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn later_events_have_the_name_that_the_first_one_said() {
        let mut heard = Heard::default();
        heard.listen(&told("u-1", "task-sent", &json!({ "name": "mail.send", "queue": "mail" })));
        heard.listen(&told("u-1", "task-received", &json!({ "name": "mail.send" })));
        let failed = told("u-1", "task-failed", &json!({ "exception": "E('Timed out')" }));
        for (filter, expected) in [
            ("", true),
            ("name:mail.* queue:mail", true),
            ("name:video.*", false),
            ("event:task-failed,task-retried", true),
            ("NOT event:worker-heartbeat", true),
            ("worker:~WEB1 id:u-", true),
            (r#"error:"timed out""#, true),
            ("error:refused OR name:*", true),
            ("-name:mail.send", false),
        ] {
            assert_eq!(
                Filter::parse(filter).unwrap().matches(&failed, &heard),
                expected,
                "{filter}"
            );
        }
        let unheard = told("u-2", "task-failed", &json!({}));
        assert!(!Filter::parse("name:*").unwrap().matches(&unheard, &heard));
    }

    #[test]
    fn no_more_tasks_are_remembered_than_that() {
        let mut heard = Heard::default();
        for id in 0..REMEMBERED + 10 {
            heard.listen(&told(&id.to_string(), "task-sent", &json!({ "name": "a" })));
        }
        assert_eq!((heard.tasks.len(), heard.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(heard.of(&told("0", "task-failed", &json!({}))), About::default());
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let error = Filter::parse("evnt:x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown field `evnt`; did you mean `event`?\n  evnt:x\n  ^^^^"
        );
    }
}
