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
#[cfg(test)]
mod audience_tests;
mod blocks;
mod config;
mod downlink;
mod ending;
mod event;
mod feedback;
mod flow;
mod gate;
mod hosts;
mod inbox;
#[cfg(test)]
mod insider_tests;
mod interleave;
mod joining;
#[cfg(test)]
mod joining_tests;
#[cfg(test)]
mod key_tests;
mod one_way;
mod order;
mod paging;
mod paths;
mod polls;
mod progress;
mod proofs;
mod rate;
mod relaying;
mod sequences;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use blocks::{Job, Unsent};
pub use config::SenderConfig;
pub use event::{JobRoom, RelayFault, Relaying, SenderEvent, SenderTimer, To, Transmit, Verdict};
pub use hosts::{
    Cause, Expected, HostReceipt, HostRow, HostState, Lag, LagCause, Lagging, Sideline, Tally, Watch,
};
pub use interleave::{FinishedJob, INTERLEAVED_BLOCKS, Interleaver, NextSymbol};
pub use one_way::OneWay;
pub use paths::{PathAddrs, PathSet, PlanRow, PlanView, Reach, Segment, SegmentView, Via};
pub use rate::Pace;

use crate::audience::Pages;
use crate::ids::{BlockIndex, Sequence};
use crate::integrity::{Fingerprint, Root};
use crate::known::FirstUse;
use crate::limits::EVENTS_MAX;
use crate::outages::Pauses;
use crate::seal::Cipher;
use crate::sign::Scope;
use crate::time::{Moment, WallClock};
use crate::wire::{Discard, DiscardCounts, Encoding, ManifestEntry, Part, SymbolHash, proofs_in};
use acks::Acks;
use ahead::repair_ahead;
use blocks::{Blocks, FirstPass};
use ending::Ending;
use feedback::Feedback;
use flow::Flow;
use gate::{Gate, Sends};
use hosts::{Asked, Hosts};
use joining::Joining;
use one_way::OneWayPush;
use order::JobOrder;
use paging::Paging;
use paths::Paths;
use polls::Polls;
use proofs::ProofSchedule;
use rate::RateControl;
use relaying::SaidPages;
use sequences::Sequences;

