//! Values on the command line and in configuration files: groups, rates, durations.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

pub use glancecast_proto::units::Rate;
use glancecast_proto::units::RateError;

/// A multicast group: address and UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(SocketAddr);

impl Group {
    /// 239.255.71.67:7167, in the range for local use (RFC 2365 §6.1).
    pub const DEFAULT: &'static str = "239.255.71.67:7167";

    /// Address and port.
    pub fn addr(self) -> SocketAddr {
        self.0
    }

    /// Bytes of the Ethernet frame of a datagram as tc(8) counts them: IP and Ethernet headers, no check sequence.
    pub fn frame_bytes(self, datagram: usize) -> u64 {
        const ETHERNET: u64 = 14;
        const UDP: u64 = 8;
        datagram as u64 + UDP + u64::from(self.ip_header()) + ETHERNET
    }

    /// Bytes of the group's IP header.
    pub fn ip_header(self) -> u16 {
        if self.0.is_ipv4() { 20 } else { 40 }
    }

    /// Whether it is in a range for source-specific multicast, 232.0.0.0/8 or ff3x::/32 (RFC 4607 §1): networks carry
    /// it from the source that a host names, and to a host that names none not at all.
    pub fn is_source_specific(self) -> bool {
        match self.0.ip() {
            IpAddr::V4(ip) => ip.octets()[0] == 232,
            IpAddr::V6(ip) => ip.segments()[0] & 0xfff0 == 0xff30 && ip.segments()[1] == 0,
        }
    }

    /// Whether it never leaves a link, so that it means nothing without the interface: ff02::/16 and the like, whatever
    /// the flags (RFC 4291 §2.7).
    pub fn is_link_local(self) -> bool {
        match self.0.ip() {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => matches!(ip.segments()[0] & 0xf, 1 | 2),
        }
    }

