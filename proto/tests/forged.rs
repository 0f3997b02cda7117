//! Somebody who has the group's key sends symbols of its own making. These tests show what that costs a host of a signed
//! push: with real bytes, a real codec, and every datagram of the machines.

mod pair;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use glancecast_fec::{Codec, Esi, RepairSymbol};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, Sequence};
use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
use glancecast_proto::limits::CORRUPT_TRIES_MAX;
use glancecast_proto::receiver::{
    Admission, Attempt, BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig,
    ReceiverEvent, Returned, Work, buffer_bytes,
};
use glancecast_proto::seal::Cipher;
use glancecast_proto::sender::{HostState, Job, JobRoom, Sender, SenderConfig, To};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{
    Discard, Down, Encoding, Kind, ManifestEntry, Proofs, SymbolHash, SymbolHeader, Totals,
};
use pair::{HOST, SENDER, announcement, at, group_key, host_config, key, push_of, wall};

#[test]
fn one_forged_symbol_in_each_block_costs_a_few_symbols_and_no_block() {
    let mut world = World::new(6);
    world.forge = |_, esi| (esi.value() == 40).then_some(esi);
    world.run();
    let totals = world.totals();
    println!("{} symbols for 6 blocks, {totals:?}", world.sent);
    assert_eq!((totals.symbols_forged, world.host.corrupt_blocks()), (6, 6));
    assert!(world.sent <= 6 * (u64::from(K) + 4), "{}", world.sent);
    assert_eq!(world.forged.len(), 6);
    for (number, event) in world.forged.iter().enumerate() {
        let ReceiverEvent::Forged { block, forged, unproven, first_forged, strangers, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!((block.index(), *forged, *unproven), (number, 1, 0));
        assert_eq!(first_forged, &[esi(40)]);
        assert!(matches!(strangers[..], [(FORGER, 1..)]), "where it came from: {strangers:?}");
    }
}

#[test]
fn symbols_that_the_sender_has_never_sent_are_told_from_its_own() {
    let mut world = World::new(2);
    // In the place of a lost source symbol comes a repair symbol that nobody has asked for.
    world.lose = |esi| esi.value() == 3;
    world.forge = |_, esi| (esi.value() == 5).then(|| self::esi(K + 5_000));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.symbols_forged, world.host.corrupt_blocks()), (2, 2));
    assert!(world.sent <= 2 * (u64::from(K) + 8), "{}", world.sent);
}

#[test]
fn forging_again_while_a_block_is_repaired_gains_one_more_round() {
    let mut world = World::new(1);
    world.lose = |esi| esi.value() == 3;
    // A forged symbol before each source symbol of the front, and before the first few repair symbols.
    world.forge = |_, esi| (esi.value() < 8 || (K..K + 4).contains(&esi.value())).then_some(esi);
    world.run();
    let corrupt = world.host.corrupt_blocks();
    println!("{corrupt} tries, {} symbols, {:?}", world.sent, world.totals());
    assert!((2..=6).contains(&corrupt));
    assert!(world.sent < 2 * u64::from(K), "{}", world.sent);
}

#[test]
fn forging_the_same_symbol_for_ever_gains_a_try_or_two() {
    let mut world = World::new(4);
    world.forge = |_, _| Some(self::esi(7));
    world.run();
    let corrupt = world.host.corrupt_blocks();
    println!("{corrupt} tries, {} symbols, {:?}", world.sent, world.totals());
    assert!((4..=12).contains(&corrupt));
    assert!(world.sent < 4 * (u64::from(K) + 20), "{}", world.sent);
}

#[test]
fn forging_a_symbol_before_each_that_repairs_a_block_delays_the_push_and_does_not_stop_it() {
    let mut world = World::new(2);
    world.lose = |esi| esi.value() < 30;
    world.forge = |sent, esi| (esi.value() >= K).then(|| self::esi(K + 5_000 + sent as u32 % 1_000));
    world.run();
    let corrupt = world.host.corrupt_blocks();
    println!("{corrupt} tries, {} symbols, {:?}", world.sent, world.totals());
    assert!(corrupt >= 4, "each block more than once: {corrupt}");
    assert!(world.sent < 3 * 2 * u64::from(K), "{}", world.sent);
}

#[test]
fn without_hashes_of_its_sender_a_host_asks_for_the_block_anew() {
    let mut world = World::new(1);
    world.answers = Answers::Never;
    world.forge = |sent, esi| (sent < u64::from(K) && esi.value() == 40).then_some(esi);
    world.run();
    assert_eq!((world.totals().symbols_forged, world.host.corrupt_blocks()), (0, 1));
    assert!(world.sent >= 2 * u64::from(K));
}

