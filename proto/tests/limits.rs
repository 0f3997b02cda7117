//! Every field is read up to its limit and not beyond it. The values at the limits are valid, so that no sender or host
//! that keeps to the formats is ever refused.

mod vectors;

use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::limits::{
    AUDIENCE_MAX, BUSY_WITH_MAX, CONTROL_MAX, COUNTERS_MAX, DATAGRAM_MAX, FEEDBACK_CYCLE_MAX, HELD_MAX,
    LEASE_MAX,
};
use glancecast_proto::wire::{
    Announce, Ask, Audience, AudiencePage, BaseName, DeficitRun, Discard, Done, Down, Encoding, Failed,
    GapRun, Hello, KeptRun, Listed, ManifestEntry, ManifestRun, Part, Poll, Probe, Proofs, Report, Route,
    SymbolHash, Up, names_in, proofs_in,
};
use vectors::{Signed, Value, values};

#[test]
fn a_poll_is_of_a_push_that_is_no_further_than_its_object_ends() {
    let poll = |change: fn(&mut Poll)| {
        let Value::Down(Down::Poll(mut poll), _) = values()["poll-vouched"].clone() else { panic!("a poll") };
        change(&mut poll);
        is_read(&Value::Down(Down::Poll(poll), Signed::No))
    };
    assert!(poll(|poll| (poll.blocks_sent, poll.manifest_sent) = (6, 6)));
    assert!(!poll(|poll| poll.blocks_sent = 7));
    assert!(!poll(|poll| poll.manifest_sent = 7));
    assert!(poll(|poll| (poll.slots, poll.part) = (1, Part::ALL)));
    assert!(!poll(|poll| (poll.slots, poll.part) = (0, Part::ALL)));
    assert!(poll(|poll| (poll.slots, poll.part) = (3, Part { number: 2, of: 3 })));
    assert!(!poll(|poll| (poll.slots, poll.part) = (3, Part { number: 3, of: 3 })));
    assert!(!poll(|poll| (poll.slots, poll.part) = (2, Part { number: 2, of: 3 })));
    assert!(poll(|poll| (poll.window, poll.part) = (FEEDBACK_CYCLE_MAX, Part::ALL)));
    assert!(!poll(|poll| (poll.window, poll.part) = (LONGER, Part::ALL)));
    assert!(!poll(|poll| (poll.window, poll.part) = (FEEDBACK_CYCLE_MAX, Part { number: 0, of: 2 })));
}

/// A cycle that no host accepts.
const LONGER: Duration = FEEDBACK_CYCLE_MAX.saturating_add(Duration::from_micros(1));

#[test]
fn a_report_is_about_blocks_and_buffers_that_there_are() {
    let report = |change: fn(&mut Report)| {
        let Value::Up(Up::Report(mut report)) = values()["report-nothing-lacks"].clone() else {
            panic!("a report")
        };
        change(&mut report);
        is_read(&Value::Up(Up::Report(report)))
    };
    assert!(report(|report| (report.blocks_held, report.covered) = (6, 6)));
    assert!(!report(|report| report.blocks_held = 7));
    assert!(!report(|report| report.covered = 7));
    assert!(report(|report| (report.buffers, report.free) = (4, 4)));
    assert!(report(|report| (report.buffers, report.free) = (4, 0)));
    assert!(!report(|report| (report.buffers, report.free) = (4, 5)));
    assert!(report(|report| report.suspects = vec![BlockIndex(0), BlockIndex(5)]));
    assert!(!report(|report| report.suspects = vec![BlockIndex(6)]));
    assert!(!report(|report| report.suspects = vec![BlockIndex(5), BlockIndex(5)]));
    assert!(!report(|report| report.suspects = vec![BlockIndex(5), BlockIndex(0)]));
}

