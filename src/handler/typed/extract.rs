//! What a task is supplied with besides its arguments.

use super::Invocation;
use crate::handler::{Failure, Progress, TaskContext, TaskError};
use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A parameter that the worker supplies, and no caller passes.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

/// A type of [`State`] that a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    id: TypeId,
    name: &'static str,
}

/// Everything that a worker was given, one of each type.
#[derive(Clone, Default)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Need {
    /// The state `State<T>`.
    pub fn state<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// The path of the type.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl States {
    /// Adds a value, or replaces the one of its type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of type `T`.
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    /// Whether what is needed is there.
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
