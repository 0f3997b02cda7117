//! The machines under random operations: datagrams that are valid, changed, doubled, out of order or made by somebody
//! who holds the group key, answers of the shell in any order, and time in jumps. They never panic, keep within their
//! bounds, never ask to be woken in the past, and keep their order with the shell. Seeded; the seed is printed.

mod dice;
mod vectors;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::aead::Aad;
use dice::Dice;
use glancecast_fec::Esi;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::receiver::{
    Admission, Attempt, BlockOutcome, Effect, Opened, Published, Receiver, ReceiverConfig, Work,
    buffer_symbols,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, Job, Pace, Sender, SenderConfig};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    Ack, DeficitRun, Discard, DiskFormat, Done, Down, Encoding, End, Failed, FailureKind, GapRun, Hello,
    KeptRun, Kind, ManifestEntry, ManifestRun, Pin, Poll, Report, SYMBOL_OVERHEAD, SymbolHeader, Totals, Up,
    UpHeader,
};
use vectors::{KEY, SESSION, Signed, Value};

#[test]
fn a_receiver_survives_whatever_comes() {
    let seeds = 400;
    let mut published = 0;
    for seed in 0..seeds {
        let mut host = Host::new(seed);
        (0..1_500).for_each(|_| host.operate());
        published += host.published;
    }
    println!("{published} times published in {seeds} lives");
    assert!(published > seeds / 10, "the operations reach the end of a session");
}

#[test]
fn a_sender_survives_whatever_comes() {
    let seeds = 200;
    let mut ended = 0;
    for seed in 0..seeds {
        let mut push = Push::new(seed);
        (0..1_500).for_each(|_| push.operate());
        ended += u32::from(push.sender.verdict().is_some());
    }
    println!("{ended} of {seeds} pushes came to an end");
    assert!(ended > 10);
}

#[test]
fn a_sender_keeps_no_more_hosts_than_its_limit() {
    let mut push = Push::new(0);
    let mut refused = 0;
    for host in 0..HOSTS_MAX as u64 + 50 {
        let id = ReceiverId(host.to_be_bytes());
        let hello = Hello { name: name("host"), software: String::new(), busy: false, kept: Vec::new() };
        let datagram = push.sealed(&Up::Hello(hello), id, 1);
        refused += u32::from(
            push.sender.handle_datagram(push.now, address(1), &datagram) == Err(Discard::UnknownHost),
        );
        push.drain();
    }
    assert_eq!(refused, 50);
}

/// A host, its store and everybody else.
struct Host {
    dice: Dice,
    now: Moment,
    receiver: Receiver,
    /// Datagrams to be heard again.
    heard: Vec<Vec<u8>>,
    pending: Vec<Effect>,
    /// The attempt whose place the store holds.
    open: Option<(Attempt, u16)>,
    publishing: Option<Attempt>,
    vouched: BTreeSet<[u8; 32]>,
    us: Option<ReceiverId>,
    sequence: u64,
    published: u64,
}

impl Host {
    fn new(seed: u64) -> Self {
        let config = ReceiverConfig {
            name: name("compute-1"),
            software: "test".into(),
            keys: vec![GroupKey::new(KEY)],
            senders: Vec::new(),
            start: [seed as u8; 16],
            seed: [seed as u8; 32],
            buffer_bytes: 0, // as few buffers as there can be
        };
        let mut host = Self {
            dice: Dice::of("receiver", seed),
            now: Moment::default(),
            receiver: Receiver::new(config),
            heard: Vec::new(),
            pending: Vec::new(),
            open: None,
            publishing: None,
            vouched: BTreeSet::new(),
            us: None,
            sequence: 0,
            published: 0,
        };
        let announce = vectors::values()["announce-ipv4"].clone();
        host.hear(announce.seal());
        host
    }

    fn operate(&mut self) {
        match self.dice.below(1_000) {
            0..300 => self.hear_symbol(),
            300..600 => {
                let datagram = self.insider();
                self.hear(datagram);
            }
            600..640 => self.hear_again(),
            640..700 => self.hear_sealed_nonsense(),
            700..850 => self.take_effect(),
            850..960 => self.answer(),
            960..999 => {
                let times = if self.dice.below(60) == 0 { 31_000_000 } else { 20_000 };
                self.now = self.now + Duration::from_micros(self.dice.below(times));
            }
            _ => {
                if self.dice.below(4) == 0 {
                    self.receiver.handle_stop(self.now);
                }
            }
        }
        self.drain();
    }

