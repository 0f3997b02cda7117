//! One session on one host: what was announced, what arrived, and what is to be sent.
//!
//! `turns` decides when this host sends, `reports` what it says then, `arrivals` counts what came, and `one_sided`
//! notices a path that works one way only. `closing` is the end, with its final report. A [`Session`] decides which
//! stage it is in; the [`Receiver`](super::Receiver) begins and leaves it.

mod arrivals;
mod closing;
mod one_sided;
mod reports;
mod strangers;
#[cfg(test)]
mod tests;
mod turns;

use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "simulation")]
use super::effects::Admission;
use super::effects::{Attempt, Proof};
use super::precedence::{BEGUN_AFTER, Precedence};
use super::table::{BaseIndex, BufferId, Collected, Place, Sifted, Table, Tries, Work, buffer_symbols};
use super::uplink::Uplink;
use crate::echo::Echo;
use crate::ids::{BlockIndex, ReceiverId, Sequence, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::sign::{Scope, Verifier};
use crate::time::Moment;
use crate::wire::{
    Ack, Announce, Announced, CommandOutcome, Discard, Down, Kind, ManifestRun, Poll, Proofs, SymbolHeader,
    Totals, Up,
};
use arrivals::Arrivals;
use one_sided::OneSided;
use strangers::Strangers;
use turns::Turns;
pub(super) use turns::apart;

/// The stage of a session on a host.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// The store prepares the file; symbols are collected meanwhile.
    Opening,
    /// Symbols arrive; blocks are proven and written.
    Receiving,
    /// A file of this name exists, and is compared once the root is known.
    Existing,
    /// The store compares the existing file.
    Comparing,
    /// Every block is proven; the store publishes.
    Publishing,
    /// The session is over on this host; the final report is repeated until it is acknowledged.
    Closing {
        /// Done or failed.
        final_report: Box<Up>,
        /// When to send it; `None` while this host has no turn.
        repeat: Option<Repeat>,
        /// When to give up.
        until: Moment,
    },
}

/// The last step with the file.
#[derive(Debug)]
pub(super) enum Conclusion {
    /// The file is published.
    Publish(Proof),
    /// The file existed before, and is compared with this root.
    Compare(Root),
}

/// Why a session ends without a message from its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The final report was not acknowledged.
    FinalReport,
    /// The sender was silent.
    Sender,
}

/// One session that this host takes part in.
pub(super) struct Session {
    attempt: Attempt,
    announce: Announce,
    /// The number of the announcement with the address that is answered to.
    reply_to_since: Sequence,
    cipher: Cipher,
    uplink: Uplink,
    stage: Stage,
    table: Table,
    /// The number of blocks that can be collected at a time.
    buffers: u16,
    /// The echo of the last acknowledgement.
    echo: Echo,
    /// Where the last proven datagram to the group came from.
    via: Option<SocketAddr>,
    /// Other addresses that symbols came from.
    strangers: Strangers,
    /// The root that the sender vouches for.
    root: Option<Root>,
    /// The root computed from the manifest, once all of it is here and the sender has vouched.
    proven: Option<Root>,
    joined: Moment,
    /// Whether a symbol has arrived.
    has_symbols: bool,
    turns: Turns,
    one_sided: OneSided,
    arrivals: Arrivals,
    /// Counters that `arrivals` does not have.
    totals: Totals,
    /// What came of the command after the publication.
    command: CommandOutcome,
}

