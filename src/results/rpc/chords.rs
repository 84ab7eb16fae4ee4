//! Joining chords with RabbitMQ alone.
//!
//! A chord has a queue, made by whoever sends its members. A member that ends publishes its result
//! there, confirmed, and then looks how many results are in it: the one that sees them all takes
//! them out, unacknowledged, sends the body, and deletes the queue. So the queue's being gone means
//! that the chord was joined.
//!
//! Three rules make this safe whoever dies when:
//!
//! - a member is not acknowledged before it has looked, after its result was confirmed;
//! - who holds results holds its own member, too, and looks again after giving them back;
//! - who sees a consumer at the queue does not go away: it may be a dead one, whose results are not
//!   back yet.
//!
//! `docs/decisions/0012-workflows.md` has the analysis.

use super::Rpc;
use crate::broker::{DeclareError, Depth, Gathering, PublishError, RawMessage, Taken};
use crate::ids::TaskId;
use crate::protocol::{Format, Raw, StoredException, StoredResult, TaskState};
use crate::results::{
    Arrival, Arrived, ChordStore, Claim, Document, Joined, Member, NewChord, Part, StoreError,
};
use crate::topology::{CHORD_BYTES, Topology, chord_queue, names};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync;
use tracing::{debug, warn};

/// How long a result may take from the queue to the one that joins.
const PATIENCE: Duration = Duration::from_secs(1);

/// How soon somebody else's join is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where a result's place in its chord stands in its message.
const POSITION: &str = "celeriac-position";

/// The chords that this process has to do with.
#[derive(Debug, Default)]
pub(super) struct Chords {
    /// Those it joins, by the token of the claim. Of one whose results do not fit it holds none.
    held: Mutex<HashMap<String, Option<Gathering>>>,
    /// Those whose members arrive just now. Of many that arrive at once one looks for all.
    looks: Mutex<HashMap<String, Arc<sync::Mutex<Option<Look>>>>>,
}

/// What somebody saw.
#[derive(Debug)]
struct Look {
    began: Instant,
    /// Whether the chord was gone then; otherwise others were missing, or the one that looked joins
    /// it.
    is_gone: bool,
}

impl Chords {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Option<Gathering>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, group_id: &str) -> Arc<sync::Mutex<Option<Look>>> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, look| Arc::strong_count(look) > 1);
        Arc::clone(looks.entry(group_id.to_owned()).or_default())
    }
}

impl ChordStore for Rpc {
    fn begin<'a>(&'a self, chord: &'a NewChord) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let queues = vec![chord_queue(&chord.group_id, self.chords_expire)];
            let topology = Topology { queues, ..Topology::default() };
            match self.broker.declare(&topology).await {
                // Somebody made it who keeps chords for another time.
                Ok(()) | Err(DeclareError::Differs(_)) => Ok(()),
                Err(error) => Err(refused(&error)),
            }
        })
    }

    fn arrive<'a>(&'a self, arrival: Arrival<'a>) -> BoxFuture<'a, Result<Arrived, StoreError>> {
        Box::pin(self.arrive_with(arrival))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool, StoreError>> {
        let held = self.chords.held();
        let held = held.get(&claim.token);
        let held = held.is_some_and(|held| held.as_ref().is_none_or(Gathering::is_held));
        Box::pin(std::future::ready(Ok(held)))
    }

    fn release(&self, claim: &Claim) {
        drop(self.chords.held().remove(&claim.token));
    }

    fn finish<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let queue = names::chord(&claim.group_id);
            self.broker.delete_queue(&queue).await.map_err(|error| refused(&error))?;
            self.release(claim);
            Ok(())
        })
    }
}

/// What became of a result on its way into the queue.
enum Put {
    There,
    Gone,
    Full,
}

impl Rpc {
    async fn arrive_with(&self, arrival: Arrival<'_>) -> Result<Arrived, StoreError> {
        let Some(members) = arrival.members else {
            return Err(StoreError::permanent(format!(
                "chord {} was sent by a program that counts its members elsewhere; give both \
                 sides the same [results] backend",
                arrival.group_id
            )));
        };
        match self.put(arrival).await? {
            Put::There => {}
            Put::Gone => return Ok(Arrived::Done),
            Put::Full => return self.too_much(arrival),
        }
        let there = Instant::now();
        let look = self.chords.look(arrival.group_id);
        let mut look = look.lock().await;
        if let Some(seen) = look.as_ref().filter(|seen| seen.began > there) {
            return Ok(if seen.is_gone { Arrived::Done } else { Arrived::Waiting });
        }
        let began = Instant::now();
        let arrived = self.join(arrival.group_id, members).await?;
        // A chord that somebody else joins is for each to look at again.
        *look = match arrived {
            Arrived::Claimed { .. } => None,
            Arrived::Done => Some(Look { began, is_gone: true }),
            Arrived::Waiting | Arrived::Complete(_) => Some(Look { began, is_gone: false }),
        };
        Ok(arrived)
    }

