//! Proof that what is sent to an address reaches the host that claims it.
//!
//! The source address of a datagram can be forged, and what is sent to one host alone leaves at the full rate of the
//! push. So each acknowledgement has a value for the address that it is sent to, and the host repeats it in its reports:
//! who has not received anything there does not know it. QUIC proves addresses in the same way (RFC 9000 section 8.1).

use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroizing;

use crate::ids::ReceiverId;

/// What a host repeats. All zero before it has received one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo(pub [u8; Self::BYTES]);

impl Echo {
    /// Length on the wire. A guess is right once in 2^32, and a host may report once a round.
    pub const BYTES: usize = 4;
}

/// Makes the echoes of one session. Nothing has to be kept for each host.
#[derive(Clone)]
pub(crate) struct EchoKey(Zeroizing<[u8; Self::BYTES]>);

impl EchoKey {
    pub(crate) const BYTES: usize = 32;

    /// Takes over a secret that only the sender of the session has.
    pub(crate) fn new(secret: Zeroizing<[u8; Self::BYTES]>) -> Self {
        Self(secret)
    }

    /// The echo of what is sent to this receiver at this address.
    pub(crate) fn of(&self, receiver: ReceiverId, to: SocketAddr) -> Echo {
        let ip = match to.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&receiver.0).update(&ip.octets()).update(&to.port().to_be_bytes());
        let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
        Echo([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_address_and_session_has_an_echo_of_its_own() {
        let (key, other) = (EchoKey::new([1; 32].into()), EchoKey::new([2; 32].into()));
        let echo = key.of(ReceiverId([1; 8]), at([10, 0, 0, 1], 7));
        assert_eq!(echo, key.of(ReceiverId([1; 8]), at([10, 0, 0, 1], 7)));
        let others = [
            key.of(ReceiverId([2; 8]), at([10, 0, 0, 1], 7)),
            key.of(ReceiverId([1; 8]), at([10, 0, 0, 2], 7)),
            key.of(ReceiverId([1; 8]), at([10, 0, 0, 1], 8)),
            other.of(ReceiverId([1; 8]), at([10, 0, 0, 1], 7)),
            Echo::default(),
        ];
        assert!(others.iter().all(|&other| other != echo), "{others:?}");
    }

    fn at(ip: [u8; 4], port: u16) -> SocketAddr {
        (ip, port).into()
    }
}