impl Session {
    /// Joins the session that was announced under `key`. Blocks are collected in `buffers` buffers.
    pub(super) fn new(
        now: Moment,
        attempt: Attempt,
        announced: Announced,
        key: &GroupKey,
        uplink: Uplink,
        buffers: u16,
        rng: &mut Rng,
    ) -> Self {
        let signer = announced.signer().map(|key| key.within(announced.scope));
        let Announced { announce, sequence, .. } = announced;
        let hello_at = now + rng.below(announce.spread);
        let mut table = Table::new(announce.geometry, buffers);
        if announce.one_way {
            table.wait_for_overhead();
        }
        if announce.base.is_some() {
            table.wait_for_base();
        } else if signer.is_some() {
            table.hold_to_signed_progress();
        }
        Self {
            attempt,
            cipher: Cipher::downward(key, announce.session),
            uplink,
            stage: Stage::Opening,
            table,
            buffers,
            echo: Echo::default(),
            via: None,
            strangers: Strangers::default(),
            root: None,
            proven: None,
            joined: now,
            has_symbols: false,
            one_sided: OneSided::default(),
            turns: Turns::new(now, announce.spread, (!announce.one_way).then_some(hello_at)),
            reply_to_since: sequence,
            arrivals: Arrivals::new(now, signer, sequence),
            totals: Totals::default(),
            command: CommandOutcome::None,
            announce,
        }
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub(super) fn id(&self) -> SessionId {
        self.announce.session
    }

    pub(super) fn announce(&self) -> &Announce {
        &self.announce
    }

    /// Returns the cipher that opens the datagrams to the group.
    #[inline]
    pub(super) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The number of blocks that are proven and written.
    pub(super) fn held(&self) -> u32 {
        self.table.held()
    }

    /// When this host joined.
    pub(super) fn joined(&self) -> Moment {
        self.joined
    }

    /// The number of blocks that were made from bytes this host already held.
    pub(super) fn reused(&self) -> u32 {
        self.totals.blocks_reused
    }

    /// Describes in words what is not proven and written yet.
    pub(super) fn lacking(&self) -> String {
        self.table.lacking()
    }

    /// Returns where the symbol of a datagram belongs. Changes nothing: the datagram is not proven yet.
    #[inline]
    pub(super) fn place_for(&self, header: &SymbolHeader) -> Result<Place, Discard> {
        if self.announce.session.tag() != header.tag {
            return Err(Discard::OtherSession);
        }
        if !self.is_plausible(header.sequence) {
            return Err(Discard::Implausible);
        }
        match self.stage {
            Stage::Opening | Stage::Receiving => self.table.place_for(header),
            Stage::Existing | Stage::Comparing | Stage::Publishing | Stage::Closing { .. } => {
                Err(Discard::NotNeeded)
            }
        }
    }

    /// Takes in a symbol that was opened into the place that [`Session::place_for`] returned just before.
    #[inline]
    pub(super) fn accept(&mut self, now: Moment, header: &SymbolHeader, place: Place, datagram_bytes: usize) {
        self.note(now, header.sequence, datagram_bytes);
        self.has_symbols = true;
        self.one_sided.note_data();
        self.table.insert(header, place);
    }

    /// Notes an opened symbol that is of no use for this reason.
    pub(super) fn note_spare(
        &mut self,
        now: Moment,
        header: &SymbolHeader,
        datagram_bytes: usize,
        reason: Discard,
    ) {
        self.note(now, header.sequence, datagram_bytes);
        self.one_sided.note_data();
        if reason == Discard::NoBuffer {
            self.note_no_buffer(header, 1);
        }
    }

    fn note_no_buffer(&mut self, header: &SymbolHeader, symbols: u32) {
        self.table.note_refused(header, symbols);
        if self.table.waits_for_store() {
            self.totals.store_drops += u64::from(symbols);
        }
    }

    /// Notes where an opened symbol came from.
    #[inline]
    pub(super) fn note_source(&mut self, from: SocketAddr) {
        // In peace all of them come from where the signed datagrams come from.
        if self.via != Some(from) && self.via.is_some() && self.announce.reply_to != from {
            self.strangers.note(from);
        }
    }

    /// Returns the addresses besides the sender's from which symbols came, with the number of symbols.
    pub(super) fn strangers(&self) -> Vec<(SocketAddr, u64)> {
        self.strangers.list()
    }

    /// Notes that the socket has dropped `drops` datagrams since the session began.
    pub(super) fn note_socket_drops(&mut self, drops: u64) {
        self.totals.socket_drops = drops;
    }

    /// Notes an opened datagram to the group that is only sealed.
    #[inline]
    pub(super) fn note(&mut self, now: Moment, sequence: Sequence, bytes: usize) {
        self.arrivals.note(now, sequence, bytes);
    }

    /// Notes an opened datagram to the group, which came by the group from the address `via`, or by unicast; if the
    /// session has a signer, its signature was checked.
    pub(super) fn note_proven(
        &mut self,
        now: Moment,
        sequence: Sequence,
        via: Option<SocketAddr>,
        bytes: usize,
    ) {
        self.arrivals.note_proven(now, sequence, bytes);
        self.note_via(via);
    }

    /// Notes where a datagram to the group came from, if it came by the group.
    pub(super) fn note_via(&mut self, via: Option<SocketAddr>) {
        self.via = via.or(self.via);
    }

    /// Returns the id of this host in the session, and where the sender is answered.
    pub(super) fn relays_as(&self) -> (Scope, ReceiverId, SocketAddr) {
        self.uplink.identity()
    }

    /// Whether a datagram of this number can be the sender's.
    #[inline]
    pub(super) fn is_plausible(&self, sequence: Sequence) -> bool {
        self.arrivals.is_plausible(sequence)
    }

    /// Whether a datagram of this number came before.
    #[inline]
    pub(super) fn came(&self, sequence: Sequence) -> bool {
        self.arrivals.came(sequence)
    }

    /// Returns what checks the signatures of datagrams to the group.
    pub(super) fn signer(&self) -> Option<Verifier> {
        self.arrivals.signer()
    }

    /// Whether an announcement claims to be signed by this session's sender.
    pub(super) fn claims_signer(&self, announced: &Announced) -> bool {
        announced.signer() == self.arrivals.signer().map(|signer| signer.key)
    }

    /// Whether an announcement names another address to answer to, claims to be this session's sender's, and is newer
    /// than the one with the present address.
    pub(super) fn is_answered_elsewhere(&self, announced: &Announced) -> bool {
        announced.announce.reply_to != self.announce.reply_to
            && announced.sequence > self.reply_to_since
            && self.claims_signer(announced)
    }

    /// Answers to this address from now on. The announcement that names it had the number `since`, and was proven.
    pub(super) fn answer_to(&mut self, reply_to: SocketAddr, since: Sequence) {
        self.announce.reply_to = reply_to;
        self.reply_to_since = since;
        self.uplink.answer_to(reply_to);
    }

    /// Whether a datagram adds to what is known. If it does not, its signature is not worth a check.
    ///
    /// # Errors
    /// [`Discard::Replayed`] if it adds nothing.
    pub(super) fn check_news(&self, down: &Down) -> Result<(), Discard> {
        let is_news = match down {
            Down::Manifest(run) => !self.table.knows(run),
            Down::Poll(poll) => self.turns.is_next(poll),
            Down::End(_) => true,
            Down::Proofs(proofs) => self.table.wants_proofs(proofs.block),
            Down::Audience(_) => false,
        };
        if is_news { Ok(()) } else { Err(Discard::Replayed) }
    }

    /// Whether the sender of a signed session was not heard for a while, and a datagram of this number would be a sign
    /// of life. Its signature is then worth a check, whatever it says.
    pub(super) fn misses_sender(&self, now: Moment, sequence: Sequence) -> bool {
        self.arrivals.misses_sender(now, sequence)
    }

    /// Takes in manifest entries.
    pub(super) fn learn(&mut self, run: &ManifestRun) {
        self.table.learn(run);
    }

    /// Takes in hashes of symbols.
    pub(super) fn take_proofs(&mut self, proofs: &Proofs) {
        self.table.take_proofs(proofs);
    }

    /// Handles a poll; if it asks this host, the answer is due in this host's slot of the window.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) {
        if !self.turns.is_next(&poll) {
            return;
        }
        self.root = self.root.or(poll.root);
        self.table.note_progress(&poll);
        self.one_sided.note_poll(now, &poll);
        self.table.review_suspects(now);
        if self.announce.one_way {
            if poll.blocks_sent == self.announce.geometry.blocks() {
                self.table.stop_waiting();
            }
            return self.turns.note_poll(poll);
        }
        self.turns.take_poll(now, poll, rng);
        self.follow_turns(now);
    }

