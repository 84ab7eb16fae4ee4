//! How long things took: counts in buckets that double. Pure.

use super::change::Micros;

/// The buckets: up to 1 ms, 2 ms, 4 ms, ... and one for everything above some nine hours.
const BUCKETS: usize = 26;

/// Counts of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Histogram([u32; BUCKETS]);

impl Histogram {
    /// Counts one.
    pub(super) fn add(&mut self, took: Micros) {
        let bucket = &mut self.0[bucket(took)];
        *bucket = bucket.saturating_add(1);
    }

    /// Counts all that `other` has counted.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (own, others) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(others);
        }
    }

    /// The duration that this share of all stays below, to within its bucket; `None` when nothing
    /// was counted.
    pub(super) fn quantile(&self, share: f64) -> Option<Micros> {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        if all == 0 {
            return None;
        }
        let rank = (share * all as f64).max(1.0);
        let mut below = 0.0;
        for (at, count) in self.0.iter().enumerate() {
            let count = f64::from(*count);
            if count > 0.0 && below + count >= rank {
                let (low, high) = bounds(at);
                return Some(low + ((high - low) as f64 * (rank - below) / count) as Micros);
            }
            below += count;
        }
        None
    }

    /// Each bucket from the first that counted something to the last: up to which duration it goes,
    /// and how many it counted.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (Micros, u32)> {
        let used = |count: &u32| *count > 0;
        let first = self.0.iter().position(used).unwrap_or(BUCKETS);
        let end = self.0.iter().rposition(used).map_or(first, |last| last + 1);
        (first..end).map(|at| (bounds(at).1, self.0[at]))
    }

    /// Every bucket: up to which duration it goes, the last one to any, and how many it counted.
    pub(super) fn all(&self) -> impl Iterator<Item = (Option<Micros>, u32)> {
        let to = |at: usize| (at + 1 < BUCKETS).then(|| bounds(at).1);
        self.0.iter().enumerate().map(move |(at, count)| (to(at), *count))
    }

    /// As it stands in the index: nothing for a histogram without counts.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let used = self.0.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        self.0[..used].iter().flat_map(|count| count.to_le_bytes()).collect()
    }

    /// What [`Histogram::to_bytes`] gave.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut histogram = Self::default();
        for (own, bytes) in histogram.0.iter_mut().zip(bytes.as_chunks().0) {
            *own = u32::from_le_bytes(*bytes);
        }
        histogram
    }
}

fn bucket(took: Micros) -> usize {
    let millis = (took.max(0) as u64).div_ceil(1_000).max(1);
    let at = (u64::BITS - (millis - 1).leading_zeros()) as usize;
    at.min(BUCKETS - 1)
}

/// From where to where a bucket goes.
fn bounds(at: usize) -> (Micros, Micros) {
    let high = 1_000 << at;
    (if at == 0 { 0 } else { high / 2 }, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_within_its_bucket() {
        for took in [0, 1, 999, 1_000, 1_001, 2_000, 2_001, 5_000_000, 3_600_000_000] {
            let (low, high) = bounds(bucket(took));
            assert!(low <= took && took <= high, "{took} in {low}..{high}");
        }
        assert_eq!(bucket(Micros::MAX), BUCKETS - 1);
        assert_eq!(bucket(-5), 0);
    }

    #[test]
    fn quantiles_are_right_to_within_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (0..95).for_each(|_| histogram.add(10_000));
        (0..5).for_each(|_| histogram.add(1_000_000));
        let (p50, p99) = (histogram.quantile(0.5).unwrap(), histogram.quantile(0.99).unwrap());
        assert!((8_000..=16_000).contains(&p50) && (512_000..=1_024_000).contains(&p99));
    }

    #[test]
    fn only_buckets_between_the_first_and_the_last_are_told() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.buckets().count(), 0);
        [3_000, 15_000, 15_000].into_iter().for_each(|took| histogram.add(took));
        let told: Vec<_> = histogram.buckets().collect();
        assert_eq!(told, [(4_000, 1), (8_000, 0), (16_000, 2)]);
    }

    #[test]
    fn it_comes_back_from_the_index() {
        let mut histogram = Histogram::default();
        assert!(histogram.to_bytes().is_empty());
        [3_000, 900_000, 900_000].into_iter().for_each(|took| histogram.add(took));
        assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), histogram);
        let mut sum = histogram;
        sum.add_all(&histogram);
        assert_eq!(sum.quantile(1.0), histogram.quantile(1.0));
    }
}
