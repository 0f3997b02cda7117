//! A small world: one sender, hosts, a network with loss, delay and doubles between them, and one clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, SessionId};
use glancecast_proto::integrity::{BlockHash, Fingerprint};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::receiver::{
    Admission, Attempt, BaseIndex, BlockOutcome, BlockRoom, Collected, Effect, Opened, Origin, Published,
    Receiver, ReceiverConfig, Returned, Work,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, FinishedJob, Interleaver, JobRoom, OneWay, Pace, Reach, Sender, SenderConfig, Verdict,
};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{
    BaseName, Discard, DiskFormat, Encoding, ManifestEntry, Pin, SYMBOL_OVERHEAD, SymbolHash, SymbolHeader,
};
use glancecast_testkit::Rng;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The faults of a host's network and disk.
#[derive(Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) loss: f64,
    pub(crate) up_loss: f64,
    pub(crate) doubled: f64,
    pub(crate) corrupt: f64,
    /// The delay of one way, to which up to `delay_max` is added.
    pub(crate) delay: Duration,
    pub(crate) delay_max: Duration,
}

impl Fate {
    pub(crate) fn lossy(loss: f64) -> Self {
        Self {
            loss,
            up_loss: loss,
            doubled: 0.0,
            corrupt: 0.0,
            delay: Duration::from_micros(50),
            delay_max: Duration::from_micros(200),
        }
    }

    /// Returns the fate of a network that loses datagrams and keeps their order. Elsewhere a page of the audience may
    /// come before the announcement that it belongs to, and a manifest before both: then the host joins at the next
    /// announcement.
    pub(crate) fn in_order(loss: f64) -> Self {
        Self { delay_max: Duration::ZERO, ..Self::lossy(loss) }
    }
}

pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) sender: Sender,
    pub(crate) symbols_sent: u64,
    /// The symbols among those that went to one host alone.
    pub(crate) unicast_symbols: u64,
    pub(crate) published: Vec<u32>,
    pub(crate) discarded: Vec<u32>,
    pub(crate) corrupted: u32,
    /// Blocks whose symbols were compared with their hashes.
    pub(crate) sifted: u32,
    /// When all source symbols had been sent once.
    pub(crate) pass_ended: Option<Moment>,
    /// When the last host so far published.
    pub(crate) published_at: Moment,
    pub(crate) abort_instead_of_proof: bool,
    hosts: BTreeMap<usize, Host>,
    /// The blocks that each host kept of an earlier session.
    pub(crate) kept: BTreeMap<usize, BTreeSet<BlockIndex>>,
    /// Blocks whose kept bytes are of another object.
    pub(crate) stale: BTreeSet<BlockIndex>,
    /// The blocks of the object that lie in each host's base, at the same positions as in the object.
    pub(crate) base: BTreeMap<usize, BTreeSet<BlockIndex>>,
    /// How long a host needs to index its base.
    pub(crate) base_time: Duration,
    /// Blocks that equal an earlier one.
    pub(crate) alike: BTreeMap<BlockIndex, BlockIndex>,
    looking: Vec<(Moment, usize, Attempt)>,
    later: Vec<(usize, u32, Fate)>,
    interleaver: Interleaver<()>,
    /// Deliveries by time, then in order of sending.
    mail: BTreeMap<(Moment, u64), Mail>,
    mailed: u64,
    rng: Rng,
}

struct Host {
    receiver: Receiver,
    fate: Fate,
    /// Whether it has ever asked its shell for anything.
    asked: bool,
    /// Whether it has ever sent anything.
    said: bool,
}

#[derive(Clone)]
enum Mail {
    Symbol(usize, SymbolHeader),
    Down(usize, Vec<u8>),
    Up(usize, Vec<u8>),
}

/// The time of one symbol on the line: about 1 Gbit/s.
const SYMBOL_TIME: Duration = Duration::from_micros(12);

impl World {
    pub(crate) fn new(seed: u64, bytes: u64, expected: Expected) -> Self {
        Self::with(seed, bytes, expected, None, None)
    }

