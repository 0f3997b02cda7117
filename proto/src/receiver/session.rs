//! One session on one host: what was announced, what has come, what is still to be said.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::{BlockIndex, HostName, ReceiverId, Sequence, SessionId};
use crate::integrity::Root;
use crate::limits::{HELD_RUNS_MAX, report_runs_in};
use crate::receiver::Attempt;
use crate::receiver::numbers::Numbers;
use crate::receiver::table::{Table, buffer_symbols};
use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{
    Ack, Announce, Announced, Down, Failed, FailureKind, Hello, KeptRun, Kind, Poll, Report, Totals, Up,
};

/// The way up to a sender: who we are in its session, and our key. Kept for as long as the session may go on, as no
/// number may be used twice under one key.
pub(super) struct Link {
    pub(super) session: SessionId,
    receiver: ReceiverId,
    cipher: Cipher,
    reply_to: SocketAddr,
    sequence: u64,
}

impl Link {
    pub(super) fn new(announce: &Announce, receiver: ReceiverId, key: &GroupKey) -> Self {
        Self {
            session: announce.session,
            receiver,
            cipher: Cipher::upward(key, announce.session, receiver),
            reply_to: announce.reply_to,
            sequence: 0,
        }
    }

    /// Writes the sealed datagram; gives where it goes.
    pub(super) fn seal(&mut self, up: &Up, out: &mut Vec<u8>) -> SocketAddr {
        self.sequence += 1;
        let sequence = Sequence::new(self.sequence).expect("2^40 reports take years");
        up.seal(&self.cipher, self.session.tag(), self.receiver, sequence, out);
        self.reply_to
    }

    /// Whether an ack is for us.
    pub(super) fn is_answered_by(&self, ack: &Ack) -> bool {
        ack.receiver == self.receiver
    }
}

/// What a host is doing in a session.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// The store prepares the file; symbols are taken in meanwhile.
    Opening,
    /// Symbols come, blocks are proven and written.
    Receiving,
    /// A file of this name is there: it waits for the root to be compared with.
    Existing,
    /// The store compares the file that is there.
    Comparing,
    /// All is proven; the store publishes.
    Publishing,
    /// It is over here; the last word is repeated until it is acknowledged.
    Closing {
        /// Done or failed.
        last_word: Up,
        /// When to say it again.
        repeat: Repeat,
        /// When to give up.
        until: Moment,
    },
}

/// One session that this host takes part in.
pub(super) struct Session {
    pub(super) attempt: Attempt,
    pub(super) announce: Announce,
    pub(super) cipher: Cipher,
    pub(super) link: Link,
    pub(super) stage: Stage,
    pub(super) table: Table,
    /// What the sender vouches for.
    pub(super) root: Option<Root>,
    /// What the manifest amounts to, once all of it is here and the sender has vouched.
    pub(super) proven: Option<Root>,
    pub(super) heard: Moment,
    pub(super) joined: Moment,
    /// The hello, until it is acknowledged: the sender takes no other word from a host that it does not know.
    pub(super) hello: Option<Repeat>,
    /// It was said at least once. Before that nobody would take a report, and hellos are as many as reports.
    introduced: bool,
    pub(super) report_at: Option<Moment>,
    poll: Option<Poll>,
    /// When the last poll came.
    polled_at: Moment,
    slot: Option<u32>,
    numbers: Numbers,
    /// Who signs what is said to the group, if anybody does.
    signer: Option<PublicKey>,
    pub(super) totals: Totals,
}

impl Session {
    pub(super) fn new(
        now: Moment,
        attempt: Attempt,
        announced: Announced,
        key: &GroupKey,
        link: Link,
        buffers: u16,
        rng: &mut Rng,
    ) -> Self {
        let Announced { announce, signer, sequence, .. } = announced;
        let hello_at = now + rng.below(announce.spread);
        let mut table = Table::new(announce.geometry, buffers);
        if announce.one_way {
            table.wait_for_surplus();
        }
        if announce.base.is_some() {
            table.wait_for_base();
        }
        Self {
            attempt,
            cipher: Cipher::downward(key, announce.session),
            link,
            stage: Stage::Opening,
            table,
            root: None,
            proven: None,
            heard: now,
            joined: now,
            hello: (!announce.one_way).then(|| Repeat::new(hello_at, HELLO_GAP, HELLO_GAP_MAX)),
            introduced: false,
            report_at: None,
            poll: None,
            polled_at: now,
            slot: None,
            numbers: Numbers::new(signer.map(|_| sequence.value())),
            signer,
            totals: Totals::default(),
            announce,
        }
    }

