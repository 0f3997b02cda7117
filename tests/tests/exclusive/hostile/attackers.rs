//! Hosts that have the group's key and misuse it.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_platform::keyfile;
use glancecast_proto::agree::AgreementPublic;
use glancecast_proto::echo::Echo;
use glancecast_proto::ids::{BlockIndex, HostName, ReceiverId, Sequence};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{
    About, Answer, AnswerState, Ask, DeficitRun, Down, Encoding, End, HeldDigest, ManifestEntry, ManifestRun,
    Page, Part, Poll, Report, SYMBOL_OVERHEAD, SymbolHeader, Totals, Up,
};
use glancecast_tests::attacker::{Attack, Attacker, Insider, host_key};
use glancecast_tests::testbed::Testbed;

/// Sends a bad symbol of each block whose first symbol it hears, before the correct one.
pub(super) struct Poison {
    insider: Insider,
    tries_max: u32,
    tries: BTreeMap<u32, u32>,
    pub(super) sent: u32,
}

impl Poison {
    pub(super) fn start(testbed: &Testbed, tries_max: u32) -> Attack<Self> {
        let insider = Attacker::join(testbed).with_key(testbed.key());
        let poison = Self { insider, tries_max, tries: BTreeMap::new(), sent: 0 };
        Attack::start(poison, Duration::from_micros(500), Self::step)
    }

    fn step(&mut self) {
        let geometry = self.insider.announced.announce.geometry;
        for (_, datagram) in self.insider.attacker.hear() {
            let Ok(heard) = SymbolHeader::parse(&datagram) else { continue };
            let k = geometry.shape(heard.encoded_len).source_symbols();
            let esi = match heard.esi.value() {
                // Near the front of the block: there is time before the correct symbol is sent.
                0..20 => k - 1,
                // The host may hold part of this block: forge a symbol that the sender does not send. It arrives here,
                // too, so the range excludes it.
                repair if (k..k + 5_000).contains(&repair) => repair + 5_000,
                _ => continue,
            };
            let tries = self.tries.entry(heard.block.0).or_default();
            if *tries >= self.tries_max.saturating_mul(20) {
                continue;
            }
            *tries += 1;
            let number = heard.sequence.value() + 2_000;
            let bad = SymbolHeader {
                sequence: Sequence::new(number).expect("40 bits"),
                esi: Esi::new(esi).expect("small"),
                ..heard
            };
            let symbol = vec![0xBD; datagram.len() - SYMBOL_OVERHEAD];
            let mut out = vec![0; datagram.len()];
            bad.seal(self.insider.cipher(), &symbol, &mut out);
            self.insider.attacker.say(&out);
            self.sent += 1;
        }
    }
}

/// Invented hosts that lack nearly all of all blocks, whatever is sent, and answer each poll.
pub(super) struct Crowd {
    insider: Insider,
    /// The round of the last poll.
    round: u32,
    pub(super) number: u64,
}

impl Crowd {
    pub(super) fn start(testbed: &Testbed) -> Attack<Self> {
        let crowd = Self { insider: Attacker::join(testbed).with_key(testbed.key()), round: 0, number: 0 };
        Attack::start(crowd, Duration::from_millis(2), Self::speak)
    }

    fn speak(&mut self) {
        self.number += 1;
        let host = (self.number % 40) as u8;
        let id = ReceiverId([host + 1; 8]);
        let geometry = self.insider.announced.announce.geometry;
        for (_, datagram) in self.insider.attacker.hear() {
            let down = Down::open(self.insider.cipher(), geometry, None, &datagram, |_| Ok(()));
            if let Ok((_, Down::Poll(poll))) = down {
                self.round = poll.round;
            }
        }
        if self.number <= 40 || self.number.is_multiple_of(50) {
            let name = HostName::new(&format!("forged-{host}")).expect("plain");
            return self.insider.greet(&name, id, self.number);
        }
        let symbols = geometry.symbols_max() as u16 - 1;
        let report = Report {
            round: self.round,
            // As if everything up to now had arrived: what the host lacks was not sent since.
            highest: Sequence::new(Sequence::MAX).expect("40 bits"),
            blocks_held: 0,
            covered: geometry.blocks(),
            deficits: vec![DeficitRun { first: BlockIndex(0), blocks: geometry.blocks() as u16, symbols }],
            gaps: Vec::new(),
            kept: Vec::new(),
            suspects: Vec::new(),
            echo: Echo::default(),
            buffers: 64,
            free: 0,
            via: None,
            totals: Totals { bytes_received: self.number * 100_000, ..Totals::default() },
        };
        self.insider.say_up(&Up::Report(report), id, self.number);
    }
}

