//! `celeriac man`

use super::exit::{Exit, OrExit};
use anyhow::Context;
use clap::CommandFactory;
use std::path::PathBuf;

/// Write the manual pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac man /usr/local/share/man/man1
  celeriac man target/man && man -l target/man/celeriac-worker.1")]
pub(crate) struct Arguments {
    /// The folder; it is made if it is not there
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::Cli::command(), folder))
        .with_context(|| format!("writing manual pages to {}", folder.display()))
        .or_exit(Exit::CannotCreate)?;
    Ok(Exit::Done)
}
