//! What the tests of the sender share: pushes, and hosts that say what a test wants them to.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Expected, HostState, Pace, Reach, Sender, SenderConfig, SenderEvent, To};
use crate::agree::{AgreementKey, AgreementPublic};
use crate::echo::Echo;
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use crate::integrity::BlockHash;
use crate::known::KnownHosts;
use crate::seal::{Cipher, GroupKey};
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::units::Rate;
use crate::wire::{
    Ack, CommandOutcome, Discard, DiskFormat, Done, Encoding, Failed, FailureKind, Hello, KeptRun, Kind,
    ManifestEntry, Outcome, Pin, Receipt, Report, Totals, Up,
};

/// A push of four blocks that were read; the source is not proven yet.
pub(super) fn reading(config: SenderConfig) -> Sender {
    let mut sender = Sender::new(at(0), config);
    for block in geometry().indices() {
        let hash = BlockHash([block.0 as u8; 32]);
        sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash }, 0);
    }
    sender
}

/// A push of which all was read, and whose root is known.
pub(super) fn proven(config: SenderConfig) -> Sender {
    let mut sender = reading(config);
    sender.handle_source_proven(at(0));
    sender
}

/// A push of which all was sent once.
pub(super) fn passed(config: SenderConfig) -> Sender {
    let mut sender = proven(config);
    drain(&mut sender, at(50));
    sender.handle_timeout(at(50));
    while let Some(job) = sender.poll_job(super::JobRoom::ANY) {
        let last = sender.take_sequences(To::Everyone, job.symbols(K));
        sender.handle_sent(at(50), job, last);
    }
    sender
}

pub(super) fn config(expected: Expected) -> SenderConfig {
    SenderConfig {
        session: SESSION,
        key: group_key(),
        signer: None,
        agreement: agreement(SENDER_AGREEMENT),
        geometry: geometry(),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: ([10, 0, 0, 1], 7167).into(),
        reach: Reach::default(),
        expected,
        known: KnownHosts::default(),
        timeout: Duration::from_secs(60),
        join_timeout: None,
        started: WallClock(0),
        pace: Pace::Fixed(Rate::mbit(1_000)),
        header_bytes: 42,
        one_way: None,
        base: None,
        data_bytes: None,
    }
}

/// One start of a host, and what it says.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) id: ReceiverId,
    pub(super) key: SigningKey,
    pub(super) hello: Hello,
    pub(super) from: SocketAddr,
    /// The number of its last datagram.
    pub(super) sequence: u64,
    pub(super) agreement: AgreementKey,
}

impl Host {
    /// The first start of the host compute-`number`, whose key is that of the number.
    pub(super) fn new(number: u8) -> Self {
        Self::called(&format!("compute-{number}"), number, number)
    }

    /// The start `start` of a host with this name and the key `key`.
    pub(super) fn called(name: &str, key: u8, start: u8) -> Self {
        let agreement = self::agreement(start);
        Self {
            id: ReceiverId([start; 8]),
            key: self::key(key),
            hello: hello(name, agreement.public()),
            from: ([10, 0, 1, start], 40_000).into(),
            sequence: 0,
            agreement,
        }
    }

    /// The same host when it has begun anew.
    pub(super) fn restarted(&self, start: u8) -> Self {
        Self { key: self.key.clone(), ..Self::called(self.hello.name.as_str(), 0, start) }
    }

    pub(super) fn name(&self) -> HostName {
        self.hello.name.clone()
    }

    /// Says hello.
    pub(super) fn greet(&mut self, sender: &mut Sender, now: Moment) -> Result<(), Discard> {
        let datagram = self.greeting();
        sender.handle_datagram(now, self.from, &datagram)
    }

    /// Its next hello.
    pub(super) fn greeting(&mut self) -> Vec<u8> {
        let (scope, mut out) = (group_key().scope(SESSION), Vec::new());
        let cipher = Cipher::upward(&group_key(), SESSION, self.id);
        let sequence = self.next_sequence();
        self.hello.seal(&cipher, self.key.within(scope), self.id, sequence, &mut out);
        out
    }

    /// Says something to the sender alone.
    pub(super) fn say(&mut self, sender: &mut Sender, now: Moment, up: &Up) -> Result<(), Discard> {
        let mut out = Vec::new();
        let shared = self.agreement.agree(&agreement(SENDER_AGREEMENT).public()).expect("a point");
        let cipher = Cipher::private_up(&group_key(), SESSION, self.id, &shared);
        let sequence = self.next_sequence();
        up.seal(&cipher, SESSION.tag(), self.id, sequence, &mut out);
        sender.handle_datagram(now, self.from, &out)
    }

