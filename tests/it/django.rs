//! The Django example, as its users see it: over HTTP, with the real worker behind it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::rig::{Celery, PATIENCE, Process, Rig, Server, eventually};

/// The site and the worker; they end with it.
struct Site {
    address: String,
    data: PathBuf,
    _django: Process,
    _worker: Process,
}

impl Site {
    async fn start(rig: &Rig, redis: &Server, celery: &Celery) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django");
        let data = rig.folder().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let environment = [
            ("REDIS_URL", redis.url()),
            ("CLIPS_DATA", data.display().to_string()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let manage = |arguments: &[&str]| {
            let arguments = [&["manage.py"], arguments].concat();
            celery.python(&arguments, &environment, &rig.url(), &folder)
        };
        let mut migrate = manage(&["migrate", "--verbosity", "0"]);
        assert!(migrate.ended(PATIENCE).await.success(), "{}", migrate.output());

        // The file of the example; only where Django listens is another place.
        let file = std::fs::read_to_string(folder.join("celeriac.toml")).unwrap();
        let file = file.replace("127.0.0.1:8000", &address);
        let path = rig.folder().join("celeriac.toml");
        std::fs::write(&path, file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(["worker", "-c"]).arg(path).current_dir(&folder).env("CLIPS_DATA", &data);
        command.env("CELERIAC_BROKER_URL", rig.url()).env("CELERIAC__RESULTS__URL", redis.url());
        command.env("CELERIAC__OPS__LISTEN", "").env("CELERIAC__OPS__SOCKET", "");
        let mut worker = Process::spawn(command);
        worker.until("ready").await;
        let mut django = manage(&["runserver", "--noreload", &address]);
        django.until("Starting development server").await;
        let site = Self { address, data, _django: django, _worker: worker };
        eventually("Django to listen", async || TcpStream::connect(&site.address).await.is_ok())
            .await;
        site
    }

    /// The status and the JSON of the answer.
    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
    }

    async fn post(&self, path: &str, body: &[u8]) -> Value {
        let (status, value) = self.ask("POST", path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {value}");
        value
    }

    /// Asks until `end` holds of the answer.
    async fn until(&self, path: &str, end: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let asking = async {
            loop {
                last = self.ask("GET", path, b"").await.1;
                if end(&last) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, asking).await.is_ok();
        assert!(came, "{path} stays {last}");
        last
    }
}

#[tokio::test]
async fn views_of_django_send_to_our_worker_and_read_what_came_of_it() {
    let Some(celery) = Celery::find() else { return };
    let Some(redis) = Server::redis().await else { return };
    let rig = Rig::start().await;
    let site = Site::start(&rig, &redis, &celery).await;

    // `.delay()`
    let ada = json!({ "name": "ada", "email": "ada@example.org" }).to_string();
    let registered = site.post("/users", ada.as_bytes()).await;
    let mail = registered["mail"].as_str().unwrap();
    site.until(&format!("/tasks/{mail}"), |task| task["state"] == "SUCCESS").await;
    let sent = std::fs::read_to_string(site.data.join("outbox").join(mail)).unwrap();
    assert_eq!(sent, "To: ada@example.org\nSubject: Welcome, ada\n");

    // A chain by `.apply_async()`: a program, then a call back to a view.
    let upload = format!("/users/{}/videos?title=holiday", registered["user"]);
    let video = site.post(&upload, b"moving pictures").await;
    let path = format!("/videos/{}", video["video"]);
    let shown = site.until(&path, |video| video["published"]["state"] == "SUCCESS").await;
    assert_eq!(shown["measured"]["value"]["bytes"], 15, "{shown}");
    let digest = format!("{:x}", Sha256::digest("moving pictures"));
    assert_eq!(
        (&shown["measured"]["value"]["sha256"], &shown["digest"]),
        (&digest.clone().into(), &digest.into())
    );
    assert_eq!(shown["published"]["value"], json!({ "video": 1, "bytes": 15 }));
    assert!(shown["published_at"].is_string(), "{shown}");
}

#[tokio::test]
async fn what_fails_in_our_worker_is_read_in_a_view() {
    let Some(celery) = Celery::find() else { return };
    let Some(redis) = Server::redis().await else { return };
    let rig = Rig::start().await;
    let site = Site::start(&rig, &redis, &celery).await;
    let nobody = json!({ "name": "nobody", "email": "nowhere" }).to_string();
    let registered = site.post("/users", nobody.as_bytes()).await;
    let mail = format!("/tasks/{}", registered["mail"].as_str().unwrap());
    let failed = site.until(&mail, |task| task["state"] == "FAILURE").await;
    assert!(failed["value"].as_str().unwrap().contains("no address: nowhere"), "{failed}");

    let video = site.post(&format!("/users/{}/videos", registered["user"]), b"").await;
    let path = format!("/videos/{}", video["video"]);
    let shown = site.until(&path, |video| video["measured"]["state"] == "FAILURE").await;
    assert!(shown["measured"]["value"].as_str().unwrap().contains("the video is empty"), "{shown}");
    assert_eq!(shown["published_at"], Value::Null);
}
