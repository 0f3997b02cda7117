//! One value for each kind of datagram and each of its variants, and the way there and back: sealed as the machines
//! seal it, and opened by hand, with nothing of the crate but its formats.
#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod values;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use glancecast_proto::agree::{AgreementKey, SharedSecret};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{ReceiverId, Sequence, SessionId};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::{PublicKey, Scope, Signer, SigningKey, Verifier};
use glancecast_proto::wire::{
    Ack, Announce, Answer, Ask, Discard, Down, Header, Heard, Hello, Kind, NewKey, Notice, Probe, Route,
    RouteAck, SYMBOL_OVERHEAD, SymbolHeader, Up, UpHeader, Vouched,
};
use zeroize::Zeroizing;

#[path = "../crypto/mod.rs"]
pub(crate) mod crypto;
use crypto::{Key, SecretKey};

pub(crate) const KEY: [u8; 32] = *b"the group key of the test vector";
pub(crate) const SIGNING_SEED: [u8; 32] = *b"the sender's seed of the vectors";
pub(crate) const HOST_SEED: [u8; 32] = *b"a host's key's seed, for vectors";
pub(crate) const SENDER_AGREEMENT: [u8; 32] = *b"the sender's agreement key: seed";
pub(crate) const HOST_AGREEMENT: [u8; 32] = *b"the host's agreement key, a seed";
pub(crate) const SESSION: SessionId = SessionId(*b"\xA1\xB2\xC3session-id-16");
pub(crate) const RECEIVER: ReceiverId = ReceiverId(*b"receiver");
pub(crate) const SALT: [u8; 16] = *b"salt of a notice";
pub(crate) const SEQUENCE: u64 = 0x01_2345_6789;

/// Whether the sender, or the querier, has signed a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    No,
    Yes,
}

/// The content of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Symbol(SymbolHeader, Vec<u8>),
    Announce(Announce, Signed),
    Down(Down, Signed),
    Ack(Ack),
    Route(Route, Signed),
    Ask(Ask, Signed),
    Heard(Heard, Signed),
    /// With the length of the datagram.
    Probe(Probe, usize),
    NewKey(ReceiverId, [u8; 32]),
    Hello(Hello),
    Up(Up),
    Answer(Answer),
    RouteAck(RouteAck),
    Notice(Notice),
}

/// Who writes datagrams under a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The sender or the querier, to all who have the group key.
    Down,
    /// The host, to all who have the group key.
    Up,
    /// The sender, to this host alone.
    PrivateDown,
    /// The host, to this sender alone.
    PrivateUp,
    /// The host, to a sender of another version.
    Notice,
}

/// Whose signature is at the end of a datagram's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Sender,
    Host,
}

/// The BLAKE3 derivation of the key that seals a datagram, and what else its bytes follow from.
pub(crate) struct Derivation {
    pub(crate) context: &'static str,
    pub(crate) material: Vec<u8>,
    /// The number of bytes in clear, at the front of the datagram.
    pub(crate) clear: usize,
    pub(crate) sequence: u64,
    pub(crate) signer: Option<Party>,
}

pub(crate) fn values() -> BTreeMap<&'static str, Value> {
    values::all()
}

/// Returns a geometry of six blocks, the last of 1000 bytes, in the smallest symbols.
pub(crate) fn geometry() -> Geometry {
    Geometry::new((5 << 20) + 1000, 20, 512).expect("in range")
}