    fn hear(&mut self, datagram: Vec<u8>) {
        let wall = WallClock(1_767_225_600_000 + self.now.micros() / 1_000_000);
        let _ = self.receiver.handle_datagram(self.now, wall, address(1), &datagram);
        // As the shell does: a session has its memory before its first symbol.
        while let Some(effect) = self.receiver.poll_effect(false) {
            self.note_effect(effect, false);
        }
        if self.heard.len() < 100 {
            self.heard.push(datagram);
        }
    }

    fn hear_again(&mut self) {
        let datagram = self.dice.pick(&self.heard).clone();
        let datagram = if self.dice.below(2) == 0 { datagram } else { self.dice.mutated(&datagram) };
        self.hear(datagram);
    }

    fn hear_sealed_nonsense(&mut self) {
        let values: Vec<Value> = vectors::values().into_values().collect();
        let value = self.dice.pick(&values).clone();
        let datagram = nonsense(&mut self.dice, &value);
        self.hear(datagram);
    }

    /// A datagram that makes sense by itself, whatever was said before.
    fn insider(&mut self) -> Vec<u8> {
        self.sequence += self.dice.below(3);
        let first = self.dice.below(6) as u32;
        let down = match self.dice.below(40) {
            0..2 => return vectors::values()["announce-ipv4"].seal(),
            2..24 => {
                let count = 1 + self.dice.below(u64::from(6 - first)) as u32;
                let entries = (first..first + count).map(|block| self.entry(BlockIndex(block)));
                let entries: Vec<_> = entries.collect();
                Down::Manifest(ManifestRun::plain(BlockIndex(first), entries))
            }
            24..36 => {
                let root = match self.dice.below(8) {
                    0 => Some(Root([1; 32])),
                    1..4 => Some(true_root()),
                    _ => None,
                };
                self.vouched.extend(root.map(|root| root.0));
                Down::Poll(Poll {
                    round: self.dice.below(100) as u32,
                    blocks_sent: self.dice.below(7) as u32,
                    manifest_sent: self.dice.below(7) as u32,
                    window: Duration::from_micros(self.dice.below(10_000)),
                    slots: 1 + self.dice.below(1 << 32) as u32 / 2,
                    root,
                })
            }
            36 if self.dice.below(6) == 0 => Down::End(End::Over),
            37 if self.dice.below(6) == 0 => Down::End(End::Aborted("no".into())),
            _ => {
                let receiver = self.us.unwrap_or(ReceiverId([0; 8]));
                let kind = *self.dice.pick(&[Kind::Hello, Kind::Hello, Kind::Done, Kind::Failed]);
                Down::Ack(Ack { receiver, kind, slot: self.dice.number() as u32 })
            }
        };
        let sequence = if self.dice.below(500) == 0 { Sequence::MAX } else { self.sequence };
        let mut out = Vec::new();
        let cipher = Cipher::downward(&GroupKey::new(KEY), SESSION);
        down.seal(&cipher, None, SESSION, Sequence::new(sequence).expect("40 bits"), &mut out);
        assert_eq!(Value::open(&out), Ok(Value::Down(down, Signed::No)));
        out
    }

    /// Mostly the truth, so that sessions come to their end.
    fn entry(&mut self, block: BlockIndex) -> ManifestEntry {
        let encoding = match self.dice.below(60) {
            0 => Encoding::Zero,
            1 => Encoding::Zstd { encoded_len: 1 + self.dice.below(900) as u32 },
            _ => true_entry(block).encoding,
        };
        let hash = if self.dice.below(100) == 0 { BlockHash([9; 32]) } else { true_entry(block).hash };
        ManifestEntry { encoding, hash }
    }

    fn hear_symbol(&mut self) {
        let geometry = vectors::geometry();
        let block = BlockIndex(self.dice.below(7) as u32);
        let encoded_len = match (self.dice.below(20), geometry.contains(block)) {
            (0, _) => self.dice.below(1 << 24) as u32,
            (_, true) => true_entry(block).encoded_len(geometry, block),
            (_, false) => 1_000,
        };
        let esi = if self.dice.below(10) == 0 { Esi::MAX as u64 } else { self.dice.below(4) };
        // A run of symbols, so that blocks are filled.
        for esi in esi..esi + if self.dice.below(3) == 0 { 2_200 } else { 3 } {
            let Some(esi) = Esi::new(esi as u32) else { continue };
            self.sequence += 1;
            let sequence = Sequence::new(self.sequence).expect("40 bits");
            let header = SymbolHeader { tag: SESSION.tag(), sequence, block, esi, encoded_len };
            match self.receiver.admit(&header) {
                Ok(Admission::To(place)) => {
                    let shape = geometry.shape(encoded_len);
                    assert!(place.symbol < buffer_symbols(shape.source_symbols()));
                    let (_, buffers) = self.open.expect("memory before the first symbol");
                    assert!(place.buffer.0 < buffers);
                    self.receiver.accept(self.now, &header, place, 488 + SYMBOL_OVERHEAD);
                }
                Ok(Admission::Spare(reason)) => {
                    self.receiver.note_spare(self.now, &header, 488 + SYMBOL_OVERHEAD, reason);
                }
                Err(_) => {}
            }
        }
    }

