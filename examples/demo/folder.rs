//! Where everything lands: `celeriac-demo/`.

use anyhow::Context;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

/// The name of the folder, from the root of the repository; `celeriac.toml` has it too.
pub const NAME: &str = "celeriac-demo";

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// One start of `compress.sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The task.
    pub id: String,
    /// Its process group.
    pub group: i32,
}

impl Folder {
    /// An empty folder; what an earlier run left is removed.
    pub fn fresh() -> anyhow::Result<Self> {
        let folder = Self(NAME.into());
        if folder.0.exists() {
            fs::remove_dir_all(&folder.0).with_context(|| format!("emptying {NAME}/"))?;
        }
        for part in ["upload", "out", "mail"] {
            fs::create_dir_all(folder.0.join(part)).with_context(|| format!("making {NAME}/"))?;
        }
        Ok(folder)
    }

    /// The video that was uploaded.
    pub fn upload(&self, number: usize) -> PathBuf {
        self.0.join(format!("upload/{number}.mp4"))
    }

    /// A video, made smaller.
    pub fn rendition(&self, number: usize, height: u16) -> PathBuf {
        self.0.join(format!("out/{number}-{height}p.mp4"))
    }

    /// A picture of a video.
    pub fn thumbnail(&self, number: usize) -> PathBuf {
        self.0.join(format!("out/{number}.jpg"))
    }

    /// Where the mail server keeps its mail.
    pub fn mail(&self) -> PathBuf {
        self.0.join("mail")
    }

    /// The database of events.
    pub fn database(&self) -> PathBuf {
        self.0.join("analytics.db")
    }

    /// What the workers logged.
    pub fn log(&self) -> PathBuf {
        self.0.join("worker.log")
    }

    /// What the monitor logged.
    pub fn monitor_log(&self) -> PathBuf {
        self.0.join("monitor.log")
    }

    /// The monitor's index.
    pub fn index(&self) -> PathBuf {
        self.0.join("monitor")
    }

    /// What a scheduler logged.
    pub fn scheduler_log(&self, number: usize) -> PathBuf {
        self.0.join(format!("scheduler-{}.log", number + 1))
    }

    /// The strikes of the clock: the id of each run.
    pub fn strikes(&self) -> PathBuf {
        self.0.join("strikes")
    }

    /// The part of the configuration that differs from run to run.
    pub fn here(&self) -> PathBuf {
        self.0.join("here.toml")
    }

    /// How many lines of the workers' log say this.
    pub fn logged(&self, words: &str) -> usize {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(words)).count()
    }

    /// Every start of a compression, in order.
    pub fn starts(&self) -> Vec<Start> {
        let started = fs::read_to_string(self.0.join("out/started")).unwrap_or_default();
        let start = |line: &str| {
            let (id, group) = line.split_once(' ')?;
            Some(Start { id: id.to_owned(), group: group.parse().ok()? })
        };
        started.lines().filter_map(start).collect()
    }

    /// How many compressions were started again.
    pub fn repeated_starts(&self) -> usize {
        let starts = self.starts();
        let distinct: HashSet<_> = starts.iter().map(|start| &start.id).collect();
        starts.len() - distinct.len()
    }
}
