//! How many signatures are checked in a second, so that nobody takes the sender's time with bad ones. A check takes some
//! 40 us.
//!
//! Whoever has the group key can send hellos in any name, and from any address where the network lets it forge one. So
//! each name has several budgets, by what is certain about a datagram before its signature is checked:
//!
//! - What came under the key that one start and the sender share is that start's own. Nobody else uses this budget up.
//! - A hello may come from an address from which this name was proven before in this push.
//! - Of all other addresses, the first few of the second have a place each.
//! - Among the hellos that are left, chance decides. Whoever forges more addresses than there are places delays a host by
//!   that, and does not keep it out.
//!
//! The budget of all checks together bounds what all of that costs.

use std::net::IpAddr;
use std::time::Duration;

use super::lately::Lately;
use crate::ids::HostName;
use crate::limits::REPORTS_PER_SECOND_MAX;
use crate::rng::Rng;
use crate::time::Moment;

/// The checks of the current second. Nothing grows beyond twice the checks that a second admits: the first claim of a
/// name in it is always admitted.
pub(super) struct Checks {
    spent: Spent,
    rng: Rng,
}

/// What was spent in one second.
struct Spent {
    since: Moment,
    in_all: u32,
    hellos: u32,
    /// Of names that mean nothing to this push, together.
    of_others: u32,
    by_source: Lately<IpAddr, u32>,
    by_name: Lately<HostName, OfName>,
}

/// The checks for one name.
#[derive(Default)]
struct OfName {
    own: u32,
    proven: u32,
    places: [Option<Place>; ADDRESSES_MAX],
    crowd: Crowd,
}

/// The checks for one name that was claimed from one address.
#[derive(Clone, Copy)]
struct Place {
    from: IpAddr,
    count: u32,
}

/// Claims of one name for which no other budget is left. The n-th of them is admitted with a probability of
/// [`CROWD_CHECKS`] / n: none can be kept out, and a hundred thousand of them cost some ninety checks.
#[derive(Default)]
struct Crowd(u32);

/// Whose signature is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A receipt, which came under the key that a start of this name and the sender share.
    Own,
    /// A hello from an address from which a start of this name has been proven.
    Proven,
    /// A hello in a name that is expected, whose key is known, or that takes part: made-up names use nothing of its
    /// budget.
    Named,
    /// A hello in any other name.
    Other,
}

impl Checks {
    /// Returns full budgets. `seed` is known to nobody else: who foresees what chance decides has the budgets alone.
    pub(super) fn new(now: Moment, seed: &[u8; 32]) -> Self {
        Self { spent: Spent::new(now), rng: Rng::new(seed) }
    }

    /// Takes one check for a datagram that came from `from` in this name; returns whether there was one left.
    pub(super) fn take(&mut self, now: Moment, from: IpAddr, name: &HostName, claim: Claim) -> bool {
        if now.since(self.spent.since) >= PERIOD {
            self.spent.begin(now);
        }
        self.spent.take(from, name, claim, &mut self.rng)
    }
}

impl Spent {
    fn new(now: Moment) -> Self {
        let (by_source, by_name) = (Lately::default(), Lately::default());
        Self { since: now, in_all: 0, hellos: 0, of_others: 0, by_source, by_name }
    }

    /// Begins the next second.
    fn begin(&mut self, now: Moment) {
        (self.since, self.in_all, self.hellos, self.of_others) = (now, 0, 0, 0);
        self.by_source.begin();
        self.by_name.begin();
    }

    fn take(&mut self, from: IpAddr, name: &HostName, claim: Claim, rng: &mut Rng) -> bool {
        let from_there = self.by_source.get(&from).copied().unwrap_or_default();
        let is_hello = claim != Claim::Own;
        if self.in_all >= IN_ALL_MAX || from_there >= SOURCE_MAX || is_hello && self.hellos >= HELLOS_MAX {
            return false;
        }
        let is_left = match claim {
            Claim::Other => take_of(&mut self.of_others, OTHERS_MAX),
            Claim::Own | Claim::Proven | Claim::Named => self.by_name.of(name).take(from, claim, rng),
        };
        if is_left {
            self.in_all += 1;
            self.hellos += u32::from(is_hello);
            *self.by_source.of(&from) += 1;
        }
        is_left
    }
}