    /// The shell makes a place at once, and answers all else when it likes.
    fn take_effect(&mut self) {
        let room = self.pending.len() < 8;
        if let Some(effect) = self.receiver.poll_effect(room) {
            self.note_effect(effect, room);
        }
    }

    fn note_effect(&mut self, effect: Effect, room: bool) {
        match effect {
            Effect::Open(attempt, _, buffers) => {
                self.open = Some((attempt, buffers));
                self.pending.push(effect);
            }
            Effect::Block(attempt, _) => {
                assert!(room);
                self.assert_open(attempt);
                assert_eq!(self.publishing, None, "no block after the last");
                self.pending.push(effect);
            }
            Effect::Publish(attempt, ref proof) => {
                self.assert_open(attempt);
                assert!(self.vouched.contains(&proof.root().0), "the sender vouched for it");
                assert_eq!(proof.root(), true_root(), "the manifest amounts to it");
                assert_ne!(self.publishing.replace(attempt), Some(attempt), "published once");
                self.pending.push(effect);
            }
            Effect::Compare(attempt, _) => {
                self.assert_open(attempt);
                self.pending.push(effect);
            }
            Effect::Discard(attempt) | Effect::Suspend(attempt) => {
                assert_ne!(self.publishing, Some(attempt), "what is being published cannot be taken back");
                self.open = self.open.filter(|&(open, _)| open != attempt);
            }
        }
    }

    fn assert_open(&self, attempt: Attempt) {
        assert_eq!(self.open.map(|(attempt, _)| attempt), Some(attempt), "work in a place that is there");
    }

    fn answer(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.dice.below(self.pending.len() as u64) as usize;
        match self.pending.swap_remove(at) {
            Effect::Open(attempt, ..) => {
                let result = match self.dice.below(20) {
                    0 => Err((FailureKind::NoSpace, "full".to_owned())),
                    1 => Ok(Opened::Existing),
                    2..8 => Ok(Opened::Resumed((0..self.dice.below(9) as u32).map(BlockIndex).collect())),
                    _ => Ok(Opened::New),
                };
                self.receiver.handle_opened(self.now, attempt, result);
            }
            Effect::Block(attempt, Work::Zero { block }) => {
                let outcome = match self.outcome(false) {
                    BlockOutcome::Store(kind, reason) => BlockOutcome::Store(kind, reason),
                    // What zeros at this place hash to, whether or not the block is meant to be zero.
                    _ if true_entry(block).encoding == Encoding::Zero => {
                        BlockOutcome::Zeros(true_entry(block).hash)
                    }
                    _ => BlockOutcome::Zeros(BlockHash([0xEE; 32])),
                };
                self.receiver.handle_block(self.now, attempt, block, None, outcome);
            }
            Effect::Block(attempt, Work::Reuse { block, entry, .. }) => {
                let right = entry == true_entry(block) && self.dice.below(3) > 0;
                let outcome =
                    if right { BlockOutcome::Written { repaired: 0 } } else { BlockOutcome::NotKept };
                self.receiver.handle_block(self.now, attempt, block, None, outcome);
            }
            Effect::Block(attempt, Work::Recheck { block, entry }) => {
                let right = entry == true_entry(block) && self.dice.below(3) > 0;
                let outcome =
                    if right { BlockOutcome::Written { repaired: 0 } } else { BlockOutcome::NotKept };
                self.receiver.handle_block(self.now, attempt, block, None, outcome);
            }
            Effect::Block(attempt, Work::Rebuild { block, entry, buffer, collected }) => {
                let k = collected.shape().source_symbols();
                assert!(collected.held().count() + collected.repair().len() as u32 >= k);
                assert_eq!(collected.encoded_len(), entry.encoded_len(vectors::geometry(), block));
                let undecodable = !collected.held().is_full();
                let outcome = if entry == true_entry(block) {
                    self.outcome(undecodable)
                } else {
                    BlockOutcome::Corrupt
                };
                self.receiver.handle_block(self.now, attempt, block, Some((buffer, collected)), outcome);
            }
            Effect::Publish(attempt, _) | Effect::Compare(attempt, _) => {
                let result = match self.dice.below(4) {
                    0 => Published::Failed(FailureKind::Store, "no".into()),
                    1 => Published::Existing,
                    _ => Published::New,
                };
                self.published += u64::from(!matches!(result, Published::Failed(..)));
                self.publishing = None;
                self.receiver.handle_published(self.now, attempt, result);
            }
            Effect::Discard(_) | Effect::Suspend(_) => unreachable!("not answered"),
        }
    }

