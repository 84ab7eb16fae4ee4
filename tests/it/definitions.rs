//! What `rabbitmq/` gives to an administrator works as its README says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use celeriac::broker::{Broker, RawMessage, Settings as BrokerSettings};
use celeriac::ids::TaskId;
use celeriac::protocol::Format;
use celeriac::results::rpc::Inbox;
use celeriac::topology::{Queue, Settings, Topology, names};
use lapin::options::BasicGetOptions;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use tokio::time::timeout;

use crate::rig::{PATIENCE, Rig};

const VHOST: &str = "celeriac";
const USER: &str = "celeriac";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rabbitmq").join(name)
}

fn definitions() -> Value {
    let text = std::fs::read_to_string(file("definitions.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn topology() -> Topology {
    let settings = Settings::default();
    let default = names::DEFAULT_QUEUE.to_owned();
    Topology::whole(&settings, &[default])
}

/// The file is written by hand except for what the topology computes. `BLESS=1` writes that part.
#[test]
fn the_definitions_hold_what_the_default_configuration_declares() {
    let written = definitions();
    let mut definitions = written.clone();
    for (key, value) in topology().definitions(VHOST).as_object().unwrap() {
        definitions[key] = value.clone();
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file("definitions.json"), lines(&definitions)).unwrap();
    } else {
        let hint = "to accept the change: BLESS=1 cargo test --test it definitions";
        assert!(
            written == definitions,
            "rabbitmq/definitions.json is not what is declared; {hint}"
        );
    }
}

/// One line for each thing, so that a difference can be read.
fn lines(definitions: &Value) -> String {
    let line = |value: &Value| format!("    {value}");
    let list = |values: &Value| values.as_array().unwrap().iter().map(line).collect::<Vec<_>>();
    let lists = definitions.as_object().unwrap().iter();
    let lists =
        lists.map(|(key, values)| format!("  \"{key}\": [\n{}\n  ]", list(values).join(",\n")));
    format!("{{\n{}\n}}\n", lists.collect::<Vec<_>>().join(",\n"))
}

/// `rabbitmq.conf` without what a node for one test has its own way with: the definitions, which
/// would leave it without its administrator, and the limit for machines with little room.
fn configuration() -> String {
    let text = std::fs::read_to_string(file("rabbitmq.conf")).unwrap();
    let ours =
        |line: &&str| !line.starts_with("load_definitions") && !line.starts_with("disk_free_limit");
    text.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

fn url_of(rig: &Rig) -> String {
    let host = rig.node().address().rsplit_once('@').unwrap().1;
    format!("amqp://{USER}:secret@{host}/{VHOST}")
}

async fn connected() -> (Rig, Broker) {
    let rig = Rig::alone_with(&configuration()).await;
    rig.management().post("definitions", &definitions()).await;
    rig.node().ctl(&["change_password", USER, "secret"]).await;
    let url = url_of(&rig);
    let settings = BrokerSettings { url: url.as_str().into(), ..BrokerSettings::default() };
    let broker = Broker::connect(&settings, 100).await.unwrap();
    (rig, broker)
}

#[tokio::test]
async fn the_user_of_the_definitions_can_work_and_cannot_declare() {
    let (rig, broker) = connected().await;
    broker.verify(&topology()).await.unwrap();

    let message =
        RawMessage::reply("default", &TaskId::random(), Format::Json, b"[]".as_slice().into());
    broker.publish(Arc::new(message), PATIENCE).await.unwrap();
    let url = url_of(&rig);
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let channel = connection.await.unwrap().create_channel().await.unwrap();
    let taken =
        channel.basic_get("default".into(), BasicGetOptions { no_ack: true }).await.unwrap();
    assert_eq!(taken.unwrap().delivery.data, b"[]");

    let more = Topology { queues: vec![Queue::named("more")], ..Topology::default() };
    let refused = broker.declare(&more).await.unwrap_err().to_string();
    assert!(refused.contains("more"), "{refused}");
}

#[tokio::test]
async fn the_user_of_the_definitions_has_its_own_reply_queues() {
    let (_rig, broker) = connected().await;
    let inbox = Inbox::open(&broker);
    timeout(PATIENCE, inbox.ready()).await.unwrap();
}
