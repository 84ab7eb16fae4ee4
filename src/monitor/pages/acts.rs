//! What one can do on a page: buttons, for those who may, where it makes sense.

use super::super::access::Person;
use super::super::settings::Role;
use super::shown::in_address;
use crate::control::leader::ScheduleReport;
use serde_json::{Value, json};

/// A button that does something by a call of the API.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Act {
    pub(super) text: String,
    /// The call.
    pub(super) path: String,
    /// What it is given, as JSON.
    pub(super) body: String,
    /// What is asked before; nothing where it does no harm.
    pub(super) ask: Option<String>,
    /// What has to be typed before.
    pub(super) word: Option<String>,
    /// What is asked for besides: its name in what the call is given, and what stands beside it.
    pub(super) field: Option<(&'static str, &'static str)>,
    least: Role,
}

/// Those of `acts` that this person may do.
pub(super) fn allowed(person: &Person, acts: Vec<Act>) -> Vec<Act> {
    acts.into_iter().filter(|act| person.role >= act.least).collect()
}

impl Act {
    fn new(text: impl Into<String>, path: String, body: &Value) -> Self {
        let (text, body) = (text.into(), body.to_string());
        Self { text, path, body, ask: None, word: None, field: None, least: Role::Operator }
    }

    fn asking(self, question: impl Into<String>) -> Self {
        Self { ask: Some(question.into()), ..self }
    }

    fn for_admins(self) -> Self {
        Self { least: Role::Admin, ..self }
    }

    /// Does something with a task.
    pub(super) fn on_task(text: &str, id: &str, call: &str) -> Self {
        Self::new(text, format!("/api/v1/tasks/{}/{call}", in_address(id)), &json!({}))
    }

    /// Says that failures of a kind are dealt with, or takes that back.
    pub(super) fn on_failure(text: &str, sig: i64, call: &str) -> Self {
        Self::new(text, format!("/api/v1/failures/{sig}/{call}"), &json!({}))
    }

    /// Stops a task that runs.
    pub(super) fn terminate(id: &str) -> Self {
        Self::on_task("Terminate", id, "terminate")
            .asking("Stop this task while it runs? It does not run again.")
    }

    /// Publishes dead letters again.
    pub(super) fn requeue(offsets: &[u64]) -> Self {
        let act = |text: String| {
            Self::new(text, "/api/v1/dead/requeue".to_owned(), &json!({ "offsets": offsets }))
        };
        match offsets.len() {
            1 => act("Requeue".to_owned()),
            many => act(format!("Requeue these {many}"))
                .asking(format!("Publish {many} dead letters again, each to its queue?")),
        }
    }

    /// Marks dead letters as dealt with.
    pub(super) fn discard(offsets: &[u64]) -> Self {
        let many = offsets.len();
        let (text, question) = match many {
            1 => ("Discard".to_owned(), "Mark this letter as dealt with?".to_owned()),
            _ => (format!("Discard these {many}"), format!("Mark {many} letters as dealt with?")),
        };
        Self::new(text, "/api/v1/dead/discard".to_owned(), &json!({ "offsets": offsets }))
            .asking(question)
            .for_admins()
    }

    /// Deletes what waits in a queue.
    pub(super) fn purge(queue: &str) -> Self {
        let path = format!("/api/v1/queues/{}/purge", in_address(queue));
        let act = Self::new("Purge", path, &json!({}))
            .asking(format!("Delete everything that waits in {queue}? It cannot be had back."));
        Self { word: Some(queue.to_owned()), ..act.for_admins() }
    }

    /// Lets nobody consume a queue.
    pub(super) fn pause(queue: &str) -> Self {
        let path = format!("/api/v1/queues/{}/pause", in_address(queue));
        let question = format!(
            "Let no worker consume {queue} until it is resumed? What runs goes on to its end."
        );
        let act = Self::new("Pause", path, &json!({})).asking(question);
        Self { field: Some(("reason", "Why")), ..act }
    }

    /// Lets it be consumed again.
    pub(super) fn resume(queue: &str) -> Self {
        Self::new("Resume", format!("/api/v1/queues/{}/resume", in_address(queue)), &json!({}))
    }

    /// What can be wanted of a schedule.
    pub(super) fn on_schedule(name: &str, report: &ScheduleReport) -> Vec<Self> {
        let act = |text: &str, call: &str| {
            let path = format!("/api/v1/schedules/{}/{call}", in_address(name));
            Self::new(text, path, &json!({}))
        };
        let mut acts = vec![act("Run now", "run")];
        acts.push(match report.paused {
            Some(_) => act("Resume", "resume"),
            None => {
                let pause = act("Pause", "pause");
                let pause = pause.asking(format!("Send nothing of {name} until it is resumed?"));
                Self { field: Some(("reason", "Why")), ..pause }
            }
        });
        let again = act("Backfill", "backfill").asking(format!(
            "Send again what was due of {name} since a time, up to 1000 runs, under the ids they had?"
        ));
        acts.push(Self { field: Some(("from", "Since, like 2026-11-25T18:00:00Z")), ..again });
        if report.edit.is_some() {
            let reset = act("Drop the edit", "reset");
            acts.push(reset.asking(format!("Let {name} be as in its file again?")));
        }
        acts
    }

    /// What a worker can be told.
    pub(super) fn on_worker(worker: &str) -> Vec<Self> {
        let path = format!("/api/v1/workers/{}/order", in_address(worker));
        let order = |text: &str, order: Value| Self::new(text, path.clone(), &order);
        vec![
            order("One slot more", json!({ "action": "grow", "slots": 1 })),
            order("One slot less", json!({ "action": "shrink", "slots": 1 })),
            order("Stop", json!({ "action": "stop" }))
                .asking(format!("Let {worker} finish what it runs, give back the rest, and stop?"))
                .for_admins(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shown_what_they_may_not_do() {
        let texts = |role| {
            let person = Person { name: "a".to_owned(), role };
            let acts = allowed(&person, Act::on_worker("w@h"));
            acts.into_iter().map(|act| act.text).collect::<Vec<_>>()
        };
        assert!(texts(Role::Viewer).is_empty());
        assert_eq!(texts(Role::Operator), ["One slot more", "One slot less"]);
        assert_eq!(texts(Role::Admin).len(), 3);
    }

    #[test]
    fn a_schedule_is_resumed_where_it_is_paused_and_only_an_edit_is_dropped() {
        let calls = |report: &ScheduleReport| {
            let acts = Act::on_schedule("a/b", report).into_iter();
            acts.map(|act| act.path.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut report = ScheduleReport::default();
        assert_eq!(calls(&report), ["run", "pause", "backfill"]);
        let at = std::time::SystemTime::UNIX_EPOCH;
        report.paused = Some(crate::control::Pause::new("ana", at, ""));
        report.edit = Some(Box::new(json!({ "every": "5s" })));
        assert_eq!(calls(&report), ["run", "resume", "backfill", "reset"]);
    }

    #[test]
    fn what_cannot_be_had_back_wants_its_name_typed() {
        let purge = Act::purge("a/b");
        assert_eq!(purge.path, "/api/v1/queues/a%2Fb/purge");
        assert_eq!(purge.word.as_deref(), Some("a/b"));
        assert!(Act::requeue(&[7]).ask.is_none() && Act::requeue(&[7, 8]).ask.is_some());
    }
}
