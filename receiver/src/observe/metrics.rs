//! A snapshot in the text format of Prometheus (version 0.0.4). Names have base units; counters end in `_total`; no label
//! has an image or a host, of which there may be any number. docs/monitoring.md lists them.

use glancecast_platform::exposition::{Kind, Page};
use glancecast_proto::relay::Refused;
use glancecast_proto::wire::Discard;

use super::snapshot::{PastPush, RelayState, Snapshot, StoreFacts};

/// The content type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the metrics of this host.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut page = Page::default();
    program(&mut page, snapshot);
    network(&mut page, snapshot);
    datagrams(&mut page, snapshot);
    pushes(&mut page, snapshot);
    if let Some(facts) = &snapshot.store.facts {
        store(&mut page, facts);
    }
    relay(&mut page, &snapshot.relay);
    page.into_text()
}

fn program(page: &mut Page, snapshot: &Snapshot) {
    page.family("glancecast_build_info", "Version of the program and of its protocol.", Kind::Gauge);
    let protocol = snapshot.protocol.to_string();
    page.sample(&[("version", snapshot.version), ("protocol", &protocol)], 1);
    page.one(
        "glancecast_receiver_start_time_seconds",
        "When the program was started, in seconds since 1970.",
        Kind::Gauge,
        seconds(snapshot.started_ms),
    );
    if let Some(reload) = &snapshot.reload {
        page.one(
            "glancecast_receiver_config_last_reload_successful",
            "Whether the last reload took the settings.",
            Kind::Gauge,
            u8::from(reload.refused.is_none()),
        );
        page.one(
            "glancecast_receiver_config_last_reload_timestamp_seconds",
            "When the last reload was, in seconds since 1970.",
            Kind::Gauge,
            seconds(reload.at_ms),
        );
    }
}

fn network(page: &mut Page, snapshot: &Snapshot) {
    page.one(
        "glancecast_receiver_listening",
        "Whether the group is joined on an interface that carries something.",
        Kind::Gauge,
        u8::from(snapshot.network.listening),
    );
    if let Some(heard) = snapshot.network.heard_ms {
        page.one(
            "glancecast_receiver_group_last_heard_timestamp_seconds",
            "When something of the group came last, in seconds since 1970.",
            Kind::Gauge,
            seconds(heard),
        );
    }
}

fn datagrams(page: &mut Page, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    page.family(
        "glancecast_receiver_datagrams_total",
        "Datagrams that were read: taken in, or dropped for this reason.",
        Kind::Counter,
    );
    let dropped: u64 = counters.discarded.values().chain(counters.discarded_queries.values()).sum();
    page.sample(&[("result", "accepted")], counters.datagrams.saturating_sub(dropped));
    page.by_reason("result", Discard::ALL.map(Discard::name), &counters.discarded);
    page.family(
        "glancecast_receiver_queries_discarded_total",
        "Datagrams of queries that were dropped, by reason.",
        Kind::Counter,
    );
    page.by_reason("reason", Discard::ALL.map(Discard::name), &counters.discarded_queries);
    for (name, help, value) in [
        ("glancecast_receiver_bytes_total", "Bytes of the datagrams that were read.", counters.bytes),
        (
            "glancecast_receiver_socket_drops_total",
            "Datagrams that the kernel dropped as the program was behind.",
            counters.socket_drops,
        ),
        (
            "glancecast_receiver_datagrams_lost_total",
            "Datagrams of finished pushes that did not come.",
            counters.taken.lost,
        ),
        (
            "glancecast_receiver_symbols_repaired_total",
            "Symbols of finished pushes that were computed as they had not come.",
            counters.taken.repaired,
        ),
        (
            "glancecast_receiver_store_drops_total",
            "Symbols of finished pushes that came while the store was behind.",
            counters.taken.store_drops,
        ),
        (
            "glancecast_receiver_symbols_forged_total",
            "Symbols of finished pushes that were not the sender's.",
            counters.taken.forged,
        ),
        (
            "glancecast_receiver_blocks_reused_total",
            "Blocks of finished pushes that were copied from what was here.",
            counters.taken.reused,
        ),
    ] {
        page.one(name, help, Kind::Counter, value);
    }
    page.family(
        "glancecast_receiver_blocks_total",
        "Blocks that were rebuilt: proven and written, or not what their hash says.",
        Kind::Counter,
    );
    page.sample(&[("result", "proven")], counters.blocks_proven);
    page.sample(&[("result", "corrupt")], counters.blocks_corrupt);
    page.family(
        "glancecast_receiver_stage_seconds_total",
        "Time that a stage of the data path took, summed over all threads.",
        Kind::Counter,
    );
    for stage in &counters.stages {
        page.sample(&[("stage", stage.stage)], stage.seconds);
    }
    page.family(
        "glancecast_receiver_stage_bytes_total",
        "Bytes that went through a stage of the data path.",
        Kind::Counter,
    );
    for stage in &counters.stages {
        page.sample(&[("stage", stage.stage)], stage.bytes);
    }
}

