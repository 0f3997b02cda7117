//! The simulated sender: the real machine and the real interleaver, in a shell like that of `glancecast` that reads the
//! object and paces the datagrams.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use glancecast_fec::Codec;
use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, FinishedJob, Interleaver, Job, JobRoom, Reach, Sender, SenderConfig, SenderEvent,
};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    BaseName, DiskFormat, Encoding, Kind, Pin, SYMBOL_OVERHEAD, SymbolHash, SymbolHeader,
};
use zeroize::Zeroizing;

use super::host::{KEY, SENDER, WALL};
use super::mutant::Mutant;
use super::object::Object;
use super::overhear;
use super::plan::Plan;
use super::sender_line::{SenderLine, Step};

pub(crate) struct Pusher {
    pub(crate) machine: Sender,
    pub(crate) wake: Option<Moment>,
    pub(crate) symbols: u64,
    pub(crate) unicast: u64,
    /// The number of blocks whose sending was cut short because all hosts turned out to hold them.
    pub(crate) cut: u64,
    /// Blocks that a mutant withholds.
    pub(crate) left_out: BTreeSet<BlockIndex>,
    /// Each job has its symbols with it.
    interleaver: Interleaver<Vec<u8>>,
    line: SenderLine,
    /// Whether an outage was not waited for any longer: the push is over.
    pub(crate) is_given_up: bool,
    send_at: Moment,
    read: u32,
    read_at: Moment,
    read_gap: Duration,
    proof_after: Duration,
    source_wrong: bool,
    source_ended: bool,
    /// Blocks that a host has asked for.
    pub(crate) asked: BTreeSet<BlockIndex>,
    /// Blocks that were read and wait for the pass.
    fresh: VecDeque<BlockIndex>,
}

/// A datagram that the sender sent.
pub(crate) struct Sent {
    pub(crate) to: Option<SocketAddr>,
    pub(crate) kind: Kind,
    pub(crate) bytes: Rc<[u8]>,
}

/// The outcome of the sender's turn.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<SenderEvent>,
    pub(crate) broken: Option<String>,
    /// Whether an outage is over.
    pub(crate) is_back: bool,
    /// The hosts that are then answered once more, as they may have missed it.
    owed: usize,
}

impl Pusher {
    pub(crate) fn new(now: Moment, session: SessionId, config: SenderConfig, plan: &Plan) -> Self {
        assert_eq!(config.session, session);
        Self {
            machine: Sender::new(now, config),
            wake: Some(now),
            symbols: 0,
            unicast: 0,
            cut: 0,
            left_out: BTreeSet::new(),
            interleaver: Interleaver::default(),
            line: SenderLine::new(&plan.road, now + plan.timeout),
            is_given_up: false,
            send_at: now,
            read: 0,
            read_at: now,
            read_gap: plan.read_gap,
            proof_after: plan.proof_after,
            source_wrong: plan.source_wrong,
            source_ended: false,
            asked: BTreeSet::new(),
            fresh: VecDeque::new(),
        }
    }

    /// Whether nothing comes from the network.
    pub(crate) fn is_deaf(&self, now: Moment) -> bool {
        self.line.is_deaf(now)
    }

    /// Returns the time of the machine, which stands still during an outage. Reading and pacing go by it, too.
    pub(crate) fn time(&self, now: Moment) -> Moment {
        self.line.time(now)
    }

    /// Runs one round of the send loop, at the true time `now`.
    pub(crate) fn turn(&mut self, now: Moment, object: &Object, codec: &mut Codec, mutant: Mutant) -> Turn {
        let mut turn = Turn::default();
        if self.line.is_away() && !self.wait_for_network(now, &mut turn) {
            return turn;
        }
        self.send_round(now, object, codec, mutant, &mut turn);
        self.wake = match self.line.is_away() {
            true => Some(now),
            false => {
                let wake = self.next_wake(self.time(now), mutant);
                wake.map(|at| self.line.true_time(now, at))
            }
        };
        turn
    }

    /// Goes on with an outage; returns whether it is over.
    fn wait_for_network(&mut self, now: Moment, turn: &mut Turn) -> bool {
        match self.line.step(now, self.machine.verdict().is_some()) {
            Step::Wait(until) => self.wake = Some(until),
            Step::GiveUp => {
                if self.machine.verdict().is_none() {
                    self.machine.handle_abort(self.time(now), "the network takes nothing");
                }
                (self.is_given_up, self.wake) = (true, None);
            }
            Step::Over(lasted, unsent) => {
                (turn.is_back, turn.owed) = (true, self.machine.rows().len());
                turn.sent.extend(unsent);
                self.machine.handle_outage(self.time(now), lasted);
                return true;
            }
        }
        false
    }

