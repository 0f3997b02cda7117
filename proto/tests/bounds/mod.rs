//! The bounds of every value that a parser returns, whatever sealed the datagram.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::limits::{
    AUDIENCE_MAX, CONTROL_MAX, CONTROL_SMALL, COUNTERS_MAX, DATAGRAM_MAX, FINDING_MAX, HELD_MAX,
    HELD_RUNS_MAX, LEASE_MAX, MANIFEST_BLOCKS_MAX, REASON_MAX, REPORT_GAPS_MAX, ROUTE_CHILDREN_MAX,
    SOFTWARE_MAX, STORE_TEXT_MAX, SUSPECTS_MAX,
};
use glancecast_proto::wire::{
    Answer, AnswerState, Audience, Down, Encoding, End, Finding, Hello, KeptRun, Kind, Listed, ManifestEntry,
    ManifestRun, Page, Poll, Probe, Proofs, Report, Route, Up, proofs_in, report_runs_in,
};

use crate::vectors::{self, Value};

/// # Panics
/// If a value is outside of its documented bounds.
pub(crate) fn assert_bounds(value: &Value) {
    match value {
        Value::Symbol(header, symbol) => {
            let size = usize::from(vectors::geometry().symbol_size());
            assert!(header.esi.value() <= Esi::MAX && symbol.len() == size);
        }
        Value::Announce(announce, _) => {
            assert!(announce.started <= announce.time);
            assert!(announce.spread <= Duration::from_secs(120));
            assert!(announce.image_id.as_ref().is_none_or(|id| id.len() == 36));
            assert!(!announce.one_way || announce.base.is_none());
            assert_audience(announce.audience);
            assert_address(announce.reply_to);
        }
        Value::Down(down, _) => assert_down(down),
        Value::Ack(ack) => {
            assert!(matches!(ack.kind, Kind::Hello | Kind::Done | Kind::Failed), "{ack:?}");
        }
        Value::Route(route, _) => assert_route(route),
        Value::Ask(ask, _) => {
            assert!(ask.spread <= Duration::from_secs(30));
            assert!((CONTROL_SMALL..=CONTROL_MAX).contains(&usize::from(ask.answer_bytes_max)));
            assert_audience(ask.audience);
            assert_address(ask.reply_to);
        }
        Value::Heard(..) | Value::NewKey(..) | Value::RouteAck(_) => {}
        Value::Probe(probe, len) => {
            assert!(probe.index < probe.count && (Probe::BYTES_MIN..=DATAGRAM_MAX).contains(len));
        }
        Value::Hello(hello) => assert_hello(hello),
        Value::Up(Up::Report(report)) => assert_report(report),
        Value::Up(Up::Done(_)) => {}
        Value::Up(Up::Failed(failed)) => assert_text(&failed.reason, REASON_MAX),
        Value::Notice(notice) => assert_text(&notice.software, SOFTWARE_MAX),
        Value::Answer(answer) => assert_answer(answer),
    }
}

fn assert_down(down: &Down) {
    match down {
        Down::Manifest(run) => assert_manifest(run),
        Down::Poll(poll) => assert_poll(poll),
        Down::End(End::Over) => {}
        Down::End(End::Aborted(reason)) => assert_text(reason, REASON_MAX),
        // Its fields are private: `says` is total, and the bytes are those of the one way to write it.
        Down::Audience(_) => {}
        Down::Proofs(proofs) => assert_proofs(proofs),
    }
}

fn assert_answer(answer: &Answer) {
    assert!(
        answer.edition > 0
            && answer.page_number() < answer.pages
            && usize::from(answer.pages) <= HELD_MAX + 1
    );
    match &answer.page {
        Page::About(about) => {
            assert_text(&about.software, SOFTWARE_MAX);
            assert_text(&about.store, STORE_TEXT_MAX);
            if let AnswerState::Failed(reason) = &about.state {
                assert_text(reason, FINDING_MAX);
            }
        }
        Page::Objects { number, objects } => {
            assert!(*number > 0 && !objects.is_empty());
            for held in objects {
                if let Finding::Failed(reason) = &held.finding {
                    assert_text(reason, FINDING_MAX);
                }
            }
        }
        Page::Counters { number, counters } => {
            assert!(*number > 0 && (1..=COUNTERS_MAX).contains(&counters.len()));
        }
    }
}

