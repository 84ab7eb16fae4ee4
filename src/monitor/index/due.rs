//! How long the oldest task of a queue has been due.

use super::super::change::Micros;
use super::super::state::State;
use super::IndexError;
use rusqlite::{Connection, OptionalExtension, params};

/// Of deeper queues it is not known: so many tasks are looked at.
const DEEPEST: u32 = 50_000;

/// Since when the oldest of the `ready` messages of a queue has been due, as far as everybody told of
/// theirs.
///
/// Those that wait are the last that were sent, so only as many of the newest are looked at: who never
/// told that it ended is not taken for one that waits for ever. `None` where some of the messages are of
/// nobody who told, or the queue is too deep.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn oldest(
    connection: &Connection,
    queue: &str,
    ready: u32,
    now: Micros,
) -> Result<Option<Micros>, IndexError> {
    if !(1..=DEEPEST).contains(&ready) {
        return Ok(None);
    }
    // When what is tried again is due, is not told; that it may be among them is known.
    let sql = "SELECT count(*), min(CASE WHEN state = ?3 THEN due END) FROM (
            SELECT state, max(coalesce(eta, 0), coalesce(sent, received, changed)) AS due FROM task
            WHERE queue = (SELECT id FROM word WHERE text = ?1) AND state IN (?3, ?4)
                AND coalesce(eta, 0) <= ?5
            ORDER BY n DESC LIMIT ?2
        )";
    let mut query = connection.prepare_cached(sql)?;
    let (sent, retry) = (State::Sent.code(), State::Retry.code());
    let found = query.query_row(params![queue, ready, sent, retry, now], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, Option<Micros>>(1)?))
    });
    Ok(found.optional()?.filter(|(known, _)| *known >= ready).and_then(|(_, due)| due))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tasks: &[(State, Option<Micros>, Option<Micros>)]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        connection.execute("INSERT INTO word VALUES (1, 'mail')", []).unwrap();
        for (n, (state, sent, eta)) in tasks.iter().enumerate() {
            let sql = "INSERT INTO task (id, queue, state, retries, redelivered, changed, clock, sent, eta)
                       VALUES (?1, 1, ?2, 0, 0, 5, 0, ?3, ?4)";
            connection.execute(sql, params![n.to_string(), state.code(), sent, eta]).unwrap();
        }
        connection
    }

    #[test]
    fn the_oldest_of_those_that_wait_is_told_and_no_other() {
        let waits = |at| (State::Sent, Some(at), None);
        let tasks = queue(&[waits(1), waits(10), waits(20), (State::Success, Some(2), None)]);
        let due = |ready| oldest(&tasks, "mail", ready, 100).unwrap();
        assert_eq!((due(1), due(2)), (Some(20), Some(10)), "the first has never told its end");
        assert_eq!(due(3), Some(1));
        assert_eq!((due(0), due(4), due(DEEPEST + 1)), (None, None, None), "not known");
        assert_eq!(oldest(&tasks, "none", 1, 100).unwrap(), None);
    }

    #[test]
    fn what_waits_for_its_time_is_due_then() {
        let tasks = queue(&[(State::Sent, Some(1), Some(50)), (State::Sent, Some(2), Some(200))]);
        assert_eq!(oldest(&tasks, "mail", 1, 100).unwrap(), Some(50), "the newest is not due");
        let tasks = queue(&[(State::Sent, Some(2), Some(50)), (State::Retry, Some(1), None)]);
        assert_eq!(oldest(&tasks, "mail", 2, 100).unwrap(), Some(50));
        assert_eq!(oldest(&tasks, "mail", 1, 100).unwrap(), None, "when it is due is not told");
    }
}
