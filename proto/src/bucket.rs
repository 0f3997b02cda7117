//! A budget that fills up again at a steady rate: a bucket of tokens.

use std::time::Duration;

use crate::time::Moment;

/// What is left of a budget, for one [`Allowance`]. It is full at first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// When it is full again if nothing is taken.
    full_at: Moment,
}

/// How much a bucket holds, and how fast it fills up.
#[derive(Clone, Copy)]
pub(crate) struct Allowance {
    /// Tokens in a full bucket, at least one.
    pub(crate) most: u32,
    /// The time in which one token is gained.
    pub(crate) gap: Duration,
}

impl Bucket {
    /// Whether there is a token left.
    pub(crate) fn has_left(self, now: Moment, allowance: Allowance) -> bool {
        self.full_at.since(now) <= allowance.gap * (allowance.most - 1)
    }

    /// Takes a token, whether there is one left or not.
    pub(crate) fn spend(&mut self, now: Moment, allowance: Allowance) {
        self.full_at = self.full_at.max(now) + allowance.gap;
    }

    /// Takes a token if there is one left; returns whether there was.
    pub(crate) fn take(&mut self, now: Moment, allowance: Allowance) -> bool {
        let has_left = self.has_left(now, allowance);
        if has_left {
            self.spend(now, allowance);
        }
        has_left
    }

    /// When it is full again if nothing is taken.
    pub(crate) fn full_at(self) -> Moment {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_a_burst_and_then_a_steady_rate() {
        let (mut bucket, allowance) = (Bucket::default(), FIVE);
        let mut taken = |ms| (0..1_000).take_while(|_| bucket.take(at(ms), allowance)).count();
        assert_eq!([0, 9, 10, 25, 30, 10_000].map(&mut taken), [5, 0, 1, 1, 1, 5]);
    }

    #[test]
    fn what_is_spent_beyond_the_last_token_is_missing_later() {
        let mut bucket = Bucket::default();
        (0..7).for_each(|_| bucket.spend(at(0), FIVE));
        let left = |ms| bucket.has_left(at(ms), FIVE);
        assert_eq!([0, 29, 30].map(left), [false, false, true]);
        assert_eq!(bucket.full_at(), at(70));
    }

    const FIVE: Allowance = Allowance { most: 5, gap: Duration::from_millis(10) };

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }
}