    /// Checks that the group can be heard from this source alone, or from all where there is none.
    ///
    /// # Errors
    /// A source that no sender of the group can have, or a source-specific group without one.
    pub fn check_source(self, source: Option<IpAddr>) -> Result<(), ArgError> {
        match source {
            None if self.is_source_specific() => Err(ArgError::NoSource(self.0.ip())),
            Some(source) if source.is_multicast() || source.is_unspecified() => {
                Err(ArgError::NotASource(source))
            }
            Some(source) if source.is_ipv4() != self.0.is_ipv4() => {
                Err(ArgError::SourceFamily { group: self.0.ip(), from: source })
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Group {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let addr: SocketAddr = text.parse().map_err(|_| ArgError::GroupForm(text.to_owned()))?;
        if !addr.ip().is_multicast() {
            return Err(ArgError::NotMulticast(addr.ip()));
        }
        if addr.port() == 0 {
            return Err(ArgError::GroupForm(text.to_owned()));
        }
        match addr {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(ArgError::GroupScope(text.to_owned())),
            _ => Ok(Self(addr)),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a rate is chosen, as given on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChoice {
    /// Always this: `390mbit`.
    Fixed(Rate),
    /// What is found, up to a share of the interface's speed: `auto`.
    Auto,
    /// What is found, up to this: `auto:5gbit`.
    AutoUpTo(Rate),
}

impl FromStr for RateChoice {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        match text.strip_prefix("auto") {
            Some("") => Ok(Self::Auto),
            Some(rest) => {
                let max = rest.strip_prefix(':').ok_or_else(|| RateError::Form(text.to_owned()))?;
                Ok(Self::AutoUpTo(max.parse()?))
            }
            None => Ok(Self::Fixed(text.parse()?)),
        }
    }
}

/// A duration as `500ms`, `15s`, `5m`, `2h`, `7d`; more than one part as in `1m30s`.
///
/// # Errors
/// [`ArgError::Duration`] for anything else, and for zero.
pub fn parse_duration(text: &str) -> Result<Duration, ArgError> {
    let bad = || ArgError::Duration(text.to_owned());
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        total = total.saturating_add(Duration::from_millis(number.checked_mul(millis).ok_or_else(bad)?));
        rest = tail;
    }
    if total.is_zero() || total > DURATION_MAX { Err(bad()) } else { Ok(total) }
}

const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// Not address and port.
    #[error("{0:?} is not ADDRESS:PORT, as in {default}", default = Group::DEFAULT)]
    GroupForm(String),
    /// A unicast address.
    #[error("{0} is not a multicast address: use one of 239.0.0.0/8 or ff00::/8, as in {default}", default = Group::DEFAULT)]
    NotMulticast(IpAddr),
    /// An interface as part of the group.
    #[error("{0:?} names an interface: write the group without it, and give --interface")]
    GroupScope(String),
    /// A source-specific group, and no source.
    #[error(
        "group {0} is source-specific (232.0.0.0/8 or ff3x::/32): give the sender's address with --source"
    )]
    NoSource(IpAddr),
    /// A source that cannot send.
    #[error("source {0} is no address that a sender can have")]
    NotASource(IpAddr),
    /// IPv4 and IPv6 mixed.
    #[error("source {from} and group {group} are not of one family: one is IPv4, one IPv6")]
    SourceFamily {
        /// The group.
        group: IpAddr,
        /// The source.
        from: IpAddr,
    },
    /// Not a rate.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// Not a duration.
    #[error("{0:?} is not a duration: write 500ms, 15s, 5m or 1h30m")]
    Duration(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_units() {
        for (text, millis) in
            [("500ms", 500), ("15s", 15_000), ("5m", 300_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "s", "0s", "-1s", "1.5s", "15 s", "99999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_of_more_parts_than_time_has_is_refused() {
        assert!(parse_duration(&"18446744073709551615ms".repeat(1_100)).is_err());
    }

    #[test]
    fn a_group_is_a_multicast_address_with_a_port() {
        assert!(Group::DEFAULT.parse::<Group>().is_ok());
        assert!("[ff15::1]:7167".parse::<Group>().is_ok());
        for text in
            ["", "239.1.1.1", "10.0.0.1:7167", "239.1.1.1:0", "239.1.1.1:99999", "host:1", "[ff02::1%2]:7167"]
        {
            assert!(text.parse::<Group>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_specific_group_wants_a_source_of_its_family() {
        for (group, specific) in [
            ("232.1.1.1:7167", true),
            ("239.1.1.1:7167", false),
            ("[ff35::1]:7167", true),
            ("[ff3e::8000:1]:7167", true),
            ("[ff35:40::1]:7167", false), // RFC 3306: of a prefix, not of a source
            ("[ff15::1]:7167", false),
        ] {
            let parsed: Group = group.parse().expect("a group");
            assert_eq!(parsed.is_source_specific(), specific, "{group}");
            assert_eq!(parsed.check_source(None).is_err(), specific, "{group}");
            let (v4, v6) = ("10.0.0.1", "fd00::1");
            let (own, other) = if parsed.addr().is_ipv4() { (v4, v6) } else { (v6, v4) };
            let check = |source: &str| parsed.check_source(Some(source.parse().expect("an address")));
            assert_eq!(check(own), Ok(()), "{group}");
            for bad in [other, "239.1.1.1", "ff02::1", "0.0.0.0", "::"] {
                assert!(check(bad).is_err(), "{group} {bad}");
            }
        }
    }

    #[test]
    fn link_local_groups_are_told_apart_whatever_their_flags() {
        for (group, local) in [
            ("[ff02::1]:7167", true),
            ("[ff12::1]:7167", true),
            ("[ff32::1]:7167", true),
            ("[ff01::1]:7167", true),
            ("[ff05::1]:7167", false),
            ("[ff15::2]:7167", false),
            ("224.0.0.1:7167", false),
        ] {
            assert_eq!(group.parse().map(Group::is_link_local), Ok(local), "{group}");
        }
    }
}
