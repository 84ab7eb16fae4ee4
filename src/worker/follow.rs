//! What is done when something follows a task: its callbacks, the rest of its chain, its errbacks,
//! the chord that it is a member of.
//!
//! [`crate::canvas`] says what; here it is sent, confirmed, before the acknowledgement. Whatever is
//! sent has the same ids each time, so that a message which is handed out again is followed by the
//! same messages.

use super::report;
use super::settle::{PATIENCE, STORE_PAUSES, Settling, Step};
use super::tell;
use crate::archive::Reason;
use crate::canvas::follow::{Ended, Fallen, Membership, Unreached};
use crate::canvas::{BadCanvas, BeginChord, Canvas, Message, Plan};
use crate::handler::{Output, TaskError};
use crate::protocol::{Embed, EncodeError, Format, Raw, Signature, TaskState};
use crate::results::{
    Arrival, Arrived, ChordStore, Claim, Document, Joined, NewChord, Part, StoreError,
};
use futures::{StreamExt, TryStreamExt};
use std::time::Duration;
use tracing::{debug, error, warn};

/// So many messages of one workflow are on their way at once.
const IN_FLIGHT: usize = 500;

/// Why something that follows was not done.
#[derive(Debug)]
enum Halt {
    /// Not now; the delivery is handed out again.
    Step(Step),
    /// Never.
    Never(TaskError),
}

/// A member that has ended, on its way to its chord.
type Arriving = (Membership, Document);

