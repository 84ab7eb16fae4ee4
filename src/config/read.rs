//! From a merged table to a [`Config`], with every complaint and not only the first.
//!
//! Serde stops at the first mistake. So what it complains about is taken out of the table, and it
//! reads again, until it is content.

use super::Config;
use super::tree::{Path, Step};
use serde_path_to_error::Segment;

/// What serde said about the value at `path`.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) path: Path,
    pub(super) message: String,
}

pub(super) fn read(mut table: toml::Table) -> (Config, Vec<Complaint>) {
    let mut complaints = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, Config>(table.clone()) {
            Ok(config) => return (config, complaints),
            Err(error) => error,
        };
        let path: Path = error.path().iter().map_while(step).collect();
        if !remove(&mut table, &path) {
            table.clear();
        }
        let message = error.inner().message().to_owned();
        complaints.push(Complaint { path, message });
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Takes out the deepest key on the way to `path` that exists. An array goes as a whole, so that
/// the places of its other items still fit.
fn remove(table: &mut toml::Table, path: &[Step]) -> bool {
    let Some((Step::Key(key), rest)) = path.split_first() else { return false };
    let removed_deeper = match table.get_mut(key) {
        Some(toml::Value::Table(inner)) => remove(inner, rest),
        _ => false,
    };
    removed_deeper || table.remove(key).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::tree::write_path;
    use super::*;

    #[test]
    fn every_mistake_is_complained_about_and_the_rest_is_read() {
        let table = toml::from_str(
            "monitr.tick = 1\n[worker]\nconcurency = 8\nqueues = [\"a\", 1]\nprefetch = 4\n\
             [tasks.x]\ntime_limit = 600\nhttp = {}\n[queues]\nrat = 1",
        );
        let (config, complaints) = read(table.unwrap());
        let mut paths: Vec<String> = complaints.iter().map(|c| write_path(&c.path)).collect();
        paths.sort();
        assert_eq!(
            paths,
            [
                "monitr",
                "queues.rat",
                "tasks.x.http",
                "tasks.x.time_limit",
                "worker.concurency",
                "worker.queues[1]"
            ]
        );
        assert_eq!(config.worker.prefetch, 4.into());
        assert!(config.tasks.is_defined("x"));
    }
}
