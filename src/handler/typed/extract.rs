//! What a task is supplied with besides its arguments.

use super::Invocation;
use crate::handler::{Failure, Progress, TaskContext, TaskError};
use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A parameter that the worker supplies, and no caller passes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::handler::{Extract, Invocation};
/// use celeriac::prelude::*;
/// use celeriac::protocol::HeaderValue;
/// # use celeriac::testing::TestWorker;
///
/// struct Tenant(String);
///
/// impl Extract for Tenant {
///     fn extract(from: &Invocation) -> Result<Self, Failure> {
///         match from.context().headers.extra.get("tenant") {
///             Some(HeaderValue::Text(name)) => Ok(Self(name.clone())),
///             _ => Err(Failure::argument("no tenant is named")),
///         }
///     }
/// }
///
/// #[task(name = "shop.bill")]
/// async fn bill(Tenant(name): Tenant, order: u64) -> anyhow::Result<String> {
///     Ok(format!("{order} of {name}"))
/// }
///
/// # let app = App::in_memory();
/// # let worker = TestWorker::new(&app).register::<bill>();
/// let billed = bill(7).header("tenant", "acme").delay(&app).await?;
/// # worker.drain().await;
/// assert_eq!(billed.await?, "7 of acme");
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a worker can supply",
    label = "expected `Ctx`, `State<T>`, `Progress`, `CancelToken` or another `Extract`",
    note = "a parameter with a plain name and without `#[extract]` is an argument that the caller \
            passes"
)]
pub trait Extract: Sized + Send + 'static {
    /// Takes it from the surroundings of one attempt.
    ///
    /// # Errors
    ///
    /// When it is not there; the attempt then ends so.
    fn extract(from: &Invocation) -> Result<Self, Failure>;

    /// What the worker must have been given, for the check at its start.
    fn needs() -> Vec<Need> {
        Vec::new()
    }
}

/// Something of one type, given to the worker once and handed to every task that asks for it.
///
/// It is cloned for each attempt: give an `Arc`, or something that is one inside, such as a pool.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::prelude::*;
/// use std::sync::Arc;
/// # use celeriac::testing::TestWorker;
///
/// struct Rates {
///     euro: f64,
/// }
///
/// #[task(name = "shop.in_euro")]
/// async fn in_euro(State(rates): State<Arc<Rates>>, amount: f64) -> anyhow::Result<f64> {
///     Ok(amount * rates.euro)
/// }
///
/// # let app = App::in_memory();
/// let worker = TestWorker::new(&app).register::<in_euro>().state(Arc::new(Rates { euro: 0.5 }));
/// let euro = in_euro(3.0).delay(&app).await?;
/// # worker.drain().await;
/// assert_eq!(euro.await?, 1.5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

/// A type of [`State`] that a task needs.
///
/// ```
/// use celeriac::handler::Need;
///
/// assert_eq!(Need::state::<String>().name(), "alloc::string::String");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    id: TypeId,
    name: &'static str,
}

/// Everything that a worker was given, one of each type.
///
/// ```
/// use celeriac::handler::States;
///
/// let mut states = States::default();
/// states.insert("us@example.org");
/// assert_eq!(states.get::<&str>(), Some("us@example.org"));
/// ```
#[derive(Clone, Default)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Need {
    /// The state `State<T>`.
    ///
    /// ```
    /// # use celeriac::handler::Need;
    /// assert_eq!(Need::state::<u64>(), Need::state::<u64>());
    /// assert_ne!(Need::state::<u64>(), Need::state::<i64>());
    /// ```
    pub fn state<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// The path of the type.
    ///
    /// ```
    /// # use celeriac::handler::Need;
    /// assert_eq!(Need::state::<u64>().name(), "u64");
    /// ```
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl States {
    /// Adds a value, or replaces the one of its type.
    ///
    /// ```
    /// # use celeriac::handler::States;
    /// let mut states = States::default();
    /// states.insert(1_u64);
    /// states.insert(2_u64);
    /// assert_eq!(states.get(), Some(2_u64));
    /// ```
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of type `T`.
    ///
    /// ```
    /// # use celeriac::handler::States;
    /// let mut states = States::default();
    /// states.insert(7_u64);
    /// assert_eq!(states.get::<u64>(), Some(7));
    /// assert_eq!(states.get::<i64>(), None);
    /// ```
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    /// Whether what is needed is there.
    ///
    /// ```
    /// # use celeriac::handler::{Need, States};
    /// let mut states = States::default();
    /// states.insert(7_u64);
    /// assert!(states.has(&Need::state::<u64>()) && !states.has(&Need::state::<String>()));
    /// ```
    pub fn has(&self, need: &Need) -> bool {
        self.0.contains_key(&need.id)
    }

    /// Adds what `other` has and this has not.
    pub(super) fn complete(&mut self, other: Self) {
        for (id, value) in other.0 {
            self.0.entry(id).or_insert(value);
        }
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

impl<T: Clone + Send + Sync + 'static> Extract for State<T> {
    fn extract(from: &Invocation) -> Result<Self, Failure> {
        from.states().get().map(Self).ok_or_else(|| {
            let message = format!("the worker was not given a State<{}>", type_name::<T>());
            Failure::Error(TaskError::new("MissingState", message))
        })
    }

    fn needs() -> Vec<Need> {
        vec![Need::state::<T>()]
    }
}

impl Extract for TaskContext {
    fn extract(from: &Invocation) -> Result<Self, Failure> {
        Ok(from.context().clone())
    }
}

impl Extract for Progress {
    fn extract(from: &Invocation) -> Result<Self, Failure> {
        Ok(from.context().progress.clone())
    }
}

impl Extract for CancellationToken {
    fn extract(from: &Invocation) -> Result<Self, Failure> {
        Ok(from.context().cancel.clone())
    }
}
