//! Gives every task and group of a workflow its id before anything is sent.

use super::{Canvas, Chord, Group, Ids, Shape};
use crate::ids::TaskId;
use crate::protocol::{Signature, Value};

/// Where results go: those of the tasks that somebody may wait for, and those of the members of a
/// chord.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Addresses<'a> {
    pub(super) results: Option<&'a str>,
    pub(super) members: Option<&'a str>,
}

/// Gives ids to whatever has none, and an address for results to every task that has none.
pub(super) fn freeze(canvas: &mut Canvas, ids: &mut Ids, to: Addresses<'_>) {
    match canvas {
        Canvas::Task(task) => freeze_task(task, ids, to.results),
        Canvas::Chain(steps) => steps.iter_mut().for_each(|step| freeze(step, ids, to)),
        Canvas::Group(Group { id, tasks }) => {
            id.get_or_insert_with(|| ids.give().into());
            tasks.iter_mut().for_each(|task| freeze(task, ids, to));
        }
        Canvas::Chord(Chord { id, header, body }) => {
            id.get_or_insert_with(|| ids.give().into());
            for (index, member) in header.iter_mut().enumerate() {
                freeze(member, ids, Addresses { results: to.members, ..to });
                set_last(member, "group_index", &Value::from(index));
            }
            freeze(body, ids, to);
        }
    }
}

fn freeze_task(task: &mut Signature, ids: &mut Ids, reply_to: Option<&str>) {
    if task.option_text("task_id").is_none() {
        let id = ids.give();
        task.options.insert("task_id".to_owned(), id.as_str().into());
    }
    if let Some(reply_to) = reply_to
        && task.option_text("reply_to").is_none()
    {
        task.options.insert("reply_to".to_owned(), reply_to.into());
    }
}

/// Sets an option of the task that has the workflow's result.
pub(super) fn set_last(canvas: &mut Canvas, name: &str, value: &Value) {
    match canvas {
        Canvas::Task(task) => drop(task.options.insert(name.to_owned(), value.clone())),
        Canvas::Chain(steps) => {
            if let Some(last) = steps.last_mut() {
                set_last(last, name, value);
            }
        }
        Canvas::Chord(chord) => set_last(&mut chord.body, name, value),
        Canvas::Group(_) => {}
    }
}

/// The ids of a frozen workflow. `None` when there is no task in it.
pub(super) fn shape(canvas: &Canvas) -> Option<Shape> {
    match canvas {
        Canvas::Task(task) => {
            let id = task.option_text("task_id").unwrap_or_default();
            Some(Shape::one(TaskId::from(id)))
        }
        Canvas::Chain(steps) => {
            let shapes = steps.iter().filter_map(shape);
            shapes.reduce(|before, step| step.after(before))
        }
        Canvas::Group(Group { id, tasks }) => Some(side_by_side(id.as_deref(), tasks)),
        Canvas::Chord(Chord { id, header, body }) => {
            Some(shape(body)?.after(side_by_side(id.as_deref(), header)))
        }
    }
}

fn side_by_side(id: Option<&str>, members: &[Canvas]) -> Shape {
    Shape::Many {
        id: id.unwrap_or_default().to_owned(),
        parent: None,
        members: members.iter().filter_map(shape).collect(),
    }
}

/// Whether the task that has the workflow's result is a member of a chord.
pub(super) fn is_member(canvas: &Canvas) -> bool {
    match canvas {
        Canvas::Task(task) => task.options.get("chord").is_some_and(|chord| !chord.is_nil()),
        Canvas::Chain(steps) => steps.last().is_some_and(is_member),
        Canvas::Chord(chord) => is_member(&chord.body),
        Canvas::Group(group) => group.tasks.iter().any(is_member),
    }
}
