//! What somebody has dealt with is out of sight until it happens again.

use super::Shown;
use super::scene::Scene;
use crate::rig::eventually;
use serde_json::{Value, json};

/// The only kind of failure there is.
async fn failure(monitor: &Shown) -> Value {
    monitor.get("/api/v1/failures").await["items"][0].clone()
}

async fn until(monitor: &Shown, state: &str) -> Value {
    eventually(state, async || failure(monitor).await["state"] == state).await;
    failure(monitor).await
}

async fn resolve(monitor: &Shown, path: &str) {
    let (status, reply) = monitor.act(&format!("/api/v1{path}"), &json!({})).await;
    assert_eq!((status, &reply["status"]), (200, &"done".into()), "{reply}");
}

#[tokio::test]
async fn what_is_resolved_comes_back_when_it_happens_again() {
    let scene = Scene::start().await;
    let monitor = &scene.monitor;
    for _ in 0..2 {
        scene.run("shop.fail", &("x",), "FAILURE").await;
    }
    let first = until(monitor, "open").await;
    assert_eq!((&first["open"], &first["resolved"]), (&2.into(), &Value::Null));
    let sig = &first["sig"];
    resolve(monitor, &format!("/failures/{sig}/resolve")).await;
    let resolved = until(monitor, "resolved").await;
    assert_eq!((&resolved["open"], &resolved["resolved"]["by"]), (&0.into(), &"local".into()));
    let left = monitor.get("/api/v1/failures?listed=unresolved").await;
    assert_eq!(left["items"], json!([]));
    assert!(!scene.page("/failures").await.contains("CardDeclined"));
    assert!(scene.page("/failures?resolved=true").await.contains("resolved <time"));
    let dealt_with = monitor.get("/api/v1/tasks?q=resolved:yes").await;
    assert_eq!(dealt_with["items"].as_array().unwrap().len(), 2);

    let again = scene.run("shop.fail", &("x",), "FAILURE").await;
    let regressed = until(monitor, "regressed").await;
    assert_eq!((&regressed["open"], &regressed["count"]), (&1.into(), &3.into()));
    assert!(scene.page("/failures").await.contains("regressed"));

    // Another index reads events and audit anew, in whichever order they come.
    let folder = tempfile::tempdir().unwrap();
    let anew = Box::pin(Shown::start(&scene.rig, folder.path())).await;
    eventually("the same in another index", async || {
        let failure = failure(&anew).await;
        (&failure["state"], &failure["open"]) == (&"regressed".into(), &1.into())
    })
    .await;
    anew.stop().await;

    resolve(monitor, &format!("/tasks/{again}/resolve")).await;
    eventually("the task to be resolved", async || failure(monitor).await["open"] == 0).await;
    resolve(monitor, &format!("/failures/{sig}/unresolve")).await;
    let open = until(monitor, "open").await;
    assert_eq!(open["open"], 3, "what is taken back is open again: {open}");

    let good = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let wrong = monitor.act(&format!("/api/v1/tasks/{good}/resolve"), &json!({})).await;
    assert_eq!(wrong.0, 409, "{}", wrong.1);
    assert_eq!(monitor.act("/api/v1/failures/999/resolve", &json!({})).await.0, 404);
    scene.stop().await;
}
