//! What the sender says to the group besides symbols, and to single hosts: which datagram is next.

use std::time::Duration;

use super::Sender;
use super::Source;
use super::event::{To, Transmit};
use super::one_way::OneWayPush;
use super::paging::Announced;
use super::polls::Phase;
use crate::sign::Signer;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Down, Kind, Poll};

impl Sender {
    /// Writes the next control datagram into `out`; returns its destination and kind.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        while let Some((to, ack)) = self.acks.pop() {
            if let Some(host) = self.hosts.get(ack.receiver) {
                let sequence = self.sequences.take_unicast();
                ack.seal(&host.link().down, self.config.session.tag(), sequence, out);
                return Some(Transmit { to: To::Host(to), kind: Kind::Ack });
            }
        }
        if let Some(transmit) = self.next_relayed(now, out) {
            return Some(transmit);
        }
        let kind = match self.next_down(now) {
            Some(down) => {
                let sequence = self.sequences.take(1);
                down.seal(&self.cipher, self.signer(), self.config.session, sequence, out);
                down.kind()
            }
            None if self.ending.is_none() && now >= self.announce_at => {
                self.announce(now, out);
                Kind::Announce
            }
            None => return None,
        };
        if self.paths.has_unserved() {
            self.note_said(now, kind, out);
        }
        Some(Transmit { to: To::Everyone, kind })
    }

    /// Whether one-way mode still holds symbols back. The group first hears what is coming, as no host can ask for what
    /// it missed.
    pub(super) fn is_leading(&self) -> bool {
        let is_heard =
            |one_way: &OneWayPush| !one_way.is_leading(self.polls.rounds()) && self.paging.has_led();
        self.one_way.as_ref().is_some_and(|one_way| !is_heard(one_way))
    }

    /// Returns the next control datagram to the group other than an announcement.
    fn next_down(&mut self, now: Moment) -> Option<Down> {
        if let Some(ending) = &mut self.ending {
            return ending.next(now).map(Down::End);
        }
        let time = self.control_time();
        if let Some(page) = self.paging.next(now, time) {
            return Some(Down::Audience(page));
        }
        let next_sequence = self.sequences.next();
        let is_early = self.one_way.as_ref().is_some_and(|one_way| now < one_way.manifest_at());
        let is_held_back = self.is_leading() || is_early;
        if !is_held_back && let Some(run) = self.blocks.next_manifest(next_sequence, self.manifest_copies()) {
            self.one_way.iter_mut().for_each(|one_way| one_way.note_manifest(now, time));
            self.note_progress(now);
            return Some(Down::Manifest(run));
        }
        if let Some(proofs) = self.proofs.next(now, time, next_sequence) {
            return Some(Down::Proofs(proofs));
        }
        if now < self.polls.next_at() || self.polls.is_due(now) && self.waits_for_end_of_pass(now) {
            return None;
        }
        Some(Down::Poll(self.next_poll(now)))
    }

    fn announce(&mut self, now: Moment, out: &mut Vec<u8>) {
        self.update_budget();
        let age = now.since(self.start);
        self.announce_at = now + (age / 4).clamp(ANNOUNCE_GAP_MIN, ANNOUNCE_GAP_MAX);
        let announce = Announce {
            session: self.config.session,
            time: WallClock(self.config.started.0 + age.as_millis() as u64),
            started: self.started,
            geometry: self.config.geometry,
            name: self.config.name.clone(),
            image_id: self.config.image_id.clone(),
            format: self.config.format,
            pin: self.config.pin,
            reply_to: self.config.reply_to,
            spread: self.hosts.hello_spread().max(HELLO_SPREAD_MIN),
            audience: self.paging.audience(),
            agreement: self.config.agreement.public(),
            one_way: self.one_way.is_some(),
            base: self.config.base.clone(),
            data_bytes: self.config.data_bytes,
        };
        let sequence = self.sequences.take(1);
        announce.seal(&self.cipher, self.signer(), sequence, out);
        self.paging.note_announced(Announced {
            now,
            gap: self.announce_at.since(now),
            page: self.control_time(),
            is_leading: self.is_leading(),
        });
    }

    /// Updates what all hosts together may send. While the rate is searched for, its cap counts: short rounds find it
    /// sooner. Where no host answers, nothing limits the polls.
    fn update_budget(&mut self) {
        if self.one_way.is_some() {
            return;
        }
        let cap = self.config.pace.cap();
        let rate = if self.rate.is_searching() { cap } else { self.rate.rate() };
        self.hosts.set_budget(self.feedback.budget(rate, cap));
    }

    /// What signs the datagrams to the group, if this sender has a key.
    pub(super) fn signer(&self) -> Option<Signer<'_>> {
        self.config.signer.as_ref().map(|key| key.within(self.scope))
    }

    /// Puts off a round that would still be running when the pass ends; returns whether it did. A round of thousands of
    /// hosts takes seconds, and the round that asks for everything still lacking cannot begin before it is over.
    fn waits_for_end_of_pass(&mut self, now: Moment) -> bool {
        let blocks = self.config.geometry.blocks() - self.blocks.sent();
        if self.is_tail() || self.one_way.is_some() {
            return false;
        }
        let bits = u64::from(blocks) * u64::from(self.config.geometry.symbols_max()) * self.frame_bits();
        let left = Duration::from_secs_f64(bits as f64 / self.rate().max(1) as f64);
        let window = self.pass_gap(Phase::Pass).map_or(Duration::MAX, |within| within.max(PUT_OFF_MIN));
        let window = window.min(self.hosts.asked().window);
        (PUT_OFF_MIN..window).contains(&left) && self.polls.put_off(now + left)
    }

    fn next_poll(&mut self, now: Moment) -> Poll {
        let round = if self.polls.is_due(now) { self.next_round(now) } else { self.polls.again(now) };
        Poll {
            round,
            blocks_sent: self.blocks.sent(),
            manifest_sent: self.blocks.manifest_sent(),
            window: self.asked.window,
            slots: self.asked.slots,
            part: self.asked.part,
            root: self.root(),
        }
    }

    fn next_round(&mut self, now: Moment) -> u32 {
        self.end_round(now);
        self.update_budget();
        let phase = match self.source {
            Source::Proven { pass_ended: Some(_), .. } => Phase::Tail,
            Source::Proven { pass_ended: None, .. } | Source::Reading if self.rate.is_searching() => {
                Phase::Search
            }
            Source::Proven { pass_ended: None, .. } | Source::Reading => Phase::Pass,
        };
        let within = self.pass_gap(phase);
        self.asked = self.hosts.ask(now, within);
        self.paths.note_poll(now, self.asked.window);
        self.polls.next_round(now, within, self.asked)
    }

    /// The time between two polls of the same hosts for the rate in this phase; `None` in the tail.
    ///
    /// Blocks that lack a symbol hold their buffers until the hosts were asked and answered, so that this is far shorter
    /// than the time in which the buffers are filled.
    fn pass_gap(&self, phase: Phase) -> Option<Duration> {
        let blocks = self.hosts.buffers().map(f64::from);
        let block_bits = f64::from(self.config.geometry.symbols_max()) * self.frame_bits() as f64;
        let filled =
            blocks.map(|blocks| Duration::from_secs_f64(blocks * block_bits / self.rate().max(1) as f64));
        phase.gap(filled)
    }

    fn frame_bits(&self) -> u64 {
        8 * (self.config.geometry.datagram_bytes() as u64 + self.config.header_bytes)
    }

    /// The number of times that each entry of the manifest is sent. A host that lacks an entry cannot finish its block,
    /// and its buffers fill up until it has reported that in its turn and was answered. Of thousands of hosts that each
    /// lose 1 % of the datagrams, one always loses two in a row.
    pub(super) fn manifest_copies(&self) -> u32 {
        if self.hosts.answering() < MANIFEST_MANY_HOSTS { MANIFEST_COPIES } else { MANIFEST_COPIES_FOR_MANY }
    }

    /// The time that the longest control datagram takes at the rate of the push.
    fn control_time(&self) -> Duration {
        let bits = 8 * (self.config.geometry.control_bytes() as u64 + self.config.header_bytes);
        Duration::from_micros(bits * 1_000_000 / self.rate().max(1))
    }
}

/// Gaps between announcements, of 0.2 kB each. They are short at first, as a host that misses an announcement misses
/// all symbols up to the next one, and grow with the age of the session.
const ANNOUNCE_GAP_MIN: Duration = Duration::from_millis(1);
const ANNOUNCE_GAP_MAX: Duration = Duration::from_millis(100);

/// Shortest time over which hellos are spread.
const HELLO_SPREAD_MIN: Duration = Duration::from_millis(5);

/// The number of times that each entry of the manifest is sent: some 0.007 % of the object.
const MANIFEST_COPIES: u32 = 2;
/// The same from [`MANIFEST_MANY_HOSTS`] hosts on: 0.03 %.
const MANIFEST_COPIES_FOR_MANY: u32 = 6;
const MANIFEST_MANY_HOSTS: u32 = 256;

/// Shortest time for which a poll is put off.
const PUT_OFF_MIN: Duration = Duration::from_millis(1);
