//! The dead letters of the archive, remembered for a moment: the archive is a stream, which is read
//! from its beginning each time.

use crate::archive::{Archive, ArchiveError, DeadLetter, Filter};
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What was read is good for so long.
const FRESH: Duration = Duration::from_secs(5);

/// Which letters are read: those of every state.
const EVERYTHING: &str = "state:all";

/// Reads the archive, and remembers what it read. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Letters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    archive: Archive,
    clock: Arc<dyn Clock>,
    read: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    at: Instant,
    letters: Result<Arc<Vec<DeadLetter>>, ArchiveError>,
}

impl Letters {
    pub(super) fn new(archive: Archive, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { archive, clock, read: Mutex::default() }))
    }

    /// Every letter, the oldest first, as of some seconds ago at most. Whoever asks meanwhile waits
    /// for the same reading.
    ///
    /// # Errors
    /// When there is no archive, or it cannot be read.
    pub(super) async fn all(&self) -> Result<Arc<Vec<DeadLetter>>, ArchiveError> {
        let mut read = self.0.read.lock().await;
        if let Some(last) = read.as_ref().filter(|last| last.at.elapsed() < FRESH) {
            return last.letters.clone();
        }
        let filter = Filter::parse(EVERYTHING, self.0.clock.now()).expect("this can be read");
        let letters = self.0.archive.survey(&filter).await.map(Arc::new);
        *read = Some(Read { at: Instant::now(), letters: letters.clone() });
        letters
    }
}
