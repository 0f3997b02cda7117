//! The room of each kind is the length of its longest datagram, as sealing makes it.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::limits::{
    BASE_NAME_MAX, CONTROL_MAX, FINDING_MAX, HELD_RUNS_MAX, HOST_NAME_MAX, MANIFEST_BLOCKS_MAX,
    OBJECT_NAME_MAX, REASON_MAX, REPORT_GAPS_MAX, SOFTWARE_MAX, STORE_TEXT_MAX,
};
use crate::seal::{Cipher, GroupKey};
use crate::sign::SigningKey;
use crate::time::WallClock;

#[test]
fn the_longest_datagram_of_each_kind_fills_its_room() {
    let run = |at| KeptRun { first: BlockIndex(at), blocks: 1 };
    let hello = Hello {
        name: host(),
        software: long(2 * SOFTWARE_MAX),
        busy: true,
        kept: (0..HELD_RUNS_MAX as u32).map(run).collect(),
    };
    let report = Report {
        round: 1,
        highest: sequence(),
        blocks_held: 0,
        covered: 0,
        deficits: Vec::new(),
        gaps: vec![GapRun { first: BlockIndex(0), blocks: 1 }; REPORT_GAPS_MAX],
        kept: (0..report_runs_in(CONTROL_MAX) as u32).map(run).collect(),
        totals: Totals::default(),
    };
    let done = Done { root: Root([1; 32]), existing: true, totals: Totals::default() };
    let failed = Failed { kind: FailureKind::Store, reason: long(2 * REASON_MAX), totals: Totals::default() };
    assert_eq!(up(Up::Hello(hello)), hello::ROOM);
    assert_eq!(up(Up::Report(report)), report::ROOM);
    assert_eq!(up(Up::Done(done)), done::ROOM);
    assert_eq!(up(Up::Failed(failed)), failed::ROOM);

    let poll = Poll {
        round: 1,
        blocks_sent: 0,
        manifest_sent: 0,
        window: Duration::ZERO,
        slots: 1,
        root: Some(Root([1; 32])),
    };
    let ack = Ack { receiver: RECEIVER, kind: Kind::Done, slot: 1 };
    assert_eq!(down(Down::Poll(poll)), poll::ROOM);
    assert_eq!(down(Down::End(End::Aborted(long(2 * REASON_MAX)))), end::ROOM);
    assert_eq!(down(Down::Ack(ack)), ack::ROOM);

    assert_eq!(sealed(|out| announce().seal(&downward(), Some(&key()), sequence(), out)), announce::ROOM);
    assert_eq!(sealed(|out| ask().seal(&downward(), sequence(), out)), ask::ROOM);
    let heard = Heard { receiver: RECEIVER, edition: 1, page: 0 };
    assert_eq!(sealed(|out| heard.seal(&downward(), SESSION.tag(), sequence(), out)), heard::ROOM);
    let about = |out: &mut _| answer().seal(&downward(), SESSION.tag(), RECEIVER, sequence(), out);
    assert_eq!(sealed(about), answer::ROOM);
    let software = long(2 * SOFTWARE_MAX);
    let notice = |out: &mut _| Notice::seal(&host(), &software, SESSION.tag(), [1; 16], &group(), out);
    assert_eq!(sealed(notice), notice::ROOM);
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
        geometry: Geometry::new(1, 20, 1432).expect("in range"),
        name: ObjectName::new(&long(OBJECT_NAME_MAX)).expect("plain"),
        image_id: Some(IMAGE_ID.into()),
        format: DiskFormat::Raw,
        pin: Pin::Forever,
        reply_to: reply_to(),
        spread: Duration::ZERO,
        expected_hosts: 1,
        one_way: false,
        base: Some(BaseName::new(&long(BASE_NAME_MAX)).expect("plain")),
    }
}

fn ask() -> Ask {
    let name = ObjectName::new(&long(OBJECT_NAME_MAX)).expect("plain");
    let sought = Sought::new(Some(name), Some(IMAGE_ID.into())).expect("an id");
    Ask {
        id: SESSION,
        time: WallClock(1),
        round: 1,
        reply_to: reply_to(),
        spread: Duration::ZERO,
        answer_bytes_max: CONTROL_MAX as u16,
        query: Query::Verify(sought),
    }
}

fn answer() -> Answer {
    let about = About {
        name: host(),
        software: long(2 * SOFTWARE_MAX),
        store: long(2 * STORE_TEXT_MAX),
        free_bytes: None,
        held: 1,
        pinned: 1,
        state: AnswerState::Failed(long(2 * FINDING_MAX)),
    };
    Answer { edition: 1, pages: 1, page: Page::About(about) }
}

fn up(message: Up) -> usize {
    sealed(|out| message.seal(&downward(), SESSION.tag(), RECEIVER, sequence(), out))
}

fn down(message: Down) -> usize {
    sealed(|out| message.seal(&downward(), Some(&key()), SESSION, sequence(), out))
}

fn sealed(seal: impl FnOnce(&mut Vec<u8>)) -> usize {
    let mut out = Vec::new();
    seal(&mut out);
    out.len()
}

fn downward() -> Cipher {
    Cipher::downward(&group(), SESSION)
}

fn group() -> GroupKey {
    GroupKey::new([1; 32])
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

fn reply_to() -> SocketAddr {
    "[2001:db8::1]:7167".parse().expect("an address")
}

fn long(len: usize) -> String {
    "x".repeat(len)
}

const SESSION: SessionId = SessionId([5; 16]);
const RECEIVER: ReceiverId = ReceiverId([6; 8]);
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