fn pushes(page: &mut Page, snapshot: &Snapshot) {
    page.family(
        "glancecast_receiver_pushes_total",
        "Pushes that are over on this host, by result.",
        Kind::Counter,
    );
    page.by_reason("result", RESULTS, &snapshot.counters.pushes);
    page.one(
        "glancecast_receiver_session_active",
        "Whether the host takes part in a push.",
        Kind::Gauge,
        u8::from(snapshot.push.is_some()),
    );
    let (blocks, held) = snapshot.push.as_ref().map_or((0, 0), |push| (push.blocks, push.blocks_held));
    page.one(
        "glancecast_receiver_session_blocks",
        "Blocks of the image of this push; 0 without one.",
        Kind::Gauge,
        blocks,
    );
    page.one(
        "glancecast_receiver_session_blocks_held",
        "Blocks of this push that are proven and written.",
        Kind::Gauge,
        held,
    );
    if let Some(last) = snapshot.last.first() {
        last_push(page, last);
    }
}

fn last_push(page: &mut Page, last: &PastPush) {
    let holds = matches!(last.result, "published" | "existing");
    page.one(
        "glancecast_receiver_last_push_success",
        "Whether the host held a proven copy after the last push.",
        Kind::Gauge,
        u8::from(holds),
    );
    for (name, help, value) in [
        (
            "glancecast_receiver_last_push_timestamp_seconds",
            "When the last push was over on this host, in seconds since 1970.",
            seconds(last.at_ms),
        ),
        (
            "glancecast_receiver_last_push_duration_seconds",
            "Time from joining the last push until it was over on this host.",
            last.seconds,
        ),
        (
            "glancecast_receiver_last_push_image_bytes",
            "Length of the image of the last push.",
            last.bytes as f64,
        ),
        (
            "glancecast_receiver_last_push_received_bytes",
            "Bytes of the datagrams that were taken in for the last push.",
            last.taken.received_bytes as f64,
        ),
    ] {
        page.one(name, help, Kind::Gauge, value);
    }
}

fn store(page: &mut Page, facts: &StoreFacts) {
    if let Some(free) = facts.free_bytes {
        page.one(
            "glancecast_receiver_store_free_bytes",
            "Bytes that are free on the file system of the store.",
            Kind::Gauge,
            free,
        );
    }
    for (name, help, value) in [
        ("glancecast_receiver_images", "Published images in the store.", facts.images),
        ("glancecast_receiver_images_pinned", "Published images that are pinned.", facts.pinned),
        ("glancecast_receiver_store_bytes", "Length of all published images.", facts.bytes),
    ] {
        page.one(name, help, Kind::Gauge, value);
    }
}

