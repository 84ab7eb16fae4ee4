//! What people look with: `status`, `tasks`, `failures`, `events`, `queue`, as the real program.

use crate::rig::{PATIENCE, Process, Rig, eventually};
use serde_json::Value;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const CONFIG: &str = r#"
[broker]
url = "{url}"
[ops]
listen = ""
socket = ""
[monitor]
listen = "127.0.0.1:0"
data_dir = "index"
[queues.default]
[worker]
name = "w@web1"
[tasks.good]
exec = ["true"]
[tasks.bad]
exec = ["false"]
retries = 0
"#;

/// How a command ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

/// Everything in one process, and commands beside it.
struct Shop {
    rig: Rig,
    _all: Process,
    monitor: String,
}

impl Shop {
    async fn open() -> Self {
        let rig = Rig::start().await;
        let mut all = rig.celeriac(&["run"], CONFIG).await;
        let monitor = address(&all.until("http://127.0.0.1:").await);
        let shop = Self { rig, _all: all, monitor };
        eventually("the worker to be there", async || {
            shop.run(&["status", "--check"]).await.code == Some(0)
        })
        .await;
        shop
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        run(&self.rig, &self.monitor, arguments).await
    }

    /// Sends a task and waits until the monitor has it in this state.
    async fn send(&self, task: &str, state: &str) -> String {
        let id = self.run(&["send", task, "-o", "id"]).await.out;
        let id = id.split_whitespace().next().unwrap().to_owned();
        eventually("the monitor to know", async || {
            let filter = format!("id:{id} state:{state}");
            self.run(&["tasks", &filter, "-o", "id"]).await.out.trim() == id
        })
        .await;
        id
    }
}

/// The address in a line of the log.
fn address(line: &str) -> String {
    let (_, address) = line.split_once("http://").unwrap();
    format!("http://{}", address.split_whitespace().next().unwrap())
}

async fn run(rig: &Rig, monitor: &str, arguments: &[&str]) -> Ended {
    run_as(rig, monitor, None, arguments).await
}

async fn run_as(rig: &Rig, monitor: &str, token: Option<&str>, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(arguments).current_dir(rig.folder()).stdin(Stdio::null());
    command.env("CELERIAC_MONITOR_URL", monitor).env_remove("CELERIAC_TOKEN");
    command.envs(token.map(|token| ("CELERIAC_TOKEN", token)));
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    Ended {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_failed_task_is_found_shown_and_grouped() {
    let shop = Shop::open().await;
    let bad = shop.send("bad", "failure").await;
    shop.send("good", "success").await;

    let found = shop.run(&["tasks", "state:failure", "-o", "jsonl"]).await;
    let lines: Vec<Value> =
        found.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["id"].as_str()), (1, Some(bad.as_str())));
    let table = shop.run(&["tasks"]).await.out;
    assert!(table.starts_with("ID ") && table.lines().count() == 3, "{table}");
    assert_eq!(
        shop.run(&["tasks", "-n", "1", "-o", "json"]).await.json().as_array().unwrap().len(),
        1
    );

    let page = shop.run(&["tasks", "show", &bad[..8]]).await;
    assert!(page.out.contains(&bad) && page.out.contains("attempt 1  FAILURE"), "{}", page.out);
    assert_eq!(shop.run(&["tasks", "show", &bad, "-o", "json"]).await.json()["name"], "bad");

    let groups = shop.run(&["failures", "-o", "json"]).await.json();
    assert_eq!((&groups[0]["count"], &groups[0]["names"][0]), (&1.into(), &"bad".into()));
    let sig = groups[0]["sig"].to_string();
    let same = shop.run(&["tasks", &format!("sig:{sig}"), "-o", "id"]).await;
    assert_eq!(same.out.trim(), bad);
    let one = shop.run(&["failures", "show", &sig, "-o", "json"]).await.json();
    assert_eq!(one["title"], groups[0]["title"]);
    assert_eq!(shop.run(&["failures", "show", "999"]).await.code, Some(4));
    assert_eq!(shop.run(&["failures", "--by", "count", "-o", "id"]).await.out.trim(), sig);
}

