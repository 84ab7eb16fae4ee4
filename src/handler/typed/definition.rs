//! A task and everything a worker needs to know to run it.

use super::layer::{self, Layered, TaskLayer, TaskService};
use super::run::{Attempt, Invocation, Run};
use super::{Need, States};
use crate::handler::{Failure, Handler, TaskContext};
use crate::ids::TaskId;
use crate::protocol::{
    Body, DecodeError, Embed, EncodeError, Envelope, Format, Headers, Limits, Properties,
    Unreadable,
};
use crate::task::{ArgumentError, Given, Param, Task, TaskOptions};
use serde_json::{Map, Value};
use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

type Start = Arc<dyn Fn(Invocation) -> Result<Attempt, Failure> + Send + Sync>;

/// A task as a value: name, options, body, and the layers around it.
///
/// ```
/// use celeriac::handler::Definition;
/// use celeriac::prelude::*;
///
/// # #[task(name = "shop.add")]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// let chosen: TaskSet = [Definition::of::<add>()].into_iter().collect();
/// assert_eq!(chosen.names(), ["shop.add"]);
/// ```
#[derive(Clone)]
pub struct Definition {
    name: &'static str,
    options: TaskOptions,
    params: &'static [Param],
    needs: Vec<Need>,
    layers: Vec<TaskLayer>,
    start: Start,
    fits: fn(Given<'_>) -> Result<(), ArgumentError>,
    identity: TypeId,
}

impl Definition {
    /// The task `T`.
    ///
    /// ```
    /// # use celeriac::{handler::Definition, prelude::*};
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let task = Definition::of::<add>();
    /// assert_eq!(task.name(), "shop.add");
    /// ```
    pub fn of<T: Run>() -> Self {
        Self::new::<T>(T::needs(), TypeId::of::<T>(), Arc::new(T::start))
    }

    /// The task `T` with a body of its own. `identity` is what the body is.
    pub(super) fn new<T: Task>(needs: Vec<Need>, identity: TypeId, start: Start) -> Self {
        let (options, layers) = (T::options(), Vec::new());
        let fits = |given: Given<'_>| given.read::<T>().map(drop);
        Self { name: T::NAME, options, params: T::PARAMS, needs, layers, start, fits, identity }
    }

    /// The name under which it travels.
    ///
    /// ```
    /// # use celeriac::{handler::Definition, prelude::*};
    /// # #[derive(serde::Serialize, serde::Deserialize, Message)]
    /// # #[message(name = "img.crop")]
    /// # struct Crop { width: u32 }
    /// # async fn crop(job: Crop) -> anyhow::Result<()> { Ok(()) }
    /// let set = TaskSet::new().handler(crop);
    /// assert!(set.distinct().any(|task| task.name() == "img.crop"));
    /// ```
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the code declares about it.
    ///
    /// ```
    /// # use celeriac::{handler::Definition, prelude::*};
    /// # use std::time::Duration;
    /// #[task(queue = "sums", time_limit = "30s")]
    /// async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
    ///     Ok(a + b)
    /// }
    ///
    /// let task = Definition::of::<add>();
    /// assert_eq!(task.options().queue.as_deref(), Some("sums"));
    /// assert_eq!(task.options().time_limit, Some(Duration::from_secs(30)));
    /// ```
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// What a caller passes.
    ///
    /// ```
    /// # use celeriac::{handler::Definition, prelude::*};
    /// #[task]
    /// async fn add(ctx: Ctx, a: i64, #[arg(default)] b: i64) -> anyhow::Result<i64> {
    ///     Ok(a + b + i64::from(ctx.attempt()))
    /// }
    ///
    /// let params = Definition::of::<add>().params();
    /// assert_eq!((params[0].name, params[0].kind), ("a", "i64"));
    /// assert!(params[1].has_default);
    /// ```
    pub fn params(&self) -> &'static [Param] {
        self.params
    }

    /// Whether a call with these arguments, written in `format`, is one that the task can read.
    pub(crate) fn fits(
        &self,
        format: Format,
        args: &[Value],
        kwargs: &Map<String, Value>,
    ) -> Result<(), ArgumentError> {
        let unwritten =
            |error: EncodeError| DecodeError { place: String::new(), message: error.to_string() };
        let bytes = Body::encode(format, args, kwargs, &Embed::default()).map_err(unwritten)?;
        let content_type = Some(format.content_type().to_owned());
        let envelope = Envelope {
            properties: Properties { content_type, ..Properties::default() },
            headers: Headers::new(self.name, TaskId::random()),
            body: bytes.into(),
        };
        let unreadable =
            |error: Unreadable| DecodeError { place: String::new(), message: error.to_string() };
        let body = Body::parse(&envelope, &Limits::default()).map_err(unreadable)?;
        (self.fits)(Given::new(self.name, &body))
    }

    /// What the worker must be given for it.
    ///
    /// ```
    /// # use celeriac::{handler::{Definition, Need}, prelude::*};
    /// # #[task]
    /// # async fn load(State(url): State<String>, id: u64) -> anyhow::Result<()> { Ok(()) }
    /// assert_eq!(Definition::of::<load>().needs(), [Need::state::<String>()]);
    /// ```
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Puts a tower layer around it, outside of those it has.
    ///
    /// ```
    /// # use celeriac::{handler::{Definition, TaskService}, prelude::*};
    /// # #[task(name = "shop.add")]
    /// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
    /// let around = tower::layer::layer_fn(|inner: TaskService| inner);
    /// let task = Definition::of::<add>().layer(around);
    /// assert_eq!(task.name(), "shop.add");
    /// ```
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: layer::Surrounds,
    {
        self.layers.push(layer::erase(layer));
        self
    }

    /// The same, with layers outside of those it has.
    pub(super) fn surrounded(mut self, layers: &[TaskLayer]) -> Self {
        self.layers.extend_from_slice(layers);
        self
    }

    /// Whether both are the same task with the same body.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity && self.name == other.name
    }

    /// What runs it.
    pub(super) fn handler(&self, states: &Arc<States>) -> Arc<dyn Handler> {
        let plain = Plain { start: Arc::clone(&self.start), states: Arc::clone(states) };
        if self.layers.is_empty() {
            return Arc::new(plain);
        }
        let inner = layer::service(Arc::new(plain));
        let surround = |service: TaskService, layer: &TaskLayer| layer(service);
        Arc::new(Layered(self.layers.iter().fold(inner, surround)))
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut definition = f.debug_struct("Definition");
        definition.field("name", &self.name).field("options", &self.options);
        definition.field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// A task without layers.
struct Plain {
    start: Start,
    states: Arc<States>,
}

impl Handler for Plain {
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> Attempt {
        let invocation = Invocation::new(cx, body, Arc::clone(&self.states));
        match (self.start)(invocation) {
            Ok(attempt) => attempt,
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        }
    }
}