#[test]
fn without_hashes_of_its_sender_a_host_gives_up_after_its_tries() {
    let mut world = World::new(1);
    world.answers = Answers::Never;
    world.forge = |_, esi| (esi.value() == 40).then_some(esi);
    world.run_until(|world| world.state() == HostState::Failed);
    assert_eq!(world.host.corrupt_blocks(), u64::from(CORRUPT_TRIES_MAX));
}

#[test]
fn lost_hashes_are_asked_for_again() {
    let mut world = World::new(3);
    world.answers = Answers::EveryOther;
    world.forge = |_, esi| (esi.value() == 40).then_some(esi);
    world.run();
    println!("{} datagrams with hashes", world.proofs);
    assert_eq!((world.totals().symbols_forged, world.host.corrupt_blocks()), (3, 3));
}

#[test]
fn hashes_are_taken_from_the_sender_alone() {
    let mut world = World::new(1);
    world.answers = Answers::Never;
    world.forge = |sent, esi| (sent < u64::from(K) && esi.value() == 40).then_some(esi);
    world.run_until(|world| world.host.corrupt_blocks() == 1);
    let hashes = vec![SymbolHash([7; 8]); 100];
    let proofs = Down::Proofs(Proofs { block: BlockIndex(0), first: esi(0), hashes });
    assert_eq!(world.say(&proofs, None), Err(Discard::BadSignature));
    assert_eq!(world.say(&proofs, Some(2)), Err(Discard::BadSignature));
    world.run();
    assert_eq!(world.totals().symbols_forged, 0, "nothing was dropped for them");
}

#[test]
fn in_peace_nothing_is_hashed_and_hashes_for_others_are_not_even_checked() {
    let mut world = World::new(2);
    world.lose = |esi| esi.value().is_multiple_of(50);
    world.run_until(|world| world.host.blocks_held() == 1);
    let hashes = vec![SymbolHash([7; 8]); 100];
    let proofs = Down::Proofs(Proofs { block: BlockIndex(1), first: esi(0), hashes });
    assert_eq!(world.say(&proofs, Some(2)), Ok(()), "it is counted as received, whoever has signed it");
    world.run();
    assert_eq!((world.sifted, world.proofs), (0, 0));
}

#[test]
fn blocks_far_ahead_of_what_the_sender_has_signed_get_no_buffer() {
    let mut world = World::new(64);
    world.run_until(|world| world.host.blocks_held() == 2);
    let mut taken = 0;
    for block in 8..64 {
        match world.admit_forged(block) {
            Ok(Admission::To(place)) => {
                let number = Sequence::new(100_000 + u64::from(block)).expect("small");
                world.host.accept(world.now, &world.header(block, 0, number), place, 1_468);
                taken += 1;
            }
            Ok(Admission::Spare(reason)) => assert_eq!(reason, Discard::FarAhead),
            Err(reason) => panic!("{reason}"),
        }
    }
    println!("{taken} of {} buffers are taken by forged symbols of blocks to come", world.buffers.len());
    assert!(taken <= world.buffers.len() / 2 + 8);
    world.run();
    assert_eq!(world.host.discards().of(Discard::NoBuffer), 0, "the pass finds buffers");
}

/// A sender, a host, and somebody between them who forges.
struct World {
    now: Moment,
    sender: Sender,
    host: Receiver,
    blocks: Vec<Vec<u8>>,
    /// Blocks that the sender has read.
    read: u32,
    codec: Codec,
    buffers: Vec<Vec<u8>>,
    /// Source and repair symbols that the sender has sent.
    sent: u64,
    /// The number of a symbol that is forged right before this one, the `n`th that is sent.
    forge: fn(u64, Esi) -> Option<Esi>,
    lose: fn(Esi) -> bool,
    answers: Answers,
    /// Datagrams with hashes that the sender has sent.
    proofs: u64,
    sifted: u32,
    forged: Vec<ReceiverEvent>,
    is_published: bool,
}

/// Which of the sender's hashes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    All,
    EveryOther,
    Never,
}

