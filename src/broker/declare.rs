//! Makes the broker agree with a [`Topology`], or says why it does not.
//!
//! Everything is declared in one go, without waiting for each answer. A refusal closes the channel
//! and does not say what it was about, so on a refusal everything is declared once more, one by
//! one: declaring what exists changes nothing.

use super::fields::table;
use super::{Backing, Broker};
use crate::topology::{Binding, Difference, Endpoint, Exchange, Object, Queue, Topology, names};
use futures::{StreamExt, TryStreamExt};
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// Why something could not be declared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It exists with other arguments.
    #[error(
        "{0}; change the configuration to match, set `declare = false` to use it as it is, or \
         delete it in the broker and run `celeriac topology apply`"
    )]
    Differs(Box<Difference>),

    /// It is not ours to declare, and does not exist.
    #[error(
        "{0} does not exist and is not ours to declare; create it, or run \
         `celeriac topology apply` as a user who may"
    )]
    Missing(Object),

    /// The user may not do this.
    #[error(
        "{object}: the broker's user lacks a permission: {reply}; run `celeriac topology apply` \
         as a user who may, and set `declare = false` in [topology] here"
    )]
    Forbidden {
        /// What was to be declared or looked at.
        object: Object,
        /// What the broker said, which names the permission.
        reply: String,
    },

    /// Another connection has it for itself.
    #[error("{0} belongs to another connection alone (it is exclusive)")]
    Locked(Object),

    /// The broker does not accept such a thing at all.
    #[error("{object}: the broker refuses it: {reply}")]
    Refused {
        /// What was to be declared.
        object: Object,
        /// What the broker said.
        reply: String,
    },

    /// The connection broke. Declaring again is safe.
    #[error("the connection broke while declaring: {0}")]
    Interrupted(String),
}

/// One thing to be declared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
    Binding(&'a Binding),
}

/// So many declarations may be under way at once.
const IN_FLIGHT: usize = 64;

/// How long a connection is waited for, and how long a declaration is made again that its connection
/// interrupts.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before that, in which a lost connection is noticed.
const PAUSE: Duration = Duration::from_millis(200);

