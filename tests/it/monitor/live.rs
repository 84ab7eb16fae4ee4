//! What an open page is told.

use super::scene::Scene;
use crate::rig::PATIENCE;

/// The events of one open page.
struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(scene: &Scene, topics: &str) -> Self {
        let answer = scene.monitor.ask(&format!("/api/v1/stream?topics={topics}")).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        assert_eq!(answer.headers()["cache-control"], "no-cache");
        Self { answer, text: String::new() }
    }

    /// Waits for an event, and gives its data.
    async fn until(&mut self, event: &str) -> String {
        let head = format!("event: {event}\ndata: ");
        let coming = async {
            loop {
                if let Some((_, rest)) = self.text.split_once(&head)
                    && let Some((data, rest)) = rest.split_once("\n\n")
                {
                    let found = (data.to_owned(), rest.to_owned());
                    self.text = found.1;
                    return found.0;
                }
                let more = self.answer.chunk().await.unwrap().expect("it goes on");
                self.text.push_str(std::str::from_utf8(&more).unwrap());
            }
        };
        let heard = tokio::time::timeout(PATIENCE, coming).await;
        heard.unwrap_or_else(|_| panic!("waited in vain for {event}"))
    }
}

#[tokio::test]
async fn an_open_page_is_told_that_something_is_new() {
    let scene = Scene::start().await;
    let mut tasks = Stream::open(&scene, "tasks").await;
    assert_eq!(tasks.until("hello").await, r#"{"lag_s":0}"#);
    scene.send("shop.add", &(1, 2)).await;
    let told = tasks.until("tasks").await;
    assert!(told.contains(r#""new":1"#), "{told}");
    let mut others = Stream::open(&scene, "overview,workers").await;
    others.until("hello").await;
    others.until("overview").await;
    others.until("workers").await;
    assert!(!others.text.contains("event: tasks"), "it did not ask for it: {}", others.text);
    scene.stop().await;
}

#[tokio::test]
async fn no_more_pages_are_live_than_may_be() {
    let scene = Scene::with(|settings| settings.max_streams = 1).await;
    let mut first = Stream::open(&scene, "tasks").await;
    first.until("hello").await;
    let refused = scene.monitor.ask("/api/v1/stream?topics=tasks").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    drop(first);
    crate::rig::eventually("its place to be free", async || {
        scene.monitor.ask("/api/v1/stream?topics=tasks").await.status() == 200
    })
    .await;
    scene.stop().await;
}
