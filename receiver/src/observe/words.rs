//! Numbers and states of a snapshot in words, for the service manager's status line and for the table.

use glancecast_platform::clock::utc;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::printable;

use super::snapshot::{PastPush, Push, Snapshot};

/// Returns what `systemctl status` shows of this host. It has no number that changes while nothing happens, so that the
/// manager is not told each second.
pub(super) fn status_line(snapshot: &Snapshot) -> String {
    let network = &snapshot.network;
    let mut line = match (&network.interface, &network.trouble) {
        (Some(interface), None) => format!("listening on {interface} to {}", network.group),
        (_, Some(trouble)) => format!("hears nothing: {trouble}"),
        (None, None) => format!("waits for its interface, to hear {}", network.group),
    };
    if let Some(push) = &snapshot.push {
        line += &format!(", {} {} ({} %)", push.phase, printable(&push.name), tens(push));
    } else if let Some(last) = snapshot.last.first() {
        line += &format!(", last push {}", outcome(last));
    } else {
        line += ", no push so far";
    }
    if snapshot.reload.as_ref().is_some_and(|reload| reload.refused.is_some()) {
        line += "; the last reload was refused: see the log";
    }
    line
}

/// Returns name, result and time of a finished push.
pub(super) fn outcome(push: &PastPush) -> String {
    let time = utc(WallClock(push.at_ms));
    format!("{} {} {time}", printable(&push.name), push.result)
}

/// Returns the share of a push that is here, in percent.
pub(super) fn percent(push: &Push) -> u64 {
    u64::from(push.blocks_held) * 100 / u64::from(push.blocks.max(1))
}

/// Returns the same in steps of ten.
fn tens(push: &Push) -> u64 {
    percent(push) / 10 * 10
}

/// Returns a number of bytes with a binary unit.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.2} {}", UNITS[unit]) }
}

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Returns a number of seconds as people say it: `4.2 s`, `5 min`, `3 h`, `2 d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3_600.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::{NetworkState, Reload, Taken};

    #[test]
    fn the_status_line_says_where_it_listens_and_what_it_received_last() {
        let mut snapshot = Snapshot {
            network: NetworkState { group: "239.255.71.67:7167".into(), ..NetworkState::default() },
            ..Snapshot::default()
        };
        let says = |snapshot: &Snapshot| status_line(snapshot);
        assert_eq!(says(&snapshot), "waits for its interface, to hear 239.255.71.67:7167, no push so far");
        snapshot.network.interface = Some("eth1 (10.0.0.7)".into());
        assert_eq!(says(&snapshot), "listening on eth1 (10.0.0.7) to 239.255.71.67:7167, no push so far");
        snapshot.last = vec![past()];
        assert!(says(&snapshot).ends_with(", last push debian published 2023-11-14T22:13:20Z"));
        snapshot.push = Some(push());
        assert!(says(&snapshot).ends_with(", receiving ub?ntu (40 %)"));
        snapshot.network.trouble = Some("eth1 is down".into());
        snapshot.reload = Some(Reload { at_ms: 0, refused: Some("line 3".into()) });
        assert_eq!(
            says(&snapshot),
            "hears nothing: eth1 is down, receiving ub?ntu (40 %); the last reload was refused: see the log"
        );
    }

    #[test]
    fn bytes_and_times_have_the_unit_that_fits() {
        let shown = [0, 1023, 1024, 64 << 20, 3 << 40].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.00 KiB", "64.00 MiB", "3.00 TiB"]);
        let shown = [0.25, 59.0, 61.0, 7_300.0, 4.0 * 86_400.0].map(span);
        assert_eq!(shown, ["0.2 s", "59.0 s", "1 min", "2 h", "4 d"]);
    }

    pub(crate) fn push() -> Push {
        Push {
            session: "07".into(),
            name: "ub\u{1b}ntu".into(),
            bytes: 64 << 20,
            sender: "10.0.0.1:40421".into(),
            phase: "receiving",
            blocks: 64,
            blocks_held: 31,
            seconds: 2.0,
            taken: Taken::default(),
        }
    }

    pub(crate) fn past() -> PastPush {
        PastPush {
            session: "08".into(),
            name: "debian".into(),
            bytes: 64 << 20,
            result: "published",
            reason: None,
            at_ms: 1_700_000_000_000,
            seconds: 3.02,
            blocks: 64,
            blocks_held: 64,
            taken: Taken { received_bytes: 70_000_000, lost: 462, repaired: 460, ..Taken::default() },
        }
    }
}
