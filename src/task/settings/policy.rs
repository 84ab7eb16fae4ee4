//! What is in force for a task, and who says so.

use super::{TaskSettings, Tasks};
use crate::task::{Isolation, TaskOptions};
use crate::units::{format_duration, format_rate, format_size};
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// One option of a task as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyLine {
    /// Its key in `[tasks."NAME"]`.
    #[serde(skip)]
    pub option: &'static str,
    /// Its value, as a file would say it; `none` for what has none.
    pub value: String,
    /// Who says so.
    pub from: Source,
}

/// Where the value of an option comes from. What stands later here wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The task's declaration in code.
    Code,
    /// `[tasks]`.
    AllTasks,
    /// The task's own table.
    Task(String),
    /// Somebody told this worker, while it ran.
    Remote,
}

impl Tasks {
    /// Every option of the task `name` as it is in force when its code declares `declared`, in the
    /// order of the documentation. A call can still say otherwise for itself.
    ///
    /// ```
    /// use celeriac::task::{Source, TaskOptions, Tasks};
    ///
    /// let declared = TaskOptions { queue: Some("mail".to_owned()), ..TaskOptions::default() };
    /// let policy = Tasks::default().policy("mail.send", &declared);
    /// let queue = &policy[0];
    /// assert_eq!((queue.option, queue.value.as_str(), &queue.from), ("queue", "mail", &Source::Code));
    /// ```
    pub fn policy(&self, name: &str, declared: &TaskOptions) -> Vec<PolicyLine> {
        let in_force = self.options(name, declared.clone());
        let nothing = TaskOptions::default();
        let lines = OPTIONS.iter().map(|Shown { option, is_said, show }| {
            let from = if self.table(name).is_some_and(is_said) {
                Source::Task(name.to_owned())
            } else if is_said(&self.0.own) {
                Source::AllTasks
            } else if show(declared) != show(&nothing) {
                Source::Code
            } else {
                Source::Default
            };
            PolicyLine { option, value: show(&in_force), from }
        });
        lines.collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("code"),
            Self::AllTasks => f.write_str("[tasks]"),
            Self::Task(name) => write!(f, "[tasks.\"{name}\"]"),
            Self::Remote => f.write_str("remote control"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How one option is shown, and whether a table says it.
struct Shown {
    option: &'static str,
    is_said: fn(&TaskSettings) -> bool,
    show: fn(&TaskOptions) -> String,
}

const OPTIONS: [Shown; 14] = [
    Shown {
        option: "queue",
        is_said: |table| table.queue.is_some(),
        show: |options| options.queue.clone().unwrap_or_else(none),
    },
    Shown {
        option: "priority",
        is_said: |table| table.priority.is_some(),
        show: |options| options.priority.map_or_else(none, |priority| priority.to_string()),
    },
    Shown {
        option: "retries",
        is_said: |table| table.retries.is_some(),
        show: |options| {
            options.retry.max_retries.map_or_else(|| "forever".to_owned(), |max| max.to_string())
        },
    },
    Shown {
        option: "backoff",
        is_said: |table| table.backoff.is_some(),
        show: |options| {
            let backoff = &options.retry.backoff;
            let (first, max) = (format_duration(backoff.first), format_duration(backoff.max));
            format!(
                "first {first}, factor {}, max {max}, jitter {}",
                backoff.factor, backoff.jitter
            )
        },
    },
    Shown {
        option: "retry_on",
        is_said: |table| table.retry_on.is_some(),
        show: |options| match &options.retry.retry_on[..] {
            [] => "every error".to_owned(),
            kinds => kinds.join(", "),
        },
    },
    Shown {
        option: "give_up_on",
        is_said: |table| table.give_up_on.is_some(),
        show: |options| match &options.retry.give_up_on[..] {
            [] => none(),
            kinds => kinds.join(", "),
        },
    },
    Shown {
        option: "soft_limit",
        is_said: |table| table.soft_limit.is_some(),
        show: |options| limit(options.soft_limit),
    },
    Shown {
        option: "time_limit",
        is_said: |table| table.time_limit.is_some(),
        show: |options| limit(options.time_limit),
    },
    Shown {
        option: "expires",
        is_said: |table| table.expires.is_some(),
        show: |options| limit(options.expires),
    },
    Shown {
        option: "rate",
        is_said: |table| table.rate.is_some(),
        show: |options| options.rate.map_or_else(none, format_rate),
    },
    Shown {
        option: "ack",
        is_said: |table| table.ack.is_some(),
        show: |options| if options.acknowledge_early { "early" } else { "late" }.to_owned(),
    },
    Shown {
        option: "store_result",
        is_said: |table| table.store_result.is_some(),
        show: |options| (!options.ignore_result).to_string(),
    },
    Shown {
        option: "skip_finished",
        is_said: |table| table.skip_finished.is_some(),
        show: |options| options.skip_finished.to_string(),
    },
    Shown {
        option: "max_memory",
        is_said: |table| table.max_memory.is_some(),
        show: |options| match (options.isolation, options.max_memory) {
            (_, Some(bytes)) => format_size(bytes),
            (Isolation::Process, None) => "none (a process of its own)".to_owned(),
            (Isolation::None, None) => none(),
        },
    },
];

fn none() -> String {
    "none".to_owned()
}

/// A limit as a file would say it.
fn limit(limit: Option<Duration>) -> String {
    limit.map_or_else(none, format_duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_says_its_value_and_who_said_it() {
        let tasks: Tasks = toml::from_str(
            "retries = 1\nrate = \"90/m\"\n[\"mail.send\"]\nretries = \"forever\"\ntime_limit = \"0s\"",
        )
        .unwrap();
        let declared = TaskOptions {
            queue: Some("mail".to_owned()),
            time_limit: Some(Duration::from_secs(9)),
            ..TaskOptions::default()
        };
        let line = |name: &str, option: &str| {
            let policy = tasks.policy(name, &declared);
            let found = policy.into_iter().find(|line| line.option == option).unwrap();
            format!("{} by {}", found.value, found.from)
        };
        for (option, mail, other) in [
            ("queue", "mail by code", "mail by code"),
            ("retries", "forever by [tasks.\"mail.send\"]", "1 by [tasks]"),
            ("rate", "90/m by [tasks]", "90/m by [tasks]"),
            ("time_limit", "none by [tasks.\"mail.send\"]", "9s by code"),
            ("ack", "late by default", "late by default"),
        ] {
            assert_eq!(line("mail.send", option), mail, "{option}");
            assert_eq!(line("other", option), other, "{option}");
        }
    }

    #[test]
    fn what_a_table_says_is_ascribed_to_it_and_nothing_else_is() {
        let lines = [
            ("queue", "\"mail\"", "mail"),
            ("priority", "3", "3"),
            ("retries", "4", "4"),
            ("backoff", "\"2s..1m\"", "first 2s, factor 2, max 1m, jitter 0.5"),
            ("retry_on", "[\"Timeout\"]", "Timeout"),
            ("give_up_on", "[\"NoUser\"]", "NoUser"),
            ("soft_limit", "\"5s\"", "5s"),
            ("time_limit", "\"6s\"", "6s"),
            ("expires", "\"7s\"", "7s"),
            ("rate", "\"8/s\"", "8/s"),
            ("ack", "\"early\"", "early"),
            ("store_result", "false", "false"),
            ("skip_finished", "true", "true"),
            ("max_memory", "\"512 MiB\"", "512 MiB"),
        ];
        assert_eq!(lines.map(|(option, ..)| option), OPTIONS.map(|shown| shown.option));
        for (option, written, shown) in lines {
            let tasks: Tasks = toml::from_str(&format!("[t]\n{option} = {written}")).unwrap();
            for line in tasks.policy("t", &TaskOptions::default()) {
                if line.option == option {
                    assert_eq!((line.value.as_str(), line.from), (shown, Source::Task("t".into())));
                } else {
                    assert_eq!(line.from, Source::Default, "{} by {option}", line.option);
                }
            }
        }
    }

    #[test]
    fn every_option_of_a_task_is_shown() {
        let shown: Vec<_> = OPTIONS.iter().map(|shown| shown.option).collect();
        // What only programs and HTTP calls have is said by `celeriac config show`.
        let runs = [
            "exec",
            "workdir",
            "env",
            "stdin",
            "success_codes",
            "retry_codes",
            "reject_codes",
            "discard_codes",
            "snooze_codes",
            "snooze",
            "grace",
            "max_output",
            "http",
        ];
        let schema = schemars::schema_for!(TaskSettings);
        for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
            assert_ne!(shown.contains(&key.as_str()), runs.contains(&key.as_str()), "{key}");
        }
    }
}
