//! `[tasks]`.

use super::super::tree::{Step, path_of};
use super::Checks;
use super::addresses::wrong_http_url;
use crate::handler::exec::{Program, ProgramError};
use crate::handler::http::{HttpCall, HttpCallError};
use crate::task::{HttpSettings, TaskSettings};

impl Checks<'_> {
    pub(super) fn tasks(&mut self) {
        for key in ["exec", "http"] {
            let path = path_of(["tasks", key]);
            if self.is_set(&path) {
                let title = format!("{key} makes one task, and not all tasks");
                self.error(title, &path, "it belongs in a table [tasks.\"NAME\"]");
            }
        }
        for (name, task) in self.config.tasks.iter() {
            if let Some(queue) = &task.queue {
                let path = self.inherited("tasks", name, &["queue"]);
                self.expect_queue(queue, &path);
            }
            self.task_priority(name, &task);
            self.limits(name, &task);
            self.backoff(name, &task);
            self.kind(name, &task);
        }
    }

    fn task_priority(&mut self, name: &str, task: &TaskSettings) {
        let Some(queue) = task.queue.as_deref().filter(|_| task.priority.is_some()) else { return };
        if self.config.queues.get(queue).max_priority.is_none() {
            let path = self.inherited("tasks", name, &["priority"]);
            let title = format!("task `{name}`: queue `{queue}` has no priorities");
            let label = format!("no effect without max_priority in [queues.{queue}]");
            self.warn(title, &path, &label);
        }
    }

    fn limits(&mut self, name: &str, task: &TaskSettings) {
        let (Some(soft), Some(hard)) = (task.soft_limit, task.time_limit) else { return };
        if soft.is_zero() || hard.is_zero() || soft < hard {
            return;
        }
        let soft_path = self.inherited("tasks", name, &["soft_limit"]);
        let hard_path = self.inherited("tasks", name, &["time_limit"]);
        let title = "soft_limit must be shorter than time_limit".to_owned();
        self.pair(title, (&soft_path, soft), (&hard_path, hard));
    }

    fn backoff(&mut self, name: &str, task: &TaskSettings) {
        let Some(backoff) = &task.backoff else { return };
        let (Some(first), Some(max)) = (backoff.first, backoff.max) else { return };
        if first > max {
            let first_path = self.inherited("tasks", name, &["backoff", "first"]);
            let max_path = self.inherited("tasks", name, &["backoff", "max"]);
            let title = "backoff.first must not be longer than backoff.max".to_owned();
            self.pair(title, (&first_path, first), (&max_path, max));
        }
    }

    fn kind(&mut self, name: &str, task: &TaskSettings) {
        let path = |key: &str| path_of(["tasks", name, key]);
        if task.exec.is_some() && task.http.is_some() {
            let title = format!("task `{name}` is a program and an HTTP call");
            self.error(title, &path("http"), "give it either exec or http");
        }
        if let Some(Err(error)) = task.program().map(|program| Program::check(&program)) {
            self.program(name, &error);
        }
        if let Some(http) = &task.http {
            self.http(name, http);
        }
    }

    fn program(&mut self, name: &str, error: &ProgramError) {
        let mut place = path_of(["tasks", name, "exec"]);
        match error {
            ProgramError::Empty => {
                let title = format!("task `{name}` names no program");
                self.error(title, &place, "the first item is the program");
            }
            ProgramError::Template { index, error } => {
                place.push(Step::Index(*index));
                let title = format!("task `{name}` has a place that cannot be filled in");
                let at = format!("character {}: {}", error.position, error.problem);
                self.error(title, &place, &at);
            }
            other => {
                self.error(format!("task `{name}` cannot be run"), &place, &other.to_string());
            }
        }
    }

    fn http(&mut self, name: &str, http: &HttpSettings) {
        let place = |key: &str| path_of(["tasks", name, "http", key]);
        if let Some(wrong) = wrong_http_url(http.url.expose()) {
            return self.error("this is no HTTP URL", &place("url"), &wrong);
        }
        let Err(error) = HttpCall::check(http) else { return };
        let key = if let HttpCallError::Address(_) = error { "url" } else { "headers" };
        self.error(format!("task `{name}` cannot be run"), &place(key), &error.to_string());
    }
}
