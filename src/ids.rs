//! Names that travel: task ids, and the name of a node.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Identifies one task through all its attempts. Any text; ours are random UUIDs, as Celery's are.
/// Cloning is cheap: an id stands in many places while its task runs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// A new random id (UUID version 4).
    pub fn random() -> Self {
        uuid::Uuid::new_v4().to_string().into()
    }

    /// The id that follows from `source` and `number`: always the same one, in the form of a
    /// random UUID. For telling things apart, not for keeping secrets.
    pub fn derived(source: &str, number: u32) -> Self {
        let hash = hash(source.bytes().chain(number.to_be_bytes()));
        let id = uuid::Builder::from_random_bytes(hash.to_be_bytes()).into_uuid();
        id.to_string().into()
    }

    /// A number from 0 to 1 that follows from `source` as an id does: chance that can be repeated.
    pub fn share(source: &str) -> f64 {
        let hash = hash(source.bytes());
        // FNV leaves the last bytes in few bits; this spreads them over all.
        let mut mixed = (hash >> 64) as u64 ^ hash as u64;
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed ^ (mixed >> 33)) as f64 / u64::MAX as f64
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The constants of FNV-1a with 128 bits.
const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl From<String> for TaskId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for TaskId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.as_str().to_owned()
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a of 128 bits.
fn hash(bytes: impl Iterator<Item = u8>) -> u128 {
    bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME))
}

/// Fills in a name from the settings: `%h` is the host, `%n` the program's mode, `%p` the process
/// id, `%%` a percent sign.
pub fn expand_name(template: &str, mode: &str) -> String {
    let mut name = String::with_capacity(template.len());
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            name.push(c);
            continue;
        }
        match rest.next() {
            Some('h') => name.push_str(&host()),
            Some('n') => name.push_str(mode),
            Some('p') => name.push_str(&std::process::id().to_string()),
            Some('%') => name.push('%'),
            other => name.extend(std::iter::once('%').chain(other)),
        }
    }
    name
}

/// A name as Celery's nodes have it, `name@host`: with this machine's behind it if it has no `@`.
pub fn node_name(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{}", host()) }
}

/// The name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_the_same_in_every_version_of_the_program() {
        let id = TaskId::derived("nightly@2026-11-25T02:30:00.000000+00:00", 0);
        assert_eq!(id.as_str(), "f6d02d51-8fd6-4517-beaa-a23c8d74227f");
    }

    #[test]
    fn shares_are_spread_evenly() {
        let shares: Vec<f64> = (0..1000).map(|number| TaskId::share(&number.to_string())).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        for tenth in 0..10 {
            let range = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            let count = shares.iter().filter(|share| range.contains(share)).count();
            assert!((50..=150).contains(&count), "{count} in {range:?}");
        }
    }

    #[test]
    fn a_name_is_filled_in_from_host_mode_and_process() {
        let expected = format!("worker@{}-{}%x%", host(), std::process::id());
        assert_eq!(expand_name("%n@%h-%p%x%%", "worker"), expected);
    }
}
