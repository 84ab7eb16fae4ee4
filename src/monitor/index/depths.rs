//! How deep queues were, for charts: a monitor that is started again shows what it saw before.

use super::super::change::Micros;
use super::super::record::Intern;
use super::{IndexError, Writer};
use rusqlite::{Connection, Transaction};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the stretches are: a minute and an hour.
pub(super) const STEPS: [Micros; 2] = [60_000_000, 3_600_000_000];

/// So many stretches are read at most, or up to twice as many: a chart has no room for more.
const POINTS: Micros = 180;

/// Minutes are kept for as long as a chart is drawn of them, hours for a month. With the 500 queues
/// that are looked at these are 1,100,000 rows, some 30 MB.
pub(super) const KEPT: [Duration; 2] =
    [Duration::from_secs(25 * 3_600), Duration::from_secs(31 * 86_400)];

/// What was seen of one queue in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Level {
    /// When it begins.
    pub(in super::super) at: Micros,
    /// How many messages were ready at most.
    pub(in super::super) most: u32,
}

impl Writer {
    /// Notes how many messages were ready in queues at `at`.
    pub(in super::super) fn note_depths(
        &mut self,
        at: Micros,
        ready: &[(String, u32)],
    ) -> Result<(), IndexError> {
        self.transact(|transaction, words| {
            let mut note = transaction.prepare_cached(
                "INSERT INTO depth VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (step, at, queue) DO UPDATE SET most = max(most, excluded.most)",
            )?;
            for (queue, ready) in ready {
                let queue = words.word(queue)?;
                for step in STEPS {
                    note.execute((step, at - at % step, queue, ready))?;
                }
            }
            Ok(())
        })
    }
}

/// Deletes stretches of each step that began before its time.
pub(super) fn prune(
    transaction: &Transaction<'_>,
    before: [Micros; STEPS.len()],
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM depth WHERE step = ?1 AND at < ?2")?;
    for (step, before) in STEPS.into_iter().zip(before) {
        delete.execute((step, before))?;
    }
    Ok(())
}

/// The levels since `since`, by queue, the oldest first, of one queue or of all; in stretches of the
/// longest step that still gives some sixty of them, or of several such where they would be very many.
/// How long the stretches are comes too.
///
/// # Errors
/// When the index cannot be read.
pub(in super::super) fn since(
    connection: &Connection,
    queue: Option<&str>,
    since: Micros,
    now: Micros,
) -> Result<(Micros, BTreeMap<String, Vec<Level>>), IndexError> {
    let span = now - since;
    let step = STEPS.into_iter().rev().find(|step| span / step >= 60).unwrap_or(STEPS[0]);
    let stretch = step * (span / (POINTS * step)).max(1);
    let mut query = connection.prepare_cached(
        "SELECT text, at, most FROM depth JOIN word ON word.id = depth.queue
         WHERE step = ?1 AND at >= ?2 AND (?3 IS NULL OR text = ?3) ORDER BY at",
    )?;
    let mut levels = BTreeMap::<String, Vec<Level>>::new();
    let mut rows = query.query((step, since - since % stretch, queue))?;
    while let Some(row) = rows.next()? {
        let (at, most): (Micros, u32) = (row.get(1)?, row.get(2)?);
        let at = at - at % stretch;
        let levels = levels.entry(row.get(0)?).or_default();
        match levels.last_mut().filter(|last| last.at == at) {
            Some(last) => last.most = last.most.max(most),
            None => levels.push(Level { at, most }),
        }
    }
    Ok((stretch, levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = STEPS[0];
    const HOUR: Micros = STEPS[1];

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        super::super::MIGRATIONS.iter().for_each(|it| connection.execute_batch(it).unwrap());
        Writer::new(connection).unwrap()
    }

    #[test]
    fn the_most_of_each_stretch_is_kept_by_queue() {
        let mut writer = writer();
        let mut note = |at, queue: &str, ready| {
            writer.note_depths(at, &[(queue.to_owned(), ready)]).unwrap();
        };
        note(MINUTE, "mail", 3);
        note(MINUTE + 5_000_000, "mail", 9);
        note(MINUTE + 10_000_000, "mail", 1);
        note(2 * MINUTE, "mail", 4);
        note(2 * MINUTE, "video", 0);
        let level = |at, most| Level { at, most };
        let (step, found) = since(&writer.connection, None, 0, HOUR).unwrap();
        assert_eq!(step, MINUTE);
        assert_eq!(found["mail"], [level(MINUTE, 9), level(2 * MINUTE, 4)]);
        assert_eq!(found["video"], [level(2 * MINUTE, 0)]);
        let (_, found) = since(&writer.connection, Some("video"), 0, HOUR).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["video"]);
        let (step, found) = since(&writer.connection, Some("mail"), 0, 168 * HOUR).unwrap();
        assert_eq!((step, &found["mail"][..]), (HOUR, &[level(0, 9)][..]));
    }

    #[test]
    fn no_span_gives_more_points_than_a_chart_has_room_for_and_no_peak_is_lost() {
        let mut writer = writer();
        let end = 40 * 24 * HOUR;
        for minute in 0..1_500 {
            let ready = if minute == 1_003 { 70 } else { 1 };
            writer.note_depths(end - minute * MINUTE, &[("mail".to_owned(), ready)]).unwrap();
        }
        for (hours, stretch) in [(1, MINUTE), (6, 2 * MINUTE), (24, 8 * MINUTE), (168, HOUR)] {
            let from = end - hours * HOUR;
            let (step, found) = since(&writer.connection, Some("mail"), from, end).unwrap();
            assert_eq!(step, stretch, "{hours} hours");
            let levels = &found["mail"];
            assert!(levels.len() <= 2 * POINTS as usize + 1, "{}", levels.len());
            assert!(levels.is_sorted_by(|one, next| next.at - one.at == step), "no gap, no double");
            let highest = levels.iter().map(|level| level.most).max().unwrap();
            assert_eq!(highest == 70, hours > 16, "{hours} hours");
        }
        let (step, _) = since(&writer.connection, None, 0, 31 * 24 * HOUR).unwrap();
        assert_eq!(step, 4 * HOUR);
    }

    #[test]
    fn minutes_are_kept_for_a_day_and_hours_for_a_month() {
        let mut writer = writer();
        let end = 40 * 24 * HOUR;
        for hour in 0..40 * 24 {
            writer.note_depths(end - hour * HOUR, &[("mail".to_owned(), 1)]).unwrap();
        }
        let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(end as u64);
        let other = Duration::MAX;
        let keep = super::super::prune::Keep { success: other, other, dead: other, size: u64::MAX };
        writer.prune(now, keep, 1).unwrap();
        let rows = |step: Micros| {
            let sql = "SELECT count(*) FROM depth WHERE step = ?1";
            writer.connection.query_row(sql, [step], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((rows(MINUTE), rows(HOUR)), (26, 31 * 24 + 1));
    }
}
