//! Logs the machine's events: one line when a push is joined, one when it is over on this host.

use std::time::Duration;

use glancecast_platform::clock::{utc, wall};
use glancecast_proto::ids::SessionId;
use glancecast_proto::receiver::{GaveUp, Intake, ReceiverEvent};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::FailureKind;
use tracing::Level;

/// What the log adds to an event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context {
    /// Number of blocks since the start that did not match their hash.
    pub(crate) corrupt: u64,
    /// How long unfinished images are kept; zero for not at all.
    pub(crate) kept_for: Duration,
}

/// Logs an event.
pub(crate) fn log(event: &ReceiverEvent, context: Context) {
    match event {
        ReceiverEvent::Joined(announce) => tracing::info!(
            session = %announce.session, name = announce.name.as_str(), bytes = announce.geometry.object_bytes(),
            sender = %announce.reply_to, "receiving"
        ),
        ReceiverEvent::Corrupt(session, block) if context.corrupt <= CORRUPT_LOGGED_MAX => {
            tracing::warn!(%session, %block, "a block does not match its hash; what is wrong of it is asked for again");
        }
        ReceiverEvent::Corrupt(..) => {}
        ReceiverEvent::Forged { session, block, forged, unproven, first_forged, strangers } => {
            if context.corrupt <= CORRUPT_LOGGED_MAX {
                tracing::warn!(
                    %session, %block, forged, unproven, first = listed(first_forged.iter().map(|esi| esi.value())),
                    others = listed(strangers.iter().map(|(from, symbols)| format!("{from} ({symbols})"))),
                    "symbols are not the sender's and are dropped: somebody with the group key forges them, or memory \
                     is failing; others are addresses besides the sender's from which symbols of this push came"
                );
            }
        }
        ReceiverEvent::Published { session, root, existing, intake } => {
            let totals = &intake.totals;
            tracing::info!(
                %session, name = intake.name.as_str(), bytes = intake.bytes, seconds = seconds(intake),
                received = totals.bytes_received, lost = totals.symbols_lost, repaired = totals.symbols_repaired,
                reused = totals.blocks_reused, store_drops = totals.store_drops, socket_drops = totals.socket_drops,
                existing, %root, "published"
            );
            warn_of_drops(*session, intake);
        }
        ReceiverEvent::Yielded { session, to } => {
            tracing::info!(%session, %to, "another push was started earlier and comes first; this one follows");
        }
        ReceiverEvent::Failed { session, reason, why, intake } => {
            log_failure(*session, reason, *why, intake, context.kept_for);
            warn_of_drops(*session, intake);
        }
        ReceiverEvent::Unacknowledged { session, sender } => tracing::warn!(
            %session, %sender,
            "the sender did not acknowledge what this host reported at the end: is its firewall open to UDP from this host \
             (glancecast send --reply-port fixes the port), and is there a route back (ip route get {})", sender.ip()
        ),
        ReceiverEvent::Unanswered { session, sender } => tracing::warn!(
            %session, %sender,
            "the sender's announcements arrive, and it answers no hello of this host: is its firewall open \
             to UDP from this host (glancecast send --reply-port fixes the port), is there a route back \
             (ip route get {}), and has no other host this host's name", sender.ip()
        ),
        ReceiverEvent::Deaf { session, mtu } => tracing::warn!(
            %session, mtu,
            "the sender's announcements arrive, and none of its data: packets of that size do not come \
             through. Is the MTU of this interface or of the way here smaller than the sender's? \
             glancecast send --mtu 1500, or less"
        ),
        ReceiverEvent::WrongKey(from) => tracing::warn!(
            sender = %from,
            "this group carries datagrams sealed under another key, which are dropped: check --key and --group"
        ),
        ReceiverEvent::UnknownSender(from, Some(key)) => tracing::warn!(
            sender = %from,
            "pushes signed by {key} are refused, as this host does not list it; whoever has the group's key can announce such pushes: \
             compare the key with your own sender.pub before you trust it"
        ),
        ReceiverEvent::UnknownSender(from, None) => tracing::warn!(
            sender = %from,
            "pushes that are not signed are refused, as this host lists its senders: send with --sender-key, and list that key here"
        ),
        ReceiverEvent::ExpiredSender(from, sender) => tracing::warn!(
            sender = %from,
            "pushes signed by {} are refused: its entry ({}) was good up to {}; give the sender a new key, or the entry another \
             date, and reload (systemctl reload glancecastd)",
            sender.key, sender.listed, utc(sender.expires.unwrap_or(WallClock(0)))
        ),
        ReceiverEvent::Stale(from, skew) => tracing::warn!(
            sender = %from,
            "the sender's clock and this host's are {} s apart, so its announcements are refused: set the clocks",
            skew.as_secs()
        ),
        ReceiverEvent::OtherVersion(from, version) => {
            tracing::warn!(sender = %from, "a sender speaks version {version} of the protocol, this program does not");
        }
    }
}

