//! Files that are read again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files, and how they looked before they were read.
#[derive(Default)]
pub(super) struct Files {
    looks: BTreeMap<PathBuf, Look>,
    /// Whether one has changed since they were read.
    changing: bool,
}

/// When it was written, and its length; `None` when it is not there.
type Look = Option<(SystemTime, u64)>;

impl Files {
    /// These files, as they look now.
    pub(super) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let looks = paths.into_iter().map(|path| (path.clone(), look(&path))).collect();
        Self { looks, changing: false }
    }

    /// Takes in which files there are now. Those that were known keep their look from before they
    /// were read, so that what changed meanwhile is a change.
    pub(super) fn follow(&mut self, mut now: Self) {
        for (path, seen) in &mut now.looks {
            if let Some(before) = self.looks.get(path) {
                *seen = *before;
            }
        }
        self.looks = now.looks;
    }

    /// Looks at all of them; whether one is different.
    pub(super) fn look(&mut self) -> bool {
        let mut differs = false;
        for (path, seen) in &mut self.looks {
            let now = look(path);
            differs |= now != *seen;
            *seen = now;
        }
        differs
    }

    /// Looks again; whether one has changed and now looks as it did the last time. For half a file
    /// may have no mistake and only half the schedules.
    fn have_changed(&mut self) -> bool {
        let before = self.changing;
        self.changing = self.look();
        before && !self.changing
    }

    /// Looks `every` so often, until one has changed and been written to its end; zero is for ever.
    /// Cancel safe.
    pub(super) async fn changed(&mut self, every: Duration) {
        if every.is_zero() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(every).await;
            if self.have_changed() {
                return;
            }
        }
    }
}

fn look(path: &Path) -> Look {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("celeriac-{name}-{}", std::process::id()));
        write(&path, "").unwrap();
        path
    }

    #[test]
    fn a_file_is_read_when_it_has_been_written_to_its_end() {
        let path = file("changes");
        let mut files = Files::new([path.clone()]);
        assert!(!files.have_changed());
        for text in ["half", "half and half"] {
            write(&path, text).unwrap();
            assert!(!files.have_changed(), "{text}");
        }
        assert!(files.have_changed());
        assert!(!files.have_changed());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_changes_while_it_is_read_is_a_change() {
        let path = file("meanwhile");
        let mut files = Files::new([path.clone()]);
        write(&path, "more").unwrap();
        files.follow(Files::new([path.clone()]));
        assert!(files.look());
        std::fs::remove_file(path).unwrap();
    }
}
