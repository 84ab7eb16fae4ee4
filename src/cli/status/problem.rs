//! What is wrong, and what to do about it. Pure.

use super::super::output::counted;
use super::survey::{Consumed, Survey};
use serde::Serialize;

/// So late a monitor shows the past, in seconds.
const LATE: f64 = 60.0;

/// Something that somebody should do something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Problem {
    /// Which kind, for programs.
    pub(in crate::cli) code: &'static str,
    /// What has it: the name of a queue or a worker.
    pub(in crate::cli) object: String,
    pub(in crate::cli) message: String,
    /// What to do next, mostly a command.
    pub(in crate::cli) hint: String,
}

impl Problem {
    fn new(
        code: &'static str,
        object: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { code, object: object.to_owned(), message: message.into(), hint: hint.into() }
    }
}

/// All that is wrong, what concerns most first.
pub(in crate::cli) fn problems(survey: &Survey) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(survey.broker.blocked.as_ref().map(|reason| {
        let message = format!("the broker takes no publications: {reason}");
        Problem::new("broker_blocked", "broker", message, "rabbitmqctl list_alarms")
    }));
    found.extend(survey.pauses_error.as_ref().map(|error| {
        let message = format!("which queues are paused is not known: {error}");
        Problem::new("pauses_unknown", crate::topology::names::PAUSED, message, "celeriac doctor")
    }));
    found.extend(of_workers(survey));
    found.extend(of_queues(survey));
    found.extend(of_scheduler(survey));
    found.extend(of_monitor(survey));
    found
}

fn of_workers(survey: &Survey) -> Vec<Problem> {
    if survey.workers.is_empty() {
        // With `worker.remote_control = false` they do not answer, and work.
        if survey.queues.iter().any(|queue| queue.state == Consumed::Running) {
            return Vec::new();
        }
        let message = "there is no worker in this virtual host";
        return vec![Problem::new("no_worker", "workers", message, "celeriac worker")];
    }
    let mute = survey.workers.iter().filter(|worker| worker.state != "up");
    mute.map(|worker| {
        let name = &worker.worker;
        let message = format!("worker {name} lives and does not answer");
        let hint = format!("celeriac inspect active -d {name} --timeout 30s");
        Problem::new("worker_silent", name, message, hint)
    })
    .collect()
}

fn of_queues(survey: &Survey) -> Vec<Problem> {
    let problem = |queue: &super::survey::QueueState| {
        let name = &queue.name;
        match (queue.state, queue.ready.unwrap_or_default()) {
            (Consumed::NoConsumer, ready @ 1..) => {
                let message = format!(
                    "queue {name}: {} and nobody who consumes it",
                    counted(ready, "message")
                );
                let hint = format!("celeriac worker -Q {name}");
                Some(Problem::new("queue_no_consumer", name, message, hint))
            }
            (Consumed::Paused, _) if queue.consumers.is_some_and(|consumers| consumers > 0) => {
                let message = format!("queue {name} is paused, and somebody consumes it");
                let hint = format!("celeriac queue pause {name} --reason again");
                Some(Problem::new("queue_paused_consumed", name, message, hint))
            }
            (Consumed::Missing, _) => {
                let message = format!("queue {name} does not exist");
                Some(Problem::new("queue_missing", name, message, "celeriac topology apply"))
            }
            (Consumed::Unknown, _) => {
                let message = format!("queue {name} may not be looked at");
                Some(Problem::new("queue_unknown", name, message, "celeriac doctor"))
            }
            _ => None,
        }
    };
    survey.queues.iter().filter_map(problem).collect()
}

fn of_scheduler(survey: &Survey) -> Option<Problem> {
    let scheduler = survey.scheduler.as_ref().filter(|it| it.leader.is_none())?;
    let message = format!(
        "{}, and no scheduler that answers",
        counted(scheduler.schedules as u64, "schedule")
    );
    Some(Problem::new("no_scheduler", "scheduler", message, "celeriac scheduler"))
}