    fn send_round(
        &mut self,
        true_now: Moment,
        object: &Object,
        codec: &mut Codec,
        mutant: Mutant,
        turn: &mut Turn,
    ) {
        let now = self.time(true_now);
        self.take_read(now, object);
        if mutant != Mutant::IgnoresTime {
            self.machine.handle_timeout(now);
        }
        self.say(true_now, mutant, turn);
        while let Some(event) = self.machine.poll_event() {
            turn.events.push(event);
        }
        if self.line.is_away() {
            return;
        }
        self.drop_skipped(now);
        self.hash(now, object, codec);
        if let Some(block) = self.begin_jobs(object, codec) {
            turn.broken = Some(format!("block {block} is sent, and nobody has asked for it"));
        }
        if self.machine.is_finished() || self.interleaver.is_empty() || self.machine.holds_symbols_back() {
            self.send_at = self.send_at.max(now);
        } else if self.send_at <= now {
            if let Some(symbol) = self.send_symbol(now, object) {
                turn.sent.extend(self.line.offer(true_now, symbol));
            }
            // The pass may have ended with this symbol, so that a poll is due.
            self.say(true_now, mutant, turn);
        }
    }

    fn next_wake(&self, now: Moment, mutant: Mutant) -> Option<Moment> {
        if self.machine.is_finished() {
            return None;
        }
        let timer = self.machine.poll_timeout().map(|(at, _)| at);
        // A sender that ignores the time would be due again at once.
        let timer = if mutant == Mutant::IgnoresTime { timer.map(|at| at.max(now + TICK)) } else { timer };
        let reading = (!self.source_ended && self.fresh.len() < FRESH_BLOCKS).then_some(self.read_at);
        let is_sending = !self.interleaver.is_empty() && !self.machine.holds_symbols_back();
        let sending = is_sending.then_some(self.send_at);
        [timer, reading, sending].into_iter().flatten().min()
    }

    fn take_read(&mut self, now: Moment, object: &Object) {
        while !self.source_ended
            && self.read_at <= now
            && self.fresh.len() < FRESH_BLOCKS
            && self.machine.verdict().is_none()
        {
            match object.blocks.get(self.read as usize) {
                Some(_) => {
                    self.take_block(object, BlockIndex(self.read));
                    self.read += 1;
                    let last = self.read as usize == object.blocks.len();
                    self.read_at = now + if last { self.proof_after } else { self.read_gap };
                }
                None if self.source_wrong => {
                    self.source_ended = true;
                    self.machine.handle_abort(now, "the source is not what it should be");
                }
                None => {
                    self.source_ended = true;
                    self.machine.handle_source_proven(now);
                }
            }
        }
        if self.machine.verdict().is_some() {
            self.source_ended = true;
        }
    }

    fn take_block(&mut self, object: &Object, block: BlockIndex) {
        let entry = object.entry(block);
        if self.machine.config().base.is_some() {
            self.machine.handle_fingerprinted(entry, object.fingerprint(block));
            return;
        }
        let symbols = match entry.encoding {
            Encoding::Zero => 0,
            _ => object.shape(block).source_symbols(),
        };
        let most = object.geometry.symbols_max().max(1);
        let ahead = u64::from(self.machine.repair_ahead()) * u64::from(symbols) / u64::from(most);
        self.machine.handle_block(entry, ahead as u32);
        if symbols > 0 {
            self.fresh.push_back(block);
        }
    }

    fn say(&mut self, true_now: Moment, mutant: Mutant, turn: &mut Turn) {
        let (now, mut out) = (self.time(true_now), Vec::new());
        while !self.line.is_away()
            && let Some(transmit) = self.machine.poll_transmit(now, &mut out)
        {
            if mutant == Mutant::ForgetsAcknowledgement && transmit.kind == Kind::Ack {
                continue;
            }
            let bytes = out.as_slice().into();
            let sent = Sent { to: transmit.to.host(), kind: transmit.kind, bytes };
            turn.sent.extend(self.line.offer(true_now, sent));
            if turn.sent.len() > SAID_MAX + turn.owed {
                let kinds: BTreeSet<&str> = turn.sent.iter().map(|sent| sent.kind.name()).collect();
                turn.broken = Some(format!("the sender does not stop talking: {kinds:?}"));
                return;
            }
        }
    }