impl Broker {
    /// Declares everything in `topology`. Declaring what exists already changes nothing.
    ///
    /// # Errors
    /// The first thing that could not be declared; what came before it stays declared.
    pub async fn declare(&self, topology: &Topology) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            return memory.declare(topology);
        }
        uninterrupted(|| async { declare(&*self.connection().await?, topology).await }).await
    }

    /// Declares the delay ladder unless it is complete already.
    ///
    /// # Errors
    /// As [`Broker::declare`].
    pub async fn declare_ladder(&self, ladder: &Topology) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            return memory.declare(ladder);
        }
        uninterrupted(|| async {
            let connection = self.connection().await?;
            let channel = open(&connection).await?;
            if check_exchange(&channel, names::DELAY_READY).await.is_ok() {
                close(&channel).await;
                return Ok(());
            }
            declare(&connection, ladder).await
        })
        .await
    }

    /// Declares `topology` if there is an exchange of this name, which somebody else declares.
    ///
    /// # Errors
    /// As [`Broker::declare`].
    pub async fn declare_beside(
        &self,
        exchange: &str,
        topology: &Topology,
    ) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            return memory.declare_beside(exchange, topology);
        }
        uninterrupted(|| async {
            let connection = self.connection().await?;
            let channel = open(&connection).await?;
            if let Err(error) = check_exchange(&channel, exchange).await {
                return match refusal(&error, Object::Exchange(exchange.to_owned())) {
                    error @ DeclareError::Interrupted(_) => Err(error),
                    _ => Ok(()),
                };
            }
            close(&channel).await;
            declare(&connection, topology).await
        })
        .await
    }

    /// Declares one queue, on a channel of its own and in one step: whoever is refused is told the
    /// first argument that differs.
    ///
    /// # Errors
    /// As [`Broker::declare`].
    pub async fn declare_queue(&self, queue: &Queue) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            return memory
                .declare(&Topology { queues: vec![queue.clone()], ..Topology::default() });
        }
        uninterrupted(|| async {
            let connection = self.connection().await?;
            let channel = open(&connection).await?;
            let declared = declare_queue(&channel, queue).await;
            declared.map_err(|error| match refusal(&error, queue.object()) {
                // Another connection is just making it, and it is not there yet.
                DeclareError::Missing(_) if queue.declare => {
                    DeclareError::Interrupted(error.to_string())
                }
                refused => refused,
            })?;
            close(&channel).await;
            Ok(())
        })
        .await
    }

    /// Deletes a queue with what is in it; that there is none is no error.
    ///
    /// # Errors
    /// The queue belongs to another connection alone, or the connection broke.
    pub async fn delete_queue(&self, queue: &str) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            memory.delete_queue(queue);
            return Ok(());
        }
        let connection = self.connection().await?;
        let channel = open(&connection).await?;
        let deleted = channel.queue_delete(short(queue), QueueDeleteOptions::default()).await;
        deleted.map_err(|error| refusal(&error, Object::Queue(queue.to_owned())))?;
        close(&channel).await;
        Ok(())
    }

    /// Deletes what waits in a queue, and says how many messages that were. What somebody has, and
    /// what is delayed, stays.
    ///
    /// # Errors
    /// There is no such queue, or it may not be purged.
    pub async fn purge_queue(&self, queue: &str) -> Result<u32, DeclareError> {
        if let Some(memory) = self.memory() {
            return memory.purge_queue(queue);
        }
        let connection = self.connection().await?;
        let channel = open(&connection).await?;
        let purged = channel.queue_purge(short(queue), QueuePurgeOptions::default()).await;
        let purged = purged.map_err(|error| refusal(&error, Object::Queue(queue.to_owned())))?;
        close(&channel).await;
        Ok(purged)
    }

    /// Checks that every exchange and queue in `topology` exists, whatever its arguments, and
    /// creates nothing. Bindings cannot be checked over AMQP.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub async fn verify(&self, topology: &Topology) -> Result<(), DeclareError> {
        if let Some(memory) = self.memory() {
            return memory.verify(topology);
        }
        let connection = self.connection().await?;
        let mut channel = open(&connection).await?;
        for exchange in &topology.exchanges {
            let found = check_exchange(&channel, &exchange.name).await;
            found.map_err(|error| refusal(&error, exchange.object()))?;
        }
        for queue in &topology.queues {
            let passive = Queue { declare: false, ..queue.clone() };
            try_item(&connection, &mut channel, Item::Queue(&passive)).await?;
        }
        close(&channel).await;
        Ok(())
    }

    /// The connection to ask and declare on: the consuming one, which alarms do not stop.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, DeclareError> {
        let Backing::RabbitMq(inner) = &self.backing else {
            let reason = "a broker in memory has no connection".to_owned();
            return Err(DeclareError::Interrupted(reason));
        };
        match tokio::time::timeout(PATIENCE, inner.consume.up()).await {
            Ok(Some(up)) => Ok(up.connection),
            Ok(None) => Err(DeclareError::Interrupted("the connection is closed".to_owned())),
            Err(_) => {
                let reason = self.last_error().unwrap_or_else(|| "not connected".to_owned());
                Err(DeclareError::Interrupted(reason))
            }
        }
    }
}