#[test]
fn a_run_has_a_block_and_ends_where_the_object_does() {
    let report = |change: fn(&mut Report)| {
        let Value::Up(Up::Report(mut report)) = values()["report-nothing-lacks"].clone() else {
            panic!("a report")
        };
        change(&mut report);
        is_read(&Value::Up(Up::Report(report)))
    };
    let deficit = |first, blocks, symbols| DeficitRun { first: BlockIndex(first), blocks, symbols };
    let possible = [deficit(0, 6, 1), deficit(5, 1, u16::MAX)];
    let impossible = [deficit(0, 0, 1), deficit(0, 1, 0), deficit(5, 2, 1), deficit(6, 1, 1)];
    for run in possible {
        assert!(is_read(&Value::Up(Up::Report(lacking(run, 6)))), "{run:?}");
    }
    for run in impossible {
        assert!(!is_read(&Value::Up(Up::Report(lacking(run, 6)))), "{run:?}");
    }
    assert!(!is_read(&Value::Up(Up::Report(lacking(possible[1], 5)))), "it is not about block 5");
    assert!(report(|report| report.gaps = vec![GapRun { first: BlockIndex(0), blocks: 6 }]));
    assert!(!report(|report| report.gaps = vec![GapRun { first: BlockIndex(0), blocks: 7 }]));
    assert!(!report(|report| report.gaps = vec![GapRun { first: BlockIndex(0), blocks: 0 }]));
    assert!(report(|report| report.kept = vec![KeptRun { first: BlockIndex(5), blocks: 1 }]));
    assert!(!report(|report| report.kept = vec![KeptRun { first: BlockIndex(5), blocks: 2 }]));
    assert!(!report(|report| report.kept = vec![KeptRun { first: BlockIndex(5), blocks: u32::MAX }]));
    assert!(!report(|report| report.kept = vec![KeptRun { first: BlockIndex(u32::MAX), blocks: 1 }]));
}

#[test]
fn a_lease_lasts_some_time_and_not_long() {
    let Value::Route(route, _) = values()["route"].clone() else { panic!("a route") };
    let lease = |expires| is_read(&Value::Route(Route { expires, ..route.clone() }, Signed::No));
    let millisecond = Duration::from_millis(1);
    assert!(lease(millisecond) && lease(LEASE_MAX));
    assert!(!lease(Duration::ZERO) && !lease(LEASE_MAX + millisecond));
}

#[test]
fn a_report_lacks_something_if_any_of_its_lists_has_an_entry() {
    let (Value::Up(Up::Report(lacking)), Value::Up(Up::Report(complete))) =
        (values()["report"].clone(), values()["report-nothing-lacks"].clone())
    else {
        panic!("reports")
    };
    assert!(!complete.is_lacking());
    assert!(Report { deficits: lacking.deficits, ..complete.clone() }.is_lacking());
    assert!(Report { gaps: lacking.gaps, ..complete.clone() }.is_lacking());
    assert!(Report { suspects: lacking.suspects, ..complete.clone() }.is_lacking());
    assert!(!Report { kept: lacking.kept, ..complete }.is_lacking(), "what it kept it has");
}

#[test]
fn a_frame_is_shorter_than_its_block_and_not_empty() {
    let entry = |block, encoded_len| {
        let entry = ManifestEntry { encoding: Encoding::Zstd { encoded_len }, hash: BlockHash([1; 32]) };
        let run = ManifestRun {
            first: BlockIndex(block),
            blocks: vec![Listed::Data(entry)],
            fingerprints: Vec::new(),
        };
        is_read(&Value::Down(Down::Manifest(run), Signed::No))
    };
    for (block, len) in [(0, 1 << 20), (5, 1_000)] {
        assert!(entry(block, 1) && entry(block, len - 1));
        assert!(!entry(block, 0) && !entry(block, len) && !entry(block, len + 1));
    }
}

