//! A test worker runs what is due, in order, and leaps over the rest of the time.

use crate::rig::{PATIENCE, add};
use celeriac::app::App;
use celeriac::archive::Reason;
use celeriac::clock::Clock;
use celeriac::config::Config;
use celeriac::handler::{Failure, Output, Registry, TaskContext, TaskError};
use celeriac::prelude::task;
use celeriac::publisher::{Call, FlowError, SendError, SendOptions};
use celeriac::task::{
    Argument, Param, RateKeyError, ReadArguments, RetryPolicy, Task, TaskOptions, TaskSettings,
    Written,
};
use celeriac::testing::TestWorker;
use celeriac::topology::QueueTable;
use celeriac::worker::Ending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Add;

impl Task for Add {
    const NAME: &'static str = "shop.add";
    const PARAMS: &'static [Param] = &[Param::new("a", "i64"), Param::new("b", "i64")];
    type Args = (i64, i64);
    type Output = i64;

    fn options() -> TaskOptions {
        TaskOptions::default()
    }

    fn write((a, b): &Self::Args) -> Written<'_> {
        Written::Positional(vec![a.erased(), b.erased()])
    }

    fn read<R: ReadArguments>(from: &mut R) -> Result<Self::Args, R::Error> {
        Ok((from.required(0)?, from.required(1)?))
    }
}

fn failing(times: u32) -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "mail.send", move |cx, _| {
        let fails = cx.attempt() <= times;
        let error = TaskError::new("Throttled", "not now");
        Box::pin(
            async move { if fails { Err(Failure::Error(error)) } else { Ok(Output::new(())) } },
        )
    });
    registry
}

async fn send(app: &App, task: &str, options: SendOptions) {
    app.client().send(task, &(), &(), options).await.unwrap();
}

fn policy(max: u32, first: Duration) -> RetryPolicy {
    let mut policy = RetryPolicy { max_retries: Some(max), ..RetryPolicy::default() };
    policy.backoff.first = first;
    policy.backoff.max = first * 8;
    policy.backoff.jitter = 0.0;
    policy
}

#[tokio::test]
async fn a_retry_runs_when_its_time_has_come_and_takes_none() {
    let app = App::in_memory();
    let worker = TestWorker::new(&app).registry(failing(2));
    let begun = (Instant::now(), app.virtual_clock().now());
    send(&app, "mail.send", SendOptions::default().retry(policy(5, seconds(600)))).await;
    let report = worker.drain().await;
    assert_eq!(report.of_named("mail.send").attempts(), 1);
    worker.advance(seconds(599)).await;
    assert_eq!(report.of_named("mail.send").attempts(), 1, "not yet");
    worker.advance(seconds(1)).await;
    assert_eq!(report.of_named("mail.send").attempts(), 2);
    worker.advance(seconds(1_200)).await;
    let runs = report.of_named("mail.send");
    assert_eq!((runs.attempts(), runs.retried(), runs.succeeded()), (3, 2, 1));
    let at: Vec<_> =
        runs.runs().iter().map(|run| run.at.duration_since(begun.1).unwrap().as_secs()).collect();
    assert_eq!(at, [0, 600, 1_800], "each at its own time");
    assert!(begun.0.elapsed() < seconds(20), "{:?}", begun.0.elapsed());
    assert_eq!(app.all_sent().len(), 1, "a retry is not sent anew");
}

#[tokio::test]
async fn what_is_given_up_is_in_the_report_and_in_the_archive() {
    let app = App::in_memory();
    let worker = TestWorker::new(&app).registry(failing(9));
    send(&app, "mail.send", SendOptions::default().retry(policy(1, seconds(1)))).await;
    let report = worker.advance(seconds(1)).await;
    assert_eq!(report.of_named("mail.send").given_up(), 1);
    let letters = app.dead_letters().await;
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::Exhausted));
}

#[tokio::test]
async fn what_was_sent_comes_back_with_its_types() {
    let app = App::in_memory();
    app.client().send("shop.add", &(1, 2), &(), SendOptions::default()).await.unwrap();
    let later = SendOptions::default().countdown(seconds(60)).priority(3).header("tenant", "acme");
    app.client().send("shop.add", &(3, 4), &(), later).await.unwrap();
    assert_eq!(app.sent::<Add>(), [(1, 2), (3, 4)]);
    let sent = app.sent_named("shop.add");
    assert_eq!(sent[1].headers.eta, Some(app.virtual_clock().now() + seconds(60)));
    assert_eq!(sent[1].properties.priority, Some(3));
    assert_eq!(sent[1].headers.extra["tenant"], "acme".into());
    assert!(app.sent_named("shop.subtract").is_empty());
}

