//! Whether dashboards and alerts ask for what is really told, and alerts come when they should.

use crate::rig::{Process, Rig, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// So long it may take until everything has happened once that is counted.
const ENOUGH: Duration = Duration::from_secs(40);

const RULES: &str = "deploy/prometheus/celeriac.rules.yaml";

const CONFIG: &str = "[broker]\nurl = \"{url}\"\n[ops]\nlisten = \"\"\nsocket = \"ops.sock\"\n\
    [events]\ntasks = \"always\"\n[queues.default]\n[monitor]\nlisten = \"127.0.0.1:0\"\n\
    data_dir = \"index\"\n[tasks.tick]\nexec = [\"true\"]\n[tasks.fail]\nexec = [\"false\"]\n\
    [schedules.tick]\ntask = \"tick\"\nevery = \"500ms\"\n\
    [schedules.fail]\ntask = \"fail\"\nevery = \"500ms\"\n";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is said at `/metrics`; empty while nobody answers in full.
async fn metrics(folder: &Path) -> String {
    let Ok(mut stream) = UnixStream::connect(folder.join("ops.sock")).await else {
        return String::new();
    };
    let mut answer = String::new();
    let asked = async {
        stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n").await?;
        stream.read_to_string(&mut answer).await
    };
    // A connection that breaks is made again by whoever asks again.
    if asked.await.is_err() { String::new() } else { answer }
}

/// The names of the series that are told.
fn told(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| line.starts_with("celeriac_"));
    lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// The names of series in an expression.
fn asked(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_name(c));
    words.filter(|word| word.starts_with("celeriac_")).map(str::to_owned).collect()
}

/// Every expression of the dashboards and of the rules, and where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(repository().join("deploy/grafana")).unwrap() {
        let path = file.unwrap().path();
        let board: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let panels = board["panels"].as_array().unwrap();
        assert!(panels.len() > 5, "{}", path.display());
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{}: {}", path.display(), panel["title"]);
                all.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap().iter().skip(1) {
            let query = variable["query"]["query"].as_str().unwrap();
            all.push((format!("{}: variable", path.display()), query.to_owned()));
        }
        for it in board["annotations"]["list"].as_array().unwrap() {
            let expression = it["expr"].as_str().unwrap();
            all.push((format!("{}: annotation", path.display()), expression.to_owned()));
        }
    }
    let rules = std::fs::read_to_string(repository().join(RULES)).unwrap();
    all.extend(rules.split("- alert: ").skip(1).map(|rule| {
        let (name, rest) = rule.split_once('\n').unwrap();
        let expression = rest.split("labels:").next().unwrap();
        (format!("the alert {name}"), expression.to_owned())
    }));
    all
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_what_is_told() {
    let rig = Rig::start().await;
    let _all: Process = rig.celeriac(&["run"], CONFIG).await;
    let expressions = expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    let wanted: BTreeSet<_> = expressions.iter().flat_map(|(_, it)| asked(it)).collect();
    let last = Mutex::new(BTreeSet::new());
    let all = async || {
        let told = told(&metrics(rig.folder()).await);
        let has_all = wanted.is_subset(&told);
        *last.lock().unwrap() = told;
        has_all
    };
    let found = tokio::time::timeout(ENOUGH, eventually("every series", all)).await;
    let last = last.into_inner().unwrap();
    let missing: Vec<_> = expressions
        .iter()
        .filter(|(_, expression)| !asked(expression).is_subset(&last))
        .map(|(place, expression)| format!("{place} asks for {expression}"))
        .collect();
    assert!(found.is_ok() && missing.is_empty(), "{missing:#?}\nof {last:?}");
}

#[test]
fn alerts_come_when_they_should() {
    let folder = repository().join("deploy/prometheus");
    let test = Command::new("promtool")
        .args(["test", "rules", "celeriac.rules.test.yaml"])
        .current_dir(folder)
        .output();
    let Ok(output) = test else {
        let missing = "no promtool; Debian has it in its package prometheus";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        return eprintln!("SKIPPED: {missing}");
    };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let rules = std::fs::read_to_string(repository().join(RULES)).unwrap();
    let tests =
        std::fs::read_to_string(repository().join("deploy/prometheus/celeriac.rules.test.yaml"))
            .unwrap();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} has no test");
    }
}
