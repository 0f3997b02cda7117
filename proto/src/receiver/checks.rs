//! How many signatures a host checks. A check takes some 40 us, and every holder of the group key can seal datagrams that
//! reach it: without a limit, one of them keeps the receiving thread of every host busy.
//!
//! Datagrams from the address of the session's sender have a budget of their own, so that a flood from elsewhere delays
//! none of them. So have those of the address that a signed datagram of the session came from last, which is a relay's. All other addresses share a small one, divided by a keyed hash of the address: one of them uses up its
//! own share, and only the few addresses with the same hash suffer from it. Somebody who sends under many addresses uses
//! up all of the small budget.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bucket::{Allowance, Bucket};
use crate::limits::{OTHER_CHECKS_PER_SECOND_MAX, SENDER_CHECKS_PER_SECOND_MAX};
use crate::time::Moment;
use crate::wire::{Announced, Discard};

/// The budgets of one host.
pub(super) struct Checks {
    /// Where the datagrams of the session's sender come from.
    sender: Option<SocketAddr>,
    of_sender: Bucket,
    /// Where signed datagrams of the session come from besides: a relay.
    relay: Option<SocketAddr>,
    of_relay: Bucket,
    of_others: [Bucket; SHARES],
    /// Keys the hash that chooses a share.
    seed: [u8; 32],
}

impl Checks {
    /// Returns full budgets. `seed` is the seed of all randomness in the machine.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let seed = blake3::derive_key("glancecast receiver: shares of signature checks", seed);
        Self {
            sender: None,
            of_sender: Bucket::default(),
            relay: None,
            of_relay: Bucket::default(),
            of_others: [Bucket::default(); SHARES],
            seed,
        }
    }

    /// Notes that a session is joined by an announcement from this address, whose signature was checked.
    pub(super) fn note_joined(&mut self, from: SocketAddr) {
        self.sender = Some(from);
    }

    /// Notes that a signed datagram of the session came from this address. The address to which the sender has its hosts
    /// answer is signed too: datagrams from there are its own, whoever has passed on the announcement. Any
    /// other address is that of a relay.
    pub(super) fn note_proven(&mut self, from: SocketAddr, reply_to: SocketAddr) {
        if is_same(from, reply_to) {
            self.sender = Some(from);
        } else if self.sender != Some(from) {
            self.relay = Some(from);
        }
    }

    /// Takes the check of a datagram of this session.
    ///
    /// # Errors
    /// [`Discard::OverBudget`] if no more may be checked now.
    pub(super) fn take(&mut self, now: Moment, from: SocketAddr) -> Result<(), Discard> {
        if self.sender == Some(from) {
            return take(&mut self.of_sender, now, OF_SENDER);
        }
        if self.relay == Some(from) {
            return take(&mut self.of_relay, now, OF_SENDER);
        }
        self.take_other(now, from)
    }

    /// Checks the signature of an announcement of another session, if there is one.
    ///
    /// # Errors
    /// [`Discard::OverBudget`] if no more may be checked now, or [`Discard::BadSignature`].
    pub(super) fn verify(
        &mut self,
        now: Moment,
        from: SocketAddr,
        announced: &Announced,
    ) -> Result<(), Discard> {
        if announced.signer().is_some() {
            self.take_other(now, from)?;
        }
        announced.verify()
    }

    fn take_other(&mut self, now: Moment, from: SocketAddr) -> Result<(), Discard> {
        let hash = match from.ip() {
            IpAddr::V4(ip) => blake3::keyed_hash(&self.seed, &ip.octets()),
            IpAddr::V6(ip) => blake3::keyed_hash(&self.seed, &ip.octets()),
        };
        let share = &mut self.of_others[usize::from(hash.as_bytes()[0]) % SHARES];
        take(share, now, OF_SHARE)
    }
}

/// Takes a check of a budget.
fn take(budget: &mut Bucket, now: Moment, allowance: Allowance) -> Result<(), Discard> {
    if budget.take(now, allowance) { Ok(()) } else { Err(Discard::OverBudget) }
}

/// Whether two addresses are the same host and port. An IPv6 address has a scope only where it was received.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

/// The number of shares of the small budget: one sender, which announces ten times a second, needs no more than a share.
const SHARES: usize = 16;
/// Checks in a row that one share allows: about a second's.
const SHARE_BURST: u32 = OTHER_CHECKS_PER_SECOND_MAX / SHARES as u32;

/// What is checked of the sender: a second's, and as many in each further second.
const OF_SENDER: Allowance = Allowance {
    most: SENDER_CHECKS_PER_SECOND_MAX,
    gap: Duration::from_micros(1_000_000 / SENDER_CHECKS_PER_SECOND_MAX as u64),
};
const OF_SHARE: Allowance = Allowance {
    most: SHARE_BURST,
    gap: Duration::from_micros(1_000_000 * SHARES as u64 / OTHER_CHECKS_PER_SECOND_MAX as u64),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::at;

    #[test]
    fn a_flood_from_one_address_takes_nothing_from_the_sender_and_little_from_others() {
        let mut checks = Checks::new(&[7; 32]);
        checks.note_joined(SENDER);
        let mut flood = 0;
        for ms in 0..10_000 {
            flood += (0..25).filter(|_| checks.take(at(ms), addr(66)).is_ok()).count();
            if ms % 10 == 0 {
                assert_eq!(checks.take(at(ms), SENDER), Ok(()), "{ms} ms");
            }
        }
        assert!(
            flood <= 10 * OTHER_CHECKS_PER_SECOND_MAX as usize / SHARES + SHARE_BURST as usize,
            "{flood}"
        );
        let heard = (0..=255).filter(|&host| checks.take(at(10_000), addr(host)).is_ok()).count();
        assert!(heard > 128, "{heard} of the others");
    }

    #[test]
    fn a_flood_from_all_addresses_is_checked_up_to_the_small_budget() {
        let mut checks = Checks::new(&[7; 32]);
        checks.note_joined(SENDER);
        let mut flood = 0;
        for ms in 0..10_000 {
            flood += (0..25).filter(|host| checks.take(at(ms), addr(host * 10 + 2)).is_ok()).count();
        }
        let most = 10 * OTHER_CHECKS_PER_SECOND_MAX + SHARES as u32 * SHARE_BURST;
        assert!(flood <= most as usize, "{flood}");
        assert_eq!(checks.take(at(10_000), SENDER), Ok(()));
    }

    #[test]
    fn the_address_that_is_signed_counts_as_the_senders_once_it_is_heard() {
        let mut checks = Checks::new(&[7; 32]);
        checks.note_joined(addr(66));
        checks.note_proven(addr(67), SENDER);
        assert_eq!(checks.sender, Some(addr(66)), "whoever passes something on is not the sender");
        checks.note_proven(SENDER, SENDER);
        assert_eq!(checks.sender, Some(SENDER));
    }

    fn addr(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 7167).into()
    }

    const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7167);
}
