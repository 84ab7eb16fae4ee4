//! `celeriac config`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::{Row, counted, say};
use crate::config::{Change, Explanation, Loader, Shown, explain, schema, wrap};
use std::path::PathBuf;

/// Check, show and explain the configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Find every mistake in the configuration
    #[command(after_help = "\
Examples:
  celeriac config check
  celeriac config check -c /etc/celeriac/workers/mail.toml --strict")]
    Check {
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },

    /// Show the settings as they are in the end, secrets masked
    #[command(after_help = "\
Examples:
  celeriac config show --origin
  celeriac config show -o json")]
    Show {
        /// Show where each value comes from
        #[arg(long)]
        origin: bool,
    },

    /// Explain a key or a section
    #[command(after_help = "\
Examples:
  celeriac config explain                    the sections
  celeriac config explain worker             the keys of a section
  celeriac config explain worker.prefetch    one key")]
    Explain {
        /// The key, such as worker.prefetch
        #[arg(value_name = "KEY", default_value = "")]
        key: String,
    },

    /// Print the JSON Schema of a configuration file
    #[command(after_help = "\
Example:
  celeriac config schema > celeriac.schema.json
  and as the first line of celeriac.toml: #:schema ./celeriac.schema.json")]
    Schema,

    /// Compare what two configuration files say in the end
    #[command(after_help = "\
Example:
  celeriac config diff celeriac.toml celeriac.new.toml

Exits with 1 if they differ.")]
    Diff {
        /// The older file
        old: PathBuf,
        /// The newer file
        new: PathBuf,
    },
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Check { strict: false } => check(global, Exit::Done),
        Command::Check { strict: true } => check(global, Exit::Config),
        Command::Show { origin: true } => show_origins(global),
        Command::Show { origin: false } => show(global),
        Command::Explain { key } => explain_key(global, key),
        Command::Schema => {
            let text = serde_json::to_string_pretty(schema())?;
            global.output.one(schema(), &text)?;
            Ok(Exit::Done)
        }
        Command::Diff { old, new } => diff(global, old, new),
    }
}

/// Ends with `on_warning` if there are warnings and no errors.
fn check(global: &Global, on_warning: Exit) -> anyhow::Result<Exit> {
    let report = global.loader().load()?.report;
    if report.warnings() > 0 {
        say(report.render(global.style()));
        return Ok(on_warning);
    }
    global.note(&match report.files {
        0 => "no configuration file found; the built-in defaults hold".to_owned(),
        files => format!("{}, no problems", counted(files as u64, "file")),
    });
    Ok(Exit::Done)
}

impl Row for Shown {
    const COLUMNS: &'static [&'static str] = &["key", "value", "origin"];

    fn cells(&self) -> Vec<String> {
        vec![self.key.clone(), self.value.to_string(), self.origin.clone()]
    }
}

fn show_origins(global: &Global) -> anyhow::Result<Exit> {
    let loaded = global.load(global.loader())?;
    global.output.rows(&loaded.settings())?;
    Ok(Exit::Done)
}

fn show(global: &Global) -> anyhow::Result<Exit> {
    let loaded = global.load(global.loader())?;
    global.output.one(&loaded.config, &toml::to_string(&loaded.config)?)?;
    Ok(Exit::Done)
}

fn explain_key(global: &Global, key: &str) -> anyhow::Result<Exit> {
    let explanation = explain(key).map_err(anyhow::Error::msg).or_exit(Exit::Invalid)?;
    global.output.one(&explanation, &text_of(&explanation))?;
    Ok(Exit::Done)
}

fn text_of(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    if !explanation.key.is_empty() {
        lines.push(explanation.key.clone());
        lines.push(format!("  write:    {}", explanation.kind));
    }
    if let Some(default) = &explanation.default {
        lines.push(format!("  default:  {default}"));
    }
    lines.push(String::new());
    lines.extend(wrap(&explanation.meaning, 90));
    lines.push(String::new());
    let width = explanation.keys.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, meaning) in &explanation.keys {
        let mut heading = key.as_str();
        for line in wrap(meaning, 90 - width.min(40)) {
            lines.push(format!("  {heading:width$}  {line}"));
            heading = "";
        }
    }
    lines.join("\n").trim().to_owned()
}

impl Row for Change {
    const COLUMNS: &'static [&'static str] = &["key", "old", "new"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<toml::Value>| match value {
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        vec![self.key.clone(), text(&self.old), text(&self.new)]
    }
}

fn diff(global: &Global, old: &PathBuf, new: &PathBuf) -> anyhow::Result<Exit> {
    let load = |file: &PathBuf| global.load(Loader::new().files([file.clone()]));
    let changes = load(old)?.changes(&load(new)?);
    if changes.is_empty() {
        return Ok(Exit::Done);
    }
    global.output.rows(&changes)?;
    Ok(Exit::No)
}
