//! Which handler runs which task.

use super::Handler;
use crate::task::TaskOptions;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The tasks that a worker can run, by name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::handler::Registry;
/// # use celeriac::{prelude::*, task::TaskOptions, testing::TestWorker};
///
/// let mut registry = Registry::new();
/// registry.add_async("shop.add", TaskOptions::default(), |_, (a, b): (i64, i64)| async move {
///     anyhow::Ok(a + b)
/// })?;
///
/// let app = App::in_memory();
/// let worker = TestWorker::new(&app).registry(registry);
/// let sum = app.client().call::<i64>("shop.add", &(1, 2), &(), SendOptions::default()).await?;
/// worker.drain().await;
/// assert_eq!(sum.result().await?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Registry {
    tasks: HashMap<String, Registered>,
}

/// A task in a [`Registry`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Registered {
    /// What runs it.
    pub handler: Arc<dyn Handler>,
    /// What was declared about it.
    pub options: TaskOptions,
    /// Whether an argument is secret, so that none is shown to anybody.
    pub hides_arguments: bool,
}

/// Two tasks were given one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task `{name}` is registered twice; give one of the two another name")]
pub struct DuplicateTask {
    /// The name.
    pub name: String,
}

impl Registry {
    /// A registry without tasks.
    ///
    /// ```
    /// # use celeriac::handler::Registry;
    /// assert!(Registry::new().names().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::handler::{Failure, Handler, Output, Registry, TaskContext};
    /// # use celeriac::{protocol::Body, task::TaskOptions};
    /// # use futures::{FutureExt, future::BoxFuture};
    /// # use std::sync::Arc;
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     fn call(&self, _: TaskContext, body: Arc<Body>)
    ///     -> BoxFuture<'static, Result<Output, Failure>> {
    ///         let args = body.args::<serde_json::Value>();
    ///         async { Ok(Output::new(args.unwrap_or_default())) }.boxed()
    ///     }
    /// }
    ///
    /// let mut registry = Registry::new();
    /// registry.add("debug.echo", TaskOptions::default(), Arc::new(Echo))?;
    /// assert!(registry.add("debug.echo", TaskOptions::default(), Arc::new(Echo)).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DuplicateTask`] when the name is taken; the task that has it stays.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        options: TaskOptions,
        handler: Arc<dyn Handler>,
    ) -> Result<&mut Self, DuplicateTask> {
        let name = name.into();
        if self.tasks.contains_key(&name) {
            return Err(DuplicateTask { name });
        }
        self.tasks.insert(name, Registered { handler, options, hides_arguments: false });
        Ok(self)
    }

    /// Shows the arguments of this task to nobody: not in events, not to who asks what runs.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, task::TaskOptions};
    /// # let mut registry = Registry::new();
    /// # let login = |_, (_password,): (String,)| async { anyhow::Ok(()) };
    /// registry.add_async("user.login", TaskOptions::default(), login)?;
    /// registry.hide_arguments("user.login");
    /// assert!(registry.get("user.login").is_some_and(|task| task.hides_arguments));
    /// # Ok(())
    /// # }
    /// ```
    pub fn hide_arguments(&mut self, name: &str) -> &mut Self {
        if let Some(task) = self.tasks.get_mut(name) {
            task.hides_arguments = true;
        }
        self
    }

    /// The task of this name, if there is one.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, task::TaskOptions};
    /// # let mut registry = Registry::new();
    /// let mail = TaskOptions { queue: Some("mail".to_owned()), ..TaskOptions::default() };
    /// registry.add_async("mail.send", mail, |_, ()| async { anyhow::Ok(()) })?;
    /// assert_eq!(registry.get("mail.send").unwrap().options.queue.as_deref(), Some("mail"));
    /// assert!(registry.get("mail.sned").is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, name: &str) -> Option<&Registered> {
        self.tasks.get(name)
    }

    /// The names of all tasks, sorted.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, task::TaskOptions};
    /// # let mut registry = Registry::new();
    /// for name in ["b", "a"] {
    ///     registry.add_async(name, TaskOptions::default(), |_, ()| async { anyhow::Ok(()) })?;
    /// }
    /// assert_eq!(registry.names(), ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tasks.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// How many tasks there are.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, prelude::*};
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// # let mut registry = Registry::new();
    /// tasks![add].add_to(&mut registry)?;
    /// assert_eq!(registry.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no task.
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// # use celeriac::{handler::Registry, prelude::*};
    /// # #[task]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let mut registry = Registry::new();
    /// assert!(registry.is_empty());
    /// tasks![add].add_to(&mut registry)?;
    /// assert!(!registry.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::{Failure, Output, TaskContext};
    use crate::protocol::Body;
    use futures::future::BoxFuture;

    struct Nothing;

    impl Handler for Nothing {
        fn call(
            &self,
            _: TaskContext,
            _: Arc<Body>,
        ) -> BoxFuture<'static, Result<Output, Failure>> {
            Box::pin(async { Ok(Output::none()) })
        }
    }

    #[test]
    fn a_task_is_found_by_its_name_and_no_name_is_given_twice() {
        let mut registry = Registry::new();
        let slow = TaskOptions { queue: Some("slow".to_owned()), ..TaskOptions::default() };
        registry.add("b", TaskOptions::default(), Arc::new(Nothing)).unwrap();
        registry.add("a", slow.clone(), Arc::new(Nothing)).unwrap();

        let refused = registry.add("a", TaskOptions::default(), Arc::new(Nothing)).unwrap_err();
        assert_eq!(refused, DuplicateTask { name: "a".to_owned() });
        assert_eq!(registry.get("a").unwrap().options, slow);
        assert!(registry.get("c").is_none());
        assert_eq!(registry.names(), ["a", "b"]);
    }
}
