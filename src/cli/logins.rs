//! What `celeriac token` and `celeriac user` share: files of who may come into the monitor.

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use super::output::Row;
use crate::monitor::{Auth, LoginsError, Role};
use anyhow::anyhow;
use serde::Serialize;

/// One line of a file.
#[derive(Debug, Serialize)]
pub(super) struct Known {
    name: String,
    role: &'static str,
}

impl From<(&str, Role)> for Known {
    fn from((name, role): (&str, Role)) -> Self {
        Self { name: name.to_owned(), role: role.as_str() }
    }
}

impl Row for Known {
    const COLUMNS: &'static [&'static str] = &["NAME", "ROLE"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.role.to_owned()]
    }
}

/// The file that is named, or else the one that is configured.
pub(super) fn path(
    global: &Global,
    named: Option<&str>,
    key: &str,
    configured: fn(Auth) -> String,
) -> anyhow::Result<String> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    match configured(global.load(global.loader())?.config.monitor.auth) {
        path if !path.is_empty() => Ok(path),
        _ => Err(anyhow!("name the --file, or set monitor.auth.{key}")).or_exit(Exit::Config),
    }
}

/// The role that an argument names.
pub(super) fn role(word: &str) -> Result<Role, String> {
    let names = || Role::ALL.map(Role::as_str).join(", ");
    Role::parse(word).ok_or_else(|| format!("one of {}", names()))
}

/// With the exit code that fits.
pub(super) fn worded(error: LoginsError) -> anyhow::Error {
    let exit = match error {
        LoginsError::Missing { .. } => Exit::NotFound,
        LoginsError::Name(_) | LoginsError::Password | LoginsError::Taken { .. } => Exit::Invalid,
        LoginsError::File { .. } => Exit::CannotCreate,
        _ => Exit::Config,
    };
    failed(exit, error)
}