#[tokio::test]
async fn who_follows_sees_each_task_as_it_goes_on() {
    let shop = Shop::open().await;
    let arguments = ["tasks", "-f", "-o", "jsonl", "name:bad", "--monitor", &shop.monitor];
    let mut tail = Process::celeriac(&arguments, shop.rig.folder());
    for _ in 0..2 {
        let id = shop.send("bad", "failure").await;
        tail.until(&format!("\"{id}\"")).await;
    }
    shop.send("good", "success").await;
    assert!(!tail.output().contains("\"good\""), "{}", tail.output());
}

#[tokio::test]
async fn what_cannot_be_found_is_said_with_an_exit_code() {
    let shop = Shop::open().await;
    let wrong = shop.run(&["tasks", "sate:failure"]).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(65), ""));
    assert!(wrong.err.contains("did you mean `state`?\n  sate:failure\n  ^^^^\n"), "{}", wrong.err);
    assert_eq!(shop.run(&["tasks", "-f", "sate:failure"]).await.code, Some(65));
    assert_eq!(shop.run(&["tasks", "-f", "-o", "json"]).await.code, Some(2));
    assert_eq!(shop.run(&["tasks", "show", "no-such-task"]).await.code, Some(4));
    let away = run(&shop.rig, "http://127.0.0.1:1", &["tasks"]).await;
    assert_eq!((away.code, away.out.as_str()), (Some(69), ""));
    assert!(away.err.contains("celeriac monitor"), "{}", away.err);
}