    /// The time in which all hosts answer the last poll in turn.
    pub(super) fn window(&self) -> Duration {
        self.turns.window()
    }

    /// Opens an acknowledgement for this host.
    pub(super) fn open_ack(&self, datagram: &[u8]) -> Result<Ack, Discard> {
        self.uplink.open_ack(datagram)
    }

    /// Handles an acknowledgement. Returns whether it ends the session on this host.
    pub(super) fn take_ack(&mut self, now: Moment, ack: &Ack) -> bool {
        let was_unknown = self.turns.acknowledged(now, ack.slot);
        self.echo = ack.echo;
        if was_unknown || !self.has_spoken() {
            self.plan_final_report(now);
        }
        ack.kind != Kind::Hello && matches!(self.stage, Stage::Closing { .. })
    }

    /// Whether this host leaves the session for another one, whose signature was checked: that one comes first, and this
    /// one has hardly begun here. Nothing unsigned takes the place of what is signed, and a one-way session is never
    /// left, as it would not be sent again.
    pub(super) fn yields_to(&self, now: Moment, other: &Announced) -> bool {
        let has_begun = self.has_symbols && now.since(self.joined) >= BEGUN_AFTER;
        Precedence::of(&other.announce) < Precedence::of(&self.announce)
            && matches!(self.stage, Stage::Opening | Stage::Receiving)
            && !has_begun
            && !self.announce.one_way
            && (other.signer().is_some() || self.signer().is_none())
    }

