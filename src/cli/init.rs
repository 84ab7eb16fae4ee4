//! `celeriac init`

use super::exit::{Exit, OrExit};
use super::output::{say, write};
use crate::config;
use anyhow::{Context, anyhow};
use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Write a celeriac.toml to start from
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac init                          a worker that runs programs
  celeriac init --preset http http.toml  a worker that calls a web service
  celeriac init --preset scheduler       schedules, and the worker that runs them
  celeriac init --preset full -          every key with its meaning, to standard output")]
pub(crate) struct Arguments {
    /// What to start from
    #[arg(long, value_name = "PRESET", default_value = "worker")]
    preset: Preset,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,

    /// The file to write; `-` for standard output
    #[arg(value_name = "FILE", default_value = "celeriac.toml")]
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// Tasks that are programs
    Worker,
    /// Tasks that are HTTP calls
    Http,
    /// A queue shared with Celery
    Celery,
    /// Tasks that are sent when they are due
    Scheduler,
    /// Every key with its meaning and default
    Full,
}

impl Preset {
    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Worker => include_str!("../../config/examples/worker.toml").into(),
            Self::Http => include_str!("../../config/examples/http.toml").into(),
            Self::Celery => include_str!("../../config/examples/celery-shared.toml").into(),
            Self::Scheduler => include_str!("../../config/examples/schedules.toml").into(),
            Self::Full => config::document().into(),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let text = arguments.preset.text();
    if arguments.file.as_os_str() == "-" {
        write(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let file = &arguments.file;
    let opened = if arguments.force { File::create(file) } else { File::create_new(file) };
    if let Err(error) = &opened
        && error.kind() == ErrorKind::AlreadyExists
    {
        let advice = anyhow!("{} exists already; --force replaces it", file.display());
        return Err(advice).or_exit(Exit::CannotCreate);
    }
    opened
        .and_then(|mut created| created.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
        .or_exit(Exit::CannotCreate)?;
    say(format_args!("wrote {}", file.display()));
    say(format_args!("next: celeriac config check -c {}", file.display()));
    Ok(Exit::Done)
}
