//! One session on one host: what was announced, what has come, what is still to be said.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::{HostName, ReceiverId, Sequence, SessionId};
use crate::integrity::Root;
use crate::receiver::Attempt;
use crate::receiver::collect::buffer_symbols;
use crate::receiver::table::Table;
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::time::Moment;
use crate::wire::{Ack, Announce, Failed, FailureKind, Hello, Kind, Poll, Report, Totals, Up};

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

/// A datagram that is repeated in growing gaps until it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    pub(super) next_at: Moment,
    gap: Duration,
    gap_max: Duration,
}

impl Repeat {
    pub(super) fn new(next_at: Moment, gap: Duration, gap_max: Duration) -> Self {
        Self { next_at, gap, gap_max }
    }

    /// Whether it is due; if so, it is put off.
    pub(super) fn take_due(&mut self, now: Moment) -> bool {
        if now < self.next_at {
            return false;
        }
        self.next_at = now + self.gap;
        self.gap = (self.gap * 2).min(self.gap_max);
        true
    }
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
    /// The hello, until it is acknowledged: the sender takes no other word from a host that it does not know.
    pub(super) hello: Option<Repeat>,
    pub(super) report_at: Option<Moment>,
    poll: Option<Poll>,
    slot: Option<u32>,
    loss: Loss,
    pub(super) totals: Totals,
}

/// Which datagrams to the group came, by their numbers.
#[derive(Default)]
struct Loss {
    first: Option<u64>,
    highest: u64,
    received: u64,
}

impl Session {
    pub(super) fn new(
        now: Moment,
        attempt: Attempt,
        announce: Announce,
        key: &GroupKey,
        link: Link,
        buffers: u16,
        rng: &mut Rng,
    ) -> Self {
        let hello_at = now + rng.below(announce.spread);
        Self {
            attempt,
            cipher: Cipher::downward(key, announce.session),
            link,
            stage: Stage::Opening,
            table: Table::new(announce.geometry, buffers),
            root: None,
            proven: None,
            heard: now,
            hello: Some(Repeat::new(hello_at, HELLO_GAP, HELLO_GAP_MAX)),
            report_at: None,
            poll: None,
            slot: None,
            loss: Loss::default(),
            totals: Totals::default(),
            announce,
        }
    }

    /// A datagram to the group was opened.
    pub(super) fn note(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        let loss = &mut self.loss;
        let number = sequence.value();
        let newer = loss.first.is_none() || number > loss.highest;
        let first = *loss.first.get_or_insert(number);
        if number < first {
            return; // overtaken by the one that we counted from
        }
        if newer {
            // Only what was not said before is a sign of life: a recorded datagram keeps no session alive.
            self.heard = now;
            loss.highest = number;
        }
        loss.received += 1;
        self.totals.symbols_lost = (loss.highest - first + 1).saturating_sub(loss.received);
        self.totals.bytes_received += bytes as u64;
    }

    /// The sender asks; the answer is due in this host's slot of the window.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) {
        if self.poll.as_ref().is_some_and(|last| poll.round <= last.round) {
            return;
        }
        self.root = self.root.or(poll.root);
        let offset = match self.slot {
            Some(slot) => poll.window.mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots)),
            None => rng.below(poll.window),
        };
        let at = now + offset;
        self.report_at = Some(self.report_at.map_or(at, |earlier| earlier.min(at)));
        self.poll = Some(poll);
    }

    /// Whether this ack ends the session here.
    pub(super) fn take_ack(&mut self, ack: &Ack) -> bool {
        if !self.link.is_answered_by(ack) {
            return false;
        }
        self.slot = Some(ack.slot);
        self.hello = None;
        ack.kind != Kind::Hello && matches!(self.stage, Stage::Closing { .. })
    }

    /// What is to be said now.
    pub(super) fn next_up(&mut self, now: Moment, name: &HostName, software: &str) -> Option<Up> {
        if self.hello.as_mut().is_some_and(|hello| hello.take_due(now)) {
            return Some(Up::Hello(Hello { name: name.clone(), software: software.to_owned(), busy: false }));
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
        Some(Report {
            round: poll.round,
            highest: Sequence::new(self.loss.highest).expect("it came in 40 bits"),
            blocks_held: self.table.held(),
            covered: poll.blocks_sent,
            deficits: if collecting { self.table.deficits(poll.blocks_sent) } else { Vec::new() },
            gaps: if collecting { self.table.gaps(poll.manifest_sent) } else { Vec::new() },
            totals: self.totals,
        })
    }

    /// From now on only this is said.
    pub(super) fn close(&mut self, now: Moment, last_word: Up) {
        let repeat = Repeat::new(now, LAST_WORD_GAP, LAST_WORD_GAP_MAX);
        self.stage = Stage::Closing { last_word, repeat, until: now + LAST_WORD_FOR };
        self.report_at = None;
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
