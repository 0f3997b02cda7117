//! The content of each datagram of the vectors.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::echo::Echo;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, Sequence};
use glancecast_proto::integrity::{BlockHash, Fingerprint, Root};
use glancecast_proto::limits::CONTROL_SMALL;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{
    About, Ack, Announce, Answer, AnswerState, Ask, Audience, AudiencePage, BaseName, CommandOutcome,
    Counter, DeficitRun, DiskFormat, Done, Down, Encoding, End, Failed, FailureKind, Finding, GapRun, Heard,
    Held, HeldDigest, Hello, Kept, KeptRun, Kind, Listed, ManifestEntry, ManifestRun, Notice, Outcome, Page,
    Part, Pin, PinTime, Poll, Probe, Proofs, Query, Receipt, Report, Route, RouteAck, Sought, Step,
    SymbolHash, SymbolHeader, Totals, Up, VERSION,
};

use super::{
    HOST_AGREEMENT, RECEIVER, SENDER_AGREEMENT, SEQUENCE, SESSION, Signed, Value, geometry, host_key,
    host_public, scope,
};

pub(crate) fn all() -> BTreeMap<&'static str, Value> {
    [pushes(), downward(), upward(), queries(), answers(), relays()].into_iter().flatten().collect()
}

fn pushes() -> Vec<(&'static str, Value)> {
    let named = Announce { audience: Audience::Named { names: NAMED.len() as u32 }, ..announce_for_a_week() };
    vec![
        ("symbol", symbol()),
        ("announce-ipv4", Value::Announce(announce_for_a_week(), Signed::No)),
        ("announce-ipv6", Value::Announce(announce_forever(), Signed::No)),
        ("announce-one-way", Value::Announce(announce_one_way(), Signed::No)),
        ("announce-base", Value::Announce(announce_with_base(), Signed::No)),
        ("announce-named", Value::Announce(named, Signed::No)),
        ("announce-signed", Value::Announce(announce_for_a_week(), Signed::Yes)),
    ]
}

fn downward() -> Vec<(&'static str, Value)> {
    let down = |down: Down| Value::Down(down, Signed::No);
    let signed = |down: Down| Value::Down(down, Signed::Yes);
    vec![
        ("manifest", down(Down::Manifest(manifest()))),
        ("manifest-fingerprints", down(Down::Manifest(manifest_with_fingerprints()))),
        ("manifest-signed", signed(Down::Manifest(manifest()))),
        ("poll-reading", down(Down::Poll(poll(None)))),
        ("poll-vouched", down(Down::Poll(poll(Some(ROOT))))),
        ("poll-signed", signed(Down::Poll(poll(Some(ROOT))))),
        ("end-over", down(Down::End(End::Over))),
        ("end-signed", signed(Down::End(End::Over))),
        ("end-aborted", down(Down::End(End::Aborted("the image is shorter than Glance says".into())))),
        ("audience", down(Down::Audience(audience()))),
        ("audience-signed", signed(Down::Audience(audience()))),
        ("proofs", down(Down::Proofs(proofs()))),
        ("proofs-signed", signed(Down::Proofs(proofs()))),
        (
            "ack",
            Value::Ack(Ack {
                receiver: RECEIVER,
                kind: Kind::Done,
                slot: 3,
                echo: Echo([0xe0, 0xe1, 0xe2, 0xe3]),
            }),
        ),
    ]
}

fn upward() -> Vec<(&'static str, Value)> {
    vec![
        ("hello", Value::Hello(hello())),
        ("hello-busy", Value::Hello(busy_hello())),
        ("report", Value::Up(Up::Report(report()))),
        ("report-nothing-lacks", Value::Up(Up::Report(complete_report()))),
        ("done", Value::Up(Up::Done(done(Outcome::Published(ROOT))))),
        ("done-existing", Value::Up(Up::Done(done(Outcome::Existing(ROOT))))),
        ("failed", Value::Up(Up::Failed(failed()))),
        ("notice", Value::Notice(notice())),
    ]
}