/// Over two queues, on two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_run_in_the_order_in_which_they_arrived() {
    for _ in 0..20 {
        let mut config = Config::default();
        config.queues.insert("other", QueueTable::default());
        let app = App::in_memory_with(config).unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&order);
        let mut registry = Registry::new();
        add(&mut registry, "note", move |_, body| {
            let (number,): (usize,) = body.args().unwrap();
            let noted = Arc::clone(&noted);
            Box::pin(async move {
                tokio::task::yield_now().await;
                noted.lock().unwrap().push(number);
                Ok(Output::new(()))
            })
        });
        for number in 0..12_usize {
            let queue = if number.is_multiple_of(3) { "other" } else { "default" };
            let options = SendOptions::default().queue(queue);
            app.client().send("note", &(number,), &(), options).await.unwrap();
        }
        let report = TestWorker::new(&app).registry(registry).drain().await;
        assert_eq!(report.of_named("note").succeeded(), 12, "nothing is left when it returns");
        assert_eq!(*order.lock().unwrap(), (0..12).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_a_task_sends_runs_too_and_a_drain_waits_for_it() {
    let app = App::in_memory();
    let mut registry = Registry::new();
    let client = app.client().clone();
    add(&mut registry, "count.down", move |_, body| {
        let (left,): (u32,) = body.args().unwrap();
        let client = client.clone();
        Box::pin(async move {
            if left > 0 {
                // A real wait: a drain is not over before it.
                tokio::time::sleep(Duration::from_millis(2)).await;
                let next = SendOptions::default();
                client.send("count.down", &(left - 1,), &(), next).await.unwrap();
            }
            Ok(Output::new(left))
        })
    });
    let worker = TestWorker::new(&app).registry(registry);
    app.client().send("count.down", &(5_u32,), &(), SendOptions::default()).await.unwrap();
    assert_eq!(worker.drain().await.of_named("count.down").succeeded(), 6);
}

#[tokio::test]
async fn an_early_acknowledgement_does_not_end_a_drain() {
    let app = App::in_memory();
    let mut registry = Registry::new();
    let early = TaskOptions { acknowledge_early: true, ..TaskOptions::default() };
    registry
        .add_async("slow", early, async |_: TaskContext, (): ()| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            anyhow::Ok(())
        })
        .unwrap();
    let worker = TestWorker::new(&app).registry(registry);
    send(&app, "slow", SendOptions::default()).await;
    assert_eq!(worker.drain().await.of_named("slow").succeeded(), 1);
}

#[tokio::test]
async fn a_rate_lets_tasks_through_as_time_passes() {
    let app = App::in_memory();
    let mut registry = Registry::new();
    let once_a_second = TaskOptions { rate: Some(1.0), ..TaskOptions::default() };
    registry
        .add_async("push", once_a_second, async |_: TaskContext, (): ()| anyhow::Ok(()))
        .unwrap();
    let worker = TestWorker::new(&app).registry(registry);
    for _ in 0..4 {
        send(&app, "push", SendOptions::default()).await;
    }
    let report = worker.drain().await;
    assert_eq!(report.of_named("push").attempts(), 1);
    for attempts in 2..=4 {
        worker.advance(seconds(1)).await;
        assert_eq!(report.of_named("push").attempts(), attempts);
    }
}

#[tokio::test]
async fn a_time_limit_ends_a_handler_that_hangs() {
    let app = App::in_memory();
    let mut registry = Registry::new();
    let limited =
        TaskOptions { time_limit: Some(Duration::from_millis(50)), ..TaskOptions::default() };
    registry
        .add_async("hang", limited, async |_: TaskContext, (): ()| {
            std::future::pending::<()>().await;
            anyhow::Ok(())
        })
        .unwrap();
    let worker = TestWorker::new(&app).registry(registry);
    send(&app, "hang", SendOptions::default().retry(policy(0, seconds(1)))).await;
    let report = tokio::time::timeout(PATIENCE, worker.drain()).await.unwrap();
    let runs = report.of_named("hang");
    let [Ending::Archived { reason, .. }] = runs.endings()[..] else { panic!("{runs:?}") };
    assert_eq!(*reason, Reason::TimeLimit);
}

#[tokio::test]
async fn two_workers_share_an_app_and_a_stopped_one_leaves_its_work() {
    let mut config = Config::default();
    config.queues.insert("other", QueueTable::default());
    let app = App::in_memory_with(config).unwrap();
    let of = |queue: &str| {
        let mut worker = app.worker(failing(0));
        worker.settings.queues = vec![queue.to_owned()];
        TestWorker::of(&app, worker)
    };
    let first = of("default");
    send(&app, "mail.send", SendOptions::default()).await;
    send(&app, "mail.send", SendOptions::default().queue("other")).await;
    assert_eq!(
        first.drain().await.of_named("mail.send").attempts(),
        1,
        "nobody consumes the other"
    );
    first.stop().await;
    send(&app, "mail.send", SendOptions::default()).await;
    let second = of("other");
    assert_eq!(second.drain().await.of_named("mail.send").attempts(), 2);
    let ready = app.broker().depth("default").await.unwrap().unwrap().ready;
    assert_eq!(ready, 1, "its queue has no worker now");
}

