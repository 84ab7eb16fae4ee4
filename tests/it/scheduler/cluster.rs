//! Three nodes of RabbitMQ on this machine, of which one is lost: the one that the leader uses.
//!
//! Needs root, for the network between the nodes: `make soak` runs it.

use std::process::Command;
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use tempfile::TempDir;

use super::runs::{account, take_all};
use super::team::last_term;
use crate::rig::{PATIENCE, Process, Signal, within};

/// The cluster; removed when this is dropped.
struct Cluster;

impl Cluster {
    fn up() -> Self {
        let cluster = Self;
        cluster.run(&["up"]);
        cluster
    }

    fn run(&self, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rabbitmq/cluster.sh");
        let mut command = Command::new(script);
        command.args(arguments).env("CLUSTER_NAME", "sch").env("CLUSTER_NET", "10.78.0");
        command.env("CELERIAC_WORK", concat!(env!("CARGO_TARGET_TMPDIR"), "/rabbitmq"));
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

fn url(node: usize) -> String {
    format!("amqp://guest:guest@10.78.0.{node}:5672/%2f")
}

/// A scheduler that uses this node, and the others when it is lost.
fn scheduler(folder: &TempDir, node: usize) -> Process {
    let other = |step: usize| url((node + step - 1) % 3 + 1);
    let file = format!(
        "[broker]\nurl = \"{}\"\nfailover = [\"{}\", \"{}\"]\n\
         [ops]\nlisten = \"\"\nsocket = \"\"\n[scheduler]\nheartbeat = \"5s\"\n[queues.default]\n\
         [schedules.tick]\ntask = \"tick\"\nevery = \"1s\"\nmissed = \"all\"\nmissed_within = \"10m\"\n",
        url(node),
        other(1),
        other(2)
    );
    let name = format!("{node}.toml");
    std::fs::write(folder.path().join(&name), file).unwrap();
    Process::celeriac(&["scheduler", "-c", &name], folder.path())
}

async fn connect() -> Option<Connection> {
    for node in 1..=3 {
        let url = url(node);
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        if let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(5), connecting).await {
            return Some(connection);
        }
    }
    None
}

async fn ready() -> u32 {
    let Some(connection) = connect().await else { return 0 };
    let channel = connection.create_channel().await.unwrap();
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("default".into(), passive, FieldTable::default()).await;
    let ready = queue.map_or(0, |queue| queue.message_count());
    // It may be closed already, when the node is going.
    let _ = connection.close(200, "asked".into()).await;
    ready
}

async fn until_at_work() {
    let before = ready().await;
    within(Duration::from_secs(180), "runs go on arriving", async || ready().await >= before + 3)
        .await;
}

#[tokio::test]
#[ignore = "needs root and three brokers; `make soak` runs it"]
async fn each_due_run_is_sent_although_a_node_of_the_cluster_is_lost() {
    let cluster = Cluster::up();
    let folder = TempDir::new().unwrap();
    let mut schedulers: Vec<Process> = (1..=3).map(|node| scheduler(&folder, node)).collect();
    let mut took = Vec::new();
    let mut term = 0;
    for (loss, mend) in [("kill", "start"), ("stop", "start"), ("isolate", "heal")] {
        let terms = || schedulers.iter().map(last_term).collect::<Vec<_>>();
        within(Duration::from_secs(240), "one leads", async || {
            terms().into_iter().max() > Some(term)
        })
        .await;
        until_at_work().await;
        let now = terms();
        term = now.iter().copied().max().unwrap();
        let node = (now.iter().position(|it| *it == term).unwrap() + 1).to_string();
        let lost = Instant::now();
        cluster.run(&[loss, &node]);
        within(Duration::from_secs(240), "another leads", async || {
            terms().into_iter().max() > Some(term)
        })
        .await;
        took.push((loss, lost.elapsed()));
        match mend {
            "heal" => cluster.run(&["heal"]),
            _ => cluster.run(&["start", &node]),
        }
        term = terms().into_iter().max().unwrap() - 1;
    }
    until_at_work().await;
    for scheduler in &mut schedulers {
        scheduler.signal(Signal::TERM);
        assert!(scheduler.ended(PATIENCE).await.success(), "{}", scheduler.output());
    }
    let arrived = take_all(connect().await.unwrap(), ready().await as usize).await;
    let (missing, doubled) = account(&arrived, Duration::from_secs(1));
    eprintln!("{} runs, {doubled} sent twice; nobody led for {took:?}", arrived.len() - doubled);
    assert!(missing.is_empty(), "never sent: {missing:?}");
    assert!(doubled <= took.len(), "{doubled} sent twice");
}
