//! The machines driven by operations that dice choose.
//!
//! [`Host`] is a receiver with its shell and everyone that sends to it, [`Push`] a sender, [`Survey`] a querier and
//! the hosts that answer. Datagrams are valid, changed, doubled, out of order or made by a holder of the group key;
//! the shell answers in any order, and time advances in jumps. Each operation ends with a check of the rules that
//! always hold.
#![allow(dead_code, reason = "each test uses some of it")]

mod host;
mod push;
mod survey;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use glancecast_fec::Esi;
use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ReceiverId};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::limits::CONTROL_SMALL;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::wire::{Announce, Audience, AudiencePage, Down, Encoding, ManifestEntry, VERSION};

use crate::dice::{Choices, Dice};
use crate::vectors::crypto::Key;
use crate::vectors::{self, Derivation, KEY, Party, SENDER_AGREEMENT, SESSION, Signed, Value};
pub(crate) use host::Host;
pub(crate) use push::Push;
pub(crate) use survey::Survey;

/// The object that is pushed, and what everyone in the group knows: made once for many runs.
pub(crate) struct Scene {
    geometry: Geometry,
    root: Root,
    announce: Announce,
    downward: Cipher,
    /// The hosts 1 to [`INSIDERS`].
    insiders: Vec<Insider>,
    bodies: Vec<Body>,
    /// The bodies of queries, answers and notices.
    about_queries: Vec<Body>,
    notice: Body,
}

/// A host that misuses the group key and has keys of its own.
struct Insider {
    host_key: SigningKey,
    agreement: AgreementPublic,
    /// What all who have the group key can seal and open.
    upward: Cipher,
    /// What it can say to the sender of the vectors alone.
    private: Cipher,
}

/// A datagram of the vectors, opened.
struct Body {
    key: Key,
    derivation: Derivation,
    clear: Vec<u8>,
    /// Without the signature of the host, if it has one: an insider signs as a host.
    plain: Vec<u8>,
}

/// Whom a push is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    Everyone,
    /// The hosts of [`Scene::page`].
    Named,
}

/// The number of hosts that misuse the group key.
const INSIDERS: u8 = 6;

impl Scene {
    /// Returns the object of the vectors: six blocks of up to 2 149 symbols.
    pub(crate) fn of_vectors() -> Arc<Self> {
        static SCENE: OnceLock<Arc<Scene>> = OnceLock::new();
        Arc::clone(SCENE.get_or_init(|| Arc::new(Self::of(vectors::geometry()))))
    }

    /// Returns an object of six blocks of 1 to 64 symbols, which a few operations fill.
    pub(crate) fn small() -> Arc<Self> {
        static SCENE: OnceLock<Arc<Scene>> = OnceLock::new();
        let geometry = Geometry::new((5 << 19) + 1000, 19, 8192).expect("in range");
        Arc::clone(SCENE.get_or_init(|| Arc::new(Self::of(geometry))))
    }

    fn of(geometry: Geometry) -> Self {
        let Value::Announce(announce, _) = vectors::values()["announce-ipv4"].clone() else {
            unreachable!("an announcement")
        };
        let key = GroupKey::new(KEY);
        let hashes: Vec<BlockHash> = geometry.indices().map(hash).collect();
        Self {
            geometry,
            root: Root::of(geometry, &hashes),
            announce: Announce { geometry, ..announce },
            downward: Cipher::downward(&key, SESSION),
            insiders: (1..=INSIDERS).map(|id| Insider::new(&key, id)).collect(),
            bodies: vectors::values().values().map(Body::of).collect(),
            about_queries: vectors::values()
                .values()
                .filter(|value| is_about_queries(value))
                .map(Body::of)
                .collect(),
            notice: Body::of(&vectors::values()["notice"]),
        }
    }

    /// Returns the sealed announcement.
    fn announcement(&self, meant: Meant, signed: Signed) -> Vec<u8> {
        let audience = match meant {
            Meant::Everyone => Audience::Everyone,
            Meant::Named => Audience::Named { names: 2 },
        };
        Value::Announce(Announce { audience, ..self.announce.clone() }, signed).seal()
    }

    /// Returns the page of an audience of which `host` is one.
    fn page(host: &str) -> Down {
        let names = ["compute-2", host].map(name);
        Down::Audience(AudiencePage::pages(SESSION, &names, CONTROL_SMALL).swap_remove(0))
    }

    fn entry(&self, block: BlockIndex) -> ManifestEntry {
        let small = self.geometry.symbols_max() <= 64;
        let encoding = match block.0 {
            1 => Encoding::Zero,
            2 => Encoding::Zstd { encoded_len: 5_000 },
            3 | 4 if small => Encoding::Zstd { encoded_len: 20_000 },
            _ => Encoding::Stored,
        };
        ManifestEntry { encoding, hash: hash(block) }
    }

    /// Returns the number of symbols of a block of this length; 1 if no block can have it.
    fn symbols(&self, encoded_len: u32) -> u32 {
        if encoded_len == 0 || u64::from(encoded_len) > self.geometry.block_bytes() {
            return 1;
        }
        self.geometry.shape(encoded_len).source_symbols()
    }

