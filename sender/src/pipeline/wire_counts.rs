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

/// What a datagram is for, in the words of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Announcements.
    Announce,
    /// Manifest entries.
    Manifest,
    /// Source symbols, also when sent again.
    Source,
    /// Repair symbols.
    Repair,
    /// Polls.
    Poll,
    /// Ends.
    End,
    /// Acknowledgements to single hosts.
    Ack,
}

impl From<Kind> for Traffic {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Announce => Self::Announce,
            Kind::Manifest => Self::Manifest,
            Kind::Poll => Self::Poll,
            Kind::End => Self::End,
            Kind::Ack => Self::Ack,
            Kind::Symbol => Self::Source,
            Kind::Hello
            | Kind::Report
            | Kind::Done
            | Kind::Failed
            | Kind::Notice
            | Kind::Ask
            | Kind::Heard
            | Kind::Answer => {
                unreachable!("a sender sends no {kind:?}")
            }
        }
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
    /// Counts datagrams that were sent.
    pub fn add(&mut self, traffic: Traffic, datagrams: u64, bytes: u64) {
        let count = match traffic {
            Traffic::Announce => &mut self.announce,
            Traffic::Manifest => &mut self.manifest,
            Traffic::Source => &mut self.source,
            Traffic::Repair => &mut self.repair,
            Traffic::Poll => &mut self.poll,
            Traffic::End => &mut self.end,
            Traffic::Ack => &mut self.ack,
        };
        count.datagrams += datagrams;
        count.bytes += bytes;
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
