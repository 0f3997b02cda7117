//! A sender, its shell and the hosts that send to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::echo::Echo;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence};
use glancecast_proto::integrity::{Fingerprint, Root};
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{
    Expected, HostRow, HostState, Job, JobRoom, OneWay, Pace, Reach, Sender, SenderConfig,
};
use glancecast_proto::sign::{PublicKey, SigningKey};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{
    BaseName, CommandOutcome, DeficitRun, DiskFormat, Done, Encoding, Failed, FailureKind, GapRun, Header,
    Hello, KeptRun, Outcome, Pin, Receipt, Report, SymbolHash, Totals, Up,
};

use super::{INSIDERS, Insider, Scene, address, insider, name};
use crate::dice::Dice;
use crate::vectors::{KEY, SENDER_AGREEMENT, SESSION, scope, signing_key};

/// A sender, its shell and the hosts that send to it.
pub(crate) struct Push {
    scene: Arc<Scene>,
    dice: Dice,
    pub(crate) now: Moment,
    pub(crate) sender: Sender,
    read: u32,
    jobs: Vec<Job>,
    heard: Vec<Vec<u8>>,
    sequence: u64,
    /// Signatures of receipts that were checked.
    receipts: BTreeSet<[u8; 64]>,
    /// The sender's datagrams by number; those of symbols are empty. No number is used twice.
    said: BTreeMap<u64, Vec<u8>>,
}

