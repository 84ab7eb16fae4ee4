//! The score: what landed, counted where it landed, against what was sent.

use crate::landed::REFUSED;
use crate::stage::Stage;
use crate::story::Facts;
use crate::video::{HEIGHTS, is_picture};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The delayed notification lands at its time, and no later than this after it.
const PUNCTUAL: std::ops::Range<Duration> = Duration::from_secs(2)..Duration::from_secs(3);

/// The end of a run.
#[derive(Debug)]
pub struct Score {
    rows: Vec<Row>,
    /// How many of the first rows count things that can be lost.
    things: usize,
    took: Duration,
    twice: usize,
    retried: usize,
    requeued: usize,
}

/// One number that is expected, and the one that was counted.
#[derive(Debug)]
struct Row {
    what: &'static str,
    how: &'static str,
    expected: usize,
    counted: usize,
}

impl Score {
    /// Looks at everything that landed.
    pub async fn count(stage: &Stage, facts: &Facts) -> anyhow::Result<Self> {
        let took = stage.screen.elapsed();
        let places = stage.places();
        let (expected, landed) = (places.expected(), places.count().await);
        let row = |what, how, expected, counted| Row { what, how, expected, counted };
        let punctual = facts.waited.is_some_and(|waited| PUNCTUAL.contains(&waited));
        let rows = vec![
            row(
                "renditions",
                "files that ffprobe reads, as long as their video",
                expected.renditions,
                renditions(stage).await,
            ),
            row(
                "thumbnails",
                "files that ffmpeg decodes",
                expected.thumbnails,
                thumbnails(stage).await,
            ),
            row("mails", "at the mail server, distinct Message-ID", expected.mails, landed.mails),
            row(
                "notifications",
                "at the HTTP service, distinct Idempotency-Key",
                expected.notifications,
                landed.notifications,
            ),
            row("analytics", "rows in SQLite", expected.rows, landed.rows),
            row(
                "strikes",
                "of the clock, one per second, by their ids",
                facts.strikes.0,
                facts.strikes.1,
            ),
            row(
                "given back",
                "from the archive, and taken by the service",
                REFUSED,
                places.inbox.reconciled(),
            ),
            row("on time", "the delayed notification", 1, usize::from(punctual)),
            row(
                "overtook",
                "thumbnails, by priority, compressions sent before",
                expected.thumbnails,
                overtook(stage),
            ),
            row(
                "watched",
                "in the monitor, killed and away: notifications",
                expected.notifications,
                stage.watch.notifications(expected.notifications).await,
            ),
            row("orphans", "processes that outlived the killed worker", 0, facts.orphans),
        ];
        Ok(Self {
            rows,
            things: 6,
            took,
            twice: stage.folder.repeated_starts()
                + places.inbox.repeated()
                + (places.mailbox.len() - landed.mails),
            retried: stage.folder.logged("trying again"),
            requeued: places.inbox.reconciled(),
        })
    }

    /// Whether every number is as expected.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }

    /// For people.
    pub fn table(&self) -> String {
        let seconds = self.took.as_secs();
        let title = format!("the score after {seconds} s");
        let mut lines = vec![format!("\n{title:<66}expected  counted")];
        lines.extend(self.rows.iter().map(|row| {
            let mark = if row.holds() { "✓" } else { "✗" };
            let Row { what, how, expected, counted } = row;
            format!("  {what:<15}{how:<49}{expected:>8} {counted:>8}  {mark}")
        }));
        let Self { twice, retried, requeued, .. } = self;
        let lost = self.lost();
        lines.push(format!(
            "  lost {lost} · run twice {twice} (by the kill, and replaced) · retried {retried} · requeued {requeued}"
        ));
        let verdict =
            if self.holds() { "Every number is right." } else { "NOT every number is right." };
        lines.push(format!(
            "\n{verdict} Look at what landed: celeriac-demo/ (out, mail, worker.log)"
        ));
        lines.join("\n")
    }

    /// For programs.
    pub fn json(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        json!({
            "ok": self.holds(),
            "seconds": self.took.as_secs_f64(),
            "rows": rows,
            "lost": self.lost(),
            "run_twice": self.twice,
            "retried": self.retried,
            "requeued": self.requeued,
        })
        .to_string()
    }

    fn lost(&self) -> usize {
        self.rows[..self.things].iter().map(|row| row.expected.saturating_sub(row.counted)).sum()
    }
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let Self { what, expected, counted, .. } = self;
        json!({"what": what, "expected": expected, "counted": counted, "ok": self.holds()})
    }

    fn holds(&self) -> bool {
        self.expected == self.counted
    }
}

async fn renditions(stage: &Stage) -> usize {
    let mut whole = 0;
    for video in &stage.videos {
        for height in HEIGHTS {
            let rendition = stage.folder.rendition(video.number, height);
            whole += usize::from(video.is_rendered(&rendition, height).await);
        }
    }
    whole
}

async fn thumbnails(stage: &Stage) -> usize {
    let mut pictures = 0;
    for video in &stage.videos {
        pictures += usize::from(is_picture(&stage.folder.thumbnail(video.number)).await);
    }
    pictures
}

/// Thumbnails that were there before the last rendition, although they were sent after it.
fn overtook(stage: &Stage) -> usize {
    let numbers = || stage.videos.iter().map(|video| video.number);
    let renditions =
        numbers().flat_map(|n| HEIGHTS.map(|height| stage.folder.rendition(n, height)));
    let last = renditions.filter_map(|path| written(&path)).max();
    let thumbnails = numbers().filter_map(|number| written(&stage.folder.thumbnail(number)));
    thumbnails.filter(|written| Some(*written) < last).count()
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
