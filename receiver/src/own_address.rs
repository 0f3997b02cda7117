//! Which datagrams a host takes at its own address.
//!
//! A host that names a source wants to hear the group from that source alone, and the kernel sees to it at the group's
//! socket. Anybody can send to the host's own address. There such a host takes only what a sender or a querier sends to
//! one host.

use std::net::IpAddr;

use glancecast_platform::transport::Inlet;
use glancecast_proto::wire::Kind;

/// What is taken at the host's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnAddress {
    /// All that is taken from the group, too.
    Everything,
    /// What concerns one host.
    WhatIsForOne,
}

impl OwnAddress {
    /// Returns the rule of a host that hears the group from this source, or from any.
    pub(crate) fn of(source: Option<IpAddr>) -> Self {
        source.map_or(Self::Everything, |_| Self::WhatIsForOne)
    }

    /// Whether a datagram that came by this inlet is taken.
    pub(crate) fn takes(self, inlet: Inlet, datagram: &[u8]) -> bool {
        match (self, inlet) {
            (Self::Everything, _) | (_, Inlet::Everyone) => true,
            (Self::WhatIsForOne, Inlet::Host) => Kind::peek(datagram).is_some_and(is_for_one),
        }
    }
}

/// Whether a datagram of this kind concerns one host: acknowledgements, what the last host of a push is sent alone, and
/// what a relay, a diagnosis or a new group key sends to one host.
fn is_for_one(kind: Kind) -> bool {
    match kind {
        Kind::Symbol | Kind::End | Kind::Ack | Kind::Heard => true,
        Kind::Route | Kind::Probe | Kind::NewKey => true,
        Kind::Announce | Kind::Manifest | Kind::Poll | Kind::Ask | Kind::Audience | Kind::Proofs => false,
        // Hosts say these.
        Kind::Hello
        | Kind::Report
        | Kind::Done
        | Kind::Failed
        | Kind::Answer
        | Kind::RouteAck
        | Kind::Notice => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_names_a_source_takes_only_what_concerns_one_host_at_its_own_address() {
        let rule = OwnAddress::of(Some(IpAddr::from([10, 0, 0, 1])));
        let datagram = |kind: Kind| [1, kind as u8, 0, 0, 0];
        let taken = |inlet| Kind::ALL.into_iter().filter(move |&kind| rule.takes(inlet, &datagram(kind)));
        let for_one =
            [Kind::Symbol, Kind::End, Kind::Ack, Kind::Heard, Kind::Route, Kind::Probe, Kind::NewKey];
        assert_eq!(taken(Inlet::Host).collect::<Vec<_>>(), for_one);
        assert!(taken(Inlet::Everyone).eq(Kind::ALL));
        assert!(!rule.takes(Inlet::Host, &[1]) && !rule.takes(Inlet::Host, &[1, 255]));
    }

    #[test]
    fn a_host_that_names_no_source_takes_all_of_them() {
        let rule = OwnAddress::of(None);
        assert!(Kind::ALL.into_iter().all(|kind| rule.takes(Inlet::Host, &[1, kind as u8])));
    }
}