    /// A datagram to the group was opened that is only sealed.
    pub(super) fn note(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        // Only what was not said before is a sign of life: a recorded datagram keeps no session alive.
        if self.numbers.note(sequence.value()) && self.signer.is_none() {
            self.heard = now;
        }
        self.count(bytes);
    }

    /// A datagram to the group was opened, and its signature checked where the session has a signer.
    pub(super) fn note_proven(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        if self.signer.is_none() {
            return self.note(now, sequence, bytes);
        }
        self.numbers.note_signed(sequence.value());
        self.heard = now;
        self.count(bytes);
    }

    fn count(&mut self, bytes: usize) {
        self.totals.symbols_lost = self.numbers.lost();
        self.totals.bytes_received += bytes as u64;
    }

    /// `count` datagrams to the group were opened, of consecutive numbers from `sequence` on, each of so many bytes.
    pub(super) fn note_run(&mut self, now: Moment, sequence: Sequence, count: u32, bytes: usize) {
        let new = self.numbers.note_run(sequence.value(), count);
        if new > 0 && self.signer.is_none() {
            self.heard = now;
        }
        self.totals.symbols_lost = self.numbers.lost();
        self.totals.bytes_received += new * bytes as u64;
    }

    /// Whether a datagram of this number can be the sender's.
    #[inline]
    pub(super) fn is_plausible(&self, sequence: Sequence) -> bool {
        self.numbers.is_plausible(sequence.value())
    }

    /// Whether a datagram of this number came before.
    #[inline]
    pub(super) fn came(&self, sequence: Sequence) -> bool {
        self.numbers.came(sequence.value())
    }

    /// Who signs what is said to the group, and in which session.
    pub(super) fn signer(&self) -> Option<(SessionId, PublicKey)> {
        self.signer.map(|key| (self.announce.session, key))
    }

    /// Whether something says more than is known: what does not is not worth checking its signature.
    pub(super) fn is_news(&self, down: &Down) -> bool {
        match down {
            Down::Manifest(run) => !self.table.knows(run),
            Down::Poll(poll) => self.is_next(poll),
            Down::End(_) | Down::Ack(_) => true,
        }
    }

    fn is_next(&self, poll: &Poll) -> bool {
        self.poll.as_ref().is_none_or(|last| poll.round > last.round)
    }

