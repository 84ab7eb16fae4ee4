//! What a store that dies costs: waiting, and nothing else.

use super::Store;
use crate::rig::{PATIENCE, Rig, Running, add, config, eventually};
use celeriac::canvas::Canvas;
use celeriac::config::Config;
use celeriac::handler::{Output, Registry};
use celeriac::protocol::{Signature, TaskState};
use celeriac::publisher::SendOptions;
use celeriac::results::{Backend, OnStoreError};
use celeriac::topology::QueueKind;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Semaphore;

/// A worker with a task that ends when the test lets it, and a store to be killed.
struct Bench {
    running: Running,
    store: Store,
    rig: Rig,
    /// One permit per task that may end.
    gate: Arc<Semaphore>,
    runs: Arc<AtomicU32>,
}

impl Bench {
    async fn start(backend: Backend, change: impl FnOnce(&mut Config)) -> Option<Self> {
        let store = Store::start(backend).await?;
        let rig = Rig::start().await;
        let mut config = config(&rig.url(), QueueKind::Quorum);
        store.configure(&mut config);
        change(&mut config);
        let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
        let mut registry = Registry::new();
        let (the_gate, the_runs) = (Arc::clone(&gate), Arc::clone(&runs));
        add(&mut registry, "double", move |_, body| {
            let gate = Arc::clone(&the_gate);
            the_runs.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let (n,): (i64,) = body.args().unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Output::new(2 * n))
            })
        });
        add(&mut registry, "sum", |_, body| {
            Box::pin(async move {
                let (numbers,): (Vec<i64>,) = body.args().unwrap();
                Ok(Output::new(numbers.into_iter().sum::<i64>()))
            })
        });
        let running = Running::with(config, registry).await;
        Some(Self { running, store, rig, gate, runs })
    }

    /// Awaits that the broker counts so many tasks of ours, and none that waits.
    async fn unacknowledged(&self, count: u64) {
        eventually("the broker counts them", async || {
            let queue = self.rig.queue("default").await.unwrap();
            (queue.ready, queue.unacknowledged) == (0, count)
        })
        .await;
    }

    async fn begun(&self, count: u32) {
        eventually("the tasks begin", async || self.runs.load(Ordering::SeqCst) >= count).await;
    }
}

/// Handles wait, the store is killed and comes back, and not one of them misses its result: those
/// stored before the kill, those that end while it is away, and those that end afterwards.
async fn no_result_is_missing_after_a_kill(backend: Backend) {
    const TASKS: i64 = 300;
    let Some(mut bench) = Bench::start(backend, |_| ()).await else { return };
    let running = &bench.running;
    let calls = (0..TASKS).map(|n| async move { (n, running.call::<i64>("double", &(n,)).await) });
    let handles: Vec<_> = futures::stream::iter(calls).buffer_unordered(50).collect().await;
    let ids: Vec<_> = handles.iter().map(|(n, handle)| (*n, handle.id().clone())).collect();
    let mut waiting: FuturesUnordered<_> = handles
        .into_iter()
        .map(|(n, handle)| async move {
            assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 2 * n);
        })
        .collect();
    bench.gate.add_permits(100);
    for _ in 0..100 {
        waiting.next().await.unwrap();
    }
    bench.store.server().kill().await;
    bench.gate.add_permits(100);
    // These end now, while there is no store: four slots hold four of them.
    bench.begun(104).await;
    bench.store.server().start().await;
    for _ in 0..100 {
        waiting.next().await.unwrap();
    }
    bench.store.server().restart().await;
    bench.gate.add_permits(usize::try_from(TASKS).unwrap());
    assert_eq!(waiting.count().await, 100);
    for (n, id) in ids {
        let kept = bench.running.app.result::<i64>(id).timeout(PATIENCE).await.unwrap();
        assert_eq!(kept, 2 * n);
    }
    bench.running.stop().await;
    assert_eq!(bench.rig.ready("default").await, 0);
}

