//! What arrived of a session: which sequences, how many bytes, and when the sender last gave a sign of life.

use std::time::Duration;

use crate::ids::Sequence;
use crate::receiver::numbers::{Arrival, Numbers};
use crate::receiver::reordering::Reordering;
use crate::sign::Verifier;
use crate::time::Moment;

/// The datagrams to the group that were opened.
pub(super) struct Arrivals {
    numbers: Numbers,
    reordering: Reordering,
    /// Checks the signatures of datagrams to the group, if they are signed.
    signer: Option<Verifier>,
    heard: Moment,
    bytes: u64,
}

impl Arrivals {
    /// Returns the record of a session whose announcement had the number `first`.
    pub(super) fn new(now: Moment, signer: Option<Verifier>, first: Sequence) -> Self {
        let numbers = Numbers::new(signer.map(|_| first.value()));
        Self { numbers, reordering: Reordering::default(), signer, heard: now, bytes: 0 }
    }

    /// Notes an opened datagram that is only sealed.
    #[inline]
    pub(super) fn note(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        self.bytes += bytes as u64;
        // Those numbers have gaps wherever others were meant.
        if sequence.is_for_some() {
            return;
        }
        let arrival = self.numbers.note(sequence.value());
        self.note_arrival(now, sequence.value(), arrival);
    }

    #[inline]
    fn note_arrival(&mut self, now: Moment, number: u64, arrival: Arrival) {
        match arrival {
            Arrival::Newest => {
                self.reordering.note_newest(now, number);
                // Only a new number is a sign of life: a recorded datagram keeps no session alive.
                if self.signer.is_none() {
                    self.heard = now;
                }
            }
            Arrival::Late => self.reordering.note_late(now, number),
            Arrival::Known => {}
        }
    }

    /// Notes an opened datagram; if the session has a signer, its signature was checked.
    pub(super) fn note_proven(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        if self.signer.is_none() || sequence.is_for_some() {
            return self.note(now, sequence, bytes);
        }
        if self.numbers.note_signed(sequence.value()) {
            self.reordering.forget();
        }
        self.heard = now;
        self.bytes += bytes as u64;
    }

    /// Whether a signed datagram of this number would be a sign of life that is missing: nothing signed was heard for
    /// [`MISSED_AFTER`], and its number is above all that were. What was signed before shows nothing: somebody may have
    /// recorded it.
    pub(super) fn misses_sender(&self, now: Moment, sequence: Sequence) -> bool {
        self.signer.is_some()
            && !sequence.is_for_some()
            && sequence.value() > self.numbers.highest()
            && now.since(self.heard) >= MISSED_AFTER
    }

    /// Notes `count` opened datagrams of consecutive numbers from `first` on, each of `bytes` bytes.
    #[cfg(feature = "simulation")]
    pub(super) fn note_run(&mut self, now: Moment, first: Sequence, count: u32, bytes: usize) {
        if first.is_for_some() {
            self.bytes += u64::from(count) * bytes as u64;
            return;
        }
        let (new, last) = self.numbers.note_run(first.value(), count);
        self.note_arrival(now, first.plus(count - 1).value(), last);
        self.bytes += new * bytes as u64;
    }

    /// Whether a datagram of this number can be the sender's.
    #[inline]
    pub(super) fn is_plausible(&self, sequence: Sequence) -> bool {
        sequence.is_for_some() || self.numbers.is_plausible(sequence.value())
    }

    /// Whether a datagram of this number came before.
    #[inline]
    pub(super) fn came(&self, sequence: Sequence) -> bool {
        !sequence.is_for_some() && self.numbers.came(sequence.value())
    }

    /// Returns what checks the signatures of datagrams to the group.
    pub(super) fn signer(&self) -> Option<Verifier> {
        self.signer
    }

    /// When the sender last gave a sign of life.
    pub(super) fn heard(&self) -> Moment {
        self.heard
    }

    /// Returns the highest number that is the sender's beyond doubt and that is settled: what was sent up to it has come,
    /// or is lost.
    pub(super) fn settled(&mut self, now: Moment) -> Sequence {
        let settled = self.reordering.settled(now, self.numbers.newest());
        Sequence::new(settled.min(self.numbers.highest())).expect("it came in 40 bits")
    }

    /// The number of datagrams up to `settled` that never arrived.
    pub(super) fn lost(&self, settled: Sequence) -> u64 {
        self.numbers.lost(settled.value())
    }

    /// The number of datagrams that never arrived.
    pub(super) fn lost_of_all(&self) -> u64 {
        self.numbers.lost(self.numbers.newest())
    }

