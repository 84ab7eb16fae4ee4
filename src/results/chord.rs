//! Joining chords: which member is the last, and what all of them returned.
//!
//! The members of a chord run anywhere and end in any order. Each that ends [arrives] at the store;
//! the one that completes the chord is given everybody's result and a [`Claim`], sends the body,
//! and [finishes]. Nothing is remembered outside the store, and every step may be done again:
//!
//! | dies | then |
//! | --- | --- |
//! | before a member's arrival | its message comes again, it runs again and arrives |
//! | after it, before the acknowledgement | it arrives again and is not counted twice |
//! | with the claim, before the body is sent | its message comes again; [`Arrived::Claimed`] until the claim lapses, then the chord is given to it |
//! | after the body is sent, before finishing | the same; the body is sent again with the same id |
//! | after finishing | [`Arrived::Done`] |
//!
//! [arrives]: ChordStore::arrive
//! [finishes]: ChordStore::finish

use super::{Document, StoreError};
use crate::protocol::{Member, TaskState};
use futures::future::BoxFuture;
use std::fmt;
use std::time::Duration;

/// Joins chords.
///
/// A member is told apart by its task id: one that arrives twice, because its message was delivered
/// twice, counts once, with the result it brought first.
pub trait ChordStore: fmt::Debug + Send + Sync {
    /// Says how many members there will be. Before the last of them is sent; members that arrived
    /// earlier are counted. Saying it again changes the number and begins nothing anew, unless the
    /// chord was done.
    fn begin<'a>(&'a self, chord: &'a NewChord) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Counts a member that has ended, after its own result was stored.
    fn arrive<'a>(&'a self, arrival: Arrival<'a>) -> BoxFuture<'a, Result<Arrived, StoreError>>;

    /// Prolongs a claim while the body is being sent. `false` when it has lapsed and another may
    /// have taken it: the body may be sent twice, with one id.
    fn renew<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Gives a claim back at once, when the body will not be sent by its holder. A store whose
    /// claims lapse by themselves need not do anything.
    fn release(&self, _claim: &Claim) {}

    /// Forgets a chord whose body was sent, or which has failed. What arrives afterwards is told
    /// [`Arrived::Done`].
    fn finish<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// A chord that is about to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChord {
    /// The group of its members.
    pub group_id: String,
    /// How many tasks will arrive, at least 1. Each member of the header is one, whatever it is: see
    /// [`crate::canvas`], which gathers one that ends in a group.
    pub members: u64,
}

/// A member that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The chord's group.
    pub group_id: &'a str,
    /// The member's place in the group, from its `group_index`.
    pub position: Option<u64>,
    /// How many members there are, where the message says so: ours do, Celery's do not. Only a
    /// store that cannot keep the number needs it.
    pub members: Option<u64>,
    /// How it ended: `SUCCESS`, `FAILURE` or `REVOKED`.
    pub document: &'a Document,
}

/// What a member's arrival meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrived {
    /// Others are still missing.
    Waiting,
    /// All have arrived, and the body is the caller's to send.
    Complete(Joined),
    /// All have arrived and somebody else is sending the body, or died doing so. The member must
    /// not be acknowledged on this answer: let it arrive again after a while, until it is told
    /// [`Arrived::Done`] or [`Arrived::Complete`].
    Claimed {
        /// When the claim lapses at the latest.
        lapses: Duration,
    },
    /// The body was sent.
    Done,
}

/// A complete chord.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The right to send the body.
    pub claim: Claim,
    /// What the members returned, in the order of the header.
    pub parts: Vec<Part>,
}

/// The right of one worker to send the body of a chord, for about half a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The chord's group.
    pub group_id: String,
    /// Tells this claim from others; known to the store alone.
    pub token: String,
}

/// A part of a chord's header.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A task.
    Task(Member),
    /// A group within the header, as Celery's programs may have it.
    Group(Vec<Part>),
}

impl Joined {
    /// The first member that has no value, if there is one: then the chord has failed.
    pub fn failed(&self) -> Option<&Member> {
        failed(&self.parts)
    }
}

fn failed(parts: &[Part]) -> Option<&Member> {
    parts.iter().find_map(|part| match part {
        Part::Task(member) => (member.state != TaskState::Success).then_some(member),
        Part::Group(parts) => failed(parts),
    })
}

/// The values as the body's argument: a list, with lists for groups.
impl serde::Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Task(member) => member.result.serialize(serializer),
            Self::Group(parts) => parts.serialize(serializer),
        }
    }
}
