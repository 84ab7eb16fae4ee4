//! One suite, run over every backend.

use super::Store;
use crate::rig::{PATIENCE, Process, Rig, Running, add, config, eventually};
use celeriac::app::App;
use celeriac::canvas::{Canvas, chord};
use celeriac::client::ResultError;
use celeriac::config::Config;
use celeriac::handler::{Failure, Output, Registry, TaskError};
use celeriac::protocol::{Format, Signature, StoredResult, TaskState};
use celeriac::publisher::SendOptions;
use celeriac::results::{Backend, Document, ResultBackend, ResultFormat};
use celeriac::topology::QueueKind;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

fn registry() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "sum", |_, body| {
        Box::pin(async move {
            let (a, b): (i64, i64) = body.args().unwrap();
            Ok(Output::new(a + b))
        })
    });
    add(&mut registry, "total", |_, body| {
        Box::pin(async move {
            let (numbers,): (Vec<i64>,) = body.args().unwrap();
            Ok(Output::new(numbers.into_iter().sum::<i64>()))
        })
    });
    add(&mut registry, "echo", |_, body| {
        Box::pin(async move {
            let (value,): (Value,) = body.args().unwrap();
            Ok(Output::new(value))
        })
    });
    add(&mut registry, "broken", |_, _| {
        Box::pin(async {
            let error = TaskError {
                detail: Some("line 1".to_owned()),
                ..TaskError::new("Broken", "for good")
            };
            Err(Failure::Reject(error))
        })
    });
    add(&mut registry, "flaky", |cx, _| {
        Box::pin(async move {
            match cx.headers.retries {
                0 => Err(Failure::Retry {
                    after: Some(Duration::from_millis(250)),
                    error: TaskError::new("Flaky", "not yet"),
                }),
                retries => Ok(Output::new(retries)),
            }
        })
    });
    registry
}

/// A worker, a client and a store; the store is gone with the test.
struct Bench {
    running: Running,
    config: Config,
    store: Store,
    rig: Rig,
}

impl Bench {
    async fn start(backend: Backend, change: impl FnOnce(&mut Config)) -> Option<Self> {
        let store = Store::start(backend).await?;
        let rig = Rig::start().await;
        let mut config = config(&rig.url(), QueueKind::Classic);
        store.configure(&mut config);
        change(&mut config);
        let running = Running::with(config.clone(), registry()).await;
        Some(Self { running, config, store, rig })
    }

    fn keeps(&self) -> bool {
        self.store.backend != Backend::Rpc
    }

    /// The real program, with the same store.
    async fn celeriac(&self, arguments: &[&str]) -> Process {
        let results = format!(
            "[broker]\nurl = \"{{url}}\"\n[results]\nbackend = \"{}\"\nurl = \"{}\"\n",
            self.store.backend, self.store.url
        );
        self.rig.celeriac(arguments, &results).await
    }

    /// Another program that knows nothing but the id.
    async fn elsewhere(&self) -> App {
        App::connect(self.config.clone()).await.unwrap()
    }
}

async fn values_come_back(backend: Backend) {
    for format in [ResultFormat::Auto, ResultFormat::Json, ResultFormat::Msgpack] {
        let start = Bench::start(backend, |config| config.results.format = format).await;
        let Some(bench) = start else { return };
        let sum = bench.running.call::<i64>("sum", &(2, 3)).await;
        assert_eq!(sum.timeout(PATIENCE).await.unwrap(), 5);
        let value = json!({"text": "ä\u{0}\"", "list": [1, -2, 3.5, null], "big": u64::MAX});
        let echo = bench.running.call::<Value>("echo", &(&value,)).await;
        let id = echo.id().clone();
        assert_eq!(echo.timeout(PATIENCE).await.unwrap(), value);
        if bench.keeps() {
            let mut doctor = bench.celeriac(&["doctor"]).await;
            doctor.until(&format!("{backend} answered in")).await;
            let other = bench.elsewhere().await;
            let late = other.result::<Value>(id.clone());
            assert_eq!(late.state().await.unwrap(), TaskState::Success);
            assert_eq!(late.timeout(PATIENCE).await.unwrap(), value);
            let wrong = other.result::<bool>(id.clone()).timeout(PATIENCE).await.unwrap_err();
            assert!(matches!(&wrong, ResultError::Decode { wanted: "bool", .. }), "{wrong}");
            other.result::<Value>(id.clone()).forget().await.unwrap();
            let forgotten = other.result::<Value>(id);
            assert_eq!(forgotten.state().await.unwrap(), TaskState::Pending);
            assert!(forgotten.latest().await.unwrap().is_none());
            other.close().await;
        }
        bench.running.stop().await;
    }
}