#[test]
fn proofs_are_of_a_block_and_of_symbols_that_there_are() {
    let proofs = |block, first, count| {
        let first = Esi::new(first).expect("24 bits");
        let proofs = Proofs { block: BlockIndex(block), first, hashes: vec![SymbolHash([7; 8]); count] };
        is_read(&Value::Down(Down::Proofs(proofs), Signed::No))
    };
    assert!(proofs(5, 0, 1) && !proofs(6, 0, 1));
    assert!(proofs(0, 0, proofs_in(CONTROL_MAX)));
    assert!(proofs(0, Esi::MAX, 1) && !proofs(0, Esi::MAX, 2));
    assert!(proofs(0, Esi::MAX - 2, 3) && !proofs(0, Esi::MAX - 2, 4));
    // The number of hashes is behind the block and the ESI.
    assert_eq!(with("proofs", 7, &[0, 0]), Err(Discard::Malformed), "no hash");
}

#[test]
fn an_announcement_is_answered_at_an_address_that_a_datagram_can_be_sent_to() {
    for (address, possible) in [
        ("192.0.2.7:1", true),
        ("192.0.2.7:65535", true),
        ("192.0.2.7:0", false),
        ("0.0.0.0:7167", false),
        ("0.0.0.0:0", false),
        ("[::]:7167", false),
        ("[2001:db8::7]:0", false),
        ("239.1.2.3:7167", false),
        ("[ff05::1]:7167", false),
    ] {
        let reply_to = address.parse().expect("an address");
        assert_eq!(is_read(&Value::Announce(Announce { reply_to, ..announce() }, Signed::No)), possible);
        let Value::Ask(ask, _) = values()["ask-hosts"].clone() else { panic!("a query") };
        assert_eq!(is_read(&Value::Ask(Ask { reply_to, ..ask }, Signed::No)), possible, "{address}");
    }
}

#[test]
fn an_announcement_has_no_more_data_than_its_object() {
    let bytes = announce().geometry.object_bytes();
    let data = |data_bytes| is_read(&Value::Announce(Announce { data_bytes, ..announce() }, Signed::No));
    assert!(data(None) && data(Some(0)) && data(Some(4_096)) && data(Some(bytes)));
    // In pages, at the end: one more than the object has, the last of which is not full.
    let pages = (bytes.div_ceil(4_096) as u32).to_be_bytes();
    let more = (bytes.div_ceil(4_096) as u32 + 1).to_be_bytes();
    let end = body("announce-ipv4").len() - 1 - 4; // before the byte that says that it is not signed
    assert!(with("announce-ipv4", end, &pages).is_ok());
    assert_eq!(with("announce-ipv4", end, &more), Err(Discard::Malformed));
}

#[test]
fn a_base_is_for_hosts_that_can_ask() {
    let base = Some(BaseName::new("older.raw").expect("plain"));
    for (one_way, base, possible) in
        [(false, base.clone(), true), (true, None, true), (false, None, true), (true, base, false)]
    {
        let announce = Announce { one_way, base, ..announce() };
        assert_eq!(is_read(&Value::Announce(announce, Signed::No)), possible);
    }
}

#[test]
fn an_audience_has_a_name_and_no_more_than_a_group_has_hosts() {
    for (names, possible) in [(0, false), (1, true), (AUDIENCE_MAX, true), (AUDIENCE_MAX + 1, false)] {
        let audience = Audience::Named { names };
        assert_eq!(is_read(&Value::Announce(Announce { audience, ..announce() }, Signed::No)), possible);
    }
}

#[test]
fn a_page_of_an_audience_is_full_of_names_and_not_longer() {
    let names: Vec<HostName> =
        (0..1_000).map(|number| HostName::new(&format!("compute-{number}")).expect("plain")).collect();
    for page in AudiencePage::pages(vectors::SESSION, &names, CONTROL_MAX) {
        assert!(is_read(&Value::Down(Down::Audience(page), Signed::No)));
    }
    let more = (names_in(CONTROL_MAX) + 1) as u16;
    let ascending: Vec<u8> = (0..u64::from(more)).flat_map(u64::to_be_bytes).collect();
    let page = [&[0; 8][..], &[0xFF; 8], &more.to_be_bytes(), &ascending].concat();
    assert_eq!(replaced("audience", 0, &page), Err(Discard::Malformed), "one more fits an unsigned datagram");
}

