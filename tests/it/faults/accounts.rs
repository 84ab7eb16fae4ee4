//! Who was accepted, who ran, who is in the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::client::Client;
use celeriac::handler::{Output, Registry};
use celeriac::publisher::{SendError, SendOptions};
use futures::StreamExt;
use lapin::BasicProperties;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::rig::{PATIENCE, Rig, add, eventually};

/// The ids of the tasks that have run, in order, each as often as it ran.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<watch::Sender<Vec<String>>>);

/// How late a task may be that was between two levels of the delay ladder when its broker died:
/// RabbitMQ hands it on again after three minutes (decision 0004), which begin when the node is up.
/// Late is not lost.
const LATE: Duration = Duration::from_secs(300);

impl Runs {
    /// Registers a task that does nothing but be recorded here.
    pub fn register(&self, registry: &mut Registry, name: &str) {
        let runs = self.clone();
        add(registry, name, move |cx, _| {
            runs.record(cx.id().as_str());
            Box::pin(async { Ok(Output::none()) })
        });
    }

    /// Notes one run.
    pub fn record(&self, id: &str) {
        self.0.send_modify(|runs| runs.push(id.to_owned()));
    }

    /// Awaits that the runs so far are as wanted.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Vec<String>) -> bool) {
        let mut runs = self.0.subscribe();
        if tokio::time::timeout(PATIENCE, runs.wait_for(wanted)).await.is_err() {
            let runs = self.0.borrow();
            panic!(
                "waited {PATIENCE:?} in vain: {what}; {} runs, last {:?}",
                runs.len(),
                runs.last()
            );
        }
    }

    /// Awaits that each of `ids` has run.
    pub async fn until_all(&self, ids: &BTreeSet<String>) {
        let missing = |runs: &Vec<String>| {
            let ran: BTreeSet<_> = runs.iter().collect();
            ids.iter().filter(|id| !ran.contains(id)).cloned().collect::<Vec<_>>()
        };
        let mut runs = self.0.subscribe();
        let all = runs.wait_for(|runs| missing(runs).is_empty());
        if tokio::time::timeout(LATE, all).await.is_err() {
            let missing = missing(&self.0.borrow());
            panic!("{} of {} did not run: {missing:?}", missing.len(), ids.len());
        }
    }

    /// How often each id has run.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for id in &*self.0.borrow() {
            *counts.entry(id.clone()).or_default() += 1;
        }
        counts
    }

    /// How often this id has run.
    pub fn of(&self, id: &str) -> usize {
        self.0.borrow().iter().filter(|ran| *ran == id).count()
    }

    /// Runs so far.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Runs of an id that had run before.
    pub fn repeated(&self) -> usize {
        self.len() - self.counts().len()
    }
}

/// Sends a task without end, `lanes` at a time, until told to stop.
#[derive(Debug)]
pub struct Load {
    sending: JoinSet<Sent>,
    stop: CancellationToken,
    accepted: Arc<AtomicU32>,
}

/// What one lane sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// Ids whose publication returned `Ok`.
    pub accepted: BTreeSet<String>,
    /// The others, with the error.
    pub refused: BTreeMap<String, SendError>,
}

impl Load {
    /// Begins to send `task`; each call may take `deadline`.
    pub fn start(client: &Client, task: &'static str, lanes: usize, deadline: Duration) -> Self {
        let stop = CancellationToken::new();
        let accepted = Arc::new(AtomicU32::new(0));
        let mut sending = JoinSet::new();
        for lane in 0..lanes {
            let (client, stop, accepted) = (client.clone(), stop.clone(), Arc::clone(&accepted));
            sending.spawn(async move {
                let mut sent = Sent::default();
                for number in 0.. {
                    let id = format!("{lane}-{number}");
                    let options = SendOptions::default().id(id.as_str()).deadline(deadline);
                    match client.send(task, &(), &(), options).await {
                        Ok(_) => drop(sent.accepted.insert(id)),
                        Err(error) => drop(sent.refused.insert(id, error)),
                    }
                    accepted.fetch_add(1, Ordering::SeqCst);
                    if stop.is_cancelled() {
                        break;
                    }
                }
                sent
            });
        }
        Self { sending, stop, accepted }
    }