/// Answers each query in the name of a host, at once and with a key of its own: all is well there.
pub(super) struct Impostor {
    attacker: Attacker,
    key: GroupKey,
    name: HostName,
    pub(super) answered: u32,
}

impl Impostor {
    pub(super) fn start(testbed: &Testbed, name: &str) -> Attack<Self> {
        let key = keyfile::load(testbed.key()).expect("the testbed's key");
        let name = HostName::new(name).expect("plain");
        let impostor = Self { attacker: Attacker::join(testbed), key, name, answered: 0 };
        Attack::start(impostor, Duration::from_micros(500), Self::step)
    }

    fn step(&mut self) {
        for (_, datagram) in self.attacker.hear() {
            let Ok((ask, _)) = Ask::open(&self.key, &datagram) else { continue };
            let receiver = ReceiverId([0x1F; 8]);
            let about = About {
                key: host_key().public(),
                agreement: AgreementPublic([9; 32]),
                name: self.name.clone(),
                software: "glancecastd 0.1.0".into(),
                store: "directory:/srv".into(),
                free_bytes: None,
                held: 1,
                pinned: 0,
                digest: HeldDigest([0; 16]),
                state: AnswerState::Final,
            };
            self.answered += 1;
            let answer = Answer { edition: 1, pages: 1, page: Page::About(about) };
            let number = Sequence::new(u64::from(self.answered)).expect("40 bits");
            let cipher = Cipher::upward(&self.key, ask.id, receiver);
            let (signer, mut out) = (host_key(), Vec::new());
            answer.seal(&cipher, signer.within(self.key.scope(ask.id)), receiver, number, &mut out);
            self.attacker.say_to(&out, ask.reply_to);
        }
    }
}

/// Sends everything that only the sender may send.
pub(super) fn lie(insider: &mut Insider, number: u64) {
    let poll = |round, root| {
        let window = Duration::ZERO;
        Down::Poll(Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 1, part: Part::ALL, root })
    };
    let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([3; 32]) };
    for down in [
        Down::End(End::Over),
        Down::End(End::Aborted("forged".into())),
        Down::Manifest(ManifestRun::plain(BlockIndex(0), vec![entry; 8])),
        poll(1 << 20, Some(Root([3; 32]))),
        poll(u32::MAX, None),
    ] {
        insider.say_down(&down, number);
    }
    // An announcement of its own, of another session.
    let mut other = insider.announced.announce.clone();
    other.session.0[5] ^= 1;
    let mut out = Vec::new();
    let cipher = insider.cipher_of(other.session);
    other.seal(&cipher, None, Sequence::new(number).expect("40 bits"), &mut out);
    insider.attacker.say(&out);
    // Symbols with sequences that the sender has not reached yet.
    let header = SymbolHeader {
        tag: insider.announced.announce.session.tag(),
        sequence: Sequence::new(1_000_000 + number).expect("40 bits"),
        block: BlockIndex(u32::MAX),
        esi: Esi::new(0).expect("small"),
        encoded_len: 1 << 20,
    };
    let symbol = vec![0; usize::from(insider.announced.announce.geometry.symbol_size())];
    let mut out = vec![0; symbol.len() + SYMBOL_OVERHEAD];
    header.seal(insider.cipher(), &symbol, &mut out);
    insider.attacker.say(&out);
}