    /// Reports that it holds a proven copy of what `sender` sends.
    pub(super) fn done(&self, sender: &Sender) -> Up {
        let root = sender.root().expect("proven");
        let receipt = self.receipt(Outcome::Published(root));
        let command = CommandOutcome::None;
        Up::Done(Done { root, existing: false, totals: Totals::default(), receipt, command })
    }

    /// Reports that it has given up.
    pub(super) fn failed(&self, kind: FailureKind) -> Up {
        let receipt = self.receipt(Outcome::Failed(kind));
        Up::Failed(Failed { kind, reason: "its own words".into(), totals: Totals::default(), receipt })
    }

    /// Signs what became of the object.
    pub(super) fn receipt(&self, outcome: Outcome) -> Receipt {
        Receipt::sign(&self.key, group_key().scope(SESSION), self.name(), WallClock(7), outcome)
    }

    /// Opens an acknowledgement.
    pub(super) fn open_ack(&self, datagram: &[u8]) -> Result<Ack, Discard> {
        let shared = self.agreement.agree(&agreement(SENDER_AGREEMENT).public()).expect("a point");
        let cipher = Cipher::private_down(&group_key(), SESSION, self.id, &shared);
        Ack::open(&cipher, datagram).map(|(_, ack)| ack)
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        Sequence::new(self.sequence).expect("small")
    }
}

pub(super) fn hello(name: &str, agreement: AgreementPublic) -> Hello {
    Hello {
        agreement,
        name: self::name(name),
        software: "test 1.0".into(),
        busy: None,
        can_relay: false,
        mtu: None,
        via: None,
        kept: Vec::new(),
    }
}

/// The report of a host that has received nothing and lacks nothing so far.
pub(super) fn report() -> Report {
    Report {
        round: 1,
        highest: Sequence::default(),
        blocks_held: 0,
        covered: 0,
        deficits: Vec::new(),
        gaps: Vec::new(),
        kept: Vec::new(),
        suspects: Vec::new(),
        echo: Echo::default(),
        buffers: 64,
        free: 64,
        via: Some(([10, 0, 0, 9], 7167).into()),
        totals: Totals::default(),
    }
}

pub(super) fn kept(block: u32) -> Vec<KeptRun> {
    vec![KeptRun { first: BlockIndex(block), blocks: 1 }]
}

/// Hosts that are expected by name: compute-1, compute-2 and so on.
pub(super) fn named(count: usize) -> Expected {
    Expected::Named((1..=count).map(|number| name(&format!("compute-{number}"))).collect())
}

/// A push of a sender that knows the keys of these hosts.
pub(super) fn knowing(expected: Expected, hosts: &[&Host]) -> SenderConfig {
    let keys = hosts.iter().map(|host| (host.name(), host.key.public())).collect();
    SenderConfig { known: KnownHosts { keys, ..KnownHosts::default() }, ..config(expected) }
}

/// The acknowledgements that are due.
pub(super) fn acks(sender: &mut Sender, now: Moment) -> Vec<Vec<u8>> {
    let (mut acks, mut out) = (Vec::new(), Vec::new());
    while let Some(transmit) = sender.poll_transmit(now, &mut out) {
        if transmit.kind == Kind::Ack {
            acks.push(out.clone());
        }
    }
    acks
}

/// What is to be shown to a person.
pub(super) fn events(sender: &mut Sender) -> Vec<SenderEvent> {
    std::iter::from_fn(|| sender.poll_event()).collect()
}

pub(super) fn states(sender: &Sender) -> Vec<(String, HostState)> {
    sender.rows().into_iter().map(|row| (row.name.to_string(), row.state)).collect()
}

/// Sends all that is due.
pub(super) fn drain(sender: &mut Sender, now: Moment) {
    let mut out = Vec::new();
    while sender.poll_transmit(now, &mut out).is_some() {}
}

pub(super) fn name(name: &str) -> HostName {
    HostName::new(name).expect("plain")
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}

pub(super) fn agreement(seed: u8) -> AgreementKey {
    AgreementKey::from_seed(&[seed; 32].into())
}

pub(super) fn geometry() -> Geometry {
    Geometry::new(4 << 20, 20, 8192).expect("in range")
}

pub(super) fn group_key() -> GroupKey {
    GroupKey::new([7; 32])
}

pub(super) fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

pub(super) const SESSION: SessionId = SessionId([1; 16]);
/// Symbols of a block.
pub(super) const K: u32 = 128;
/// The seed of the sender's half of the keys that it shares with hosts.
const SENDER_AGREEMENT: u8 = 255;
