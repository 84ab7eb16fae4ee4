//! Tower layers around tasks.

use super::Attempt;
use crate::handler::{Failure, Handler, Output, TaskContext, TaskError};
use crate::protocol::Body;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::util::{BoxCloneSyncService, ServiceExt};
use tower::{Layer, Service};

/// The error of a layered task. A [`Failure`] in it is found again.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A task as a tower service: what a layer is put around.
///
/// ```
/// use celeriac::handler::{Surrounds, TaskService};
/// use tower::{ServiceBuilder, layer::layer_fn};
///
/// fn around() -> impl Surrounds {
///     ServiceBuilder::new().layer(layer_fn(|inner: TaskService| inner)).into_inner()
/// }
/// # let _ = around();
/// ```
pub type TaskService = BoxCloneSyncService<TaskRequest, Output, BoxError>;

/// One attempt, as layers see it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::handler::{TaskRequest, TaskService};
/// use celeriac::prelude::*;
/// # use celeriac::testing::TestWorker;
/// use tower::{ServiceExt, layer::layer_fn};
///
/// #[task(name = "queue.of")]
/// async fn queue_of(ctx: Ctx) -> anyhow::Result<String> {
///     Ok(ctx.queue.to_string())
/// }
///
/// let renamed = layer_fn(|inner: TaskService| {
///     inner.map_request(|mut request: TaskRequest| {
///         request.cx.queue = "another".into();
///         request
///     })
/// });
/// # let app = App::in_memory();
/// let worker = TestWorker::new(&app).register::<queue_of>().layer(renamed);
/// let queue = queue_of().delay(&app).await?;
/// # worker.drain().await;
/// assert_eq!(queue.await?, "another");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TaskRequest {
    /// The surroundings of the attempt.
    pub cx: TaskContext,
    /// The message's arguments, not yet decoded.
    pub body: Arc<Body>,
}

/// A layer whose type is forgotten.
pub(super) type TaskLayer = Arc<dyn Fn(TaskService) -> TaskService + Send + Sync>;

/// Layers that can be put around a task: whatever keeps request and response, and has an error
/// that can be boxed.
///
/// ```
/// use celeriac::handler::{Surrounds, TaskRequest, TaskService};
/// use tower::{ServiceExt, layer::layer_fn};
///
/// fn logged() -> impl Surrounds {
///     layer_fn(|inner: TaskService| {
///         inner.map_request(|request: TaskRequest| {
///             tracing::info!(id = %request.cx.id(), "begins");
///             request
///         })
///     })
/// }
///
/// # use celeriac::prelude::*;
/// # #[task]
/// # async fn add(a: i64, b: i64) -> anyhow::Result<i64> { Ok(a + b) }
/// let set = tasks![add].layer(logged());
/// # assert!(set.check().is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put around a task",
    note = "it must be a `tower::Layer<TaskService>` whose service answers a `TaskRequest` with an \
            `Output`, is Clone + Send + Sync, and has an error that is `Into<BoxError>`"
)]
pub trait Surrounds: Send + Sync + 'static {
    /// Puts the layer around a service.
    #[doc(hidden)]
    fn surround(&self, inner: TaskService) -> TaskService;
}

#[diagnostic::do_not_recommend]
impl<L, S> Surrounds for L
where
    L: Layer<TaskService, Service = S> + Send + Sync + 'static,
    S: Service<TaskRequest, Response = Output, Future: Send + 'static>,
    S: Clone + Send + Sync + 'static,
    S::Error: Into<BoxError> + 'static,
{
    fn surround(&self, inner: TaskService) -> TaskService {
        BoxCloneSyncService::new(self.layer(inner).map_err(Into::into))
    }
}

pub(super) fn erase(layer: impl Surrounds) -> TaskLayer {
    Arc::new(move |inner| layer.surround(inner))
}

/// A handler as the innermost service.
pub(super) fn service(handler: Arc<dyn Handler>) -> TaskService {
    BoxCloneSyncService::new(Innermost(handler).map_err(Into::into))
}

#[derive(Clone)]
struct Innermost(Arc<dyn Handler>);

impl Service<TaskRequest> for Innermost {
    type Response = Output;
    type Error = Failure;
    type Future = Attempt;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TaskRequest) -> Attempt {
        self.0.call(request.cx, request.body)
    }
}

/// A task with its layers.
pub(super) struct Layered(pub(super) TaskService);

impl Handler for Layered {
    fn call(&self, cx: TaskContext, body: Arc<Body>) -> Attempt {
        let ended = self.0.clone().oneshot(TaskRequest { cx, body });
        Box::pin(async move { ended.await.map_err(failure) })
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layered(..)")
    }
}

/// What the error of a layer means: the task's own failure if it is one.
fn failure(error: BoxError) -> Failure {
    let error = match error.downcast::<Failure>() {
        Ok(failure) => return *failure,
        Err(error) => error,
    };
    match error.downcast::<TaskError>() {
        Ok(error) => Failure::Error(*error),
        Err(error) => Failure::error("LayerError", error.to_string()),
    }
}