fn of_monitor(survey: &Survey) -> Vec<Problem> {
    let Some(monitor) = &survey.monitor else { return Vec::new() };
    if let Some(error) = &monitor.error {
        return vec![Problem::new("monitor_silent", &monitor.url, error, "celeriac monitor")];
    }
    let mut found = Vec::new();
    if !monitor.reading {
        let message = "the monitor does not read events: what it shows is old";
        found.push(Problem::new("monitor_not_reading", &monitor.url, message, "look at its log"));
    }
    if let Some(lag) = monitor.lag_s.filter(|lag| *lag > LATE) {
        let message = format!("the monitor is {lag:.0} s behind");
        found.push(Problem::new("monitor_late", &monitor.url, message, "look at its log"));
    }
    found.extend(monitor.lost.iter().map(|name| {
        let message = format!("worker {name} is lost: it has missed its heartbeats");
        let hint = format!("celeriac tasks 'worker:\"{name}\" state:open'");
        Problem::new("worker_lost", name, message, hint)
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::super::survey::{BrokerState, MonitorState, QueueState, SchedulerState};
    use super::*;
    use crate::cli::workers::Worker;

    fn queue(name: &str, state: Consumed, ready: u32) -> QueueState {
        QueueState {
            name: name.to_owned(),
            state,
            ready: Some(ready),
            consumers: None,
            paused: None,
        }
    }

    /// A survey in which all is well.
    fn well() -> Survey {
        Survey {
            workers: vec![Worker::mute("w@h", "up")],
            queues: vec![
                queue("a", Consumed::Running, 100),
                queue("idle", Consumed::NoConsumer, 0),
                queue("paused", Consumed::Paused, 41),
            ],
            scheduler: Some(SchedulerState { leader: Some("s@h".into()), ..Default::default() }),
            monitor: Some(MonitorState { reading: true, lag_s: Some(0.1), ..Default::default() }),
            ..Survey::default()
        }
    }

    fn codes(survey: &Survey) -> Vec<&'static str> {
        problems(survey).into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_said() {
        assert_eq!(problems(&well()), []);
        let unheard = Survey { workers: vec![], ..well() };
        assert_eq!(codes(&unheard), [""; 0], "its queue is consumed");
        assert_eq!(codes(&Survey { scheduler: None, monitor: None, ..well() }), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_wrong_is_said_with_what_to_do() {
        let monitor = |monitor| Survey { monitor: Some(monitor), ..well() };
        let reading = || MonitorState { reading: true, ..Default::default() };
        let blocked = Some("low on memory".to_owned());
        for (survey, code, hint) in [
            (Survey { workers: vec![], queues: vec![], ..well() }, "no_worker", "celeriac worker"),
            (
                Survey { workers: vec![Worker::mute("w@h", "silent")], ..well() },
                "worker_silent",
                "celeriac inspect active -d w@h --timeout 30s",
            ),
            (
                Survey { queues: vec![queue("b", Consumed::NoConsumer, 41)], ..well() },
                "queue_no_consumer",
                "celeriac worker -Q b",
            ),
            (
                Survey {
                    queues: vec![QueueState {
                        consumers: Some(1),
                        ..queue("b", Consumed::Paused, 0)
                    }],
                    ..well()
                },
                "queue_paused_consumed",
                "celeriac queue pause b --reason again",
            ),
            (
                Survey { queues: vec![queue("b", Consumed::Missing, 0)], ..well() },
                "queue_missing",
                "celeriac topology apply",
            ),
            (
                Survey { queues: vec![queue("b", Consumed::Unknown, 0)], ..well() },
                "queue_unknown",
                "celeriac doctor",
            ),
            (
                Survey { scheduler: Some(SchedulerState::default()), ..well() },
                "no_scheduler",
                "celeriac scheduler",
            ),
            (
                Survey { pauses_error: Some("no".to_owned()), ..well() },
                "pauses_unknown",
                "celeriac doctor",
            ),
            (
                Survey { broker: BrokerState { blocked, ..Default::default() }, ..well() },
                "broker_blocked",
                "rabbitmqctl list_alarms",
            ),
            (
                monitor(MonitorState { error: Some("away".into()), ..reading() }),
                "monitor_silent",
                "celeriac monitor",
            ),
            (
                monitor(MonitorState { reading: false, ..reading() }),
                "monitor_not_reading",
                "look at its log",
            ),
            (
                monitor(MonitorState { lag_s: Some(61.0), ..reading() }),
                "monitor_late",
                "look at its log",
            ),
            (
                monitor(MonitorState { lost: vec!["w@h".into()], ..reading() }),
                "worker_lost",
                "celeriac tasks 'worker:\"w@h\" state:open'",
            ),
        ] {
            let found = problems(&survey);
            let found: Vec<_> = found.iter().map(|it| (it.code, it.hint.as_str())).collect();
            assert_eq!(found, [(code, hint)]);
        }
    }
}