/// Logs why nothing was published. What the sender or an operator ended is no error of this host.
fn log_failure(session: SessionId, reason: &str, why: GaveUp, intake: &Intake, kept_for: Duration) {
    let Intake { name, blocks, blocks_held, .. } = intake;
    let words = match why {
        GaveUp::SenderEnded => format!("push ended by the sender with {blocks_held} of {blocks} blocks here"),
        _ => reason.to_owned(),
    };
    let is_kept = match why {
        GaveUp::SenderEnded | GaveUp::SenderSilent => true,
        GaveUp::Failed(kind) => matches!(kind, FailureKind::Stopping | FailureKind::Corrupt),
    };
    let kept = if is_kept && *blocks_held > 0 && !kept_for.is_zero() {
        let until = WallClock(wall().0.saturating_add(kept_for.as_millis() as u64));
        format!("; they are kept until {} for the next push of this image", utc(until))
    } else {
        String::new()
    };
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(
                $level, %session, name = name.as_str(), blocks_held, blocks, seconds = seconds(intake),
                received = intake.totals.bytes_received, lost = intake.totals.symbols_lost, why = why.name(),
                "nothing is published: {words}{kept}"
            )
        };
    }
    match level_of(why) {
        Level::INFO => at!(Level::INFO),
        Level::WARN => at!(Level::WARN),
        _ => at!(Level::ERROR),
    }
}

/// Returns the level at which the end of a push is logged: an error is what somebody has to mend on this host.
fn level_of(why: GaveUp) -> Level {
    match why {
        GaveUp::SenderEnded | GaveUp::SenderSilent => Level::WARN,
        GaveUp::Failed(FailureKind::Stopping) => Level::INFO,
        GaveUp::Failed(FailureKind::Refused | FailureKind::UnknownSender | FailureKind::Exists) => {
            Level::WARN
        }
        GaveUp::Failed(
            FailureKind::NoSpace | FailureKind::Store | FailureKind::Root | FailureKind::Corrupt,
        ) => Level::ERROR,
    }
}

/// Warns if much of a push was dropped on this host itself.
fn warn_of_drops(session: SessionId, intake: &Intake) {
    let (totals, name) = (&intake.totals, intake.name.as_str());
    if matters(totals.store_drops, intake) {
        tracing::warn!(
            %session, name,
            "{} datagrams of this push came while the store was behind, and were sent again: its disk is slower than the \
             push, or write_rate is lower",
            totals.store_drops
        );
    }
    if matters(totals.socket_drops, intake) {
        tracing::warn!(
            %session, name,
            "{} datagrams of this push were dropped by the socket, and were sent again: this host's CPUs were busy, or \
             net.core.rmem_max is small",
            totals.socket_drops
        );
    }
}

/// Whether a number of dropped datagrams is a twentieth of those that came, or more.
fn matters(drops: u64, intake: &Intake) -> bool {
    let came = intake.totals.bytes_received / DATAGRAM_BYTES;
    drops > 0 && drops.saturating_mul(20) >= came
}

/// About the length of a datagram with a symbol, to compare counts with bytes.
const DATAGRAM_BYTES: u64 = 1_400;

fn seconds(intake: &Intake) -> f64 {
    (intake.took.as_secs_f64() * 1e3).round() / 1e3
}

fn listed<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

/// Number of blocks with a wrong hash that are logged one by one.
const CORRUPT_LOGGED_MAX: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    use glancecast_proto::ids::ObjectName;
    use glancecast_proto::receiver::Phase;
    use glancecast_proto::wire::Totals;

    #[test]
    fn what_a_sender_or_an_operator_ends_is_no_error() {
        for (why, level) in [
            (GaveUp::SenderEnded, Level::WARN),
            (GaveUp::SenderSilent, Level::WARN),
            (GaveUp::Failed(FailureKind::Stopping), Level::INFO),
            (GaveUp::Failed(FailureKind::UnknownSender), Level::WARN),
            (GaveUp::Failed(FailureKind::NoSpace), Level::ERROR),
        ] {
            assert_eq!(level_of(why), level, "{why:?}");
        }
    }

    #[test]
    fn drops_matter_from_a_twentieth_of_what_came() {
        let intake = Intake {
            name: ObjectName::new("x").expect("a name"),
            bytes: 1 << 20,
            blocks: 1,
            blocks_held: 1,
            took: Duration::from_secs(1),
            totals: Totals { bytes_received: 1_000 * DATAGRAM_BYTES, ..Totals::default() },
            phase: Phase::Publishing,
        };
        assert!(!matters(0, &intake) && !matters(49, &intake) && matters(50, &intake));
        let nothing_came = Intake { totals: Totals::default(), ..intake };
        assert!(matters(1, &nothing_came) && !matters(0, &nothing_came));
    }
}
