//! `celeriac token`

use super::exit::Exit;
use super::global::Global;
use super::logins::{self, Known, role, worded};
use crate::monitor::{Auth, Role, Tokens};
use serde::Serialize;

/// Make, list and take back the tokens that let into the monitor
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token, and print it once
    #[command(after_help = "\
Examples:
  celeriac token new ana --role admin
  celeriac token new grafana --file /etc/celeriac/tokens

The file is monitor.auth.tokens_file of the configuration, unless named. It holds digests, no tokens.
The monitor reads it when it starts.")]
    New {
        /// Whose it is; shown in the audit
        name: String,
        /// viewer looks; operator runs again, requeues, revokes, steers workers; admin does everything
        #[arg(long, default_value = "viewer", value_parser = role)]
        role: Role,
        #[command(flatten)]
        file: File,
    },
    /// List names and roles
    #[command(after_help = "\
Example:
  celeriac token list")]
    List {
        #[command(flatten)]
        file: File,
    },
    /// Take a token back
    #[command(after_help = "\
Example:
  celeriac token revoke ana")]
    Revoke {
        /// Whose it is
        name: String,
        #[command(flatten)]
        file: File,
    },
}

/// Where tokens are.
#[derive(Debug, clap::Args)]
struct File {
    /// The file of tokens, instead of monitor.auth.tokens_file
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

/// A token that was made.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    role: &'static str,
    token: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::New { name, role, file } => {
            let path = file.path(global)?;
            let token = Tokens::add(&path, name, *role).map_err(worded)?;
            let made = Made { name: name.clone(), role: role.as_str(), token };
            global.output.one(&made, &made.token)?;
        }
        Command::List { file } => {
            let tokens = Tokens::read(&file.path(global)?).map_err(worded)?;
            global.output.rows(&tokens.names().map(Known::from).collect::<Vec<_>>())?;
        }
        Command::Revoke { name, file } => {
            Tokens::remove(&file.path(global)?, name).map_err(worded)?;
        }
    }
    Ok(Exit::Done)
}

impl File {
    fn path(&self, global: &Global) -> anyhow::Result<String> {
        let configured = |auth: Auth| auth.tokens_file;
        logins::path(global, self.file.as_deref(), "tokens_file", configured)
    }
}
