//! Machines that are broken on purpose: what a simulator does not catch in them it would not catch in the real ones.
//!
//! Nothing of this is in the machines. What they say or ask for is altered between them and the simulated shells, as if
//! they had meant it.

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::SessionId;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{Kind, Up, UpHeader};

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
}

impl Mutant {
    /// All that are broken.
    pub const ALL: [Self; 5] = [
        Self::PublishesUnverified,
        Self::DropsDeficit,
        Self::ForgetsAcknowledgement,
        Self::SaysDoneEarly,
        Self::IgnoresTime,
    ];

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
