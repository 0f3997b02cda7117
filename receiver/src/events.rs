//! Logs the machine's events.

use glancecast_platform::clock::utc;
use glancecast_proto::receiver::ReceiverEvent;
use glancecast_proto::time::WallClock;

/// What the log adds to an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Name of the object that is being received.
    pub(crate) name: String,
    /// Number of its blocks that were copied from what this host held already.
    pub(crate) reused: u32,
    /// Number of blocks since the start that did not match their hash.
    pub(crate) corrupt: u64,
}

/// Logs an event.
pub(crate) fn log(event: &ReceiverEvent, context: &Context) {
    match event {
        ReceiverEvent::Joined(announce) => tracing::info!(
            session = %announce.session, name = %announce.name, bytes = announce.geometry.object_bytes(),
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
        ReceiverEvent::Published { session, root, existing } => match (&context.name, context.reused) {
            (name, 0) => tracing::info!(%session, name, %root, existing, "published"),
            (name, reused) => tracing::info!(%session, name, %root, existing, reused, "published"),
        },
        ReceiverEvent::Yielded { session, to } => {
            tracing::info!(%session, %to, "another push was started earlier and comes first; this one follows");
        }
        ReceiverEvent::Failed(session, reason) => {
            tracing::error!(%session, "nothing is published: {reason}");
        }
        ReceiverEvent::Unacknowledged { session, sender } => tracing::warn!(
            %session, %sender, name = context.name,
            "the sender did not acknowledge what this host reported at the end: is its firewall open to UDP from this host \
             (glancecast send --reply-port fixes the port), and is there a route back (ip route get {})", sender.ip()
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

fn listed<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

/// Number of blocks with a wrong hash that are logged one by one.
const CORRUPT_LOGGED_MAX: u64 = 10;