async fn whoever_waits_before_the_end_is_told_elsewhere_too(backend: Backend) {
    let Some(bench) = Bench::start(backend, |_| ()).await else { return };
    let other = bench.elsewhere().await;
    let id = celeriac::ids::TaskId::random();
    let waiting = other.result::<i64>(id.clone());
    if !bench.keeps() {
        let never = waiting.wait().await.unwrap_err();
        assert!(matches!(never, ResultError::NotKept { .. }), "{never}");
        return bench.running.stop().await;
    }
    assert_eq!(waiting.state().await.unwrap(), TaskState::Pending);
    let client = bench.running.app.client();
    let call = client.call::<i64>("sum", &(20, 22), &(), SendOptions::default().id(id));
    let handle = call.await.unwrap();
    assert_eq!(waiting.timeout(PATIENCE).await.unwrap(), 42);
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 42);
    bench.running.stop().await;
}

async fn errors_and_retries_are_told(backend: Backend) {
    let Some(bench) = Bench::start(backend, |_| ()).await else { return };
    let broken = bench.running.call::<i64>("broken", &()).await;
    let ResultError::Failed { state, exception, traceback, .. } =
        broken.timeout(PATIENCE).await.unwrap_err()
    else {
        panic!("no failure")
    };
    assert_eq!((state, exception.kind.as_str()), (TaskState::Failure, "Broken"));
    assert_eq!((exception.text().as_str(), traceback.as_deref()), ("for good", Some("line 1")));
    let mut flaky = bench.running.call::<u32>("flaky", &()).await;
    // The retry waits a quarter of a second, so that this document is not skipped.
    assert_eq!(flaky.next().await.state, TaskState::Retry);
    assert_eq!(flaky.timeout(PATIENCE).await.unwrap(), 1);
    bench.running.stop().await;
}

async fn a_document_says_what_is_asked_for(backend: Backend) {
    let start = Bench::start(backend, |config| {
        config.results.extended = true;
        config.results.track_started = true;
        config.worker.name = "here".to_owned();
    });
    let Some(bench) = start.await else { return };
    let client = bench.running.app.client();
    let mut options = SendOptions::default();
    options = options.id("the-task");
    let mut handle = client.call::<Value>("echo", &("x",), &(), options).await.unwrap();
    let mut last = handle.next().await;
    while !last.state.is_ready() {
        assert_eq!(last.state, TaskState::Started);
        let place: Value = last.result.decode().unwrap();
        assert_eq!(place, json!({"pid": std::process::id(), "hostname": "here"}));
        last = handle.next().await;
    }
    let text = |key: &str| last.extra[key].as_str().map(str::to_owned);
    assert_eq!(text("name").as_deref(), Some("echo"));
    assert_eq!(text("worker").as_deref(), Some("here"));
    assert_eq!(last.extra["retries"].as_u64(), Some(0));
    assert_eq!(last.extra["args"].to_string(), r#"["x"]"#);
    assert!(last.date_done.is_some());
    bench.running.stop().await;
}

async fn nothing_is_kept_of_what_nobody_wants(backend: Backend) {
    let Some(bench) = Bench::start(backend, |_| ()).await else { return };
    let client = bench.running.app.client();
    let ignored = client.send("sum", &(1, 1), &(), SendOptions::default()).await.unwrap();
    // By the time the second is done, one queue, so is the first.
    let second = bench.running.call::<i64>("sum", &(1, 2)).await;
    assert_eq!(second.timeout(PATIENCE).await.unwrap(), 3);
    if bench.keeps() {
        let state = bench.running.app.result::<i64>(ignored.id).state().await.unwrap();
        assert_eq!(state, TaskState::Pending);
    }
    bench.running.stop().await;
}

async fn a_thousand_wait_at_once(backend: Backend) {
    let Some(bench) = Bench::start(backend, |_| ()).await else { return };
    let running = &bench.running;
    let calls =
        (0..1000_i64).map(|n| async move { (n, running.call::<i64>("sum", &(n, 1)).await) });
    let handles: Vec<_> = futures::stream::iter(calls).buffer_unordered(100).collect().await;
    let waits = handles.into_iter().map(|(n, handle)| async move {
        assert_eq!(handle.timeout(PATIENCE).await.unwrap(), n + 1);
    });
    assert_eq!(waits.collect::<FuturesUnordered<_>>().count().await, 1000);
    bench.running.stop().await;
}

async fn chords_are_joined(backend: Backend) {
    let Some(bench) = Bench::start(backend, |_| ()).await else { return };
    let add = |n: i64| Canvas::from(Signature::call("sum", &(n, 1)).unwrap());
    let inner = |n| chord((n..n + 10).map(add), Signature::new("total"));
    let outer = chord((0..5).map(|n| inner(10 * n)), Signature::new("total"));
    let handle = bench.running.app.client().apply::<i64>(outer).await.unwrap();
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), (1..=50).sum::<i64>());
    bench.running.stop().await;
}

/// A document as a worker would store it.
fn document(id: &str, state: TaskState, value: i64) -> Document {
    let result = StoredResult {
        date_done: Some(celeriac::clock::to_iso(SystemTime::UNIX_EPOCH)),
        ..StoredResult::state(id.into(), state.clone(), value)
    };
    let body = result.encode(Format::Json).unwrap().into();
    Document { task_id: id.into(), state, reply_to: None, format: Format::Json, body }
}