impl Value {
    /// Returns the whole datagram, as the machines write it.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let (sequence, tag) = (Sequence::new(SEQUENCE).expect("40 bits"), SESSION.tag());
        let Keys { group: key, down, up, private_down, private_up, .. } = &*KEYS;
        match self {
            Self::Symbol(header, symbol) => {
                out.resize(symbol.len() + SYMBOL_OVERHEAD, 0);
                header.seal(down, symbol, &mut out);
            }
            Self::Announce(announce, signed) => announce.seal(down, signed.signer(), sequence, &mut out),
            Self::Down(message, signed) => message.seal(down, signed.signer(), SESSION, sequence, &mut out),
            Self::Ack(ack) => ack.seal(private_down, tag, sequence, &mut out),
            Self::Route(route, signed) => route.seal(down, signed.signer(), sequence, &mut out),
            Self::Ask(ask, signed) => ask.seal(down, signed.signer(), sequence, &mut out),
            Self::Heard(heard, signed) => heard.seal(down, signed.signer(), tag, sequence, &mut out),
            Self::Probe(probe, len) => probe.seal(down, tag, sequence, *len, &mut out),
            Self::NewKey(receiver, key) => {
                let new = NewKey { receiver: *receiver, key: Zeroizing::new(*key) };
                new.seal(private_down, sender_signer(), sequence, &mut out);
            }
            Self::Hello(hello) => hello.seal(up, host_signer(), RECEIVER, sequence, &mut out),
            Self::Up(message) => message.seal(private_up, tag, RECEIVER, sequence, &mut out),
            Self::Answer(answer) => answer.seal(up, host_signer(), RECEIVER, sequence, &mut out),
            Self::RouteAck(ack) => ack.seal(up, host_signer(), RECEIVER, sequence, &mut out),
            Self::Notice(notice) => {
                Notice::seal(&notice.name, &notice.software, notice.tag, SALT, key, &mut out);
            }
        }
        out
    }

    /// Returns the content of a datagram of this session, signed or not where both are possible: the datagram does not
    /// contain which, as hosts know that from the announcement or the query.
    pub(crate) fn open(datagram: &[u8]) -> Result<Self, Discard> {
        match Self::open_as(datagram, Signed::No) {
            Err(Discard::Malformed) => Self::open_as(datagram, Signed::Yes),
            result => result,
        }
    }

    /// Returns the content of a datagram of this session, as those read it who know whether the session is signed.
    pub(crate) fn open_as(datagram: &[u8], signed: Signed) -> Result<Self, Discard> {
        let Keys { group: key, down, private_down, .. } = &*KEYS;
        if Notice::is(datagram) {
            return Notice::open(key, datagram).map(Self::Notice);
        }
        match Header::parse(datagram)?.kind {
            Kind::Symbol => {
                let header = SymbolHeader::parse(datagram)?;
                let mut symbol = vec![0; usize::from(geometry().symbol_size())];
                header.open(down, datagram, &mut symbol)?;
                Ok(Self::Symbol(header, symbol))
            }
            Kind::Announce => {
                let announced = Announce::open(key, datagram)?;
                Ok(Self::Announce(announced.announce, vouched(&announced.vouched)?))
            }
            Kind::Manifest | Kind::Poll | Kind::End | Kind::Audience | Kind::Proofs => {
                let opened = Down::open(down, geometry(), signed.verifier(), datagram, |_| Ok(()));
                opened.map(|(_, down)| Self::Down(down, signed))
            }
            Kind::Ack => Ack::open(private_down, datagram).map(|(_, ack)| Self::Ack(ack)),
            Kind::Route => {
                let (route, vouching) = Route::open(key, datagram)?;
                Ok(Self::Route(route, vouched(&vouching)?))
            }
            Kind::Ask => {
                let (ask, vouching) = Ask::open(key, datagram)?;
                Ok(Self::Ask(ask, vouched(&vouching)?))
            }
            Kind::Heard => {
                let opened = Heard::open(down, signed.verifier(), datagram, |_| Ok(()));
                opened.map(|heard| Self::Heard(heard, signed))
            }
            Kind::Probe => Probe::open(down, datagram).map(|probe| Self::Probe(probe, datagram.len())),
            Kind::NewKey => {
                let verifier = Signed::Yes.verifier().expect("a key");
                NewKey::open(private_down, verifier, datagram).map(|new| Self::NewKey(new.receiver, *new.key))
            }
            Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Answer | Kind::RouteAck => {
                Self::open_up(datagram)
            }
            Kind::Notice => unreachable!("told by its kind above"),
        }
    }

    /// Returns the content of a datagram that a host has sent.
    fn open_up(datagram: &[u8]) -> Result<Self, Discard> {
        let (up, host) = (UpHeader::parse(datagram)?, host_key().public());
        let cipher = Cipher::upward(&KEYS.group, SESSION, up.receiver);
        match up.header.kind {
            Kind::Hello => {
                let greeting = Hello::open(&cipher, geometry(), up, datagram)?;
                greeting.verify(scope())?;
                if greeting.key == host { Ok(Self::Hello(greeting.hello)) } else { Err(Discard::KeyChanged) }
            }
            Kind::Answer => Answer::open(&cipher, scope(), Some(host), up, datagram).map(Self::Answer),
            Kind::RouteAck => {
                let (ack, key) = RouteAck::open(&cipher, scope(), up, datagram)?;
                if key == host { Ok(Self::RouteAck(ack)) } else { Err(Discard::KeyChanged) }
            }
            _ => {
                let private = Cipher::private_up(&KEYS.group, SESSION, up.receiver, &KEYS.shared);
                Up::open(&private, geometry(), up, datagram).map(Self::Up)
            }
        }
    }

    /// Who seals it.
    pub(crate) fn writer(&self) -> Writer {
        match self {
            Self::Symbol(..)
            | Self::Announce(..)
            | Self::Down(..)
            | Self::Route(..)
            | Self::Ask(..)
            | Self::Heard(..)
            | Self::Probe(..) => Writer::Down,
            Self::Ack(_) | Self::NewKey(..) => Writer::PrivateDown,
            Self::Hello(_) | Self::Answer(_) | Self::RouteAck(_) => Writer::Up,
            Self::Up(_) => Writer::PrivateUp,
            Self::Notice(_) => Writer::Notice,
        }
    }

    /// Whose signature is at the end of its body.
    pub(crate) fn signer(&self) -> Option<Party> {
        match self {
            Self::Announce(_, signed)
            | Self::Down(_, signed)
            | Self::Route(_, signed)
            | Self::Ask(_, signed)
            | Self::Heard(_, signed) => (*signed == Signed::Yes).then_some(Party::Sender),
            Self::NewKey(..) => Some(Party::Sender),
            Self::Hello(_) | Self::Answer(_) | Self::RouteAck(_) => Some(Party::Host),
            Self::Symbol(..) | Self::Ack(_) | Self::Probe(..) | Self::Up(_) | Self::Notice(_) => None,
        }
    }

    pub(crate) fn derivation(&self) -> Derivation {
        let clear = match self {
            Self::Symbol(..) => 20,
            Self::Announce(..) | Self::Ask(..) | Self::Route(..) => 26,
            Self::Down(..) | Self::Heard(..) | Self::Ack(_) | Self::NewKey(..) => 10,
            Self::Probe(_, len) => len - 7 - 16,
            Self::Hello(_) | Self::Up(_) | Self::Answer(_) | Self::RouteAck(_) => 18,
            Self::Notice(_) => 21,
        };
        let (sequence, id) = match self {
            Self::Notice(_) => (0, SALT),
            _ => (SEQUENCE, SESSION.0),
        };
        Derivation { clear, sequence, signer: self.signer(), ..self.writer().derivation(&id, &RECEIVER.0) }
    }
}