    /// When all other hosts have had a turn since this one's last.
    pub(super) fn next_turn(&self, now: Moment) -> Moment {
        self.turns.last_word_at(now).unwrap_or(now)
    }

    /// Returns the channel to the sender of a session that is left and may be joined again. After a report there is
    /// none: a host may not report less than before, and begins again under another id.
    pub(super) fn into_uplink(self) -> Option<Uplink> {
        (!self.turns.has_reported()).then_some(self.uplink)
    }

    /// Whether another session is about this object, so that it can resume from what is held here.
    pub(super) fn is_of(&self, other: &Announce) -> bool {
        let of = |announce: &Announce| {
            let geometry = announce.geometry;
            (geometry.object_bytes(), geometry.block_log2(), announce.name.clone(), announce.image_id.clone())
        };
        of(&self.announce) == of(other)
    }

    /// Begins to write: the store has a place for the object, in which an earlier session may have written `kept`.
    pub(super) fn receive(&mut self, kept: &[BlockIndex]) {
        self.table.keep(kept);
        if !kept.is_empty() {
            self.one_sided.note_data();
        }
        self.stage = Stage::Receiving;
    }

    /// Notes that a file of this name exists.
    pub(super) fn wait_for_root(&mut self) {
        self.stage = Stage::Existing;
    }

    /// Takes in the index of the base.
    pub(super) fn take_base(&mut self, base: BaseIndex) {
        self.table.take_base(base);
    }

    /// Goes on without the base if it was not indexed within [`BASE_TIME_MAX`].
    pub(super) fn expire_base(&mut self, now: Moment) {
        if self.table.is_preparing() && now.since(self.joined) >= BASE_TIME_MAX {
            self.table.take_base(BaseIndex::default());
        }
    }