    /// Drops the blocks that every host has kept: they are read and not sent.
    fn drop_skipped(&mut self, now: Moment) {
        if self.machine.is_resuming() {
            self.interleaver.cut(|block| self.machine.needs_pass(block));
            self.cut += self.finish_jobs(now);
        }
        while let Some(block) = self.machine.poll_skip(now) {
            assert_eq!(self.fresh.pop_front(), Some(block), "what is read waits for its turn");
        }
    }

    /// Hashes the symbols that hosts suspect.
    fn hash(&mut self, now: Moment, object: &Object, codec: &mut Codec) {
        while let Some(job) = self.machine.poll_proofs(now) {
            let symbols = object.symbols(codec, job);
            let symbols = symbols.chunks_exact(usize::from(object.geometry.symbol_size()));
            let hashes: Vec<SymbolHash> = symbols.map(SymbolHash::of).collect();
            self.machine.handle_hashes(job, Some(&hashes));
        }
    }

    /// Begins jobs. With a base, returns a block that no host has asked for.
    fn begin_jobs(&mut self, object: &Object, codec: &mut Codec) -> Option<BlockIndex> {
        while self.interleaver.has_room() {
            let job = self.machine.poll_job(JobRoom { repair: true, source: !self.fresh.is_empty() })?;
            if self.machine.config().base.is_some() && !self.asked.contains(&job.block()) {
                return Some(job.block());
            }
            if matches!(job, Job::Source { .. }) && self.fresh.front() == Some(&job.block()) {
                self.fresh.pop_front();
            }
            let k = object.shape(job.block()).source_symbols();
            self.interleaver.put(job, self.machine.aim(job), k, object.symbols(codec, job));
        }
        None
    }

    fn send_symbol(&mut self, now: Moment, object: &Object) -> Option<Sent> {
        let t = usize::from(object.geometry.symbol_size());
        let to = self.machine.destination(self.interleaver.aim());
        let first = self.machine.take_sequences(to, 1);
        let to = to.host();
        let (cipher, tag) = (self.machine.cipher(), self.machine.config().session.tag());
        let mut bytes = vec![0; t + SYMBOL_OVERHEAD];
        let mut block = None;
        self.interleaver.take(1, first, |next| {
            let encoded_len = object.encoded_len(next.block);
            let header =
                SymbolHeader { tag, sequence: next.sequence, block: next.block, esi: next.esi, encoded_len };
            header.seal(cipher, &next.load[next.position as usize * t..][..t], &mut bytes);
            block = Some(next.block);
        });
        self.finish_jobs(now);
        self.symbols += 1;
        self.unicast += u64::from(to.is_some());
        let bits = 8 * (bytes.len() as u64 + HEADER_BYTES);
        self.send_at =
            self.send_at.max(now) + Duration::from_nanos(bits * 1_000_000_000 / self.machine.rate().max(1));
        let is_sent = block.is_some_and(|block| !self.left_out.contains(&block));
        is_sent.then(|| Sent { to, kind: Kind::Symbol, bytes: bytes.into() })
    }

    /// Reports finished jobs to the machine; returns their number.
    fn finish_jobs(&mut self, now: Moment) -> u64 {
        let mut finished = 0;
        while let Some(FinishedJob { job, last, .. }) = self.interleaver.next_finished() {
            self.machine.handle_sent(now, job, last);
            finished += 1;
        }
        finished
    }
}

/// Returns the configuration of a push.
pub(crate) fn config(
    plan: &Plan,
    object: &Object,
    session: SessionId,
    expected: Expected,
    known: KnownHosts,
    now: Moment,
) -> SenderConfig {
    SenderConfig {
        session,
        key: GroupKey::new(KEY),
        signer: plan.signed.then(signing_key),
        geometry: object.geometry,
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: SENDER,
        reach: Reach::default(),
        expected,
        known,
        agreement: overhear::sender_agreement(),
        timeout: plan.timeout,
        join_timeout: None,
        started: WallClock(WALL.0 + now.micros() / 1000),
        pace: plan.pace,
        header_bytes: HEADER_BYTES,
        one_way: plan.one_way,
        base: plan.with_base.then(|| BaseName::new("older").expect("plain")),
        data_bytes: None,
    }
}

/// The key of the simulated sender, if it signs.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([1; SigningKey::SEED_BYTES]))
}

/// The key of another sender.
pub(crate) fn other_key() -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([2; SigningKey::SEED_BYTES]))
}

/// Blocks that are read ahead, as by `glancecast`.
const FRESH_BLOCKS: usize = 2;
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
/// Datagrams in one turn.
const SAID_MAX: usize = 1_000;
const TICK: Duration = Duration::from_millis(10);
