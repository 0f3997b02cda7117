//! The configuration of a push.

use std::net::SocketAddr;
use std::time::Duration;

use super::hosts::Expected;
use super::one_way::OneWay;
use super::paths::Reach;
use super::rate::Pace;
use crate::agree::AgreementKey;
use crate::geometry::Geometry;
use crate::ids::{ObjectName, SessionId};
use crate::known::KnownHosts;
use crate::seal::GroupKey;
use crate::sign::SigningKey;
use crate::time::WallClock;
use crate::wire::{BaseName, DiskFormat, Pin};

/// The configuration of a push.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The session's id, drawn at random.
    pub session: SessionId,
    /// The group's secret.
    pub key: GroupKey,
    /// Signs the announcements, the manifest, the polls and the end. Without it, the group key alone vouches for them.
    pub signer: Option<SigningKey>,
    /// This sender's half of the keys that it shares with hosts, drawn for this session.
    pub agreement: AgreementKey,
    /// The object's length, and the sizes of its blocks and symbols.
    pub geometry: Geometry,
    /// The file name of the object.
    pub name: ObjectName,
    /// The image's id in Glance, if it comes from Glance.
    pub image_id: Option<String>,
    /// The format of the object's bytes.
    pub format: DiskFormat,
    /// How long hosts keep it.
    pub pin: Pin,
    /// The address at which this sender hears its hosts.
    pub reply_to: SocketAddr,
    /// By which ways the hosts are reached.
    pub reach: Reach,
    /// The hosts that must hold the object. If they are named, the push is for them alone, and others do not take part.
    pub expected: Expected,
    /// The keys of hosts that are known.
    pub known: KnownHosts,
    /// Time after which the push ends, whatever is missing.
    pub timeout: Duration,
    /// Time for which hosts are waited for that were never heard, after the image was sent or as long as nobody takes part.
    /// Meanwhile nothing is sent that nobody who was heard lacks. `None`: they are waited for until the push ends, and it
    /// is sent to whoever may listen.
    pub join_timeout: Option<Duration>,
    /// The civil time at the start.
    pub started: WallClock,
    /// How the rate is chosen.
    pub pace: Pace,
    /// Bytes of headers that the pace counts with each datagram.
    pub header_bytes: u64,
    /// One-way mode, for hosts that cannot answer.
    pub one_way: Option<OneWay>,
    /// An older object of which hosts may hold many blocks: its id in Glance, or the name of its file. With it, nothing
    /// is sent before a host has asked for it; see
    /// [`Sender::handle_fingerprinted`](super::Sender::handle_fingerprinted).
    pub base: Option<BaseName>,
    /// About how many bytes of the object are data, if that is known before it is read: hosts ask for this much room.
    pub data_bytes: Option<u64>,
}