#[test]
fn a_receipt_shows_the_signature_that_it_came_with() {
    // After it comes the outcome of the host's own command, in a report of success.
    for (name, after) in [("done", 25), ("done-existing", 1), ("failed", 0)] {
        let (Value::Up(Up::Done(Done { receipt, .. })) | Value::Up(Up::Failed(Failed { receipt, .. }))) =
            &values()[name]
        else {
            panic!("a final report")
        };
        let (body, signature) = (body(name), receipt.signature());
        assert_eq!(body.len() - after - signature.len(), position(&body, signature), "{name}");
    }
}

#[test]
fn an_image_has_an_id_or_none() {
    let at = position(&body("announce-ipv4"), IMAGE_ID.as_bytes());
    assert!(with("announce-ipv4", at, IMAGE_ID.as_bytes()).is_ok());
    for bad in ["0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a1g", "0b7c2b9e_6a0f-4c0f-9d52-3f7d8f1f6a11"] {
        assert_eq!(with("announce-ipv4", at, bad.as_bytes()), Err(Discard::Malformed), "{bad}");
    }
}

#[test]
fn an_answer_has_a_page_at_least_and_no_more_than_one_for_each_object() {
    let answer = |edition: u32, number: u16, pages: u16| {
        let front = [&edition.to_be_bytes()[..], &number.to_be_bytes(), &pages.to_be_bytes()].concat();
        with(if number == 0 { "answer-about" } else { "answer-objects" }, 0, &front).is_ok()
    };
    let most = HELD_MAX as u16 + 1;
    assert!(answer(1, 0, 1) && answer(u32::MAX, 0, 1));
    assert!(!answer(0, 0, 1), "editions begin at 1");
    assert!(answer(1, 0, most) && !answer(1, 0, most + 1));
    assert!(answer(1, 1, 2) && !answer(1, 1, 1) && !answer(1, 0, 0));
    assert!(answer(1, most - 1, most) && !answer(1, most, most) && !answer(1, most, most + 1));
}

#[test]
fn a_further_page_of_an_answer_is_not_empty_and_its_counters_are_limited() {
    let counters = |count: usize| {
        let list = [&[2, count as u8][..], &vec![1; 9 * count]].concat();
        replaced("answer-counters", 8, &list).is_ok()
    };
    assert!(counters(1) && counters(COUNTERS_MAX));
    assert!(!counters(0) && !counters(COUNTERS_MAX + 1));
    assert_eq!(replaced("answer-objects", 8, &[1, 0]), Err(Discard::Malformed), "no object");
}

#[test]
fn a_hello_has_no_flag_that_is_not_known() {
    let Value::Hello(hello) = values()["hello"].clone() else { panic!("a hello") };
    let busy_with = |len: usize| Some("x".repeat(len));
    for (busy, can_relay) in
        [(None, false), (None, true), (busy_with(0), false), (busy_with(BUSY_WITH_MAX), true)]
    {
        assert!(is_read(&Value::Hello(Hello { busy, can_relay, ..hello.clone() })));
    }
    let at = position(&body("hello"), hello.software.as_bytes()) + hello.software.len();
    for flags in 0..=u8::MAX {
        assert_eq!(with("hello", at, &[flags]).is_ok(), flags & !2 == 0, "{flags:#b}: no text follows");
        assert_eq!(with("hello-busy", at, &[flags]).is_ok(), flags & !2 == 1, "{flags:#b}: a text follows");
    }
}

