//! Who may look, and who may do what.

use super::Shown;
use crate::rig::Rig;
use celeriac::app::App;
use celeriac::clock::SystemClock;
use celeriac::config::Config;
use celeriac::monitor::{Configuration, Monitor, MonitorError, Role, Status, Tokens, Users};
use celeriac::shutdown::Shutdown;
use serde_json::json;
use std::sync::Arc;

/// Everything that changes something, what it takes, and the least role that may.
const CALLS: &[(&str, &str, Role)] = &[
    ("/api/v1/tasks/x/retry", "{}", Role::Operator),
    ("/api/v1/tasks/x/revoke", "{}", Role::Operator),
    ("/api/v1/tasks/x/terminate", "{}", Role::Operator),
    ("/api/v1/tasks/x/resolve", "{}", Role::Operator),
    ("/api/v1/failures/1/resolve", "{}", Role::Operator),
    ("/api/v1/dead/requeue", r#"{"offsets":[]}"#, Role::Operator),
    ("/api/v1/dead/discard", r#"{"offsets":[]}"#, Role::Admin),
    ("/api/v1/operations", r#"{"action":"requeue"}"#, Role::Operator),
    ("/api/v1/operations", r#"{"action":"discard","dry_run":true}"#, Role::Admin),
    ("/api/v1/operations/x/cancel", "{}", Role::Operator),
    ("/api/v1/queues/none/pause", r#"{"reason":""}"#, Role::Operator),
    ("/api/v1/queues/none/resume", "{}", Role::Operator),
    ("/api/v1/queues/none/purge", "{}", Role::Admin),
    ("/api/v1/schedules/none/run", "{}", Role::Operator),
    ("/api/v1/schedules/none/pause", r#"{"reason":""}"#, Role::Operator),
    ("/api/v1/schedules/none/resume", "{}", Role::Operator),
    ("/api/v1/schedules/none/reset", "{}", Role::Operator),
    ("/api/v1/schedules/none/backfill", r#"{"from":""}"#, Role::Operator),
    ("/api/v1/workers/none/order", r#"{"action":"grow","slots":1}"#, Role::Operator),
    ("/api/v1/workers/none/order", r#"{"action":"stop"}"#, Role::Admin),
    ("/api/v1/workers/order", r#"{"action":"stop"}"#, Role::Admin),
    ("/api/task/send-task/x", r#"{"args":"none"}"#, Role::Operator),
    ("/api/task/revoke/x", "{}", Role::Operator),
    ("/api/task/rate-limit/x?workername=none&ratelimit=1", "{}", Role::Operator),
    ("/api/worker/pool/grow/none", "{}", Role::Operator),
    ("/api/worker/shutdown/none", "{}", Role::Admin),
];

#[tokio::test]
async fn nobody_does_more_than_their_token_says() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("tokens").display().to_string();
    let tokens = Role::ALL.map(|role| Tokens::add(&file, role.as_str(), role).unwrap());
    let mut config = Config::from(rig.url());
    config.monitor.listen = "127.0.0.1:0".to_owned();
    config.monitor.data_dir = folder.path().display().to_string();
    config.monitor.auth.tokens_file = file;
    config.monitor.compat.flower_api = true;
    let monitor = Box::pin(Shown::with(config)).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let url = |path: &str| format!("{}{path}", monitor.address());
    let login = |token: &str| {
        let form = client.post(url("/login")).body(format!("token={token}"));
        form.header("content-type", "application/x-www-form-urlencoded")
    };

    for path in ["/api/v1/tasks", "/api/v1/audit", "/api/v1/about", "/api/v1/me", "/api/tasks"] {
        assert_eq!(client.get(url(path)).send().await.unwrap().status(), 401, "{path}");
    }
    let wrong = client.get(url("/api/v1/me")).bearer_auth("celeriac_wrong");
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let page = client.get(url("/")).header("accept", "text/html").send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["location"]),
        (303, &"/login".parse().unwrap())
    );

    for (path, body, least) in CALLS.iter().copied() {
        for (role, token) in Role::ALL.iter().zip(&tokens) {
            let call = client.post(url(path)).bearer_auth(token).body(body);
            let status =
                call.header("content-type", "application/json").send().await.unwrap().status();
            assert_eq!(status == 403, *role < least, "{path} {body} as {role:?}: {status}");
            assert_ne!(status, 401, "{path} as {role:?}");
        }
    }

    let enter = login(&tokens[1]).send().await.unwrap();
    let cookie = enter.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let me = client.get(url("/api/v1/me")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(
        me.json::<serde_json::Value>().await.unwrap(),
        json!({"user": "operator", "role": "operator"})
    );
    let act = client.post(url("/api/v1/tasks/x/retry")).header("cookie", &cookie);
    assert_eq!(act.send().await.unwrap().status(), 403, "a cookie alone changes nothing");
    let leave = client.post(url("/logout")).header("cookie", &cookie).header("x-celeriac", "1");
    leave.send().await.unwrap();
    let me = client.get(url("/api/v1/me")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(me.status(), 401, "logged out");
    assert_eq!(login("celeriac_wrong").send().await.unwrap().status(), 401);
    monitor.stop().await;
}

#[tokio::test]
async fn a_password_lets_in_from_afar_and_says_nothing_of_who_there_is() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("users").display().to_string();
    for role in Role::ALL {
        Users::add(&file, role.as_str(), role, "correct horse").unwrap();
    }
    let mut config = Config::from(rig.url());
    config.monitor.listen = "0.0.0.0:0".to_owned();
    config.monitor.data_dir = folder.path().display().to_string();
    config.monitor.auth.users_file = file;
    config.monitor.compat.flower_api = true;
    let monitor = Box::pin(Shown::with(config)).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let get = |path: &str| client.get(monitor.url(path));

    let me = get("/api/v1/me").basic_auth("operator", Some("correct horse")).send().await.unwrap();
    let me = me.json::<serde_json::Value>().await.unwrap();
    assert_eq!(me, json!({"user": "operator", "role": "operator"}));

    let mut refusals = Vec::new();
    for (name, password) in [("operator", "wrong"), ("nobody", "correct horse")] {
        let refused = get("/api/v1/me").basic_auth(name, Some(password)).send().await.unwrap();
        let asks = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        refusals.push((refused.status().as_u16(), asks, refused.text().await.unwrap()));
    }
    assert_eq!(refusals[0], refusals[1]);
    assert!(refusals[0].0 == 401 && refusals[0].1.starts_with("Basic "), "{refusals:?}");
    let script = get("/api/v1/me").header("sec-fetch-mode", "cors").send().await.unwrap();
    assert!(!script.headers().contains_key("www-authenticate"), "no window over the page");

    for (path, body, least) in CALLS.iter().copied() {
        for role in Role::ALL {
            let call = client.post(monitor.url(path)).body(body).header("x-celeriac", "1");
            let call = call.header("content-type", "application/json");
            let call = call.basic_auth(role.as_str(), Some("correct horse"));
            let status = call.send().await.unwrap().status();
            assert_eq!(status == 403, role < least, "{path} {body} as {role:?}: {status}");
            assert_ne!(status, 401, "{path} as {role:?}");
        }
    }
    let elsewhere = client.post(monitor.url("/api/v1/tasks/x/retry"));
    let elsewhere = elsewhere.header("origin", "http://evil.example");
    let elsewhere = elsewhere.basic_auth("admin", Some("correct horse")).send().await.unwrap();
    assert_eq!(elsewhere.status(), 403, "a browser sends a password by itself");

    let login = |password: &str| {
        let form =
            client.post(monitor.url("/login")).body(format!("name=admin&password={password}"));
        form.header("content-type", "application/x-www-form-urlencoded").send()
    };
    let cookie = login("correct+horse").await.unwrap().headers()["set-cookie"].clone();
    let page = get("/").header("cookie", cookie).header("accept", "text/html");
    assert_eq!(page.send().await.unwrap().status(), 200);
    let mut wrong = Vec::new();
    for _ in 0..11 {
        let refused = login("hunter2x").await.unwrap();
        wrong.push(refused.status().as_u16());
        assert!(!refused.text().await.unwrap().contains("hunter2x"), "no password in a page");
    }
    assert_eq!((wrong[0], wrong[10]), (401, 429), "{wrong:?}");
    monitor.stop().await;
}

#[tokio::test]
async fn it_does_not_start_where_anybody_could_come_in() {
    let (rig, folder) = (Rig::start().await, tempfile::tempdir().unwrap());
    let app = Box::pin(App::connect(rig.url())).await.unwrap();
    let mut settings = app.config().monitor.clone();
    settings.listen = "0.0.0.0:0".to_owned();
    settings.data_dir = folder.path().display().to_string();
    let monitor = Monitor {
        settings,
        broker: app.broker().clone(),
        events: (&app.config().events).into(),
        dead: app.config().dead.clone(),
        clock: Arc::new(SystemClock),
        status: Status::default(),
        configuration: Configuration::default(),
        sender: None,
    };
    let error = Box::pin(monitor.run(Shutdown::new())).await.unwrap_err();
    assert!(matches!(error, MonitorError::Open(_)), "{error}");
    assert!(error.to_string().contains("celeriac token new"), "{error}");
}
