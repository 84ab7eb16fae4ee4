//! Whether the arguments of a schedule fit a task that this program has.

use super::super::tree::{Path, Step, path_of};
use super::Checks;
use crate::handler::Definition;
use crate::scheduler::ScheduleSettings;
use crate::task::{ArgumentError, Param};
use serde_json::{Map, Value};

impl Checks<'_> {
    /// Reads the arguments as a worker would, and points at the one that does not fit.
    pub(super) fn signature(
        &mut self,
        name: &str,
        settings: &ScheduleSettings,
        definition: &Definition,
    ) {
        let (Some(args), Some(kwargs)) = (arguments(settings), keywords(settings)) else {
            return; // What has no JSON is told elsewhere.
        };
        let format = self.config.publisher.serializer.format();
        let Err(error) = definition.fits(format, &args, &kwargs) else { return };
        let schedule = |keys: &[&str]| path_of(["schedules", name].iter().chain(keys).copied());
        let path = place(&error, definition.params(), &args, &kwargs);
        let path: Path = path.map_or_else(
            || schedule(&["task"]),
            |path| schedule(&[]).into_iter().chain(path).collect(),
        );
        let path = if self.is_set(&path) { path } else { schedule(&["task"]) };
        let label = format!("{} takes {}", definition.name(), takes(definition.params()));
        self.error(format!("schedule `{name}`: {error}"), &path, &label);
    }
}

fn arguments(settings: &ScheduleSettings) -> Option<Vec<Value>> {
    let args = settings.args.iter().flatten();
    args.map(|value| serde_json::to_value(value).ok()).collect()
}

fn keywords(settings: &ScheduleSettings) -> Option<Map<String, Value>> {
    let kwargs = settings.kwargs.iter().flatten();
    kwargs.map(|(key, value)| Some((key.clone(), serde_json::to_value(value).ok()?))).collect()
}

/// Where in the schedule the wrong argument stands; `None` when it stands nowhere, or must not be
/// shown.
fn place(
    error: &ArgumentError,
    params: &[Param],
    args: &[Value],
    kwargs: &Map<String, Value>,
) -> Option<Path> {
    let named = |name: &str| path_of(["kwargs", name]);
    match error {
        ArgumentError::Type { name, .. } | ArgumentError::Twice { name, .. } => {
            let index = params.iter().position(|param| param.name == *name)?;
            let param = &params[index];
            if param.is_secret {
                return None;
            }
            let is_twice = matches!(error, ArgumentError::Twice { .. });
            if index < args.len() && !is_twice {
                return Some(vec![Step::Key("args".to_owned()), Step::Index(index)]);
            }
            let names = std::iter::once(&param.name).chain(param.aliases);
            names.copied().find(|name| kwargs.contains_key(*name)).map(named)
        }
        ArgumentError::TooMany { takes, .. } => {
            Some(vec![Step::Key("args".to_owned()), Step::Index(*takes)])
        }
        ArgumentError::Unexpected { name, .. } => Some(named(name)),
        ArgumentError::Field(_) | ArgumentError::Missing { .. } if !kwargs.is_empty() => {
            Some(path_of(["kwargs"]))
        }
        ArgumentError::Missing { .. } if !args.is_empty() => Some(path_of(["args"])),
        _ => None,
    }
}

/// `user: u64, template: String (optional)`
fn takes(params: &[Param]) -> String {
    let write = |param: &Param| {
        let optional = if param.has_default { " (optional)" } else { "" };
        format!("{}: {}{optional}", param.name, param.kind)
    };
    match params {
        [] => "nothing".to_owned(),
        params => params.iter().map(write).collect::<Vec<_>>().join(", "),
    }
}