#[tokio::test]
async fn a_monitor_that_wants_a_login_is_shown_a_token() {
    let rig = Rig::start().await;
    let with_tokens = format!("{CONFIG}[monitor.auth]\ntokens_file = \"tokens\"\n");
    let path = rig.folder().join("celeriac.toml");
    tokio::fs::write(path, with_tokens.replace("{url}", &rig.url())).await.unwrap();
    let token = run(&rig, "http://127.0.0.1:1", &["token", "new", "ana"]).await.out;
    let mut monitor = Process::celeriac(&["monitor"], rig.folder());
    let address = address(&monitor.until("http://127.0.0.1:").await);
    for (token, code) in [(None, 77), (Some("nonsense"), 77), (Some(token.trim()), 0)] {
        let ended = run_as(&rig, &address, token, &["tasks"]).await;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(code == 0 || ended.err.contains("CELERIAC_TOKEN"), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_monitor_that_wants_a_password_finds_it_in_the_address() {
    let rig = Rig::start().await;
    let with_users = format!("{CONFIG}[monitor.auth]\nusers_file = \"users\"\n");
    let path = rig.folder().join("celeriac.toml");
    tokio::fs::write(path, with_users.replace("{url}", &rig.url())).await.unwrap();
    for (password, code) in [("short", 65), ("correct-horse", 0), ("another-one", 65)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(["user", "new", "ana"]).current_dir(rig.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{password}\nmore\n").as_bytes()).await.unwrap();
        drop(stdin);
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(code), "{password}");
        let told = [ended.stdout, ended.stderr].concat();
        assert!(!String::from_utf8(told).unwrap().contains(password), "it is not shown");
    }
    let listed = run(&rig, "http://127.0.0.1:1", &["user", "list", "-o", "json"]).await.json();
    assert_eq!(listed, serde_json::json!([{"name": "ana", "role": "viewer"}]));
    let mut monitor = Process::celeriac(&["monitor"], rig.folder());
    let address = address(&monitor.until("http://127.0.0.1:").await);
    for (login, code) in [("", 77), ("ana:wrong-one@", 77), ("ana:correct-horse@", 0)] {
        let ended = run(&rig, &address.replace("//", &format!("//{login}")), &["tasks"]).await;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(!ended.err.contains("wrong-one"), "{}", ended.err);
    }
    assert!(!monitor.output().contains("horse"), "{}", monitor.output());
}

#[tokio::test]
async fn status_has_what_is_wrong_and_what_to_do() {
    let rig = Rig::start().await;
    let path = rig.folder().join("celeriac.toml");
    let with_schedule = format!("{CONFIG}[schedules.tick]\ntask = \"good\"\nevery = \"1h\"\n");
    tokio::fs::write(path, with_schedule.replace("{url}", &rig.url())).await.unwrap();
    let nowhere = "http://127.0.0.1:1";
    let alone = run(&rig, nowhere, &["status", "--check", "-o", "json"]).await;
    assert_eq!(alone.code, Some(1), "{}", alone.err);
    let codes: Vec<Value> = alone.json()["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["code"].clone())
        .collect();
    assert_eq!(codes, ["no_worker", "queue_missing", "no_scheduler", "monitor_silent"]);
    assert_eq!(run(&rig, nowhere, &["status"]).await.code, Some(0));
}

#[tokio::test]
async fn status_is_one_screen_where_all_is_well() {
    let shop = Shop::open().await;
    let status = shop.run(&["status", "--check"]).await;
    assert_eq!(status.code, Some(0), "{}", status.out);
    let expected = ["workers    1 up, 0 of ", "default  0      1", "no problems"];
    assert!(expected.iter().all(|part| status.out.contains(part)), "{}", status.out);
    let json = shop.run(&["status", "-o", "json"]).await.json();
    assert_eq!(
        (&json["workers"][0]["worker"], &json["monitor"]["reading"]),
        (&"w@web1".into(), &true.into())
    );
    assert_eq!(json["problems"], Value::Array(Vec::new()));
}

#[cfg(feature = "top")]
#[tokio::test]
async fn a_snapshot_of_top_has_queues_workers_and_what_fails() {
    let shop = Shop::open().await;
    shop.send("bad", "failure").await;
    let picture = shop.run(&["top", "--snapshot", "--size", "120x30"]).await;
    assert_eq!((picture.code, picture.out.lines().count()), (Some(0), 30), "{}", picture.err);
    for part in ["default", "w@web1", "running, longest first", "1× "] {
        assert!(picture.out.contains(part), "{part}\n{}", picture.out);
    }
    assert_eq!(shop.run(&["top"]).await.code, Some(2), "no terminal");
}

#[tokio::test]
async fn events_come_from_the_broker_as_they_are_told() {
    let shop = Shop::open().await;
    let arguments = ["events", "-f", "-o", "jsonl", "name:bad event:task-failed"];
    let mut tail = Process::celeriac(&arguments, shop.rig.folder());
    // It may begin to listen only after the first of them.
    let mut sent = Vec::new();
    let mut sending = async || loop {
        sent.push(shop.send("bad", "failure").await);
    };
    let line = tokio::select! {
        line = tail.until("task-failed") => line,
        () = sending() => unreachable!("it never ends"),
    };
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["type"], &event["hostname"]), (&"task-failed".into(), &"w@web1".into()));

    let past = shop.run(&["events", "--since", "10m", "event:task-failed", "-o", "json"]).await;
    assert!(past.json().as_array().unwrap().contains(&event), "{}", past.out);
    assert_eq!(shop.run(&["events", "evnt:x"]).await.code, Some(65));
}

#[tokio::test]
async fn a_queue_is_purged_only_by_who_says_so() {
    let rig = Rig::start().await;
    let path = rig.folder().join("celeriac.toml");
    tokio::fs::write(path, CONFIG.replace("{url}", &rig.url())).await.unwrap();
    let ask = async |arguments: &[&str]| run(&rig, "http://127.0.0.1:1", arguments).await;
    assert_eq!(ask(&["queue", "show", "default"]).await.code, Some(4));
    assert_eq!(ask(&["queue", "purge", "default", "--yes"]).await.code, Some(4));
    assert_eq!(ask(&["topology", "apply"]).await.code, Some(0));
    assert_eq!(ask(&["send", "good"]).await.code, Some(0));
    let list = ask(&["queue", "list", "other", "-o", "json"]).await.json();
    assert_eq!((&list[0]["name"], &list[0]["ready"]), (&"default".into(), &1.into()));
    assert_eq!((&list[1]["name"], &list[1]["state"]), (&"other".into(), &"missing".into()));

    let unasked = ask(&["queue", "purge", "default"]).await;
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(ask(&["queue", "show", "default", "-o", "json"]).await.json()["ready"], 1);
    let purged = ask(&["queue", "purge", "default", "--yes"]).await;
    assert_eq!(purged.out, "1 message deleted from default\n");
    assert_eq!(ask(&["queue", "show", "default", "-o", "json"]).await.json()["ready"], 0);
}
