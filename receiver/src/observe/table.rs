//! The status for people: a few lines, then the last pushes as a table.

use std::fmt::Write;

use glancecast_platform::clock::utc;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::printable;

use super::snapshot::{PastPush, Snapshot};
use super::words::{bytes, percent, span};

/// Returns the status as text.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let mut line = |what: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{what:<10}{}", printable(&value));
    };
    let age = (snapshot.at_ms.saturating_sub(snapshot.started_ms)) as f64 / 1e3;
    line("host", format!("{}, up for {}", snapshot.name, span(age)));
    line("program", format!("glancecastd {}, protocol {}", snapshot.version, snapshot.protocol));
    line("network", network(snapshot));
    line("unicast", snapshot.network.unicast.clone());
    line("keys", format!("group {}, host {}", snapshot.keys.join(" and "), snapshot.host_key));
    line("senders", senders(snapshot));
    line("store", store(snapshot));
    line("relay", relay(snapshot));
    if let Some(refused) = snapshot.reload.as_ref().and_then(|reload| reload.refused.as_ref()) {
        line("reload", format!("refused, the settings stay as they were: {refused}"));
    }
    line("dropped", dropped(snapshot));
    line("push", push(snapshot));
    out + &last(&snapshot.last)
}

fn network(snapshot: &Snapshot) -> String {
    let network = &snapshot.network;
    let heard = network.heard_ms.map_or_else(
        || "nothing heard so far".to_owned(),
        |at| format!("heard {} ago", span(snapshot.at_ms.saturating_sub(at) as f64 / 1e3)),
    );
    match (&network.trouble, &network.interface) {
        (Some(trouble), _) => format!("hears nothing: {trouble}"),
        (None, Some(interface)) => format!("listening on {interface} to {}, {heard}", network.group),
        (None, None) => format!("waits for its interface, to hear {}", network.group),
    }
}

fn senders(snapshot: &Snapshot) -> String {
    match snapshot.senders {
        Some(1) => "1 is listed".to_owned(),
        Some(count) => format!("{count} are listed"),
        None => "any".to_owned(),
    }
}

fn store(snapshot: &Snapshot) -> String {
    let store = &snapshot.store.store;
    let Some(facts) = &snapshot.store.facts else { return format!("{store}, not looked at yet") };
    let free = facts.free_bytes.map_or_else(|| "unknown".to_owned(), bytes);
    let (images, pinned) = (facts.images, facts.pinned);
    format!("{store}, {images} images ({}), {pinned} pinned, {free} free", bytes(facts.bytes))
}

fn relay(snapshot: &Snapshot) -> String {
    let relay = &snapshot.relay;
    match (relay.allowed, relay.active) {
        (false, _) => "off".to_owned(),
        (true, false) => format!("on, idle, {} datagrams forwarded", relay.forwarded),
        (true, true) => format!(
            "forwards a push: {} datagrams, {} dropped",
            relay.forwarded,
            relay.dropped_queue + relay.dropped_rate
        ),
    }
}

fn dropped(snapshot: &Snapshot) -> String {
    let counters = &snapshot.counters;
    let reasons = counters.discarded.iter().map(|(reason, count)| format!("{reason}={count}"));
    let reasons: Vec<String> = reasons.collect();
    let reasons = if reasons.is_empty() { "none".to_owned() } else { reasons.join(" ") };
    format!("since the start: socket={} {reasons}", counters.socket_drops)
}

fn push(snapshot: &Snapshot) -> String {
    let Some(push) = &snapshot.push else { return "none at the moment".to_owned() };
    format!(
        "{} {}: {} of {} blocks ({} %) after {}, {} received, {} lost, from {}",
        push.phase,
        push.name,
        push.blocks_held,
        push.blocks,
        percent(push),
        span(push.seconds),
        bytes(push.taken.received_bytes),
        push.taken.lost,
        push.sender,
    )
}

fn last(pushes: &[PastPush]) -> String {
    if pushes.is_empty() {
        return String::new();
    }
    let head = ["LAST PUSHES", "RESULT", "AT", "TIME", "BYTES", "RECEIVED", "LOST", "REUSED", "DROPS"]
        .map(String::from);
    let rows = pushes.iter().map(|push| {
        let drops = push.taken.socket_drops + push.taken.store_drops;
        [
            printable(&push.name),
            push.result.to_owned(),
            utc(WallClock(push.at_ms)),
            span(push.seconds),
            bytes(push.bytes),
            bytes(push.taken.received_bytes),
            push.taken.lost.to_string(),
            push.taken.reused.to_string(),
            drops.to_string(),
        ]
    });
    let rows: Vec<[String; 9]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut out = String::from("\n");
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for push in pushes {
        if let Some(reason) = &push.reason {
            let _ = writeln!(out, "{}: {}", printable(&push.name), printable(reason));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::{NetworkState, StoreFacts, StoreState, Taken};

    #[test]
    fn a_node_that_has_received_something_shows_it_in_a_screen() {
        let past = |name: &str, result, reason: Option<&str>| PastPush {
            session: "08".into(),
            name: name.into(),
            bytes: 64 << 20,
            result,
            reason: reason.map(str::to_owned),
            at_ms: 1_700_000_000_000,
            seconds: 3.02,
            blocks: 64,
            blocks_held: 64,
            taken: Taken { received_bytes: 70 << 20, lost: 462, ..Taken::default() },
        };
        let snapshot = Snapshot {
            name: "compute-1".into(),
            version: "0.1.0",
            protocol: 2,
            keys: vec!["9f3c".into()],
            host_key: "ed25519:11".into(),
            senders: Some(1),
            at_ms: 1_700_000_060_000,
            started_ms: 1_699_999_000_000,
            network: NetworkState {
                group: "239.255.71.67:7167".into(),
                listening: true,
                interface: Some("eth1 (10.0.0.7)".into()),
                trouble: None,
                unicast: "10.0.0.7:7167".into(),
                heard_ms: Some(1_700_000_050_000),
            },
            last: vec![past("debian", "published", None), past("x\u{1b}", "no_space", Some("full"))],
            store: StoreState {
                store: "directory:/images".into(),
                facts: Some(StoreFacts {
                    images: 2,
                    bytes: 1 << 30,
                    pinned: 1,
                    free_bytes: Some(1 << 40),
                    at_ms: 0,
                }),
            },
            ..Snapshot::default()
        };
        let expected = "\
host      compute-1, up for 18 min
program   glancecastd 0.1.0, protocol 2
network   listening on eth1 (10.0.0.7) to 239.255.71.67:7167, heard 10.0 s ago
unicast   10.0.0.7:7167
keys      group 9f3c, host ed25519:11
senders   1 is listed
store     directory:/images, 2 images (1.00 GiB), 1 pinned, 1.00 TiB free
relay     off
dropped   since the start: socket=0 none
push      none at the moment

LAST PUSHES  RESULT     AT                    TIME   BYTES      RECEIVED   LOST  REUSED  DROPS
debian       published  2023-11-14T22:13:20Z  3.0 s  64.00 MiB  70.00 MiB  462   0       0
x?           no_space   2023-11-14T22:13:20Z  3.0 s  64.00 MiB  70.00 MiB  462   0       0
x?: full
";
        assert_eq!(text(&snapshot), expected);
    }
}
