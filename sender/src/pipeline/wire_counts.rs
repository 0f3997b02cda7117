//! What was put on the wire, by kind.

use glancecast_proto::wire::Kind;
use serde::Serialize;

/// Datagrams and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

impl Count {
    /// Counts datagrams that were sent, and their bytes.
    pub(crate) fn add(&mut self, datagrams: u64, bytes: u64) {
        self.datagrams += datagrams;
        self.bytes += bytes;
    }
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WireCounts {
    /// Announcements.
    pub announce: Count,
    /// Manifest entries.
    pub manifest: Count,
    /// Source symbols, also when sent again.
    pub source: Count,
    /// Repair symbols.
    pub repair: Count,
    /// Polls.
    pub poll: Count,
    /// Ends.
    pub end: Count,
    /// Acknowledgements to single hosts.
    pub ack: Count,
}

impl WireCounts {
    /// The count of a kind of datagram, but for repair symbols, which are symbols too.
    pub(crate) fn of(&mut self, kind: Kind) -> &mut Count {
        match kind {
            Kind::Announce => &mut self.announce,
            Kind::Manifest => &mut self.manifest,
            Kind::Symbol => &mut self.source,
            Kind::Poll => &mut self.poll,
            Kind::End => &mut self.end,
            Kind::Ack => &mut self.ack,
            Kind::Hello
            | Kind::Report
            | Kind::Done
            | Kind::Failed
            | Kind::Notice
            | Kind::Ask
            | Kind::Heard
            | Kind::Answer => unreachable!("a sender sends no {kind:?}"),
        }
    }

    /// The sum of all kinds.
    pub fn total(&self) -> Count {
        let all = [self.announce, self.manifest, self.source, self.repair, self.poll, self.end, self.ack];
        all.iter().fold(Count::default(), |sum, count| Count {
            datagrams: sum.datagrams + count.datagrams,
            bytes: sum.bytes + count.bytes,
        })
    }
}
