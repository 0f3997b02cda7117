//! The kinds of datagrams. Byte 1 of every datagram names its kind.

crate::named_enum! {
    /// What a datagram is. Kinds from 16 on are sent by hosts, those below by a sender or a querier.
    pub enum Kind: u8 {
        /// An encoding symbol of a block. Sender to group.
        Symbol = 1 => "symbol",
        /// What is being sent, and how to take part. Sender to group, repeated.
        Announce = 2 => "announce",
        /// Encodings and hashes of a run of blocks. Sender to group.
        Manifest = 3 => "manifest",
        /// Progress of the pass, a request for reports, and the root once it is proven. Sender to group.
        Poll = 4 => "poll",
        /// The session is over. Sender to group.
        End = 5 => "end",
        /// A hello, done or failed was received. Sender to one host.
        Ack = 6 => "ack",
        /// Which hosts a push or a query is for. Sender or querier to group, repeated.
        Audience = 7 => "audience",
        /// A query about what hosts hold. Querier to group, repeated.
        Ask = 8 => "ask",
        /// A page of an answer was received. Querier to one host.
        Heard = 9 => "heard",
        /// A relay may forward a session for a short time. Sender to one host.
        Route = 10 => "route",
        /// One of a train of datagrams of known size and number. Querier to group or to one host.
        Probe = 11 => "probe",
        /// Hashes of the symbols of a block that did not match the manifest. Sender to group.
        Proofs = 12 => "proofs",
        /// A new group key for one host. Querier to one host.
        NewKey = 13 => "new_key",
        /// A host takes part. Host to sender.
        Hello = 16 => "hello",
        /// What a host lacks. Host to sender.
        Report = 17 => "report",
        /// A host has published the object. Host to sender.
        Done = 18 => "done",
        /// A host gives up. Host to sender.
        Failed = 19 => "failed",
        /// A page of a host's answer. Host to querier.
        Answer = 20 => "answer",
        /// What a relay has forwarded. Host to sender.
        RouteAck = 21 => "route_ack",
        /// A host speaks another version. Host to sender, frozen across versions.
        Notice = 31 => "notice",
    }
}

impl Kind {
    /// What the sender of a session says with [`Down`](super::Down).
    pub const DOWN: [Self; 6] =
        [Self::Manifest, Self::Poll, Self::End, Self::Ack, Self::Audience, Self::Proofs];

    /// What a host says with its receiver id in clear: [`Up`](super::Up) and [`Answer`](super::Answer).
    pub const UP: [Self; 6] =
        [Self::Hello, Self::Report, Self::Done, Self::Failed, Self::Answer, Self::RouteAck];

    /// Returns the kind that a datagram claims to be, before anything else of it is looked at. The byte stands at this
    /// place in every version, and [`Kind::Notice`] means the same in every version.
    pub fn peek(datagram: &[u8]) -> Option<Self> {
        datagram.get(1).copied().and_then(Self::from_byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_byte_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind as u8), Some(kind));
            assert_eq!(Kind::peek(&[0xFF, kind as u8]), Some(kind));
        }
        let known = (0..=u8::MAX).filter_map(Kind::from_byte).count();
        assert_eq!(known, Kind::ALL.len());
        assert_eq!(Kind::peek(&[1]), None);
    }

    #[test]
    fn hosts_send_the_kinds_from_16_on() {
        let from_hosts = |kind: &Kind| *kind as u8 >= 16;
        assert!(Kind::UP.iter().all(from_hosts) && !Kind::DOWN.iter().any(from_hosts));
    }
}
