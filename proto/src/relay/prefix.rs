//! Networks, as `10.0.0.0/16` names them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: the addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address.
    addr: IpAddr,
    /// The number of bits that all addresses have in common.
    bits: u8,
}

/// What is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write it as 10.0.0.0/16 or fd00:1::/64")]
pub struct NoPrefix(String);

impl Prefix {
    /// Returns the network of these many bits that the address is in. More bits than the address has count as all of
    /// them.
    pub fn of(addr: IpAddr, bits: u8) -> Self {
        match addr {
            IpAddr::V4(v4) => {
                let bits = bits.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Self { addr: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), bits }
            }
            IpAddr::V6(v6) => {
                let bits = bits.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Self { addr: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), bits }
            }
        }
    }

    /// Whether the address is in this network. No address of another family is.
    pub fn contains(self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4() && Self::of(addr, self.bits) == self
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let parse = || {
            let (addr, bits) = text.split_once('/')?;
            let (addr, bits) = (addr.parse::<IpAddr>().ok()?, bits.parse().ok()?);
            let most = if addr.is_ipv4() { 32 } else { 128 };
            let prefix = Self::of(addr, bits);
            (bits <= most && prefix.addr == addr).then_some(prefix)
        };
        parse().ok_or_else(|| NoPrefix(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_with_its_first_bits() {
        let net = prefix("10.1.128.0/17");
        let is_in = |addr: &str| net.contains(addr.parse().expect("an address"));
        assert_eq!(
            ["10.1.128.0", "10.1.255.255", "10.1.127.9", "10.2.128.1", "::1"].map(is_in),
            [true, true, false, false, false]
        );
        assert!(prefix("fd00:1::/64").contains("fd00:1::9:9".parse().expect("an address")));
        assert!(prefix("0.0.0.0/0").contains("255.1.1.1".parse().expect("an address")));
        assert!(!prefix("::/0").contains("255.1.1.1".parse().expect("an address")));
    }

    #[test]
    fn only_what_names_a_network_exactly_is_taken() {
        for text in ["10.0.0.0", "10.0.0.1/16", "10.0.0.0/33", "fd00::/129", "x/3", "10.0.0.0/", ""] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
        assert_eq!(prefix("10.0.0.7/32").to_string(), "10.0.0.7/32");
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a network")
    }
}