    /// The sender asks; the answer is due in this host's slot of the window.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) {
        if !self.is_next(&poll) {
            return;
        }
        self.root = self.root.or(poll.root);
        if self.announce.one_way {
            if poll.blocks_sent == self.announce.geometry.blocks() {
                self.table.stop_waiting();
            }
            self.poll = Some(poll);
            return;
        }
        if self.introduced {
            let offset = match self.slot {
                Some(slot) => poll.window.mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots)),
                None => rng.below(poll.window),
            };
            let at = now + offset;
            self.report_at = Some(self.report_at.map_or(at, |earlier| earlier.min(at)));
            // Fewer hosts are asked now than when its turn for the last word was found.
            if let Stage::Closing { repeat, .. } = &mut self.stage {
                repeat.begin_by(at);
            }
        }
        self.poll = Some(poll);
        self.polled_at = now;
    }

    /// The time in which all hosts answer the last poll in turn.
    pub(super) fn window(&self) -> Duration {
        self.poll.as_ref().map_or(Duration::ZERO, |poll| poll.window)
    }

    /// This host's next turn in the windows of the polls: thousands of hosts that are done at once do not say so at once.
    fn next_turn(&self, now: Moment) -> Moment {
        let (Some(poll), Some(slot)) = (&self.poll, self.slot) else { return now };
        let offset = poll.window.mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots));
        let mut turn = self.polled_at + offset;
        if turn < now && !poll.window.is_zero() {
            let windows = now.since(turn).as_micros().div_ceil(poll.window.as_micros().max(1));
            turn = turn + poll.window * u32::try_from(windows).unwrap_or(u32::MAX);
        }
        turn.max(now)
    }

    /// Whether this ack ends the session here.
    pub(super) fn take_ack(&mut self, ack: &Ack) -> bool {
        if !self.link.is_answered_by(ack) {
            return false;
        }
        self.slot = Some(ack.slot);
        self.hello = None;
        self.introduced = true; // also where this host was known as one that is busy
        ack.kind != Kind::Hello && matches!(self.stage, Stage::Closing { .. })
    }

    /// Whether another session is about this object, so that it can go on from what is held here.
    pub(super) fn is_of(&self, other: &Announce) -> bool {
        let of = |announce: &Announce| {
            let geometry = announce.geometry;
            (geometry.object_bytes(), geometry.block_log2(), announce.name.clone(), announce.image_id.clone())
        };
        of(&self.announce) == of(other)
    }

    /// What is to be said now.
    pub(super) fn next_up(&mut self, now: Moment, name: &HostName, software: &str) -> Option<Up> {
        if self.hello.as_mut().is_some_and(|hello| hello.take_due(now)) {
            self.introduced = true;
            return Some(Up::Hello(Hello {
                name: name.clone(),
                software: software.to_owned(),
                busy: false,
                kept: self.kept(0, HELD_RUNS_MAX),
            }));
        }
        if let Stage::Closing { last_word, repeat, .. } = &mut self.stage {
            return repeat.take_due(now).then(|| last_word.clone());
        }
        if self.report_at.is_none_or(|at| now < at) {
            return None;
        }
        self.report_at = None;
        self.report().map(Up::Report)
    }

    /// Blocks from `from` on that need not be sent to this host: those that it kept of an earlier session; all of them where a
    /// file of this name is there, as it takes no other.
    fn kept(&self, from: u32, runs_max: usize) -> Vec<KeptRun> {
        let blocks = self.announce.geometry.blocks().saturating_sub(from);
        match self.stage {
            Stage::Existing | Stage::Comparing if blocks > 0 && runs_max > 0 => {
                vec![KeptRun { first: BlockIndex(from), blocks }]
            }
            Stage::Opening | Stage::Receiving if self.table.is_resumed() => {
                self.table.held_runs(from, runs_max)
            }
            _ => Vec::new(),
        }
    }

    /// When [`Session::next_up`] has something to say next.
    pub(super) fn next_at(&self) -> Option<Moment> {
        let last_word = match &self.stage {
            Stage::Closing { repeat, .. } => Some(repeat.next_at),
            _ => self.report_at,
        };
        [last_word, self.hello.map(|hello| hello.next_at)].into_iter().flatten().min()
    }

    fn report(&self) -> Option<Report> {
        let poll = self.poll.as_ref()?;
        let collecting = matches!(self.stage, Stage::Opening | Stage::Receiving);
        // Before the store has said what it kept, nothing of it is asked for.
        let asks = matches!(self.stage, Stage::Receiving);
        let deficits = if asks { self.table.deficits(poll.blocks_sent) } else { Vec::new() };
        let room = report_runs_in(self.announce.geometry.control_bytes()) - deficits.len();
        Some(Report {
            round: poll.round,
            highest: Sequence::new(self.numbers.highest()).expect("it came in 40 bits"),
            blocks_held: self.table.held(),
            covered: poll.blocks_sent,
            deficits,
            gaps: if collecting { self.table.gaps(poll.manifest_sent) } else { Vec::new() },
            kept: self.kept(poll.blocks_sent, room),
            totals: self.totals,
        })
    }

    /// From now on only this is said.
    pub(super) fn close(&mut self, now: Moment, last_word: Up) {
        let repeat = Repeat::new(self.next_turn(now), LAST_WORD_GAP, LAST_WORD_GAP_MAX);
        self.stage = Stage::Closing { last_word, repeat, until: now + LAST_WORD_FOR };
        self.report_at = None;
    }

    /// Whether nothing is lacking that only the sender could give: blocks may still be on their way to the store.
    pub(super) fn has_all(&self) -> bool {
        self.root.is_some() && self.table.has_all_symbols()
    }

    pub(super) fn failed(&self, kind: FailureKind, reason: &str) -> Up {
        Up::Failed(Failed { kind, reason: reason.to_owned(), totals: self.totals })
    }
}

