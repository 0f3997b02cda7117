//! A sender, its shell and the hosts that send to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::ids::{BlockIndex, ObjectName, ReceiverId, Sequence};
use glancecast_proto::integrity::{Fingerprint, Root};
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, Job, JobRoom, OneWay, Pace, Sender, SenderConfig};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{
    BaseName, DeficitRun, DiskFormat, Done, Encoding, Failed, FailureKind, GapRun, Header, Hello, KeptRun,
    Pin, Report, Totals, Up,
};

use super::{INSIDERS, Scene, address, insider, name};
use crate::dice::Dice;
use crate::vectors::{KEY, SESSION};

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
        let config = SenderConfig {
            session: SESSION,
            key: GroupKey::new(KEY),
            signer: None,
            geometry: scene.geometry,
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: address(1),
            expected,
            only_listed: seed % 2 == 1,
            timeout: Duration::from_secs(60),
            started: WallClock(1_000),
            pace: if seed & 8 == 0 {
                Pace::Fixed(Rate::mbit(1_000))
            } else {
                Pace::Auto { max: Rate::mbit(1_000) }
            },
            header_bytes: 42,
            one_way: (seed % 32 == 31).then_some(OneWay { overhead: 0.1, passes: 2 }),
            base: (seed % 32 == 30).then(|| BaseName::new("older").expect("plain")),
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
                let blocks: BTreeSet<BlockIndex> = self.jobs.iter().map(|job| job.block()).collect();
                assert_eq!(blocks.len(), self.jobs.len(), "one job of a block at a time");
            }
            20..35 if !self.jobs.is_empty() => {
                let at = self.dice.below(self.jobs.len() as u64) as usize;
                let job = self.jobs.swap_remove(at);
                let first = self.sender.take_sequences(5);
                for number in first.value()..first.value() + 5 {
                    assert!(self.said.insert(number, Vec::new()).is_none(), "number {number} twice");
                }
                self.sender.handle_sent(self.now, job, first.plus(4));
            }
            35..75 => {
                let id = 1 + self.dice.below(u64::from(INSIDERS)) as u8;
                let (up, sequence) = (self.up(), self.next_sequence());
                let datagram = seal(&up, &self.scene.upward[usize::from(id) - 1], insider(id), sequence);
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
    }

    fn hear(&mut self, datagram: &[u8]) {
        let _ = self.sender.handle_datagram(self.now, address(2), datagram);
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        if self.dice.below(500) == 0 { Sequence::MAX } else { self.sequence }
    }

    fn up(&mut self) -> Up {
        let root = if self.dice.below(3) == 0 { Root([3; 32]) } else { self.scene.root };
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

    /// Seals a datagram of any host.
    pub(crate) fn sealed(&self, up: &Up, id: ReceiverId, sequence: u64) -> Vec<u8> {
        seal(up, &Cipher::upward(&GroupKey::new(KEY), SESSION, id), id, sequence)
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
        assert!(self.sender.rows().len() <= HOSTS_MAX && self.sender.blocks_sent() <= self.read);
    }
}

fn seal(up: &Up, cipher: &Cipher, id: ReceiverId, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    up.seal(cipher, SESSION.tag(), id, Sequence::new(sequence).expect("40 bits"), &mut out);
    out
}
