//! Options that every command takes.

use super::output::{Colour, Format, say};
use crate::config::{Loaded, Loader, Severity, Style};
use std::io;
use std::path::PathBuf;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file, or folder of files; may be repeated, later ones win
    #[arg(short, long = "config", value_name = "FILE", global = true)]
    config: Vec<PathBuf>,

    /// Broker URL, instead of the configured one
    #[arg(long, value_name = "URL", global = true, hide_env_values = true)]
    broker: Option<String>,

    /// Form of the answer
    #[arg(short, long = "output", value_name = "FORM", global = true, default_value = "table")]
    pub(crate) output: Format,

    /// How much to log: error, warn, info, debug, trace, or by module
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,

    /// Form of the log: text or json
    #[arg(long, value_name = "FORM", global = true)]
    log_format: Option<String>,

    /// When to colour
    #[arg(long = "color", value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) colour: Colour,

    /// Show no progress and no warnings
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Log more: debug instead of info
    #[arg(short, long, global = true, conflicts_with = "log_level")]
    verbose: bool,
}

impl Global {
    /// Everything that is configured: files, environment, and these options.
    pub(crate) fn loader(&self) -> Loader {
        let mut loader =
            Loader::new().files(self.files()).standard_files().environment(variables());
        let level = self.log_level.as_deref().or(self.verbose.then_some("debug"));
        for (option, key, value) in [
            ("--broker", "broker.url", self.broker.as_deref()),
            ("--log-level", "log.level", level),
            ("--log-format", "log.format", self.log_format.as_deref()),
        ] {
            if let Some(value) = value {
                loader = loader.set(option, key, value);
            }
        }
        loader
    }

    /// The files named by `-c`, or else by `CELERIAC_CONFIG`, separated by `:`.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        if !self.config.is_empty() {
            return self.config.clone();
        }
        let named = std::env::var_os("CELERIAC_CONFIG").unwrap_or_default();
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// Loads the configuration of a command; says its warnings unless `--quiet`.
    ///
    /// # Errors
    /// The report of everything that is wrong.
    pub(crate) fn load(&self, loader: Loader) -> anyhow::Result<Loaded> {
        let loaded = loader.load()?;
        if !self.quiet && loaded.report.problems.iter().any(|p| p.severity == Severity::Warning) {
            say(loaded.report.render(self.style()));
        }
        Ok(loaded)
    }

    /// Says something beside the answer, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Whether reports are coloured.
    pub(crate) fn style(&self) -> Style {
        if self.colour.applies_to(&io::stderr()) { Style::Coloured } else { Style::Plain }
    }
}

/// The variables of the environment that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
