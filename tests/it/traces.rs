//! Traces, from who sends to the last attempt and what follows, at a collector of the test's own.

use crate::rig::{PATIENCE, Process, Rig, Signal};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps what it is given.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { endpoint, spans, _serving: serving }
    }

    /// What came so far, the earliest first.
    fn spans(&self) -> Vec<Span> {
        let mut spans = self.spans.lock().unwrap().clone();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let told = resource.resource.unwrap().attributes;
        assert!(
            told.iter().any(|it| it.key == "service.name" && format!("{it:?}").contains("shop"))
        );
        spans
            .lock()
            .unwrap()
            .extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

/// What a span says of this.
fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

fn is_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What each span is: its name and its kind.
fn names(spans: &[Span]) -> Vec<(&str, SpanKind)> {
    spans.iter().map(|span| (span.name.as_str(), span.kind())).collect()
}

fn config(endpoint: &str, sample: &str) -> String {
    format!(
        r#"
        [broker]
        url = "{{url}}"
        [results]
        backend = "rpc"
        [ops]
        listen = ""
        socket = ""
        [log.otlp]
        endpoint = "{endpoint}"
        sample = {sample}
        service = "shop"
        [queues.default]
        [worker]
        name = "w@here"
        [tasks.unsteady]
        exec = ["sh", "-c", "mkdir first || exec echo done; exit 1"]
        retries = 1
        backoff = {{ first = "200ms" }}
        [tasks.told]
        exec = ["sh", "-c", "echo $TRACEPARENT"]
        [tasks.after]
        exec = ["true"]
        "#
    )
}

async fn worker(rig: &Rig, endpoint: &str, sample: &str) -> Process {
    let mut worker = rig.celeriac(&["worker"], &config(endpoint, sample)).await;
    worker.until("ready").await;
    worker
}

/// Sends or calls, to the end of the command.
async fn command(rig: &Rig, arguments: &[&str]) -> String {
    let mut command = Process::celeriac(arguments, rig.folder());
    let status = command.ended(PATIENCE).await;
    assert!(status.success(), "{}", command.output());
    command.output()
}

async fn stop(mut worker: Process) -> String {
    worker.signal(Signal::TERM);
    assert!(worker.ended(PATIENCE).await.success(), "{}", worker.output());
    worker.output()
}

#[tokio::test]
async fn a_task_that_waits_and_is_tried_again_is_one_trace() {
    let (rig, collector) = (Rig::start().await, Collector::start().await);
    let mut worker = worker(&rig, &collector.endpoint, "1.0").await;
    let sent = command(&rig, &["send", "unsteady", "--countdown", "500ms"]).await;
    worker.until("succeeded").await;
    stop(worker).await;

    let spans = collector.spans();
    let (send, process) = ("send unsteady", "process unsteady");
    let kinds = [SpanKind::Producer, SpanKind::Consumer, SpanKind::Consumer];
    let expected: Vec<_> = [send, process, process].into_iter().zip(kinds).collect();
    assert_eq!(names(&spans), expected);
    let [sending, first, second] = &spans[..] else { unreachable!() };
    assert!(sending.parent_span_id.is_empty());
    for attempt in [first, second] {
        assert_eq!(attempt.trace_id, sending.trace_id);
        assert_eq!(attempt.parent_span_id, sending.span_id);
        assert_eq!(attribute(attempt, "messaging.system"), "rabbitmq");
        assert_eq!(attribute(attempt, "celery.hostname"), "w@here");
    }
    let waited = first.start_time_unix_nano - sending.start_time_unix_nano;
    assert!(waited >= 500_000_000, "{waited} ns");
    assert!(sent.starts_with(&attribute(first, "messaging.message.id")), "{sent}");
    let told = |span| (attribute(span, "celery.state"), attribute(span, "celery.retries"));
    assert_eq!(told(first), ("RETRY".to_owned(), "0".to_owned()));
    assert_eq!(told(second), ("SUCCESS".to_owned(), "1".to_owned()));
    assert!(is_failed(first) && !is_failed(second) && !is_failed(sending));
    assert_eq!(attribute(first, "error.type"), "ExitStatus(1)");
}

/// As Celery for Python sends it with OpenTelemetry's instrumentation: the context is among the headers.
async fn send_as_celery(rig: &Rig, task: &str, parent: Option<String>, body: &str) {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut headers = FieldTable::default();
    for (name, value) in [("lang", "py"), ("task", task), ("id", "from-celery")] {
        headers.insert(name.into(), text(value));
    }
    if let Some(parent) = parent {
        headers.insert("traceparent".into(), text(&parent));
        headers.insert("tracestate".into(), text("vendor=1"));
    }
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(2)
        .with_headers(headers);
    let (_connection, channel) = rig.channel().await;
    let options = BasicPublishOptions::default();
    let sent =
        channel.basic_publish("".into(), "default".into(), options, body.as_bytes(), properties);
    sent.await.unwrap().await.unwrap();
}

const FOLLOWED: &str = r#"[[], {}, {"callbacks": [{"task": "after", "args": [], "kwargs": {},
    "options": {"task_id": "next"}, "subtask_type": null, "immutable": true}],
    "errbacks": null, "chain": null, "chord": null}]"#;

