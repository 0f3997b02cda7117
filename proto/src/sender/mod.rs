//! The sender's side of a session: what is sent next, to which hosts, and when the session is over.
//!
//! The shell drives it in this order:
//!
//! 1. Pass in what happened (`handle_*`).
//! 2. Drain [`Sender::poll_transmit`].
//! 3. Call [`Sender::poll_job`] as long as there is room for symbols.
//! 4. Send symbols unless [`Sender::holds_symbols_back`]. An [`Interleaver`] chooses the next one.
//! 5. Sleep until [`Sender::poll_timeout`] or until something happens.
//!
//! All datagrams to the group take their numbers from one counter. The shell takes the numbers of its symbols
//! ([`Sender::take_sequences`]) right before it seals them.

mod acks;
mod ahead;
mod blocks;
mod config;
mod ending;
mod event;
mod gate;
mod hosts;
mod inbox;
mod interleave;
mod one_way;
mod order;
mod polls;
mod rate;
mod sequences;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use blocks::{Job, Unsent};
pub use config::SenderConfig;
pub use event::{JobRoom, SenderEvent, SenderTimer, To, Transmit, Verdict};
pub use hosts::{Cause, Expected, HostRow, HostState, Sideline, Tally};
pub use interleave::{FinishedJob, INTERLEAVED_BLOCKS, Interleaver, NextSymbol};
pub use one_way::OneWay;
pub use rate::Pace;

use crate::ids::{BlockIndex, Sequence};
use crate::integrity::{Fingerprint, Root};
use crate::limits::{EVENTS_MAX, REPORTS_PER_SECOND_MAX};
use crate::seal::Cipher;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Discard, DiscardCounts, Down, Encoding, Kind, ManifestEntry, Poll};
use acks::Acks;
use ahead::repair_ahead;
use blocks::{Blocks, FirstPass};
use ending::Ending;
use gate::{Gate, Sends};
use hosts::{Asked, Hosts, Round};
use one_way::{OneWayPush, Repeated};
use order::JobOrder;
use polls::{Phase, Polls};
use rate::{RateControl, Sent};
use sequences::Sequences;

/// One push.
pub struct Sender {
    config: SenderConfig,
    cipher: Cipher,
    start: Moment,
    blocks: Blocks,
    hosts: Hosts,
    source: Source,
    ending: Option<Ending>,
    sequences: Sequences,
    announce_at: Moment,
    silence_at: Moment,
    polls: Polls,
    /// The hosts that the last poll asked.
    asked: Asked,
    rate: RateControl,
    one_way: Option<OneWayPush>,
    skipped: u32,
    /// Holds back the first symbols.
    gate: Gate,
    /// The only host that still receives.
    last_one: Option<SocketAddr>,
    acks: Acks,
    order: JobOrder,
    events: VecDeque<SenderEvent>,
    discards: DiscardCounts,
}

/// How far the source was read.
enum Source {
    Reading,
    /// Read to its end and proven. `pass_ended` is when all first passes had been sent.
    Proven {
        root: Root,
        pass_ended: Option<Moment>,
    },
}

impl Sender {
    /// Returns a push that begins now.
    ///
    /// # Panics
    /// If `config` has a base in one-way mode, in which no host could ask for its blocks.
    pub fn new(now: Moment, config: SenderConfig) -> Self {
        assert!(config.base.is_none() || config.one_way.is_none());
        let (first_pass, sends) = match (&config.base, config.one_way) {
            (Some(_), _) => (FirstPass::OnDemand, Sends::WhatIsAskedFor),
            (None, None) => (FirstPass::Sent, Sends::Everything),
            (None, Some(_)) => (FirstPass::Sent, Sends::Unheard),
        };
        Self {
            cipher: Cipher::downward(&config.key, config.session),
            start: now,
            blocks: Blocks::new(config.geometry, first_pass),
            hosts: Hosts::new(config.expected.clone(), config.only_listed),
            source: Source::Reading,
            ending: None,
            sequences: Sequences::new(),
            announce_at: now,
            silence_at: now,
            polls: Polls::new(now),
            asked: Asked { slots: 1, window: Duration::ZERO },
            rate: RateControl::new(config.pace),
            one_way: config.one_way.map(|one_way| OneWayPush::new(now, one_way)),
            skipped: 0,
            gate: Gate::new(now, sends),
            last_one: None,
            acks: Acks::new(now),
            order: JobOrder::new(config.geometry.symbols_max()),
            events: VecDeque::new(),
            discards: DiscardCounts::default(),
            config,
        }
    }