    fn outcome(&mut self, undecodable: bool) -> BlockOutcome {
        match self.dice.below(30) {
            0 => BlockOutcome::Corrupt,
            1 if self.dice.below(10) == 0 => BlockOutcome::Store(FailureKind::Store, "no".into()),
            2..8 if undecodable => BlockOutcome::Undecodable,
            _ => BlockOutcome::Written { repaired: 1 },
        }
    }

    fn drain(&mut self) {
        self.receiver.handle_timeout(self.now);
        let mut out = Vec::new();
        let mut said = 0;
        while self.receiver.poll_transmit(self.now, &mut out).is_some() {
            self.us = UpHeader::parse(&out).ok().map(|up| up.receiver).or(self.us);
            said += 1;
            assert!(said < 32, "a machine that is asked once does not speak for ever");
        }
        assert!(self.receiver.poll_timeout().is_none_or(|at| at > self.now), "a deadline in the past");
        (0..100).for_each(|_| {
            let _ = self.receiver.poll_event();
        });
        assert_eq!(self.receiver.poll_event(), None);
    }
}

/// A sender, its shell and those who speak to it.
struct Push {
    dice: Dice,
    now: Moment,
    sender: Sender,
    read: u32,
    jobs: Vec<Job>,
    heard: Vec<Vec<u8>>,
    sequence: u64,
}

/// Hosts that know the group key, and use it badly.
const INSIDERS: u64 = 6;