    /// Puts a result into the queue.
    async fn put(&self, arrival: Arrival<'_>) -> Result<Put, StoreError> {
        let Document { task_id, format, body, .. } = arrival.document;
        let queue = names::chord(arrival.group_id);
        let position = arrival.position.and_then(|position| i64::try_from(position).ok());
        let part = RawMessage::part(&queue, task_id, *format, body.clone());
        let part = part.with_headers([(POSITION, position.unwrap_or(i64::MAX).into())]);
        match self.broker.publish(Arc::new(part), self.deadline).await {
            Ok(()) => Ok(Put::There),
            Err(PublishError::Nacked { .. }) => Ok(Put::Full),
            Err(error @ PublishError::Unroutable { .. }) => {
                // A queue whose node is down takes nothing either, and is not gone.
                match self.depth(&queue).await? {
                    None => {
                        debug!(queue, "the chord was joined before, or has expired");
                        Ok(Put::Gone)
                    }
                    Some(_) => Err(StoreError::transient(error.to_string())),
                }
            }
            Err(error) => {
                let (reason, is_transient) = (error.to_string(), error.is_transient());
                Err(StoreError { reason, is_transient })
            }
        }
    }

    /// Looks whether all results are there, and takes them.
    async fn join(&self, group_id: &str, members: u64) -> Result<Arrived, StoreError> {
        let queue = names::chord(group_id);
        loop {
            let Some(Depth { ready, consumers }) = self.depth(&queue).await? else {
                return Ok(Arrived::Done);
            };
            if consumers > 0 {
                return Ok(Arrived::Claimed { lapses: LOOK_AGAIN });
            }
            if u64::from(ready) < members {
                return Ok(Arrived::Waiting);
            }
            let mut gathering = match self.broker.gather(&queue).await {
                Ok(gathering) => gathering,
                Err(DeclareError::Missing(_)) => return Ok(Arrived::Done),
                Err(error) => return Err(refused(&error)),
            };
            let (parts, twice) = take(&mut gathering, members).await;
            if parts.len() as u64 == members {
                let claim = Claim { group_id: group_id.to_owned(), token: TaskId::random().into() };
                self.chords.held().insert(claim.token.clone(), Some(gathering));
                return Ok(Arrived::Complete(Joined { claim, parts: in_order(parts) }));
            }
            debug!(queue, found = parts.len(), members, "some results came twice, looking again");
            gathering.release(&twice).await;
            tokio::time::sleep(LOOK_AGAIN.mul_f64(fastrand::f64())).await;
        }
    }

    /// The chord has failed because its results do not fit.
    fn too_much(&self, arrival: Arrival<'_>) -> Result<Arrived, StoreError> {
        let message =
            format!("the results of the chord take more than {CHORD_BYTES} bytes together");
        let exception = StoredException::new("ResultsTooLarge", message, None);
        let result = Raw::encode(Format::Json, &exception)
            .map_err(|error| StoreError::permanent(error.to_string()))?;
        let task_id = arrival.document.task_id.clone();
        let claim = Claim { group_id: arrival.group_id.to_owned(), token: TaskId::random().into() };
        self.chords.held().insert(claim.token.clone(), None);
        let failed = Member { task_id, state: TaskState::Failure, result };
        Ok(Arrived::Complete(Joined { claim, parts: vec![Part::Task(failed)] }))
    }

    async fn depth(&self, queue: &str) -> Result<Option<Depth>, StoreError> {
        self.broker.depth(queue).await.map_err(|error| refused(&error))
    }
}

/// What the members returned, with their places.
type Parts = HashMap<TaskId, (i64, Member)>;

/// Takes results until each member's is there once; and those besides that came twice.
async fn take(gathering: &mut Gathering, members: u64) -> (Parts, Vec<Taken>) {
    let (mut parts, mut twice) = (Parts::new(), Vec::new());
    while (parts.len() as u64) < members {
        let Some(taken) = gathering.next(PATIENCE).await else { break };
        match read(&taken) {
            Some((position, member)) if !parts.contains_key(&member.task_id) => {
                parts.insert(member.task_id.clone(), (position, member));
            }
            Some(_) => twice.push(taken),
            None => {
                warn!(queue = taken.message.routing_key, "not the result of a task, removed");
                twice.push(taken);
            }
        }
    }
    (parts, twice)
}

fn read(taken: &Taken) -> Option<(i64, Member)> {
    let message = &taken.message;
    let format = Format::from_content_type(message.content_type()?)?;
    let StoredResult { task_id, state, result, .. } =
        StoredResult::decode(format, message.body.clone()).ok()?;
    let position = match message.header(POSITION) {
        crate::protocol::HeaderValue::Int(position) => position,
        _ => i64::MAX,
    };
    Some((position, Member { task_id, state, result }))
}

fn in_order(parts: Parts) -> Vec<Part> {
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.sort_by(|(a, one), (b, other)| (a, &one.task_id).cmp(&(b, &other.task_id)));
    parts.into_iter().map(|(_, member)| Part::Task(member)).collect()
}

fn refused(error: &DeclareError) -> StoreError {
    match error {
        DeclareError::Interrupted(_) | DeclareError::Missing(_) => {
            StoreError::transient(error.to_string())
        }
        _ => StoreError::permanent(error.to_string()),
    }
}