/// Bytes of one buffer of a session: all blocks fit.
pub fn buffer_bytes(announce: &Announce) -> usize {
    let symbols = buffer_symbols(announce.geometry.symbols_max());
    symbols as usize * usize::from(announce.geometry.symbol_size())
}

/// A hello that is not acknowledged is said again.
const HELLO_GAP: Duration = Duration::from_millis(100);
const HELLO_GAP_MAX: Duration = Duration::from_secs(2);

/// So is the last word.
const LAST_WORD_GAP: Duration = Duration::from_millis(20);
const LAST_WORD_GAP_MAX: Duration = Duration::from_secs(1);
/// A sender that does not acknowledge the last word for so long is gone.
const LAST_WORD_FOR: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::ids::ObjectName;
    use crate::integrity::BlockHash;
    use crate::sign::SigningKey;
    use crate::time::WallClock;
    use crate::wire::{DiskFormat, Encoding, ManifestEntry, ManifestRun, Pin};
    use zeroize::Zeroizing;

    #[test]
    fn datagrams_out_of_order_are_not_lost() {
        let mut session = session();
        hear(&mut session, [10, 12, 11, 14, 13]);
        assert_eq!(session.totals.symbols_lost, 0);
        hear(&mut session, [17]);
        assert_eq!(session.totals.symbols_lost, 2);
        hear(&mut session, [15]);
        assert_eq!(session.totals.symbols_lost, 1, "it was only late");
    }

    #[test]
    fn a_host_that_comes_late_counts_from_the_first_datagram_that_it_hears() {
        let mut session = session();
        hear(&mut session, [1_000_000, 999_999, 1_000_002]);
        assert_eq!(session.totals.symbols_lost, 1);
    }

    #[test]
    fn bytes_are_counted_by_datagram() {
        let mut session = session();
        hear(&mut session, [1, 2, 3]);
        assert_eq!(session.totals.bytes_received, 3 * BYTES as u64);
    }

    #[test]
    fn a_datagram_that_is_heard_again_is_no_sign_of_life() {
        let mut session = session();
        session.note(at(5), sequence(7), BYTES);
        session.note(at(900), sequence(7), BYTES);
        session.note(at(901), sequence(6), BYTES);
        assert_eq!(session.heard, at(5));
        session.note(at(902), sequence(8), BYTES);
        assert_eq!(session.heard, at(902));
    }

    #[test]
    fn in_a_signed_session_only_what_is_signed_is_a_sign_of_life() {
        let key = SigningKey::from_seed(&Zeroizing::new([1; 32]));
        let mut session = session_of(Some(&key));
        session.note(at(5), sequence(7), BYTES);
        assert_eq!(session.heard, at(0));
        session.note_proven(at(6), sequence(8), BYTES);
        assert_eq!(session.heard, at(6));
        assert_eq!(session.totals.bytes_received, 2 * BYTES as u64);
    }

    #[test]
    fn a_report_is_due_in_the_hosts_slot() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 13);
        session.take_poll(at(100), poll(1), &mut rng());
        assert_eq!(session.next_at(), Some(at(130)), "slot 13 of 10 is slot 3");
        assert_eq!(said(&mut session, 129), None);
        assert!(matches!(said(&mut session, 130), Some(Up::Report(Report { round: 1, .. }))));
        assert_eq!(said(&mut session, 131), None, "once");
    }

    #[test]
    fn a_host_without_a_slot_answers_somewhere_in_the_window() {
        let mut rng = rng();
        for _ in 0..100 {
            let mut session = session();
            session.take_poll(at(100), poll(1), &mut rng);
            let due = session.report_at.expect("it answers");
            assert!(due >= at(100) && due < at(200), "{due}");
        }
    }

    #[test]
    fn a_host_that_has_not_said_hello_answers_no_poll() {
        let mut session = session();
        session.introduced = false;
        session.hello = Some(Repeat::new(at(500), HELLO_GAP, HELLO_GAP_MAX));
        session.take_poll(at(100), poll(1), &mut rng());
        assert_eq!(said(&mut session, 400), None, "nobody would take it");
        assert!(matches!(said(&mut session, 500), Some(Up::Hello(_))));
        session.take_poll(at(600), poll(2), &mut rng());
        assert!(matches!(said(&mut session, 700), Some(Up::Hello(_))));
        assert!(matches!(said(&mut session, 700), Some(Up::Report(_))));
    }

    #[test]
    fn a_host_that_was_known_as_busy_answers_polls() {
        let mut session = session();
        session.introduced = false;
        acknowledge(&mut session, Kind::Hello, 0);
        session.take_poll(at(100), poll(1), &mut rng());
        assert!(matches!(said(&mut session, 100), Some(Up::Report(_))));
    }

    #[test]
    fn nothing_is_asked_for_before_the_store_has_said_what_it_kept() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 0);
        let entries = vec![ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([0; 32]) }; 4];
        session.table.learn(&ManifestRun::plain(BlockIndex(0), entries));
        let deficits = |session: &mut Session, round| {
            session.take_poll(at(0), Poll { blocks_sent: 4, manifest_sent: 4, ..poll(round) }, &mut rng());
            match said(session, 0) {
                Some(Up::Report(report)) => report.deficits,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(deficits(&mut session, 1), []);
        session.stage = Stage::Receiving;
        session.table.keep(&[BlockIndex(1), BlockIndex(2)]);
        let asked: Vec<u32> = deficits(&mut session, 2).iter().map(|run| run.first.0).collect();
        assert_eq!(asked, [0, 3]);
    }

    #[test]
    fn a_round_is_answered_once_and_an_earlier_one_not_at_all() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 0);
        session.take_poll(at(1), poll(5), &mut rng());
        assert!(said(&mut session, 1).is_some());
        session.take_poll(at(2), poll(5), &mut rng());
        session.take_poll(at(3), poll(4), &mut rng());
        assert_eq!(said(&mut session, 500), None);
    }

    #[test]
    fn a_report_that_is_due_is_not_put_off_by_the_next_poll() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 9);
        session.take_poll(at(0), poll(1), &mut rng());
        session.take_poll(at(50), poll(2), &mut rng());
        assert!(matches!(said(&mut session, 90), Some(Up::Report(Report { round: 2, .. }))));
    }

    #[test]
    fn the_first_root_that_the_sender_vouches_for_counts() {
        let mut session = session();
        for (round, root) in [(1, None), (2, Some(Root([1; 32]))), (3, None), (4, Some(Root([2; 32])))] {
            session.take_poll(at(round.into()), Poll { root, ..poll(round) }, &mut rng());
        }
        assert_eq!(session.root, Some(Root([1; 32])));
    }

    #[test]
    fn a_hello_is_said_in_growing_gaps_until_it_is_acknowledged() {
        let mut session = session();
        let mut times = Vec::new();
        for ms in 0..10_000 {
            if let Some(Up::Hello(_)) = said(&mut session, ms) {
                times.push(ms);
            }
        }
        assert_eq!(times, [0, 100, 300, 700, 1500, 3100, 5100, 7100, 9100]);
        acknowledge(&mut session, Kind::Hello, 0);
        assert_eq!(said(&mut session, 20_000), None);
    }

    #[test]
    fn the_last_word_is_said_until_it_is_acknowledged() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 0);
        let last_word = session.failed(FailureKind::Store, "no");
        session.close(at(0), last_word.clone());
        assert_eq!(said(&mut session, 0), Some(last_word.clone()));
        assert_eq!(said(&mut session, 19), None);
        assert_eq!(said(&mut session, 20), Some(last_word));
        assert!(!acknowledge(&mut session, Kind::Hello, 0), "an ack of the hello may be late");
        assert!(acknowledge(&mut session, Kind::Failed, 0));
    }

    #[test]
    fn the_last_word_waits_for_the_hosts_slot() {
        for (closed, said_at) in [(100, 130), (130, 130), (131, 230), (570, 630)] {
            let mut session = session();
            acknowledge(&mut session, Kind::Hello, 3);
            session.take_poll(at(100), poll(1), &mut rng());
            let last_word = session.failed(FailureKind::Store, "no");
            session.close(at(closed), last_word);
            assert_eq!(session.next_at(), Some(at(said_at)), "closed at {closed}");
        }
    }

    #[test]
    fn the_last_word_is_said_in_the_slot_of_a_shorter_round_that_comes_before_its_turn() {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 3);
        session.take_poll(at(100), Poll { window: Duration::from_secs(10), ..poll(1) }, &mut rng());
        let last_word = session.failed(FailureKind::Store, "no");
        session.close(at(3_101), last_word);
        assert_eq!(session.next_at(), Some(at(13_100)));
        session.take_poll(at(10_110), Poll { slots: 2, ..poll(2) }, &mut rng());
        assert_eq!(session.next_at(), Some(at(10_160)));
        assert!(said(&mut session, 10_160).is_some());
        session.take_poll(at(10_161), poll(3), &mut rng());
        assert_eq!(session.next_at(), Some(at(10_180)), "from then on it keeps to its own gaps");
    }

    #[test]
    fn a_host_that_closes_says_hello_first_where_nobody_knows_it_yet() {
        let mut session = session();
        let last_word = session.failed(FailureKind::Store, "no");
        session.close(at(0), last_word.clone());
        assert!(matches!(said(&mut session, 0), Some(Up::Hello(_))));
        assert_eq!(said(&mut session, 0), Some(last_word));
    }

    #[test]
    fn an_ack_for_another_host_changes_nothing() {
        let mut session = session();
        let last_word = session.failed(FailureKind::Store, "no");
        session.close(at(0), last_word);
        assert!(!session.take_ack(&Ack { receiver: ReceiverId([8; 8]), kind: Kind::Failed, slot: 0 }));
        assert!(session.hello.is_some());
    }

    fn session() -> Session {
        session_of(None)
    }

    fn session_of(signer: Option<&SigningKey>) -> Session {
        let announce = Announce {
            session: SessionId([1; 16]),
            time: WallClock(0),
            geometry: Geometry::new(4 << 20, 20, 1432).expect("in range"),
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: ([10, 0, 0, 1], 7167).into(),
            spread: Duration::ZERO,
            expected_hosts: 0,
            one_way: false,
            base: None,
        };
        let key = GroupKey::new([1; 32]);
        let link = Link::new(&announce, US, &key);
        let mut datagram = Vec::new();
        let cipher = Cipher::downward(&key, announce.session);
        announce.seal(&cipher, signer, sequence(0), &mut datagram);
        let announced = Announce::open(&key, &datagram).expect("ours");
        let mut session = Session::new(at(0), Attempt(1), announced, &key, link, 4, &mut rng());
        session.introduced = true;
        session
    }

    fn hear<const N: usize>(session: &mut Session, numbers: [u64; N]) {
        numbers.into_iter().for_each(|number| session.note(at(1), sequence(number), BYTES));
    }

    fn said(session: &mut Session, ms: u64) -> Option<Up> {
        session.next_up(at(ms), &HostName::new("a").expect("plain"), "test")
    }

    fn acknowledge(session: &mut Session, kind: Kind, slot: u32) -> bool {
        session.take_ack(&Ack { receiver: US, kind, slot })
    }

    fn poll(round: u32) -> Poll {
        let window = Duration::from_millis(100);
        Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 10, root: None }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }

    fn rng() -> Rng {
        Rng::new(&[3; 32])
    }

    const US: ReceiverId = ReceiverId([7; 8]);
    const BYTES: usize = 1_468;
}
