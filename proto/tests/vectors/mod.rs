//! One value for each kind of datagram and each of its variants, and the way there and back: sealed as the machines
//! seal it, and opened by hand, with nothing of the crate but its formats.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::{BlockHash, Fingerprint, Root};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{
    About, Ack, Announce, Answer, AnswerState, Ask, BaseName, DeficitRun, Discard, DiskFormat, Done, Down,
    Encoding, End, Failed, FailureKind, Finding, GapRun, Header, Heard, Held, Hello, Kept, KeptRun, Kind,
    Listed, ManifestEntry, ManifestRun, Notice, Page, Pin, Poll, Query, Report, SYMBOL_OVERHEAD, Sought,
    SymbolHeader, Totals, Up, UpHeader,
};
use zeroize::Zeroizing;

#[path = "../aead/mod.rs"]
pub(crate) mod aead;
use aead::Key;

pub(crate) const KEY: [u8; 32] = *b"the group key of the test vector";
pub(crate) const SIGNING_SEED: [u8; 32] = *b"the sender's seed of the vectors";
pub(crate) const SESSION: SessionId = SessionId(*b"\xA1\xB2\xC3session-id-16");
pub(crate) const RECEIVER: ReceiverId = ReceiverId(*b"receiver");
pub(crate) const SALT: [u8; 16] = *b"salt of a notice";
pub(crate) const SEQUENCE: u64 = 0x01_2345_6789;

pub(crate) const DOWNWARD: &str = "glancecast v1 sender to group: group key, session id";
pub(crate) const UPWARD: &str = "glancecast v1 receiver to sender: group key, session id, receiver id";
pub(crate) const NOTICE: &str = "glancecast version notice: group key, salt";

/// Whether the sender has signed a datagram.
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
    Up(Up),
    Notice(Notice),
    Ask(Ask),
    Heard(Heard),
    Answer(Answer),
}

/// The BLAKE3 derivation of the key that seals a datagram.
pub(crate) struct Derivation {
    pub(crate) context: &'static str,
    pub(crate) material: Vec<u8>,
    /// The number of bytes in clear, at the front of the datagram.
    pub(crate) clear: usize,
    pub(crate) sequence: u64,
}

/// Returns a geometry of six blocks, the last of 1000 bytes, in the smallest symbols.
pub(crate) fn geometry() -> Geometry {
    Geometry::new((5 << 20) + 1000, 20, 488).expect("in range")
}

pub(crate) fn values() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("symbol", symbol()),
        ("announce-ipv4", Value::Announce(announce_for_a_week(), Signed::No)),
        ("announce-ipv6", Value::Announce(announce_forever(), Signed::No)),
        ("announce-one-way", Value::Announce(announce_one_way(), Signed::No)),
        ("announce-base", Value::Announce(announce_with_base(), Signed::No)),
        ("announce-signed", Value::Announce(announce_for_a_week(), Signed::Yes)),
        ("manifest", Value::Down(Down::Manifest(manifest()), Signed::No)),
        ("manifest-fingerprints", Value::Down(Down::Manifest(manifest_with_fingerprints()), Signed::No)),
        ("manifest-signed", Value::Down(Down::Manifest(manifest()), Signed::Yes)),
        ("poll-reading", Value::Down(Down::Poll(poll(None)), Signed::No)),
        ("poll-vouched", Value::Down(Down::Poll(poll(Some(ROOT))), Signed::No)),
        ("poll-signed", Value::Down(Down::Poll(poll(Some(ROOT))), Signed::Yes)),
        ("end-over", Value::Down(Down::End(End::Over), Signed::No)),
        ("end-signed", Value::Down(Down::End(End::Over), Signed::Yes)),
        ("end-aborted", Value::Down(aborted(), Signed::No)),
        ("ack", Value::Down(ack(), Signed::No)),
        ("hello", Value::Up(Up::Hello(hello(false, vec![kept(0, 3), kept(5, 1)])))),
        ("hello-busy", Value::Up(Up::Hello(hello(true, Vec::new())))),
        ("report", Value::Up(Up::Report(report()))),
        ("report-nothing-lacks", Value::Up(Up::Report(complete_report()))),
        ("done", Value::Up(Up::Done(Done { root: ROOT, existing: false, totals: TOTALS }))),
        ("failed", Value::Up(Up::Failed(failed()))),
        ("notice", Value::Notice(notice())),
        ("ask-hosts", Value::Ask(ask("192.0.2.7:7168", Query::Hosts))),
        ("ask-verify", Value::Ask(ask("[2001:db8::7]:65535", Query::Verify(sought())))),
        ("heard", Value::Heard(Heard { receiver: RECEIVER, edition: 2, page: 1 })),
        ("answer-about", Value::Answer(answer(about(AnswerState::Final)))),
        ("answer-about-verifying", Value::Answer(answer(about(VERIFYING)))),
        (
            "answer-about-failed",
            Value::Answer(answer(about(AnswerState::Failed("read the directory".into())))),
        ),
        ("answer-objects", Value::Answer(answer(objects()))),
    ])
}

