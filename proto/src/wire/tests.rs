//! The room of each kind is the length of its longest datagram, as sealing makes it.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;
use zeroize::Zeroizing;

use super::*;
use crate::agree::AgreementPublic;
use crate::echo::Echo;
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::limits::{
    BASE_NAME_MAX, BUSY_WITH_MAX, CONTROL_MAX, CONTROL_SMALL, COUNTERS_MAX, DATAGRAM_MAX, FINDING_MAX,
    HELD_RUNS_MAX, HOST_NAME_MAX, LEASE_MAX, MANIFEST_BLOCKS_MAX, OBJECT_NAME_MAX, REASON_MAX,
    REPORT_GAPS_MAX, ROUTE_CHILDREN_MAX, SOFTWARE_MAX, STORE_TEXT_MAX, SUSPECTS_MAX,
};
use crate::seal::{Cipher, GroupKey};
use crate::sign::{Signer, SigningKey};
use crate::time::WallClock;

#[test]
fn the_longest_datagram_of_a_host_fills_the_room_of_its_kind() {
    let hello = Hello {
        agreement: AGREEMENT,
        name: host(),
        software: long(2 * SOFTWARE_MAX),
        busy: Some(long(2 * BUSY_WITH_MAX)),
        can_relay: true,
        mtu: Some(9_000),
        via: Some(address()),
        kept: kept(HELD_RUNS_MAX),
    };
    assert_eq!(sealed(|out| hello.seal(&cipher(), signer(&key()), RECEIVER, sequence(), out)), hello::ROOM);

    let report = Report {
        gaps: vec![GapRun { first: BlockIndex(0), blocks: 1 }; REPORT_GAPS_MAX],
        kept: kept(report_runs_in(CONTROL_MAX)),
        suspects: (0..SUSPECTS_MAX as u32).map(BlockIndex).collect(),
        via: Some(address()),
        ..report()
    };
    let done = Done {
        root: Root([1; 32]),
        existing: true,
        totals: Totals::default(),
        receipt: receipt(),
        command: CommandOutcome::Failed(long(2 * FINDING_MAX)),
    };
    let failed = Failed {
        kind: FailureKind::Store,
        reason: long(2 * REASON_MAX),
        totals: Totals::default(),
        receipt: receipt(),
    };
    assert_eq!(up(Up::Report(report)), report::ROOM);
    assert_eq!(up(Up::Done(done)), done::ROOM);
    assert_eq!(up(Up::Failed(failed)), failed::ROOM);

    assert_eq!(page(Page::About(about())), answer::ROOM);
    let ack = |out: &mut _| RouteAck::default().seal(&cipher(), signer(&key()), RECEIVER, sequence(), out);
    assert_eq!(sealed(ack), route_ack::ROOM);
    let software = long(2 * SOFTWARE_MAX);
    let notice = |out: &mut _| Notice::seal(&host(), &software, SESSION.tag(), [1; 16], &group(), out);
    assert_eq!(sealed(notice), notice::ROOM);
}

#[test]
fn the_longest_datagram_of_a_sender_fills_the_room_of_its_kind() {
    let poll = Poll {
        round: 1,
        blocks_sent: 0,
        manifest_sent: 0,
        window: Duration::ZERO,
        slots: 1,
        part: Part::ALL,
        root: Some(Root([1; 32])),
    };
    let ack = Ack { receiver: RECEIVER, kind: Kind::Done, slot: 1, echo: Echo::default() };
    assert_eq!(down(Down::Poll(poll)), poll::ROOM);
    assert_eq!(down(Down::End(End::Aborted(long(2 * REASON_MAX)))), end::ROOM);
    assert_eq!(sealed(|out| ack.seal(&cipher(), SESSION.tag(), sequence(), out)), ack::ROOM);

    let key = key();
    let signed = Some(signer(&key));
    assert_eq!(sealed(|out| announce().seal(&cipher(), signed, sequence(), out)), announce::ROOM);
    assert_eq!(sealed(|out| route().seal(&cipher(), signed, sequence(), out)), route::ROOM);
}

