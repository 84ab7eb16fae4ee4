//! `[log]`: where the log and the traces go, and setting both up.

mod otlp;

pub use otlp::{Otlp, TraceError, Traces, trace};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Where the log goes, and how much of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// "error", "warn", "info", "debug" or "trace"; or by module: "info,celeriac::worker=debug".
    pub level: Level,
    /// "text" for people, coloured on a terminal; "json" for machines, one object per line.
    pub format: Format,
    /// "stderr", "stdout" or "file:PATH". A file is appended to, never rotated.
    pub target: Target,
    /// Where traces of tasks go.
    pub otlp: Otlp,
}

/// How much is logged: a level, or levels by module.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Level(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = r#"write "info", or "info,celeriac::worker=debug""#;
        for directive in text.split(',') {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
            if !LEVELS.contains(&level.to_lowercase().as_str()) {
                return Err(format!("`{level}` is not a log level; {advice}"));
            }
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("`{text}` is not a log level ({error}); {advice}")),
        }
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema)]
#[schemars(with = "String")]
pub enum Target {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stderr" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            _ => match text.strip_prefix("file:") {
                Some(path) if !path.is_empty() => Ok(Self::File(path.into())),
                _ => Err(format!(
                    r#"`{text}` is no place for a log; write "stderr", "stdout" or "file:PATH""#
                )),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened for appending.
    #[error("cannot append to the log file {path}")]
    File {
        /// The file of `log.target`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// This process already has a log.
    #[error("the log is set up already")]
    Twice,
}

/// Sends the log of this process where `settings` say. Once per process.
///
/// # Errors
/// If the file cannot be opened, or the log is set up already.
pub fn start(settings: &Settings) -> Result<(), LogError> {
    let (writer, colour) = match &settings.target {
        Target::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        Target::Stdout => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
        Target::File(path) => (BoxMakeWriter::new(Mutex::new(append_to(path)?)), false),
    };
    // lapin logs as errors what is expected here, such as asking for an exchange that is not there
    // yet; what goes wrong it also returns, and we say it. `lapin=debug` in the level brings it back.
    let filter = EnvFilter::new(format!("lapin=off,opentelemetry=warn,{}", settings.level.0));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would say so where the log goes too, and panic when nobody reads that.
        .log_internal_errors(false)
        .with_ansi(colour && std::env::var_os("NO_COLOR").is_none());
    let started = match settings.format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LogError::Twice)
}

fn append_to(path: &PathBuf) -> Result<File, LogError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| LogError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_name_modules_and_a_misspelt_one_is_refused() {
        for good in ["info", "WARN", "off", "info,celeriac::worker=debug"] {
            assert!(good.parse::<Level>().is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,celeriac=loud"] {
            assert!(bad.parse::<Level>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_is_read_back_as_written() {
        for text in ["stderr", "stdout", "file:/var/log/celeriac.log"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert!("file:".parse::<Target>().is_err());
        assert!("syslog".parse::<Target>().is_err());
    }
}
