//! Machines that are broken on purpose: what a simulator does not catch in them it would not catch in the real ones.
//!
//! Nothing of this is in the machines. What they say or ask for is altered between them and the simulated shells, as if
//! they had meant it.

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{Kind, Up, UpHeader};

use super::overhear;

/// How the machines are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// They are as they are.
    None,
    /// A receiver publishes blocks whatever they hash to.
    PublishesUnverified,
    /// A receiver leaves the first deficit out of its reports.
    DropsDeficit,
    /// A sender takes last words and does not acknowledge them.
    ForgetsAcknowledgement,
    /// A receiver says done before the object is published.
    SaysDoneEarly,
    /// A sender does not look at the time, so that no timeout of its own comes.
    IgnoresTime,
    /// A receiver asks for what it kept of an earlier session.
    ForgetsKept,
    /// A receiver takes for proven what it kept, unread.
    TrustsJournal,
    /// A sender never sends what one host says it has kept.
    SkipsForGood,
    /// A receiver asks for what its base has.
    IgnoresBase,
    /// A receiver takes for proven what lies in its base, unread.
    TrustsBase,
}

impl Mutant {
    /// All that are broken.
    pub const ALL: [Self; 10] = [
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
    ];

    /// What a sender that skips for good will never send, from what a host says.
    pub(crate) fn skips(self, session: SessionId, geometry: Geometry, datagram: &[u8]) -> Vec<BlockIndex> {
        if self != Self::SkipsForGood || datagram.get(1) != Some(&(Kind::Hello as u8)) {
            return Vec::new();
        }
        match overhear::said(session, geometry, datagram) {
            Some(Up::Hello(hello)) => {
                hello.kept.iter().flat_map(|run| (run.first.0..run.end()).map(BlockIndex)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A receiver's datagram as the broken machine would have written it.
    pub(crate) fn alter_up(self, key: &GroupKey, session: SessionId, geometry: Geometry, out: &mut Vec<u8>) {
        if self != Self::DropsDeficit || out.get(1) != Some(&(Kind::Report as u8)) {
            return;
        }
        let up = UpHeader::parse(out).expect("just written");
        let cipher = Cipher::upward(key, session, up.receiver);
        let Ok(Up::Report(mut report)) = Up::open(&cipher, geometry, up, out) else {
            return; // to another sender
        };
        if !report.deficits.is_empty() {
            report.deficits.remove(0);
            Up::Report(report).seal(&cipher, session.tag(), up.receiver, up.header.sequence, out);
        }
    }
}