    /// Returns the next block to prove.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        if matches!(self.stage, Stage::Receiving) { self.table.next_work() } else { None }
    }

    /// Goes on collecting a block that its symbols did not determine.
    pub(super) fn collect_more(&mut self, block: BlockIndex, buffer: BufferId, collected: Box<Collected>) {
        self.table.collect_more(block, buffer, collected);
    }

    /// Takes a buffer back from the work on a block.
    pub(super) fn release(&mut self, buffer: BufferId, collected: Box<Collected>) {
        self.table.release(buffer, collected);
    }

    /// Notes that a block is proven and written; `repaired` of its source symbols were computed.
    pub(super) fn hold(&mut self, block: BlockIndex, repaired: u32) {
        self.totals.symbols_repaired += u64::from(repaired);
        self.totals.blocks_reused += u32::from(self.table.is_reused(block));
        self.table.hold(block);
    }

    /// Notes that a block of zeros is in its place, with this hash.
    pub(super) fn hold_zeros(&mut self, block: BlockIndex, hash: BlockHash) {
        self.table.hold_zeros(block, hash);
    }

    /// Discards a rebuilt block that does not match the manifest; see [`Table::start_over`].
    #[must_use]
    pub(super) fn start_over(&mut self, block: BlockIndex) -> Tries {
        self.table.start_over(block)
    }

    /// Keeps the symbols of a rebuilt block that does not match the manifest; see [`Table::suspect`].
    #[must_use]
    pub(super) fn suspect(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        collected: Box<Collected>,
    ) -> Tries {
        self.table.suspect(block, buffer, collected)
    }

    /// Goes on with the symbols of a suspect block that matched their hashes.
    pub(super) fn take_sifted(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        collected: Box<Collected>,
        sifted: &Sifted,
    ) {
        self.totals.symbols_forged += u64::from(sifted.forged);
        self.table.take_sifted(block, buffer, collected, sifted);
    }

    /// Asks for a block whose kept or reused bytes do not match the manifest.
    pub(super) fn ask_anew(&mut self, block: BlockIndex) {
        self.table.ask_anew(block);
    }

    /// Computes the root of the manifest, once all of it is here and the sender has vouched. Returns whether it
    /// differs from the root that the sender vouches for.
    pub(super) fn belies_root(&mut self) -> bool {
        let (Stage::Opening | Stage::Receiving, Some(vouched), None) = (&self.stage, self.root, self.proven)
        else {
            return false;
        };
        self.proven = self.table.root();
        self.proven.is_some_and(|root| root != vouched)
    }

    /// Enters the next stage if everything for it is there.
    pub(super) fn advance(&mut self) -> Option<Conclusion> {
        match (&self.stage, self.root) {
            (Stage::Receiving, Some(root)) if self.table.is_complete() && self.proven == Some(root) => {
                self.stage = Stage::Publishing;
                Some(Conclusion::Publish(Proof { root }))
            }
            (Stage::Existing, Some(root)) => {
                self.stage = Stage::Comparing;
                Some(Conclusion::Compare(root))
            }
            _ => None,
        }
    }

    /// Whether this host needs nothing more of the sender; blocks may still be on their way to the store.
    pub(super) fn has_all(&self) -> bool {
        self.root.is_some() && self.table.has_all_symbols()
    }
}

#[cfg(feature = "simulation")]
impl Session {
    /// Takes in the first of `count` consecutive symbols at once; `admission` is that of the first. Returns how
    /// many; 0 if they cannot be taken at once.
    pub(super) fn accept_run(
        &mut self,
        now: Moment,
        first: &SymbolHeader,
        count: u32,
        datagram_bytes: usize,
        admission: Admission,
    ) -> u32 {
        let taken = match admission {
            Admission::Spare(Discard::NotNeeded | Discard::FarAhead) => count,
            Admission::Spare(Discard::NoBuffer) => {
                self.note_no_buffer(first, count);
                count
            }
            Admission::Spare(_) => 0,
            Admission::To(_) => self.table.insert_run(first, count),
        };
        if taken > 0 {
            self.has_symbols = true;
            self.one_sided.note_data();
            self.arrivals.note_run(now, first.sequence, taken, datagram_bytes);
        }
        taken
    }
}

/// Returns the size in bytes of one buffer of a session, which holds any of its blocks.
pub fn buffer_bytes(announce: &Announce) -> usize {
    let symbols = buffer_symbols(announce.geometry.symbols_max());
    symbols as usize * usize::from(announce.geometry.symbol_size())
}

/// The time to index a base, after which the session goes on without it: some 60 GB on a slow disk.
const BASE_TIME_MAX: Duration = Duration::from_secs(600);
