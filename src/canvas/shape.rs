//! What a sent workflow looks like to whoever waits for it.

use crate::ids::TaskId;
use crate::protocol::Value;

/// The ids behind the result of a workflow.
///
/// ```
/// use celeriac::canvas::{Ids, Shape, chord, prepare};
/// use celeriac::protocol::Signature;
///
/// let canvas = chord(["a", "b"].map(Signature::new), Signature::new("c"));
/// let (canvas, shape) = prepare(canvas, Ids::Random)?;
/// assert!(matches!(&shape, Shape::One { parent: Some(header), .. } if header.last().len() == 2));
/// # let _ = canvas;
/// # Ok::<(), celeriac::canvas::BadCanvas>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One task has the result.
    One {
        /// That task.
        id: TaskId,
        /// What comes before it: the steps of its chain, the header of its chord.
        parent: Option<Box<Shape>>,
    },
    /// Several tasks side by side have it.
    Many {
        /// The id of the group.
        id: String,
        /// What comes before it.
        parent: Option<Box<Shape>>,
        /// Its members.
        members: Vec<Shape>,
    },
}

impl Shape {
    pub(super) fn one(id: TaskId) -> Self {
        Self::One { id, parent: None }
    }

    /// The same, after `before`: at the end of whatever stands before it already.
    pub(super) fn after(mut self, before: Self) -> Self {
        let (Self::One { parent, .. } | Self::Many { parent, .. }) = &mut self;
        *parent = Some(Box::new(match parent.take() {
            Some(nearer) => nearer.after(before),
            None => before,
        }));
        self
    }

    /// What comes before it.
    ///
    /// ```
    /// use celeriac::canvas::{Ids, chain, prepare};
    /// use celeriac::protocol::Signature;
    ///
    /// let (_, shape) = prepare(chain(["a", "b", "c"].map(Signature::new)), Ids::Random)?;
    /// let before = shape.parent().and_then(|step| step.parent()).expect("two steps come before");
    /// assert!(before.parent().is_none());
    /// # Ok::<(), celeriac::canvas::BadCanvas>(())
    /// ```
    pub fn parent(&self) -> Option<&Self> {
        let (Self::One { parent, .. } | Self::Many { parent, .. }) = self;
        parent.as_deref()
    }

    /// The tasks that have the result, in order.
    ///
    /// ```
    /// use celeriac::canvas::{Ids, group, prepare};
    /// use celeriac::ids::TaskId;
    /// use celeriac::protocol::Signature;
    ///
    /// let tasks = ["x", "y"].map(|id| Signature::new("a").option("task_id", id));
    /// let (_, shape) = prepare(group(tasks), Ids::Random)?;
    /// assert_eq!(shape.last(), [&TaskId::from("x"), &TaskId::from("y")]);
    /// # Ok::<(), celeriac::canvas::BadCanvas>(())
    /// ```
    pub fn last(&self) -> Vec<&TaskId> {
        match self {
            Self::One { id, .. } => vec![id],
            Self::Many { members, .. } => members.iter().flat_map(Self::last).collect(),
        }
    }

    /// Celery's result tuple: `[[id, parent], null]`, or `[[id, parent], [members]]` for a group.
    ///
    /// ```
    /// use celeriac::canvas::{Ids, chain, prepare};
    /// use celeriac::protocol::Signature;
    ///
    /// let steps = ["x", "y"].map(|id| Signature::new("a").option("task_id", id));
    /// let (_, shape) = prepare(chain(steps), Ids::Random)?;
    /// assert_eq!(shape.tuple().to_string(), r#"[["y", [["x", nil], nil]], nil]"#);
    /// # Ok::<(), celeriac::canvas::BadCanvas>(())
    /// ```
    pub fn tuple(&self) -> Value {
        let parent = self.parent().map_or(Value::Nil, Self::tuple);
        let (id, members) = match self {
            Self::One { id, .. } => (Value::from(id.as_str()), Value::Nil),
            Self::Many { id, members, .. } => {
                let members = members.iter().map(Self::tuple).collect();
                (Value::from(id.as_str()), Value::Array(members))
            }
        };
        Value::Array(vec![Value::Array(vec![id, parent]), members])
    }
}