fn queries() -> Vec<(&'static str, Value)> {
    let unsigned = |query| Value::Ask(ask("192.0.2.7:7168", query), Signed::No);
    let named = Ask { audience: Audience::Named { names: 10_000 }, ..ask("192.0.2.7:7168", Query::Rekey) };
    let heard = Heard { receiver: RECEIVER, edition: 2, page: 1 };
    vec![
        ("ask-hosts", unsigned(Query::Hosts)),
        ("ask-status", unsigned(Query::Status(Sought::new(None, Some(IMAGE_ID.into())).expect("a UUID")))),
        ("ask-verify", Value::Ask(ask("[2001:db8::7]:65535", Query::Verify(sought())), Signed::No)),
        ("ask-unpin", unsigned(Query::Unpin(sought()))),
        ("ask-pin", unsigned(Query::Pin(sought(), PinTime::For(Duration::from_secs(7 * 86_400))))),
        ("ask-pin-forever", unsigned(Query::Pin(sought(), PinTime::Forever))),
        ("ask-remove", unsigned(Query::Remove(sought()))),
        ("ask-remove-pinned", unsigned(Query::RemovePinned(sought()))),
        ("ask-set-aside", unsigned(Query::SetAside(sought()))),
        ("ask-diagnose", unsigned(Query::Diagnose { step: Step::Report, train: 0x0102 })),
        ("ask-rekey-signed", Value::Ask(named, Signed::Yes)),
        ("ask-retire", unsigned(Query::Retire)),
        ("heard", Value::Heard(heard, Signed::No)),
        ("heard-signed", Value::Heard(heard, Signed::Yes)),
        ("probe", Value::Probe(PROBE, Probe::BYTES_MIN)),
        ("probe-padded", Value::Probe(Probe { index: 1, ..PROBE }, 100)),
        ("new-key", Value::NewKey(RECEIVER, *b"the new group key of the vectors")),
    ]
}

fn answers() -> Vec<(&'static str, Value)> {
    let failed = AnswerState::Failed("read the directory".into());
    vec![
        ("answer-about", answer(about(AnswerState::Final))),
        ("answer-about-verifying", answer(about(VERIFYING))),
        ("answer-about-busy", answer(about(AnswerState::Busy))),
        ("answer-about-failed", answer(about(failed))),
        ("answer-about-awaiting-key", answer(about(AnswerState::AwaitingKey))),
        ("answer-objects", answer(objects())),
        ("answer-objects-kept", answer(objects_kept())),
        ("answer-counters", answer(counters())),
    ]
}

fn relays() -> Vec<(&'static str, Value)> {
    vec![
        ("route", Value::Route(route(), Signed::No)),
        ("route-signed", Value::Route(route_to_a_segment(), Signed::Yes)),
        ("route-ack", Value::RouteAck(ROUTE_ACK)),
    ]
}

fn symbol() -> Value {
    let header = SymbolHeader {
        tag: SESSION.tag(),
        sequence: Sequence::new(SEQUENCE).expect("40 bits"),
        block: BlockIndex(4),
        esi: Esi::new(0x01_0203).expect("24 bits"),
        encoded_len: 1 << 20,
    };
    Value::Symbol(header, (0..geometry().symbol_size()).map(|i| (i * 7) as u8).collect())
}

fn announce_for_a_week() -> Announce {
    let week = Pin::For(Duration::from_secs(7 * 86_400));
    let announce = announce("192.0.2.7:7167", Some(IMAGE_ID), DiskFormat::Raw, week);
    Announce { data_bytes: Some(3 * 4_096), ..announce }
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
        started: WallClock(1_767_225_540_000),
        geometry: geometry(),
        name: ObjectName::new("ubuntu-24.04 (März).raw").expect("plain"),
        image_id: image_id.map(str::to_owned),
        format,
        pin,
        reply_to: address(reply_to),
        spread: Duration::from_millis(250),
        audience: Audience::Everyone,
        agreement: agreement(&SENDER_AGREEMENT),
        one_way: false,
        base: None,
        data_bytes: None,
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
    Poll {
        round: 7,
        blocks_sent: 5,
        manifest_sent: 6,
        window,
        slots: 201,
        part: Part { number: 3, of: 8 },
        root,
    }
}

