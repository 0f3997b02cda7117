//! A host of the group, as far as a sender can tell: whatever it says, it seals and signs with keys of its own.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::echo::Echo;
use glancecast_proto::ids::{HostName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::seal::Cipher;
use glancecast_proto::sender::{Expected, HostState, Sender};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    CommandOutcome, Discard, Done, Failed, FailureKind, Hello, Outcome, Receipt, Report, Totals, Up,
};

use crate::pair::{HOST, HOST_KEY, at, group_key, key};

/// The session of all that a node says.
pub(crate) const SESSION: SessionId = SessionId([6; 16]);
/// Where an insider sits, and the seed of its keys.
pub(crate) const THIEF: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 66)), 40_000);
pub(crate) const THIEF_KEY: u8 = 66;

/// A host of the group: whatever it says, it says with these keys.
pub(crate) struct Node {
    pub(crate) name: HostName,
    pub(crate) key: SigningKey,
    pub(crate) id: ReceiverId,
    pub(crate) agreement: AgreementKey,
    pub(crate) number: u64,
}

impl Node {
    pub(crate) fn new(called: &str, seed: u8) -> Self {
        Self {
            name: name(called),
            key: key(seed),
            id: ReceiverId([seed; 8]),
            agreement: agreement(seed),
            number: 0,
        }
    }

    pub(crate) fn hello(&mut self) -> Vec<u8> {
        self.hello_with(self.agreement.public())
    }

    pub(crate) fn hello_with(&mut self, agreement: AgreementPublic) -> Vec<u8> {
        let (mut out, sequence) = (Vec::new(), self.next());
        let hello = hello(&self.name, agreement);
        let cipher = Cipher::upward(&group_key(), SESSION, self.id);
        hello.seal(&cipher, self.key.within(group_key().scope(SESSION)), self.id, sequence, &mut out);
        out
    }

    /// Writes the hello of a start with this number.
    pub(crate) fn hello_into(&mut self, start: u64, out: &mut Vec<u8>) {
        self.id = ReceiverId(start.to_be_bytes());
        *out = self.hello();
    }

    pub(crate) fn greet(&mut self, sender: &mut Sender) -> Result<(), Discard> {
        self.greet_at(sender, at(1))
    }

    pub(crate) fn greet_at(&mut self, sender: &mut Sender, now: Moment) -> Result<(), Discard> {
        sender.handle_datagram(now, HOST, &self.hello())
    }

    pub(crate) fn say(&mut self, sender: &mut Sender, up: &Up) -> Result<(), Discard> {
        self.say_at(sender, at(1), up)
    }

    pub(crate) fn say_at(&mut self, sender: &mut Sender, now: Moment, up: &Up) -> Result<(), Discard> {
        let shared = self.agreement.agree(&sender.config().agreement.public()).expect("a sender's key");
        let cipher = Cipher::private_up(&group_key(), SESSION, self.id, &shared);
        let said = self.sealed(&cipher, up);
        sender.handle_datagram(now, HOST, &said)
    }

    pub(crate) fn sealed(&mut self, cipher: &Cipher, up: &Up) -> Vec<u8> {
        let (mut out, sequence) = (Vec::new(), self.next());
        up.seal(cipher, SESSION.tag(), self.id, sequence, &mut out);
        out
    }

    /// Returns a report, a done and a failed, sealed under this cipher.
    pub(crate) fn claims(&mut self, cipher: &Cipher, root: Option<Root>) -> Vec<(&'static str, Vec<u8>)> {
        let root = root.unwrap_or(Root([1; 32]));
        let done = Done {
            root,
            existing: false,
            totals: Totals::default(),
            receipt: self.receipt(Outcome::Published(root)),
            command: CommandOutcome::None,
        };
        let failed = Failed {
            kind: FailureKind::NoSpace,
            reason: "no".into(),
            totals: Totals::default(),
            receipt: self.receipt(Outcome::Failed(FailureKind::NoSpace)),
        };
        vec![
            ("a report", self.sealed(cipher, &Up::Report(report(1 << 40)))),
            ("a done", self.sealed(cipher, &Up::Done(done))),
            ("a failed", self.sealed(cipher, &Up::Failed(failed))),
        ]
    }

    pub(crate) fn receipt(&self, outcome: Outcome) -> Receipt {
        Receipt::sign(&self.key, group_key().scope(SESSION), self.name.clone(), WallClock(1), outcome)
    }

    pub(crate) fn next(&mut self) -> Sequence {
        self.number += 1;
        Sequence::new(self.number).expect("small")
    }
}

pub(crate) fn hello(name: &HostName, agreement: AgreementPublic) -> Hello {
    let (name, software) = (name.clone(), String::new());
    Hello { agreement, name, software, busy: None, can_relay: false, mtu: None, via: None, kept: Vec::new() }
}

/// Returns a report of a host that has received `bytes_received` bytes, and asks for nothing.
pub(crate) fn report(bytes_received: u64) -> Report {
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
        buffers: 4,
        free: 4,
        via: None,
        totals: Totals { bytes_received, ..Totals::default() },
    }
}

/// Returns all datagrams that are due at the sender.
pub(crate) fn said_by(sender: &mut Sender, now: Moment) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    std::iter::from_fn(|| sender.poll_transmit(now, &mut out).map(|_| out.clone())).collect()
}

pub(crate) fn states(sender: &Sender) -> BTreeMap<String, HostState> {
    sender.rows().into_iter().map(|row| (row.name.as_str().to_owned(), row.state)).collect()
}

/// Returns the key of compute-1, as a sender knows it.
pub(crate) fn known_hosts(unknown: UnknownHosts) -> KnownHosts {
    KnownHosts { keys: [(name("compute-1"), key(HOST_KEY).public())].into(), unknown }
}

pub(crate) fn agreement(seed: u8) -> AgreementKey {
    AgreementKey::from_seed(&[seed; 32].into())
}

pub(crate) fn named<const N: usize>(names: [&str; N]) -> Expected {
    Expected::Named(names.into_iter().map(name).collect())
}

pub(crate) fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}