/// Takes the message of a task from its queue, and dies.
#[cfg(feature = "sqlite")]
async fn hand_out_in_vain(app: &App) {
    use celeriac::broker::{AckPolicy, Consume};
    let mut deliveries = app.broker().consume(Consume {
        queue: "default".to_owned(),
        declare: None,
        repair: None,
        stream: None,
        prefetch: 1,
        acks: AckPolicy { every: 1, within: Duration::ZERO },
        tag: "dies".to_owned(),
    });
    let held = futures::StreamExt::next(&mut deliveries).await;
    deliveries.close().await;
    drop(held);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_task_with_a_value_is_not_run_again_when_its_message_comes_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = Config::default();
    config.results.backend = celeriac::results::Backend::Sqlite;
    config.results.url =
        format!("sqlite:{}", folder.path().join("results.db").display()).as_str().into();
    let app = App::in_memory_with(config).unwrap();
    let runs = Arc::new(Mutex::new(0));
    let worker = || {
        let runs = Arc::clone(&runs);
        let mut registry = Registry::new();
        let once = TaskOptions { skip_finished: true, ..TaskOptions::default() };
        let run = move |_: TaskContext, (): ()| {
            let runs = Arc::clone(&runs);
            async move {
                *runs.lock().unwrap() += 1;
                anyhow::Ok(*runs.lock().unwrap())
            }
        };
        registry.add_async("charge", once, run).unwrap();
        TestWorker::new(&app).registry(registry)
    };
    let call = async |id: &str| {
        let options = SendOptions::default().id(id);
        app.client().call::<i32>("charge", &(), &(), options).await.unwrap()
    };
    // Its message comes again before there is a value.
    let first = call("one").await;
    hand_out_in_vain(&app).await;
    let begun = worker();
    begun.drain().await;
    assert_eq!((first.result().await.unwrap(), *runs.lock().unwrap()), (1, 1));
    begun.stop().await;
    // And after: as when a worker dies between the result and the acknowledgement.
    let second = call("one").await;
    hand_out_in_vain(&app).await;
    let again = worker();
    let report = again.drain().await;
    assert_eq!((second.result().await.unwrap(), *runs.lock().unwrap()), (1, 1), "not run again");
    assert_eq!(report.of_named("charge").succeeded(), 2);
    assert_eq!(report.of_named("charge").attempts(), 1);
    // Another id has no value yet.
    let other = call("two").await;
    again.drain().await;
    assert_eq!((other.result().await.unwrap(), *runs.lock().unwrap()), (2, 2));
}

#[task(name = "shop.urgent", priority = 7, expires = "5s")]
async fn urgent() {}

#[tokio::test]
async fn priority_and_expiry_are_the_calls_the_files_or_the_attributes() {
    let sent = async |app: &App, call: Call<urgent>| {
        call.delay(app).await.unwrap().sent().destination.priority
    };
    let app = App::in_memory();
    assert_eq!(sent(&app, urgent()).await, Some(7));
    assert_eq!(sent(&app, urgent().priority(1)).await, Some(1));
    let worker = TestWorker::new(&app).register::<urgent>();
    assert_eq!(worker.drain().await.of::<urgent>().succeeded(), 2);

    urgent().countdown(seconds(6)).delay(&app).await.unwrap();
    urgent().countdown(seconds(6)).expires(seconds(7)).delay(&app).await.unwrap();
    worker.advance(seconds(6)).await;
    let runs = worker.report().of::<urgent>();
    assert_eq!(runs.succeeded(), 3);
    let expired =
        |ending: &&Ending| matches!(ending, Ending::Archived { reason: Reason::Expired, .. });
    assert_eq!(runs.endings().into_iter().filter(expired).count(), 1, "{runs:?}");

    let mut config = Config::default();
    let own = TaskSettings { priority: Some(3), ..TaskSettings::default() };
    config.tasks.insert("shop.urgent", own);
    let app = App::in_memory_with(config).unwrap();
    assert_eq!(sent(&app, urgent()).await, Some(3));
}

/// An app whose task `mail.send` starts once a second.
fn one_a_second() -> App {
    let mut config = Config::default();
    let rate = Some("1/s".parse().unwrap());
    config.tasks.insert("mail.send", TaskSettings { rate, ..TaskSettings::default() });
    App::in_memory_with(config).unwrap()
}

