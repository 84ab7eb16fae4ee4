//! `celeriac migrate`

mod base;
mod document;
mod fleet;
mod queues;
mod schedules;
mod settings;
mod tasks;

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use crate::units::format_duration;
use anyhow::{Context, anyhow};
use document::{Document, Note};
use fleet::Fleet;
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

/// Asks a Celery application how it is configured.
const ASK: &str = include_str!("ask.py");

/// Turn the settings of another task runner into ours
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the TOML for a Celery application, and what has no counterpart
    ///
    /// Your Python imports the application and tells how it is configured. Nothing is sent anywhere,
    /// and no password is printed.
    #[command(after_help = "\
Examples:
  celeriac migrate from-celery shop.celery > celeriac.toml        an application, as for celery -A
  celeriac migrate from-celery shop.settings --python venv/bin/python      the settings of Django
  celeriac migrate from-celery celeryconfig.py                    a file of settings
  celeriac config check -c celeriac.toml                          then")]
    FromCelery {
        /// A module, MODULE:APP, Django's settings, or a celeryconfig
        #[arg(value_name = "APP|SETTINGS")]
        app: String,

        /// The Python that has Celery and the application
        #[arg(long, value_name = "PROGRAM", default_value = "python3")]
        python: PathBuf,
    },
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let Command::FromCelery { app, python } = &arguments.command;
    let fleet = ask(app, python)?;
    let (text, notes) = translate(&fleet, app);
    let value = json!({ "celery": fleet.celery, "toml": text, "not_taken_over": notes });
    global.output.one(&value, text.trim_end())?;
    Ok(Exit::Done)
}

fn ask(app: &str, python: &PathBuf) -> anyhow::Result<Fleet> {
    let mut program = Program::new(python);
    program.args(["-c", ASK, app]).stdin(Stdio::null());
    let output = program
        .output()
        .with_context(|| format!("running {}; --python names another", python.display()))
        .or_exit(Exit::NotFound)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word");
        let error = anyhow!("{} cannot tell about `{app}`: {last}", python.display());
        return Err(failed(Exit::Invalid, error));
    }
    serde_json::from_slice(&output.stdout)
        .context("reading what Python tells")
        .or_exit(Exit::Internal)
}

/// The text of a configuration, and what is not in it.
fn translate(fleet: &Fleet, app: &str) -> (String, Vec<Note>) {
    let mut to = Document::default();
    to.comment(&format!(
        "What `celeriac migrate from-celery {app}` found, of Celery {}.\n\
         Check it with `celeriac config check`, and read the end of this file.",
        fleet.celery
    ));
    base::write(fleet, &mut to);
    queues::write(fleet, &mut to);
    tasks::write(fleet, &mut to);
    schedules::write(fleet, &mut to);
    settings::others(fleet, &mut to);
    to.finish()
}

/// Seconds as our files have them.
fn spoken(seconds: f64) -> String {
    format_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// JSON as TOML; `None` where it holds null.
fn inline(value: &serde_json::Value) -> Option<toml::Value> {
    toml::Value::try_from(value).ok().filter(|_| !holds_null(value))
}

fn holds_null(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Array(items) => items.iter().any(holds_null),
        serde_json::Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}