#[tokio::test]
async fn a_celery_producers_trace_goes_on_through_the_callbacks() {
    let (rig, collector) = (Rig::start().await, Collector::start().await);
    // What the sender has decided counts, not our share of none.
    let mut worker = worker(&rig, &collector.endpoint, "0.0").await;
    send_as_celery(&rig, "told", Some(format!("00-{TRACE}-{PARENT}-01")), FOLLOWED).await;
    worker.until("task.name=after").await;
    stop(worker).await;

    let spans = collector.spans();
    let [ran, sending, after] = &spans[..] else { panic!("{:?}", names(&spans)) };
    assert_eq!(
        names(&spans),
        [
            ("process told", SpanKind::Consumer),
            ("send after", SpanKind::Producer),
            ("process after", SpanKind::Consumer)
        ]
    );
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) == TRACE && span.trace_state == "vendor=1")
    );
    assert_eq!(hex(&ran.parent_span_id), PARENT);
    assert_eq!(sending.parent_span_id, ran.span_id);
    assert_eq!(after.parent_span_id, sending.span_id);
    assert_eq!(attribute(after, "messaging.message.conversation_id"), "from-celery");
}

#[tokio::test]
async fn a_trace_that_begins_with_an_attempt_goes_on_with_the_next() {
    let (rig, collector) = (Rig::start().await, Collector::start().await);
    let mut worker = worker(&rig, &collector.endpoint, "1.0").await;
    send_as_celery(&rig, "unsteady", None, "[[], {}, {}]").await;
    worker.until("succeeded").await;
    stop(worker).await;

    let spans = collector.spans();
    let [first, second] = &spans[..] else { panic!("{:?}", names(&spans)) };
    assert!(first.parent_span_id.is_empty());
    assert_eq!((&second.trace_id, &second.parent_span_id), (&first.trace_id, &first.span_id));
}

#[tokio::test]
async fn what_its_sender_does_not_sample_is_not_sent_and_still_told_to_programs() {
    let (rig, collector) = (Rig::start().await, Collector::start().await);
    let worker = worker(&rig, &collector.endpoint, "1.0").await;
    // The command line samples nothing, and says so in the message.
    tokio::fs::write(
        rig.folder().join("sender.toml"),
        config(&collector.endpoint, "0.0").replace("{url}", &rig.url()),
    )
    .await
    .unwrap();
    let told = command(&rig, &["call", "told", "-c", "sender.toml"]).await;
    assert!(told.trim().starts_with("00-") && told.trim().ends_with("-00"), "{told}");
    stop(worker).await;
    assert_eq!(names(&collector.spans()), []);
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_added_and_what_came_goes_on() {
    let rig = Rig::start().await;
    let worker = worker(&rig, "", "1.0").await;
    assert_eq!(command(&rig, &["call", "told"]).await.trim(), "null");
    let parent = format!("traceparent=00-{TRACE}-{PARENT}-01");
    let told = command(&rig, &["call", "told", "--header", &parent]).await;
    assert_eq!(told.trim(), parent.trim_start_matches("traceparent="));
    stop(worker).await;
}

/// Sends as a program that traces nothing.
async fn send_untraced(rig: &Rig, arguments: &[&str]) {
    let untraced = config("", "1.0").replace("{url}", &rig.url());
    tokio::fs::write(rig.folder().join("untraced.toml"), untraced).await.unwrap();
    command(rig, &[&["-c", "untraced.toml", "send"], arguments].concat()).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_holds_up_neither_tasks_nor_the_end() {
    // Nobody accepts what waits here.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start().await;
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut worker = worker(&rig, &endpoint, "1.0").await;
    send_untraced(&rig, &["after"]).await;
    worker.until("succeeded").await;
    let stopping = Instant::now();
    let said = stop(worker).await;
    assert!(stopping.elapsed() < Duration::from_secs(6), "{:?} {said}", stopping.elapsed());
    assert!(said.contains("not all spans were taken"), "{said}");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_costs_spans_which_is_said_once() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::start().await;
    let mut worker = worker(&rig, &format!("http://{gone}"), "1.0").await;
    // More than one batch.
    let lines = "[]\n".repeat(600);
    tokio::fs::write(rig.folder().join("lines"), lines).await.unwrap();
    send_untraced(&rig, &["after", "--from", "lines"]).await;
    for _ in 0..600 {
        worker.until("succeeded").await;
    }
    let said = stop(worker).await;
    assert_eq!(said.matches("spans are not taken, going on without them").count(), 1, "{said}");
    assert!(said.contains("lost=600"), "{said}");
}