#[test]
fn the_longest_datagram_of_a_querier_fills_the_room_of_its_kind() {
    let key = key();
    let heard = Heard { receiver: RECEIVER, edition: 1, page: 0 };
    let new_key = NewKey { receiver: RECEIVER, key: Zeroizing::new([3; 32]) };
    let signed = Some(signer(&key));
    assert_eq!(sealed(|out| ask().seal(&cipher(), signed, sequence(), out)), ask::ROOM);
    assert_eq!(sealed(|out| heard.seal(&cipher(), signed, SESSION.tag(), sequence(), out)), heard::ROOM);
    assert_eq!(sealed(|out| new_key.seal(&cipher(), signer(&key), sequence(), out)), new_key::ROOM);
}

#[test]
fn a_manifest_has_no_room_for_one_more_entry() {
    let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
    let blocks = (1..MANIFEST_BLOCKS_MAX)
        .take_while(|&blocks| manifest_bytes(blocks, blocks, false) <= manifest_room(CONTROL_MAX))
        .count();
    let run = ManifestRun::plain(BlockIndex(0), std::iter::repeat_n(entry, blocks));
    let bytes = manifest_bytes(blocks, blocks, false);
    assert_eq!(down(Down::Manifest(run)), CONTROL_MAX - manifest_room(CONTROL_MAX) + bytes);
}

#[test]
fn a_page_of_an_audience_has_no_room_for_one_more_name() {
    let names: Vec<HostName> =
        (0..2 * names_in(CONTROL_MAX)).map(|at| HostName::new(&format!("n{at}")).expect("plain")).collect();
    for datagram in [CONTROL_SMALL, CONTROL_MAX] {
        let page = AudiencePage::pages(SESSION, &names, datagram).swap_remove(0);
        let room = datagram - NameHash::BYTES + 1..=datagram;
        assert!(room.contains(&down(Down::Audience(page))), "{datagram}");
    }
}

#[test]
fn proofs_have_no_room_for_one_more_symbol() {
    for datagram in [CONTROL_SMALL, CONTROL_MAX] {
        let hashes = vec![SymbolHash([1; SymbolHash::BYTES]); proofs_in(datagram)];
        let proofs = Proofs { block: BlockIndex(0), first: Esi::new(0).expect("small"), hashes };
        let room = datagram - SymbolHash::BYTES + 1..=datagram;
        assert!(room.contains(&down(Down::Proofs(proofs))), "{datagram}");
    }
}

#[test]
fn a_probe_has_the_length_that_it_is_asked_for() {
    let probe = Probe { train: 1, index: 2, count: 3, ttl: 4 };
    for len in [Probe::BYTES_MIN, Probe::BYTES_MIN + 1, CONTROL_MAX + 1, DATAGRAM_MAX] {
        assert_eq!(sealed(|out| probe.seal(&cipher(), SESSION.tag(), sequence(), len, out)), len);
    }
}

#[test]
fn all_counters_fit_a_page_of_any_path() {
    let counters = vec![Counter { id: 1, value: u64::MAX }; COUNTERS_MAX];
    assert!(page(Page::Counters { number: 1, counters }) <= CONTROL_SMALL);
}

#[test]
fn the_longest_object_has_the_length_that_a_page_reckons_with() {
    let longest = Held {
        name: ObjectName::new(&long(OBJECT_NAME_MAX)).expect("plain"),
        image_id: Some(IMAGE_ID.into()),
        bytes: 1,
        root: Root([7; 32]),
        proven: WallClock(1),
        kept: Kept::Forever,
        finding: Finding::Failed(long(3 * FINDING_MAX)),
    };
    assert_eq!(longest.encoded_bytes(), Held::BYTES_MAX);
}

fn announce() -> Announce {
    Announce {
        session: SESSION,
        time: WallClock(1),
        started: WallClock(0),
        geometry: Geometry::new(1, 20, 1432).expect("in range"),
        name: ObjectName::new(&long(OBJECT_NAME_MAX)).expect("plain"),
        image_id: Some(IMAGE_ID.into()),
        format: DiskFormat::Raw,
        pin: Pin::Forever,
        reply_to: address(),
        spread: Duration::ZERO,
        audience: Audience::Named { names: 1 },
        agreement: AGREEMENT,
        one_way: false,
        base: Some(BaseName::new(&long(BASE_NAME_MAX)).expect("plain")),
        data_bytes: Some(1),
    }
}

