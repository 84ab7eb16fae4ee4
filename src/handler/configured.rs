//! Tasks that the configuration defines.

use super::exec::{Program, ProgramError, Watcher};
use super::http::{HttpCall, HttpCallError, HttpClient, HttpClientError};
use super::template::Template;
use super::{DuplicateTask, Handler, Registry};
use crate::task::{TaskOptions, TaskSettings, Tasks};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// A task that the configuration defines and that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("task `{task}`: {problem}")]
pub struct BadTask {
    /// Name of the task.
    pub task: String,
    /// What is wrong with it.
    pub problem: BadTaskProblem,
}

/// What is wrong with a configured task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadTaskProblem {
    /// Its program.
    #[error("exec: {0}")]
    Program(#[from] ProgramError),
    /// Its HTTP call.
    #[error("http: {0}")]
    Http(#[from] HttpCallError),
    /// HTTP calls in general.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// It is two things.
    #[error("it has both exec and http; keep one of them")]
    TwoKinds,
    /// The embedding program has registered a function under this name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateTask),
}

/// Every task that cannot be run.
#[derive(Debug)]
pub struct BadTasks(pub Vec<BadTask>);

impl std::error::Error for BadTasks {}

impl fmt::Display for BadTasks {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Registry {
    /// Adds every task that is a program or an HTTP call by its table in `tasks`.
    ///
    /// Nothing is started: programs and services are looked for when they are needed.
    ///
    /// # Errors
    ///
    /// Every task that cannot be added. The others have been.
    pub fn add_configured(&mut self, tasks: &Tasks) -> Result<&mut Self, BadTasks> {
        let mut handlers = Handlers::default();
        let mut bad = Vec::new();
        for (task, settings) in tasks.iter() {
            let added = handlers.handler(settings).and_then(|handler| {
                let Some(handler) = handler else { return Ok(()) };
                self.add(task, TaskOptions::default(), handler)?;
                Ok(())
            });
            if let Err(problem) = added {
                bad.push(BadTask { task: task.to_owned(), problem });
            }
        }
        if bad.is_empty() { Ok(self) } else { Err(BadTasks(bad)) }
    }
}

/// What a call lacks for a task that is a program or an HTTP call: each argument that its table
/// fills in and that is neither among `args` positional ones nor in `kwargs`.
pub fn missing_arguments(
    task: &TaskSettings,
    args: usize,
    kwargs: &Map<String, Value>,
) -> Vec<String> {
    let exec = task.exec.iter().flatten().map(String::as_str);
    let texts = exec.chain(task.http.iter().map(|http| http.url.expose()));
    let templates = texts.filter_map(|text| Template::parse(text).ok());
    let mut missing: Vec<String> =
        templates.flat_map(|template| template.lacks(args, kwargs)).collect();
    missing.sort();
    missing.dedup();
    missing
}

/// Makes handlers, and what they share, when the first one needs it.
#[derive(Debug, Default)]
struct Handlers {
    watcher: Option<Arc<Watcher>>,
    client: Option<HttpClient>,
}

impl Handlers {
    /// The handler that `settings` describe; `None` if they describe a function.
    fn handler(
        &mut self,
        settings: TaskSettings,
    ) -> Result<Option<Arc<dyn Handler>>, BadTaskProblem> {
        let max_output = settings.max_output();
        match (settings.program(), settings.http) {
            (Some(_), Some(_)) => Err(BadTaskProblem::TwoKinds),
            (Some(program), None) => {
                let watcher = Arc::clone(self.watcher.get_or_insert_default());
                Ok(Some(Arc::new(Program::try_new(program, watcher)?)))
            }
            (None, Some(http)) => {
                let client = self.client()?;
                Ok(Some(Arc::new(HttpCall::try_new(http, max_output, client)?)))
            }
            (None, None) => Ok(None),
        }
    }

    fn client(&mut self) -> Result<HttpClient, HttpClientError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = HttpClient::try_new()?;
        Ok(self.client.insert(client).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{body, context, value};
    use crate::protocol::Format;
    use serde_json::json;

    fn tasks(text: &str) -> Tasks {
        toml::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn a_table_makes_a_task_and_other_tables_make_none() {
        let tasks = tasks(
            "retries = 1\n\
             [echo]\nexec = ['printf', '%s %s', '{0}', '{name}']\n\
             [push]\nhttp = { url = 'http://127.0.0.1:1/' }\n\
             [function]\nretries = 2",
        );
        let mut registry = Registry::new();
        registry.add_configured(&tasks).unwrap();
        assert_eq!(registry.names(), ["echo", "push"]);
        for format in [Format::Json, Format::MessagePack] {
            let body = body(format, &json!(["a"]), &json!({"name": "b"}));
            let ended = registry.get("echo").unwrap().handler.call(context("echo", "1"), body);
            assert_eq!(value(ended.await), json!("a b"));
        }
    }

    #[test]
    fn every_bad_task_is_reported() {
        let tasks = tasks(
            "[a]\nexec = ['{0}']\n[b]\nhttp = { url = 'http://{0}/' }\n\
             [c]\nexec = ['sh']\nhttp = { url = 'http://h/' }\n[d]\nexec = ['true']",
        );
        let mut registry = Registry::new();
        let bad = registry.add_configured(&tasks).unwrap_err();
        assert_eq!(bad.0.len(), 3);
        for (bad, begins) in bad.to_string().lines().zip([
            "task `a`: exec: ",
            "task `b`: http: ",
            "task `c`: it has both",
        ]) {
            assert!(bad.starts_with(begins), "{bad}");
        }
        assert_eq!(registry.names(), ["d"]);
    }

    #[derive(serde::Deserialize)]
    struct Document {
        tasks: Tasks,
    }

    #[test]
    fn the_examples_of_the_guide_are_tasks() {
        let guide = include_str!("../../docs/tasks.md");
        let examples: Vec<_> = guide
            .split("```toml\n")
            .skip(1)
            .map(|rest| toml::from_str::<Document>(rest.split("```").next().unwrap()).unwrap())
            .collect();
        assert!(examples.len() >= 2);
        for example in examples {
            Registry::new().add_configured(&example.tasks).unwrap();
        }
    }
}
