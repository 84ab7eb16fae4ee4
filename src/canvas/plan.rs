//! From a workflow to the messages that begin it.

use super::arrange::{append, arranged};
use super::freeze::{Addresses, freeze, is_member, set_last, shape};
use super::options::{take_list, take_number, take_one, take_text};
use super::{BadCanvas, Canvas, Chord, Group, Ids, Shape};
use crate::ids::TaskId;
use crate::protocol::{Embed, Format, Raw, Signature, Steps, Value};
use std::collections::BTreeMap;

/// Where a workflow comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The first task of the larger workflow; `None` when it begins here.
    pub root: Option<TaskId>,
    /// The task that sends it.
    pub parent: Option<TaskId>,
    /// The queue that wants the results of its tasks.
    pub reply_to: Option<String>,
    /// The same for the members of its chords, whose results go to the body in any case.
    pub members_reply_to: Option<String>,
}

/// What is sent to begin a workflow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The chords to begin at the result store, before any message is sent.
    pub chords: Vec<BeginChord>,
    /// The messages, in any order.
    pub messages: Vec<Message>,
    /// The ids of each workflow that was planned.
    pub shapes: Vec<Shape>,
}

/// A chord whose members are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginChord {
    /// The group of its members.
    pub group_id: String,
    /// How many there are.
    pub members: u64,
}

/// One task that is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: TaskId,
    /// Name of the task.
    pub task: String,
    /// The result of the task before it, which is its first argument.
    pub given: Option<Raw>,
    /// Its further arguments.
    pub args: Vec<Value>,
    /// Its named arguments.
    pub kwargs: BTreeMap<String, Value>,
    /// What follows it.
    pub embed: Embed,
    /// The first task of the workflow; `None` when this is it.
    pub root: Option<TaskId>,
    /// The task that sends it.
    pub parent: Option<TaskId>,
    /// The group it is a member of.
    pub group: Option<String>,
    /// Its position in the group.
    pub group_index: Option<i64>,
    /// How often its id was handed on by `replace`.
    pub nesting: u32,
    /// The queue that wants its result.
    pub reply_to: Option<String>,
    /// Everything else that its signature says, as Celery's `apply_async` takes it.
    pub options: BTreeMap<String, Value>,
}

/// Arranges a workflow and gives every task of it its id, so that one may wait for its results
/// before it is planned and sent.
///
/// # Errors
///
/// When there is no task in it.
pub fn prepare(canvas: Canvas, mut ids: Ids) -> Result<(Canvas, Shape), BadCanvas> {
    if canvas.is_empty() {
        return Err(BadCanvas::Empty);
    }
    let mut canvas = arranged(canvas);
    freeze(&mut canvas, &mut ids, Addresses::default());
    let shape = shape(&canvas).ok_or(BadCanvas::Empty)?;
    Ok((canvas, shape))
}

/// Plans a workflow. `given` is the result of what came before, if something did.
///
/// # Errors
///
/// When there is no task in it, or a signature inside it is none.
pub fn plan(
    canvas: Canvas,
    given: Option<&Raw>,
    origin: Origin,
    ids: Ids,
) -> Result<Plan, BadCanvas> {
    if canvas.is_empty() {
        return Err(BadCanvas::Empty);
    }
    let mut planner = Planner::new(origin, ids);
    planner.begin(canvas, Steps::default(), given)?;
    Ok(planner.plan)
}

pub(super) struct Planner {
    pub(super) origin: Origin,
    pub(super) ids: Ids,
    pub(super) plan: Plan,
}

impl Planner {
    pub(super) fn new(origin: Origin, ids: Ids) -> Self {
        Self { origin, ids, plan: Plan::default() }
    }

    /// Plans a workflow and what follows it: `tail` is the rest of a chain, in reverse.
    pub(super) fn begin(
        &mut self,
        canvas: Canvas,
        tail: Steps,
        given: Option<&Raw>,
    ) -> Result<(), BadCanvas> {
        let mut canvas = arranged(canvas);
        self.freeze(&mut canvas);
        self.plan.shapes.extend(shape(&canvas));
        self.send(canvas, tail, given)
    }

    fn freeze(&mut self, canvas: &mut Canvas) {
        let Origin { reply_to, members_reply_to, .. } = &self.origin;
        let (results, members) = (reply_to.as_deref(), members_reply_to.as_deref());
        freeze(canvas, &mut self.ids, Addresses { results, members });
    }

    fn send(
        &mut self,
        canvas: Canvas,
        mut tail: Steps,
        given: Option<&Raw>,
    ) -> Result<(), BadCanvas> {
        match canvas {
            Canvas::Task(task) => self.send_task(task, tail, given),
            Canvas::Chain(steps) => {
                let mut steps = steps.into_iter();
                let Some(first) = steps.next() else { return Ok(()) };
                tail.extend(steps.rev().map(Signature::from));
                self.send(first, tail, given)
            }
            Canvas::Group(group) if tail.is_empty() => self.send_group(group, given),
            // Somebody put a group where something follows it.
            group @ Canvas::Group(_) => {
                let chord = followed_by(group, &mut tail)?;
                self.resend(chord, tail, given)
            }
            Canvas::Chord(chord) => self.send_chord(chord, tail, given),
        }
    }