/// One push.
pub struct Sender {
    config: SenderConfig,
    scope: Scope,
    cipher: Cipher,
    /// For which hosts the push is, page by page.
    paging: Paging,
    start: Moment,
    /// The civil time at the start; no outage changes it.
    started: WallClock,
    paths: Paths,
    said_pages: SaidPages,
    blocks: Blocks,
    /// Symbols of the jobs that have left.
    symbols_sent: u64,
    proofs: ProofSchedule,
    hosts: Hosts,
    feedback: Feedback,
    source: Source,
    ending: Option<Ending>,
    sequences: Sequences,
    announce_at: Moment,
    silence_at: Moment,
    polls: Polls,
    /// The hosts that the last poll asked.
    asked: Asked,
    rate: RateControl,
    flow: Flow,
    one_way: Option<OneWayPush>,
    skipped: u32,
    /// Holds back the first symbols.
    gate: Gate,
    joining: Joining,
    /// The only host that still receives.
    last_one: Option<SocketAddr>,
    acks: Acks,
    order: JobOrder,
    /// Addresses from which notices under another group key came, a few of them.
    other_keys: BTreeSet<IpAddr>,
    /// When the time of the machine stood still.
    pauses: Pauses,
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
    /// If `config` has a base in one-way mode, in which no host could ask for its blocks; or if it expects more than
    /// [`AUDIENCE_MAX`](crate::limits::AUDIENCE_MAX) hosts by name, or none.
    pub fn new(now: Moment, config: SenderConfig) -> Self {
        assert!(config.base.is_none() || config.one_way.is_none());
        let (first_pass, sends) = match (&config.base, config.one_way) {
            (Some(_), _) => (FirstPass::OnDemand, Sends::WhatIsAskedFor),
            (None, None) => (FirstPass::Sent, Sends::Everything),
            (None, Some(_)) => (FirstPass::Sent, Sends::Unheard),
        };
        let seed = config.agreement.seed("glancecast sender: chance among claims of a name");
        let names = match &config.expected {
            Expected::Named(names) => Some(names.iter()),
            Expected::Count(_) | Expected::Anyone => None,
        };
        Self {
            scope: config.key.scope(config.session),
            paging: Paging::new(now, Pages::new(config.session, names, config.geometry.control_bytes())),
            cipher: Cipher::downward(&config.key, config.session),
            start: now,
            started: config.started,
            paths: Paths::new(now, &config, object_bits(&config)),
            said_pages: SaidPages::default(),
            blocks: Blocks::new(config.geometry, first_pass),
            symbols_sent: 0,
            proofs: ProofSchedule::new(now),
            hosts: Hosts::new(
                now,
                config.expected.clone(),
                config.known.clone(),
                config.geometry.symbols_max(),
                &seed,
            )
            .giving_up_after(config.join_timeout),
            feedback: Feedback::new(),
            source: Source::Reading,
            ending: None,
            sequences: Sequences::new(),
            announce_at: now,
            silence_at: now,
            polls: Polls::new(now),
            asked: Asked { slots: 1, part: Part::ALL, window: Duration::ZERO, is_for_rate: true },
            rate: RateControl::new(config.pace),
            flow: Flow::new(now),
            one_way: config.one_way.map(|one_way| OneWayPush::new(now, one_way)),
            skipped: 0,
            gate: Gate::new(now, sends),
            joining: Joining::default(),
            last_one: None,
            acks: Acks::new(now),
            order: JobOrder::new(config.geometry.symbols_max()),
            other_keys: BTreeSet::new(),
            pauses: Pauses::default(),
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
        // What went to some paths alone was seen by a host that has seen what goes to everyone next.
        let last = if last.is_for_some() { self.sequences.next() } else { last };
        self.symbols_sent += u64::from(job.symbols(self.blocks.source_symbols(job.block())));
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
        self.open_gate(now);
        if self.ending.is_none() {
            self.handle_paths(now);
            self.settle(now);
        }
        result
    }

    /// Notes that an outage of `lasted` is over, in which the time of this machine stood still
    /// ([`Outages`](crate::outages::Outages)). The civil time and the time left for the push went on. What was lost as
    /// the network went away says nothing about the rate.
    pub fn handle_outage(&mut self, now: Moment, lasted: Duration) {
        self.config.started.0 += lasted.as_millis() as u64;
        self.config.timeout = self.config.timeout.saturating_sub(lasted);
        self.pauses.note(now, lasted);
        if lasted >= OUTAGE_NOTED {
            self.announce_at = now;
            self.rate.forgive(self.sequences.next().value());
            self.greet_again(now);
        }
    }

    /// Has hosts answer to another address of this sender from now on.
    pub fn handle_reply_to(&mut self, now: Moment, reply_to: SocketAddr) {
        self.config.reply_to = reply_to;
        self.paths.note_own_address(reply_to);
        self.announce_at = now;
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.flow.note_time(now);
        if self.ending.is_some() {
            return;
        }
        self.open_gate(now);
        self.gate.handle_timeout(now, self.pass_ended());
        self.handle_paths(now);
        if now >= self.silence_at {
            self.silence_at = now + SILENCE_CHECK / self.hosts.looks();
            for name in self.hosts.mark_silent(now) {
                self.event(SenderEvent::Silent(name));
            }
        }
        if self.config.join_timeout.is_some() && self.hosts.are_all_deaf(now) {
            self.handle_abort(now, hosts::UNREACHABLE);
        }
        if self.ending.is_some() {
            return;
        }
        self.settle(now);
        if self.ending.is_none() && now >= self.start + self.config.timeout {
            self.end(now, self.verdict_when_time_is_over());
        }
    }

    /// Skips the next block of the first pass if every host has reported that it holds it; returns the block, whose
    /// symbols the shell drops. Call it before [`Sender::poll_job`].
    #[must_use]
    pub fn poll_skip(&mut self, now: Moment) -> Option<BlockIndex> {
        let block = self.blocks.next_fresh()?;
        let enough = self.are_those_heard_enough();
        if self.ending.is_some() || !self.hosts.all_hold(block, enough) {
            return None;
        }
        // A host that turns out to lack the block asks for it in a report that has seen this number.
        self.blocks.skip(self.sequences.last());
        self.skipped += 1;
        self.note_progress(now);
        Some(block)
    }

    /// Whether no symbol may leave now, not even one of a job that was begun. Either no host that was heard lacks anything, expected hosts may be about to
    /// report what they kept or lack, or all hosts that answer are busy with another push and would receive none.
    pub fn holds_symbols_back(&self) -> bool {
        self.gate.is_shut() || self.paths.is_settling() || self.is_for_nobody()
    }

    /// Whether some host has kept something of an earlier session.
    pub fn is_resuming(&self) -> bool {
        self.hosts.is_resuming()
    }

    /// Whether any host still needs a block that is being sent for the first time, as far as hosts have reported.
    pub fn needs_pass(&mut self, block: BlockIndex) -> bool {
        let enough = self.are_those_heard_enough();
        self.blocks.is_passed(block) || !self.hosts.all_hold(block, enough)
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
        let job = self.order.next(&mut self.blocks, room, self.flow.may_begin());
        if let Some(Job::Source { .. }) = job {
            self.flow.note_begun(self.sequences.last());
        }
        if let Some(job) = job {
            let is_first = matches!(job, Job::Source { .. }) && !self.blocks.is_passed(job.block());
            self.paths.note_begun();
            self.paths.note_handed_out(job, is_first);
        }
        job
    }

    /// Returns the symbols of a block whose hashes hosts ask for; they are not sent. Answer:
    /// [`Sender::handle_hashes`].
    #[must_use]
    pub fn poll_proofs(&mut self, now: Moment) -> Option<Job> {
        if self.ending.is_some() {
            return None;
        }
        let blocks = &self.blocks;
        self.proofs.next_job(now, |block| blocks.handed_out(block).expect("only such blocks are asked for"))
    }

    /// Handles the hashes of the symbols of a job of [`Sender::poll_proofs`], in the order of the symbols; `None` if
    /// they could not be made.
    ///
    /// # Panics
    /// If it is not one hash for each symbol.
    pub fn handle_hashes(&mut self, job: Job, hashes: Option<&[SymbolHash]>) {
        let source_symbols = self.blocks.source_symbols(job.block());
        self.proofs.take_hashes(job, source_symbols, hashes, proofs_in(self.config.geometry.control_bytes()));
    }

    /// Returns where the symbols of a job are needed: by everyone, or on the paths of the hosts that have asked for them.
    /// The [`Interleaver`] keeps it with the job.
    pub fn aim(&self, job: Job) -> To {
        self.paths.aim(job)
    }

    /// Returns where symbols with this aim are sent: there, or to the only host of several that still receives.
    pub fn destination(&self, aim: To) -> To {
        self.last_one.map_or(aim, To::Host)
    }

    /// The paths of the push and their addresses. [`To::Everyone`] is all of them.
    pub fn paths(&self) -> &PathAddrs {
        self.paths.addrs()
    }

    /// The number of copies of what goes to everyone, at least one. The rate is that of one copy.
    pub fn copies(&self) -> u32 {
        self.paths.copies()
    }

    /// Returns by which way each relay and each host without multicast is served. Before a host was heard, it is what the
    /// configuration leads to.
    pub fn plan(&self) -> PlanView {
        if self.hosts.tally().heard > 0 {
            self.paths.view()
        } else {
            paths::forecast(&self.config, object_bits(&self.config))
        }
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
        let room = self.flow.next_at().filter(|_| !self.blocks.is_idle()).map(|at| (at, SenderTimer::Room));
        let page = self.paging.next_at().map(|at| (at, SenderTimer::Audience));
        let proofs = self.proofs.next_at().map(|at| (at, SenderTimer::Proofs));
        let paths = self.paths.next_at().map(|at| (at, SenderTimer::Paths));
        let others =
            first_wait.into_iter().chain(paths).chain(room).chain(page).chain(manifest).chain(proofs);
        others.chain(timers).min_by_key(|&(at, _)| at)
    }

    /// Returns the next event to show to a person.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// Takes `count` consecutive numbers for datagrams to this destination; returns the first. To everyone, and to the
    /// last host alone, which counts its losses by them, they are the group's. To some paths they are others, so that
    /// hosts on the other paths miss none.
    ///
    /// # Panics
    /// After 2^39 datagrams, some 700 TB: the object's limit is far below.
    pub fn take_sequences(&mut self, to: To, count: u32) -> Sequence {
        match to {
            To::Everyone | To::Host(_) => self.sequences.take(count),
            To::Paths(_) => self.sequences.take_for_paths(count),
        }
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

    /// Returns the hosts that hold the push back, and why, as far as that is known; see [`Watch`].
    pub fn watch(&self) -> Watch {
        if self.one_way.is_some() { Watch::default() } else { self.hosts.watch(self.is_tail()) }
    }

    /// Returns when the push ends if nothing changes: hosts that were never heard are given up before its own time is
    /// over, where it waits for nobody else.
    pub fn deadline(&self) -> Moment {
        let end = self.start + self.config.timeout;
        self.gives_up_at().map_or(end, |at| at.min(end))
    }

    /// One row for each host that was heard or is expected; none in one-way mode, in which nothing is known of any.
    pub fn rows(&self) -> Vec<HostRow> {
        if self.one_way.is_some() {
            return Vec::new();
        }
        let mut rows = self.hosts.rows(self.start, self.config.geometry.blocks());
        for row in &mut rows {
            row.time = row.time.map(|time| time + self.pauses.until(self.start + time));
        }
        self.add_ways(&mut rows);
        rows
    }

    /// Returns the hosts that took part, whose keys were not known before, and whose names came with one key alone.
    pub fn first_uses(&self) -> Vec<FirstUse> {
        self.hosts.first_uses()
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

    fn event(&mut self, event: SenderEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

/// Bits of the whole object, with the headers of all its datagrams and some repairs.
fn object_bits(config: &SenderConfig) -> u64 {
    let geometry = config.geometry;
    let frame_bytes = geometry.datagram_bytes() as u64 + config.header_bytes;
    let datagrams = geometry.object_bytes().div_ceil(u64::from(geometry.symbol_size()).max(1));
    8 * frame_bytes * (datagrams + datagrams / 50)
}

/// Shorter outages change nothing: a firewall that limits the rate makes many of them.
const OUTAGE_NOTED: Duration = Duration::from_millis(100);

/// Time in which every host is looked at once, for whether it is silent.
const SILENCE_CHECK: Duration = Duration::from_secs(1);