    /// Handles the next block of the source, in the order of the object, with which `ahead` repair symbols were made:
    /// see [`Sender::repair_ahead`].
    ///
    /// # Panics
    /// If the push has a base.
    pub fn handle_block(&mut self, entry: ManifestEntry, ahead: u32) -> BlockIndex {
        assert!(self.config.base.is_none());
        self.blocks.push(entry, None, ahead)
    }

    /// Handles the next block of the source in a push with a base. The block is not sent before a host asks for it.
    /// Hosts look for it by its fingerprint, which every block but a zero block has.
    ///
    /// # Panics
    /// If a fingerprint is missing, or is there and the push has no base.
    pub fn handle_fingerprinted(
        &mut self,
        entry: ManifestEntry,
        fingerprint: Option<Fingerprint>,
    ) -> BlockIndex {
        assert!(self.config.base.is_some());
        assert_eq!(fingerprint.is_some(), entry.encoding != Encoding::Zero);
        self.blocks.push(entry, fingerprint, 0)
    }

    /// Notes that the source was read to its end with the right length and digest, so that hosts may publish. Returns
    /// the root.
    ///
    /// # Panics
    /// If not all blocks were handed in.
    pub fn handle_source_proven(&mut self, now: Moment) -> Root {
        assert!(self.blocks.all_read());
        let root = Root::of(self.config.geometry, &self.blocks.hashes());
        self.source = Source::Proven { root, pass_ended: None };
        self.note_progress(now);
        root
    }

    /// Notes that all symbols of `job` have left; `last` is the number of the last one.
    pub fn handle_sent(&mut self, now: Moment, job: Job, last: Sequence) {
        self.blocks.finish(job, last);
        self.note_progress(now);
    }

    /// Ends the push early with `reason`: it is aborted, and no host may publish. If hosts were allowed to publish
    /// before, it is given up.
    pub fn handle_abort(&mut self, now: Moment, reason: &str) {
        if self.ending.is_none() {
            let reason = reason.to_owned();
            let verdict = match self.source {
                Source::Proven { .. } => Verdict::GivenUp(reason),
                Source::Reading => Verdict::Aborted(reason),
            };
            self.end(now, verdict);
        }
    }

