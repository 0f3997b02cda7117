//! Addresses of hosts, as an operator or Nova writes them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The address of a host, and the UDP port at which it receives if that is not the group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress {
    ip: IpAddr,
    port: Option<u16>,
}

/// A text is no address of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostAddressError {
    /// It is no address at all.
    #[error("{0:?} is no address: write it as 10.0.0.5, 10.0.0.5:7167 or [fd00::5]:7167")]
    Form(String),
    /// No single host has such an address.
    #[error("{0} is not the address of one host")]
    NoHost(IpAddr),
}

impl HostAddress {
    /// Returns the address and the port; hosts receive at `port` if no other one is given.
    pub fn with_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }

    /// Returns the address of a host that receives at `at`; the port is that of the group, or one of its own.
    pub fn of(at: SocketAddr, group_port: u16) -> Self {
        let port = Some(at.port()).filter(|&port| port != group_port);
        Self { ip: at.ip().to_canonical(), port }
    }

    /// Returns the IP address.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    fn new(ip: IpAddr, port: Option<u16>) -> Result<Self, HostAddressError> {
        let is_broadcast = ip == IpAddr::from([255; 4]);
        if ip.is_multicast() || ip.is_unspecified() || is_broadcast {
            return Err(HostAddressError::NoHost(ip));
        }
        Ok(Self { ip, port })
    }
}

impl FromStr for HostAddress {
    type Err = HostAddressError;

    fn from_str(text: &str) -> Result<Self, HostAddressError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Self::new(ip, None);
        }
        let with_port = text.parse::<SocketAddr>().ok().filter(|addr| addr.port() != 0);
        let addr = with_port.ok_or_else(|| HostAddressError::Form(text.to_owned()))?;
        Self::new(addr.ip(), Some(addr.port()))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_of_its_own_or_that_of_the_group() {
        for (text, expected) in [
            ("10.0.0.5", "10.0.0.5:7167"),
            ("10.0.0.5:9", "10.0.0.5:9"),
            ("fd00::5", "[fd00::5]:7167"),
            ("[fd00::5]", "[fd00::5]:7167"),
            ("[fd00::5]:9", "[fd00::5]:9"),
        ] {
            let address: HostAddress = text.parse().expect(text);
            assert_eq!(address.with_port(7167).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_address_of_one_host_is_refused() {
        for text in ["", "c1", "10.0.0", "10.0.0.5:0", "10.0.0.5:x", "10.0.0.5/24", "fd00::5:x"] {
            assert!(matches!(text.parse::<HostAddress>(), Err(HostAddressError::Form(_))), "{text}");
        }
        for text in ["239.255.71.67", "0.0.0.0", "255.255.255.255", "ff15::1", "::", "239.1.1.1:7167"] {
            assert!(matches!(text.parse::<HostAddress>(), Err(HostAddressError::NoHost(_))), "{text}");
        }
    }
}
