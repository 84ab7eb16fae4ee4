//! `celeriac user`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::logins::{self, Known, role, worded};
use super::secret;
use crate::monitor::{Auth, Role, Users};
use anyhow::Context;

/// Make, list and remove the people who come into the monitor with a password
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add somebody, with a password that is asked for
    #[command(after_help = "\
Examples:
  celeriac user new ana --role operator          asks for the password, twice
  celeriac user new ana < password.txt           takes the first line

The file is monitor.auth.users_file of the configuration, unless named. It holds what argon2id makes
of passwords, no passwords. The monitor reads it when it starts. A password has at least 8 characters.")]
    New {
        /// Who it is; shown in the audit
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
  celeriac user list")]
    List {
        #[command(flatten)]
        file: File,
    },
    /// Remove somebody
    #[command(after_help = "\
Example:
  celeriac user remove ana

Another password: remove, and add again. The monitor must be started again to forget the old one.")]
    Remove {
        /// Who it is
        name: String,
        #[command(flatten)]
        file: File,
    },
}

/// Where users are.
#[derive(Debug, clap::Args)]
struct File {
    /// The file of users, instead of monitor.auth.users_file
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::New { name, role, file } => {
            let path = file.path(global)?;
            let password = secret::ask("password").context("reading the password");
            let password = password.or_exit(Exit::Invalid)?;
            Users::add(&path, name, *role, &password).map_err(worded)?;
        }
        Command::List { file } => {
            let users = Users::read(&file.path(global)?).map_err(worded)?;
            global.output.rows(&users.names().map(Known::from).collect::<Vec<_>>())?;
        }
        Command::Remove { name, file } => {
            Users::remove(&file.path(global)?, name).map_err(worded)?;
        }
    }
    Ok(Exit::Done)
}

impl File {
    fn path(&self, global: &Global) -> anyhow::Result<String> {
        let configured = |auth: Auth| auth.users_file;
        logins::path(global, self.file.as_deref(), "users_file", configured)
    }
}
