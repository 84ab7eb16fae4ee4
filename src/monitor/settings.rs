//! `[monitor]`: where the monitor answers, and how much it keeps.

use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The monitor: one program that shows everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address that serves the pages. Everybody who reaches it may look.
    pub listen: String,
    /// The folder of the index, which no other monitor may use. "auto" is `$STATE_DIRECTORY`, which
    /// systemd sets, else `celeriac` in `$XDG_STATE_HOME` or `~/.local/state`.
    pub data_dir: String,
    /// Shown in the bar and in the window's title, so that nobody confuses two of them.
    pub title: String,
    /// Whether workers are told to tell of each task; otherwise only of those is known that do so
    /// by themselves (`events.tasks`, Celery's -E).
    pub enable_events: bool,
    /// How many pages may be live at once; beyond it they look again every few seconds.
    pub max_streams: u32,
    /// How long is kept what was told.
    pub history: History,
}

/// How long is kept what was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Tasks that have succeeded.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub success: Duration,
    /// All other tasks.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub other: Duration,
    /// A filter that no index serves looks at so many of the newest tasks.
    pub scan_limit: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5555".to_owned(),
            data_dir: "auto".to_owned(),
            title: "celeriac".to_owned(),
            enable_events: true,
            max_streams: 200,
            history: History::default(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self { success: 7 * day, other: 30 * day, scan_limit: 100_000 }
    }
}

impl Settings {
    /// The folder of the index; `None` where nothing says which.
    pub fn folder(&self) -> Option<PathBuf> {
        if self.data_dir != "auto" {
            return Some(self.data_dir.clone().into());
        }
        let from =
            |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let state = || from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
        from("STATE_DIRECTORY").or_else(|| Some(state()?.join("celeriac")))
    }
}
