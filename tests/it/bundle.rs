//! What `celeriac bundle` and the monitor collect for a ticket: all that helps, and no secret.

use crate::rig::{PATIENCE, Process, Rig, eventually};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Output, Stdio};
use tokio::process::Command;

/// Secrets wherever one can be; `hush-` is before each.
const CONFIG: &str = r#"
[broker]
url = "{url}"
failover = ["amqp://someone:hush-failover@127.0.0.1:1/"]
[ops]
listen = ""
socket = ""
[log]
target = "file:celeriac.log"
[monitor]
listen = "127.0.0.1:0"
data_dir = "index"
[monitor.auth]
tokens_file = "tokens"
[events]
tasks = "always"
[queues.default]
[tasks.bad]
exec = ["sh", "-c", "echo hush-error >&2; exit 1"]
env = { KEY = "hush-env" }
retries = 0
[tasks.hook.http]
url = "http://someone:hush-url@127.0.0.1:1/?key=hush-query"
headers = { X-Key = "hush-header" }
[schedules.tick]
task = "bad"
every = "1d"
args = ["hush-argument"]
kwargs = { password = "hush-keyword" }
"#;

async fn celeriac(rig: &Rig, token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(arguments).current_dir(rig.folder()).stdin(Stdio::null());
    command.env("CELERIAC_TOKEN", token);
    tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

/// The files of a bundle, by their names.
fn unpack(packed: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    let read = |mut entry: tar::Entry<'_, GzDecoder<&[u8]>>| {
        let name = entry.path().unwrap().strip_prefix("celeriac").unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    };
    archive.entries().unwrap().map(|entry| read(entry.unwrap())).collect()
}

#[tokio::test]
async fn a_bundle_has_what_helps_and_no_secret() {
    let rig = Rig::start().await;
    let path = rig.folder().join("celeriac.toml");
    tokio::fs::write(path, CONFIG.replace("{url}", &rig.url())).await.unwrap();
    let token = async |name: &str| {
        let made = celeriac(&rig, "", &["token", "new", name, "--role", name]).await;
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let (admin, viewer) = (token("admin").await, token("viewer").await);
    let _all = Process::celeriac(&["run"], rig.folder());
    let log = rig.folder().join("celeriac.log");
    let said = async || {
        let log = tokio::fs::read_to_string(&log).await.ok()?;
        let (_, at) = log.split_once("the monitor is at ")?;
        Some(at.split_whitespace().next()?.to_owned())
    };
    eventually("the monitor to say where it is", async || said().await.is_some()).await;
    let address = said().await.unwrap();
    let (args, kwargs) = (r#"["hush-sent"]"#, r#"{"password": "hush-named"}"#);
    let sent = celeriac(&rig, "", &["send", "bad", "--args", args, "--kwargs", kwargs]).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    eventually("the failure", async || {
        let failed = ["tasks", "state:failure", "-o", "id", "--monitor", &address];
        !celeriac(&rig, &admin, &failed).await.stdout.is_empty()
    })
    .await;

    // Another test may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    eventually("the queue to be looked at", async || {
        let queue = client.get(format!("{address}api/v1/queues/default")).bearer_auth(&admin);
        queue.send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;

    let bundle = async |token: &str, file: &str| {
        let arguments = ["bundle", "--file", file, "--monitor", &address];
        let made = celeriac(&rig, token, &arguments).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        unpack(&tokio::fs::read(rig.folder().join(file)).await.unwrap())
    };
    let files = bundle(&admin, "admin.tar.gz").await;
    let password = rig.url().split_once('@').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    for (name, text) in &files {
        for secret in ["hush-", &admin, &viewer, &format!(":{password}@")] {
            assert!(!text.contains(secret), "{secret} in {name}:\n{text}");
        }
    }
    for (name, part) in [
        ("README.txt", "monitor/"),
        ("version.json", env!("CARGO_PKG_VERSION")),
        ("config.toml", "[tasks.bad]"),
        ("doctor.json", "\"broker\""),
        ("topology.json", "["),
        ("status.json", "\"default\""),
        ("log.txt", "the monitor is at"),
        ("monitor/about.json", "\"reading\": true"),
        ("monitor/config.toml", "[tasks.bad]"),
        ("monitor/topology.json", "["),
        ("monitor/queues.json", "\"default\""),
        ("monitor/workers.json", "\"up\""),
        ("monitor/states.json", "\"FAILURE\": 1"),
        ("monitor/failures.json", "\"bad\""),
        ("monitor/metrics.txt", "celeriac_events_reading 1"),
    ] {
        let text = files.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
        assert!(text.contains(part), "{part} in {name}:\n{text}");
    }

    let less = bundle(&viewer, "viewer.tar.gz").await;
    assert!(less["monitor.txt"].contains("this takes admin"), "{:?}", less["monitor.txt"]);
    assert!(!less.keys().any(|name| name.starts_with("monitor/")));
    for (token, is_offered) in [(&admin, true), (&viewer, false)] {
        let about = client.get(format!("{address}about")).bearer_auth(token).send().await.unwrap();
        let text = about.text().await.unwrap();
        assert_eq!(text.contains("/api/v1/bundle"), is_offered, "{text}");
    }
}
