//! The header of a chord that holds groups: whose result stands where in the body's argument.
//!
//! Only Celery writes one: a header of ours has one task per member. It is kept as
//! `{"result": TUPLE}`, where a task is `[[id, parent], null]` and a group
//! `[[id, parent], [TUPLE, ...]]`.

use super::Part;
use crate::ids::TaskId;
use crate::protocol::{Bytes, DecodeError, Format, Member, Value};
use serde::Deserialize;
use std::collections::HashMap;

/// The header group, all of its members in their places.
#[derive(Debug, PartialEq)]
pub(super) struct Layout(Vec<Place>);

#[derive(Debug, PartialEq)]
enum Place {
    Task(TaskId),
    Group(Vec<Place>),
}

#[derive(Deserialize)]
struct Kept {
    result: Value,
}

impl Layout {
    /// Decodes what is kept, in either format.
    pub(super) fn read(bytes: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        let format = if bytes.starts_with(b"{") { Format::Json } else { Format::MessagePack };
        let kept: Kept = format.decode(&bytes)?;
        match place(&kept.result) {
            Some(Place::Group(places)) => Ok(Self(places)),
            _ => Err(DecodeError {
                place: "result".to_owned(),
                message: "not the result tuple of a group".to_owned(),
            }),
        }
    }

    /// The tasks in it that are not among `known`.
    pub(super) fn missing(&self, known: &HashMap<TaskId, Member>) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        collect(&self.0, &mut tasks);
        tasks.retain(|id| !known.contains_key(id));
        tasks
    }

    /// Everybody's result in its place. A task that is not known is left out.
    pub(super) fn join(&self, known: &HashMap<TaskId, Member>) -> Vec<Part> {
        join(&self.0, known)
    }
}

fn place(tuple: &Value) -> Option<Place> {
    let [head, members] = tuple.as_array()?.as_slice() else { return None };
    match members {
        Value::Nil => Some(Place::Task(head.as_array()?.first()?.as_str()?.into())),
        Value::Array(members) => members.iter().map(place).collect::<Option<_>>().map(Place::Group),
        _ => None,
    }
}

fn collect(places: &[Place], tasks: &mut Vec<TaskId>) {
    for place in places {
        match place {
            Place::Task(id) => tasks.push(id.clone()),
            Place::Group(places) => collect(places, tasks),
        }
    }
}

fn join(places: &[Place], known: &HashMap<TaskId, Member>) -> Vec<Part> {
    let part = |place: &Place| match place {
        Place::Task(id) => known.get(id).cloned().map(Part::Task),
        Place::Group(places) => Some(Part::Group(join(places, known))),
    };
    places.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_groups_is_joined_into_lists_of_lists() {
        let kept = r#"{"result": [["g", null], [[["h", [["p", null], null]],
            [[["a", null], null], [["b", null], null]]], [["c", null], null]]]}"#;
        let layout = Layout::read(kept).unwrap();
        let member = |id: &str, value: &str| {
            let member = Member::decode(format!(r#"[1, "{id}", "SUCCESS", {value}]"#)).unwrap();
            (TaskId::from(id), member)
        };
        let mut known = HashMap::from([member("a", "1"), member("c", "3")]);
        assert_eq!(layout.missing(&known), ["b".into()]);
        known.extend([member("b", "2")]);
        let joined = serde_json::to_string(&layout.join(&known)).unwrap();
        assert_eq!(joined, "[[1,2],3]");
    }

    #[test]
    fn the_tuple_of_a_group_is_read_and_anything_else_is_refused() {
        let group = r#"{"result": [["g", null], [[["a", null], null]]]}"#;
        assert_eq!(Layout::read(group).unwrap(), Layout(vec![Place::Task("a".into())]));
        for other in ["{}", r#"{"result": 1}"#, r#"{"result": [["a", null], null]}"#] {
            assert!(Layout::read(other.to_owned()).is_err(), "{other}");
        }
    }
}
