//! Machines that are broken on purpose: a fault that the simulator misses in them, it would miss in the real ones.
//!
//! The machines have no such code: their datagrams and effects are altered between them and the simulated shells.

use std::collections::BTreeSet;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, SessionId};
use glancecast_proto::sender::{HostRow, HostState};
use glancecast_proto::wire::{Kind, Up, UpHeader};

use super::overhear;

/// The ways in which machines are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Not at all.
    None,
    /// A receiver publishes blocks without verifying their hashes.
    PublishesUnverified,
    /// A receiver leaves the first deficit out of its reports.
    DropsDeficit,
    /// A sender does not acknowledge final reports.
    ForgetsAcknowledgement,
    /// A receiver reports done before the object is published.
    SaysDoneEarly,
    /// A sender ignores the time, so that none of its timeouts fires.
    IgnoresTime,
    /// A receiver asks for blocks that it kept from an earlier session.
    ForgetsKept,
    /// A receiver takes kept blocks for proven without reading them.
    TrustsJournal,
    /// A sender never sends a block that any host says it has kept.
    SkipsForGood,
    /// A receiver asks for blocks that its base has.
    IgnoresBase,
    /// A receiver takes blocks of its base for proven without reading them.
    TrustsBase,
    /// A receiver keeps symbols whose hash is not what the sender says.
    KeepsForged,
    /// A sender takes a done that the host has neither signed nor sealed.
    TakesUnsignedDone,
    /// A sender takes the key that a host has for the one that is known.
    CountsChangedKey,
    /// A receiver goes on using the link of an announcement that it has refused.
    KeepsRefusedLink,
    /// A receiver takes every push for its own.
    WritesForOthers,
    /// A sender drops the row of a start that has failed when another start of its host is done.
    ForgetsFailure,
}

impl Mutant {
    /// All ways but [`Self::None`].
    pub const ALL: [Self; 16] = [
        Self::PublishesUnverified,
        Self::DropsDeficit,
        Self::ForgetsAcknowledgement,
        Self::SaysDoneEarly,
        Self::IgnoresTime,
        Self::ForgetsKept,
        Self::TrustsJournal,
        Self::SkipsForGood,
        Self::IgnoresBase,
        Self::TrustsBase,
        Self::KeepsForged,
        Self::TakesUnsignedDone,
        Self::CountsChangedKey,
        Self::KeepsRefusedLink,
        Self::WritesForOthers,
        Self::ForgetsFailure,
    ];

    /// Drops what [`Self::ForgetsFailure`] drops of the rows of a push.
    pub(crate) fn forget_failures(self, rows: &mut Vec<HostRow>) {
        if self == Self::ForgetsFailure {
            let done: BTreeSet<HostName> =
                rows.iter().filter(|row| row.state.is_done()).map(|row| row.name.clone()).collect();
            rows.retain(|row| row.state != HostState::Failed || !done.contains(&row.name));
        }
    }

    /// Returns the blocks that [`Self::SkipsForGood`] never sends after this datagram of a host.
    pub(crate) fn skips(self, session: SessionId, geometry: Geometry, datagram: &[u8]) -> Vec<BlockIndex> {
        if self != Self::SkipsForGood || datagram.get(1) != Some(&(Kind::Hello as u8)) {
            return Vec::new();
        }
        let hello = overhear::hello(session, geometry, datagram);
        let kept = hello.into_iter().flat_map(|hello| hello.kept);
        kept.flat_map(|run| (run.first.0..run.end()).map(BlockIndex)).collect()
    }

    /// Alters a receiver's datagram to what the broken machine would have sent.
    pub(crate) fn alter_up(self, session: SessionId, geometry: Geometry, out: &mut Vec<u8>) {
        if self != Self::DropsDeficit || out.get(1) != Some(&(Kind::Report as u8)) {
            return;
        }
        let up = UpHeader::parse(out).expect("just written");
        let cipher = overhear::private(session, up.receiver);
        let Ok(Up::Report(mut report)) = Up::open(&cipher, geometry, up, out) else {
            return; // to another sender
        };
        if !report.deficits.is_empty() {
            report.deficits.remove(0);
            Up::Report(report).seal(&cipher, session.tag(), up.receiver, up.header.sequence, out);
        }
    }
}
