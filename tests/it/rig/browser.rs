//! A browser: Chromium, driven over WebDriver, as Debian has both.

use super::process::Process;
use super::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    _driver: Process,
    _profile: TempDir,
    client: reqwest::Client,
    /// Where its commands go.
    session: String,
}

impl Browser {
    /// `None` where there is none, after saying so: the caller's test is then skipped.
    ///
    /// # Panics
    /// When there is none and `CI` is set, because then nothing may be skipped.
    pub async fn start(scripts: Scripts) -> Option<Self> {
        if !is_installed("chromedriver") || !is_installed("chromium") {
            let missing = "no chromium with chromedriver; Debian's chromium and chromium-driver";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::spawn(command);
        let line = driver.until("started successfully on port").await;
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap();
        // Another test may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let base = format!("http://127.0.0.1:{port}/session");
        let profile = tempfile::tempdir().unwrap();
        let asked = capabilities(profile.path(), scripts);
        let session = ask(&client, &base, &asked).await["sessionId"].as_str().unwrap().to_owned();
        let session = format!("{base}/{session}");
        Some(Self { _driver: driver, _profile: profile, client, session })
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        ask(&self.client, &format!("{}/{path}", self.session), body).await
    }

    /// Goes to an address, and waits until the page is there.
    pub async fn open(&self, url: &str) {
        self.command("url", &json!({"url": url})).await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        self.command("window/rect", &json!({"width": width, "height": height})).await;
    }

    /// What a function body returns in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []})).await
    }

    /// What a function body gives to its last argument.
    pub async fn run_async(&self, script: &str) -> Value {
        self.command("execute/async", &json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        eventually(expression, async || self.run(&script).await == true).await;
    }

    /// Presses keys, one after the other.
    pub async fn press(&self, keys: &str) {
        let strokes = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let actions =
            json!([{"type": "key", "id": "keys", "actions": strokes.collect::<Vec<_>>()}]);
        self.command("actions", &json!({"actions": actions})).await;
    }

    /// Clicks on what a selector finds.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/click"), &json!({})).await;
    }

    /// Types into what a selector finds.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/value"), &json!({"text": text})).await;
    }

    /// Types into an input field, in place of what is there.
    pub async fn rewrite(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/clear"), &json!({})).await;
        self.write(selector, text).await;
    }

    async fn find(&self, selector: &str) -> String {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.command("element", &found).await;
        let (_, element) = found.as_object().unwrap().iter().next().unwrap();
        element.as_str().unwrap().to_owned()
    }

    /// What the browser complained of since it was last asked: errors, and what a policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({"type": "browser"})).await;
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Ends it in order.
    pub async fn close(self) {
        self.client.delete(&self.session).send().await.unwrap();
    }
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).exists())
}

fn capabilities(profile: &Path, scripts: Scripts) -> Value {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let scripts = if scripts == Scripts::On { 1 } else { 2 };
    let preferences = json!({"profile.managed_default_content_settings.javascript": scripts});
    json!({"capabilities": {"alwaysMatch": {
        "goog:chromeOptions": {"args": arguments, "prefs": preferences},
        "goog:loggingPrefs": {"browser": "ALL"},
    }}})
}

async fn ask(client: &reqwest::Client, url: &str, body: &Value) -> Value {
    let answer = client.post(url).json(body).send().await.unwrap();
    let (status, mut answer) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert!(status.is_success(), "{url}: {answer}");
    answer["value"].take()
}