impl Value {
    /// Returns the whole datagram, as the machines write it.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let sequence = Sequence::new(SEQUENCE).expect("40 bits");
        let Keys { group: key, down, up, .. } = &*KEYS;
        match self {
            Self::Symbol(header, symbol) => {
                out.resize(symbol.len() + SYMBOL_OVERHEAD, 0);
                header.seal(down, symbol, &mut out);
            }
            Self::Announce(announce, signed) => {
                announce.seal(down, signed.key().as_ref(), sequence, &mut out);
            }
            Self::Down(message, signed) => {
                message.seal(down, signed.key().as_ref(), SESSION, sequence, &mut out);
            }
            Self::Up(message) => message.seal(up, SESSION.tag(), RECEIVER, sequence, &mut out),
            Self::Notice(notice) => {
                Notice::seal(&notice.name, &notice.software, notice.tag, SALT, key, &mut out);
            }
            Self::Ask(ask) => ask.seal(down, sequence, &mut out),
            Self::Heard(heard) => heard.seal(down, SESSION.tag(), sequence, &mut out),
            Self::Answer(answer) => answer.seal(up, SESSION.tag(), RECEIVER, sequence, &mut out),
        }
        out
    }

    /// Returns the content of a datagram of this session.
    pub(crate) fn open(datagram: &[u8]) -> Result<Self, Discard> {
        let Keys { group: key, down, .. } = &*KEYS;
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
                announced.verify()?;
                let signed = match announced.signer {
                    None => Signed::No,
                    Some(signer) if signer == signing_key().public() => Signed::Yes,
                    Some(_) => return Err(Discard::UnknownSender),
                };
                Ok(Self::Announce(announced.announce, signed))
            }
            // The datagram does not contain whether it is signed: hosts know that from the announcement.
            Kind::Manifest | Kind::Poll | Kind::End | Kind::Ack => {
                let signer = (SESSION, signing_key().public());
                let open = |signer| Down::open(down, geometry(), signer, datagram, |_| true);
                match open(None) {
                    Ok((_, down)) => Ok(Self::Down(down, Signed::No)),
                    Err(Discard::Malformed) => {
                        open(Some(signer)).map(|(_, down)| Self::Down(down, Signed::Yes))
                    }
                    Err(reason) => Err(reason),
                }
            }
            Kind::Hello | Kind::Report | Kind::Done | Kind::Failed => {
                let up = UpHeader::parse(datagram)?;
                Up::open(&upward(up), geometry(), up, datagram).map(Self::Up)
            }
            Kind::Ask => Ask::open(key, datagram).map(Self::Ask),
            Kind::Heard => Heard::open(down, datagram).map(Self::Heard),
            Kind::Answer => {
                let up = UpHeader::parse(datagram)?;
                Answer::open(&upward(up), up, datagram).map(Self::Answer)
            }
            Kind::Notice => unreachable!("told by its kind above"),
        }
    }

    pub(crate) fn derivation(&self) -> Derivation {
        let (context, parts, clear): (_, &[&[u8]], _) = match self {
            Self::Symbol(..) => (DOWNWARD, &[&SESSION.0], 20),
            Self::Announce(..) | Self::Ask(_) => (DOWNWARD, &[&SESSION.0], 26),
            Self::Down(..) | Self::Heard(_) => (DOWNWARD, &[&SESSION.0], 10),
            Self::Up(_) | Self::Answer(_) => (UPWARD, &[&SESSION.0, &RECEIVER.0], 18),
            Self::Notice(_) => (NOTICE, &[&SALT], 21),
        };
        let sequence = if matches!(self, Self::Notice(_)) { 0 } else { SEQUENCE };
        Derivation { context, material: [&[KEY.as_slice()], parts].concat().concat(), clear, sequence }
    }
}

