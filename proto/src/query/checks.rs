//! A budget for signatures that are checked in vain. A check takes 40 microseconds, and any holder of the group key can
//! send datagrams that need one.
//!
//! A check that succeeds is free, because only the genuine writer can cause it and each of its datagrams is checked
//! once. The others count against their sender's address, so that one address cannot use up what all have, and against
//! a budget of all addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bucket::{Allowance, Bucket};
use crate::time::Moment;
use crate::wire::Discard;

/// The budget of one machine.
#[derive(Default)]
pub(super) struct Checks {
    all: Bucket,
    /// Addresses that have checks in vain on their account, at most [`SPENDERS_MAX`].
    spenders: Vec<Spender>,
}

struct Spender {
    address: IpAddr,
    left: Bucket,
}

impl Checks {
    /// Whether a signature may be checked for this address.
    ///
    /// # Errors
    /// [`Discard::OverBudget`]
    pub(super) fn allow(&self, now: Moment, from: SocketAddr) -> Result<(), Discard> {
        let address = from.ip().to_canonical();
        let spender = self.spenders.iter().find(|spender| spender.address == address);
        let has_left = self.all.has_left(now, OF_ALL)
            && spender.is_none_or(|spender| spender.left.has_left(now, OF_ONE));
        if has_left { Ok(()) } else { Err(Discard::OverBudget) }
    }

    /// Counts a check that was in vain.
    pub(super) fn spend(&mut self, now: Moment, from: SocketAddr) {
        self.all.spend(now, OF_ALL);
        self.spender(from.ip().to_canonical()).left.spend(now, OF_ONE);
    }

    /// Counts the check behind `result` if it was in vain, and returns `result`.
    pub(super) fn settle<T>(
        &mut self,
        now: Moment,
        from: SocketAddr,
        result: Result<T, Discard>,
    ) -> Result<T, Discard> {
        if matches!(result, Err(Discard::BadSignature)) {
            self.spend(now, from);
        }
        result
    }

    fn spender(&mut self, address: IpAddr) -> &mut Spender {
        let known = self.spenders.iter().position(|spender| spender.address == address);
        let at = known.unwrap_or_else(|| {
            if self.spenders.len() == SPENDERS_MAX {
                let recovered = (0..SPENDERS_MAX).min_by_key(|&at| self.spenders[at].left.full_at());
                self.spenders.swap_remove(recovered.expect("there are some"));
            }
            self.spenders.push(Spender { address, left: Bucket::default() });
            self.spenders.len() - 1
        });
        &mut self.spenders[at]
    }
}

/// One check in vain of one address per 20 ms, and of all addresses per millisecond: 4 per cent of a core. The checks of
/// 200 ms are saved up.
const OF_ONE: Allowance = Allowance { most: 10, gap: Duration::from_millis(20) };
const OF_ALL: Allowance = Allowance { most: 200, gap: Duration::from_millis(1) };

/// Addresses with an account of their own. The one that has recovered most makes room for another.
const SPENDERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_uses_up_its_own_checks_and_leaves_those_of_others() {
        let mut checks = Checks::default();
        assert_eq!(spend_all(&mut checks, at(0), 1), 10);
        assert_eq!(checks.allow(at(0), address(1)), Err(Discard::OverBudget));
        assert_eq!(checks.allow(at(0), address(2)), Ok(()));
        let later: u32 = (1..=1_000).map(|ms| spend_all(&mut checks, at(ms), 1)).sum();
        assert_eq!(later, 50, "one more every 20 ms");
    }

    #[test]
    fn all_addresses_together_have_a_budget_too_and_are_not_remembered_without_end() {
        let mut checks = Checks::default();
        let spent: u32 = (0..1_000).map(|number| spend_all(&mut checks, at(0), number)).sum();
        assert_eq!(spent, 200);
        assert!(checks.spenders.len() <= SPENDERS_MAX);
        let sustained: u32 = (1..=1_000)
            .map(|ms| (0..100).map(|number| spend_all(&mut checks, at(ms), number)).sum::<u32>())
            .sum();
        assert_eq!(sustained, 1_000, "one a millisecond");
    }

    #[test]
    fn good_signatures_cost_nothing() {
        let mut checks = Checks::default();
        for _ in 0..1_000 {
            assert_eq!(checks.settle(at(0), address(1), Ok(7)), Ok(7));
            assert_eq!(
                checks.settle::<u8>(at(0), address(1), Err(Discard::Replayed)),
                Err(Discard::Replayed)
            );
            assert_eq!(checks.allow(at(0), address(1)), Ok(()));
        }
        for _ in 0..10 {
            let bad = checks.settle::<u8>(at(0), address(1), Err(Discard::BadSignature));
            assert_eq!(bad, Err(Discard::BadSignature));
        }
        assert_eq!(checks.allow(at(0), address(1)), Err(Discard::OverBudget));
    }

    /// Returns how many checks an address has before it is over its budget.
    fn spend_all(checks: &mut Checks, now: Moment, number: u32) -> u32 {
        let mut spent = 0;
        while checks.allow(now, address(number)).is_ok() {
            checks.spend(now, address(number));
            spent += 1;
        }
        spent
    }

    fn address(number: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(number.into()), 7168)
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(1_000_000 + 1_000 * ms)
    }
}
