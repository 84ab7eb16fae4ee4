//! What follows a task: after its success, its failure, and when it is replaced.

use super::arrange::{arranged, gathered};
use super::freeze::set_last;
use super::options::{take_list, take_one, take_text};
use super::plan::Planner;
use super::{BadCanvas, Canvas, Chord, Group, Ids, Origin, Plan};
use crate::ids::TaskId;
use crate::protocol::{Embed, Format, Headers, Raw, Signature, Steps, Value};

/// A task that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Its headers.
    pub headers: &'a Headers,
    /// The queue that wants its result.
    pub reply_to: Option<&'a str>,
}

/// A place in a chord.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// The group of the members.
    pub group_id: String,
    /// The place among them.
    pub position: Option<u64>,
    /// The body.
    pub body: Signature,
}

/// A task that will never run, because one before it has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreached {
    /// The task.
    pub id: TaskId,
    /// The queue that wants its result.
    pub reply_to: Option<String>,
    /// The group it would have been a member of.
    pub group: Option<String>,
    /// The chord that waits for it.
    pub membership: Option<Membership>,
}

/// What follows a failure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fallen {
    /// The errbacks.
    pub plan: Plan,
    /// What will never run; it fails as well.
    pub unreached: Vec<Unreached>,
}

impl Ended<'_> {
    fn root(&self) -> TaskId {
        self.headers.root_id.clone().unwrap_or_else(|| self.headers.id.clone())
    }

    fn origin(&self) -> Origin {
        let (root, parent) = (Some(self.root()), Some(self.headers.id.clone()));
        Origin { root, parent, ..Origin::default() }
    }

    /// The chord that the task is a member of.
    pub fn membership(&self, embed: &Embed) -> Option<Membership> {
        let position = self.headers.group_index.and_then(|index| u64::try_from(index).ok());
        let (body, group_id) = (embed.chord.clone()?, self.headers.group.clone()?);
        Some(Membership { group_id, position, body: *body })
    }

    /// What follows its success: its callbacks, and the next step of its chain.
    ///
    /// # Errors
    ///
    /// When what follows is no workflow.
    pub fn succeeded(&self, embed: Embed, value: &Raw) -> Result<Plan, BadCanvas> {
        let Embed { callbacks, mut chain, .. } = embed;
        let mut planner = Planner::new(self.origin(), Ids::derived(&self.headers.id, "next"));
        let callbacks = callbacks.into_iter().map(Canvas::read).collect::<Result<Vec<_>, _>>()?;
        let (groups, mut others): (Vec<_>, Vec<_>) =
            callbacks.into_iter().partition(|callback| matches!(callback, Canvas::Group(_)));
        if others.len() > 1 {
            others = vec![Canvas::Group(Group { id: None, tasks: others })];
        }
        for callback in groups.into_iter().chain(others) {
            planner.begin(callback, Steps::default(), Some(value))?;
        }
        if let Some(next) = chain.pop()? {
            // Whoever waits for the chain waits at the queue that its first step was sent with.
            planner.origin.reply_to = self.reply_to.map(str::to_owned);
            planner.begin(Canvas::read(next)?, chain, Some(value))?;
        }
        Ok(planner.plan)
    }

    /// What follows its failure: its errbacks, and that the rest of its chain fails too.
    ///
    /// # Errors
    ///
    /// When what follows is no workflow.
    pub fn failed(&self, embed: Embed) -> Result<Fallen, BadCanvas> {
        let mut planner = Planner::new(self.origin(), Ids::derived(&self.headers.id, "error"));
        errbacks(&mut planner, &self.headers.id, embed.errbacks)?;
        let mut unreached = Vec::new();
        fail_chain(embed.chain.into_signatures()?, &mut unreached)?;
        Ok(Fallen { plan: planner.plan, unreached })
    }

    /// The body of a chord that this task completes.
    ///
    /// # Errors
    ///
    /// When the body is no workflow.
    pub fn completed(&self, body: Signature, results: &Raw) -> Result<Plan, BadCanvas> {
        let mut planner = self.at_body(&body);
        planner.begin(Canvas::read(body)?, Steps::default(), Some(results))?;
        Ok(planner.plan)
    }

    /// What follows when the chord that this task completes has failed: the body fails with what
    /// comes after it, and its errbacks are sent.
    ///
    /// # Errors
    ///
    /// When the body is no workflow.
    pub fn body_failed(&self, body: Signature) -> Result<Fallen, BadCanvas> {
        let mut planner = self.at_body(&body);
        let body = arranged(Canvas::read(body)?);
        for (id, list) in errbacks_of(&body)? {
            planner.origin.parent = Some(id.clone());
            errbacks(&mut planner, &id, list)?;
        }
        let mut unreached = Vec::new();
        fail(body, &mut unreached)?;
        Ok(Fallen { plan: planner.plan, unreached })
    }

    /// What takes the place of the task: it has its id, its callbacks, and its place in chain and
    /// chord.
    ///
    /// # Errors
    ///
    /// When there is no task in it, or what follows is no workflow.
    pub fn replaced(&self, embed: Embed, by: Canvas) -> Result<Plan, BadCanvas> {
        if by.is_empty() {
            return Err(BadCanvas::Empty);
        }
        let membership = embed.chord.as_ref().map(|body| body.to_value());
        let Embed { callbacks, errbacks, chain, .. } = embed;
        let headers = self.headers;
        let nesting = headers.replaced_task_nesting.saturating_add(1);
        let mut canvas = gathered(arranged(by));
        canvas = callbacks.iter().fold(canvas, Canvas::link);
        canvas = errbacks.iter().fold(canvas, Canvas::link_error);
        set_last(&mut canvas, "task_id", &headers.id.as_str().into());
        let option = |text: &Option<String>| text.as_deref().map(Value::from);
        let settings = [
            ("group_id", option(&headers.group)),
            ("group_index", headers.group_index.map(Value::from)),
            ("chord", membership),
            ("reply_to", self.reply_to.map(Value::from)),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                set_last(&mut canvas, name, &value);
            }
        }
        set_everywhere(&mut canvas, "replaced_task_nesting", &nesting.into());
        let chain = chain.into_signatures()?.into_iter();
        let chain = chain.map(|step| step.option("replaced_task_nesting", nesting)).collect();
        let ids = Ids::derived(&headers.id, &format!("replace{nesting}"));
        let mut planner = Planner::new(self.origin(), ids);
        planner.begin(canvas, chain, None)?;
        Ok(planner.plan)
    }

    /// Plans what a chord sends. Its ids are derived from the chord, not from this task: whichever
    /// member completes it, and completes it again, they are the same.
    fn at_body(&self, body: &Signature) -> Planner {
        let chord = body.option_text("task_id").or(self.headers.group.as_deref());
        let ids = Ids::derived(&TaskId::from(chord.unwrap_or_default()), "body");
        let mut origin = self.origin();
        origin.root = body.option_text("root_id").map(TaskId::from).or(origin.root);
        Planner::new(origin, ids)
    }
}