/// Returns the only page of an audience of three hosts.
fn audience() -> AudiencePage {
    let names = NAMED.map(|name| HostName::new(name).expect("plain"));
    AudiencePage::pages(SESSION, &names, CONTROL_SMALL).pop().expect("one page")
}

fn proofs() -> Proofs {
    let hash = |byte: u8| SymbolHash::of(&vec![byte; usize::from(geometry().symbol_size())]);
    Proofs {
        block: BlockIndex(4),
        first: Esi::new(0x01_0203).expect("24 bits"),
        hashes: PROVEN.map(hash).to_vec(),
    }
}

fn hello() -> Hello {
    Hello {
        agreement: agreement(&HOST_AGREEMENT),
        name: host(),
        software: SOFTWARE.into(),
        busy: None,
        can_relay: true,
        mtu: Some(1_500),
        via: Some(address("192.0.2.7:7167")),
        kept: vec![kept(0, 3), kept(5, 1)],
    }
}

fn busy_hello() -> Hello {
    let busy = Some("debian-13 (März).raw".to_owned());
    Hello { busy, can_relay: false, mtu: None, via: None, kept: Vec::new(), ..hello() }
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
        suspects: vec![BlockIndex(1), BlockIndex(4)],
        echo: Echo([0xe0, 0xe1, 0xe2, 0xe3]),
        buffers: 0x0203,
        free: 0x0102,
        via: Some(address("[2001:db8::7]:65535")),
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
        suspects: Vec::new(),
        via: None,
        ..report()
    }
}

fn done(outcome: Outcome) -> Done {
    let existing = matches!(outcome, Outcome::Existing(_));
    let command = match existing {
        true => CommandOutcome::None,
        false => CommandOutcome::Failed("exit status 1: no space".into()),
    };
    Done { root: ROOT, existing, totals: TOTALS, receipt: receipt(outcome), command }
}

fn failed() -> Failed {
    let reason = "/srv/images has 4096 bytes free, and the object needs 5243880".to_owned();
    let kind = FailureKind::NoSpace;
    Failed { kind, reason, totals: TOTALS, receipt: receipt(Outcome::Failed(kind)) }
}

fn receipt(outcome: Outcome) -> Receipt {
    Receipt::sign(host_key(), scope(), host(), WallClock(1_767_225_660_000), outcome)
}

fn notice() -> Notice {
    Notice { version: VERSION, tag: SESSION.tag(), name: host(), software: SOFTWARE.into() }
}

fn ask(reply_to: &str, query: Query) -> Ask {
    Ask {
        id: SESSION,
        time: WallClock(1_767_225_600_000),
        round: 3,
        reply_to: address(reply_to),
        spread: Duration::from_millis(250),
        answer_bytes_max: 1_232,
        audience: Audience::Everyone,
        agreement: agreement(&SENDER_AGREEMENT),
        query,
    }
}

fn sought() -> Sought {
    let name = ObjectName::new("ubuntu-24.04 (März).raw").expect("plain");
    Sought::new(Some(name), Some(IMAGE_ID.into())).expect("a UUID")
}

fn answer(page: Page) -> Value {
    Value::Answer(Answer { edition: 2, pages: 3, page })
}

fn about(state: AnswerState) -> Page {
    let held = HELD.map(|(name, root)| (ObjectName::new(name).expect("plain"), Root([root; 32])));
    Page::About(About {
        key: host_public(),
        agreement: agreement(&HOST_AGREEMENT),
        name: host(),
        software: SOFTWARE.into(),
        store: "directory:/srv/images".into(),
        free_bytes: Some(0x0102_0304_0506_0708),
        held: HELD.len() as u32,
        pinned: 2,
        digest: HeldDigest::of(held.iter().map(|(name, root)| (name, *root))),
        state,
    })
}

