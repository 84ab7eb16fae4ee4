//! A task that was given up is run again otherwise than it was sent.

use super::bulk::{Shelf, shelved, submit};
use crate::rig::eventually;
use crate::topology::consume;
use celeriac::clock;
use celeriac::protocol::Body;
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::SystemTime;

#[tokio::test]
async fn what_is_changed_differs_and_the_rest_is_as_it_was_sent() {
    let shelf = Shelf::set_up().await;
    let sent = shelf.bury(1, "mail", "E: e").await;
    let (id, body) = sent.first_key_value().unwrap();
    let monitor = shelf.monitor().await;
    shelved(&monitor, 1).await;
    let mut deliveries = consume(&shelf.broker, "mail");
    let retry = format!("/api/v1/tasks/{id}/retry");
    for (edits, field) in
        [(json!({ "countdown": -1 }), "countdown"), (json!({ "eta": "tomorrow" }), "eta")]
    {
        let (status, problem) = monitor.act(&retry, &edits).await;
        assert_eq!((status, &problem["field"]), (400, &field.into()), "{problem}");
    }
    assert!(monitor.act(&retry, &json!({ "arg": [] })).await.0 >= 400);

    let edits = json!({ "kwargs": { "to": "bo" }, "eta": "2099-01-01T00:00:00Z", "priority": 7 });
    let (status, reply) = monitor.act(&retry, &edits).await;
    assert_eq!((status, &reply["status"]), (200, &"done".into()), "{reply}");
    let delivery = deliveries.next().await.unwrap();
    let envelope = delivery.envelope(&Default::default()).unwrap();
    let read = Body::parse(&envelope, &Default::default()).unwrap();
    assert_eq!(read.args_json().unwrap(), [json!(0), json!("ü")]);
    assert_eq!(Value::from(read.kwargs_json().unwrap()), json!({ "to": "bo" }));
    assert_eq!(
        (envelope.headers.id.as_str(), envelope.properties.priority),
        (id.as_str(), Some(7))
    );
    assert_eq!(envelope.headers.eta, clock::parse_iso("2099-01-01T00:00:00Z"));
    assert!(envelope.headers.extra.is_empty(), "{:?}", envelope.headers.extra);
    delivery.settle.ack();
    let changed = json!(["kwargs", "eta", "priority"]);
    eventually("the audit to name what was changed", async || {
        let audit = monitor.get("/api/v1/audit").await;
        audit["items"][0]["arguments"]["changed"] == changed
    })
    .await;

    let path = format!("/tasks/{id}/again");
    let page = monitor.ask(&path).await.text().await.unwrap();
    assert!(page.contains("name=\"kwargs\"") && page.contains("&#34;ü&#34;"), "{page}");
    let wrong = submit(&monitor, &path, &[("args", "[1"), ("kwargs", "{}")]).await;
    let text = wrong.text().await.unwrap();
    assert!(text.contains("the positional arguments: EOF"), "{text}");
    let form = [("args", "[0, \"ü\"]"), ("kwargs", "{}"), ("countdown", "3600")];
    let ran = submit(&monitor, &path, &form).await;
    assert_eq!(ran.status(), 303, "{}", ran.text().await.unwrap());
    let delivery = deliveries.next().await.unwrap();
    assert_eq!(&delivery.body[..], body.as_slice(), "the same arguments are the same bytes");
    let headers = delivery.envelope(&Default::default()).unwrap().headers;
    assert!(headers.eta.unwrap() > SystemTime::now());
    delivery.settle.ack();
    assert_eq!(monitor.ask("/tasks/none/again").await.status(), 400);
    monitor.stop().await;
}
