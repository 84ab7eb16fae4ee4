//! Everything that must be there before the story begins: broker, sinks, worker, videos.

use crate::clock::Clock;
use crate::folder::{self, Folder};
use crate::http::Http;
use crate::landed::Places;
use crate::node::Node;
use crate::screen::{Event, Screen};
use crate::smtp::Smtp;
use crate::video::Video;
use crate::watch::Watch;
use crate::worker::{self, Worker};
use anyhow::Context;
use celeriac::app::App;
use celeriac::client::Client;
use celeriac::config::Loader;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The stage. What is dropped first comes first: the worker before its broker.
#[derive(Debug)]
pub struct Stage {
    /// The worker.
    pub worker: Worker,
    /// The schedulers.
    pub clock: Clock,
    /// The monitor.
    pub watch: Watch,
    /// The connection of the demo itself, which sends the tasks.
    pub app: App,
    /// Where mails land.
    pub smtp: Smtp,
    /// Where notifications land.
    pub http: Http,
    /// The broker.
    pub node: Node,
    /// Where files land.
    pub folder: Folder,
    /// What was uploaded.
    pub videos: Vec<Video>,
    /// What the reader sees.
    pub screen: Arc<Screen>,
}

impl Stage {
    /// Sets the stage.
    pub async fn set(screen: Arc<Screen>, files: &[PathBuf], made: u16) -> anyhow::Result<Self> {
        let name = folder::NAME;
        screen.aside(&format!(
            "\nCeleriac runs real work through RabbitMQ, is broken on purpose, and counts what \
             landed.\nEverything happens on this machine, in ./{name}/, with a broker of its own.\n"
        ));
        Node::refuse_another()?;
        let folder = Folder::fresh()?;
        let smtp = Smtp::open(folder.mail()).await?;
        let http = Http::open().await?;
        let ((node, url), videos) =
            tokio::try_join!(broker(&screen), uploads(&screen, &folder, files, made))?;
        write_here(&folder, &url, &smtp, &http)?;
        let worker = Worker::start(&folder).await?;
        screen.tell(Event::Step, "worker", "celeriac worker -c examples/demo/celeriac.toml");
        screen.more("6 tasks, all defined there: programs and HTTP calls, no Rust");
        let clock = Clock::start(&folder).await?;
        screen.tell(
            Event::Step,
            "schedule",
            "two of celeriac scheduler; one leads, and a clock strikes each second",
        );
        let watch = Watch::start(&folder).await?;
        screen.tell(Event::Step, "monitor", &format!("watch in a browser: {}", watch.url()));
        let loaded = Loader::new().files(worker::files(&folder)).load()?;
        let app = App::connect(loaded.config).await?;
        Ok(Self { worker, clock, watch, app, smtp, http, node, folder, videos, screen })
    }

    /// Sends tasks.
    pub fn client(&self) -> &Client {
        self.app.client()
    }

    /// How long nothing may land before something must be wrong: long videos take long.
    pub fn patience(&self) -> Duration {
        let seconds: f64 = self.videos.iter().map(|video| video.seconds).sum();
        Duration::from_secs(60) + Duration::from_secs_f64(5.0 * seconds)
    }

    /// Where things land.
    pub fn places(&self) -> Places {
        Places {
            folder: self.folder.clone(),
            videos: self.videos.len(),
            mailbox: self.smtp.mailbox(),
            inbox: self.http.inbox(),
        }
    }

    /// What a reader may do while everything still runs.
    pub fn invitation(&self) -> String {
        let configuration = worker::configuration(&self.folder);
        format!(
            "\nStill running, until Ctrl-C. Look around: {monitor}\n  \
             target/debug/celeriac dead list state:all {configuration}\n  \
             target/debug/celeriac send mail.welcome --kwargs '{{\"to\": \"you@demo.example\"}}' {configuration}\n  \
             tail -f {name}/worker.log",
            name = folder::NAME,
            monitor = self.watch.url(),
        )
    }

    /// Stops everything in order.
    pub async fn strike(mut self) -> anyhow::Result<()> {
        self.worker.stop().await?;
        self.app.close().await;
        drop(self.watch);
        drop(self.node);
        Ok(())
    }
}

async fn broker(screen: &Screen) -> anyhow::Result<(Node, String)> {
    let started = Node::start().await?;
    screen.tell(Event::Step, "broker", "a private RabbitMQ runs");
    Ok(started)
}

async fn uploads(
    screen: &Screen,
    folder: &Folder,
    files: &[PathBuf],
    made: u16,
) -> anyhow::Result<Vec<Video>> {
    let mut videos = Vec::new();
    for (index, file) in files.iter().enumerate() {
        videos.push(Video::given(index + 1, file.clone()).await?);
    }
    if files.is_empty() {
        for number in 1..=usize::from(made) {
            let video = Video::made(number, folder.upload(number)).await;
            videos.push(video.context("making a video; ffmpeg must be installed")?);
        }
    }
    let seconds: f64 = videos.iter().map(|video| video.seconds).sum();
    let text = format!("uploaded: {}, {seconds:.0} s in all", videos.len());
    screen.tell(Event::Step, "videos", &text);
    Ok(videos)
}

/// What is different on each machine, as a second configuration file.
fn write_here(folder: &Folder, broker: &str, smtp: &Smtp, http: &Http) -> anyhow::Result<()> {
    let text = format!(
        "# Made by the demo, to be read after examples/demo/celeriac.toml.\n\
         broker.url = {broker:?}\n\
         tasks.\"mail.welcome\".env.SMTP_URL = {:?}\n\
         tasks.\"follower.notify\".http.url = {:?}\n",
        smtp.url(),
        http.url()
    );
    fs::write(folder.here(), text).with_context(|| format!("writing {}", folder.here().display()))
}