impl Push {
    /// Begins a push; `seed` chooses its configuration.
    pub(crate) fn new(scene: Arc<Scene>, dice: Dice, seed: u8) -> Self {
        let named = (0..3).map(|host| name(&format!("host-{host}"))).collect();
        let expected = match seed % 3 {
            0 => Expected::Named(named),
            1 => Expected::Count(4),
            _ => Expected::Anyone,
        };
        let known = KnownHosts {
            // The key of host-0 is that of an insider, the one of host-1 of nobody here.
            keys: if seed & 16 == 0 { BTreeMap::new() } else { known(&scene) },
            unknown: if seed & 4 == 0 { UnknownHosts::Taken } else { UnknownHosts::Refused },
        };
        let config = SenderConfig {
            session: SESSION,
            key: GroupKey::new(KEY),
            signer: (seed & 2 != 0).then(|| signing_key().clone()),
            agreement: AgreementKey::from_seed(&SENDER_AGREEMENT.into()),
            geometry: scene.geometry,
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: address(1),
            reach: reach(seed),
            expected,
            known,
            timeout: Duration::from_secs(60),
            join_timeout: None,
            started: WallClock(1_000),
            pace: if seed & 8 == 0 {
                Pace::Fixed(Rate::mbit(1_000))
            } else {
                Pace::Auto { max: Rate::mbit(1_000) }
            },
            header_bytes: 42,
            one_way: (seed % 32 == 31).then_some(OneWay { overhead: 0.1, passes: 2 }),
            base: (seed % 32 == 30).then(|| BaseName::new("older").expect("plain")),
            data_bytes: None,
        };
        Self {
            scene,
            dice,
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config),
            read: 0,
            jobs: Vec::new(),
            heard: Vec::new(),
            sequence: 0,
            receipts: BTreeSet::new(),
            said: BTreeMap::new(),
        }
    }

    /// Whether the dice are used up.
    pub(crate) fn is_at_end(&self) -> bool {
        self.dice.is_at_end()
    }

    /// Performs the next random operation.
    pub(crate) fn operate(&mut self) {
        match self.dice.below(100) {
            0..3 if self.read < 6 => {
                let entry = self.scene.entry(BlockIndex(self.read));
                if self.sender.config().base.is_some() {
                    let fingerprint = Fingerprint([self.read as u8; 16]);
                    let fingerprint = (entry.encoding != Encoding::Zero).then_some(fingerprint);
                    self.sender.handle_fingerprinted(entry, fingerprint);
                } else {
                    self.sender.handle_block(entry, 0);
                }
                self.read += 1;
            }
            3 if self.read == 6 && self.sender.root().is_none() => {
                assert_eq!(self.sender.handle_source_proven(self.now), self.scene.root);
            }
            4..20 => {
                let (repair, source) = (self.dice.below(2) == 0, self.dice.below(2) == 0);
                let _ = self.sender.poll_skip(self.now);
                self.jobs.extend(self.sender.poll_job(JobRoom { repair, source }));
                if let Some(job) = self.sender.poll_proofs(self.now) {
                    self.hash(job);
                }
                let blocks: BTreeSet<BlockIndex> = self.jobs.iter().map(|job| job.block()).collect();
                assert_eq!(blocks.len(), self.jobs.len(), "one job of a block at a time");
            }
            20..35 if !self.jobs.is_empty() => {
                let at = self.dice.below(self.jobs.len() as u64) as usize;
                let job = self.jobs.swap_remove(at);
                let to = self.sender.destination(self.sender.aim(job));
                assert!(self.sender.copies() <= glancecast_proto::limits::PATHS_MAX);
                let first = self.sender.take_sequences(to, 5);
                for number in first.value()..first.value() + 5 {
                    assert!(self.said.insert(number, Vec::new()).is_none(), "number {number} twice");
                }
                self.sender.handle_sent(self.now, job, first.plus(4));
            }
            35..75 => {
                let id = 1 + self.dice.below(u64::from(INSIDERS)) as u8;
                let datagram = self.said_by(id);
                self.hear(&datagram);
                if self.heard.len() < 100 {
                    self.heard.push(datagram);
                }
            }
            75..85 if !self.heard.is_empty() => {
                let datagram = self.dice.pick(&self.heard).clone();
                let bent = self.dice.mutated(&datagram);
                self.hear(if self.sequence.is_multiple_of(2) { &datagram } else { &bent });
            }
            85..90 => {
                let datagram = self.scene.nonsense(&mut self.dice);
                self.hear(&datagram);
            }
            90..99 => self.now = self.now + Duration::from_micros(self.dice.below(200_000)),
            99 if self.dice.below(300) == 0 => self.sender.handle_abort(self.now, "no"),
            _ => {}
        }
        self.drain();
        assert!(self.sender.rows().len() <= HOSTS_MAX);
        for row in self.sender.rows() {
            self.assert_owned(&row);
        }
    }

    /// Answers a demand for the hashes of symbols, now and then with none.
    fn hash(&mut self, job: Job) {
        let geometry = self.scene.geometry;
        let entry = self.scene.entry(job.block());
        let k = geometry.shape(entry.encoded_len(geometry, job.block())).source_symbols();
        let hashes = vec![SymbolHash([0x5A; 8]); job.symbols(k) as usize];
        let is_lost = self.dice.below(8) == 0;
        self.sender.handle_hashes(job, (!is_lost).then_some(&hashes));
    }

    fn hear(&mut self, datagram: &[u8]) {
        let _ = self.sender.handle_datagram(self.now, address(2), datagram);
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        if self.dice.below(500) == 0 { Sequence::MAX } else { self.sequence }
    }

    /// Returns what an insider says in its own name, or now and then in that of another host.
    fn said_by(&mut self, id: u8) -> Vec<u8> {
        let root = if self.dice.below(3) == 0 { Root([3; 32]) } else { self.scene.root };
        let totals = Totals { symbols_lost: self.dice.number(), ..Totals::default() };
        let choice = self.dice.below(60);
        let host = if self.dice.below(8) == 0 { self.dice.below(4) as u8 } else { id % 4 };
        let name = name(&format!("host-{host}"));
        let scene = Arc::clone(&self.scene);
        let insider = &scene.insiders[usize::from(id) - 1];
        let up = match choice {
            0..20 => {
                let hello = hello(
                    &name,
                    insider.agreement,
                    (self.dice.below(3) == 0).then(|| "y".to_owned()),
                    self.kept(),
                );
                let sequence = self.next_sequence();
                return seal_hello(&hello, &insider.upward, &insider.host_key, self::insider(id), sequence);
            }
            20..57 => Up::Report(self.report(totals)),
            57 => {
                let kind = FailureKind::Store;
                let receipt = self.receipt(insider, name, Outcome::Failed(kind));
                Up::Failed(Failed { kind, reason: "no".into(), totals, receipt })
            }
            _ => {
                let existing = self.dice.below(2) == 0;
                let outcome = if existing { Outcome::Existing(root) } else { Outcome::Published(root) };
                let command = match self.dice.below(4) {
                    0 => CommandOutcome::Failed("no".into()),
                    1 => CommandOutcome::Running,
                    2 => CommandOutcome::Succeeded,
                    _ => CommandOutcome::None,
                };
                let receipt = self.receipt(insider, name, outcome);
                Up::Done(Done { root, existing, totals, receipt, command })
            }
        };
        // Now and then it is sealed under what all who have the group key know.
        let cipher = if self.dice.below(32) == 0 { &insider.upward } else { &insider.private };
        seal(&up, cipher, self::insider(id), self.next_sequence())
    }

    /// Returns a receipt that is mostly right.
    fn receipt(&mut self, insider: &Insider, name: HostName, outcome: Outcome) -> Receipt {
        let key = if self.dice.below(16) == 0 { signing_key() } else { &insider.host_key };
        Receipt::sign(key, scope(), name, WallClock(1_000), outcome)
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
            suspects: (0..self.dice.below(3) as u32).map(BlockIndex).collect(),
            echo: Echo([self.dice.below(2) as u8; 4]),
            buffers: 4,
            free: 4,
            via: (covered > 3 && self.sender.config().reach.hosts.is_empty()).then(|| address(9)),
            totals,
        }
    }

    /// Returns the first hello of any host with this name, whose key is `seed` 32 times.
    pub(crate) fn hello_of(called: &str, seed: u8, id: ReceiverId) -> Vec<u8> {
        let hello = hello(&name(called), AgreementPublic([9; 32]), None, Vec::new());
        let key = SigningKey::from_seed(&[seed; 32].into());
        seal_hello(&hello, &Cipher::upward(&GroupKey::new(KEY), SESSION, id), &key, id, 1)
    }

    /// Drains all datagrams and events that are due at the sender, and checks them.
    pub(crate) fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        let mut out = Vec::new();
        let mut said = 0;
        while self.sender.poll_transmit(self.now, &mut out).is_some() {
            let number = Header::parse(&out).expect("ours").sequence.value();
            assert_eq!(*self.said.entry(number).or_insert_with(|| out.clone()), out, "number {number} twice");
            said += 1;
            assert!(said < 64, "a machine that is asked once does not speak for ever");
        }
        assert!(self.sender.poll_timeout().is_none_or(|(at, _)| at > self.now), "a deadline in the past");
        let events = (0..100).take_while(|_| self.sender.poll_event().is_some()).count();
        assert!(events < 100, "an operation does not have so much to tell");
        assert!(self.sender.blocks_sent() <= self.read);
    }

    /// Asserts that what is said of a host is said by the holder of its key.
    fn assert_owned(&mut self, row: &HostRow) {
        let known = self.sender.config().known.keys.get(&row.name);
        let is_stranger = matches!(row.state, HostState::KeyChanged | HostState::UnknownKey);
        if let (Some(key), Some(known)) = (row.key, known) {
            assert_eq!(key == *known, !is_stranger, "{row:?}");
        }
        let is_settled = row.state.is_done() || row.state == HostState::Failed;
        assert_eq!(row.receipt.is_some(), is_settled, "{row:?}");
        if let Some(signed) = &row.receipt {
            let key = row.key.expect("it takes part");
            let is_new = self.receipts.insert(*signed.receipt.signature());
            assert_eq!(signed.receipt.name, row.name);
            assert!(!is_new || signed.receipt.verify(key, scope(), signed.outcome), "{row:?}");
            let root = match signed.outcome {
                Outcome::Published(root) | Outcome::Existing(root) => Some(root),
                Outcome::Failed(_) => None,
            };
            assert_eq!(root.is_some(), row.state.is_done(), "{row:?}");
            assert!(root.is_none_or(|root| Some(root) == self.sender.root()), "{row:?}");
        }
    }
}

