//! Tasks that are programs.

use super::TaskSettings;
use crate::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a program reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// The arguments, as one JSON document.
    #[default]
    Json,
    /// Nothing.
    None,
}

/// A task that is a program, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramSettings {
    /// Path and arguments, with `{name}` for arguments of the task.
    pub exec: Vec<String>,
    /// The folder to run in; `None` is the worker's.
    pub workdir: Option<PathBuf>,
    /// Environment variables, added to the worker's own.
    pub env: BTreeMap<String, Secret>,
    /// What the program reads on standard input.
    pub stdin: Stdin,
    /// Exit codes that mean success.
    pub success_codes: Vec<i32>,
    /// Exit codes that mean "try again later".
    pub retry_codes: Vec<i32>,
    /// Exit codes that mean "never try this again".
    pub reject_codes: Vec<i32>,
    /// Exit codes that mean "nothing to do any more".
    pub discard_codes: Vec<i32>,
    /// Exit codes that mean "come back later".
    pub snooze_codes: Vec<i32>,
    /// How long such a task waits when the program does not say.
    pub snooze: Duration,
    /// How long after it was asked to stop a program is killed.
    pub grace: Duration,
    /// The most bytes of output that are kept.
    pub max_output: u64,
    /// The most bytes of memory that each of its processes may use; `None` for no limit.
    pub max_memory: Option<u64>,
}

impl TaskSettings {
    /// The program to run, if the task is one.
    pub fn program(&self) -> Option<ProgramSettings> {
        Some(ProgramSettings {
            exec: self.exec.clone()?,
            workdir: self.workdir.clone(),
            env: self.env.clone().unwrap_or_default(),
            stdin: self.stdin.unwrap_or_default(),
            success_codes: self.success_codes.clone().unwrap_or_else(|| vec![0]),
            retry_codes: self.retry_codes.clone().unwrap_or_else(|| vec![75]),
            reject_codes: self.reject_codes.clone().unwrap_or_else(|| vec![65]),
            discard_codes: self.discard_codes.clone().unwrap_or_default(),
            snooze_codes: self.snooze_codes.clone().unwrap_or_default(),
            snooze: self.snooze.unwrap_or(Duration::from_secs(60)),
            grace: self.grace.unwrap_or(Duration::from_secs(5)),
            max_output: self.max_output(),
            max_memory: self.max_memory.filter(|bytes| *bytes > 0),
        })
    }
}
