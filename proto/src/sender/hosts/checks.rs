//! How many signatures are checked in a second, so that nobody takes the sender's time with bad ones. A check takes some
//! 40 us.
//!
//! Whoever has the group key can send hellos in any name. So each name has a budget for each address that it is claimed
//! from: a flood from one address takes nothing from the host itself, which is at another. Addresses can be forged too;
//! the budget of all checks together bounds what that costs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::ids::HostName;
use crate::limits::REPORTS_PER_SECOND_MAX;
use crate::time::Moment;

/// The checks of the current second. Nothing grows beyond the checks that were admitted in it.
pub(super) struct Checks {
    since: Moment,
    in_all: u32,
    /// Of names that mean nothing to this push, together.
    of_others: u32,
    by_source: BTreeMap<IpAddr, u32>,
    by_name: BTreeMap<HostName, Vec<Claims>>,
}

/// The checks for one name that was claimed from one address.
struct Claims {
    from: IpAddr,
    count: u32,
}

/// Whose signature is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A name that is expected, whose key is known, or that takes part: made-up names use nothing of its budget.
    Named,
    /// Any other name.
    Other,
}

impl Checks {
    pub(super) fn new(now: Moment) -> Self {
        Self { since: now, in_all: 0, of_others: 0, by_source: BTreeMap::new(), by_name: BTreeMap::new() }
    }

    /// Takes one check for a datagram that came from `from` in this name; returns whether there was one left.
    pub(super) fn take(&mut self, now: Moment, from: IpAddr, name: &HostName, claim: Claim) -> bool {
        if now.since(self.since) >= PERIOD {
            *self = Self::new(now);
        }
        let from_there = self.by_source.get(&from).copied().unwrap_or(0);
        let is_left = self.in_all < IN_ALL_MAX
            && from_there < SOURCE_MAX
            && match claim {
                Claim::Named => self.take_of_name(from, name),
                Claim::Other => self.of_others < OTHERS_MAX,
            };
        if is_left {
            self.in_all += 1;
            self.of_others += u32::from(claim == Claim::Other);
            self.by_source.insert(from, from_there + 1);
        }
        is_left
    }

    fn take_of_name(&mut self, from: IpAddr, name: &HostName) -> bool {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.clone(), vec![Claims { from, count: 1 }]);
            return true;
        }
        let claims = self.by_name.get_mut(name).expect("it was inserted before");
        if let Some(claims) = claims.iter_mut().find(|claims| claims.from == from) {
            let is_left = claims.count < NAME_MAX;
            claims.count += u32::from(is_left);
            return is_left;
        }
        let is_left = claims.len() < ADDRESSES_MAX;
        if is_left {
            claims.push(Claims { from, count: 1 });
        }
        is_left
    }
}

/// The time that the budgets are for.
const PERIOD: Duration = Duration::from_secs(1);

/// Checks for one name from one address: a host sends a few hellos until one is acknowledged, and its final report
/// likewise.
const NAME_MAX: u32 = 8;
/// Addresses of one name: those of two machines with one name, and of somebody who claims to be them.
const ADDRESSES_MAX: usize = 3;
/// Checks for names that mean nothing to the push.
const OTHERS_MAX: u32 = ALL_HOSTS_MAX;
/// What all hosts need when they say hello, and again when they send their final reports: they spread either over a time
/// in which [`REPORTS_PER_SECOND_MAX`] are expected, but the busiest second has some more.
const ALL_HOSTS_MAX: u32 = REPORTS_PER_SECOND_MAX / 4 * 5;
/// Checks for one address: a sixth of a core. Behind one address there may be a whole simulated group.
const SOURCE_MAX: u32 = REPORTS_PER_SECOND_MAX;
/// All checks: hellos and final reports of all hosts in the same second. That is two fifths of a core.
const IN_ALL_MAX: u32 = 2 * ALL_HOSTS_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_use_up_their_own_budget_and_no_other() {
        let mut checks = Checks::new(at(0));
        let mut made_up = 0;
        for n in 0..3 * OTHERS_MAX {
            let from = address((n % 200) as u8);
            made_up += u32::from(checks.take(at(5), from, &name(&format!("made-up-{n}")), Claim::Other));
        }
        assert_eq!(made_up, OTHERS_MAX);
        assert!(checks.take(at(6), address(1), &name("a"), Claim::Named));
        assert!(checks.take(at(1_000), address(1), &name("made-up"), Claim::Other), "the next second");
    }

    #[test]
    fn who_claims_a_name_over_and_over_takes_nothing_from_its_host_or_from_others() {
        let mut checks = Checks::new(at(0));
        let forged = (0..1_000).filter(|_| checks.take(at(5), address(1), &name("a"), Claim::Named)).count();
        assert_eq!(forged as u32, NAME_MAX);
        assert!(checks.take(at(5), address(2), &name("a"), Claim::Named), "the host itself");
        assert!(checks.take(at(5), address(1), &name("b"), Claim::Named));
        assert!(checks.take(at(1_000), address(1), &name("a"), Claim::Named), "the next second");
    }

    #[test]
    fn a_name_that_is_claimed_from_everywhere_costs_a_few_checks() {
        let mut checks = Checks::new(at(0));
        let forged =
            (0..5_000).filter(|n| checks.take(at(5), address((n % 250) as u8), &name("a"), Claim::Named));
        assert_eq!(forged.count(), NAME_MAX as usize * ADDRESSES_MAX);
    }

    #[test]
    fn one_address_that_claims_all_names_leaves_as_many_checks_to_all_others() {
        let mut checks = Checks::new(at(0));
        let mut claim =
            |from, host| checks.take(at(5), from, &name(&format!("compute-{host}")), Claim::Named);
        let forged = (0..10_000).filter(|&host| claim(address(1), host)).count();
        assert_eq!(forged as u32, SOURCE_MAX);
        let own = (0..10_000).filter(|&host| claim(address((2 + host % 250) as u8), host)).count();
        assert_eq!(own as u32, IN_ALL_MAX - SOURCE_MAX);
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }
}
