//! The bounds of every value that a parser returns, whatever sealed the datagram.

use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::limits::{
    CONTROL_MAX, CONTROL_SMALL, FINDING_MAX, HELD_MAX, MANIFEST_BLOCKS_MAX, REASON_MAX, SOFTWARE_MAX,
    STORE_TEXT_MAX,
};
use glancecast_proto::wire::{
    Answer, AnswerState, Down, Encoding, End, Finding, Kind, Listed, ManifestEntry, ManifestRun, Page, Poll,
    Report, Up,
};

use crate::vectors::{self, Value};

/// # Panics
/// If a value is outside of its documented bounds.
pub(crate) fn assert_bounds(value: &Value) {
    match value {
        Value::Symbol(header, symbol) => {
            assert!(header.esi.value() <= Esi::MAX && symbol.len() == 488);
        }
        Value::Announce(announce, _) => {
            assert!(announce.spread <= Duration::from_secs(30));
            assert!(announce.image_id.as_ref().is_none_or(|id| id.len() == 36));
            let ip = announce.reply_to.ip();
            assert!(announce.reply_to.port() != 0 && !ip.is_multicast() && !ip.is_unspecified());
        }
        Value::Down(Down::Manifest(run), _) => assert_manifest(run),
        Value::Down(Down::Poll(poll), _) => assert_poll(poll),
        Value::Down(Down::End(End::Over), _) => {}
        Value::Down(Down::End(End::Aborted(reason)), _) => assert_text(reason, REASON_MAX),
        Value::Down(Down::Ack(ack), _) => {
            assert!(matches!(ack.kind, Kind::Hello | Kind::Done | Kind::Failed), "{ack:?}");
        }
        Value::Up(Up::Hello(hello)) => assert_text(&hello.software, SOFTWARE_MAX),
        Value::Up(Up::Report(report)) => assert_report(report),
        Value::Up(Up::Done(_)) => {}
        Value::Up(Up::Failed(failed)) => assert_text(&failed.reason, REASON_MAX),
        Value::Notice(notice) => assert_text(&notice.software, SOFTWARE_MAX),
        Value::Ask(ask) => {
            assert!(ask.spread <= Duration::from_secs(30));
            assert!((CONTROL_SMALL..=CONTROL_MAX).contains(&usize::from(ask.answer_bytes_max)));
            let ip = ask.reply_to.ip();
            assert!(ask.reply_to.port() != 0 && !ip.is_multicast() && !ip.is_unspecified());
        }
        Value::Heard(_) => {}
        Value::Answer(answer) => assert_answer(answer),
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
    assert!(poll.slots > 0 && poll.window <= Duration::from_secs(10));
}

fn assert_report(report: &Report) {
    let blocks = vectors::geometry().blocks();
    assert!(report.blocks_held <= blocks && report.covered <= blocks);
    let mut end = 0;
    for run in &report.deficits {
        assert!(run.first.0 >= end && run.blocks > 0 && run.symbols > 0, "{report:?}");
        end = run.first.0 + u32::from(run.blocks);
    }
    assert!(end <= report.covered);
    end = 0;
    for run in &report.gaps {
        assert!(run.first.0 >= end && run.blocks > 0, "{report:?}");
        end = run.first.0 + u32::from(run.blocks);
    }
    assert!(end <= blocks);
}

/// Asserts that a text for people cannot move the cursor of their terminal.
fn assert_text(text: &str, bytes_max: usize) {
    assert!(text.len() <= bytes_max && !text.contains(char::is_control), "{text:?}");
}