fn relay(page: &mut Page, relay: &RelayState) {
    page.one(
        "glancecast_receiver_relay_active",
        "Whether the host forwards a push to others.",
        Kind::Gauge,
        u8::from(relay.active),
    );
    page.one(
        "glancecast_receiver_relay_forwarded_total",
        "Datagrams that were forwarded, each counted once.",
        Kind::Counter,
        relay.forwarded,
    );
    page.one(
        "glancecast_receiver_relay_copies_total",
        "Copies of datagrams that were forwarded.",
        Kind::Counter,
        relay.copies,
    );
    page.family(
        "glancecast_receiver_relay_dropped_total",
        "Datagrams that were not forwarded: no room in the queue, or above the rate of the relay.",
        Kind::Counter,
    );
    page.sample(&[("why", "queue")], relay.dropped_queue);
    page.sample(&[("why", "rate")], relay.dropped_rate);
    page.family(
        "glancecast_receiver_relay_refused_total",
        "Datagrams and leases that the relay refused, by reason.",
        Kind::Counter,
    );
    page.by_reason("why", Refused::ALL.map(Refused::name), &relay.refused);
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// How a push can end on a host.
const RESULTS: [&str; 12] = [
    "published",
    "existing",
    "exists",
    "no_space",
    "store",
    "root",
    "stopping",
    "refused",
    "corrupt",
    "unknown_sender",
    "sender_ended",
    "sender_silent",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use glancecast_proto::wire::FailureKind;

    use super::*;
    use crate::observe::snapshot::{Counters, NetworkState, Push, Reload, StageCount, StoreState, Taken};

    #[test]
    fn every_family_has_its_help_its_type_and_its_samples_once() {
        let text = text(&full());
        let families = families(&text);
        assert!(families.len() > 30, "{text}");
        let mut series = BTreeSet::new();
        for Family { name, kind, samples } in &families {
            assert!(!samples.is_empty(), "{name}");
            assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
            for (labels, value) in samples {
                assert!(series.insert((*name, *labels)), "{name}{labels} comes twice");
                assert!(value.is_finite() && *value >= 0.0, "{name}{labels} {value}");
            }
        }
        for name in [
            "session_active",
            "images",
            "store_bytes",
            "socket_drops_total",
            "blocks_total",
            "datagrams_total",
        ] {
            let name = format!("glancecast_receiver_{name}");
            assert!(families.iter().any(|family| family.name == name), "{name}");
        }
    }

    #[test]
    fn what_did_not_happen_is_zero_and_what_is_not_known_is_not_there() {
        let text = text(&Snapshot::default());
        assert!(text.contains("glancecast_receiver_datagrams_total{result=\"wrong_key\"} 0\n"), "{text}");
        assert!(text.contains("glancecast_receiver_pushes_total{result=\"no_space\"} 0\n"), "{text}");
        assert!(!text.contains("last_heard") && !text.contains("last_push") && !text.contains("store_free"));
    }

    #[test]
    fn accepted_and_dropped_datagrams_add_up_to_those_that_came() {
        let text = text(&full());
        let family = families(&text);
        let datagrams = family.iter().find(|family| family.name == "glancecast_receiver_datagrams_total");
        let sum: f64 = datagrams.expect("there").samples.iter().map(|(_, value)| value).sum();
        assert_eq!(sum + 3.0, 1_000.0, "three were of queries");
    }

    #[test]
    fn each_kind_of_failure_is_a_result() {
        assert!(FailureKind::ALL.iter().all(|kind| RESULTS.contains(&kind.name())));
    }

    struct Family<'a> {
        name: &'a str,
        kind: &'a str,
        samples: Vec<(&'a str, f64)>,
    }

    /// Parses the text as strictly as it is written: HELP, TYPE, samples.
    fn families(text: &str) -> Vec<Family<'_>> {
        let mut families: Vec<Family<'_>> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("a help");
                assert!(words.ends_with('.') && words.len() > 10, "{help}");
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type");
                let (typed, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(typed, name);
                families.push(Family { name, kind, samples: Vec::new() });
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let family = families.last_mut().expect("a family");
            let labels = series.strip_prefix(family.name).expect("of its family");
            assert!(labels.is_empty() || labels.starts_with('{') && labels.ends_with('}'), "{line}");
            family.samples.push((labels, value.parse().expect("a number")));
        }
        families
    }

    fn full() -> Snapshot {
        let last = PastPush {
            session: "08".into(),
            name: "debian".into(),
            bytes: 64 << 20,
            result: "published",
            reason: None,
            at_ms: 1_700_000_000_123,
            seconds: 3.02,
            blocks: 64,
            blocks_held: 64,
            taken: Taken::default(),
        };
        Snapshot {
            version: "0.1.0",
            protocol: 2,
            started_ms: 1_600_000_000_000,
            reload: Some(Reload { at_ms: 1, refused: None }),
            network: NetworkState { heard_ms: Some(2), listening: true, ..NetworkState::default() },
            push: Some(Push {
                session: "07".into(),
                name: "x".into(),
                bytes: 1,
                sender: "s".into(),
                phase: "receiving",
                blocks: 4,
                blocks_held: 1,
                seconds: 1.0,
                taken: Taken::default(),
            }),
            last: vec![last],
            counters: Counters {
                datagrams: 1_000,
                discarded: [("wrong_key", 40), ("no_buffer", 7)].into(),
                discarded_queries: [("stale", 3)].into(),
                stages: vec![StageCount { stage: "write", seconds: 0.5, bytes: 100 }],
                ..Counters::default()
            },
            store: StoreState {
                store: "directory:/x".into(),
                facts: Some(StoreFacts { free_bytes: Some(9), ..StoreFacts::default() }),
            },
            ..Snapshot::default()
        }
    }
}
