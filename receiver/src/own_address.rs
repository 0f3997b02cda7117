//! Which datagrams a host takes at its own address.
//!
//! A host that names a source wants to hear the group from that source alone, and the kernel sees to it at the group's
//! socket. Anybody can send to the host's own address. There such a host takes what that source sends, which may be a whole
//! push by unicast, and from others only what concerns one host. So no relay serves it.

use std::net::{IpAddr, SocketAddr};

use glancecast_platform::transport::Inlet;
use glancecast_proto::wire::Kind;

/// What is taken at the host's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnAddress {
    /// All that is taken from the group, too.
    Everything,
    /// All from this source, and what concerns one host from others.
    From(IpAddr),
}

impl OwnAddress {
    /// Returns the rule of a host that hears the group from this source, or from any.
    pub(crate) fn of(source: Option<IpAddr>) -> Self {
        source.map_or(Self::Everything, Self::From)
    }

    /// Whether a datagram that came by this inlet is taken.
    pub(crate) fn takes(self, inlet: Inlet, from: SocketAddr, datagram: &[u8]) -> bool {
        match (self, inlet) {
            (Self::Everything, _) | (_, Inlet::Everyone) => true,
            (Self::From(source), Inlet::Host) if source == from.ip() => true,
            (Self::From(_), Inlet::Host) => Kind::peek(datagram).is_some_and(is_for_one),
        }
    }
}

/// Whether a datagram that came to this host's own address is for this host whatever it says: all that concerns one host,
/// except symbols and ends, which a path brings for others as well.
#[inline]
pub(crate) fn is_for_this_one(datagram: &[u8]) -> bool {
    let is_alone = |kind| is_for_one(kind) && !matches!(kind, Kind::Symbol | Kind::End);
    Kind::peek(datagram).is_some_and(is_alone)
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
    fn a_host_that_names_a_source_takes_only_what_concerns_one_host_from_others_at_its_own_address() {
        let rule = OwnAddress::of(Some(IpAddr::from([10, 0, 0, 1])));
        let datagram = |kind: Kind| [1, kind as u8, 0, 0, 0];
        let [source, other] = [1, 2].map(|last| SocketAddr::from(([10, 0, 0, last], 7)));
        let taken =
            |inlet, from| Kind::ALL.into_iter().filter(move |&kind| rule.takes(inlet, from, &datagram(kind)));
        let for_one =
            [Kind::Symbol, Kind::End, Kind::Ack, Kind::Heard, Kind::Route, Kind::Probe, Kind::NewKey];
        assert_eq!(taken(Inlet::Host, other).collect::<Vec<_>>(), for_one);
        assert!(taken(Inlet::Host, source).eq(Kind::ALL), "a push may come by unicast");
        assert!(taken(Inlet::Everyone, other).eq(Kind::ALL), "the kernel looks at the source there");
        assert!(!rule.takes(Inlet::Host, other, &[1]) && !rule.takes(Inlet::Host, other, &[1, 255]));
    }

    #[test]
    fn a_host_that_names_no_source_takes_all_of_them() {
        let (rule, from) = (OwnAddress::of(None), SocketAddr::from(([10, 0, 0, 2], 7)));
        assert!(Kind::ALL.into_iter().all(|kind| rule.takes(Inlet::Host, from, &[1, kind as u8])));
    }
}
