//! Real requests to a real server.

use super::{HttpCall, HttpCallError, HttpClient};
use crate::handler::call::Given;
use crate::handler::testing::{arguments, context, error, http_settings, rejection, value};
use crate::handler::{Failure, Output};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server that ends with the test.
struct Server {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, _serving: serving }
    }

    /// One that answers every request, whatever it is, with `answer`.
    async fn answering<R>(answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> Self
    where
        R: IntoResponse + Send + 'static,
    {
        Self::start(Router::new().fallback(move || async move { answer() })).await
    }

    /// One that answers with what it was asked.
    async fn echo() -> Self {
        let echo = |method: Method, uri: Uri, headers: HeaderMap, body: String| async move {
            let header = |name| {
                headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap())
            };
            axum::Json(json!({
                "asked": format!("{method} {uri}"),
                "body": serde_json::from_str::<Value>(&body).unwrap_or(Value::Null),
                "type": header("content-type"),
                "key": header("idempotency-key"),
                "agent": header("user-agent"),
                "auth": header("authorization"),
            }))
        };
        Self::start(Router::new().fallback(echo)).await
    }

    /// A call to `path` of this server.
    fn call(&self, path: &str, more: &str) -> HttpCall {
        call(&format!("http://{}{path}", self.address), more)
    }
}

fn call(url: &str, more: &str) -> HttpCall {
    let settings = http_settings(&format!("url = '{url}'\n{more}"));
    HttpCall::try_new(settings, 1000, HttpClient::try_new().unwrap()).unwrap()
}

async fn run(call: &HttpCall) -> Result<Output, Failure> {
    call.0.run(&context("push.send", "id-1"), &Given::default()).await
}

#[tokio::test]
async fn a_service_is_told_the_call_and_its_answer_is_the_result() {
    let server = Server::echo().await;
    let call = server.call("/to/{who}?n={0}", "headers = { Authorization = 'Bearer x' }");
    let given = arguments(json!([1, "two"]), json!({"who": "a/b"}));
    assert_eq!(
        value(call.0.run(&context("push.send", "id-1"), &given).await),
        json!({
            "asked": "POST /to/a%2Fb?n=1",
            "body": {
                "task": "push.send", "id": "id-1", "attempt": 1,
                "args": [1, "two"], "kwargs": {"who": "a/b"},
            },
            "type": "application/json",
            "key": "id-1",
            "agent": concat!("celeriac/", env!("CARGO_PKG_VERSION")),
            "auth": "Bearer x",
        })
    );
}

#[tokio::test]
async fn what_is_sent_depends_on_the_method_and_can_be_chosen() {
    let server = Server::echo().await;
    let given = arguments(json!([1]), json!({"a": 2}));
    let cx = context("t", "1");
    let whole = json!({"task": "t", "id": "1", "attempt": 1, "args": [1], "kwargs": {"a": 2}});
    for (settings, asked, body) in [
        ("", "POST /", &whole),
        ("method = 'PUT'", "PUT /", &whole),
        ("method = 'PATCH'\nbody = 'kwargs'", "PATCH /", &json!({"a": 2})),
        ("method = 'GET'", "GET /", &Value::Null),
        ("method = 'DELETE'", "DELETE /", &Value::Null),
        ("method = 'DELETE'\nbody = 'call'", "DELETE /", &whole),
        ("body = 'none'", "POST /", &Value::Null),
    ] {
        let heard = value(server.call("/", settings).0.run(&cx, &given).await);
        assert_eq!((&heard["asked"], &heard["body"]), (&json!(asked), body));
    }
}

#[tokio::test]
async fn an_answer_is_json_or_text_or_nothing() {
    let json = Server::answering(|| axum::Json(json!({"ok": [1]}))).await;
    assert_eq!(value(run(&json.call("/", "")).await), json!({"ok": [1]}));
    let text = Server::answering(|| "thank you\n").await;
    assert_eq!(value(run(&text.call("/", "")).await), json!("thank you"));
    let nothing = Server::answering(|| axum::http::StatusCode::NO_CONTENT).await;
    assert_eq!(value(run(&nothing.call("/", "")).await), Value::Null);
}

async fn answered(
    status: u16,
    headers: [(&'static str, &'static str); 1],
) -> Result<Output, Failure> {
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let server = Server::answering(move || (status, headers, "because")).await;
    run(&server.call("/x?token=secret", "")).await
}

#[tokio::test]
async fn each_status_has_its_outcome() {
    let none = [("x-nothing", "")];
    for status in [500, 502, 503, 599, 408, 429] {
        let failure = answered(status, none).await.unwrap_err();
        let Failure::Retry { after: None, error } = failure else {
            panic!("{status}: {failure:?}")
        };
        assert_eq!(error.kind, format!("HttpStatus({status})"));
        assert_eq!(error.detail.as_deref(), Some("because"));
    }
    let asked = answered(429, [("retry-after", "90")]).await.unwrap_err();
    assert!(
        matches!(asked, Failure::Retry { after: Some(wait), .. } if wait == Duration::from_secs(90))
    );
    for status in [400, 401, 404, 409, 422] {
        let error = rejection(answered(status, none).await);
        assert_eq!(error.kind, format!("HttpStatus({status})"));
        assert!(error.message.contains("/x was answered with"), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    }
    assert_eq!(rejection(answered(304, none).await).kind, "HttpStatus(304)");
}

#[tokio::test]
async fn of_a_long_refusal_only_the_beginning_is_kept() {
    let refusing = || (axum::http::StatusCode::BAD_REQUEST, "x".repeat(1_000_000));
    let server = Server::answering(refusing).await;
    assert_eq!(rejection(run(&server.call("/", "")).await).detail.unwrap().len(), 4096);
}

/// Answers the first connection with `answer`, as it is, and closes it.
async fn raw(answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.read_u8().await.unwrap();
        connection.write_all(answer.as_bytes()).await.unwrap();
    });
    Server { address, _serving: serving }
}