async fn value(backend: &dyn ResultBackend, id: &str) -> Option<i64> {
    let latest = backend.latest(&id.into()).await.unwrap();
    latest.map(|result| result.result.decode().unwrap())
}

async fn the_first_success_stays(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let store = store.open(DAY);
    for (state, told, kept) in [
        (TaskState::Retry, 1, 1),
        (TaskState::Failure, 2, 2),
        (TaskState::Started, 3, 3),
        (TaskState::Success, 4, 4),
        (TaskState::Success, 5, 4),
        (TaskState::Failure, 6, 4),
    ] {
        store.store(&document("t", state, told)).await.unwrap();
        assert_eq!(value(&*store, "t").await, Some(kept));
    }
}

async fn what_has_expired_is_gone_and_removed(backend: Backend) {
    let Some(keeper) = Store::start(backend).await else { return };
    let store = keeper.open(Duration::from_millis(300));
    let lasting = keeper.open(Duration::ZERO);
    for n in 0..700 {
        store.store(&document(&format!("t{n}"), TaskState::Success, n)).await.unwrap();
    }
    lasting.store(&document("for ever", TaskState::Success, -1)).await.unwrap();
    eventually("the last one expires", async || value(&*store, "t699").await.is_none()).await;
    let mut removed = Vec::new();
    loop {
        match store.purge().await.unwrap() {
            0 => break,
            count => removed.push(count),
        }
    }
    // Redis does it by itself; a database in batches.
    let expected: &[u64] = if backend == Backend::Redis { &[] } else { &[500, 200] };
    assert_eq!(removed, expected);
    assert_eq!(value(&*lasting, "for ever").await, Some(-1));
    // An expired success stands in nobody's way.
    store.store(&document("t0", TaskState::Failure, 7)).await.unwrap();
    assert_eq!(value(&*lasting, "t0").await, Some(7));
}

async fn what_is_no_result_is_said_so(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let store = store.open(DAY);
    // A worker never stores such a thing; an operator or another program may.
    let mut broken = document("t", TaskState::Success, 1);
    broken.body = b"nonsense".as_slice().into();
    store.store(&broken).await.unwrap();
    match store.latest(&"t".into()).await {
        Err(error) => assert!(error.reason.contains("celery-task-meta-t"), "{error}"),
        Ok(latest) => assert_eq!(latest, None),
    }
}

async fn many_open_a_new_store_at_once(backend: Backend) {
    let Some(store) = Store::start(backend).await else { return };
    let opening = (0..8).map(|n| {
        let backend = store.open(DAY);
        async move { backend.store(&document(&n.to_string(), TaskState::Success, n)).await }
    });
    let stored: Vec<_> = opening.collect::<FuturesUnordered<_>>().collect().await;
    assert_eq!(stored, vec![Ok(()); 8]);
}

/// Every rule of the suite as a test of each backend it holds for.
macro_rules! suite {
    ($($backend:ident: $($rule:ident)*;)*) => { $(
        mod $backend {
            $(
                #[tokio::test]
                async fn $rule() {
                    super::$rule(super::suite!(@ $backend)).await;
                }
            )*
        }
    )* };
    (@ rpc) => { celeriac::results::Backend::Rpc };
    (@ redis) => { celeriac::results::Backend::Redis };
    (@ postgres) => { celeriac::results::Backend::Postgres };
    (@ sqlite) => { celeriac::results::Backend::Sqlite };
}
use suite;

suite! {
    rpc: values_come_back whoever_waits_before_the_end_is_told_elsewhere_too
        errors_and_retries_are_told a_document_says_what_is_asked_for
        nothing_is_kept_of_what_nobody_wants a_thousand_wait_at_once chords_are_joined;
    redis: values_come_back whoever_waits_before_the_end_is_told_elsewhere_too
        errors_and_retries_are_told a_document_says_what_is_asked_for
        nothing_is_kept_of_what_nobody_wants a_thousand_wait_at_once chords_are_joined
        the_first_success_stays what_has_expired_is_gone_and_removed
        what_is_no_result_is_said_so many_open_a_new_store_at_once;
    postgres: values_come_back whoever_waits_before_the_end_is_told_elsewhere_too
        errors_and_retries_are_told a_document_says_what_is_asked_for
        nothing_is_kept_of_what_nobody_wants a_thousand_wait_at_once chords_are_joined
        the_first_success_stays what_has_expired_is_gone_and_removed
        what_is_no_result_is_said_so many_open_a_new_store_at_once;
    sqlite: values_come_back whoever_waits_before_the_end_is_told_elsewhere_too
        errors_and_retries_are_told a_document_says_what_is_asked_for
        nothing_is_kept_of_what_nobody_wants a_thousand_wait_at_once chords_are_joined
        the_first_success_stays what_has_expired_is_gone_and_removed
        what_is_no_result_is_said_so many_open_a_new_store_at_once;
}