impl OfName {
    fn take(&mut self, from: IpAddr, claim: Claim, rng: &mut Rng) -> bool {
        match claim {
            Claim::Own => take_of(&mut self.own, NAME_MAX),
            Claim::Proven => take_of(&mut self.proven, NAME_MAX) || self.crowd.take(rng),
            Claim::Named | Claim::Other => self.take_place(from) || self.crowd.take(rng),
        }
    }

    fn take_place(&mut self, from: IpAddr) -> bool {
        let is_its = |place: &&mut Option<Place>| place.is_none_or(|place| place.from == from);
        self.places
            .iter_mut()
            .find(is_its)
            .is_some_and(|place| take_of(&mut place.get_or_insert(Place { from, count: 0 }).count, NAME_MAX))
    }
}

impl Crowd {
    fn take(&mut self, rng: &mut Rng) -> bool {
        self.0 = self.0.saturating_add(1);
        u64::from(u32::from_be_bytes(rng.bytes())) * u64::from(self.0) < u64::from(CROWD_CHECKS) << 32
    }
}

/// Takes one of `most`.
fn take_of(count: &mut u32, most: u32) -> bool {
    let is_left = *count < most;
    *count += u32::from(is_left);
    is_left
}

/// The time that the budgets are for.
const PERIOD: Duration = Duration::from_secs(1);