impl Push {
    fn new(seed: u64) -> Self {
        let named = (0..3).map(|host| name(&format!("host-{host}"))).collect();
        let expected = match seed % 3 {
            0 => Expected::Named(named),
            1 => Expected::Count(4),
            _ => Expected::Anyone,
        };
        let config = SenderConfig {
            session: SESSION,
            key: GroupKey::new(KEY),
            signer: None,
            geometry: vectors::geometry(),
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: address(1),
            expected,
            only_listed: seed % 2 == 1,
            timeout: Duration::from_secs(60),
            started: WallClock(1_000),
            pace: Pace::Fixed(1_000_000_000),
            header_bytes: 42,
            one_way: None,
            base: None,
        };
        Self {
            dice: Dice::of("sender", seed),
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config),
            read: 0,
            jobs: Vec::new(),
            heard: Vec::new(),
            sequence: 0,
        }
    }

    fn operate(&mut self) {
        match self.dice.below(100) {
            0..3 if self.read < 6 => {
                self.sender.handle_block(true_entry(BlockIndex(self.read)), 0);
                self.read += 1;
            }
            3 if self.read == 6 && self.sender.root().is_none() => {
                assert_eq!(self.sender.handle_source_proven(self.now), true_root());
            }
            4..20 => {
                let (repair, source) = (self.dice.below(2) == 0, self.dice.below(2) == 0);
                let _ = self.sender.poll_skip(self.now);
                self.jobs.extend(self.sender.poll_job(repair, source));
                let blocks: BTreeSet<BlockIndex> = self.jobs.iter().map(|job| job.block()).collect();
                assert_eq!(blocks.len(), self.jobs.len(), "one job of a block at a time");
            }
            20..35 if !self.jobs.is_empty() => {
                let at = self.dice.below(self.jobs.len() as u64) as usize;
                let job = self.jobs.swap_remove(at);
                let last = self.sender.take_sequences(5);
                self.sender.handle_sent(self.now, job, last);
            }
            35..75 => {
                let id = ReceiverId([1 + self.dice.below(INSIDERS) as u8; 8]);
                let (up, sequence) = (self.up(), self.next_sequence());
                let datagram = self.sealed(&up, id, sequence);
                self.hear(&datagram);
                self.heard.push(datagram);
            }
            75..85 if !self.heard.is_empty() => {
                let datagram = self.dice.pick(&self.heard).clone();
                let bent = self.dice.mutated(&datagram);
                self.hear(if self.sequence.is_multiple_of(2) { &datagram } else { &bent });
            }
            85..90 => {
                let values: Vec<Value> = vectors::values().into_values().collect();
                let value = self.dice.pick(&values).clone();
                let datagram = nonsense(&mut self.dice, &value);
                self.hear(&datagram);
            }
            90..99 => self.now = self.now + Duration::from_micros(self.dice.below(200_000)),
            99 if self.dice.below(300) == 0 => self.sender.handle_abort(self.now, "no"),
            _ => {}
        }
        self.drain();
    }

    fn hear(&mut self, datagram: &[u8]) {
        let _ = self.sender.handle_datagram(self.now, address(2), datagram);
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        if self.dice.below(500) == 0 { Sequence::MAX } else { self.sequence }
    }

    fn up(&mut self) -> Up {
        let root = if self.dice.below(3) == 0 { Root([3; 32]) } else { true_root() };
        let totals = Totals { symbols_lost: self.dice.number(), ..Totals::default() };
        match self.dice.below(60) {
            0..20 => {
                let name = name(&format!("host-{}", self.dice.below(4)));
                Up::Hello(Hello {
                    name,
                    software: "x".into(),
                    busy: self.dice.below(3) == 0,
                    kept: self.kept(),
                })
            }
            20..57 => Up::Report(self.report(totals)),
            57 => Up::Failed(Failed { kind: FailureKind::Store, reason: "no".into(), totals }),
            _ => Up::Done(Done { root, existing: self.dice.below(2) == 0, totals }),
        }
    }

    fn kept(&mut self) -> Vec<KeptRun> {
        let blocks = 1 + self.dice.below(6) as u32;
        let run = KeptRun { first: BlockIndex(6 - blocks), blocks };
        if self.dice.below(3) == 0 { vec![run] } else { Vec::new() }
    }

    fn report(&mut self, totals: Totals) -> Report {
        let covered = self.dice.below(7) as u32;
        let mut runs: Vec<(u32, u64)> = (0..covered).map(|block| (block, self.dice.number())).collect();
        runs.retain(|(_, number)| number >> 60 > 4);
        let deficits = runs
            .iter()
            .map(|&(block, number)| {
                let symbols = if number % 3 == 0 { number as u16 } else { number as u16 % 20 };
                DeficitRun { first: BlockIndex(block), blocks: 1, symbols: symbols.max(1) }
            })
            .collect();
        runs.truncate(4);
        let bound = *self.dice.pick(&[2_000, 1 << 40]);
        let gaps = runs.iter().map(|&(block, _)| GapRun { first: BlockIndex(block), blocks: 1 }).collect();
        Report {
            round: self.dice.number() as u32,
            highest: Sequence::new(self.dice.below(bound)).expect("40 bits"),
            blocks_held: self.dice.below(7) as u32,
            covered,
            deficits,
            gaps,
            kept: self.kept(),
            totals,
        }
    }

    fn sealed(&self, up: &Up, id: ReceiverId, sequence: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let cipher = Cipher::upward(&GroupKey::new(KEY), SESSION, id);
        up.seal(&cipher, SESSION.tag(), id, Sequence::new(sequence).expect("40 bits"), &mut out);
        out
    }

    fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        let mut out = Vec::new();
        let mut said = 0;
        while self.sender.poll_transmit(self.now, &mut out).is_some() {
            said += 1;
            assert!(said < 64, "a machine that is asked once does not speak for ever");
        }
        assert!(self.sender.poll_timeout().is_none_or(|(at, _)| at > self.now), "a deadline in the past");
        (0..100).for_each(|_| {
            let _ = self.sender.poll_event();
        });
        assert_eq!(self.sender.poll_event(), None);
        assert!(self.sender.rows().len() <= HOSTS_MAX && self.sender.blocks_sent() <= self.read);
    }
}

/// A sealed body that says something else than it should.
fn nonsense(dice: &mut Dice, value: &Value) -> Vec<u8> {
    let (derivation, datagram) = (value.derivation(), value.seal());
    let (clear, plain) = (&datagram[..derivation.clear], derivation.plain(&datagram));
    let mut sealed = dice.mutated(&plain);
    let (key, nonce) = derivation.key_and_nonce();
    key.seal_in_place_append_tag(nonce, Aad::from(clear), &mut sealed).expect("short");
    [clear, &sealed].concat()
}

fn true_entry(block: BlockIndex) -> ManifestEntry {
    let encoding = match block.0 {
        1 => Encoding::Zero,
        2 => Encoding::Zstd { encoded_len: 5_000 },
        _ => Encoding::Stored,
    };
    ManifestEntry { encoding, hash: BlockHash([block.0 as u8; 32]) }
}

fn true_root() -> Root {
    let geometry = vectors::geometry();
    Root::of(geometry, &geometry.indices().map(|block| true_entry(block).hash).collect::<Vec<_>>())
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 7167))
}
