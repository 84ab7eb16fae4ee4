//! From a workflow to Celery's signature.

use super::{Canvas, Chord, Group};
use crate::protocol::{Signature, Value};

impl From<Canvas> for Signature {
    /// The workflow as Celery writes it inside a message.
    fn from(canvas: Canvas) -> Self {
        match canvas {
            Canvas::Task(task) => task,
            Canvas::Chain(steps) => several("celery.chain", "chain", steps),
            Canvas::Group(Group { id, tasks }) => {
                let mut group = several("celery.group", "group", tasks);
                set_id(&mut group, id);
                group
            }
            Canvas::Chord(chord) => write_chord(chord),
        }
    }
}

fn write_chord(Chord { id, header, body }: Chord) -> Signature {
    let mut group = several("celery.group", "group", header);
    let mut chord = Signature::new("celery.chord");
    chord.subtask_type = Some("chord".to_owned());
    set_id(&mut group, id.clone());
    set_id(&mut chord, id);
    chord.kwargs.insert("kwargs".to_owned(), Value::Map(Vec::new()));
    chord.kwargs.insert("header".to_owned(), group.to_value());
    chord.kwargs.insert("body".to_owned(), Signature::from(*body).to_value());
    chord
}

fn several(task: &str, kind: &str, members: Vec<Canvas>) -> Signature {
    let members = members.into_iter().map(|member| Signature::from(member).to_value());
    let mut signature = Signature::new(task);
    signature.kwargs.insert("tasks".to_owned(), Value::Array(members.collect()));
    signature.subtask_type = Some(kind.to_owned());
    signature
}

fn set_id(signature: &mut Signature, id: Option<String>) {
    if let Some(id) = id {
        signature.options.insert("task_id".to_owned(), id.into());
    }
}