fn assert_manifest(run: &ManifestRun) {
    let geometry = vectors::geometry();
    assert!((1..=MANIFEST_BLOCKS_MAX).contains(&run.blocks.len()));
    let has_fingerprints = !run.fingerprints.is_empty();
    for (block, listed, fingerprint) in run.iter() {
        assert!(geometry.contains(block));
        assert_eq!(fingerprint.is_some(), has_fingerprints && listed != Listed::Zero);
        match listed {
            Listed::Data(ManifestEntry { encoding: Encoding::Zstd { encoded_len }, .. }) => {
                assert!((1..geometry.block_len(block)).contains(&encoded_len));
            }
            Listed::Data(entry) => assert_eq!(entry.encoding, Encoding::Stored),
            Listed::Zero => {}
        }
    }
}

fn assert_poll(poll: &Poll) {
    let blocks = vectors::geometry().blocks();
    assert!(poll.blocks_sent <= blocks && poll.manifest_sent <= blocks);
    assert!(poll.slots > 0 && poll.window <= Duration::from_secs(120));
}

fn assert_proofs(proofs: &Proofs) {
    assert!(vectors::geometry().contains(proofs.block));
    assert!((1..=proofs_in(CONTROL_MAX)).contains(&proofs.hashes.len()));
    assert!(proofs.first.value() as usize + proofs.hashes.len() - 1 <= Esi::MAX as usize);
}

fn assert_route(route: &Route) {
    assert!(!route.expires.is_zero() && route.expires <= LEASE_MAX);
    assert!(route.children.len() <= ROUTE_CHILDREN_MAX);
    assert_address(route.parent);
    route.children.iter().for_each(|&child| assert_address(child));
    assert!(route.group.is_none_or(|group| group.ip().is_multicast() && group.port() != 0));
}

fn assert_hello(hello: &Hello) {
    assert_text(&hello.software, SOFTWARE_MAX);
    assert!(hello.mtu != Some(0));
    hello.via.into_iter().for_each(assert_address);
    assert!(hello.kept.len() <= HELD_RUNS_MAX);
    assert_kept(&hello.kept);
}

fn assert_report(report: &Report) {
    let blocks = vectors::geometry().blocks();
    assert!(report.blocks_held <= blocks && report.covered <= blocks);
    report.via.into_iter().for_each(assert_address);
    assert!(report.suspects.len() <= SUSPECTS_MAX && report.suspects.is_sorted_by(|a, b| a < b));
    assert!(report.suspects.iter().all(|&block| vectors::geometry().contains(block)));
    // Their number also fits when every other list is full: how they share the room is up to who writes it.
    assert!(report.deficits.len() <= report_runs_in(CONTROL_MAX));
    let mut end = 0;
    for run in &report.deficits {
        assert!(run.first.0 >= end && run.blocks > 0 && run.symbols > 0, "{report:?}");
        end = run.first.0 + u32::from(run.blocks);
    }
    assert!(end <= report.covered && report.gaps.len() <= REPORT_GAPS_MAX);
    end = 0;
    for run in &report.gaps {
        assert!(run.first.0 >= end && run.blocks > 0, "{report:?}");
        end = run.first.0 + u32::from(run.blocks);
    }
    assert!(end <= blocks);
    assert_kept(&report.kept);
}

fn assert_kept(kept: &[KeptRun]) {
    let mut end = 0;
    for run in kept {
        assert!(run.first.0 >= end && run.blocks > 0, "{kept:?}");
        end = run.end();
    }
    assert!(end <= vectors::geometry().blocks());
}

fn assert_audience(audience: Audience) {
    if let Audience::Named { names } = audience {
        assert!((1..=AUDIENCE_MAX).contains(&names));
    }
}

/// Asserts that an address is one that a host can have.
fn assert_address(address: SocketAddr) {
    let ip = address.ip();
    assert!(address.port() != 0 && !ip.is_multicast() && !ip.is_unspecified(), "{address}");
}

/// Asserts that a text for people cannot move the cursor of their terminal.
fn assert_text(text: &str, bytes_max: usize) {
    assert!(text.len() <= bytes_max && !text.contains(char::is_control), "{text:?}");
}
