//! How often something took how long, in words of the board.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in nanoseconds, for what a loop or a queue takes: from what is usual to what a person
/// would notice.
pub const WAITS: [u64; BUCKETS] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// The same, for what a request takes.
pub const REQUESTS: [u64; BUCKETS] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// Buckets with a bound; what is above the last has one more.
pub const BUCKETS: usize = 15;

/// One word for each bucket, and one for the sum in nanoseconds.
pub(super) const WORDS: usize = BUCKETS + 2;
const SUM: usize = BUCKETS + 1;

/// What was counted at one moment; several of them can be added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many fell into each bucket, and above the last.
    pub buckets: [u64; BUCKETS + 1],
    /// The sum of all, in nanoseconds.
    pub sum: u64,
}

impl Counted {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.wrapping_add(more);
        }
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }
}

/// Count something that took so long.
pub(super) fn observe(words: &[AtomicU64], bounds: &[u64; BUCKETS], time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let bucket = bounds.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BUCKETS);
    words[bucket].fetch_add(1, Ordering::Relaxed);
    words[SUM].fetch_add(nanoseconds, Ordering::Relaxed);
}

/// What was counted so far.
pub(super) fn read(words: &[AtomicU64]) -> Counted {
    let mut counted = Counted { sum: words[SUM].load(Ordering::Relaxed), ..Counted::default() };
    for (bucket, word) in counted.buckets.iter_mut().zip(words) {
        *bucket = word.load(Ordering::Relaxed);
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(WORDS).collect();
        for nanoseconds in [0, 50_000, 50_001, 5_000_000_000, 5_000_000_001] {
            observe(&words, &WAITS, Duration::from_nanos(nanoseconds));
        }
        let counted = read(&words);
        assert_eq!(counted.buckets[..2], [2, 1]);
        assert_eq!(counted.buckets[BUCKETS - 1..], [1, 1]);
        assert_eq!((counted.count(), counted.sum), (5, 10_000_100_002));
        assert_eq!(counted.and(&counted).count(), 10);
    }

    #[test]
    fn bounds_rise() {
        assert!(WAITS.is_sorted() && REQUESTS.is_sorted());
    }
}