fn route() -> Route {
    Route {
        session: SESSION,
        time: WallClock(1),
        generation: 1,
        expires: LEASE_MAX,
        parent: address(),
        group: Some("[ff05::1]:7167".parse().expect("a group")),
        children: vec![address(); ROUTE_CHILDREN_MAX],
    }
}

fn ask() -> Ask {
    let name = ObjectName::new(&long(OBJECT_NAME_MAX)).expect("plain");
    let sought = Sought::new(Some(name), Some(IMAGE_ID.into())).expect("an id");
    Ask {
        id: SESSION,
        time: WallClock(1),
        round: 1,
        reply_to: address(),
        spread: Duration::ZERO,
        answer_bytes_max: CONTROL_MAX as u16,
        audience: Audience::Everyone,
        agreement: AGREEMENT,
        query: Query::Pin(sought, PinTime::For(Duration::from_secs(1))),
    }
}

fn about() -> About {
    About {
        key: key().public(),
        agreement: AGREEMENT,
        name: host(),
        software: long(2 * SOFTWARE_MAX),
        store: long(2 * STORE_TEXT_MAX),
        free_bytes: None,
        held: 1,
        pinned: 1,
        digest: HeldDigest([1; HeldDigest::BYTES]),
        state: AnswerState::Failed(long(2 * FINDING_MAX)),
    }
}

/// Returns the report of a host that lacks nothing.
fn report() -> Report {
    Report {
        round: 1,
        highest: sequence(),
        blocks_held: 0,
        covered: 0,
        deficits: Vec::new(),
        gaps: Vec::new(),
        kept: Vec::new(),
        suspects: Vec::new(),
        echo: Echo([0xff; 4]),
        buffers: 4,
        free: 3,
        via: None,
        totals: Totals::default(),
    }
}

fn receipt() -> Receipt {
    let outcome = Outcome::Published(Root([1; 32]));
    Receipt::sign(&key(), group().scope(SESSION), host(), WallClock(1), outcome)
}

fn kept(runs: usize) -> Vec<KeptRun> {
    (0..runs as u32).map(|at| KeptRun { first: BlockIndex(at), blocks: 1 }).collect()
}

fn page(page: Page) -> usize {
    let answer = Answer { edition: 1, pages: 2, page };
    sealed(|out| answer.seal(&cipher(), signer(&key()), RECEIVER, sequence(), out))
}

fn up(message: Up) -> usize {
    sealed(|out| message.seal(&cipher(), SESSION.tag(), RECEIVER, sequence(), out))
}

fn down(message: Down) -> usize {
    sealed(|out| message.seal(&cipher(), Some(signer(&key())), SESSION, sequence(), out))
}

fn sealed(seal: impl FnOnce(&mut Vec<u8>)) -> usize {
    let mut out = Vec::new();
    seal(&mut out);
    out.len()
}

/// Returns a cipher; which one makes no difference to a length.
fn cipher() -> Cipher {
    Cipher::downward(&group(), SESSION)
}

fn group() -> GroupKey {
    GroupKey::new([1; 32])
}

fn signer(key: &SigningKey) -> Signer<'_> {
    key.within(group().scope(SESSION))
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32].into())
}

fn sequence() -> Sequence {
    Sequence::new(1).expect("small")
}

fn host() -> HostName {
    HostName::new(&long(HOST_NAME_MAX)).expect("plain")
}

fn address() -> SocketAddr {
    "[2001:db8::1]:7167".parse().expect("an address")
}

fn long(len: usize) -> String {
    "x".repeat(len)
}

const SESSION: SessionId = SessionId([5; 16]);
const RECEIVER: ReceiverId = ReceiverId([6; 8]);
const AGREEMENT: AgreementPublic = AgreementPublic([9; AgreementPublic::BYTES]);
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