impl Derivation {
    /// Returns the content of the sealed part of a datagram, opened without the crate under test.
    pub(crate) fn plain(&self, datagram: &[u8]) -> Vec<u8> {
        self.key().open(self.sequence, self.clear, datagram)
    }

    /// Returns a datagram with any body, as a holder of the group key can seal it.
    pub(crate) fn seal(&self, clear: &[u8], body: Vec<u8>) -> Vec<u8> {
        self.key().seal(self.sequence, clear, body)
    }

    pub(crate) fn key(&self) -> Key {
        Key::derive(self.context, &self.material)
    }
}

impl Signed {
    fn key(self) -> Option<SigningKey> {
        (self == Self::Yes).then(signing_key)
    }
}

pub(crate) fn signing_key() -> SigningKey {
    KEYS.signing.clone()
}

/// Returns the cipher that opens a datagram of this host.
fn upward(up: UpHeader) -> Cipher {
    Cipher::upward(&KEYS.group, SESSION, up.receiver)
}

/// The keys of the vectors, made once, as fuzzers need them for each input.
pub(crate) struct Keys {
    pub(crate) group: GroupKey,
    pub(crate) down: Cipher,
    /// The cipher of [`RECEIVER`].
    up: Cipher,
    signing: SigningKey,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let group = GroupKey::new(KEY);
    let (down, up) = (Cipher::downward(&group, SESSION), Cipher::upward(&group, SESSION, RECEIVER));
    Keys { down, up, group, signing: SigningKey::from_seed(&Zeroizing::new(SIGNING_SEED)) }
});

fn aborted() -> Down {
    Down::End(End::Aborted("the image is shorter than Glance says".into()))
}

fn ack() -> Down {
    Down::Ack(Ack { receiver: RECEIVER, kind: Kind::Done, slot: 3 })
}

fn symbol() -> Value {
    let header = SymbolHeader {
        tag: SESSION.tag(),
        sequence: Sequence::new(SEQUENCE).expect("40 bits"),
        block: BlockIndex(4),
        esi: Esi::new(0x01_0203).expect("24 bits"),
        encoded_len: 1 << 20,
    };
    Value::Symbol(header, (0..488).map(|i| (i * 7) as u8).collect())
}

fn announce_for_a_week() -> Announce {
    let week = Pin::For(Duration::from_secs(7 * 86_400));
    announce("192.0.2.7:7167", Some(IMAGE_ID), DiskFormat::Raw, week)
}

fn announce_forever() -> Announce {
    announce("[2001:db8::7]:65535", None, DiskFormat::Qcow2, Pin::Forever)
}

fn announce_one_way() -> Announce {
    let announce = announce("192.0.2.7:1", None, DiskFormat::Other, Pin::None);
    Announce { one_way: true, ..announce }
}

fn announce_with_base() -> Announce {
    let base = Some(BaseName::new("ubuntu-24.04 (Februar).raw").expect("plain"));
    Announce { base, ..announce("192.0.2.7:7167", None, DiskFormat::Raw, Pin::None) }
}

fn announce(reply_to: &str, image_id: Option<&str>, format: DiskFormat, pin: Pin) -> Announce {
    Announce {
        session: SESSION,
        time: WallClock(1_767_225_600_000),
        geometry: geometry(),
        name: ObjectName::new("ubuntu-24.04 (März).raw").expect("plain"),
        image_id: image_id.map(str::to_owned),
        format,
        pin,
        reply_to: reply_to.parse::<SocketAddr>().expect("an address"),
        spread: Duration::from_millis(250),
        expected_hosts: 200,
        one_way: false,
        base: None,
    }
}

fn manifest() -> ManifestRun {
    let entry = |encoding, hash| ManifestEntry { encoding, hash: BlockHash([hash; 32]) };
    let (stored, framed) =
        (entry(Encoding::Stored, 0x33), entry(Encoding::Zstd { encoded_len: 345_678 }, 0x44));
    let blocks = vec![Listed::Data(stored), Listed::Data(framed), Listed::Zero];
    ManifestRun { first: BlockIndex(3), blocks, fingerprints: Vec::new() }
}

fn manifest_with_fingerprints() -> ManifestRun {
    ManifestRun { fingerprints: vec![Fingerprint([0x66; 16]), Fingerprint([0x77; 16])], ..manifest() }
}