    /// Returns a sealed datagram with a mutated body.
    pub(crate) fn nonsense(&self, dice: &mut Dice) -> Vec<u8> {
        let body = dice.pick(&self.bodies);
        body.sealed(&body.clear, dice.mutated(&body.plain))
    }

    /// The same, of a kind that queriers and responders handle.
    fn nonsense_about_queries(&self, dice: &mut Dice) -> Vec<u8> {
        let body = dice.pick(&self.about_queries);
        body.sealed(&body.clear, dice.mutated(&body.plain))
    }

    /// Returns the notice of a host of this name that uses the next version.
    fn notice(&self, name: &HostName) -> Vec<u8> {
        let mut clear = self.notice.clear.clone();
        clear[0] = VERSION + 1;
        let name = name.as_str().as_bytes();
        self.notice.sealed(&clear, [&[name.len() as u8], name, &[3], b"new"].concat())
    }
}

impl Insider {
    fn new(group: &GroupKey, number: u8) -> Self {
        let [sender, own] =
            [SENDER_AGREEMENT, [number; 32]].map(|seed| AgreementKey::from_seed(&seed.into()));
        let shared = own.agree(&sender.public()).expect("keys of our own");
        Self {
            host_key: SigningKey::from_seed(&[number; 32].into()),
            agreement: own.public(),
            upward: Cipher::upward(group, SESSION, insider(number)),
            private: Cipher::private_up(group, SESSION, insider(number), &shared),
        }
    }
}

impl Body {
    fn of(value: &Value) -> Self {
        let (derivation, datagram) = (value.derivation(), value.seal());
        let (clear, mut plain) = (datagram[..derivation.clear].to_vec(), derivation.plain(&datagram));
        if derivation.signer == Some(Party::Host) {
            plain.truncate(plain.len() - 64);
        }
        Self { key: derivation.key(), derivation, clear, plain }
    }

    /// Returns a datagram with any body. A host's signature is made anew, the sender's can only be repeated.
    fn sealed(&self, clear: &[u8], mut body: Vec<u8>) -> Vec<u8> {
        if self.derivation.signer == Some(Party::Host) {
            body.extend(self.derivation.signature(clear, &body));
        }
        self.key.seal(self.derivation.sequence, clear, body)
    }
}

fn is_about_queries(value: &Value) -> bool {
    match value {
        Value::Ask(..) | Value::Heard(..) | Value::NewKey(..) | Value::Answer(_) | Value::Notice(_) => true,
        Value::Down(down, _) => matches!(down, Down::Audience(_)),
        _ => false,
    }
}

/// Whether the sender, or the querier, has signed it.
fn is_signed(body: &Body) -> bool {
    body.derivation.signer == Some(Party::Sender)
}

fn insider(id: u8) -> ReceiverId {
    ReceiverId([id; 8])
}

fn hash(block: BlockIndex) -> BlockHash {
    BlockHash([block.0 as u8; 32])
}

fn esi(value: u64) -> Option<Esi> {
    Esi::new(u32::try_from(value).ok()?)
}

pub(crate) fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

pub(crate) fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 7167))
}

/// Returns the inputs by which each machine hears each golden datagram that it may be told as it is, by fuzzer.
pub(crate) fn seeds() -> [(&'static str, Vec<Vec<u8>>); 3] {
    let scene = Scene::small();
    let hearing = |bodies: &[Body], first: fn(&Body) -> Choices| {
        let hears = |(at, body): (usize, &Body)| {
            first(body).choose(at as u64, bodies.len() as u64).leave(&body.plain).0
        };
        bodies.iter().enumerate().map(hears).collect()
    };
    // The first byte chooses a push or a query that is signed as the datagram is, the next choice is the operation.
    [
        (
            "receiver",
            hearing(&scene.bodies, |body| {
                Choices(vec![if is_signed(body) { 2 } else { 0 }]).choose(640, 1_000)
            }),
        ),
        ("sender", hearing(&scene.bodies, |_| Choices(vec![0]).choose(85, 100))),
        (
            "survey",
            hearing(&scene.about_queries, |body| {
                Choices(vec![if is_signed(body) { 128 } else { 129 }]).choose(84, 100)
            }),
        ),
    ]
}

/// Drives a receiver with a fuzzer's bytes.
pub(crate) fn receiver(input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let mut host = Host::new(Scene::small(), Dice::from_bytes(rest), seed);
    while !host.is_at_end() {
        host.operate();
    }
}

/// Drives a sender with a fuzzer's bytes.
pub(crate) fn sender(input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let mut push = Push::new(Scene::small(), Dice::from_bytes(rest), seed);
    while !push.is_at_end() {
        push.operate();
    }
}

/// Drives a query with a fuzzer's bytes.
pub(crate) fn survey_lives(input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let mut survey = Survey::new(Scene::small(), Dice::from_bytes(rest), seed);
    while !survey.is_at_end() {
        survey.operate();
    }
    survey.look();
}