impl Writer {
    /// Returns the derivation of this writer's key; the rest of it is that of a datagram without content. `id` is that
    /// of the session, or the salt of a notice.
    pub(crate) fn derivation(self, id: &[u8], receiver: &[u8]) -> Derivation {
        let (context, parts): (_, &[&[u8]]) = match self {
            Self::Down => ("glancecast v2 sender to group: group key, session id", &[id]),
            Self::Up => {
                ("glancecast v2 receiver to sender: group key, session id, receiver id", &[id, receiver])
            }
            Self::PrivateDown => (
                "glancecast v2 sender to receiver alone: group key, session id, receiver id, shared secret",
                &[id, receiver, &KEYS.shared_by_hand],
            ),
            Self::PrivateUp => (
                "glancecast v2 receiver to sender alone: group key, session id, receiver id, shared secret",
                &[id, receiver, &KEYS.shared_by_hand],
            ),
            Self::Notice => ("glancecast version notice: group key, salt", &[id]),
        };
        let material = [&[KEY.as_slice()], parts].concat().concat();
        Derivation { context, material, clear: 0, sequence: 0, signer: None }
    }
}

impl Derivation {
    /// Returns the content of the sealed part of a datagram, opened without the crate under test.
    pub(crate) fn plain(&self, datagram: &[u8]) -> Vec<u8> {
        self.key().open(self.sequence, self.clear, datagram)
    }

