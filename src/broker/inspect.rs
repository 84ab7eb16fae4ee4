//! Asks the broker what it holds, over AMQP alone.
//!
//! AMQP can ask whether a queue exists and how many messages are ready in it. What its arguments
//! are it cannot ask; but a declaration of an existing queue changes nothing and is refused with
//! the first argument that differs. So an object is first looked at passively, and only if it
//! exists declared as we want it; after each refusal once more with the broker's value in place,
//! until every difference is known.

use super::connection::vhost;
use super::declare::{self, DeclareError, Item};
use super::{Broker, Settings};
use crate::topology::{Difference, Exchange, Finding, Object, Queue, Topology};
use lapin::{Channel, Connection};

/// What a passive declaration tells about a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages ready to be delivered; in a stream, all that are kept.
    pub ready: u32,
    /// Active consumers, of all connections.
    pub consumers: u32,
}

/// So many differing arguments of one object are looked for.
const MOST_DIFFERENCES: usize = 16;

impl Settings {
    /// The virtual host that the first address names; `/` when it names none.
    pub fn vhost(&self) -> String {
        let parsed = self.url.expose().parse::<lapin::uri::AMQPUri>();
        parsed.map_or_else(|_| "/".to_owned(), |uri| vhost(&uri))
    }
}

impl Broker {
    /// How many messages and consumers a queue has; `None` when there is no such queue.
    ///
    /// # Errors
    /// The queue exists and may not be looked at, or the connection broke.
    pub async fn depth(&self, queue: &str) -> Result<Option<Depth>, DeclareError> {
        if let Some(memory) = self.memory() {
            return Ok(memory.depth(queue));
        }
        let Some(inner) = self.inner() else { return Ok(None) };
        let mut asking = inner.asking.lock().await;
        let channel = match asking.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => declare::open(&*self.connection().await?).await?,
        };
        let passive = Queue { declare: false, ..Queue::named(queue) };
        match declare::declare_queue(&channel, &passive).await {
            Ok(found) => {
                *asking = Some(channel);
                let (ready, consumers) = (found.message_count(), found.consumer_count());
                Ok(Some(Depth { ready, consumers }))
            }
            Err(error) => match declare::refusal(&error, passive.object()) {
                DeclareError::Missing(_) => Ok(None),
                other => Err(other),
            },
        }
    }

    /// Where the broker's exchanges and queues differ from `topology`. Changes nothing in the
    /// broker, unless somebody deletes an object at the very moment it is compared.
    ///
    /// Of queues that are not ours, only their existence is checked. Bindings cannot be asked for.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn differences(&self, topology: &Topology) -> Result<Vec<Finding>, DeclareError> {
        if let Some(memory) = self.memory() {
            return Ok(memory.differences(topology));
        }
        let connection = self.connection().await?;
        let channel = declare::open(&connection).await?;
        let mut probe = Probe { connection: &connection, channel };
        let mut findings = Vec::new();
        for exchange in &topology.exchanges {
            findings.extend(probe.exchange(exchange).await?);
        }
        for queue in &topology.queues {
            findings.extend(probe.queue(queue).await?);
        }
        declare::close(&probe.channel).await;
        Ok(findings)
    }
}

struct Probe<'a> {
    connection: &'a Connection,
    channel: Channel,
}

impl Probe<'_> {
    async fn exchange(&mut self, wanted: &Exchange) -> Result<Vec<Finding>, DeclareError> {
        if let Err(error) = declare::check_exchange(&self.channel, &wanted.name).await {
            self.channel = declare::open(self.connection).await?;
            return absent(declare::refusal(&error, wanted.object()));
        }
        let mut probed = wanted.clone();
        let mut findings = Vec::new();
        for _ in 0..MOST_DIFFERENCES {
            let Some(finding) = self.compare(Item::Exchange(&probed)).await? else { break };
            let known = adopt(&finding, |difference| difference.adopt_exchange(&mut probed));
            findings.push(finding);
            if !known {
                break;
            }
        }
        Ok(findings)
    }

    async fn queue(&mut self, wanted: &Queue) -> Result<Vec<Finding>, DeclareError> {
        let passive = Queue { declare: false, ..wanted.clone() };
        if let Err(error) = self.try_item(Item::Queue(&passive)).await {
            return absent(error);
        }
        let mut probed = wanted.clone();
        let mut findings = Vec::new();
        for _ in 0..MOST_DIFFERENCES {
            let Some(finding) = self.compare(Item::Queue(&probed)).await? else { break };
            let known = adopt(&finding, |difference| difference.adopt_queue(&mut probed));
            findings.push(finding);
            if !known {
                break;
            }
        }
        Ok(findings)
    }

    async fn try_item(&mut self, item: Item<'_>) -> Result<(), DeclareError> {
        declare::try_item(self.connection, &mut self.channel, item).await
    }

    /// The first difference of an object that exists.
    async fn compare(&mut self, item: Item<'_>) -> Result<Option<Finding>, DeclareError> {
        let Err(error) = self.try_item(item).await else { return Ok(None) };
        match error {
            DeclareError::Differs(difference) => Ok(Some(Finding::Differs(*difference))),
            other => unknown(other).map(Some),
        }
    }
}

/// Whether the value the broker holds is known and taken over, so that the next can be looked for.
fn adopt(finding: &Finding, take_over: impl FnOnce(&Difference) -> bool) -> bool {
    match finding {
        Finding::Differs(difference) => take_over(difference),
        _ => false,
    }
}

fn absent(error: DeclareError) -> Result<Vec<Finding>, DeclareError> {
    match error {
        DeclareError::Missing(object) => Ok(vec![Finding::Missing(object)]),
        other => Ok(vec![unknown(other)?]),
    }
}

fn unknown(error: DeclareError) -> Result<Finding, DeclareError> {
    let object = match &error {
        DeclareError::Forbidden { object, .. } | DeclareError::Refused { object, .. } => object,
        DeclareError::Locked(object) | DeclareError::Missing(object) => object,
        DeclareError::Differs(difference) => &difference.object,
        DeclareError::Interrupted(_) => return Err(error),
    };
    let object: Object = object.clone();
    Ok(Finding::Unknown(object, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_ends_in_a_slash_means_the_virtual_host_of_that_name() {
        let cases = [
            ("amqp://h:5672/", "/"),
            ("amqp://h", "/"),
            ("amqp://h/%2f", "/"),
            ("amqp://h/shop", "shop"),
        ];
        for (url, vhost) in cases {
            let settings = Settings { url: url.into(), ..Settings::default() };
            assert_eq!(settings.vhost(), vhost, "{url}");
        }
    }
}