/// A task whose result cannot be stored is given back when the worker stops, and another worker
/// does it.
async fn a_worker_that_stops_gives_back_what_it_could_not_store(backend: Backend) {
    let Some(mut bench) = Bench::start(backend, |_| ()).await else { return };
    let handle = bench.running.call::<i64>("double", &(21,)).await;
    let id = handle.id().clone();
    bench.begun(1).await;
    bench.store.server().kill().await;
    bench.gate.add_permits(1);
    // It has ended and is not acknowledged.
    eventually("the task ends", async || bench.gate.available_permits() == 0).await;
    bench.running.shutdown.drain();
    bench.running.ended().await.unwrap();
    eventually("the task is back", async || bench.rig.ready("default").await == 1).await;
    bench.store.server().start().await;
    let mut registry = Registry::new();
    add(&mut registry, "double", |_, body| {
        Box::pin(async move {
            let (n,): (i64,) = body.args().unwrap();
            Ok(Output::new(2 * n))
        })
    });
    let mut config = config(&bench.rig.url(), QueueKind::Quorum);
    bench.store.configure(&mut config);
    let second = Running::with(config, registry).await;
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), 42);
    assert_eq!(second.app.result::<i64>(id).state().await.unwrap(), TaskState::Success);
    second.stop().await;
    assert_eq!(bench.rig.ready("default").await, 0);
}

/// With `on_store_error = "drop"` the task is acknowledged all the same.
async fn a_result_is_dropped_where_the_settings_say_so(backend: Backend) {
    let start = Bench::start(backend, |config| config.results.on_store_error = OnStoreError::Drop);
    let Some(mut bench) = start.await else { return };
    let client = bench.running.app.client();
    let call = client.call::<i64>("double", &(1,), &(), SendOptions::default()).await.unwrap();
    bench.begun(1).await;
    bench.unacknowledged(1).await;
    bench.store.server().kill().await;
    bench.gate.add_permits(1);
    bench.unacknowledged(0).await;
    bench.store.server().start().await;
    let id = call.id().clone();
    eventually("the store is asked again", async || {
        bench.running.app.result::<i64>(id.clone()).state().await.is_ok()
    })
    .await;
    assert_eq!(bench.running.app.result::<i64>(id).state().await.unwrap(), TaskState::Pending);
    assert_eq!(bench.runs.load(Ordering::SeqCst), 1);
    bench.running.stop().await;
}

/// The store dies while members of a chord arrive at it; the body gets every result, once each.
async fn a_chord_is_joined_although_its_store_died(backend: Backend) {
    const MEMBERS: u32 = 60;
    let Some(mut bench) = Bench::start(backend, |_| ()).await else { return };
    let header = (0..MEMBERS).map(|n| Canvas::from(Signature::call("double", &(n,)).unwrap()));
    let chord = celeriac::canvas::chord(header, Signature::new("sum"));
    let handle = bench.running.app.client().apply::<u32>(chord).await.unwrap();
    bench.gate.add_permits(20);
    bench.begun(24).await;
    bench.store.server().kill().await;
    bench.gate.add_permits(20);
    bench.begun(24).await;
    bench.store.server().start().await;
    bench.begun(44).await;
    bench.store.server().restart().await;
    bench.gate.add_permits(usize::try_from(MEMBERS).unwrap());
    let doubled = (0..MEMBERS).map(|n| 2 * n).sum::<u32>();
    assert_eq!(handle.timeout(PATIENCE).await.unwrap(), doubled);
    bench.running.stop().await;
    assert_eq!(bench.rig.ready("default").await, 0);
}

macro_rules! suite {
    ($($rule:ident)*) => {
        mod redis { $(
            #[tokio::test]
            async fn $rule() { super::$rule(celeriac::results::Backend::Redis).await; }
        )* }
        mod postgres { $(
            #[tokio::test]
            async fn $rule() { super::$rule(celeriac::results::Backend::Postgres).await; }
        )* }
    };
}

suite! {
    no_result_is_missing_after_a_kill
    a_worker_that_stops_gives_back_what_it_could_not_store
    a_result_is_dropped_where_the_settings_say_so
    a_chord_is_joined_although_its_store_died
}
