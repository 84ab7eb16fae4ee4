//! Typed tasks on a broker: called, refused, configured, checked, stopped.

use crate::rig::{PATIENCE, Rig, config, eventually};
use celeriac::archive::{Archive, Filter};
use celeriac::client::ResultError;
use celeriac::clock::SystemClock;
use celeriac::config::{Config, Loader};
use celeriac::prelude::*;
use celeriac::protocol::TaskState;
use celeriac::task::RetryPolicy;
use celeriac::topology::QueueKind;
use celeriac::worker::WorkerError;
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often each failing task was run, by its argument.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<HashMap<String, u32>>>);

impl Runs {
    fn count(&self, of: &str) -> u32 {
        self.0.lock().unwrap().get(of).copied().unwrap_or(0)
    }
}

#[task(name = "typed.add")]
async fn add(a: i64, #[arg(default = 10)] b: i64) -> anyhow::Result<i64> {
    Ok(a + b)
}

#[task(name = "typed.upper")]
fn upper(text: String) -> anyhow::Result<String> {
    Ok(text.to_uppercase())
}

#[task(name = "typed.fails", queue = "of-attribute", max_retries = 1, backoff = "125ms")]
async fn fails(State(runs): State<Runs>, which: String) -> anyhow::Result<()> {
    *runs.0.lock().unwrap().entry(which).or_default() += 1;
    anyhow::bail!("as always")
}

#[task(name = "typed.steps")]
async fn steps(ctx: Ctx, State(go): State<Arc<Semaphore>>) -> anyhow::Result<u32> {
    for step in 1..=3 {
        go.acquire().await?.forget();
        ctx.progress.share(f64::from(step) / 3.0, "a step");
    }
    go.acquire().await?.forget();
    Ok(3)
}

#[task(name = "typed.quiet", ignore_result)]
async fn quiet() -> anyhow::Result<u8> {
    Ok(7)
}

/// A worker that is stopped by what a program would stop it by.
struct Program {
    app: App,
    stop: CancellationToken,
    running: JoinSet<Result<(), WorkerError>>,
}

impl Program {
    async fn start(config: Config, worker: impl FnOnce(Worker) -> Worker) -> Self {
        let app = App::connect(config).await.unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let stopped = stop.clone().cancelled_owned();
        running.spawn(worker(Worker::new(&app)).run_until(stopped));
        Self { app, stop, running }
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap().unwrap();
        self.app.close().await;
    }
}