/// Does `declare` again when the connection broke: on the next one. What RabbitMQ cannot do in the
/// moment (3.10 fails now and then when several streams are declared at once) it says by closing the
/// connection.
async fn uninterrupted<F>(mut declare: impl FnMut() -> F) -> Result<(), DeclareError>
where
    F: Future<Output = Result<(), DeclareError>>,
{
    let started = Instant::now();
    loop {
        match declare().await {
            Err(DeclareError::Interrupted(reason)) if started.elapsed() < PATIENCE => {
                debug!(reason, "a declaration was interrupted, declaring again");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
) -> Result<(), DeclareError> {
    items(topology).try_for_each(Item::check_names)?;
    if at_once(connection, topology).await.is_ok() {
        return Ok(());
    }
    let mut channel = open(connection).await?;
    for item in items(topology) {
        try_item(connection, &mut channel, item).await?;
    }
    close(&channel).await;
    Ok(())
}

/// Declares `item`, and opens `channel` again if the broker closed it.
pub(super) async fn try_item(
    connection: &Connection,
    channel: &mut Channel,
    item: Item<'_>,
) -> Result<(), DeclareError> {
    item.check_names()?;
    let Err(error) = perform(channel, item).await else { return Ok(()) };
    if !channel.status().connected() {
        *channel = open(connection).await?;
    }
    Err(refusal(&error, item.object()))
}

/// Whether an exchange of this name exists. The channel is closed when it does not.
pub(super) async fn check_exchange(channel: &Channel, name: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let kind = lapin::ExchangeKind::Direct;
    channel.exchange_declare(short(name), kind, options, Default::default()).await
}

/// A channel of its own, because a refusal closes it.
pub(super) async fn open(connection: &Connection) -> Result<Channel, DeclareError> {
    let opened = connection.create_channel().await;
    opened.map_err(|error| DeclareError::Interrupted(error.to_string()))
}

/// Closes a channel that is not needed any more; that it may be closed already is no matter.
pub(super) async fn close(channel: &Channel) {
    let _ = channel.close(200, "done".into()).await;
}

/// What the broker's refusal means for `object`.
pub(super) fn refusal(error: &lapin::Error, object: Object) -> DeclareError {
    let ErrorKind::ProtocolError(refused) = error.kind() else {
        return DeclareError::Interrupted(error.to_string());
    };
    let reply = refused.get_message().to_string();
    match refused.get_id() {
        // The broker is closing the connection, or could not do it in this moment.
        320 | 541 => DeclareError::Interrupted(reply),
        403 => DeclareError::Forbidden { object, reply },
        404 => DeclareError::Missing(object),
        405 => DeclareError::Locked(object),
        _ => match Difference::parse(&reply) {
            Some(difference) => DeclareError::Differs(Box::new(difference)),
            None => DeclareError::Refused { object, reply },
        },
    }
}

impl Item<'_> {
    fn object(self) -> Object {
        match self {
            Self::Exchange(exchange) => exchange.object(),
            Self::Queue(queue) => queue.object(),
            Self::Binding(binding) => binding.object(),
        }
    }

    /// AMQP has one byte for the length of a name.
    pub(super) fn check_names(self) -> Result<(), DeclareError> {
        let longest = match self {
            Self::Exchange(exchange) => exchange.name.len(),
            Self::Queue(queue) => queue.name.len(),
            Self::Binding(binding) => binding.routing_key.len(),
        };
        if longest > usize::from(u8::MAX) {
            let reply = "names and routing keys have at most 255 bytes".to_owned();
            return Err(DeclareError::Refused { object: self.object(), reply });
        }
        Ok(())
    }
}

/// In the order of declaration. The mark of a complete ladder comes after everything else.
pub(super) fn items(topology: &Topology) -> impl Iterator<Item = Item<'_>> {
    let is_mark = |exchange: &&Exchange| exchange.name == names::DELAY_READY;
    let exchanges = topology.exchanges.iter().filter(move |it| !is_mark(it)).map(Item::Exchange);
    let queues = topology.queues.iter().map(Item::Queue);
    let bindings = topology.bindings.iter().map(Item::Binding);
    let mark = topology.exchanges.iter().filter(is_mark).map(Item::Exchange);
    exchanges.chain(queues).chain(bindings).chain(mark)
}

async fn at_once(connection: &Connection, topology: &Topology) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    // Collected first: the compiler cannot see that a lazy map of borrowed items may be sent.
    let declarations: Vec<_> = items(topology).map(|item| perform(&channel, item)).collect();
    let declared =
        futures::stream::iter(declarations).buffered(IN_FLIGHT).try_collect::<()>().await;
    close(&channel).await;
    declared
}

/// Declares everything in order on a channel of the caller's, which a refusal closes.
pub(super) async fn declare_on(channel: &Channel, topology: &Topology) -> lapin::Result<()> {
    for item in items(topology) {
        perform(channel, item).await?;
    }
    Ok(())
}

async fn perform(channel: &Channel, item: Item<'_>) -> lapin::Result<()> {
    match item {
        Item::Exchange(exchange) => declare_exchange(channel, exchange).await,
        Item::Queue(queue) => declare_queue(channel, queue).await.map(|_| ()),
        Item::Binding(binding) => bind(channel, binding).await,
    }
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    let kind = lapin::ExchangeKind::Custom(exchange.kind.as_str().to_owned());
    let options = ExchangeDeclareOptions {
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        ..Default::default()
    };
    let arguments = table(&exchange.arguments);
    channel.exchange_declare(short(&exchange.name), kind, options, arguments).await
}

pub(super) async fn declare_queue(channel: &Channel, queue: &Queue) -> lapin::Result<lapin::Queue> {
    let options = QueueDeclareOptions {
        passive: !queue.declare,
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        ..Default::default()
    };
    channel.queue_declare(short(&queue.name), options, table(&queue.arguments)).await
}

async fn bind(channel: &Channel, binding: &Binding) -> lapin::Result<()> {
    let source = short(&binding.source);
    let key = short(&binding.routing_key);
    let arguments = table(&binding.arguments);
    match &binding.destination {
        Endpoint::Queue(queue) => {
            let options = QueueBindOptions::default();
            channel.queue_bind(short(queue), source, key, options, arguments).await
        }
        Endpoint::Exchange(exchange) => {
            let options = ExchangeBindOptions::default();
            channel.exchange_bind(short(exchange), source, key, options, arguments).await
        }
    }
}

fn short(name: &str) -> ShortString {
    ShortString::from(name)
}