    /// The number of datagrams that came after later ones.
    pub(super) fn late(&self) -> u64 {
        self.numbers.late()
    }

    /// The number of bytes that arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The silence after which more than news is checked: half the shortest time for which a sender may be silent. A live
/// sender announces ten times a second, so that two checks a second suffice.
const MISSED_AFTER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::receiver::testing::at;
    use crate::seal::GroupKey;
    use crate::sign::SigningKey;
    use zeroize::Zeroizing;

    #[test]
    fn datagrams_out_of_order_are_not_lost() {
        let mut arrivals = arrivals(None);
        note(&mut arrivals, [10, 12, 11, 14, 13]);
        assert_eq!(arrivals.lost_of_all(), 0);
        note(&mut arrivals, [17]);
        assert_eq!(arrivals.lost_of_all(), 2);
        assert_eq!(arrivals.late(), 2);
        note(&mut arrivals, [15]);
        assert_eq!(arrivals.lost_of_all(), 1, "it was only late");
        note(&mut arrivals, [15, 17, 9]);
        assert_eq!(arrivals.late(), 3, "neither what comes again nor what was never counted as lost");
    }

    #[test]
    fn a_host_that_comes_late_counts_from_the_first_datagram_that_it_hears() {
        let mut arrivals = arrivals(None);
        note(&mut arrivals, [1_000_000, 999_999, 1_000_002]);
        assert_eq!(arrivals.lost_of_all(), 1);
    }

    #[test]
    fn bytes_are_counted_by_datagram() {
        let mut arrivals = arrivals(None);
        note(&mut arrivals, [1, 2, 3]);
        assert_eq!(arrivals.bytes(), 3 * BYTES as u64);
    }

    #[test]
    fn a_datagram_that_is_heard_again_is_no_sign_of_life() {
        let mut arrivals = arrivals(None);
        arrivals.note(at(5), sequence(7), BYTES);
        arrivals.note(at(900), sequence(7), BYTES);
        arrivals.note(at(901), sequence(6), BYTES);
        assert_eq!(arrivals.heard(), at(5));
        arrivals.note(at(902), sequence(8), BYTES);
        assert_eq!(arrivals.heard(), at(902));
    }

    #[test]
    fn in_a_signed_session_only_what_is_signed_is_a_sign_of_life() {
        let key = SigningKey::from_seed(&Zeroizing::new([1; 32])).public();
        let scope = GroupKey::new([1; 32]).scope(SessionId([1; 16]));
        let mut arrivals = arrivals(Some(key.within(scope)));
        arrivals.note(at(5), sequence(7), BYTES);
        assert_eq!(arrivals.heard(), at(0));
        arrivals.note_proven(at(6), sequence(8), BYTES);
        assert_eq!(arrivals.heard(), at(6));
        assert_eq!(arrivals.bytes(), 2 * BYTES as u64);
    }

    #[test]
    fn what_is_signed_is_missed_after_a_while_and_only_if_it_is_newer() {
        let key = SigningKey::from_seed(&Zeroizing::new([1; 32])).public();
        let mut arrivals = arrivals(Some(key.within(GroupKey::new([1; 32]).scope(SessionId([1; 16])))));
        arrivals.note_proven(at(100), sequence(8), BYTES);
        arrivals.note(at(300), sequence(20), BYTES);
        let misses = [(599, 21), (600, 8), (600, 7), (600, 9), (600, 20)];
        let misses = misses.map(|(ms, number)| arrivals.misses_sender(at(ms), sequence(number)));
        assert_eq!(misses, [false, false, false, true, true]);
        assert!(!super::tests::arrivals(None).misses_sender(at(60_000), sequence(9)), "all count");
    }

    #[test]
    fn what_is_for_some_hosts_alone_says_nothing_about_losses() {
        let mut arrivals = arrivals(None);
        note(&mut arrivals, [10, Sequence::FOR_SOME + 7, 11, Sequence::FOR_SOME + 90, 13]);
        assert_eq!((arrivals.lost_of_all(), arrivals.bytes()), (1, 5 * BYTES as u64));
        let some = sequence(Sequence::FOR_SOME + 7);
        assert!(!arrivals.came(some), "its block knows whether it has the symbol");
        assert!(arrivals.is_plausible(some));
    }

    fn arrivals(signer: Option<Verifier>) -> Arrivals {
        Arrivals::new(at(0), signer, sequence(0))
    }

    fn note<const N: usize>(arrivals: &mut Arrivals, numbers: [u64; N]) {
        numbers.into_iter().for_each(|number| arrivals.note(at(1), sequence(number), BYTES));
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }

    const BYTES: usize = 1_468;
}