fn held(name: &str, kept: Kept, finding: Finding) -> Held {
    Held {
        name: ObjectName::new(name).expect("plain"),
        image_id: None,
        bytes: 5_243_880,
        root: ROOT,
        proven: WallClock(1_767_225_000_000),
        kept,
        finding,
    }
}

/// Returns the findings of a host that was to remove objects, to set them aside, or to pin them.
fn objects_kept() -> Page {
    let objects = vec![
        held("in use", Kept::ByRule, Finding::InUse("5f1e3c9a-2c1f-4c0f-9d52-3f7d8f1f6a11".into())),
        held("pinned", Kept::Forever, Finding::Pinned),
        held("set aside", Kept::ByRule, Finding::SetAside(Root([0xCD; 32]))),
        held("pin set", Kept::Until(WallClock(1_767_830_400_000)), Finding::PinSet(Kept::Forever)),
    ];
    Page::Objects { number: 1, objects }
}

fn objects() -> Page {
    let of_glance = |held| Held { image_id: Some(IMAGE_ID.into()), ..held };
    let until = Kept::Until(WallClock(1_767_830_400_000));
    let objects = vec![
        held("listed", Kept::ByRule, Finding::Listed),
        of_glance(held("pending", Kept::Forever, Finding::Pending)),
        of_glance(held("intact", until, Finding::Intact)),
        of_glance(held("differs", Kept::ByRule, Finding::Differs(Root([0xCD; 32])))),
        held("failed", Kept::ByRule, Finding::Failed("read /srv/images/failed: input/output error".into())),
        of_glance(held("let go", Kept::ByRule, Finding::LetGo(until))),
        held("removed", Kept::ByRule, Finding::Removed),
    ];
    Page::Objects { number: 2, objects }
}

fn counters() -> Page {
    let counters = vec![Counter { id: 1, value: 0x0102_0304_0506_0708 }, Counter { id: 255, value: 0 }];
    Page::Counters { number: 1, counters }
}

/// Returns the lease of a relay that copies to two hosts.
fn route() -> Route {
    Route {
        session: SESSION,
        time: WallClock(1_767_225_600_000),
        generation: 9,
        expires: Duration::from_millis(2_500),
        parent: address("192.0.2.7:7167"),
        group: None,
        children: vec![address("192.0.2.20:7167"), address("[2001:db8::20]:7167")],
    }
}

/// Returns the lease of a relay that serves the group of its own segment.
fn route_to_a_segment() -> Route {
    Route { group: Some(address("239.255.71.67:7167")), children: Vec::new(), ..route() }
}

fn agreement(seed: &[u8; 32]) -> AgreementPublic {
    AgreementKey::from_seed(&(*seed).into()).public()
}

fn host() -> HostName {
    HostName::new("compute-1.example").expect("plain")
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The hosts that the page of the audience names.
pub(crate) const NAMED: [&str; 3] = ["compute-1.example", "compute-2.example", "gpu_7"];
/// The symbols whose hashes the proofs have, each of this byte alone.
pub(crate) const PROVEN: [u8; 3] = [1, 2, 3];
/// What the host holds: names, and the byte that the root has 32 times.
pub(crate) const HELD: [(&str, u8); 3] = [("b", 2), ("a", 3), ("c", 1)];

const PROBE: Probe = Probe { train: 0x0102, index: 0, count: 2, ttl: 64 };
const ROUTE_ACK: RouteAck = RouteAck {
    generation: 9,
    came: 0x0102_0304,
    forwarded: 0x0506_0708,
    dropped_queue: 0x090A,
    dropped_rate: 0x0B0C,
    parent_gaps: u64::MAX,
    load: 1_000,
};
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
    symbols_late: 0x1213,
    symbols_forged: 0x1415,
    blocks_reused: 0x1011,
};