impl Settling<'_> {
    /// A success that something follows.
    pub(super) async fn succeed_followed(&self, output: &Output) -> Step {
        match self.follow_success(output).await {
            Ok(arriving) => {
                let step = self.arrive(arriving.into_iter().collect()).await;
                step.and_then(|| tell::succeeded(self))
            }
            Err(Halt::Step(step)) => step,
            Err(Halt::Never(error)) => self.bury(Reason::Undeliverable, &error).await,
        }
    }

    async fn follow_success(&self, output: &Output) -> Result<Option<Arriving>, Halt> {
        let body = &self.attempt.body;
        let embed = body.embed().map_err(BadCanvas::from)?;
        let membership = self.ended().membership(&embed);
        let value = Raw::encode(body.format(), output)?;
        let plan = self.ended().succeeded(embed, &value)?;
        let children = plan.shapes.iter().map(|shape| shape.tuple()).collect();
        self.send_plan(plan).await?;
        let wanted = self.attempt.wants_result(self.cx);
        if !wanted && membership.is_none() {
            return Ok(None);
        }
        let document = report::success(self.attempt, output, children, self.cx)?;
        if wanted {
            self.kept(document.clone()).await?;
        }
        Ok(membership.map(|membership| (membership, document)))
    }

    /// A task that is replaced by a workflow.
    pub(super) async fn replace(&self, by: Canvas) -> Step {
        match self.send_replacement(by).await {
            Ok(()) => Step::Done,
            Err(Halt::Step(step)) => step,
            Err(Halt::Never(error)) => self.bury(Reason::Undeliverable, &error).await,
        }
    }

    async fn send_replacement(&self, by: Canvas) -> Result<(), Halt> {
        let embed = self.attempt.body.embed().map_err(BadCanvas::from)?;
        self.send_plan(self.ended().replaced(embed, by)?).await
    }

    /// A failure that something follows. What cannot be sent any more is logged and left out: the
    /// task has failed, and whoever waits is told.
    pub(super) async fn fail_followed(&self, state: &TaskState, error: &TaskError) -> Step {
        let embed = match self.attempt.body.embed() {
            Ok(embed) => embed,
            Err(unreadable) => {
                error!(error = %unreadable, "what follows the task cannot be read, and is left out");
                Embed::default()
            }
        };
        match self.follow_failure(embed, state, error).await {
            Ok(arriving) => self.arrive(arriving).await,
            Err(Halt::Step(step)) => step,
            Err(Halt::Never(error)) => {
                error!(%error, "what follows the failure is left out");
                Step::Done
            }
        }
    }

    async fn follow_failure(
        &self,
        embed: Embed,
        state: &TaskState,
        error: &TaskError,
    ) -> Result<Vec<Arriving>, Halt> {
        let document = report::error(self.attempt, state.clone(), error, self.cx)?;
        if self.attempt.wants_result(self.cx) {
            self.kept(document.clone()).await?;
        }
        let own = self.ended().membership(&embed).map(|membership| (membership, document));
        let fallen = self.ended().failed(embed)?;
        let mut arriving = self.fall(fallen, state, error).await?;
        arriving.extend(own);
        Ok(arriving)
    }

    /// Tells of what will never run, and sends the errbacks.
    async fn fall(
        &self,
        fallen: Fallen,
        state: &TaskState,
        error: &TaskError,
    ) -> Result<Vec<Arriving>, Halt> {
        let Fallen { plan, unreached } = fallen;
        let tell = |task: Unreached| async move {
            let document = report::unreached(self.attempt, &task, state.clone(), error, self.cx)?;
            if self.cx.results.wants(task.reply_to.as_deref()) {
                self.kept(document.clone()).await?;
            }
            Ok::<_, Halt>(task.membership.map(|membership| (membership, document)))
        };
        let told = futures::stream::iter(unreached).map(tell).buffered(IN_FLIGHT);
        let arriving: Vec<_> = told.try_collect().await?;
        match self.send_plan(plan).await {
            Err(Halt::Never(error)) => error!(%error, "an errback is not sent"),
            Err(halt) => return Err(halt),
            Ok(()) => {}
        }
        Ok(arriving.into_iter().flatten().collect())
    }

    /// Brings members to their chords. One that fails a chord may end another that waits for it.
    async fn arrive(&self, mut arriving: Vec<Arriving>) -> Step {
        while let Some((membership, document)) = arriving.pop() {
            match self.arrive_at(membership, &document).await {
                Ok(further) => arriving.extend(further),
                Err(Halt::Step(step)) => return step,
                Err(Halt::Never(error)) => error!(%error, "a chord is given up"),
            }
        }
        Step::Done
    }

    async fn arrive_at(
        &self,
        membership: Membership,
        document: &Document,
    ) -> Result<Vec<Arriving>, Halt> {
        let Membership { group_id, position, body } = membership;
        let Some(chords) = self.cx.results.chords() else {
            let why = "this worker's result backend joins no chords; set `backend` in [results]";
            return self.fail_body(body, &TaskError::new(CHORD_ERROR, why)).await;
        };
        let members = body.chord_size;
        let arrival = Arrival { group_id: &group_id, position, members, document };
        let mut repetition = 0;
        loop {
            let arrived = match chords.arrive(arrival).await {
                Ok(arrived) => arrived,
                Err(error) if error.is_transient => {
                    warn!(%error, "not arrived at its chord, trying again");
                    self.pause(STORE_PAUSES.random_wait(repetition)).await?;
                    repetition = repetition.saturating_add(1);
                    continue;
                }
                Err(error) => {
                    let error = TaskError::new(CHORD_ERROR, error.to_string());
                    return self.fail_body(body, &error).await;
                }
            };
            match arrived {
                Arrived::Waiting | Arrived::Done => return Ok(Vec::new()),
                Arrived::Claimed { lapses } => self.pause(lapses.min(LOOK_AGAIN)).await?,
                Arrived::Complete(joined) => {
                    let holding = Holding { chords, claim: joined.claim.clone() };
                    if !self.prolonged(&holding).await? {
                        debug!("the chord was taken by somebody else, looking again");
                        continue;
                    }
                    let further = self.complete(joined, body).await?;
                    self.finish(&holding).await?;
                    return Ok(further);
                }
            }
        }
    }

    /// Sends the body of a chord, or fails it.
    async fn complete(&self, joined: Joined, body: Signature) -> Result<Vec<Arriving>, Halt> {
        if let Some(failed) = joined.failed() {
            return self.fail_body(body, &TaskError::new(CHORD_ERROR, failed.failure())).await;
        }
        match self.send_body(&joined, body.clone()).await {
            Err(Halt::Never(error)) => {
                let error = TaskError::new(CHORD_ERROR, format!("the body is not sent: {error}"));
                self.fail_body(body, &error).await
            }
            sent => sent.map(|()| Vec::new()),
        }
    }

    async fn send_body(&self, joined: &Joined, body: Signature) -> Result<(), Halt> {
        let results = list(self.attempt.body.format(), &joined.parts)?;
        self.send_plan(self.ended().completed(body, &results)?).await
    }

    async fn fail_body(&self, body: Signature, error: &TaskError) -> Result<Vec<Arriving>, Halt> {
        warn!(%error, "a chord has failed");
        let fallen = self.ended().body_failed(body)?;
        self.fall(fallen, &TaskState::Failure, error).await
    }

    async fn prolonged(&self, holding: &Holding<'_>) -> Result<bool, Halt> {
        self.insist(|| holding.chords.renew(&holding.claim)).await
    }

    async fn finish(&self, holding: &Holding<'_>) -> Result<(), Halt> {
        self.insist(|| holding.chords.finish(&holding.claim)).await
    }

    /// Begins the chords of a plan and sends its messages.
    async fn send_plan(&self, plan: Plan) -> Result<(), Halt> {
        for chord in plan.chords {
            self.begin(chord).await?;
        }
        if let [message] = &plan.messages[..] {
            return self.send_message(message).await;
        }
        let send = |message: Message| async move { self.send_message(&message).await };
        let sending = futures::stream::iter(plan.messages).map(send).buffer_unordered(IN_FLIGHT);
        sending.try_collect().await
    }

    async fn begin(&self, chord: BeginChord) -> Result<(), Halt> {
        let Some(chords) = self.cx.results.chords() else {
            let why = "this worker's result backend joins no chords; set `backend` in [results]";
            return Err(Halt::Never(TaskError::new(CHORD_ERROR, why)));
        };
        let BeginChord { group_id, members } = chord;
        let chord = NewChord { group_id, members };
        self.insist(|| chords.begin(&chord)).await
    }

    async fn send_message(&self, message: &Message) -> Result<(), Halt> {
        let known = self.cx.known(&message.task);
        let declared = known.as_ref().map(|known| {
            let mut declared = known.options.clone();
            // What nobody has routed stays here, where it is known, if the default queue is
            // elsewhere.
            let stays = !self.cx.consumes_default;
            declared.queue = declared.queue.or(stays.then(|| self.attempt.queue.to_string()));
            declared
        });
        let format = Some(self.attempt.body.format());
        loop {
            let sending = self.cx.publisher.send_planned(message, format, declared.clone());
            match Box::pin(sending).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_transient() => {
                    warn!(%error, "what follows is not sent, trying again");
                    self.pause(Duration::ZERO).await?;
                }
                Err(error) => {
                    let text = format!("{} cannot follow: {error}", message.task);
                    return Err(Halt::Never(TaskError::new("PublishError", text)));
                }
            }
        }
    }

    /// Asks a store until it answers, as long as the delivery is ours.
    async fn insist<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut repetition = 0;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_transient => {
                    warn!(%error, "the store of chords does not answer, trying again");
                    self.pause(STORE_PAUSES.random_wait(repetition)).await?;
                    repetition = repetition.saturating_add(1);
                }
                Err(error) => {
                    return Err(Halt::Never(TaskError::new(CHORD_ERROR, error.to_string())));
                }
            }
        }
    }

    /// Waits before something is tried again; not when the delivery is not ours any more, or the
    /// worker stops.
    async fn pause(&self, wait: Duration) -> Result<(), Halt> {
        if self.is_void() {
            return Err(Halt::Step(Step::Void));
        }
        tokio::select! {
            () = self.cx.shutdown.aborting() => Err(Halt::Step(Step::Unfinished)),
            () = tokio::time::sleep(wait.min(PATIENCE)) => Ok(()),
        }
    }

    /// Stores a document; what keeps it from being stored keeps the delivery from being
    /// acknowledged.
    async fn kept(&self, document: Document) -> Result<(), Halt> {
        match self.store(document).await {
            Step::Done => Ok(()),
            step => Err(Halt::Step(step)),
        }
    }

    fn ended(&self) -> Ended<'_> {
        let attempt = self.attempt;
        Ended { headers: &attempt.headers, reply_to: attempt.properties.reply_to.as_deref() }
    }
}

/// How soon a chord that somebody else joins is looked at again, whatever the store says.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Celery's name of the error of a chord whose member has failed.
const CHORD_ERROR: &str = "ChordError";

/// A claim, given back when it is dropped.
struct Holding<'a> {
    chords: &'a dyn ChordStore,
    claim: Claim,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.chords.release(&self.claim);
    }
}

fn list(format: Format, parts: &[Part]) -> Result<Raw, EncodeError> {
    let part = |part: &Part| match part {
        Part::Task(member) => Ok(member.result.clone()),
        Part::Group(parts) => list(format, parts),
    };
    let items = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Raw::list(format, items.iter())
}

impl From<BadCanvas> for Halt {
    fn from(error: BadCanvas) -> Self {
        Self::Never(TaskError::new("WorkflowError", format!("what follows is unreadable: {error}")))
    }
}

impl From<EncodeError> for Halt {
    fn from(error: EncodeError) -> Self {
        Self::Never(TaskError::new("EncodeError", format!("the result {error}")))
    }
}
