//! How often somebody may be wrong.

use super::super::change::Micros;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So often one may be wrong, from one address and with one name,
const MOST: u32 = 10;

/// within so long.
const WITHIN: Micros = 60_000_000;

/// So many addresses and names are kept count of; then the oldest is forgotten.
const KEPT: usize = 10_000;

/// Wrong passwords of late.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Who, Wrong>>);

/// Whose tries are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// A machine, or in IPv6 its network: it has all addresses of that.
    Peer(IpAddr),
    /// Whoever tries this name, from anywhere.
    Name(String),
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    since: Micros,
    count: u32,
}

impl Attempts {
    /// Counts a try as wrong, until it is [`forgiven`](Self::forgive).
    ///
    /// # Errors
    /// How long no more are heard, when there were too many.
    pub(super) fn count(&self, peer: IpAddr, name: &str, now: Micros) -> Result<(), Duration> {
        let mut all = self.all();
        all.retain(|_, wrong| wrong.since + WITHIN > now);
        let keys = keys(peer, name);
        let full = keys.iter().filter_map(|key| all.get(key)).filter(|it| it.count >= MOST);
        if let Some(since) = full.map(|wrong| wrong.since).max() {
            return Err(Duration::from_micros((since + WITHIN - now).max(0) as u64));
        }
        for key in keys {
            if all.len() >= KEPT {
                let oldest = all.iter().min_by_key(|(_, it)| it.since).map(|(key, _)| key.clone());
                oldest.map(|oldest| all.remove(&oldest));
            }
            all.entry(key).or_insert(Wrong { since: now, count: 0 }).count += 1;
        }
        Ok(())
    }

    /// The try was right.
    pub(super) fn forgive(&self, peer: IpAddr, name: &str) {
        let mut all = self.all();
        for key in keys(peer, name) {
            if let Some(wrong) = all.get_mut(&key) {
                wrong.count = wrong.count.saturating_sub(1);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Who, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(peer: IpAddr, name: &str) -> [Who; 2] {
    let peer = match peer.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() & (!0 << 64))),
        v4 @ IpAddr::V4(_) => v4,
    };
    // Longer than any name in a file.
    [Who::Peer(peer), Who::Name(name.chars().take(65).collect())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_so_many_wrong_ones_there_is_a_pause() {
        let attempts = Attempts::default();
        for _ in 0..MOST {
            attempts.count(ip("10.0.0.1"), "ana", 0).unwrap();
        }
        let wait = attempts.count(ip("10.0.0.1"), "bo", 10_000_000).unwrap_err();
        assert_eq!(wait, Duration::from_secs(50), "the address");
        assert!(attempts.count(ip("10.0.0.2"), "ana", 0).is_err(), "the name");
        attempts.count(ip("10.0.0.2"), "bo", 0).unwrap();
        attempts.count(ip("10.0.0.1"), "ana", WITHIN).unwrap();
    }

    #[test]
    fn right_ones_are_not_counted_and_a_network_is_one() {
        let attempts = Attempts::default();
        for _ in 0..5 * MOST {
            attempts.count(ip("10.0.0.1"), "ana", 0).unwrap();
            attempts.forgive(ip("10.0.0.1"), "ana");
        }
        for last in 0..MOST {
            attempts.count(ip(&format!("2001:db8::{last}")), &last.to_string(), 0).unwrap();
        }
        assert!(attempts.count(ip("2001:db8::ffff"), "x", 0).is_err());
        attempts.count(ip("2001:db8:0:1::1"), "x", 0).unwrap();
    }

    #[test]
    fn only_so_many_are_kept_count_of() {
        let attempts = Attempts::default();
        for number in 0..KEPT as u32 {
            attempts.count(IpAddr::V4(number.into()), &number.to_string(), number.into()).unwrap();
        }
        assert!(attempts.all().len() <= KEPT);
    }
}
