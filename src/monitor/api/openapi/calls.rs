//! The calls, in the order in which the document has them.

use super::super::super::act::{Order, Reply};
use super::super::super::edit::Edits;
use super::super::super::live;
use super::super::dead::{Act, LetterList, Of as OfAudit, Wanted as WantedLetters};
use super::super::event::{Events, Wanted as WantedEvents};
use super::super::failure::{Failure, Failures, Wanted as WantedFailures};
use super::super::name::{Name, Names};
use super::super::operation::{
    DryRun, NewOperation, Operation, Report, Wanted as WantedOperations,
};
use super::super::queue::Queue;
use super::super::schedule::{Different, Schedules, Span, Whole};
use super::super::series::{Asked as SeriesAsked, Range, Series};
use super::super::suggest::{Suggestions, Written};
use super::super::task::TaskWithAttempts;
use super::super::worker::Worker;
use super::super::workflow::{Progress, Tree, Wanted as WantedWorkflows};
use super::super::{About, Asked, Demand, Found, Items, Me, Queues, act};
use super::{Call, Kind, object, of};
use crate::monitor::settings::Role::{self, Admin, Operator, Viewer};
use std::collections::BTreeMap;

type Counts = BTreeMap<String, i64>;

/// Something to look at.
const fn get(path: &'static str, about: &'static str, answer: super::Of) -> Call {
    let (query, body, answer) = (None, None, Kind::Json(answer));
    Call { method: "get", path, about, role: Viewer, query, body, answer }
}

/// Something to do.
const fn post(path: &'static str, role: Role, about: &'static str) -> Call {
    let (query, body, answer) = (None, None, Kind::Reply(of::<Reply>));
    Call { method: "post", path, about, role, query, body, answer }
}

impl Call {
    const fn query(mut self, query: super::Of) -> Self {
        self.query = Some(query);
        self
    }

    const fn body(mut self, body: super::Of) -> Self {
        self.body = Some(body);
        self
    }
}

pub(super) const CALLS: &[Call] = &[
    get("/tasks", "The tasks that a filter selects, the newest first", of::<Found>)
        .query(of::<SeriesAsked>),
    get("/tasks/{id}", "One task, with its attempts", of::<TaskWithAttempts>),
    get("/tasks/{id}/tree", "How the tasks of its workflow hang together", of::<Tree>),
    get("/workflows", "Workflows, those with the newest tasks first", of::<Items<Progress>>)
        .query(of::<WantedWorkflows>),
    get("/events", "The last events, the newest first", of::<Events>).query(of::<WantedEvents>),
    get("/suggest", "What could stand where somebody writes a filter", of::<Suggestions>)
        .query(of::<Written>),
    get("/states", "How many tasks are in each state", of::<Counts>),
    get("/series", "Counts over time", of::<Series>).query(of::<Asked>),
    get("/failures", "Failures that are the same, together", of::<Failures>)
        .query(of::<WantedFailures>),
    get("/failures/{sig}", "One kind of failure", of::<Failure>),
    get("/names", "What tasks of each name did", of::<Names>).query(of::<Range>),
    get("/names/{name}", "What tasks of one name did", of::<Name>).query(of::<Range>),
    get("/dead", "Dead letters, the newest first", of::<LetterList>).query(of::<WantedLetters>),
    get("/dead/states", "How many dead letters there are, by what became of them", of::<Counts>),
    get("/dead/{offset}", "A dead letter with its whole message", object),
    get("/queues", "Queues, as they were seen last", of::<Vec<Queue>>),
    get("/queues/{name}", "A queue, as it was seen last", of::<Queue>),
    get("/workers", "Workers, by their last heartbeat", of::<Vec<Worker>>),
    get("/schedules", "What the scheduler that leads knows", of::<Schedules>),
    get("/schedules/{name}", "A schedule, with its last runs", of::<Whole>),
    get("/demand", "How much work waits, asked of the broker now", of::<Demand>)
        .query(of::<Queues>),
    get("/audit", "What people did, the last first", of::<Items<Act>>).query(of::<OfAudit>),
    get("/operations", "What is done with many, the newest first", of::<Items<Operation>>)
        .query(of::<WantedOperations>),
    get("/operations/{id}", "An operation with its report", of::<Report>),
    get("/about", "How the monitor itself is doing", of::<About>),
    Call {
        method: "get",
        path: "/bundle",
        about: "What this monitor knows of itself and of everything, for a ticket; secrets are masked",
        role: Admin,
        query: None,
        body: None,
        answer: Kind::File("application/gzip"),
    },
    get("/me", "Who asks", of::<Me>),
    get("/openapi.json", "This document", object),
    Call {
        method: "get",
        path: "/stream",
        about: "Tells that something has changed: `topics` of tasks, overview, workers",
        role: Viewer,
        query: Some(of::<live::Asked>),
        body: None,
        answer: Kind::Events,
    },
    post("/tasks/{id}/retry", Operator, "Run again what was given up, as it was sent or otherwise")
        .body(of::<Edits>),
    post("/tasks/{id}/revoke", Operator, "Have workers not begin it"),
    post("/tasks/{id}/terminate", Operator, "End it while it runs"),
    post("/tasks/{id}/resolve", Operator, "Say that its failure is dealt with"),
    post(
        "/failures/{sig}/resolve",
        Operator,
        "Say that failures of this kind are dealt with, until it happens again",
    ),
    post("/failures/{sig}/unresolve", Operator, "Take that back"),
    post("/dead/requeue", Operator, "Give dead letters back").body(of::<act::Letters>),
    post("/dead/discard", Admin, "Mark dead letters as dealt with").body(of::<act::Letters>),
    Call {
        method: "post",
        path: "/operations",
        about: "Do something with everything that a filter selects, or say what would happen; discarding takes an admin",
        role: Operator,
        query: None,
        body: Some(of::<NewOperation>),
        answer: Kind::Begun { preview: of::<DryRun>, begun: of::<Report> },
    },
    post("/operations/{id}/pause", Operator, "Let an operation wait"),
    post("/operations/{id}/resume", Operator, "Let a paused operation go on"),
    post("/operations/{id}/cancel", Operator, "End an operation; what was done is done"),
    post("/queues/{name}/pause", Operator, "Let nobody consume a queue until it is resumed")
        .body(of::<act::Why>),
    post("/queues/{name}/resume", Operator, "Let a paused queue be consumed again"),
    post("/queues/{name}/purge", Admin, "Delete what waits in a queue"),
    post("/schedules/{name}/run", Operator, "Send a run now, besides those that are due"),
    post("/schedules/{name}/pause", Operator, "Send nothing of it until it is resumed")
        .body(of::<act::Why>),
    post("/schedules/{name}/resume", Operator, "Go on with it"),
    post("/schedules/{name}/edit", Operator, "Let it differ from its file").body(of::<Different>),
    post("/schedules/{name}/reset", Operator, "Drop what differs from its file"),
    post("/schedules/{name}/backfill", Operator, "Send the runs of a span of time again")
        .body(of::<Span>),
    post("/workers/{name}/order", Operator, "Tell a worker what to do").body(of::<Order>),
    post("/workers/order", Operator, "Tell all workers what to do").body(of::<Order>),
];