/// Sends errbacks, given the id of the task that failed: as one group, as Celery does.
fn errbacks(
    planner: &mut Planner,
    failed: &TaskId,
    errbacks: Vec<Signature>,
) -> Result<(), BadCanvas> {
    if errbacks.is_empty() {
        return Ok(());
    }
    let tasks = errbacks.into_iter().map(Canvas::read).collect::<Result<Vec<_>, _>>()?;
    let id = Raw::encode(Format::Json, failed).map_err(|_| BadCanvas::Empty)?;
    planner.begin(Canvas::Group(Group { id: None, tasks }), Steps::default(), Some(&id))
}

/// The errbacks of a body that will never run, with the id that each of them is given.
fn errbacks_of(body: &Canvas) -> Result<Vec<(TaskId, Vec<Signature>)>, BadCanvas> {
    match body {
        Canvas::Task(task) => {
            let id = TaskId::from(task.option_text("task_id").unwrap_or_default());
            Ok(vec![(id, take_list(&mut task.clone(), "link_error")?)])
        }
        Canvas::Chain(steps) => steps.first().map_or(Ok(Vec::new()), errbacks_of),
        Canvas::Group(group) => {
            let each = group.tasks.iter().map(errbacks_of);
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Canvas::Chord(chord) => errbacks_of(&chord.body),
    }
}

/// Collects the tasks of a chain that will never run. `chain` is in reverse.
fn fail_chain(chain: Vec<Signature>, unreached: &mut Vec<Unreached>) -> Result<(), BadCanvas> {
    chain.into_iter().rev().try_for_each(|step| fail(Canvas::read(step)?, unreached))
}

/// Collects the tasks of a workflow that will never run. Of a chord only the body: nobody waits for
/// the members alone.
fn fail(canvas: Canvas, unreached: &mut Vec<Unreached>) -> Result<(), BadCanvas> {
    match canvas {
        Canvas::Task(task) => fail_task(task, unreached),
        Canvas::Chain(steps) => steps.into_iter().try_for_each(|step| fail(step, unreached)),
        Canvas::Group(group) => group.tasks.into_iter().try_for_each(|task| fail(task, unreached)),
        Canvas::Chord(Chord { body, .. }) => fail(*body, unreached),
    }
}

fn fail_task(mut task: Signature, unreached: &mut Vec<Unreached>) -> Result<(), BadCanvas> {
    let chain = take_list(&mut task, "chain")?;
    let body = take_one(&mut task, "chord")?;
    let position = task.options.get("group_index").and_then(Value::as_u64);
    let group = take_text(&mut task, "group_id");
    let membership = body.zip(group.clone());
    if let Some(id) = take_text(&mut task, "task_id") {
        unreached.push(Unreached {
            id: id.into(),
            reply_to: take_text(&mut task, "reply_to"),
            group,
            membership: membership.map(|(body, group_id)| Membership { group_id, position, body }),
        });
    }
    fail_chain(chain, unreached)
}

fn set_everywhere(canvas: &mut Canvas, name: &str, value: &Value) {
    match canvas {
        Canvas::Task(task) => drop(task.options.insert(name.to_owned(), value.clone())),
        Canvas::Chain(steps) => steps.iter_mut().for_each(|step| set_everywhere(step, name, value)),
        Canvas::Group(group) => {
            group.tasks.iter_mut().for_each(|task| set_everywhere(task, name, value));
        }
        Canvas::Chord(chord) => {
            chord.header.iter_mut().for_each(|task| set_everywhere(task, name, value));
            set_everywhere(&mut chord.body, name, value);
        }
    }
}
