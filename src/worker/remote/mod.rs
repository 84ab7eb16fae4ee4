//! Remote control, the worker's end: answers what others ask, and does what they tell.
//!
//! Commands come through a queue of this worker's own and are carried out one after the other.
//! Whatever one is like, it ends in an answer or in a line of the log, and the worker goes on.

mod act;
mod answer;
mod conf;
mod info;
mod inspect;
mod stats;

pub(super) use conf::queue_shape;

use super::context::Context;
use super::roster::Change;
use super::settings::Settings;
use crate::broker::{AckPolicy, Broker, Consume, DeclareError, Deliveries, Delivery, PublishError};
use crate::control::{Reply, ReplyTo, Request, mailbox};
use crate::topology::{self, Object};
use answer::{Answer, Given, Refused};
use futures::StreamExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// What answers for one worker.
#[derive(Debug)]
pub(super) struct Remote {
    /// Its name as a node.
    pub(super) node: String,
    pub(super) broker: Broker,
    pub(super) context: Arc<Context>,
    /// What it was started with.
    pub(super) settings: Settings,
    /// Where changes of its queues go.
    pub(super) changes: mpsc::Sender<Change>,
}

/// So many commands are with us at once.
const PREFETCH: u16 = 20;

/// An answer that the broker does not take for so long is dropped: nobody waits any more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// The exchanges that answers have gone to; an application has one.
const MOST_EXCHANGES: usize = 100;

impl Remote {
    /// Answers until `done`. Without the broker's permission there is no remote control, and the
    /// worker works without.
    pub(super) async fn run(self, done: CancellationToken) {
        // A broker that does not answer must not keep the worker from ending.
        let opened = done.run_until_cancelled(self.open()).await.flatten();
        let Some(mut commands) = opened else { return };
        let mut exchanges = BTreeSet::new();
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => break,
                command = commands.next() => {
                    let Some(command) = command else { break };
                    self.heed(&command, &mut exchanges).await;
                    command.settle.ack();
                }
            }
        }
        commands.close().await;
    }

    async fn open(&self) -> Option<Deliveries> {
        let mut mailbox = mailbox::of_node(&self.node);
        let mut declared = self.broker.declare(&mailbox).await;
        if let Err(DeclareError::Forbidden { object: Object::Exchange(_), .. }) = &declared {
            // Whoever asks makes the exchanges, too.
            mailbox.exchanges.clear();
            declared = self.broker.declare(&mailbox).await;
        }
        match declared {
            Ok(()) | Err(DeclareError::Interrupted(_)) => {}
            Err(DeclareError::Locked(_)) => warn!(
                node = self.node,
                "another worker has this name and alone answers remote commands; give one of them \
                 another `name` in [worker]"
            ),
            Err(error) => {
                warn!(%error, "no remote control; `remote_control = false` in [worker] wants none");
                return None;
            }
        }
        Some(self.broker.consume(Consume {
            queue: topology::names::control_queue(&self.node),
            stream: None,
            declare: Some(mailbox),
            repair: None,
            prefetch: PREFETCH,
            acks: AckPolicy { every: 1, within: Duration::ZERO },
            tag: "remote-control".to_owned(),
        }))
    }

    /// Carries out one command, if it is one and for this worker.
    async fn heed(&self, command: &Delivery, exchanges: &mut BTreeSet<String>) {
        let request = match Request::read(command) {
            Ok(request) => request,
            Err(error) => return debug!(%error, "not a remote command, ignored"),
        };
        self.context.events.logical_clock().adjust(request.clock);
        let answer = match request.to.include(&self.node) {
            Ok(false) => return,
            Ok(true) => self.carry_out(&request).await,
            Err(unclear) => Err(Refused::new(unclear.to_string())),
        };
        let value = match answer {
            Ok(value) => value,
            Err(refused) => {
                let refused = Value::from(refused);
                info!(command = request.method, answer = %refused, "remote command refused");
                refused
            }
        };
        if let Some(to) = &request.reply_to
            && let Err(error) = self.reply(&request, to, value, exchanges).await
        {
            debug!(%error, command = request.method, "remote command not answered");
        }
    }

    async fn carry_out(&self, request: &Request) -> Answer {
        let given = Given { method: &request.method, arguments: &request.arguments };
        match self.inspect(given) {
            Some(answer) => answer,
            None => match Box::pin(self.act(given)).await {
                Some(answer) => answer,
                None => Err(Refused::python("KeyError", &request.method)),
            },
        }
    }

    async fn reply(
        &self,
        request: &Request,
        to: &ReplyTo,
        value: Value,
        exchanges: &mut BTreeSet<String>,
    ) -> anyhow::Result<()> {
        // Publishing to an exchange that is not there would cost the worker's publishing channel.
        if !exchanges.contains(&to.exchange) {
            self.broker.verify(&mailbox::replies(&to.exchange)).await?;
            if exchanges.len() >= MOST_EXCHANGES {
                exchanges.clear();
            }
            exchanges.insert(to.exchange.clone());
        }
        let reply = Reply { node: self.node.clone(), value };
        let message =
            reply.message(to, request.format, self.context.events.logical_clock().forward())?;
        let published = self.broker.publish(Arc::new(message), ANSWERED_WITHIN).await;
        if matches!(published, Err(PublishError::NoExchange { .. })) {
            exchanges.remove(&to.exchange);
        }
        Ok(published?)
    }
}