/// The ids of the attempts that have run, in order.
fn ran(report: &celeriac::testing::Report) -> Vec<String> {
    let runs = report.runs();
    runs.iter().filter(|run| run.took.is_some()).map(|run| run.id.to_string()).collect()
}

#[tokio::test]
async fn each_rate_key_has_the_whole_rate_and_waits_behind_itself_only() {
    let app = one_a_second();
    let worker = TestWorker::new(&app).registry(failing(0));
    for (id, key) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("n1", "")] {
        let options = SendOptions::default().id(id);
        let keyed = match key {
            "" => options,
            key => options.rate_key(key),
        };
        send(&app, "mail.send", keyed).await;
    }
    let report = worker.drain().await;
    assert_eq!(ran(&report), ["a1", "b1", "n1"]);
    send(&app, "mail.send", SendOptions::default().id("a4").rate_key("a")).await;
    let report = worker.advance(seconds(1)).await;
    assert_eq!(ran(&report), ["a1", "b1", "n1", "a2"]);
    let report = worker.advance(seconds(2)).await;
    assert_eq!(ran(&report), ["a1", "b1", "n1", "a2", "a3", "a4"]);
    assert!(report.runs().iter().all(|run| run.attempt == 1), "waiting is no attempt");
    let put_off =
        report.runs().into_iter().filter(|run| matches!(run.ending, Ending::PutOff { .. }));
    assert_eq!(put_off.count(), 3, "each waits once");
}

#[tokio::test]
async fn a_retry_keeps_its_rate_key_and_stands_in_line_anew() {
    let app = one_a_second();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut registry = Registry::new();
    let see = Arc::clone(&seen);
    add(&mut registry, "mail.send", move |cx, _| {
        let extra = |name| cx.headers.extra.get(name).cloned();
        assert_eq!(extra("celeriac-rate-key"), Some("a".into()));
        let waits = extra("celeriac-rate-waits");
        see.lock().unwrap().push(format!("{}{} {waits:?}", cx.headers.id, cx.attempt()));
        let fails = cx.attempt() == 1;
        let error = TaskError::new("Throttled", "not now");
        Box::pin(
            async move { if fails { Err(Failure::Error(error)) } else { Ok(Output::new(())) } },
        )
    });
    let worker = TestWorker::new(&app).registry(registry);
    for id in ["x", "y"] {
        let options = SendOptions::default().id(id).rate_key("a").retry(policy(1, seconds(9)));
        send(&app, "mail.send", options).await;
    }
    worker.advance(seconds(1)).await;
    let late = SendOptions::default().id("z").rate_key("a").countdown(seconds(9));
    send(&app, "mail.send", late).await;
    // The retry of y and z come at once.
    let report = worker.advance(seconds(9)).await;
    assert_eq!(ran(&report).len(), 4, "one of them: {:?}", report.runs());
    worker.advance(seconds(20)).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..3], ["x1 None", "y1 Some(Int(1))", "x2 None"]);
    let y = seen.iter().position(|run| run.starts_with("y2")).unwrap();
    let expected = if y == 3 { "y2 None" } else { "y2 Some(Int(1))" };
    assert_eq!(seen[y], expected, "the waits of an attempt are its own");
}

#[tokio::test]
async fn a_rate_key_that_none_can_have_is_refused_where_it_is_given() {
    let app = App::in_memory();
    for (key, expected) in
        [(String::new(), RateKeyError::Empty), ("k".repeat(256), RateKeyError::TooLong(256))]
    {
        let call = Call::<Add>::new((1, 2)).rate_key(key);
        let sent = call.clone().delay(&app).await.map(drop);
        assert!(matches!(&sent, Err(SendError::RateKey(error)) if *error == expected), "{sent:?}");
        let flow = call.clone().then_immutable(Call::<Add>::new((1, 2)));
        let step = Call::<Add>::new((1, 2)).then_immutable(call);
        for flow in [flow, step] {
            assert_eq!(flow.into_canvas().map(drop), Err(FlowError::RateKey(expected)));
        }
    }
    assert!(app.all_sent().is_empty());
    let step = Call::<Add>::new((1, 2)).then_immutable(Call::<Add>::new((3, 4)).rate_key("a"));
    let worker = TestWorker::new(&app).registry(adding());
    drop(step.delay(&app).await.unwrap());
    worker.drain().await;
    let keys: Vec<_> =
        app.sent_named("shop.add").iter().map(|sent| sent.headers.extra.len()).collect();
    assert_eq!(keys, [0, 1], "each step has its own or none");
}

fn adding() -> Registry {
    let mut registry = Registry::new();
    add(&mut registry, "shop.add", |_, _| Box::pin(async { Ok(Output::new(0)) }));
    registry
}