fn poll(root: Option<Root>) -> Poll {
    let window = Duration::from_micros(100_500);
    Poll { round: 7, blocks_sent: 5, manifest_sent: 6, window, slots: 201, root }
}

fn hello(busy: bool, kept: Vec<KeptRun>) -> Hello {
    Hello { name: host(), software: SOFTWARE.into(), busy, kept }
}

fn kept(first: u32, blocks: u32) -> KeptRun {
    KeptRun { first: BlockIndex(first), blocks }
}

fn report() -> Report {
    Report {
        round: 7,
        highest: Sequence::new(0xFE_DCBA_9876).expect("40 bits"),
        blocks_held: 2,
        covered: 5,
        deficits: vec![
            DeficitRun { first: BlockIndex(0), blocks: 2, symbols: 2150 },
            DeficitRun { first: BlockIndex(4), blocks: 1, symbols: 1 },
        ],
        gaps: vec![GapRun { first: BlockIndex(0), blocks: 1 }, GapRun { first: BlockIndex(2), blocks: 3 }],
        kept: vec![kept(5, 1)],
        totals: TOTALS,
    }
}

fn complete_report() -> Report {
    Report {
        blocks_held: 6,
        covered: 6,
        deficits: Vec::new(),
        gaps: Vec::new(),
        kept: Vec::new(),
        ..report()
    }
}

fn failed() -> Failed {
    let reason = "/srv/images has 4096 bytes free, and the object needs 5243880".to_owned();
    Failed { kind: FailureKind::NoSpace, reason, totals: TOTALS }
}

fn notice() -> Notice {
    Notice { version: 1, tag: SESSION.tag(), name: host(), software: SOFTWARE.into() }
}

fn ask(reply_to: &str, query: Query) -> Ask {
    Ask {
        id: SESSION,
        time: WallClock(1_767_225_600_000),
        round: 3,
        reply_to: reply_to.parse::<SocketAddr>().expect("an address"),
        spread: Duration::from_millis(250),
        answer_bytes_max: 1_232,
        query,
    }
}

fn sought() -> Sought {
    let name = ObjectName::new("ubuntu-24.04 (März).raw").expect("plain");
    Sought::new(Some(name), Some(IMAGE_ID.into())).expect("a UUID")
}

fn answer(page: Page) -> Answer {
    Answer { edition: 2, pages: 3, page }
}

fn about(state: AnswerState) -> Page {
    Page::About(About {
        name: host(),
        software: SOFTWARE.into(),
        store: "directory:/srv/images".into(),
        free_bytes: Some(0x0102_0304_0506_0708),
        held: 5,
        pinned: 2,
        state,
    })
}

fn objects() -> Page {
    let held = |name: &str, kept, finding| Held {
        name: ObjectName::new(name).expect("plain"),
        image_id: None,
        bytes: 5_243_880,
        root: ROOT,
        proven: WallClock(1_767_225_000_000),
        kept,
        finding,
    };
    let of_glance = |held| Held { image_id: Some(IMAGE_ID.into()), ..held };
    let until = Kept::Until(WallClock(1_767_830_400_000));
    let objects = vec![
        held("listed", Kept::ByRule, Finding::Listed),
        of_glance(held("pending", Kept::Forever, Finding::Pending)),
        of_glance(held("intact", until, Finding::Intact)),
        of_glance(held("differs", Kept::ByRule, Finding::Differs(Root([0xCD; 32])))),
        held("failed", Kept::ByRule, Finding::Failed("read /srv/images/failed: input/output error".into())),
        of_glance(held("let go", Kept::ByRule, Finding::LetGo(until))),
    ];
    Page::Objects { number: 2, objects }
}

fn host() -> HostName {
    HostName::new("compute-1.example").expect("plain")
}

const VERIFYING: AnswerState = AnswerState::Verifying { done: 1 << 30, of: 5 << 30 };
const SOFTWARE: &str = "glancecastd 0.1.0";
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
const ROOT: Root = Root([0xAB; 32]);
const TOTALS: Totals = Totals {
    symbols_lost: 1,
    symbols_repaired: 0x0203_0405,
    bytes_received: 0x0607_0809_0A0B_0C0D,
    socket_drops: u64::MAX,
    store_drops: 0x0E0F,
    blocks_reused: 0x1011,
};
