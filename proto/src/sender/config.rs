//! What a push is about: all that the machine is told before it begins.

use std::net::SocketAddr;
use std::time::Duration;

use super::hosts::Expected;
use super::one_way::OneWay;
use super::rate::Pace;
use crate::geometry::Geometry;
use crate::ids::{ObjectName, SessionId};
use crate::seal::GroupKey;
use crate::sign::SigningKey;
use crate::time::WallClock;
use crate::wire::{BaseName, DiskFormat, Pin};

/// What a push is about.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// Drawn at random.
    pub session: SessionId,
    /// The group's secret.
    pub key: GroupKey,
    /// What signs the announcements, the manifest, the polls and the end; without, the group key alone vouches for them.
    pub signer: Option<SigningKey>,
    /// The object and how it is cut.
    pub geometry: Geometry,
    /// The file name of the object.
    pub name: ObjectName,
    /// Glance's id, where it comes from Glance.
    pub image_id: Option<String>,
    /// What the bytes are.
    pub format: DiskFormat,
    /// How long hosts keep it.
    pub pin: Pin,
    /// Where this sender hears its hosts.
    pub reply_to: SocketAddr,
    /// Who must hold it.
    pub expected: Expected,
    /// Hosts that are not expected by name are not answered, not repaired for, and not named.
    pub only_listed: bool,
    /// Time after which the push ends, whatever is missing.
    pub timeout: Duration,
    /// The civil time at the start.
    pub started: WallClock,
    /// How the rate is chosen.
    pub pace: Pace,
    /// Bytes of headers that the pace counts with each datagram.
    pub header_bytes: u64,
    /// For hosts that cannot answer.
    pub one_way: Option<OneWay>,
    /// An older object of which hosts may hold many blocks: its id in Glance, or the name of its file. Nothing is sent then
    /// that no host has asked for; see [`Sender::handle_fingerprinted`](super::Sender::handle_fingerprinted).
    pub base: Option<BaseName>,
}
