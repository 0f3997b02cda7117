//! Queries for members of groups, as routers and switches send them (RFC 2236 §2, RFC 3376 §4.1).

use std::net::Ipv4Addr;

/// A query for members of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipQuery {
    /// The querier's address.
    pub from: Ipv4Addr,
    /// The group that it is about; `None` for all groups.
    pub group: Option<Ipv4Addr>,
}

impl MembershipQuery {
    /// Reads an IPv4 packet with its header, as a raw socket of the protocol IGMP receives it. Returns `None` if it is
    /// no query, is cut short, or was damaged.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let is_igmp = packet.first()? >> 4 == 4 && header >= IP_HEADER && *packet.get(9)? == IGMP;
        let message = packet.get(header..).filter(|message| is_igmp && message.len() >= QUERY_BYTES)?;
        if message[0] != QUERY || checksum(message) != 0 {
            return None;
        }
        let address = |bytes: &[u8]| bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
        let group = address(&message[4..])?;
        Some(Self {
            from: address(&packet[12..])?,
            group: Some(group).filter(|group| !group.is_unspecified()),
        })
    }
}

/// Returns the ones' complement of the sum of all 16-bit words (RFC 1071): 0 for a message with its right checksum.
fn checksum(message: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = message.chunks(2).take(WORDS_MAX).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

const IP_HEADER: usize = 20;
/// The protocol number of IGMP.
const IGMP: u8 = 2;
/// The type of a query.
const QUERY: u8 = 0x11;
/// A query of version 2; one of version 3 is longer.
const QUERY_BYTES: usize = 8;
/// The sum of as many words fits 32 bits; no packet is longer.
const WORDS_MAX: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_both_versions_are_read_with_their_sender_and_their_group() {
        let from = Ipv4Addr::new(10, 77, 1, 3);
        let general = packet(&[0x11, 100, 0, 0, 0, 0, 0, 0]);
        assert_eq!(MembershipQuery::parse(&general), Some(MembershipQuery { from, group: None }));
        let about = packet(&[0x11, 10, 0, 0, 239, 255, 71, 67, 2, 20, 0, 0]);
        let group = Some(Ipv4Addr::new(239, 255, 71, 67));
        assert_eq!(MembershipQuery::parse(&about), Some(MembershipQuery { from, group }));
    }

    #[test]
    fn reports_and_what_is_damaged_cut_short_or_of_another_protocol_are_no_queries() {
        assert_eq!(MembershipQuery::parse(&packet(&[0x22, 0, 0, 0, 0, 0, 0, 1])), None);
        let whole = packet(&[0x11, 100, 0, 0, 0, 0, 0, 0]);
        for len in 0..whole.len() {
            assert_eq!(MembershipQuery::parse(&whole[..len]), None, "{len} bytes");
        }
        for at in [0, 9, 24, 25, 29] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert_eq!(MembershipQuery::parse(&damaged), None, "byte {at}");
        }
        assert_eq!(MembershipQuery::parse(&[0xff; 2_000]), None);
    }

    /// Returns a packet of 10.77.1.3 with the router alert option (RFC 2113), and with the right checksum of the
    /// message.
    fn packet(message: &[u8]) -> Vec<u8> {
        let mut packet =
            vec![0x46, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 10, 77, 1, 3, 224, 0, 0, 1, 0x94, 4, 0, 0];
        let mut message = message.to_vec();
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
        packet.extend(message);
        packet
    }
}
