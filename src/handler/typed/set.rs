//! Sets of tasks, as values.

use super::layer::{self, TaskLayer};
use super::{CheckReport, Definition, Finding, MessageHandler, Run, States};
use crate::handler::Registry;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Tasks, what they are supplied with, and what surrounds them.
///
/// It needs no app, so a library can export one; sets add up.
///
/// ```
/// use celeriac::prelude::*;
///
/// #[task(name = "mail.welcome")]
/// async fn welcome(State(from): State<String>, to: String) -> anyhow::Result<String> {
///     Ok(format!("from {from} to {to}"))
/// }
///
/// #[task(name = "mail.digest")]
/// async fn digest(to: String) -> anyhow::Result<()> {
///     anyhow::ensure!(to.contains('@'), "no address");
///     Ok(())
/// }
///
/// /// What the crate exports.
/// pub fn all() -> TaskSet {
///     tasks![welcome, digest]
/// }
///
/// let set = TaskSet::new().with(all());
/// assert_eq!(set.names(), ["mail.welcome", "mail.digest"]);
/// assert!(set.check().unwrap_err().to_string().contains("mail.welcome"));
/// assert!(set.state("us@example.org".to_owned()).check().is_ok());
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TaskSet {
    tasks: Vec<Definition>,
    states: States,
    layers: Vec<TaskLayer>,
}

impl TaskSet {
    /// A set without tasks.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// let set = TaskSet::new();
    /// assert!(set.names().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the task `T`.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let set = TaskSet::new().register::<add>();
    /// assert_eq!(set.names(), ["shop.add"]);
    /// ```
    pub fn register<T: Run>(self) -> Self {
        self.register_with::<T>(|task| task)
    }

    /// Adds the task `T`, changed by `change`: usually by layers of its own.
    ///
    /// ```
    /// # use celeriac::{handler::TaskService, prelude::*};
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let around = tower::layer::layer_fn(|inner: TaskService| inner);
    /// let set = TaskSet::new().register_with::<add>(|task| task.layer(around));
    /// assert!(set.check().is_ok());
    /// ```
    pub fn register_with<T: Run>(self, change: impl FnOnce(Definition) -> Definition) -> Self {
        self.and(change(Definition::of::<T>()))
    }

    /// Adds a function that takes a message: parameters that the worker supplies, then a
    /// [`Message`](crate::task::Message).
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// #[message(name = "img.crop")]
    /// struct Crop { width: u32 }
    ///
    /// async fn crop(ctx: Ctx, job: Crop) -> anyhow::Result<()> {
    ///     ctx.progress.share(1.0, &format!("{} wide", job.width));
    ///     Ok(())
    /// }
    ///
    /// assert_eq!(TaskSet::new().handler(crop).names(), ["img.crop"]);
    /// ```
    pub fn handler<Kind>(self, function: impl MessageHandler<Kind>) -> Self {
        self.and(function.definition())
    }

    /// Adds all that is in `other`: its tasks within its layers, and what it supplies where this
    /// set does not.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.from")]
    /// # async fn from(State(from): State<&'static str>) -> anyhow::Result<()> { Ok(()) }
    /// let library = tasks![from].state("the library's default");
    /// let set = TaskSet::new().state("ours, which wins").with(library);
    /// assert_eq!(set.names(), ["mail.from"]);
    /// assert!(set.check().is_ok());
    /// ```
    pub fn with(mut self, other: Self) -> Self {
        let Self { tasks, states, layers } = other;
        let tasks = tasks.into_iter().map(|task| task.surrounded(&layers));
        self.tasks.extend(tasks);
        self.states.complete(states);
        self
    }

