//! Typed tasks from a body to their end.

use super::*;
use crate::handler::testing::{body, context, error, rejection, value};
use crate::handler::{Discard, Failure, Output, Registry, TaskError};
use crate::protocol::Format;
use crate::task::TaskOptions;
use celeriac::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use tower::layer::layer_fn;

/// Adds.
#[task(
    name = "shop.add",
    queue = "sums",
    max_retries = 5,
    backoff = "10s..1h",
    rate = "30/m",
    time_limit = "1m 30s",
    soft_time_limit = "25s",
    ack = "early",
    ignore_result
)]
async fn add(a: i64, #[arg(default = 10)] b: i64) -> anyhow::Result<i64> {
    Ok(a + b)
}

#[task]
fn blocking(
    #[arg(rename = "text", alias = "txt")] words: String,
    times: usize,
) -> Result<String, Failure> {
    Ok(words.repeat(times))
}

#[task(name = "all.at.once", kwargs)]
async fn supplied(
    ctx: Ctx,
    State(prefix): State<&'static str>,
    #[extract] progress: Progress,
    mut n: u32,
    #[arg(default)] note: Option<String>,
) -> anyhow::Result<(String, u32)> {
    progress.share(0.5, "half");
    n += ctx.attempt();
    Ok((format!("{prefix}{}", note.unwrap_or_default()), n))
}

