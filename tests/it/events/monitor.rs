//! A monitor of the test's own: it hears everything on `celeryev`.

use crate::rig::{PATIENCE, Rig};
use celeriac::events::Told;
use celeriac::ids::TaskId;
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, Consumer, ExchangeKind};
use serde_json::{Value, json};

/// Hears events from its start on.
pub(super) struct Monitor {
    _connection: Connection,
    consumer: Consumer,
    heard: Vec<(Envelope, Told)>,
    /// How many of them have been waited for.
    seen: usize,
}

/// What stands around an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    pub(super) routing_key: String,
    pub(super) is_list: bool,
    pub(super) properties: Value,
}

impl Monitor {
    pub(super) async fn start(rig: &Rig) -> Self {
        let (connection, channel) = rig.channel().await;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let table = FieldTable::default();
        let declared = channel.exchange_declare(
            "celeryev".into(),
            ExchangeKind::Topic,
            durable,
            table.clone(),
        );
        declared.await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), exclusive, table.clone()).await.unwrap();
        let bind = QueueBindOptions::default();
        let name = queue.name().clone();
        channel
            .queue_bind(name.clone(), "celeryev".into(), "#".into(), bind, table.clone())
            .await
            .unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel.basic_consume(name, "".into(), options, table).await.unwrap();
        Self { _connection: connection, consumer, heard: Vec::new(), seen: 0 }
    }

    /// Waits until an event of this type comes that was not waited for before.
    pub(super) async fn until(&mut self, kind: &str) {
        self.until_told(kind, |event| event.kind == kind).await;
    }

    /// Waits until an event comes that `is` accepts and that was not waited for before.
    pub(super) async fn until_told(&mut self, what: &str, is: impl Fn(&Told) -> bool) {
        let coming = async {
            loop {
                let new = &self.heard[self.seen..];
                if let Some(at) = new.iter().position(|(_, event)| is(event)) {
                    self.seen += at + 1;
                    return;
                }
                self.seen = self.heard.len();
                let delivery = self.consumer.next().await.unwrap().unwrap();
                self.heard.extend(open(&delivery));
            }
        };
        let heard = tokio::time::timeout(PATIENCE, coming).await;
        assert!(
            heard.is_ok(),
            "waited in vain for {what}; heard {:?}",
            self.all().collect::<Vec<_>>()
        );
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Told> {
        self.heard.iter().map(|(_, event)| event)
    }

    pub(super) fn enveloped(&self) -> &[(Envelope, Told)] {
        &self.heard
    }

    /// All of one type.
    pub(super) fn told(&self, kind: &str) -> Vec<&Told> {
        self.all().filter(|event| event.kind == kind).collect()
    }

    /// All of one task.
    pub(super) fn of(&self, id: &TaskId) -> Vec<Told> {
        self.all().filter(|event| event.uuid().as_ref() == Some(id)).cloned().collect()
    }
}

pub(super) fn kinds(events: &[Told]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn open(delivery: &Delivery) -> Vec<(Envelope, Told)> {
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref().unwrap().inner();
    let hostname = headers["hostname"].as_long_string().unwrap().to_string();
    let body: Value = serde_json::from_slice(&delivery.data).unwrap();
    let envelope = Envelope {
        routing_key: delivery.routing_key.to_string(),
        is_list: body.is_array(),
        properties: json!({
            "content_type": text(properties.content_type()),
            "content_encoding": text(properties.content_encoding()),
            "delivery_mode": properties.delivery_mode(),
            "priority": properties.priority(),
            "headers": headers.keys().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    };
    let events = match body {
        Value::Array(events) => events,
        event => vec![event],
    };
    let told = |event: Value| {
        assert_eq!(event["hostname"], hostname.as_str());
        (envelope.clone(), serde_json::from_value(event).unwrap())
    };
    events.into_iter().map(told).collect()
}