    /// Returns a world in which the sender names a base. Hosts have the blocks that are in `World::base`.
    pub(crate) fn with_base(seed: u64, bytes: u64, expected: Expected) -> Self {
        Self::with(seed, bytes, expected, None, Some(BaseName::new("base").expect("plain")))
    }

    /// Returns a world for hosts that cannot answer.
    pub(crate) fn one_way(seed: u64, bytes: u64, one_way: OneWay) -> Self {
        Self::one_way_to(seed, bytes, one_way, Expected::Anyone)
    }

    /// Returns a world for these hosts, none of which can answer.
    pub(crate) fn one_way_to(seed: u64, bytes: u64, one_way: OneWay, expected: Expected) -> Self {
        Self::with(seed, bytes, expected, Some(one_way), None)
    }

    fn with(
        seed: u64,
        bytes: u64,
        expected: Expected,
        one_way: Option<OneWay>,
        base: Option<BaseName>,
    ) -> Self {
        println!("world of seed {seed}, {bytes} bytes");
        let config = SenderConfig {
            session: SessionId([seed as u8; 16]),
            key: GroupKey::new([7; 32]),
            signer: None,
            agreement: AgreementKey::from_seed(&[seed as u8; 32].into()),
            geometry: Geometry::for_path(bytes, 1500, 20).expect("in range"),
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: SocketAddr::from(([10, 0, 0, 1], 7167)),
            reach: Reach::default(),
            expected,
            known: KnownHosts::default(),
            timeout: TIMEOUT,
            join_timeout: None,
            started: WallClock(1_000_000),
            pace: Pace::Fixed(Rate::mbit(1_000)),
            header_bytes: 42,
            one_way,
            base,
            data_bytes: None,
        };
        Self {
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config),
            symbols_sent: 0,
            unicast_symbols: 0,
            published: Vec::new(),
            discarded: Vec::new(),
            corrupted: 0,
            sifted: 0,
            pass_ended: None,
            published_at: Moment::default(),
            abort_instead_of_proof: false,
            hosts: BTreeMap::new(),
            kept: BTreeMap::new(),
            stale: BTreeSet::new(),
            base: BTreeMap::new(),
            base_time: Duration::ZERO,
            alike: BTreeMap::new(),
            looking: Vec::new(),
            later: Vec::new(),
            interleaver: Interleaver::default(),
            mail: BTreeMap::new(),
            mailed: 0,
            rng: Rng::from_product(seed),
        }
    }

    pub(crate) fn start(&mut self, host: usize, fate: Fate) {
        let config = ReceiverConfig {
            name: name(host),
            software: "test".into(),
            keys: vec![GroupKey::new([7; 32])],
            host_key: SigningKey::from_seed(&[host as u8; 32].into()),
            secret: StartSecret::new([host as u8; 32]),
            mtu: None,
            senders: Vec::new().into(),
            start: [host as u8; 16],
            seed: [host as u8; 32],
            buffer_bytes: 64 << 20,
            can_relay: false,
        };
        self.kept.entry(host).or_default();
        self.hosts.insert(host, Host { receiver: Receiver::new(config), fate, asked: false, said: false });
        self.published.resize(self.published.len().max(host + 1), 0);
        self.discarded.resize(self.published.len(), 0);
    }

    pub(crate) fn start_after_blocks(&mut self, host: usize, blocks: u32, fate: Fate) {
        self.later.push((host, blocks, fate));
    }

    /// Whether a host has done nothing and said nothing since its start, and knows that the push is for others.
    pub(crate) fn is_left_alone(&self, host: usize) -> bool {
        let Host { receiver, asked, said, .. } = &self.hosts[&host];
        !asked && !said && receiver.session().is_none() && receiver.discards().of(Discard::NotForUs) > 0
    }

    pub(crate) fn source_symbols(&self) -> u64 {
        self.geometry().indices().map(|block| u64::from(self.source_symbols_of(block))).sum()
    }

    fn source_symbols_of(&self, block: BlockIndex) -> u32 {
        self.geometry().shape(self.geometry().block_len(block)).source_symbols()
    }

    /// Runs the session to its end.
    pub(crate) fn run(&mut self) -> Verdict {
        let geometry = self.geometry();
        for block in geometry.indices() {
            // All blocks are read before the first is sent, so that each is ready when its turn comes.
            let ahead = self.sender.repair_ahead();
            let entry = ManifestEntry { encoding: Encoding::Stored, hash: hash(block) };
            match self.sender.config().base {
                None => self.sender.handle_block(entry, ahead),
                Some(_) => {
                    let of = *self.alike.get(&block).unwrap_or(&block);
                    self.sender.handle_fingerprinted(entry, Some(fingerprint(of)))
                }
            };
        }
        if self.abort_instead_of_proof {
            self.settle(Duration::from_millis(30));
            self.sender.handle_abort(self.now, "the source is not what it should be");
        } else {
            self.sender.handle_source_proven(self.now);
        }
        while !self.sender.is_finished() {
            self.step();
            assert!(self.now.micros() < 2 * TIMEOUT.as_micros() as u64, "the session does not end");
        }
        self.sender.verdict().expect("finished").clone()
    }

    pub(crate) fn settle(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step();
        }
    }

    fn step(&mut self) {
        self.deliver();
        self.drive_sender();
        let ids: Vec<usize> = self.hosts.keys().copied().collect();
        ids.into_iter().for_each(|id| self.drive_host(id));
        let sent = self.sender.blocks_sent();
        if sent == self.geometry().blocks() {
            self.pass_ended.get_or_insert(self.now);
        }
        let due: Vec<_> = self.later.extract_if(.., |(_, blocks, _)| sent >= *blocks).collect();
        due.into_iter().for_each(|(host, _, fate)| self.start(host, fate));
        self.now = self.now + if self.interleaver.is_empty() { self.idle_time() } else { SYMBOL_TIME };
    }

    /// Returns the time to the next event, at most a millisecond.
    fn idle_time(&self) -> Duration {
        let next = self.mail.keys().next().map_or(Duration::from_millis(1), |&(at, _)| at.since(self.now));
        next.clamp(Duration::from_micros(10), Duration::from_millis(1))
    }

    fn drive_sender(&mut self) {
        self.sender.handle_timeout(self.now);
        let mut out = Vec::new();
        while self.sender.poll_transmit(self.now, &mut out).is_some() {
            // Acks go to one host; here all hosts hear them, and all but one must ignore them.
            let ids: Vec<usize> = self.hosts.keys().copied().collect();
            ids.into_iter()
                .for_each(|id| self.post(id, self.hosts[&id].fate.loss, Mail::Down(id, out.clone())));
        }
        self.begin_jobs();
        if !self.interleaver.is_empty() && !self.sender.holds_symbols_back() {
            self.send_symbol();
            self.finish_jobs();
        }
    }

    fn begin_jobs(&mut self) {
        self.interleaver.cut(|block| self.sender.needs_pass(block));
        self.finish_jobs();
        while self.sender.poll_skip(self.now).is_some() {}
        while let Some(job) = self.sender.poll_proofs(self.now) {
            let k = self.source_symbols_of(job.block());
            let symbols = (0..job.symbols(k)).map(|at| symbol(job.block(), job.esi(k, at)));
            let hashes: Vec<SymbolHash> = symbols.map(|symbol| SymbolHash::of(&symbol)).collect();
            self.sender.handle_hashes(job, Some(&hashes));
        }
        while self.interleaver.has_room()
            && let Some(job) = self.sender.poll_job(JobRoom::ANY)
        {
            self.interleaver.put(job, self.sender.aim(job), self.source_symbols_of(job.block()), ());
        }
    }

    fn finish_jobs(&mut self) {
        while let Some(FinishedJob { job, last, .. }) = self.interleaver.next_finished() {
            self.sender.handle_sent(self.now, job, last);
        }
    }

    fn send_symbol(&mut self) {
        let (tag, geometry) = (self.sender.config().session.tag(), self.geometry());
        let to = self.sender.destination(self.interleaver.aim());
        let first = self.sender.take_sequences(to, 1);
        let mut sent = None;
        self.interleaver.take(1, first, |next| {
            let encoded_len = geometry.block_len(next.block);
            let (sequence, block, esi) = (next.sequence, next.block, next.esi);
            sent = Some(SymbolHeader { tag, sequence, block, esi, encoded_len });
        });
        let (header, to) = (sent.expect("one was taken"), to.host());
        self.symbols_sent += 1;
        self.unicast_symbols += u64::from(to.is_some());
        let hears = |id: &usize| to.is_none_or(|to| to == address(*id));
        let ids: Vec<usize> = self.hosts.keys().copied().filter(hears).collect();
        ids.into_iter().for_each(|id| self.post(id, self.hosts[&id].fate.loss, Mail::Symbol(id, header)));
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.mail.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Mail::Symbol(id, header) => self.take_symbol(id, &header),
                Mail::Down(id, bytes) => {
                    let wall = WallClock(1_000_000 + self.now.micros() / 1000);
                    let from = SocketAddr::from(([10, 0, 0, 1], 7167));
                    let host = self.hosts.get_mut(&id).expect("started");
                    let _ = host.receiver.handle_datagram(self.now, wall, from, &bytes);
                }
                Mail::Up(id, bytes) => {
                    let _ = self.sender.handle_datagram(self.now, address(id), &bytes);
                }
            }
        }
    }

    fn take_symbol(&mut self, id: usize, header: &SymbolHeader) {
        let now = self.now;
        let receiver = self.receiver(id);
        let bytes = 1432 + SYMBOL_OVERHEAD;
        match receiver.admit(header) {
            Ok(Admission::To(place)) => receiver.accept(now, header, place, bytes),
            Ok(Admission::Spare(reason)) => receiver.note_spare(now, header, bytes, reason),
            Err(_) => {}
        }
    }

    fn drive_host(&mut self, id: usize) {
        let now = self.now;
        for (_, id, attempt) in self.looking.extract_if(.., |&mut (at, ..)| at <= now) {
            let pieces = self.base.get(&id).into_iter().flatten().map(|&block| (fingerprint(block), block));
            let index = BaseIndex::new(pieces.collect());
            self.hosts.get_mut(&id).expect("started").receiver.handle_base(attempt, index);
        }
        self.receiver(id).handle_timeout(now);
        while let Some(effect) = self.receiver(id).poll_effect(BlockRoom::Free) {
            self.hosts.get_mut(&id).expect("started").asked = true;
            self.perform(id, effect);
        }
        let mut out = Vec::new();
        while self.receiver(id).poll_transmit(now, &mut out).is_some() {
            self.hosts.get_mut(&id).expect("started").said = true;
            self.post(id, self.hosts[&id].fate.up_loss, Mail::Up(id, out.clone()));
        }
    }

    fn perform(&mut self, id: usize, effect: Effect<(), ()>) {
        let now = self.now;
        match effect {
            Effect::Open(attempt, _) => {
                let place = Opened::Unfinished { file: (), kept: self.kept[&id].iter().copied().collect() };
                self.receiver(id).handle_opened(now, attempt, Ok(place));
            }
            Effect::LookThrough(attempt, _) => self.looking.push((now + self.base_time, id, attempt)),
            Effect::Block(attempt, work, ()) => self.prove(id, attempt, work),
            Effect::Publish(attempt, (), proof) => {
                assert_eq!(Some(proof.root()), self.sender.root(), "published under the sender's root");
                self.published[id] += 1;
                self.published_at = now;
                self.receiver(id).handle_published(now, attempt, Ok(Published::New));
            }
            Effect::Compare(..) => unreachable!("nothing exists here"),
            Effect::PutAway((), _) => {
                self.discarded[id] += 1;
                self.receiver(id).handle_put_away();
            }
            Effect::Prepare(..) | Effect::Leave(_) => {}
        }
    }

    fn prove(&mut self, id: usize, attempt: Attempt, work: Work) {
        let found = |right: bool| match right {
            true => BlockOutcome::Written { repaired: 0 },
            false => BlockOutcome::NotKept,
        };
        let (block, returned, outcome) = match work {
            Work::Recheck { block, entry } => {
                assert_eq!(entry.hash, hash(block));
                assert!(self.kept[&id].contains(&block));
                (block, None, found(!self.stale.contains(&block)))
            }
            Work::Reuse { block, entry, origin } => {
                assert_eq!(entry.hash, hash(block));
                let is_there = match origin {
                    Origin::Base(piece) => {
                        self.base[&id].contains(&piece) && fingerprint(piece) == fingerprint(block)
                    }
                    Origin::Object(of) => self.alike.get(&block) == Some(&of),
                };
                (block, None, found(is_there && !self.stale.contains(&block)))
            }
            Work::Zero { block } => (block, None, BlockOutcome::Zeros(hash(block))),
            Work::Rebuild { block, entry, buffer, collected } => {
                assert_eq!(entry.hash, hash(block));
                let missing = collected.held().bound() - collected.held().count();
                assert!(missing as usize <= collected.repair().len(), "not enough symbols to decode");
                let corrupt = self.rng.unit() < self.hosts[&id].fate.corrupt;
                let undecodable = (self.rng.unit() < 1.0 / 256.0) && missing > 0;
                self.corrupted += u32::from(corrupt && !undecodable);
                let outcome = match (undecodable, corrupt) {
                    (true, _) => BlockOutcome::Undecodable,
                    (_, true) => BlockOutcome::Corrupt,
                    _ => BlockOutcome::Written { repaired: missing },
                };
                (block, Some(Returned { buffer, collected }), outcome)
            }
            Work::Sift { block, buffer, mut collected, hashes } => {
                let mut bytes = symbols_of(block, &collected);
                let spoiled = self.rng.below(bytes.len() as u64) as usize;
                bytes[spoiled] ^= 1;
                let sifted = collected.sift(&hashes, &mut bytes);
                self.sifted += 1;
                (block, Some(Returned { buffer, collected }), BlockOutcome::Sifted(sifted))
            }
        };
        let now = self.now;
        self.receiver(id).handle_block(now, attempt, block, returned, outcome);
    }

    fn receiver(&mut self, id: usize) -> &mut Receiver {
        &mut self.hosts.get_mut(&id).expect("started").receiver
    }

    fn post(&mut self, id: usize, loss: f64, mail: Mail) {
        let fate = self.hosts[&id].fate;
        let copies = 1 + u32::from(self.rng.unit() < fate.doubled);
        for _ in 0..copies {
            if self.rng.unit() >= loss {
                let at = self.now + fate.delay + fate.delay_max.mul_f64(self.rng.unit());
                self.mailed += 1;
                self.mail.insert((at, self.mailed), mail.clone());
            }
        }
    }

    fn geometry(&self) -> Geometry {
        self.sender.config().geometry
    }
}