impl World {
    fn new(blocks: u8) -> Self {
        let bytes = u64::from(blocks) << 20;
        let mut sender = Sender::new(at(0), SenderConfig { signer: Some(key(1)), ..push_of(SESSION, bytes) });
        let mut host = Receiver::new(ReceiverConfig {
            senders: vec![key(1).public()].into(),
            buffer_bytes: 48 << 20,
            ..host_config()
        });
        let announced = announcement(&mut sender, at(0));
        host.handle_datagram(at(0), wall(at(0)), SENDER, &announced).expect("fresh");
        let blocks: Vec<Vec<u8>> = (0..blocks)
            .map(|block| (0..1 << 20).map(|at: u32| (at % 251) as u8 ^ (at >> 11) as u8 ^ block).collect())
            .collect();
        let mut world = Self {
            now: at(1),
            sender,
            host,
            blocks,
            read: 0,
            codec: Codec::new(),
            buffers: Vec::new(),
            sent: 0,
            forge: |_, _| None,
            lose: |_| false,
            answers: Answers::All,
            proofs: 0,
            sifted: 0,
            forged: Vec::new(),
            is_published: false,
        };
        world.work();
        world
    }

    /// Runs until the host has published.
    fn run(&mut self) {
        self.run_until(|world| world.is_published && world.state() == HostState::Done);
    }

