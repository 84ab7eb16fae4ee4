//! Answers are short where they can be, and say when nothing has changed.

use super::Shown;
use super::scene::Scene;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use std::io::Read;

/// The first page and all that it refers to, compressed, in bytes.
const MOST: usize = 150 << 10;

async fn ask(monitor: &Shown, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(monitor.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let scene = Box::pin(Scene::start()).await;
    let id = scene.run("shop.add", &(1, 2), "SUCCESS").await;
    let task = format!("/tasks/{id}");
    for path in ["/api/v1/tasks", "/api/v1/states", "/api/v1/openapi.json", "/tasks", &task] {
        let first = ask(&scene.monitor, path, &[]).await;
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let again = ask(&scene.monitor, path, &[(IF_NONE_MATCH.as_str(), &tag)]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.headers()[ETAG], tag.as_str(), "{path}");
        assert!(again.headers().contains_key("content-security-policy"), "{path}");
        assert_eq!(again.text().await.unwrap(), "", "{path}");
    }
    let tag = ask(&scene.monitor, "/tasks", &[]).await.headers()[ETAG].to_str().unwrap().to_owned();
    scene.run("shop.add", &(3, 4), "SUCCESS").await;
    let changed = ask(&scene.monitor, "/tasks", &[(IF_NONE_MATCH.as_str(), &tag)]).await;
    assert_eq!(changed.status(), 200, "there is one more");
    scene.stop().await;
}

#[tokio::test]
async fn who_takes_gzip_gets_the_same_in_less() {
    let scene = Box::pin(Scene::start()).await;
    for number in 0..30 {
        scene.send("shop.add", &(number, 2)).await;
    }
    let last = scene.send("shop.add", &(30, 2)).await;
    scene.monitor.until(&last, "SUCCESS").await;
    let gzip = [(ACCEPT_ENCODING.as_str(), "gzip")];
    for path in ["/api/v1/openapi.json", "/about"] {
        let plain = ask(&scene.monitor, path, &[]).await.bytes().await.unwrap();
        let short = ask(&scene.monitor, path, &gzip).await;
        assert_eq!(short.headers()[CONTENT_ENCODING], "gzip", "{path}");
        assert!(short.headers()[VARY].to_str().unwrap().contains("accept-encoding"), "{path}");
        let short = short.bytes().await.unwrap();
        assert!(short.len() * 2 < plain.len(), "{path}: {} of {}", short.len(), plain.len());
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&*short).read_to_end(&mut read).unwrap();
        if path.starts_with("/api") {
            assert_eq!(read, plain, "{path}");
        }
    }
    let page = ask(&scene.monitor, "/tasks", &[]).await.text().await.unwrap();
    let assets = page.split('"').filter(|it| it.starts_with("/assets/"));
    let mut all = 0;
    for path in ["/tasks"].into_iter().chain(assets) {
        all += ask(&scene.monitor, path, &gzip).await.bytes().await.unwrap().len();
    }
    assert!(all < MOST, "the first page takes {all} bytes");
    let stream = ask(&scene.monitor, "/api/v1/stream?topics=tasks", &gzip).await;
    assert!(!stream.headers().contains_key(CONTENT_ENCODING), "what is told at once is not held");
    scene.stop().await;
}