    /// Returns a datagram with any body, as a holder of its key can seal it.
    pub(crate) fn seal(&self, clear: &[u8], body: Vec<u8>) -> Vec<u8> {
        self.key().seal(self.sequence, clear, body)
    }

    /// Returns a datagram with any body, as its writer signs and seals it.
    pub(crate) fn sign_and_seal(&self, clear: &[u8], mut body: Vec<u8>) -> Vec<u8> {
        if self.signer.is_some() {
            body.extend(self.signature(clear, &body));
        }
        self.seal(clear, body)
    }

    /// Returns the signature of a datagram that its writer signs.
    pub(crate) fn signature(&self, clear: &[u8], body: &[u8]) -> [u8; 64] {
        let key = match self.signer.expect("it is signed") {
            Party::Sender => &KEYS.signing_by_hand,
            Party::Host => &KEYS.host_by_hand,
        };
        key.sign(&KEY, &SESSION.0, clear, body)
    }

    pub(crate) fn key(&self) -> Key {
        Key::derive(self.context, &self.material)
    }
}

impl Signed {
    pub(crate) fn signer(self) -> Option<Signer<'static>> {
        (self == Self::Yes).then(sender_signer)
    }

    pub(crate) fn verifier(self) -> Option<Verifier> {
        (self == Self::Yes).then(|| signing_key().public().within(scope()))
    }
}

/// Returns whether the sender of the vectors has signed; nobody else may have.
fn vouched(vouched: &Vouched) -> Result<Signed, Discard> {
    vouched.verify(scope())?;
    match vouched.signer() {
        None => Ok(Signed::No),
        Some(signer) if signer == signing_key().public() => Ok(Signed::Yes),
        Some(_) => Err(Discard::UnknownSender),
    }
}

pub(crate) fn signing_key() -> &'static SigningKey {
    &KEYS.signing
}

pub(crate) fn host_key() -> &'static SigningKey {
    &KEYS.host
}

pub(crate) fn host_public() -> PublicKey {
    KEYS.host.public()
}

/// What signatures in the session of the vectors are for.
pub(crate) fn scope() -> Scope {
    KEYS.scope
}

pub(crate) fn sender_signer() -> Signer<'static> {
    signing_key().within(scope())
}

pub(crate) fn host_signer() -> Signer<'static> {
    host_key().within(scope())
}

/// The keys of the vectors, made once, as fuzzers need them for each input.
pub(crate) struct Keys {
    pub(crate) group: GroupKey,
    pub(crate) down: Cipher,
    /// The ciphers of [`RECEIVER`].
    up: Cipher,
    pub(crate) private_down: Cipher,
    private_up: Cipher,
    /// What the sender and the host share, as the crate and as another implementation compute it.
    pub(crate) shared: SharedSecret,
    shared_by_hand: [u8; 32],
    signing: SigningKey,
    host: SigningKey,
    signing_by_hand: SecretKey,
    host_by_hand: SecretKey,
    scope: Scope,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let group = GroupKey::new(KEY);
    let [sender, host] = [SENDER_AGREEMENT, HOST_AGREEMENT].map(|seed| AgreementKey::from_seed(&seed.into()));
    let shared = sender.agree(&host.public()).expect("keys of our own");
    Keys {
        down: Cipher::downward(&group, SESSION),
        up: Cipher::upward(&group, SESSION, RECEIVER),
        private_down: Cipher::private_down(&group, SESSION, RECEIVER, &shared),
        private_up: Cipher::private_up(&group, SESSION, RECEIVER, &shared),
        shared,
        shared_by_hand: crypto::shared(&HOST_AGREEMENT, &crypto::agreement_public(&SENDER_AGREEMENT)),
        signing: SigningKey::from_seed(&SIGNING_SEED.into()),
        host: SigningKey::from_seed(&HOST_SEED.into()),
        signing_by_hand: SecretKey::of(&SIGNING_SEED),
        host_by_hand: SecretKey::of(&HOST_SEED),
        scope: group.scope(SESSION),
        group,
    }
});