/// Returns what the buffer of a block holds. Elsewhere symbols have no bytes here.
fn symbols_of(block: BlockIndex, collected: &Collected) -> Vec<u8> {
    let source = (0..collected.held().bound()).map(|esi| Esi::new(esi).expect("small"));
    source.chain(collected.repair().iter().copied()).flat_map(|esi| symbol(block, esi)).collect()
}

fn symbol(block: BlockIndex, esi: Esi) -> Vec<u8> {
    let mut symbol = vec![0; 1432];
    symbol[..4].copy_from_slice(&block.0.to_be_bytes());
    symbol[4..8].copy_from_slice(&esi.value().to_be_bytes());
    symbol
}

pub(crate) fn names(count: usize) -> BTreeSet<HostName> {
    (0..count).map(name).collect()
}

fn name(host: usize) -> HostName {
    HostName::new(&format!("compute-{host}")).expect("plain")
}

fn address(host: usize) -> SocketAddr {
    ([10, 0, 1, host as u8], 40_000).into()
}

fn hash(block: BlockIndex) -> BlockHash {
    BlockHash(*blake3::hash(&block.0.to_be_bytes()).as_bytes())
}

fn fingerprint(block: BlockIndex) -> Fingerprint {
    Fingerprint(*hash(block).0.first_chunk().expect("half of 32 bytes"))
}