#[tokio::test]
async fn without_a_whole_answer_the_call_is_tried_again() {
    let kind = |ended: Result<Output, Failure>| match ended.unwrap_err() {
        Failure::Retry { after: None, error } => error,
        other => panic!("not to be tried again: {other:?}"),
    };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = kind(run(&call(&format!("http://{nobody}/?token=secret"), "")).await);
    assert_eq!(refused.kind, "HttpConnect");
    assert!(
        refused.message.contains("refused") && !refused.message.contains("secret"),
        "{refused}"
    );

    let broken = raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    assert_eq!(kind(run(&broken.call("/", "")).await).kind, "HttpConnect");

    let no_tls = raw("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let url = format!("https://{}/", no_tls.address);
    assert_eq!(kind(run(&call(&url, "")).await).kind, "HttpConnect");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let late = kind(run(&call(&url, "timeout = '20ms'")).await);
    assert_eq!(late.kind, "HttpTimeout");
    assert!(late.message.contains("20ms"), "{late}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_an_error() {
    let endless = || {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(100)));
        Response::new(axum::body::Body::from_stream(chunks))
    };
    let server = Server::answering(endless).await;
    let error = error(run(&server.call("/", "")).await);
    assert_eq!(error.kind, "OutputTooLarge");
    assert!(error.message.contains("1000 bytes"), "{error}");
}

#[tokio::test]
async fn a_call_is_sent_on_within_its_host_if_the_same_request_is_wanted() {
    let elsewhere = Server::echo().await;
    let other = format!("http://{}/", elsewhere.address);
    let there = |request: Request| async move { format!("{} there", request.method()) };
    let server = Server::start(
        Router::new()
            .route("/there", any(there))
            .route("/303", any(|| async { Redirect::to("/there") }))
            .route("/307", any(|| async { Redirect::temporary("/there") }))
            .route("/circle", any(|| async { Redirect::temporary("/circle") }))
            .route("/other", any(|| async move { Redirect::temporary(&other) })),
    )
    .await;
    for (path, method, expected) in [
        ("/303", "GET", Ok("GET there")),
        ("/307", "GET", Ok("GET there")),
        ("/307", "POST", Ok("POST there")),
        ("/303", "POST", Err("303")),
        ("/other", "GET", Err("307")),
        ("/circle", "GET", Err("307")),
    ] {
        let ended = run(&server.call(path, &format!("method = '{method}'"))).await;
        match expected {
            Ok(expected) => assert_eq!(value(ended), json!(expected), "{method} {path}"),
            Err(status) => assert_eq!(rejection(ended).kind, format!("HttpStatus({status})")),
        }
    }
}

#[tokio::test]
async fn calls_share_a_connection() {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.port().to_string() };
    let server = Server::start(Router::new().route("/", get(peer))).await;
    let call = server.call("/", "method = 'GET'");
    let first = value(run(&call).await);
    assert_eq!(value(run(&call).await), first);
}

#[tokio::test]
async fn a_call_is_given_up_at_its_soft_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let call = call(&format!("http://{}/", silent.local_addr().unwrap()), "");
    let cx = context("t", "1");
    let given = Given::default();
    let (ended, connection) = tokio::join!(call.0.run(&cx, &given), async {
        let (connection, _) = silent.accept().await.unwrap();
        cx.cancel.cancel();
        connection
    });
    assert_eq!(error(ended).kind, "SoftTimeLimitExceeded");
    let mut heard = Vec::new();
    let mut connection = connection;
    connection.read_to_end(&mut heard).await.ok();
}

#[tokio::test]
async fn an_argument_that_is_missing_is_named() {
    let call = call("http://127.0.0.1:1/{who}", "");
    let error = rejection(run(&call).await);
    assert_eq!(error.to_string(), "ArgumentError: keyword argument `who` is missing from the call");
}

#[tokio::test]
async fn an_id_that_no_header_holds_is_still_a_key() {
    let server = Server::echo().await;
    let cx = context("t", "a\nb");
    let heard = value(server.call("/", "").0.run(&cx, &Given::default()).await);
    assert_eq!(heard["key"], json!("%61%0A%62"));
}

#[test]
fn headers_that_cannot_be_sent_are_refused_at_start() {
    let refused = |headers: &str| {
        let settings = http_settings(&format!("url = 'http://h/'\nheaders = {headers}"));
        HttpCall::try_new(settings, 1, HttpClient::try_new().unwrap()).unwrap_err()
    };
    assert_eq!(refused("{ 'a b' = '' }"), HttpCallError::Header("a b".to_owned()));
    assert_eq!(refused("{ a = \"x\\ny\" }"), HttpCallError::Header("a".to_owned()));
    let key = "Idempotency-Key";
    assert_eq!(refused(&format!("{{ {key} = '' }}")), HttpCallError::Reserved(key.to_owned()));
}
