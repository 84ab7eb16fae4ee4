//! The examples do what they say.

use crate::rig::{PATIENCE, Process, Rig, Signal, eventually};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Starts an example on the rig's broker.
///
/// `cargo test` builds the examples; with `--test it` alone, `cargo build --examples` comes first.
fn start(rig: &Rig, example: &str) -> Process {
    let celeriac = Path::new(env!("CARGO_BIN_EXE_celeriac"));
    let mut command = Command::new(celeriac.with_file_name("examples").join(example));
    command.env("CELERIAC_BROKER_URL", rig.url()).env("TMPDIR", rig.folder());
    command.current_dir(rig.folder());
    Process::spawn(command)
}

/// The host and port in `listening on http://HOST:PORT`.
async fn address(example: &mut Process) -> String {
    let line = example.until("listening on http://").await;
    line.rsplit('/').next().unwrap().to_owned()
}

/// Asks over HTTP: the whole answer, head and all.
async fn ask(address: &str, method: &str, path: &str, json: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_program_runs_its_own_worker_and_gets_the_result() {
    let rig = Rig::start().await;
    let mut example = start(&rig, "embed");
    example.until("2 + 3 = 5").await;
    assert!(example.ended(PATIENCE).await.success());
}

/// Runs an example to its end and looks for what it should have said.
async fn says(example: &str, lines: &[&str]) {
    let rig = Rig::start().await;
    let mut example = start(&rig, example);
    assert!(example.ended(PATIENCE).await.success(), "{}", example.output());
    let said = example.output();
    for line in lines {
        assert!(said.contains(line), "{line:?} is missing:\n{said}");
    }
}

#[tokio::test]
async fn a_chain_gives_its_last_result_or_its_first_error() {
    says("chain", &["please pay 36.00", "no such item: air"]).await;
}

#[tokio::test]
async fn a_chord_adds_up() {
    says("chord", &["5050 words"]).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_order_and_its_task_are_one_transaction() {
    let said = ["no order and no task: ", "1 task is staged", "tea is on its way"];
    says("outbox", &said).await;
}

#[tokio::test]
async fn an_upload_is_made_told_and_counted() {
    let told = "user 42: 3 files are ready, see cat.mp4.jpg";
    says("upload", &["analytics: cat.mp4.jpg has 9000 bytes", told]).await;
}

#[tokio::test]
async fn every_end_of_an_attempt_has_its_consequence() {
    let rig = Rig::start().await;
    let mut example = start(&rig, "retry");
    for line in [
        r#"fetch with "right": attempt 3"#,
        "fetched the page",
        "given up: task ",
        "fragile delivered at attempt 2",
        "returned: task ",
        "ticking: task ",
        "without retries: true",
    ] {
        example.until(line).await;
    }
    assert!(example.ended(PATIENCE).await.success());
    let output = example.output();
    assert!(output.contains("the key is wrong"), "{output}");
    assert_eq!(output.matches(r#"fetch with "wrong""#).count(), 1, "{output}");
    eventually("three letters", async || rig.ready("celeriac.dead").await == 3).await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has() {
    let rig = Rig::start().await;
    let mut example = start(&rig, "graceful_shutdown");
    example.until("counting: 2").await;
    example.signal(Signal::TERM);
    example.until("told to stop").await;
    example.until("counted to ten").await;
    example.until("stopped").await;
    assert!(example.ended(PATIENCE).await.success());
    assert_eq!(rig.ready("default").await, 0);
}

#[tokio::test]
async fn a_web_service_waits_for_what_its_worker_does() {
    let rig = Rig::start().await;
    let mut example = start(&rig, "embed_axum");
    let address = address(&mut example).await;
    let answer = ask(&address, "GET", "/shout/hello", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nHELLO"), "{answer}");
    let answer = ask(&address, "GET", "/shout/hey!", "").await;
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("loud enough"), "{answer}");
    let answer = ask(&address, "GET", "/health", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""finished":2"#), "{answer}");
    example.signal(Signal::INT);
    assert!(example.ended(PATIENCE).await.success());
}

#[tokio::test]
async fn a_registration_is_followed_by_four_tasks() {
    let rig = Rig::start().await;
    let mut example = start(&rig, "registration");
    let address = address(&mut example).await;
    let ada = r#"{"name": "Ada Lovelace", "email": "ada@example.org"}"#;
    let answer = ask(&address, "POST", "/users", ada).await;
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains("welcome, Ada"), "{answer}");
    let answer = ask(&address, "POST", "/users", r#"{"name": "Bob", "email": "bob"}"#).await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    let done = [
        "mail to ada@example.org in ",
        "avatar AL in ",
        "push to Ada Lovelace at attempt 2: ",
        "analytics: registered from the web",
    ];
    eventually("all four tasks", async || {
        let output = example.output();
        done.iter().all(|line| output.contains(line))
    })
    .await;
    let letter = rig.folder().join("celeriac-registration/ada@example.org.mail");
    assert!(std::fs::read_to_string(letter).unwrap().contains("Welcome, Ada Lovelace!"));
    example.signal(Signal::INT);
    assert!(example.ended(PATIENCE).await.success());
}

#[tokio::test]
async fn an_isolated_task_takes_nobody_with_it() {
    let lines = [
        "counted to 3 in another process: true",
        "hungry, but not very: 67108864 bytes",
        "ended with signal 6 before the task did; it may use 256.0 MiB of memory",
        "FAILURE: the process of the task ended with signal 6 before the task did\n",
        "FAILURE: stopped at its time limit of 1s",
    ];
    says("isolation", &lines).await;
}
