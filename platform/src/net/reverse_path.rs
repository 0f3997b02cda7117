//! The kernel's check of sources: with `rp_filter` = 1 it drops, without a word, what comes from an address that it would
//! answer through another interface (RFC 3704 §2.2; `__fib_validate_source` in net/ipv4/fib_frontend.c). On hosts with
//! several networks that is often the sender of a push.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use glancecast_proto::wire::printable;

use super::interface::Interface;
use super::links;

/// Whose datagrams the kernel drops on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictSources {
    interface: String,
    /// The only source that matters, or all that are not in the interface's own networks.
    source: Option<IpAddr>,
    /// The interface through which the kernel would answer; `None` without a route.
    through: Option<String>,
}

impl StrictSources {
    /// Returns whose datagrams are dropped: of `source`, if that is the only one to be heard, else of senders that are
    /// reached by the default route. Returns `None` where nobody's are, as far as that can be told.
    pub fn of(interface: &Interface, source: Option<IpAddr>) -> Option<Self> {
        if !interface.addr.is_ipv4() || interface.is_loopback() {
            return None;
        }
        if strictness(interface)? != STRICT {
            return None;
        }
        let back = links::route(source.unwrap_or(ELSEWHERE.into())).ok();
        match back {
            Some(route) if route.link == interface.index => return None,
            // This host has one network alone.
            None if source.is_none() => return None,
            _ => {}
        }
        let through = back.and_then(|route| Some(links::by_index(route.link).ok()?.name));
        Some(Self { interface: interface.name.clone(), source, through })
    }
}

/// Returns the setting of `rp_filter` that holds on an interface; `None` where it cannot be read.
pub fn strictness(interface: &Interface) -> Option<u32> {
    let link = links::by_index(interface.index).ok()?;
    // The stricter of both values holds (IN_DEV_RPFILTER); 2 asks for any route at all.
    Some(link.rp_filter.max(links::rp_filter_of_all().ok()?))
}

impl fmt::Display for StrictSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = printable(&self.interface);
        let through = self.through.as_deref().map(printable);
        write!(f, "rp_filter is 1 on {interface}, so that the kernel drops ")?;
        match (self.source, through) {
            (Some(source), Some(through)) => {
                write!(f, "what {source} sends: it would answer through {through}")?;
            }
            (Some(source), None) => write!(f, "what {source} sends: it has no route back")?,
            (None, Some(through)) => {
                write!(f, "senders that it would answer through {through}, which has the default route")?;
            }
            (None, None) => f.write_str("senders without a route back")?,
        }
        write!(
            f,
            "; if the sender is not in a network of {interface}, add a route to it there, or: sysctl -w \
             net.ipv4.conf.{interface}.rp_filter=2"
        )
    }
}

/// `rp_filter` = 1.
const STRICT: u32 = 1;

/// An address that is in no host's own networks (TEST-NET-2, RFC 5737): the default route leads to it.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
