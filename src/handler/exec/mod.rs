//! Tasks that are programs.
//!
//! The program is started for one attempt, told the call on its command line and its standard
//! input, and judged by its exit code; its standard output is the result. `docs/tasks.md` has the
//! protocol as the program's author sees it.
//!
//! No shell takes part. A program and all it starts are one process group, and nothing of the
//! group outlives the attempt, however that ends.

mod attempt;
mod codes;
mod conversation;
mod lines;
mod process;
mod report;
mod surroundings;
#[cfg(test)]
mod tests;
mod watcher;

pub(super) use process::Running;
pub use surroundings::ProgramMissing;
pub use watcher::Watcher;

use super::call::Given;
use super::template::{Template, TemplateError};
use super::{Failure, Handler, Output, TaskContext};
use crate::protocol::Body;
use crate::task::ProgramSettings;
use codes::ExitCodes;
use futures::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

/// A task that is a program.
#[derive(Debug, Clone)]
pub struct Program(Arc<Checked>);

/// A program whose settings make sense.
#[derive(Debug)]
struct Checked {
    settings: ProgramSettings,
    command: Command,
    watcher: Arc<Watcher>,
}

/// What the settings say, understood.
#[derive(Debug)]
struct Command {
    program: String,
    arguments: Vec<Template>,
    codes: ExitCodes,
}

/// Why a program cannot be a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// There is no program to run.
    #[error("the command is empty; write the program and its arguments")]
    Empty,
    /// The sender of a task must not choose which program runs.
    #[error("the program `{0}` holds a place to fill in; only its arguments may")]
    ProgramFromCall(String),
    /// A part of the command cannot be read.
    #[error("part {index} of the command: {error}")]
    Template {
        /// Which, counted from 0: the program itself.
        index: usize,
        /// Where and why.
        error: TemplateError,
    },
    /// An exit code stands in two lists.
    #[error("exit code {0} has two meanings; list it once")]
    AmbiguousCode(i32),
}

impl Program {
    /// Checks the settings. The program itself is sought when it is run; [`Program::locate`] does
    /// it earlier.
    ///
    /// # Errors
    ///
    /// See [`ProgramError`].
    pub fn try_new(settings: ProgramSettings, watcher: Arc<Watcher>) -> Result<Self, ProgramError> {
        let command = Command::try_new(&settings)?;
        Ok(Self(Arc::new(Checked { settings, command, watcher })))
    }

    /// Checks settings without making a task of them.
    ///
    /// # Errors
    ///
    /// See [`ProgramError`].
    pub fn check(settings: &ProgramSettings) -> Result<(), ProgramError> {
        Command::try_new(settings).map(drop)
    }

    /// The file that would be run now.
    ///
    /// # Errors
    ///
    /// See [`ProgramMissing`].
    pub fn locate(&self) -> Result<PathBuf, ProgramMissing> {
        self.0.locate(&self.0.environment())
    }
}

impl Command {
    fn try_new(settings: &ProgramSettings) -> Result<Self, ProgramError> {
        let codes = ExitCodes::try_new(settings).map_err(ProgramError::AmbiguousCode)?;
        let mut arguments = Vec::new();
        for (index, text) in settings.exec.iter().enumerate() {
            let template = Template::parse(text);
            arguments.push(template.map_err(|error| ProgramError::Template { index, error })?);
        }
        if settings.exec.first().is_none_or(String::is_empty) {
            return Err(ProgramError::Empty);
        }
        match arguments.remove(0).constant() {
            Some(program) => Ok(Self { program, arguments, codes }),
            None => Err(ProgramError::ProgramFromCall(settings.exec[0].clone())),
        }
    }
}

impl Handler for Program {
    fn call(
        &self,
        cx: TaskContext,
        body: Arc<Body>,
    ) -> BoxFuture<'static, Result<Output, Failure>> {
        let program = Arc::clone(&self.0);
        Box::pin(async move {
            let arguments = Given::decode(&body)?;
            drop(body);
            program.run(&cx, &arguments).await
        })
    }
}
