//! Chords in a database: a row that is held while a member is counted.

use super::statements::{ARRIVE, COUNT, DROP_MEMBERS, MEMBERS};
use super::{Sql, columns, read};
use crate::ids::TaskId;
use crate::protocol::{DecodeError, Member};
use crate::results::{Arrival, Arrived, ChordStore, Claim, Joined, NewChord, Part, StoreError};
use crate::store::sql::{Argument, Row, Together};
use futures::future::BoxFuture;
use std::time::Duration;

/// How long a claim holds.
const CLAIM: Duration = Duration::from_secs(21);

impl ChordStore for Sql {
    fn begin<'a>(&'a self, chord: &'a NewChord) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let arguments = [chord.group_id.as_str().into(), count(chord.members), self.expires()];
            self.tables.ask(self.tables.statements.begin, &arguments).await.map(drop)
        })
    }

    fn arrive<'a>(&'a self, arrival: Arrival<'a>) -> BoxFuture<'a, Result<Arrived, StoreError>> {
        Box::pin(async move {
            self.tables.make().await?;
            let mut together = self.tables.database.together().await?;
            let arrived = self.count_in(&mut together, &arrival).await?;
            together.commit().await?;
            Ok(arrived)
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let arguments = [claim.group_id.as_str().into(), claim.token.as_str().into(), millis()];
            let rows = self.tables.ask(self.tables.statements.renew, &arguments).await?;
            Ok(!rows.is_empty())
        })
    }

    fn finish<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.tables.make().await?;
            let group = Argument::from(claim.group_id.as_str());
            let mut together = self.tables.database.together().await?;
            let finish = self.tables.statements.finish;
            if !together.ask(finish, &[group, claim.token.as_str().into()]).await?.is_empty() {
                together.ask(DROP_MEMBERS, &[group]).await?;
            }
            together.commit().await
        })
    }
}

impl Sql {
    /// Counts a member, and claims the chord if it was the last.
    async fn count_in(
        &self,
        together: &mut Together,
        arrival: &Arrival<'_>,
    ) -> Result<Arrived, StoreError> {
        let statements = self.tables.statements;
        let group = Argument::from(arrival.group_id);
        let held = together.ask(statements.hold, &[group, self.expires()]).await?;
        if number(&held, 0)? == Some(1) {
            return Ok(Arrived::Done);
        }
        let document = arrival.document;
        let (json, packed) = columns(document);
        let id = document.task_id.as_str().into();
        let position = arrival.position.and_then(|at| i64::try_from(at).ok()).into();
        let new = together.ask(ARRIVE, &[group, id, position, json, packed]).await?;
        if !new.is_empty() {
            together.ask(COUNT, &[group, 1.into()]).await?;
        }
        let look = together.ask(statements.look, &[group]).await?;
        match (number(&look, 0)?, number(&look, 1)?) {
            (None | Some(1..), _) => Ok(Arrived::Waiting),
            (_, Some(lapses @ 1..)) => {
                Ok(Arrived::Claimed { lapses: Duration::from_millis(lapses.unsigned_abs()) })
            }
            _ => {
                let token = TaskId::random().to_string();
                together.ask(statements.claim, &[group, token.as_str().into(), millis()]).await?;
                let claim = Claim { group_id: arrival.group_id.to_owned(), token };
                let parts = self.parts(together, group).await?;
                Ok(Arrived::Complete(Joined { claim, parts }))
            }
        }
    }

    /// What all members returned, in the order of the header.
    async fn parts(
        &self,
        together: &mut Together,
        group: Argument<'_>,
    ) -> Result<Vec<Part>, StoreError> {
        let rows = together.ask(MEMBERS, &[group]).await?;
        let member = |row| match read(row, 0)? {
            Ok(result) => Ok(Part::Task(Member::from(&result))),
            Err(error) => Err(unreadable(&error)),
        };
        rows.iter().map(member).collect()
    }
}

fn unreadable(error: &DecodeError) -> StoreError {
    StoreError::permanent(format!("a chord's member cannot be read: {error}"))
}

fn number(rows: &[Row], column: usize) -> Result<Option<i64>, StoreError> {
    rows.first().map_or(Ok(None), |row| row.number(column))
}

fn count(members: u64) -> Argument<'static> {
    i64::try_from(members).unwrap_or(i64::MAX).into()
}

fn millis() -> Argument<'static> {
    i64::try_from(CLAIM.as_millis()).unwrap_or(i64::MAX).into()
}