    /// Awaits that `more` tasks are sent, counted from now.
    pub async fn until_more(&self, more: u32) {
        let goal = self.accepted.load(Ordering::SeqCst) + more;
        let reached = async || self.accepted.load(Ordering::SeqCst) >= goal;
        eventually("publishing goes on", reached).await;
    }

    /// Ends the sending and says what became of it.
    pub async fn stop(mut self) -> Sent {
        self.stop.cancel();
        let mut all = Sent::default();
        while let Some(lane) = self.sending.join_next().await {
            let Sent { accepted, refused } = lane.unwrap();
            all.accepted.extend(accepted);
            all.refused.extend(refused);
        }
        all
    }
}

/// A message in the archive, as the test's own client reads it.
#[derive(Debug, Clone)]
pub struct Letter {
    pub headers: BTreeMap<String, AMQPValue>,
    pub correlation_id: Option<String>,
    pub body: Vec<u8>,
}

impl Letter {
    /// A header that is text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.headers.get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Why it is here.
    pub fn reason(&self) -> String {
        self.text("celeriac-dead-reason").unwrap_or_default()
    }
}

/// The first `count` messages of the archive, once it has as many.
pub async fn letters(rig: &Rig, count: usize) -> Vec<Letter> {
    read(rig, |letters| letters.len() == count).await
}

/// Every message that is in the archive now.
pub async fn archived(rig: &Rig) -> Vec<Letter> {
    let (connection, channel) = rig.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mark = format!("mark-{}", fastrand::u64(..));
    let properties = BasicProperties::default().with_correlation_id(mark.as_str().into());
    let options = BasicPublishOptions::default();
    let key = "celeriac.dead".into();
    let sent = channel.basic_publish("".into(), key, options, b"", properties).await.unwrap();
    assert!(sent.await.unwrap().is_ack());
    connection.close(200, "marked".into()).await.unwrap();
    let is_mark = |letter: &Letter| letter.correlation_id.as_deref() == Some(&mark);
    let mut letters = read(rig, |letters| letters.last().is_some_and(is_mark)).await;
    letters.pop();
    letters
}

/// So many bytes of the body are headers that found no room.
fn headers_in_body(headers: &BTreeMap<String, AMQPValue>) -> usize {
    match headers.get("celeriac-dead-in-body") {
        Some(AMQPValue::LongInt(length)) => usize::try_from(*length).unwrap(),
        _ => 0,
    }
}

/// Reads the archive from its beginning until there is `enough`.
async fn read(rig: &Rig, enough: impl Fn(&[Letter]) -> bool) -> Vec<Letter> {
    let queue = "celeriac.dead";
    eventually("the archive is there", async || rig.consumers(queue).await.is_some()).await;
    let (connection, channel) = rig.channel().await;
    channel.basic_qos(100, BasicQosOptions::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let options = BasicConsumeOptions::default();
    let started = channel.basic_consume(queue.into(), "test".into(), options, arguments).await;
    let mut stream = started.unwrap();
    let mut letters = Vec::new();
    while !enough(&letters) {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        let next = next.unwrap_or_else(|_| panic!("only {} letters came", letters.len()));
        let delivery = next.expect("the stream goes on").unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let headers = headers.inner().iter().map(|(name, value)| (name.to_string(), value.clone()));
        let headers: BTreeMap<_, _> = headers.collect();
        let correlation_id = delivery.properties.correlation_id().as_ref();
        letters.push(Letter {
            correlation_id: correlation_id.map(ToString::to_string),
            body: delivery.data[headers_in_body(&headers)..].to_vec(),
            headers,
        });
    }
    connection.close(200, "read".into()).await.unwrap();
    letters
}

/// Awaits that a queue holds nothing, neither ready nor handed out. Call it when no worker runs.
pub async fn until_empty(rig: &Rig, queue: &str) {
    let what = format!("queue {queue} is empty");
    eventually(&what, async || {
        rig.queue(queue).await.is_some_and(|queue| queue.ready + queue.unacknowledged == 0)
    })
    .await;
    assert_eq!(rig.ready(queue).await, 0);
}
