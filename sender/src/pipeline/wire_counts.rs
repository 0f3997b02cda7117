//! Counts of what was sent, by kind of datagram.

use glancecast_proto::wire::Kind;
use serde::Serialize;

/// A number of datagrams and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

impl Count {
    /// Adds datagrams that were sent, and their bytes.
    pub(crate) fn add(&mut self, datagrams: u64, bytes: u64) {
        self.datagrams += datagrams;
        self.bytes += bytes;
    }
}

/// The counts of all kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WireCounts {
    /// Announcements.
    pub announce: Count,
    /// Manifest entries.
    pub manifest: Count,
    /// Source symbols, including repetitions.
    pub source: Count,
    /// Repair symbols.
    pub repair: Count,
    /// Polls.
    pub poll: Count,
    /// Ends.
    pub end: Count,
    /// Acknowledgements to single hosts.
    pub ack: Count,
    /// Pages that say which hosts the push is for.
    pub audience: Count,
    /// Hashes of symbols.
    pub proofs: Count,
    /// Leases of relays.
    pub route: Count,
}

impl WireCounts {
    /// Returns the count of a kind of datagram. For symbols it is that of source symbols; repair symbols have the same
    /// kind.
    pub(crate) fn of(&mut self, kind: Kind) -> &mut Count {
        match kind {
            Kind::Announce => &mut self.announce,
            Kind::Manifest => &mut self.manifest,
            Kind::Symbol => &mut self.source,
            Kind::Poll => &mut self.poll,
            Kind::End => &mut self.end,
            Kind::Ack => &mut self.ack,
            Kind::Audience => &mut self.audience,
            Kind::Proofs => &mut self.proofs,
            Kind::Route => &mut self.route,
            Kind::Hello
            | Kind::Report
            | Kind::Done
            | Kind::Failed
            | Kind::Notice
            | Kind::Ask
            | Kind::Heard
            | Kind::Answer
            | Kind::RouteAck
            | Kind::Probe
            | Kind::NewKey => unreachable!("a sender sends no {kind:?}"),
        }
    }

    /// Returns the sum of all kinds.
    pub fn total(&self) -> Count {
        let all = [
            self.announce,
            self.manifest,
            self.source,
            self.repair,
            self.poll,
            self.end,
            self.ack,
            self.audience,
            self.proofs,
            self.route,
        ];
        all.iter().fold(Count::default(), |sum, count| Count {
            datagrams: sum.datagrams + count.datagrams,
            bytes: sum.bytes + count.bytes,
        })
    }
}
