//! `celeriac completions`

use super::exit::Exit;
use super::output::write;
use clap::CommandFactory;
use clap_complete::Shell;

/// Write a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac completions bash > /etc/bash_completion.d/celeriac
  celeriac completions fish > ~/.config/fish/completions/celeriac.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Cli::command(), "celeriac", &mut script);
    write(&script)?;
    Ok(Exit::Done)
}
