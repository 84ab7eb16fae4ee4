//! From Celery's signature to a workflow.

use super::{Canvas, Chord, Group, arrange, chunks};
use crate::protocol::{DecodeError, Signature, Value};
use std::collections::BTreeMap;

/// Why a signature is no workflow that can be sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCanvas {
    /// A signature inside it is none.
    #[error(transparent)]
    Signature(#[from] DecodeError),
    /// A chain, group or chord lacks a part.
    #[error("a {kind} needs `{part}` in its kwargs")]
    Missing {
        /// What it is.
        kind: &'static str,
        /// What it lacks.
        part: &'static str,
    },
    /// Every member of a chord carries the body, and together that is too much.
    #[error(
        "a chord of {members} members with a body of {bytes} bytes is too much to send; store what \
         the body needs elsewhere and send a reference to it"
    )]
    TooLarge {
        /// How many members the chord has.
        members: usize,
        /// Bytes of the body, what follows it included.
        bytes: usize,
    },
    /// There is no task in it, and one is needed.
    #[error("there is no task in it")]
    Empty,
}

impl Canvas {
    /// Reads a signature as Celery writes it: its `subtask_type` says what it is.
    ///
    /// What a chain, group or chord has of arguments and options goes to the tasks that they are
    /// meant for.
    ///
    /// ```
    /// use celeriac::canvas::{BadCanvas, Canvas, chord};
    /// use celeriac::protocol::Signature;
    ///
    /// let canvas = chord(["a", "b"].map(Signature::new), Signature::new("c"));
    /// let mut written = Signature::from(canvas);
    /// assert!(matches!(Canvas::read(written.clone()), Ok(Canvas::Chord(_))));
    /// written.kwargs.remove("body");
    /// assert_eq!(
    ///     Canvas::read(written),
    ///     Err(BadCanvas::Missing { kind: "chord", part: "body" }),
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// When a part is missing or is no signature.
    pub fn read(mut signature: Signature) -> Result<Self, BadCanvas> {
        let kind = signature.subtask_type.take();
        let (mut canvas, own) = match kind.as_deref() {
            Some("chain") => {
                let steps = tasks(&mut signature, "chain", "tasks")?;
                (Self::Chain(steps), signature.options)
            }
            Some("group") => {
                let tasks = tasks(&mut signature, "group", "tasks")?;
                (Self::Group(Group { id: None, tasks }), signature.options)
            }
            Some("chord") => (chord(&mut signature)?, signature.options),
            Some("chunks") => (chunked(&mut signature)?, signature.options),
            _ => return Ok(Self::Task(Signature { subtask_type: kind, ..signature })),
        };
        if !signature.immutable {
            arrange::prepend(&mut canvas, &signature.args);
        }
        for (name, value) in in_order(own) {
            arrange::give_option(&mut canvas, &name, value)?;
        }
        Ok(canvas)
    }
}

/// The membership of a group is of the last step, which `chain` may move: so `chain` goes first.
fn in_order(mut options: BTreeMap<String, Value>) -> Vec<(String, Value)> {
    let chain = options.remove_entry("chain");
    chain.into_iter().chain(options).collect()
}

fn chord(signature: &mut Signature) -> Result<Canvas, BadCanvas> {
    let header = match signature.kwargs.remove("header") {
        Some(header) => header_of(header)?,
        None => return Err(BadCanvas::Missing { kind: "chord", part: "header" }),
    };
    let body = signature.kwargs.remove("body").filter(|body| !body.is_nil());
    let body = body.ok_or(BadCanvas::Missing { kind: "chord", part: "body" })?;
    let body = Box::new(Canvas::read(Signature::from_value(body)?)?);
    Ok(Canvas::Chord(Chord { id: header.id, header: header.tasks, body }))
}

/// A group, or a list of signatures.
fn header_of(header: Value) -> Result<Group, BadCanvas> {
    if let Value::Array(members) = header {
        return Ok(Group { id: None, tasks: list(members)? });
    }
    match Canvas::read(Signature::from_value(header)?)? {
        Canvas::Group(group) => Ok(group),
        one => Ok(Group { id: None, tasks: vec![one] }),
    }
}

fn chunked(signature: &mut Signature) -> Result<Canvas, BadCanvas> {
    let missing = |part| BadCanvas::Missing { kind: "chunks", part };
    let task = signature.kwargs.remove("task").ok_or(missing("task"))?;
    let Some(Value::Array(items)) = signature.kwargs.remove("it") else {
        return Err(missing("it"));
    };
    let size = signature.kwargs.remove("n").and_then(|size| size.as_u64()).ok_or(missing("n"))?;
    let items = items.into_iter().map(|item| match item {
        Value::Array(arguments) => arguments,
        one => vec![one],
    });
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Ok(chunks(&Signature::from_value(task)?, items, size))
}

fn tasks(
    signature: &mut Signature,
    kind: &'static str,
    part: &'static str,
) -> Result<Vec<Canvas>, BadCanvas> {
    match signature.kwargs.remove(part) {
        Some(Value::Array(members)) => list(members),
        _ => Err(BadCanvas::Missing { kind, part }),
    }
}

fn list(members: Vec<Value>) -> Result<Vec<Canvas>, BadCanvas> {
    members.into_iter().map(|member| Canvas::read(Signature::from_value(member)?)).collect()
}