/// Checks for one name from one address: a host sends a few hellos until one is acknowledged, and its final report
/// likewise.
const NAME_MAX: u32 = 8;
/// Addresses of one name: those of two machines with one name, and of somebody who claims to be them.
const ADDRESSES_MAX: usize = 3;
/// Claims of one name that are admitted beyond its places before chance decides.
const CROWD_CHECKS: u32 = 8;
/// Checks for names that mean nothing to the push.
const OTHERS_MAX: u32 = ALL_HOSTS_MAX;
/// What all hosts need when they say hello, and again when they send their final reports: they spread either over a time
/// in which [`REPORTS_PER_SECOND_MAX`] are expected, but the busiest second has some more.
const ALL_HOSTS_MAX: u32 = REPORTS_PER_SECOND_MAX / 4 * 5;
/// Checks for one address: a sixth of a core. Behind one address there may be a whole simulated group.
const SOURCE_MAX: u32 = REPORTS_PER_SECOND_MAX;
/// All checks: hellos and final reports of all hosts in the same second. That is two fifths of a core.
const IN_ALL_MAX: u32 = 2 * ALL_HOSTS_MAX;
/// Checks of hellos, which anybody can make: the rest is for receipts.
const HELLOS_MAX: u32 = IN_ALL_MAX - REPORTS_PER_SECOND_MAX / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_use_up_their_own_budget_and_no_other() {
        let mut checks = checks();
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
        let mut checks = checks();
        let forged = (0..1_000).filter(|_| checks.take(at(5), address(1), &name("a"), Claim::Named)).count();
        // Of the crowd 8 * (1 + ln(1 000 / 8)) on average.
        assert!((NAME_MAX as usize..NAME_MAX as usize + 100).contains(&forged), "{forged}");
        assert!(checks.take(at(5), address(2), &name("a"), Claim::Named), "the host itself");
        assert!(checks.take(at(5), address(1), &name("b"), Claim::Named));
        assert!(checks.take(at(1_000), address(1), &name("a"), Claim::Named), "the next second");
    }

    #[test]
    fn a_name_that_is_claimed_from_everywhere_costs_a_few_checks() {
        let (mut checks, mut most) = (checks(), 0);
        for second in 0..20 {
            let forged = (0..5_000)
                .filter(|&n| checks.take(at(1_000 * second), anywhere(n), &name("a"), Claim::Named));
            most = most.max(forged.count());
        }
        let in_places = NAME_MAX as usize * ADDRESSES_MAX;
        // Of the crowd 8 * (1 + ln(5 000 / 8)) on average.
        assert!((in_places..in_places + 110).contains(&most), "{most}");
    }

    #[test]
    fn whoever_forges_three_addresses_at_the_start_of_each_second_does_not_keep_a_host_out() {
        let mut checks = checks();
        for second in 0..60 {
            for n in 0..3 * NAME_MAX {
                let forged = anywhere(n % 3);
                assert!(checks.take(at(1_000 * second), forged, &name("a"), Claim::Named), "{second} s");
            }
            assert!(checks.take(at(1_000 * second + 500), HOST, &name("a"), Claim::Named), "{second} s");
        }
    }

    #[test]
    fn whoever_forges_addresses_without_end_delays_a_host_and_does_not_keep_it_out() {
        for from in [HOST, anywhere(0)] {
            let mut checks = checks();
            let heard = |second: &u64| {
                let at = at(1_000 * second);
                for n in 0..250 {
                    checks.take(at, anywhere(n % 25), &name("a"), Claim::Named);
                }
                checks.take(at, from, &name("a"), Claim::Named)
            };
            // One in thirty.
            let heard = (0..1_000).filter(heard).count();
            assert!((10..90).contains(&heard), "{heard} of 1000, from {from}");
        }
    }

    #[test]
    fn an_address_that_was_proven_keeps_its_place_whoever_else_claims_the_name() {
        let mut checks = checks();
        for n in 0..5_000 {
            checks.take(at(5), anywhere(n), &name("a"), Claim::Named);
        }
        let proven = (0..NAME_MAX).filter(|_| checks.take(at(5), HOST, &name("a"), Claim::Proven));
        assert_eq!(proven.count(), NAME_MAX as usize);
    }

    #[test]
    fn what_only_a_start_can_have_sent_is_checked_whoever_claims_its_name_and_all_others() {
        let mut checks = checks();
        for n in 0..40_000 {
            let named = name(&format!("compute-{}", n % 1_000));
            let claim = if n % 2 == 0 { Claim::Named } else { Claim::Proven };
            checks.take(at(5), anywhere(n), &named, claim);
        }
        assert!(!checks.take(at(5), HOST, &name("compute-2000"), Claim::Named), "no hello is left");
        let own = (0..2 * NAME_MAX).filter(|_| checks.take(at(5), HOST, &name("compute-1"), Claim::Own));
        assert_eq!(own.count(), NAME_MAX as usize);
    }

    #[test]
    fn all_budgets_together_have_a_bound() {
        let mut checks = checks();
        let admitted = (0..60_000u32).filter(|&n| {
            let claim = [Claim::Own, Claim::Proven, Claim::Named, Claim::Other][n as usize % 4];
            checks.take(at(5), anywhere(n % 5_000), &name(&format!("compute-{}", n % 3_000)), claim)
        });
        assert_eq!(admitted.count() as u32, IN_ALL_MAX);
    }

    #[test]
    fn one_address_that_claims_all_names_leaves_as_many_checks_to_all_others() {
        let mut checks = checks();
        let mut claim =
            |from, host| checks.take(at(5), from, &name(&format!("compute-{host}")), Claim::Named);
        let forged = (0..10_000).filter(|&host| claim(address(1), host)).count();
        assert_eq!(forged as u32, SOURCE_MAX);
        let own = (0..10_000).filter(|&host| claim(address((2 + host % 250) as u8), host)).count();
        assert_eq!(own as u32, HELLOS_MAX - SOURCE_MAX);
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    /// One of many addresses.
    fn anywhere(n: u32) -> IpAddr {
        [10, 1, (n >> 8) as u8, n as u8].into()
    }

    fn checks() -> Checks {
        Checks::new(at(0), &[7; 32])
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
}
