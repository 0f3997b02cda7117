//! Why the network takes no datagrams, and what to do about it, for people.

use std::io;

use glancecast_platform::downlink::Downlink;
use glancecast_platform::interface::{Interface, InterfaceError};
use glancecast_platform::transport::SocketError;
use nix::errno::Errno;

/// What came of the last attempt to send.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The system refused a datagram.
    Error(io::Error),
    /// The interface is not there, or has no address.
    Interface(InterfaceError),
    /// The interface is there, and no socket can be opened on it.
    Socket(SocketError),
    /// The interface has lost its address, and has another one.
    NoAddress,
    /// The interface is down.
    Down,
    /// The interface has lost its carrier.
    NoCarrier,
}

/// A refusal in words.
pub(crate) struct Refused<'a> {
    pub(crate) cause: Option<&'a Cause>,
    pub(crate) downlink: &'a Downlink,
}

/// What the errors of sendto(2) mean for a datagram to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Firewall,
    Unreachable,
    Gone,
    TooLong,
    Full,
    Other,
}

impl Refused<'_> {
    /// Returns why datagrams are refused.
    pub(crate) fn why(&self) -> String {
        match self.cause {
            None => "no reason was given".to_owned(),
            Some(Cause::Interface(error)) => error.to_string(),
            Some(Cause::Socket(error)) => error.to_string(),
            Some(Cause::NoAddress) => "this address is gone from it".to_owned(),
            Some(Cause::Down) => "it is down".to_owned(),
            Some(Cause::NoCarrier) => "it has no carrier".to_owned(),
            Some(Cause::Error(error)) => match kind(error) {
                Kind::Firewall => {
                    format!("a firewall or a route of this machine prohibits it ({})", words(error))
                }
                Kind::TooLong => {
                    let mtu =
                        self.downlink.path_mtu().map_or_else(String::new, |mtu| format!(", which is {mtu}"));
                    let bytes = self.downlink.packet_bytes();
                    format!("packets of {bytes} bytes are longer than its MTU{mtu}")
                }
                Kind::Full => format!("its queue is full and does not move ({})", words(error)),
                Kind::Gone => format!("its address or the interface itself is gone ({})", words(error)),
                Kind::Unreachable | Kind::Other => words(error).to_owned(),
            },
        }
    }

    /// Returns the next step of an operator.
    pub(crate) fn remedy(&self) -> String {
        let Interface { name, addr, .. } = self.downlink.interface();
        let to = self.downlink.destinations().first().ip();
        let address = || format!("give {addr} back to it, or start again: ip addr show dev {name}");
        match self.cause {
            Some(Cause::Down) => format!("take it up: ip link set dev {name} up"),
            Some(Cause::NoCarrier) => format!("check its cable and its switch port: ip link show dev {name}"),
            Some(Cause::NoAddress) => address(),
            Some(Cause::Interface(_) | Cause::Socket(_)) => {
                format!("set it up, and start again: ip addr show dev {name}")
            }
            Some(Cause::Error(error)) => match kind(error) {
                Kind::Firewall => {
                    format!(
                        "look for rules of output in nft list ruleset, and at ip route get {to} oif {name}"
                    )
                }
                Kind::TooLong => {
                    let mtu = self.downlink.path_mtu();
                    let mtu = mtu.map_or_else(|| "N".to_owned(), |mtu| mtu.to_string());
                    format!("raise the MTU, or send with --mtu {mtu}")
                }
                Kind::Full => format!("look at its queue: tc -s qdisc show dev {name}"),
                Kind::Gone => address(),
                Kind::Unreachable | Kind::Other => {
                    format!("check link and routes: ip link show dev {name}; ip route get {to} oif {name}")
                }
            },
            None => format!("check link and routes: ip link show dev {name}"),
        }
    }
}

/// Returns the system's words for its error.
fn words(error: &io::Error) -> &'static str {
    error.raw_os_error().map_or("no error of the system", |number| Errno::from_raw(number).desc())
}

fn kind(error: &io::Error) -> Kind {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => Kind::Firewall,
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN) => Kind::Unreachable,
        Some(Errno::ENODEV | Errno::ENXIO | Errno::EADDRNOTAVAIL | Errno::EINVAL) => Kind::Gone,
        Some(Errno::EMSGSIZE) => Kind::TooLong,
        Some(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => Kind::Full,
        _ => Kind::Other,
    }
}
