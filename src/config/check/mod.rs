//! The second look: settings that are well-formed, and make no sense together.

mod addresses;
mod broker;
mod outbox;
mod queues;
mod results;
mod schedules;
mod signatures;
mod tasks;

use super::Config;
use super::complaint::{at_value, suggest};
use super::layer::{self, Layer};
use super::problem::Problem;
use super::schema;
use super::tree::{Path, Step, path_of};
use std::collections::BTreeSet;
use std::time::Duration;

/// Everything that makes no sense.
pub(super) fn check(config: &Config, layers: &[Layer]) -> Vec<Problem> {
    let mut checks = Checks { config, layers, problems: Vec::new() };
    checks.ranges();
    checks.broker();
    checks.exchanges();
    checks.queues();
    checks.consumed_queues();
    checks.routes();
    checks.tasks();
    checks.results();
    checks.outbox();
    checks.scheduler();
    checks.schedules();
    checks.ops();
    checks.traces();
    checks.monitor();
    #[cfg(feature = "monitor")]
    checks.views();
    checks.problems
}

struct Checks<'a> {
    config: &'a Config,
    layers: &'a [Layer],
    problems: Vec<Problem>,
}

impl Checks<'_> {
    /// `problem` at the value of `keys`.
    fn at(&mut self, problem: Problem, path: &[Step], label: &str) {
        self.problems.push(at_value(problem, self.layers, path, label));
    }

    fn error(&mut self, title: impl Into<String>, path: &[Step], label: &str) {
        self.at(Problem::error(title), path, label);
    }

    fn warn(&mut self, title: impl Into<String>, path: &[Step], label: &str) {
        self.at(Problem::warning(title), path, label);
    }

    /// Whether any source says something at `path`.
    fn is_set(&self, path: &[Step]) -> bool {
        layer::find(self.layers, path).is_some()
    }

    /// The path of `key` in the table `name` of `section`, or in `section` if it is inherited.
    fn inherited(&self, section: &str, name: &str, key: &[&str]) -> Path {
        let own = path_of([section, name].into_iter().chain(key.iter().copied()));
        if self.is_set(&own) {
            return own;
        }
        path_of([section].into_iter().chain(key.iter().copied()))
    }

    /// A value and, next to it, the one it should be less than.
    fn pair(&mut self, title: String, less: (&Path, Duration), more: (&Path, Duration)) {
        let mut problem = at_value(Problem::error(title), self.layers, less.0, &spoken(less.1));
        let other = layer::find(self.layers, more.0);
        let other = other.and_then(|(layer, _, node)| layer.place(node.span.clone(), ""));
        match (&mut problem.place, other) {
            (Some(place), Some(other)) if place.file == other.file => {
                place.also = Some((other.span, spoken(more.1)));
            }
            _ => problem = problem.note(format!("the other is {}", spoken(more.1))),
        }
        self.problems.push(problem);
    }

    /// Numbers outside the range that their type's documentation gives.
    fn ranges(&mut self) {
        let mut found = Vec::new();
        for layer in self.layers {
            layer.root.scalars(&mut Path::new(), &mut |path, _, value| {
                if let Some(label) = schema::at(path).and_then(|schema| out_of_range(schema, value))
                {
                    found.push((path.clone(), label));
                }
            });
        }
        found.dedup();
        for (path, label) in found {
            self.error(
                format!("`{}` is out of range", super::tree::write_path(&path)),
                &path,
                &label,
            );
        }
    }

    /// The queues that exist as far as this configuration knows.
    fn known_queues(&self) -> BTreeSet<&str> {
        let mut known: BTreeSet<&str> = self.config.queues.names().collect();
        if known.is_empty() {
            known.extend(self.config.worker.queues.iter().map(String::as_str));
        }
        known.insert("default");
        known
    }

    fn expect_queue(&mut self, queue: &str, path: &[Step]) {
        let known = self.known_queues();
        if known.contains(queue) {
            return;
        }
        let known: Vec<&str> = known.into_iter().collect();
        let near = suggest(queue, &known, '"');
        let label = match near.starts_with("did you mean") {
            true => format!("defined queues: {}; {near}", known.join(", ")),
            false => format!("defined queues: {}; add [queues.{queue}]", known.join(", ")),
        };
        self.error(format!("queue `{queue}` is not defined"), path, &label);
    }

    /// Exchanges of the configuration, and those of every RabbitMQ.
    fn expect_exchange(&mut self, exchange: &str, path: &[Step]) {
        let config = self.config;
        let own = [config.topology.exchange.as_str(), config.dead.exchange.as_str()];
        let known: Vec<&str> = config.exchanges.keys().map(String::as_str).chain(own).collect();
        if known.contains(&exchange) || exchange.starts_with("amq.") {
            return;
        }
        let near = suggest(exchange, &known, '"');
        let label = match near.starts_with("did you mean") {
            true => near,
            false => format!("add [exchanges.{exchange}]"),
        };
        self.error(format!("exchange `{exchange}` is not defined"), path, &label);
    }
}

fn out_of_range(schema: &serde_json::Value, value: &toml::Value) -> Option<String> {
    let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64))?;
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let inside = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
    // Not-a-number is inside of nothing.
    if inside && !number.is_nan() {
        return None;
    }
    Some(match (min, max) {
        (Some(min), Some(max)) => format!("allowed {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "not a number".to_owned(),
    })
}

/// `10 minutes`.
fn spoken(wait: Duration) -> String {
    let seconds = wait.as_secs();
    let (count, unit) = match seconds {
        0 => return crate::units::format_duration(wait),
        s if s.is_multiple_of(86_400) => (s / 86_400, "day"),
        s if s.is_multiple_of(3600) => (s / 3600, "hour"),
        s if s.is_multiple_of(60) => (s / 60, "minute"),
        s => (s, "second"),
    };
    match (wait.subsec_nanos(), count) {
        (0, 1) => format!("1 {unit}"),
        (0, _) => format!("{count} {unit}s"),
        _ => crate::units::format_duration(wait),
    }
}