#[derive(Debug, thiserror::Error)]
#[error("no such user")]
struct NoUser(#[source] Option<std::io::Error>);

#[derive(Debug, thiserror::Error)]
#[error("mailing")]
struct Mailing(#[source] std::io::Error);

#[task(retry_on = [std::io::Error], give_up_on = [NoUser])]
async fn failing(how: String) -> anyhow::Result<()> {
    use anyhow::Context;
    match how.as_str() {
        "io" => Err(Mailing(std::io::Error::other("gone")).into()),
        "user" => Err(NoUser(None)).context("looking up"),
        "discard" => Err(Discard::because("bounced").into()),
        "both" => Err(NoUser(Some(std::io::Error::other("gone"))).into()),
        "letter" => Err(DeadLetter::because("nonsense").into()),
        _ => anyhow::bail!("something else"),
    }
}

#[task]
async fn nothing() {}

#[task]
async fn later(ctx: Ctx, count: bool) -> anyhow::Result<u8> {
    if count { ctx.retry(Duration::from_secs(2)) } else { ctx.snooze(Duration::from_secs(3)) }
}

fn set() -> TaskSet {
    tasks![add, blocking, supplied, failing, nothing, later].state("p-")
}

fn registry(set: &TaskSet) -> Registry {
    let mut registry = Registry::new();
    set.add_to(&mut registry).unwrap();
    registry
}

async fn call_in(set: &TaskSet, task: &str, args: Value, kwargs: Value) -> Result<Output, Failure> {
    let registry = registry(set);
    let handler = &registry.get(task).unwrap().handler;
    handler.call(context(task, "1"), body(Format::MessagePack, &args, &kwargs)).await
}

async fn call(task: &str, args: Value, kwargs: Value) -> Result<Output, Failure> {
    call_in(&set(), task, args, kwargs).await
}

const HERE: &str = "celeriac.handler.typed.tests";

#[tokio::test]
async fn a_function_runs_with_its_arguments_and_what_the_worker_supplies() {
    let path = |name: &str| format!("{HERE}.{name}");
    for (task, args, kwargs, expected) in [
        ("shop.add".to_owned(), json!([2, 3]), json!({}), json!(5)),
        ("shop.add".to_owned(), json!([2]), json!({}), json!(12)),
        (path("blocking"), json!(["ab", 2]), json!({}), json!("abab")),
        (path("blocking"), json!([]), json!({"txt": "ab", "times": 1}), json!("ab")),
        ("all.at.once".to_owned(), json!([1]), json!({}), json!(["p-", 2])),
        ("all.at.once".to_owned(), json!([]), json!({"n": 4, "note": "x"}), json!(["p-x", 5])),
        (path("nothing"), json!([]), json!({}), json!(null)),
    ] {
        assert_eq!(value(call(&task, args, kwargs).await), expected, "{task}");
    }
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_rejected_by_the_name_of_the_argument() {
    for (args, said) in [
        (json!([]), "shop.add() is missing argument `a` (i64)"),
        (json!([1, 2, 3]), "shop.add() takes 2 positional arguments, 3 were given"),
        (json!(["one"]), "argument `a`: text is not the type that is wanted here"),
    ] {
        let error = rejection(call("shop.add", args, json!({})).await);
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("ArgumentError", said));
    }
}

#[tokio::test]
async fn an_error_is_named_after_the_type_that_the_policy_names() {
    let task = format!("{HERE}.failing");
    let io = std::any::type_name::<std::io::Error>();
    for (how, kind) in
        [("io", io), ("user", std::any::type_name::<NoUser>()), ("other", "anyhow::Error")]
    {
        let error = error(call(&task, json!([how]), json!({})).await);
        assert_eq!(error.kind, kind);
        let policy = registry(&set()).get(&task).unwrap().options.retry.clone();
        assert_eq!(policy.covers(&error.kind), how == "io", "{how}");
    }
}

#[tokio::test]
async fn a_task_may_say_itself_what_follows() {
    let (failing, later) = (format!("{HERE}.failing"), format!("{HERE}.later"));
    let ended = call(&failing, json!(["discard"]), json!({})).await.unwrap_err();
    assert_eq!(ended, Failure::Discard(TaskError::new("Discarded", "bounced")));
    let ended = call(&failing, json!(["letter"]), json!({})).await.unwrap_err();
    assert_eq!(ended, Failure::Reject(TaskError::new("DeadLetter", "nonsense")));
    let ended = call(&later, json!([false]), json!({})).await.unwrap_err();
    assert_eq!(ended, Failure::Snooze { after: Duration::from_secs(3) });
    let ended = call(&later, json!([true]), json!({})).await.unwrap_err();
    let Failure::Retry { after, .. } = ended else { panic!("{ended:?}") };
    assert_eq!(after, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn a_body_is_called_directly_without_any_worker() {
    assert_eq!(add::run(2, 3).await.unwrap(), 5);
    assert_eq!(blocking::run("ab".to_owned(), 2).unwrap(), "abab");
}

#[test]
fn the_attribute_declares_options() {
    let options = <add as Task>::options();
    assert_eq!(<add as Task>::NAME, "shop.add");
    assert_eq!(options.queue.as_deref(), Some("sums"));
    assert_eq!(options.retry.max_retries, Some(5));
    assert_eq!(options.retry.backoff.first, Duration::from_secs(10));
    assert_eq!(options.retry.backoff.max, Duration::from_secs(3600));
    assert_eq!(options.time_limit, Some(Duration::from_secs(90)));
    assert_eq!(options.soft_limit, Some(Duration::from_secs(25)));
    assert_eq!(options.rate, Some(0.5));
    assert!(options.acknowledge_early && options.ignore_result);
    assert_eq!(<nothing as Task>::options(), TaskOptions::default());
}

#[test]
fn a_call_is_written_by_position_or_by_name() {
    let (signature, _) = add(1, 2).into_signature().unwrap();
    assert_eq!(signature.args, [1.into(), 2.into()]);
    assert!(signature.kwargs.is_empty());
    let (signature, _) = supplied(3, None).into_signature().unwrap();
    assert!(signature.args.is_empty());
    assert_eq!(signature.kwargs["n"], 3.into());
    let (step, _) = add::partial(7).into_signature().unwrap();
    assert_eq!((step.task.as_str(), &step.args[..]), ("shop.add", &[7.into()][..]));
}

#[test]
fn what_is_missing_or_doubled_is_found_before_anything_runs() {
    #[task(name = "shop.add")]
    async fn other() {}

    let report = tasks![add, supplied, add].check().unwrap_err().to_string();
    assert_eq!(
        report,
        "the worker cannot start:\n  task `all.at.once` needs State<&str> but the worker was not \
         given one; add `.state(..)`"
    );
    let report = tasks![add, other].check().unwrap_err();
    assert_eq!(report.0, [Finding::Duplicate { name: "shop.add".to_owned() }]);
    let mut taken = registry(&tasks![other]);
    assert!(tasks![add].add_to(&mut taken).is_err());
}

#[derive(Debug, serde::Serialize, serde::Deserialize, Message)]
#[message(name = "img.resize", output = u64, queue = "img")]
struct Resize {
    width: u64,
}

async fn resize(State(factor): State<u64>, ctx: Ctx, job: Resize) -> anyhow::Result<u64> {
    Ok(job.width * factor + u64::from(ctx.attempt()))
}

#[tokio::test]
async fn a_plain_function_that_takes_a_message_is_a_task() {
    let set = TaskSet::new().handler(resize).state(10_u64);
    assert_eq!(<Resize as Task>::options().queue.as_deref(), Some("img"));
    let ended = call_in(&set, "img.resize", json!([]), json!({"width": 2})).await;
    assert_eq!(value(ended), json!(21));
    let error = rejection(call_in(&set, "img.resize", json!([]), json!({"widht": 2})).await);
    assert!(error.message.contains("`widht`; it takes width"), "{error}");
    assert_eq!(TaskSet::new().handler(resize).check().unwrap_err().0.len(), 1);
}

#[derive(Debug, serde::Serialize, serde::Deserialize, Message)]
#[message(name = "img.fetch", retry_on = [std::io::Error], give_up_on = [NoUser])]
struct Fetch {
    how: String,
}

async fn fetch(job: Fetch) -> anyhow::Result<()> {
    failing::run(job.how).await
}

#[tokio::test]
async fn an_error_of_a_plain_function_is_named_after_the_type_that_its_message_names() {
    let set = TaskSet::new().handler(fetch);
    let policy = <Fetch as Task>::options().retry;
    let (io, user) = (std::any::type_name::<std::io::Error>(), std::any::type_name::<NoUser>());
    for (how, kind) in [("io", io), ("user", user), ("both", user), ("other", "anyhow::Error")] {
        let error = error(call_in(&set, "img.fetch", json!([]), json!({"how": how})).await);
        assert_eq!(error.kind, kind);
        assert_eq!(policy.covers(&error.kind), how == "io", "{how}");
    }
}

/// Adds its name to the request's headers, or refuses.
#[derive(Clone)]
struct Tag<S> {
    inner: S,
    tag: &'static str,
}

impl<S: tower::Service<TaskRequest, Response = Output, Error = BoxError>>
    tower::Service<TaskRequest> for Tag<S>
{
    type Response = Output;
    type Error = BoxError;
    type Future = futures::future::Either<S::Future, std::future::Ready<Result<Output, BoxError>>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: TaskRequest) -> Self::Future {
        if self.tag == "refuse" {
            let refused = Err(BoxError::from("closed today"));
            return futures::future::Either::Right(std::future::ready(refused));
        }
        let mut headers = crate::protocol::Headers::clone(&request.cx.headers);
        let seen = headers.shadow.take().unwrap_or_default();
        headers.shadow = Some(seen + self.tag);
        request.cx.headers = headers.into();
        futures::future::Either::Left(self.inner.call(request))
    }
}

fn tag(tag: &'static str) -> impl Surrounds {
    layer_fn(move |inner: TaskService| Tag { inner, tag })
}

#[task(name = "tags")]
async fn tags(ctx: Ctx) -> anyhow::Result<Option<String>> {
    anyhow::ensure!(ctx.headers.shadow.is_some(), Failure::error("Untagged", "no tag"));
    Ok(ctx.headers.shadow.clone())
}

#[tokio::test]
async fn layers_surround_a_task_from_its_own_outwards() {
    let inner = TaskSet::new().register_with::<tags>(|task| task.layer(tag("a"))).layer(tag("b"));
    let set = TaskSet::new().with(inner).layer(tag("c"));
    assert_eq!(value(call_in(&set, "tags", json!([]), json!({})).await), json!("cba"));

    let closed = TaskSet::new().register::<tags>().layer(tag("refuse"));
    let error = error(call_in(&closed, "tags", json!([]), json!({})).await);
    assert_eq!(error, TaskError::new("LayerError", "closed today"));
}

#[tokio::test]
async fn a_failure_passes_through_layers_unchanged() {
    let through = layer_fn(|inner: TaskService| inner);
    let set = TaskSet::new().register::<tags>().layer(through);
    let error = error(call_in(&set, "tags", json!([]), json!({})).await);
    assert_eq!(error, TaskError::new("Untagged", "no tag"));
}

#[test]
fn linked_tasks_are_found_without_being_named() {
    let names = TaskSet::linked().names();
    assert!(names.contains(&"all.at.once") && names.contains(&"tags"), "{names:?}");
}