    /// Handles a datagram that came in at the sender's address.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_datagram(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let result = self.take_datagram(now, from, datagram);
        if let Err(reason) = result {
            self.discards.count(reason);
        }
        self.open_gate();
        if self.ending.is_none() {
            self.settle(now);
        }
        result
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Moment) {
        if self.ending.is_some() {
            return;
        }
        self.open_gate();
        self.gate.handle_timeout(now, self.pass_ended());
        if now >= self.silence_at {
            self.silence_at = now + SILENCE_CHECK;
            for name in self.hosts.mark_silent(now) {
                self.event(SenderEvent::Silent(name));
            }
        }
        self.settle(now);
        if self.ending.is_none() && now >= self.start + self.config.timeout {
            match self.source {
                Source::Proven { .. } if self.one_way.is_some() => {
                    self.end(now, Verdict::GivenUp("the time ran out before everything was sent".into()));
                }
                Source::Proven { .. } => self.end(now, self.verdict_now()),
                Source::Reading => {
                    self.end(
                        now,
                        Verdict::Aborted("the time for the push ran out before the image was read".into()),
                    );
                }
            }
        }
    }

    /// Writes the next control datagram into `out`; returns its destination and kind.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((to, ack)) = self.acks.pop() {
            let sequence = self.sequences.take_unicast();
            Down::Ack(ack).seal(&self.cipher, None, self.config.session, sequence, out);
            return Some(Transmit { to: To::Host(to), kind: Kind::Ack });
        }
        let down = self.next_down(now);
        match down {
            Some(down) => {
                let kind = down.kind();
                let sequence = self.take_sequences(1);
                let (signer, session) = (self.config.signer.as_ref(), self.config.session);
                down.seal(&self.cipher, signer, session, sequence, out);
                Some(Transmit { to: To::Everyone, kind })
            }
            None if self.ending.is_none() && now >= self.announce_at => {
                self.announce(now, out);
                Some(Transmit { to: To::Everyone, kind: Kind::Announce })
            }
            None => None,
        }
    }

    /// Skips the next block of the first pass if every host has reported that it holds it; returns the block, whose
    /// symbols the shell drops. Call it before [`Sender::poll_job`].
    #[must_use]
    pub fn poll_skip(&mut self, now: Moment) -> Option<BlockIndex> {
        let block = self.blocks.next_fresh()?;
        if self.ending.is_some() || !self.hosts.all_hold(block) {
            return None;
        }
        // A host that turns out to lack the block asks for it in a report that has seen this number.
        self.blocks.skip(self.sequences.last());
        self.skipped += 1;
        self.note_progress(now);
        Some(block)
    }

    /// Whether no symbol may leave now, not even one of a job that was begun. Either expected hosts may be about to
    /// report what they kept or lack, or all hosts that answer are busy with another push and would receive none.
    pub fn holds_symbols_back(&self) -> bool {
        self.gate.is_shut() || self.hosts.are_all_busy()
    }

    /// Whether some host has kept something of an earlier session.
    pub fn is_resuming(&self) -> bool {
        self.hosts.is_resuming()
    }

    /// Whether any host still needs a block that is being sent for the first time, as far as hosts have reported.
    pub fn needs_pass(&self, block: BlockIndex) -> bool {
        self.blocks.is_passed(block) || !self.hosts.all_hold(block)
    }

    /// The number of blocks that were not sent in the first pass because every host held them.
    pub fn blocks_skipped(&self) -> u32 {
        self.skipped
    }

    /// The blocks with data of which nothing was sent so far. At the end, these are the blocks that every host held
    /// already.
    pub fn unsent(&self) -> Unsent {
        self.blocks.unsent()
    }

    /// Returns the next symbols to send, of a kind that the shell has room for.
    #[must_use]
    pub fn poll_job(&mut self, room: JobRoom) -> Option<Job> {
        if self.ending.is_some() || self.is_leading() || self.holds_symbols_back() {
            return None;
        }
        self.order.next(&mut self.blocks, room)
    }

    /// Returns where symbols are sent: to everyone, or to the only host of several that still receives. They have the
    /// group's numbers in both cases, as no other host counts its losses by then.
    pub fn destination(&self) -> To {
        self.last_one.map_or(To::Everyone, To::Host)
    }

    /// The rate at which to send, in bits per second of whole frames.
    pub fn rate(&self) -> u64 {
        self.rate.rate().bits()
    }

    /// The share of datagrams that the quantile of the hosts loses at the moment, 0 to 1.
    pub fn usual_loss(&self) -> f64 {
        self.hosts.usual_loss()
    }

    /// The number of repair symbols to make with a whole block as it is read, before any host asks: what hosts will
    /// lack of it, as far as that is known. A shorter block needs a proportional share of them.
    pub fn repair_ahead(&self) -> u32 {
        let symbols = self.config.geometry.symbols_max();
        if let Some(one_way) = &self.one_way {
            return one_way.repair_symbols(symbols);
        }
        // Loss from congestion ends at the lower rate that it leads to.
        let usual = self.hosts.usual_loss();
        let loss = self.rate.lasting_loss().map_or(usual, |lasting| usual.min(lasting));
        repair_ahead(symbols, loss, self.hosts.tally().heard)
    }

    /// Returns when to call [`Sender::handle_timeout`] and drain again, and for which timer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Moment, SenderTimer)> {
        if let Some(ending) = &self.ending {
            return ending.next_at().map(|at| (at, SenderTimer::End));
        }
        let has_manifest = !self.is_leading() && self.blocks.has_manifest(self.manifest_copies());
        let one_way = self.one_way.as_ref().filter(|_| has_manifest);
        let manifest = one_way.map(|one_way| (one_way.manifest_at(), SenderTimer::Manifest));
        let timers = [
            (self.announce_at, SenderTimer::Announce),
            (self.polls.next_at(), SenderTimer::Poll),
            (self.start + self.config.timeout, SenderTimer::Timeout),
        ];
        let first_wait = self.gate.next_at().map(|until| (until, SenderTimer::FirstWait));
        first_wait.into_iter().chain(timers).chain(manifest).min_by_key(|&(at, _)| at)
    }

    /// Returns the next event to show to a person.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// Takes `count` consecutive numbers for datagrams to the group; returns the first.
    ///
    /// # Panics
    /// After 2^39 datagrams, some 700 TB: the object's limit is far below.
    pub fn take_sequences(&mut self, count: u32) -> Sequence {
        self.sequences.take(count)
    }

    /// The cipher that seals the datagrams to the group.
    pub fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// The configuration of the push.
    pub fn config(&self) -> &SenderConfig {
        &self.config
    }

    /// The manifest entry of a block, once it was read.
    pub fn entry(&self, block: BlockIndex) -> Option<&ManifestEntry> {
        self.blocks.entry(block)
    }

    /// The number of blocks whose first pass was sent.
    pub fn blocks_sent(&self) -> u32 {
        self.blocks.sent()
    }

    /// The root, once the source is proven.
    pub fn root(&self) -> Option<Root> {
        match self.source {
            Source::Reading => None,
            Source::Proven { root, .. } => Some(root),
        }
    }

    /// The time from the start of the push to its verdict.
    pub fn time(&self) -> Option<Duration> {
        self.ending.as_ref().map(|ending| ending.since().since(self.start))
    }

    /// How many hosts are in which state.
    pub fn tally(&self) -> Tally {
        self.hosts.tally()
    }

    /// One row for each host that was heard or is expected.
    pub fn rows(&self) -> Vec<HostRow> {
        self.hosts.rows(self.start)
    }

    /// Datagrams dropped, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    /// The verdict, once it is reached. The end is still being sent until [`Sender::is_finished`].
    pub fn verdict(&self) -> Option<&Verdict> {
        self.ending.as_ref().map(Ending::verdict)
    }

    /// Whether the end was sent often enough.
    pub fn is_finished(&self) -> bool {
        self.ending.as_ref().is_some_and(Ending::is_said)
    }

    /// Whether one-way mode still holds symbols back. The group first hears what is coming, as no host can ask for what
    /// it missed.
    fn is_leading(&self) -> bool {
        self.one_way.as_ref().is_some_and(|one_way| one_way.is_leading(self.polls.rounds()))
    }

    /// Returns the next control datagram to the group other than an announcement.
    fn next_down(&mut self, now: Moment) -> Option<Down> {
        if let Some(ending) = &mut self.ending {
            return ending.next(now).map(Down::End);
        }
        let next_sequence = self.sequences.next();
        let is_early = self.one_way.as_ref().is_some_and(|one_way| now < one_way.manifest_at());
        let is_held_back = self.is_leading() || is_early;
        if !is_held_back && let Some(run) = self.blocks.next_manifest(next_sequence, self.manifest_copies()) {
            let time = self.control_time();
            self.one_way.iter_mut().for_each(|one_way| one_way.note_manifest(now, time));
            self.note_progress(now);
            return Some(Down::Manifest(run));
        }
        if now < self.polls.next_at() || self.polls.is_due(now) && self.waits_for_end_of_pass(now) {
            return None;
        }
        Some(Down::Poll(self.next_poll(now)))
    }

    /// Puts off a round that would still be running when the pass ends; returns whether it did. A round of thousands of
    /// hosts takes seconds, and the round that asks for everything still lacking cannot begin before it is over.
    fn waits_for_end_of_pass(&mut self, now: Moment) -> bool {
        let blocks = self.config.geometry.blocks() - self.blocks.sent();
        if self.is_tail() || self.one_way.is_some() {
            return false;
        }
        let frame_bits = 8 * (self.config.geometry.datagram_bytes() as u64 + self.config.header_bytes);
        let bits = u64::from(blocks) * u64::from(self.config.geometry.symbols_max()) * frame_bits;
        let left = Duration::from_secs_f64(bits as f64 / self.rate().max(1) as f64);
        (PUT_OFF_MIN..self.hosts.asked().window).contains(&left) && self.polls.put_off(now + left)
    }

    fn next_poll(&mut self, now: Moment) -> Poll {
        let round = if self.polls.is_due(now) { self.next_round(now) } else { self.polls.again(now) };
        Poll {
            round,
            blocks_sent: self.blocks.sent(),
            manifest_sent: self.blocks.manifest_sent(),
            window: self.asked.window,
            slots: self.asked.slots,
            root: self.root(),
        }
    }

    fn next_round(&mut self, now: Moment) -> u32 {
        self.end_round(now);
        self.asked = self.hosts.asked();
        let phase = match self.source {
            Source::Proven { pass_ended: Some(_), .. } => Phase::Tail,
            Source::Proven { pass_ended: None, .. } | Source::Reading if self.rate.is_searching() => {
                Phase::Search
            }
            Source::Proven { pass_ended: None, .. } | Source::Reading => Phase::Pass,
        };
        self.polls.next_round(now, phase, self.asked.window)
    }

    /// The number of times that each entry of the manifest is sent. A host that lacks an entry cannot finish its block,
    /// and its buffers fill up until it has reported that in its turn and was answered. Of thousands of hosts that each
    /// lose 1 % of the datagrams, one always loses two in a row.
    fn manifest_copies(&self) -> u32 {
        if self.hosts.answering() < MANIFEST_MANY_HOSTS { MANIFEST_COPIES } else { MANIFEST_COPIES_FOR_MANY }
    }

    /// The time that the longest control datagram takes at the rate of the push.
    fn control_time(&self) -> Duration {
        let bits = 8 * (self.config.geometry.control_bytes() as u64 + self.config.header_bytes);
        Duration::from_micros(bits * 1_000_000 / self.rate().max(1))
    }

    /// Draws the conclusions from the reports to the last poll.
    fn end_round(&mut self, now: Moment) {
        let Round { loss, sidelined } = self.hosts.end_round(now);
        let frame_bytes = self.config.geometry.datagram_bytes() as u64 + self.config.header_bytes;
        let datagrams = self.sequences.next().value();
        self.rate.note_round(now, Sent { datagrams, frame_bytes }, loss);
        if !sidelined.is_empty() && !self.is_tail() {
            self.blocks.forget_demands(); // most demands are theirs
        }
        for (name, sideline) in sidelined {
            self.event(SenderEvent::Sidelined(name, sideline));
        }
        self.last_one = if self.is_tail() { self.hosts.last_one() } else { None };
    }

    fn is_tail(&self) -> bool {
        self.pass_ended().is_some()
    }

    /// The time over which hosts spread their hellos to stay below [`REPORTS_PER_SECOND_MAX`].
    fn spread(&self) -> Duration {
        (Duration::from_secs(1) * self.hosts.answering() / REPORTS_PER_SECOND_MAX).max(HELLO_SPREAD_MIN)
    }

    fn announce(&mut self, now: Moment, out: &mut Vec<u8>) {
        let age = now.since(self.start);
        self.announce_at = now + (age / 4).clamp(ANNOUNCE_GAP_MIN, ANNOUNCE_GAP_MAX);
        let announce = Announce {
            session: self.config.session,
            time: WallClock(self.config.started.0 + age.as_millis() as u64),
            geometry: self.config.geometry,
            name: self.config.name.clone(),
            image_id: self.config.image_id.clone(),
            format: self.config.format,
            pin: self.config.pin,
            reply_to: self.config.reply_to,
            spread: self.spread(),
            expected_hosts: self.hosts.expected_count(),
            one_way: self.one_way.is_some(),
            base: self.config.base.clone(),
        };
        let sequence = self.take_sequences(1);
        announce.seal(&self.cipher, self.config.signer.as_ref(), sequence, out);
    }

    /// Ends each wait of the gate once all hosts that it is for were heard.
    fn open_gate(&mut self) {
        let tally = self.hosts.tally();
        if tally.heard >= tally.expected {
            self.gate.end_first_wait();
        }
        if self.hosts.are_all_heard() {
            self.gate.end_gathering();
        }
    }

    /// When both the source was proven and all first passes had been sent.
    fn pass_ended(&self) -> Option<Moment> {
        match self.source {
            Source::Proven { pass_ended, .. } => pass_ended,
            Source::Reading => None,
        }
    }

    /// Asks at once what is still lacking if the pass has just ended, or the last repair has just left.
    fn note_progress(&mut self, now: Moment) {
        let all_sent = self.blocks.all_sent() && self.blocks.is_idle();
        let is_empty = self.config.geometry.blocks() == 0;
        if all_sent && !is_empty && self.root().is_some() {
            match self.one_way.as_mut().and_then(|one_way| one_way.repeat(now)) {
                Some(Repeated::Everything) => return self.blocks.start_over(),
                Some(Repeated::Manifest) => return self.blocks.repeat_manifest(),
                None => {}
            }
        }
        let all_sent = if self.one_way.is_some() { all_sent } else { self.blocks.all_sent() };
        if let Source::Proven { pass_ended, .. } = &mut self.source
            && all_sent
        {
            pass_ended.get_or_insert(now);
            if self.blocks.is_idle() {
                self.polls.soon(now);
            }
        }
    }

    fn settle(&mut self, now: Moment) {
        let Some(pass_ended) = self.pass_ended() else { return };
        if let Some(one_way) = &self.one_way {
            if one_way.is_over(now, pass_ended) {
                self.end(now, Verdict::Unknown);
            }
        } else if self.hosts.settled(now, pass_ended) {
            self.end(now, self.verdict_now());
        }
    }

    fn verdict_now(&self) -> Verdict {
        if self.hosts.complete() { Verdict::Complete } else { Verdict::Incomplete }
    }

    fn end(&mut self, now: Moment, verdict: Verdict) {
        self.ending = Some(Ending::new(now, verdict));
    }

    fn event(&mut self, event: SenderEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

/// Shortest time for which a poll is put off.
const PUT_OFF_MIN: Duration = Duration::from_millis(1);

/// The number of times that each entry of the manifest is sent: some 0.007 % of the object.
const MANIFEST_COPIES: u32 = 2;
/// The same from [`MANIFEST_MANY_HOSTS`] hosts on: 0.03 %.
const MANIFEST_COPIES_FOR_MANY: u32 = 6;
const MANIFEST_MANY_HOSTS: u32 = 256;

/// Gaps between announcements, of 0.2 kB each. They are short at first, as a host that misses an announcement misses
/// all symbols up to the next one, and grow with the age of the session.
const ANNOUNCE_GAP_MIN: Duration = Duration::from_millis(1);
const ANNOUNCE_GAP_MAX: Duration = Duration::from_millis(100);

/// Shortest time over which hellos are spread.
const HELLO_SPREAD_MIN: Duration = Duration::from_millis(5);

/// Time between two checks for silent hosts.
const SILENCE_CHECK: Duration = Duration::from_secs(1);