fn failed(error: ResultError) -> (TaskState, String, String) {
    match error {
        ResultError::Failed { state, exception, .. } => {
            (state, exception.kind.clone(), exception.text())
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_call_is_a_value_and_its_handle_the_result() {
    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let program = Program::start(config, |worker| worker.with(tasks![add, upper])).await;
    let call = add(2, 3).header("tenant", "acme").expires(PATIENCE);
    assert_eq!(call.delay(&program.app).await.unwrap().await.unwrap(), 5);
    let shouted = upper("hush".to_owned()).delay(&program.app).await.unwrap();
    assert_eq!(shouted.timeout(PATIENCE).await.unwrap(), "HUSH");

    let calls = (0..50).map(|n| add(n, n));
    let handles: Vec<_> = program.app.client().delay_all(calls).collect().await;
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.unwrap().await.unwrap(), 2 * n as i64);
    }
    program.end().await;
}

#[tokio::test]
async fn a_result_that_nobody_keeps_is_not_waited_for() {
    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let program = Program::start(config, |worker| worker.with(tasks![add, quiet])).await;
    let silent = [
        quiet().delay(&program.app).await.unwrap().await.unwrap_err(),
        add(1, 2).ignore_result().delay(&program.app).await.unwrap().await.unwrap_err(),
    ];
    for error in silent {
        assert!(matches!(error, ResultError::NotKept { .. }), "{error}");
    }
    let asked = quiet().keep_result().delay(&program.app).await.unwrap();
    assert_eq!(asked.timeout(PATIENCE).await.unwrap(), 7);
    program.end().await;
}

#[tokio::test]
async fn a_call_that_does_not_fit_is_archived_with_the_name_of_the_argument() {
    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let program = Program::start(config, |worker| worker.register::<add>()).await;
    let client = program.app.client();
    let options = SendOptions::default;
    let two = client.call::<i64>("typed.add", &("two",), &(), options()).await.unwrap();
    let surplus = client.call::<i64>("typed.add", &(1, 2, 3), &(), options()).await.unwrap();
    let by_name = HashMap::from([("a", 1), ("c", 3)]);
    let unknown = client.call::<i64>("typed.add", &(), &by_name, options()).await.unwrap();
    let mut said = Vec::new();
    for handle in [two, surplus, unknown] {
        let (state, kind, text) = failed(handle.timeout(PATIENCE).await.unwrap_err());
        assert_eq!((state, kind.as_str()), (TaskState::Failure, "ArgumentError"));
        said.push(text);
    }
    assert_eq!(
        said,
        [
            "argument `a`: text is not the type that is wanted here",
            "typed.add() takes 2 positional arguments, 3 were given",
            "typed.add() got an unexpected keyword argument `c`; it takes a, b",
        ]
    );
    eventually("three letters", async || rig.ready("celeriac.dead").await == 3).await;
    let dead = program.app.config().dead.clone();
    let archive = Archive::new(program.app.broker().clone(), dead, Arc::new(SystemClock));
    let all = Filter::parse("reason:rejected task:typed.add", SystemTime::now()).unwrap();
    let letters = archive.survey(&all).await.unwrap();
    for text in &said {
        let told = |error: &String| error.contains(text.as_str());
        assert!(letters.iter().any(|letter| letter.error.as_ref().is_some_and(told)), "{text}");
    }
    program.end().await;
}

#[tokio::test]
async fn a_result_of_another_type_is_told_with_both_types() {
    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let program = Program::start(config, |worker| worker.register::<upper>()).await;
    let client = program.app.client();
    let handle =
        client.call::<i64>("typed.upper", &("x",), &(), SendOptions::default()).await.unwrap();
    let id = handle.id().clone();
    assert_eq!(
        handle.timeout(PATIENCE).await.unwrap_err().to_string(),
        format!(
            "the result of task {id} is no i64: result: text is not the type that is wanted here"
        )
    );
    program.end().await;
}

#[tokio::test]
async fn the_file_overrides_the_attribute_and_the_call_overrides_both() {
    let rig = Rig::start().await;
    let file = rig.folder().join("celeriac.toml");
    let configured = |tasks: &str| {
        let text = format!(
            "[broker]\nurl = \"{}\"\n[worker]\nqueues = [\"of-attribute\", \"of-file\", \
             \"of-call\"]\n{tasks}",
            rig.url()
        );
        std::fs::write(&file, text).unwrap();
        Loader::new().files([file.clone()]).load().unwrap().config
    };
    let runs = Runs::default();
    let worker = |worker: Worker| worker.state(runs.clone()).register::<fails>();
    let attempt = async |app: &App, name: &str, call: Call<fails>| {
        let handle = call.delay(app).await.unwrap();
        let queue = handle.sent().destination.queue.clone().unwrap();
        failed(handle.timeout(PATIENCE).await.unwrap_err());
        (queue, runs.count(name))
    };

    let program = Program::start(configured(""), worker).await;
    let seen = attempt(&program.app, "a", fails("a".to_owned())).await;
    assert_eq!(seen, ("of-attribute".to_owned(), 2));
    program.end().await;

    let tasks = "[tasks.\"typed.fails\"]\nqueue = \"of-file\"\nretries = 2";
    let program = Program::start(configured(tasks), worker).await;
    let seen = attempt(&program.app, "b", fails("b".to_owned())).await;
    assert_eq!(seen, ("of-file".to_owned(), 3));
    let call = fails("c".to_owned()).queue("of-call").max_retries(3);
    assert_eq!(attempt(&program.app, "c", call).await, ("of-call".to_owned(), 4));
    let never = RetryPolicy { max_retries: Some(0), ..RetryPolicy::default() };
    let call = fails("d".to_owned()).retry(never);
    assert_eq!(attempt(&program.app, "d", call).await, ("of-file".to_owned(), 1));
    program.end().await;
}

#[tokio::test]
async fn progress_is_a_stream_that_ends_with_the_task() {
    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let go = Arc::new(Semaphore::new(0));
    let given = Arc::clone(&go);
    let program = Program::start(config, |worker| worker.state(given).register::<steps>()).await;
    let mut handle = steps().delay(&program.app).await.unwrap();
    let mut shares = Vec::new();
    {
        let mut reports = std::pin::pin!(handle.progress());
        go.add_permits(1);
        while let Some(report) = reports.next().await {
            assert_eq!(report.message.as_deref(), Some("a step"));
            shares.push(report.share.unwrap());
            // The last permit lets it end.
            go.add_permits(if shares.len() == 3 { 2 } else { 1 });
        }
    }
    assert_eq!(shares, [1.0 / 3.0, 2.0 / 3.0, 1.0]);
    assert_eq!(handle.await.unwrap(), 3);
    program.end().await;
}

#[tokio::test]
async fn a_worker_that_lacks_something_does_not_start_and_says_all_of_it() {
    let rig = Rig::start().await;
    let app = App::connect(rig.url()).await.unwrap();
    let worker = Worker::new(&app).register::<fails>().queues(["default", "of-atribute"]);
    let refused = worker.run_until(std::future::pending()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "the worker cannot start:\n  task `typed.fails` needs State<{}> but the worker was not \
             given one; add `.state(..)`\n  task `typed.fails` goes to queue `of-attribute`, which \
             is neither configured nor consumed; did you mean `of-atribute`?",
            std::any::type_name::<Runs>()
        )
    );
    assert!(rig.queue("default").await.is_none(), "it has declared something before the check");
    app.close().await;
}

#[tokio::test]
async fn what_runs_when_the_program_stops_may_finish() {
    static FINISHED: AtomicU32 = AtomicU32::new(0);

    #[task(name = "typed.slow")]
    async fn slow(State(gate): State<(Arc<Semaphore>, Arc<Semaphore>)>) -> anyhow::Result<()> {
        gate.0.add_permits(1);
        gate.1.acquire().await?.forget();
        FINISHED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    let rig = Rig::start().await;
    let config = config(&rig.url(), QueueKind::Quorum);
    let (begun, end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gate = (Arc::clone(&begun), Arc::clone(&end));
    let mut program = Program::start(config, |worker| worker.state(gate).register::<slow>()).await;
    slow().send(&program.app).await.unwrap();
    begun.acquire().await.unwrap().forget();
    program.stop.cancel();
    let early = tokio::time::timeout(Duration::from_millis(300), program.running.join_next());
    assert!(early.await.is_err(), "the worker ended before its task");
    end.add_permits(1);
    program.running.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(FINISHED.load(Ordering::SeqCst), 1);
    program.app.close().await;
}
