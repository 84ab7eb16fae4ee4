//! Brings a workflow into the form that can be sent: nothing nested that need not be.

use super::freeze::set_last;
use super::read::BadCanvas;
use super::{Canvas, Chord, Group, on_each};
use crate::protocol::{Signature, Value};

/// Splices chains into chains and groups into groups, and turns a group that something follows into
/// a chord.
pub(super) fn arranged(canvas: Canvas) -> Canvas {
    match canvas {
        Canvas::Task(_) => canvas,
        Canvas::Chain(steps) => chain(steps),
        Canvas::Group(Group { id, tasks }) => Canvas::Group(Group { id, tasks: members(tasks) }),
        Canvas::Chord(Chord { id, header, body }) => {
            let header = members(header).into_iter().map(gathered).collect();
            Canvas::Chord(Chord { id, header, body: Box::new(arranged(*body)) })
        }
    }
}

fn chain(steps: Vec<Canvas>) -> Canvas {
    let mut flat: Vec<Canvas> = Vec::with_capacity(steps.len());
    for step in steps {
        match arranged(step) {
            Canvas::Chain(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    // From the end, so that what follows a group is whole when it becomes the body.
    let mut after: Vec<Canvas> = Vec::with_capacity(flat.len());
    for step in flat.into_iter().rev() {
        let step = match (step, after.is_empty()) {
            (Canvas::Group(group), false) if group.tasks.is_empty() => continue,
            (step, false) if step.ends_in_group() => {
                let next = after.pop().unwrap_or(Canvas::Chain(Vec::new()));
                followed(step, next)
            }
            (step, _) => step,
        };
        after.push(step);
    }
    after.reverse();
    match after.len() {
        1 => after.remove(0),
        _ => Canvas::Chain(after),
    }
}

/// Something that ends in a group, with what is given the group's results.
fn followed(step: Canvas, next: Canvas) -> Canvas {
    match step {
        Canvas::Group(Group { id, tasks }) => {
            arranged(Canvas::Chord(Chord { id, header: tasks, body: Box::new(next) }))
        }
        Canvas::Chord(Chord { id, header, body }) => {
            let body = Box::new(arranged(Canvas::Chain(vec![*body, next])));
            Canvas::Chord(Chord { id, header, body })
        }
        other => Canvas::Chain(vec![other, next]),
    }
}

fn members(tasks: Vec<Canvas>) -> Vec<Canvas> {
    let flatten = |task| match arranged(task) {
        Canvas::Group(group) => group.tasks,
        empty if empty.is_empty() => Vec::new(),
        one => vec![one],
    };
    tasks.into_iter().flat_map(flatten).collect()
}

/// The same with one result, which is a list if it ended in a group: the form of a member of a
/// chord, and of what replaces a task.
pub(super) fn gathered(canvas: Canvas) -> Canvas {
    if !canvas.ends_in_group() {
        return canvas;
    }
    let mut gather = Signature::new("celery.accumulate");
    gather.kwargs.insert("index".to_owned(), 0.into());
    arranged(Canvas::Chain(vec![canvas, gather.into()]))
}

/// Puts arguments before those of whatever runs first.
pub(super) fn prepend(canvas: &mut Canvas, args: &[Value]) {
    if args.is_empty() {
        return;
    }
    match canvas {
        Canvas::Task(task) if task.immutable => {}
        Canvas::Task(task) => drop(task.args.splice(0..0, args.iter().cloned())),
        Canvas::Chain(steps) => steps.first_mut().into_iter().for_each(|step| prepend(step, args)),
        Canvas::Group(group) => group.tasks.iter_mut().for_each(|task| prepend(task, args)),
        Canvas::Chord(chord) => chord.header.iter_mut().for_each(|task| prepend(task, args)),
    }
}

/// Gives an option of Celery's `apply_async` to the tasks it is meant for.
pub(super) fn give_option(canvas: &mut Canvas, name: &str, value: Value) -> Result<(), BadCanvas> {
    if value.is_nil() {
        return Ok(());
    }
    if let Canvas::Task(task) = canvas {
        task.options.insert(name.to_owned(), value);
        return Ok(());
    }
    match name {
        "link" => signatures(value)?.iter().for_each(|callback| {
            on_each([&mut *canvas], |canvas| canvas.link(callback));
        }),
        "link_error" => signatures(value)?.iter().for_each(|errback| {
            on_each([&mut *canvas], |canvas| canvas.link_error(errback));
        }),
        "chain" => {
            let steps = signatures(value)?.into_iter().rev().map(Canvas::read);
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            append(canvas, &steps);
        }
        "task_id" => match canvas {
            // A header that was frozen has the id already, and the same.
            Canvas::Group(Group { id, .. }) | Canvas::Chord(Chord { id, .. }) => {
                *id = id.take().or_else(|| value.as_str().map(str::to_owned));
            }
            other => set_last(other, name, &value),
        },
        "chord" | "group_id" | "group_index" => match canvas {
            Canvas::Chain(steps) => give_to(steps.last_mut(), name, &value)?,
            Canvas::Chord(chord) => give_option(&mut chord.body, name, value)?,
            // Celery's group at the end of a member: each task of it is a member then, in a place
            // of its own.
            Canvas::Group(group) if name != "group_index" => {
                give_to(&mut group.tasks, name, &value)?;
            }
            Canvas::Group(_) | Canvas::Task(_) => {}
        },
        "root_id" | "parent_id" | "reply_to" => {}
        "replaced_task_nesting" => match canvas {
            Canvas::Chain(steps) => give_to(steps, name, &value)?,
            other => give_first(other, name, &value)?,
        },
        _ => give_first(canvas, name, &value)?,
    }
    Ok(())
}

/// Appends steps.
pub(super) fn append(canvas: &mut Canvas, steps: &[Canvas]) {
    if steps.is_empty() {
        return;
    }
    on_each([canvas], |canvas| {
        Canvas::Chain(std::iter::once(canvas).chain(steps.iter().cloned()).collect())
    });
}

fn give_first(canvas: &mut Canvas, name: &str, value: &Value) -> Result<(), BadCanvas> {
    match canvas {
        Canvas::Task(_) => give_option(canvas, name, value.clone()),
        Canvas::Chain(steps) => give_to(steps.first_mut(), name, value),
        Canvas::Group(group) => give_to(&mut group.tasks, name, value),
        Canvas::Chord(chord) => {
            give_to(&mut chord.header, name, value)?;
            match name {
                // The header waits, the body does not wait again.
                "countdown" | "eta" => Ok(()),
                _ => give_option(&mut chord.body, name, value.clone()),
            }
        }
    }
}

fn give_to<'a>(
    tasks: impl IntoIterator<Item = &'a mut Canvas>,
    name: &str,
    value: &Value,
) -> Result<(), BadCanvas> {
    tasks.into_iter().try_for_each(|task| give_option(task, name, value.clone()))
}

fn signatures(value: Value) -> Result<Vec<Signature>, BadCanvas> {
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter().map(|value| Ok(Signature::from_value(value)?)).collect()
}