/// Returns by which ways hosts are reached: the group alone, or also relays and a tree.
fn reach(seed: u8) -> Reach {
    if seed & 64 == 0 {
        return Reach::default();
    }
    Reach {
        group: (seed & 128 == 0).then_some(([239, 255, 71, 67], 7167).into()),
        hosts: (0..3).map(|host| (name(&format!("host-{host}")), address(host + 1))).collect(),
        line: 1_000_000_000,
        relays: true,
        ..Reach::default()
    }
}

/// Returns the keys that a sender knows: that of one insider, and one that nobody here has.
fn known(scene: &Scene) -> BTreeMap<HostName, PublicKey> {
    let nobody = SigningKey::from_seed(&[99; 32].into()).public();
    [(name("host-0"), scene.insiders[3].host_key.public()), (name("host-1"), nobody)].into()
}

fn hello(name: &HostName, agreement: AgreementPublic, busy: Option<String>, kept: Vec<KeptRun>) -> Hello {
    Hello {
        agreement,
        name: name.clone(),
        software: "x".into(),
        busy,
        can_relay: true,
        mtu: None,
        via: None,
        kept,
    }
}

fn seal_hello(hello: &Hello, cipher: &Cipher, key: &SigningKey, id: ReceiverId, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    hello.seal(cipher, key.within(scope()), id, Sequence::new(sequence).expect("40 bits"), &mut out);
    out
}

fn seal(up: &Up, cipher: &Cipher, id: ReceiverId, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    up.seal(cipher, SESSION.tag(), id, Sequence::new(sequence).expect("40 bits"), &mut out);
    out
}
