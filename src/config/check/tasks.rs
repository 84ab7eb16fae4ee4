//! `[tasks]`.

use super::super::tree::path_of;
use super::Checks;
use super::addresses::wrong_http_url;
use crate::task::TaskSettings;

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
            self.limits(name, &task);
            self.backoff(name, &task);
            self.kind(name, &task);
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
        if task.exec.as_ref().is_some_and(|argv| argv.first().is_none_or(String::is_empty)) {
            let title = format!("task `{name}` names no program");
            self.error(title, &path("exec"), "the first item is the program");
        }
        if let Some(http) = &task.http
            && let Some(wrong) = wrong_http_url(http.url.expose())
        {
            let url = path_of(["tasks", name, "http", "url"]);
            self.error("this is no HTTP URL", &url, &wrong);
        }
    }
}