    /// Sends what was put together on the way.
    fn resend(
        &mut self,
        mut canvas: Canvas,
        tail: Steps,
        given: Option<&Raw>,
    ) -> Result<(), BadCanvas> {
        self.freeze(&mut canvas);
        self.send(canvas, tail, given)
    }

    fn send_group(&mut self, group: Group, given: Option<&Raw>) -> Result<(), BadCanvas> {
        let Group { id, tasks } = group;
        let id = Value::from(id.unwrap_or_default());
        for (index, mut task) in tasks.into_iter().enumerate() {
            if !is_member(&task) {
                set_last(&mut task, "group_id", &id);
            }
            set_last(&mut task, "group_index", &index.into());
            self.send(task, Steps::default(), given)?;
        }
        Ok(())
    }

    fn send_chord(
        &mut self,
        chord: Chord,
        tail: Steps,
        given: Option<&Raw>,
    ) -> Result<(), BadCanvas> {
        let Chord { id, header, body } = chord;
        let mut body = with_tail(*body, tail)?;
        if header.is_empty() {
            let nothing = Raw::new(Format::Json, &b"[]"[..]);
            return self.resend(body, Steps::default(), Some(&nothing));
        }
        let group_id = id.unwrap_or_default();
        self.freeze(&mut body);
        let members = header.len() as u64;
        let body = self.body(body, &group_id, members);
        check_size(&body, header.len())?;
        let (id, body) = (Value::from(group_id.as_str()), body.to_value());
        self.plan.chords.push(BeginChord { group_id, members });
        for (index, mut member) in header.into_iter().enumerate() {
            set_last(&mut member, "group_id", &id);
            set_last(&mut member, "group_index", &index.into());
            set_last(&mut member, "chord", &body);
            self.send(member, Steps::default(), given)?;
        }
        Ok(())
    }

    /// The body as it travels with the members.
    fn body(&self, body: Canvas, group_id: &str, members: u64) -> Signature {
        let mut body = Signature::from(body);
        if let Some(root) = &self.origin.root {
            body.options.insert("root_id".to_owned(), root.as_str().into());
        }
        // A body that is itself a member of a chord keeps that one's id.
        if !body.options.contains_key("chord") {
            body.options.insert("group_id".to_owned(), group_id.into());
        }
        body.chord_size = Some(members);
        body
    }

    fn send_task(
        &mut self,
        mut task: Signature,
        mut tail: Steps,
        given: Option<&Raw>,
    ) -> Result<(), BadCanvas> {
        let task = &mut task;
        tail.extend(take_list(task, "chain")?);
        let embed = Embed {
            callbacks: take_list(task, "link")?,
            errbacks: take_list(task, "link_error")?,
            chain: tail,
            chord: take_one(task, "chord")?.map(Box::new),
        };
        let id = take_text(task, "task_id").map_or_else(|| self.ids.give(), TaskId::from);
        let root = take_text(task, "root_id").map(TaskId::from);
        let parent = take_text(task, "parent_id").map(TaskId::from);
        let nesting = take_number(task, "replaced_task_nesting").unwrap_or_default();
        self.plan.messages.push(Message {
            root: self.origin.root.clone().or(root).filter(|root| *root != id),
            parent: self.origin.parent.clone().or(parent),
            group: take_text(task, "group_id"),
            group_index: take_number(task, "group_index"),
            nesting: u32::try_from(nesting).unwrap_or_default(),
            reply_to: take_text(task, "reply_to"),
            id,
            embed,
            given: given.filter(|_| !task.immutable).cloned(),
            task: std::mem::take(&mut task.task),
            args: std::mem::take(&mut task.args),
            kwargs: std::mem::take(&mut task.kwargs),
            options: std::mem::take(&mut task.options),
        });
        Ok(())
    }
}

/// The most that the copies of a body may take, in bytes. A message of a few megabytes could
/// otherwise ask for terabytes.
const MOST_COPIED: usize = 256_000_000;

fn check_size(body: &Signature, members: usize) -> Result<(), BadCanvas> {
    let bytes = Format::MessagePack.encode(body).map_or(usize::MAX, |bytes| bytes.len());
    match bytes.saturating_mul(members) > MOST_COPIED {
        true => Err(BadCanvas::TooLarge { members, bytes }),
        false => Ok(()),
    }
}

/// The group and the next step of `tail` as one.
fn followed_by(group: Canvas, tail: &mut Steps) -> Result<Canvas, BadCanvas> {
    let Some(next) = tail.pop()? else { return Ok(group) };
    Ok(arranged(Canvas::Chain(vec![group, Canvas::read(next)?])))
}

/// The body of a chord with what follows the chord.
fn with_tail(mut body: Canvas, tail: Steps) -> Result<Canvas, BadCanvas> {
    match &mut body {
        Canvas::Task(task) => {
            let own = take_list(task, "chain")?;
            let tail = tail.into_signatures()?;
            let chain: Vec<_> = tail.iter().chain(&own).map(Signature::to_value).collect();
            if !chain.is_empty() {
                task.options.insert("chain".to_owned(), Value::Array(chain));
            }
            Ok(body)
        }
        _ => {
            let steps = tail.into_signatures()?.into_iter().rev().map(Canvas::read);
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            append(&mut body, &steps);
            Ok(arranged(body))
        }
    }
}