    fn run_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            self.step();
            assert!(self.now < at(60_000), "it does not end: {:?}", self.sender.rows());
        }
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        self.sender.handle_timeout(self.now);
        self.host.handle_timeout(self.now);
        self.read();
        self.talk();
        self.hash();
        if let Some(job) = self.sender.poll_job(JobRoom::ANY) {
            self.send(job);
        }
        self.work();
        self.talk();
        while let Some(event) = self.host.poll_event() {
            if matches!(event, ReceiverEvent::Forged { .. }) {
                self.forged.push(event);
            }
        }
    }

    /// Reads a few blocks ahead of those that were sent.
    fn read(&mut self) {
        let blocks = self.blocks.len() as u32;
        while self.read < blocks && self.read < self.sender.blocks_sent() + 6 {
            let block = BlockIndex(self.read);
            let hash = BlockHash::of(geometry(&self.sender), block, &self.blocks[block.index()]);
            self.sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash }, 0);
            self.read += 1;
            if self.read == blocks {
                self.sender.handle_source_proven(self.now);
            }
        }
    }

    fn talk(&mut self) {
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            let is_proofs = transmit.kind == Kind::Proofs;
            self.proofs += u64::from(is_proofs);
            let arrives = match self.answers {
                Answers::All => true,
                Answers::EveryOther => !is_proofs || self.proofs.is_multiple_of(2),
                Answers::Never => !is_proofs,
            };
            if arrives {
                let _ = self.host.handle_datagram(self.now, wall(self.now), SENDER, &out);
            }
        }
        while self.host.poll_transmit(self.now, &mut out).is_some() {
            let before = self.sender.discards().clone();
            let _ = self.sender.handle_datagram(self.now, HOST, &out);
            assert_eq!(self.sender.discards(), &before, "an honest host is within its budgets");
        }
    }

    fn hash(&mut self) {
        while let Some(job) = self.sender.poll_proofs(self.now) {
            let symbols = self.symbols(job);
            let hashes: Vec<SymbolHash> = symbols.chunks_exact(T).map(SymbolHash::of).collect();
            self.sender.handle_hashes(job, Some(&hashes));
        }
    }

    /// Sends a job; some of its symbols are lost, and forged ones come right before others.
    fn send(&mut self, job: Job) {
        let symbols = self.symbols(job);
        let mut last = Sequence::default();
        for (at, symbol) in (0..).zip(symbols.chunks_exact(T)) {
            let esi = job.esi(K, at);
            if let Some(forged) = (self.forge)(self.sent, esi) {
                let number = Sequence::new(1_000_000 + self.sent).expect("small");
                let header = self.header(job.block().0, forged.value(), number);
                self.hear_symbol(&header, &[0xBD; T], FORGER);
            }
            last = self.sender.take_sequences(To::Everyone, 1);
            self.sent += 1;
            if !(self.lose)(esi) {
                let header = self.header(job.block().0, esi.value(), last);
                self.hear_symbol(&header, symbol, SENDER);
            }
        }
        self.sender.handle_sent(self.now, job, last);
    }

    fn hear_symbol(&mut self, header: &SymbolHeader, symbol: &[u8], from: SocketAddr) {
        match self.host.admit(header) {
            Ok(Admission::To(place)) => {
                let buffer = &mut self.buffers[usize::from(place.buffer.0)];
                buffer[place.symbol as usize * T..][..T].copy_from_slice(symbol);
                self.host.accept(self.now, header, place, 1_468);
                self.host.note_source(from);
            }
            Ok(Admission::Spare(reason)) => self.host.note_spare(self.now, header, 1_468, reason),
            Err(_) => {}
        }
    }

    fn work(&mut self) {
        while let Some(effect) = self.host.poll_effect(BlockRoom::Free) {
            match effect {
                Effect::Prepare(_, announce, buffers) => {
                    self.buffers = vec![vec![0; buffer_bytes(&announce)]; usize::from(buffers)];
                }
                Effect::Open(attempt, _) => {
                    let place = Opened::Unfinished { file: (), kept: Vec::new() };
                    self.host.handle_opened(self.now, attempt, Ok(place));
                }
                Effect::Block(attempt, work, ()) => self.prove(attempt, work),
                Effect::Publish(attempt, (), _) => {
                    self.is_published = true;
                    self.host.handle_published(self.now, attempt, Ok(Published::New));
                }
                Effect::PutAway(..) => self.host.handle_put_away(),
                Effect::Leave(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn prove(&mut self, attempt: Attempt, work: Work) {
        let (block, buffer, collected, outcome) = match work {
            Work::Rebuild { block, entry, buffer, collected } => {
                let shape = collected.shape();
                let bytes = &mut self.buffers[usize::from(buffer.0)];
                let (source, repair) = bytes.split_at_mut(shape.source_bytes());
                let repair = collected.repair().iter().zip(repair.chunks_exact(T));
                let repair: Vec<RepairSymbol<'_>> =
                    repair.map(|(&esi, bytes)| RepairSymbol { esi, bytes }).collect();
                let decoded = self.codec.decode(shape, source, collected.held(), &repair);
                let plain = &source[..1 << 20];
                let verified = VerifiedBlock::verify(geometry(&self.sender), block, plain, entry.hash);
                let outcome = match (decoded, verified) {
                    (Err(_), _) => BlockOutcome::Undecodable,
                    (Ok(()), Err(_)) => BlockOutcome::Corrupt,
                    (Ok(()), Ok(_)) => BlockOutcome::Written { repaired: 0 },
                };
                (block, buffer, collected, outcome)
            }
            Work::Sift { block, buffer, mut collected, hashes } => {
                self.sifted += 1;
                let sifted = collected.sift(&hashes, &mut self.buffers[usize::from(buffer.0)]);
                (block, buffer, collected, BlockOutcome::Sifted(sifted))
            }
            other => panic!("{other:?}"),
        };
        self.host.handle_block(self.now, attempt, block, Some(Returned { buffer, collected }), outcome);
    }

    /// Returns the symbols of a job.
    fn symbols(&mut self, job: Job) -> Vec<u8> {
        let shape = geometry(&self.sender).shape(1 << 20);
        let mut source = self.blocks[job.block().index()].clone();
        source.resize(shape.source_bytes(), 0);
        let (first, count) = match job {
            Job::Source { first, repair, .. } => (first, repair),
            Job::Repair { first, count, .. } => (first, count),
        };
        let mut repair = vec![0; count as usize * T];
        self.codec.encode(shape, &source, first, &mut repair);
        if matches!(job, Job::Source { .. }) { [source, repair].concat() } else { repair }
    }

    fn header(&self, block: u32, number: u32, sequence: Sequence) -> SymbolHeader {
        let tag = self.sender.config().session.tag();
        SymbolHeader { tag, sequence, block: BlockIndex(block), esi: esi(number), encoded_len: 1 << 20 }
    }

    fn admit_forged(&mut self, block: u32) -> Result<Admission, Discard> {
        let number = Sequence::new(100_000 + u64::from(block)).expect("small");
        let header = self.header(block, 0, number);
        self.host.admit(&header)
    }

    /// Has the host hear a datagram that somebody has sealed, and signed with this key.
    fn say(&mut self, down: &Down, signer: Option<u8>) -> Result<(), Discard> {
        let session = self.sender.config().session;
        let signer = signer.map(key);
        let signer = signer.as_ref().map(|key| key.within(group_key().scope(session)));
        let (number, mut out) = (Sequence::new(500_000 + self.sent).expect("small"), Vec::new());
        down.seal(&Cipher::downward(&group_key(), session), signer, session, number, &mut out);
        self.host.handle_datagram(self.now, wall(self.now), FORGER, &out)
    }

    fn state(&self) -> HostState {
        self.sender.rows().first().map_or(HostState::NeverAnswered, |row| row.state)
    }

    /// The host's counters, as its last report or final report has them.
    fn totals(&self) -> Totals {
        self.sender.rows()[0].totals
    }
}

fn geometry(sender: &Sender) -> Geometry {
    sender.config().geometry
}

fn esi(value: u32) -> Esi {
    Esi::new(value).expect("small")
}

/// The session's id, 16 times.
const SESSION: u8 = 6;
/// Symbols of a block, and bytes of a symbol.
const K: u32 = 733;
const T: usize = 1_432;
const FORGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 66)), 9);
