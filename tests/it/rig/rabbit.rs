//! A test's own virtual host, and what a test asks and does there.

use std::sync::atomic::{AtomicU32, Ordering};

use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::management::Management;
use super::node::Node;
use super::process::Process;
use super::proxy::Proxy;

static VHOSTS: AtomicU32 = AtomicU32::new(0);

/// A broker with a virtual host of its own for one test, and a folder for its files.
#[derive(Debug)]
pub struct Rig {
    node: Holding,
    vhost: String,
    folder: TempDir,
}

#[derive(Debug)]
enum Holding {
    Shared(&'static Node),
    Alone(Box<Node>),
}

/// A queue as the broker sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueState {
    /// Messages that wait.
    pub ready: u64,
    /// Messages that are delivered and not yet acknowledged.
    pub unacknowledged: u64,
    /// How many consume from it.
    pub consumers: u64,
    /// `classic`, `quorum` or `stream`.
    pub kind: String,
    /// What it was declared with.
    pub arguments: Value,
}

impl Rig {
    /// A virtual host on the broker that all tests share.
    pub async fn start() -> Self {
        Self::on(Holding::Shared(Node::shared().await)).await
    }

    /// A broker to itself, for tests that stop, kill, choke or command it. Takes five seconds more.
    pub async fn alone() -> Self {
        Self::alone_with("").await
    }

    /// The same, with further lines in the broker's `rabbitmq.conf`.
    pub async fn alone_with(configuration: &str) -> Self {
        Self::on(Holding::Alone(Box::new(Node::dedicated(configuration).await))).await
    }

    async fn on(node: Holding) -> Self {
        let number = VHOSTS.fetch_add(1, Ordering::Relaxed);
        let vhost = format!("it-{}-{number}", std::process::id());
        let rig = Self { node, vhost, folder: TempDir::new().expect("a temporary folder") };
        rig.management().put(&format!("vhosts/{}", rig.vhost), &json!({})).await;
        rig
    }

    /// The broker.
    pub fn node(&self) -> &Node {
        match &self.node {
            Holding::Shared(node) => node,
            Holding::Alone(node) => node,
        }
    }

    /// The broker's HTTP interface.
    pub fn management(&self) -> &Management {
        self.node().management()
    }

    /// The name of the virtual host.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        format!("amqp://{}/{}", self.node().address(), self.vhost)
    }

    /// A folder that is removed with the rig.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A proxy in front of the broker. Connect to [`Rig::url_through`] it.
    pub async fn proxy(&self) -> Proxy {
        let address = self.node().address();
        Proxy::to(address.rsplit('@').next().unwrap_or(address)).await
    }

    /// Where to connect to go through `proxy`.
    pub fn url_through(&self, proxy: &Proxy) -> String {
        let user = self.node().address().rsplit_once('@').map_or("guest:guest", |(user, _)| user);
        format!("amqp://{user}@{}/{}", proxy.address(), self.vhost)
    }

    /// Starts the real program in [`Rig::folder`] with `config` as its `celeriac.toml`; `{url}` in it
    /// stands for [`Rig::url`].
    pub async fn celeriac(&self, arguments: &[&str], config: &str) -> Process {
        let path = self.folder().join("celeriac.toml");
        let text = config.replace("{url}", &self.url());
        tokio::fs::write(&path, text).await.expect("the folder is ours");
        Process::celeriac(arguments, self.folder())
    }

    /// A connection of the test itself.
    pub async fn connection(&self) -> Connection {
        Connection::connect(&self.url(), ConnectionProperties::default())
            .await
            .expect("the broker accepts the test's own connection")
    }

    /// A channel of the test itself, on its own connection; keep both.
    pub async fn channel(&self) -> (Connection, Channel) {
        let connection = self.connection().await;
        let channel = connection.create_channel().await.expect("a fresh connection has channels");
        (connection, channel)
    }

    /// What the broker tells of a queue; `None` when there is none of this name.
    ///
    /// The counts may be up to a second old: await them with [`super::eventually`].
    pub async fn queue(&self, name: &str) -> Option<QueueState> {
        let path = format!("queues/{}/{}", self.vhost, escape(name));
        let queue = self.management().get(&path).await?;
        let count = |key: &str| queue[key].as_u64().unwrap_or(0);
        Some(QueueState {
            ready: count("messages_ready"),
            unacknowledged: count("messages_unacknowledged"),
            consumers: count("consumers"),
            kind: queue["type"].as_str().unwrap_or("classic").to_owned(),
            arguments: queue["arguments"].clone(),
        })
    }

    /// The names of all queues, as AMQP's own tables have them.
    pub async fn queues(&self) -> Vec<String> {
        let path = format!("queues/{}?disable_stats=true&enable_queue_totals=true", self.vhost());
        let listed = self.management().get(&path).await.unwrap();
        let names = listed.as_array().unwrap().iter();
        names.map(|queue| queue["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Messages that wait in a queue, asked of the queue itself, so never old.
    pub async fn ready(&self, queue: &str) -> u32 {
        let state = self.ask(queue).await;
        state.unwrap_or_else(|error| panic!("queue {queue}: {error}")).message_count()
    }

    /// Consumers of a queue, asked of the queue itself; `None` when there is no such queue.
    pub async fn consumers(&self, queue: &str) -> Option<u32> {
        self.ask(queue).await.ok().map(|state| state.consumer_count())
    }

    async fn ask(&self, queue: &str) -> lapin::Result<lapin::Queue> {
        let (connection, channel) = self.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let state = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        connection.close(200, "asked".into()).await.expect("closes");
        state
    }

    /// Empties a queue.
    pub async fn purge(&self, queue: &str) {
        let (_connection, channel) = self.channel().await;
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purges");
    }

    /// Closes every connection into this virtual host, as an operator would; returns how many.
    pub async fn close_connections(&self) -> usize {
        let open = self.connections().await;
        for name in &open {
            self.management().delete(&format!("connections/{}", escape(name))).await;
        }
        open.len()
    }

    /// The names of the open connections. A new one appears here within a second or so.
    pub async fn connections(&self) -> Vec<String> {
        let path = format!("vhosts/{}/connections", self.vhost);
        let connections = self.management().get(&path).await.unwrap_or_default();
        let names = connections.as_array().into_iter().flatten();
        names.filter_map(|connection| connection["name"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Rig {
    /// Gives back what the virtual host holds of a broker that goes on.
    fn drop(&mut self) {
        if let Holding::Shared(node) = self.node {
            node.management().delete_blocking(&format!("vhosts/{}", self.vhost));
        }
    }
}

/// What may not stand in a path of a URL as it is.
fn escape(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