#[test]
fn a_datagram_is_as_long_as_a_link_of_its_kind_takes() {
    let Value::Probe(probe, _) = values()["probe"] else { panic!("a probe") };
    let longest = Value::Probe(probe, DATAGRAM_MAX).seal();
    assert_eq!(Value::open(&longest), Ok(Value::Probe(probe, DATAGRAM_MAX)));
    assert_eq!(Value::open(&[&longest[..], &[0]].concat()), Err(Discard::TooLong));
    let shortest = Value::Probe(probe, Probe::BYTES_MIN).seal();
    assert_eq!(Value::open(&shortest[..Probe::BYTES_MIN - 1]), Err(Discard::TooShort));
    for (index, count, possible) in [(0, 1, true), (1, 2, true), (1, 1, false), (2, 1, false), (0, 0, false)]
    {
        let value = Value::Probe(Probe { index, count, ..probe }, 100);
        assert_eq!(is_read(&value), possible, "{index} of {count}");
    }

    // A control datagram of the longest length reaches the check of its content.
    let room = CONTROL_MAX - 10 - 16;
    assert_eq!(replaced("end-over", 0, &vec![0xFF; room]), Err(Discard::Malformed));
    assert_eq!(replaced("end-over", 0, &vec![0xFF; room + 1]), Err(Discard::TooLong));
}

#[test]
fn a_text_ends_within_its_datagram() {
    let name = ObjectName::new("x").expect("plain");
    let announce = Announce { name, ..announce() };
    assert!(is_read(&Value::Announce(announce, Signed::No)));
    // The last field of a hello's text, cut short in the middle.
    let hello = body("hello");
    let at = position(&hello, b"glancecastd").saturating_sub(1);
    let cut = replaced("hello", at, &[32, b'x']);
    assert_eq!(cut, Err(Discard::Malformed), "a length beyond the end");
}

/// Returns the report of a host that lacks this of the first `covered` blocks.
fn lacking(run: DeficitRun, covered: u32) -> Report {
    let Value::Up(Up::Report(report)) = values()["report-nothing-lacks"].clone() else { panic!("a report") };
    Report { covered, deficits: vec![run], ..report }
}

fn announce() -> Announce {
    let Value::Announce(announce, _) = values()["announce-ipv4"].clone() else { panic!("an announcement") };
    announce
}

/// The id in `announce-ipv4`.
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";

/// Whether a value is read as it was written; otherwise it is malformed.
fn is_read(value: &Value) -> bool {
    match Value::open_as(&value.seal(), Signed::No) {
        Ok(read) => {
            assert_eq!(read, *value);
            true
        }
        Err(reason) => {
            assert_eq!(reason, Discard::Malformed);
            false
        }
    }
}

/// Returns the body of a golden datagram, without its signature.
fn body(name: &str) -> Vec<u8> {
    let value = &values()[name];
    let derivation = value.derivation();
    let mut plain = derivation.plain(&value.seal());
    if derivation.signer.is_some() {
        plain.truncate(plain.len() - 64);
    }
    plain
}

/// Opens a golden datagram whose body has these bytes at this place, signed and sealed again.
fn with(name: &str, at: usize, bytes: &[u8]) -> Result<Value, Discard> {
    let mut body = body(name);
    body[at..at + bytes.len()].copy_from_slice(bytes);
    replaced(name, 0, &body)
}

/// Opens a golden datagram whose body ends with these bytes from this place on.
fn replaced(name: &str, at: usize, bytes: &[u8]) -> Result<Value, Discard> {
    let (value, mut body) = (&values()[name], body(name));
    let (derivation, datagram) = (value.derivation(), value.seal());
    body.truncate(at);
    body.extend_from_slice(bytes);
    Value::open_as(&derivation.sign_and_seal(&datagram[..derivation.clear], body), Signed::No)
}

fn position(body: &[u8], part: &[u8]) -> usize {
    body.windows(part.len()).position(|bytes| bytes == part).expect("it is there")
}
