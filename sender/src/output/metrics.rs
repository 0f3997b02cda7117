//! The last push of this machine as metrics, for node_exporter's textfile collector (`--metrics-file`). The names are
//! those of the controller's; no label has an image or a host, of which there may be any number. docs/monitoring.md
//! lists them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::exposition::{Kind, Page, replace_file};
use glancecast_proto::sender::{HostState, Verdict};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::VERSION;

use super::seconds;
use crate::request::PushResult;

/// Writes the metrics of a push that has ended. If that fails, the log says so, and the push is what it is.
pub(crate) fn write(path: &Path, result: &PushResult) {
    put(path, text(result));
}

/// Writes that a push ended before it began, at this time and with this exit code: it came to nothing, or nothing was
/// to be sent.
pub(crate) fn write_ending(path: &Path, at: WallClock, exit_code: u8) {
    let mut page = Page::default();
    ending(&mut page, exit_code, at, Duration::ZERO);
    put(path, page.into_text());
}

fn put(path: &Path, text: String) {
    if let Err(error) = replace_file(path, text.as_bytes()) {
        tracing::warn!("--metrics-file {}: {error}: what it has is of an earlier push", path.display());
    }
}

fn text(result: &PushResult) -> String {
    let mut page = Page::default();
    let (config, outcome) = (&result.plan.config, &result.outcome);
    ending(&mut page, result.exit_code(), config.started, outcome.time);
    hosts(&mut page, result);
    sent(&mut page, result);
    let root_is_known = u8::from(outcome.root.is_some() && !matches!(outcome.verdict, Verdict::Aborted(_)));
    page.one(
        "glancecast_push_image_proven",
        "Whether the image of the last push was read to its end and was what it should be.",
        Kind::Gauge,
        root_is_known,
    );
    page.one(
        "glancecast_push_image_bytes",
        "Length of the image of the last push.",
        Kind::Gauge,
        config.geometry.object_bytes(),
    );
    page.into_text()
}

/// What every push has, however early it ended.
fn ending(page: &mut Page, exit_code: u8, started: WallClock, took: Duration) {
    page.family(
        "glancecast_push_info",
        "Version of the program of the last push, and of its protocol.",
        Kind::Gauge,
    );
    page.sample(&[("version", env!("CARGO_PKG_VERSION")), ("protocol", &VERSION.to_string())], 1);
    page.one(
        "glancecast_push_success",
        "Whether every expected host held a proven copy at the end of the last push.",
        Kind::Gauge,
        u8::from(exit_code == cli::EXIT_OK),
    );
    page.one("glancecast_push_exit_code", "Exit code of the last push.", Kind::Gauge, exit_code);
    page.one(
        "glancecast_push_started_timestamp_seconds",
        "When the last push was started, in seconds since 1970.",
        Kind::Gauge,
        started.0 as f64 / 1e3,
    );
    page.one("glancecast_push_duration_seconds", "Time that the last push took.", Kind::Gauge, seconds(took));
}

fn hosts(page: &mut Page, result: &PushResult) {
    let mut states: BTreeMap<&'static str, u64> = BTreeMap::new();
    for row in &result.outcome.rows {
        *states.entry(row.state.name()).or_default() += 1;
    }
    page.family("glancecast_push_hosts", "Hosts of the last push, by what became of them.", Kind::Gauge);
    page.by_reason("state", STATES.map(HostState::name), &states);
    let standing = result.standing();
    if let Some(expected) = standing.expected {
        page.one(
            "glancecast_push_expected_hosts",
            "Hosts that should hold the image of the last push.",
            Kind::Gauge,
            expected,
        );
    }
    page.one(
        "glancecast_push_holding_hosts",
        "Hosts that held a proven copy at the end of the last push, of those that should.",
        Kind::Gauge,
        standing.holding,
    );
}

/// What was sent, without the headers of UDP and of what is below it.
fn sent(page: &mut Page, result: &PushResult) {
    let counts = &result.outcome.counts;
    let (image, repair) = (counts.source.bytes, counts.repair.bytes);
    let control = counts.total().bytes.saturating_sub(image + repair);
    page.family(
        "glancecast_push_bytes",
        "Bytes of datagrams that the last push sent, by what they are for.",
        Kind::Gauge,
    );
    for (kind, bytes) in [("image", image), ("repair", repair), ("control", control)] {
        page.sample(&[("kind", kind)], bytes);
    }
    let time = result.outcome.time.as_secs_f64();
    if time > 0.0 {
        page.one(
            "glancecast_push_rate_bytes_per_second",
            "Average rate at which the last push sent, waiting included.",
            Kind::Gauge,
            (counts.total().bytes as f64 / time).round(),
        );
    }
}

const STATES: [HostState; 10] = [
    HostState::Done,
    HostState::Existing,
    HostState::Failed,
    HostState::Receiving,
    HostState::Busy,
    HostState::Silent,
    HostState::NeverAnswered,
    HostState::OtherVersion,
    HostState::KeyChanged,
    HostState::UnknownKey,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::screens::story::Story;

    #[test]
    fn the_metrics_of_a_push_count_its_hosts_by_state_and_name_none() {
        let result = Story::of(100).result();
        let text = text(&result);
        let value = |series: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{series}: {text}")).parse::<f64>().expect("a number")
        };
        let states: f64 = STATES
            .iter()
            .map(|state| value(&format!("glancecast_push_hosts{{state=\"{}\"}}", state.name())))
            .sum();
        assert_eq!(states as usize, result.outcome.rows.len());
        assert_eq!(value("glancecast_push_success"), f64::from(u8::from(result.exit_code() == 0)));
        assert!(!text.contains(result.outcome.rows[0].name.as_str()), "{text}");
    }

    #[test]
    fn a_push_that_did_not_begin_is_no_success() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("push.prom");
        write_ending(&path, WallClock(1_700_000_000_500), cli::EXIT_USAGE);
        let text = std::fs::read_to_string(&path).expect("written");
        for line in [
            "glancecast_push_success 0",
            "glancecast_push_exit_code 2",
            "glancecast_push_started_timestamp_seconds 1700000000.5",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}: {text}");
        }
    }
}