    /// Supplies `State<T>` to every task that asks for it.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Pool;
    /// # #[task]
    /// # async fn load(State(pool): State<Pool>, id: u64) -> anyhow::Result<()> { Ok(()) }
    /// assert!(tasks![load].check().is_err());
    /// assert!(tasks![load].state(Pool).check().is_ok());
    /// ```
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Puts a tower layer around every task of this set, outside of those it has.
    ///
    /// Each task is given a layer of its own: a limit in it holds per task.
    ///
    /// ```
    /// # use celeriac::{handler::{TaskRequest, TaskService}, prelude::*};
    /// # use tower::{ServiceExt, layer::layer_fn};
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let set = tasks![add].layer(layer_fn(|inner: TaskService| {
    ///     inner.map_request(|request: TaskRequest| {
    ///         tracing::info!(id = %request.cx.id(), "begins");
    ///         request
    ///     })
    /// }));
    /// assert!(set.check().is_ok());
    /// ```
    pub fn layer(mut self, layer: impl layer::Surrounds) -> Self {
        self.layers.push(layer::erase(layer));
        self
    }

    /// The names of the tasks, in the order in which they came.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.send")]
    /// # async fn send(to: String) -> anyhow::Result<()> { Ok(()) }
    /// # #[task(name = "mail.digest")]
    /// # async fn digest(to: String) -> anyhow::Result<()> { Ok(()) }
    /// assert_eq!(tasks![send, digest, send].names(), ["mail.send", "mail.digest"]);
    /// ```
    pub fn names(&self) -> Vec<&'static str> {
        self.distinct().map(Definition::name).collect()
    }

    /// Every task once, however often it came.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "mail.send", queue = "mail")]
    /// # async fn send(to: String) -> anyhow::Result<()> { Ok(()) }
    /// let set = tasks![send];
    /// let queues: Vec<_> = set.distinct().map(|task| task.options().queue.as_deref()).collect();
    /// assert_eq!(queues, [Some("mail")]);
    /// ```
    pub fn distinct(&self) -> impl Iterator<Item = &Definition> {
        self.tasks.iter().enumerate().filter_map(|(at, task)| {
            let is_repeated = self.tasks[..at].iter().any(|earlier| earlier.is_same(task));
            (!is_repeated).then_some(task)
        })
    }

    /// Whether every task has what it needs and a name of its own.
    ///
    /// ```
    /// # use celeriac::prelude::*;
    /// # #[task(name = "shop.pay")]
    /// # async fn pay(order: u64) -> anyhow::Result<()> { Ok(()) }
    /// # mod other {
    /// #     use celeriac::prelude::*;
    /// #     #[task(name = "shop.pay")]
    /// #     pub async fn pay(invoice: u64) -> anyhow::Result<()> { Ok(()) }
    /// # }
    /// let report = tasks![pay, other::pay].check().unwrap_err();
    /// assert!(report.to_string().contains("two tasks are named `shop.pay`"));
    /// ```
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub fn check(&self) -> Result<(), CheckReport> {
        let findings = self.findings(&Registry::new());
        if findings.is_empty() { Ok(()) } else { Err(CheckReport(findings)) }
    }

    /// What is wrong with these tasks beside those of `registry`.
    pub(crate) fn findings(&self, registry: &Registry) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut names: HashMap<&str, u32> = HashMap::new();
        for task in self.distinct() {
            let missing = task.needs().iter().filter(|need| !self.states.has(need));
            findings.extend(missing.map(|need| Finding::MissingState {
                task: task.name().to_owned(),
                state: need.name(),
            }));
            let seen = names.entry(task.name()).or_default();
            *seen += 1;
            let taken = u32::from(registry.get(task.name()).is_some());
            if *seen + taken == 2 {
                findings.push(Finding::Duplicate { name: task.name().to_owned() });
            }
        }
        findings
    }

    /// Adds what runs these tasks to `registry`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, prelude::*};
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let mut registry = Registry::new();
    /// tasks![add].add_to(&mut registry)?;
    /// let worker = App::in_memory().worker(registry);
    /// # drop(worker);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TaskSet::check`], also when the registry has a task of such a name.
    pub fn add_to(&self, registry: &mut Registry) -> Result<(), CheckReport> {
        let findings = self.findings(registry);
        if !findings.is_empty() {
            return Err(CheckReport(findings));
        }
        let states = Arc::new(self.states.clone());
        for task in self.distinct() {
            let task = task.clone().surrounded(&self.layers);
            let added = registry.add(task.name(), task.options().clone(), task.handler(&states));
            added.expect("no name is there twice");
            if task.params().iter().any(|param| param.is_secret) {
                registry.hide_arguments(task.name());
            }
        }
        Ok(())
    }

    fn and(mut self, task: Definition) -> Self {
        self.tasks.push(task);
        self
    }
}

impl FromIterator<Definition> for TaskSet {
    fn from_iter<I: IntoIterator<Item = Definition>>(tasks: I) -> Self {
        Self { tasks: tasks.into_iter().collect(), ..Self::default() }
    }
}

impl fmt::Debug for TaskSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet").field("tasks", &self.names()).finish_non_exhaustive()
    }
}

/// A [`TaskSet`] of these tasks, by their names in Rust.
///
/// ```
/// use celeriac::{prelude::*, tasks};
///
/// mod mail {
///     # use celeriac::prelude::*;
///     #[task(name = "mail.send")]
///     pub async fn send(to: String) -> anyhow::Result<()> {
///         # drop(to);
///         Ok(())
///     }
/// }
///
/// assert_eq!(tasks![mail::send].names(), ["mail.send"]);
/// ```
#[macro_export]
macro_rules! tasks {
    ($($task:path),* $(,)?) => {
        $crate::handler::TaskSet::new()$(.register::<$task>())*
    };
}
