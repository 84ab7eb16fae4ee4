//! `[monitor]`: where the monitor answers, and how much it keeps.

use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The monitor: one program that shows everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address that serves the pages. Without `[monitor.auth]` only one of this machine, such as
    /// "127.0.0.1:5555".
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
    /// Values under these names are not kept, wherever they stand in arguments, results, errors and
    /// tracebacks; `*` is any text, upper and lower case are the same. What the archive has of a message
    /// stays whole.
    pub redact: Vec<String>,
    /// Whether no arguments and no results are kept at all.
    pub hide_args: bool,
    /// Who may look, and who may do what.
    pub auth: Auth,
    /// How long is kept what was told.
    pub history: History,
    /// What answers as other programs do, for whoever moves from them.
    pub compat: Compat,
    /// Filters of the list of tasks that are offered to everybody, by name.
    #[schemars(example = serde_json::json!({ "mail that failed": "state:failure queue:email since:1d" }))]
    pub views: BTreeMap<String, String>,
}

/// What answers as other programs do, for whoever moves from them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compat {
    /// Whether Flower's API is answered too: `/api/tasks`, `/api/workers`, `/api/task/async-apply`
    /// and so on, with the same logins and roles as everything else.
    pub flower_api: bool,
    /// The programs under whose names `/metrics` tells what it tells, besides its own:
    /// "celery-exporter", "flower". Their series have worker and task in their labels, at most 500 of
    /// each kind.
    pub metrics: Vec<Exporter>,
}

/// A program whose metrics others know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exporter {
    /// celery-exporter.
    CeleryExporter,
    /// Flower.
    Flower,
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
    /// How large the index may grow. Beyond it the oldest tasks that have succeeded go, then those that
    /// were revoked, expired or rejected, and those that have failed last. Its file follows: what is
    /// freed is given back to the disk little by little, but for a tenth, which is used again.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub max_size: u64,
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
            redact: ["password", "passwd", "token", "*secret*", "authorization", "api_key"]
                .map(str::to_owned)
                .into(),
            hide_args: false,
            auth: Auth::default(),
            history: History::default(),
            compat: Compat::default(),
            views: BTreeMap::new(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self { success: 7 * day, other: 30 * day, max_size: 20_000_000_000, scan_limit: 100_000 }
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

/// Who may look, and who may do what. Without anything here the monitor serves its own machine only,
/// and whoever is on it may do everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The file of the tokens that let in, made by `celeriac token new`. "" for none.
    pub tokens_file: String,
    /// The file of the users who may come in with a name and a password, made by `celeriac user
    /// new`. "" for none.
    pub users_file: String,
    /// A proxy that has people log in.
    pub proxy: Proxy,
}

/// A proxy that has people log in, and says who they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// The addresses of the proxy. What anybody else says of who they are is not believed. Empty for
    /// no proxy.
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<IpAddr>,
    /// The header that has the user's name.
    pub user_header: String,
    /// The users who may do everything.
    pub admins: Vec<String>,
    /// The users who may act on tasks, queues and workers.
    pub operators: Vec<String>,
    /// What everybody else may do whom the proxy lets through.
    pub others: Role,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            user_header: "X-Forwarded-User".to_owned(),
            admins: Vec::new(),
            operators: Vec::new(),
            others: Role::Viewer,
        }
    }
}

impl Auth {
    /// Whether people must log in.
    pub fn is_on(&self) -> bool {
        let has_file = !self.tokens_file.is_empty() || !self.users_file.is_empty();
        has_file || !self.proxy.trusted.is_empty()
    }
}

/// What somebody may do; each may do what those before may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    #[default]
    Viewer,
    /// Run again, requeue, revoke, steer workers.
    Operator,
    /// Purge, discard, stop workers.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}
