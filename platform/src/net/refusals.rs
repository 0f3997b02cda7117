//! What the network says later about datagrams that a socket has sent to single hosts: nobody listens at the port, or no
//! router has a way to the host (ICMP, ICMPv6).
//!
//! The kernel queues these messages for a socket that asks for them, each with the address that the datagram was for
//! (ip(7), `IP_RECVERR`). Such a socket gets the error also as the result of its next call, whatever that call was for.
//! Anybody who can guess two ports can forge such a message: it is a reason to look elsewhere, and proves nothing.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

/// Addresses that refuse what is sent to them, and have not been told yet.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    is_watching: bool,
    /// At most [`WAITING_MAX`]; what is refused beyond that is refused again.
    waiting: VecDeque<SocketAddr>,
}

impl Refusals {
    /// Has the socket hear what the network says later, or no longer. Where the kernel has no such option, nothing is heard.
    pub(super) fn watch(&mut self, socket: &impl AsFd, wanted: bool) {
        if self.is_watching != wanted {
            self.is_watching = wanted && set_watching(socket, true).is_ok();
            if !wanted {
                let _ = set_watching(socket, false);
            }
        }
    }

    pub(super) fn is_watching(&self) -> bool {
        self.is_watching
    }

    /// Notes an address that refused something.
    pub(super) fn note(&mut self, addr: SocketAddr) {
        if self.waiting.len() < WAITING_MAX && !self.waiting.contains(&addr) {
            self.waiting.push_back(addr);
        }
    }

    /// Takes in what the network has said so far; whether that was anything.
    pub(super) fn take_in(&mut self, socket: &impl AsFd) -> bool {
        let mut any = false;
        for _ in 0..MESSAGES_IN_A_ROW {
            match take(socket) {
                None => break,
                Some(Taken::Refused(addr)) => self.note(addr),
                Some(Taken::Other) => {}
            }
            any = true;
        }
        any
    }

    /// Returns the next address that has not been told yet.
    pub(super) fn next(&mut self, socket: &impl AsFd) -> Option<SocketAddr> {
        if self.is_watching && self.waiting.is_empty() {
            self.take_in(socket);
        }
        self.waiting.pop_front()
    }
}

/// Has the kernel queue the messages, or no longer.
fn set_watching(socket: &impl AsFd, wanted: bool) -> io::Result<()> {
    // A socket of IPv4 refuses the option of IPv6, and not the other way round.
    let v6 = setsockopt(socket, sockopt::Ipv6RecvErr, &wanted);
    v6.or_else(|_| setsockopt(socket, sockopt::Ipv4RecvErr, &wanted)).map_err(io::Error::from)
}

/// Takes the next message from the socket's queue: the address that a datagram was for, if the network or that host
/// refused it. `None` if the queue is empty, or after a message of another kind, of which there are few.
fn take(socket: &impl AsFd) -> Option<Taken> {
    let mut control = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    // The datagram comes back with the message; its bytes are not needed.
    let message =
        recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut [], Some(&mut control), flags).ok()?;
    let to = message.address.as_ref().and_then(address);
    let is_refusal = |error: libc::sock_extended_err| {
        matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6)
            && matches!(
                error.ee_errno as i32,
                libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES
            )
    };
    let mut errors = message.cmsgs().ok()?.filter_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            Some(error)
        }
        _ => None,
    });
    Some(match (errors.any(is_refusal), to) {
        (true, Some(to)) => Taken::Refused(to),
        _ => Taken::Other,
    })
}

/// A message of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// A datagram for this address was refused.
    Refused(SocketAddr),
    /// Something else, such as a message about the length of packets, which is ignored as anybody may send it.
    Other,
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|&addr| SocketAddr::V4(addr.into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|&addr| SocketAddr::V6(addr.into())))
}

/// Addresses that wait to be told: one for each path.
const WAITING_MAX: usize = 64;
/// Messages that are taken in at a time.
const MESSAGES_IN_A_ROW: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn a_port_where_nobody_listens_is_named_once_and_one_that_is_open_is_not() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(sender) = UdpSocket::bind(any) else {
                eprintln!("no {any} here");
                continue;
            };
            let (open, closed) = (UdpSocket::bind(any).expect("loopback"), closed(any));
            let mut refusals = Refusals::default();
            refusals.watch(&sender, true);
            sender.send_to(b"heard", open.local_addr().expect("bound")).expect("taken");
            sender.send_to(b"refused", closed).expect("taken: the refusal comes later");
            sleep(SOON);
            assert_eq!(refusals.next(&sender), Some(closed));
            assert_eq!(refusals.next(&sender), None);
        }
    }

    #[test]
    fn a_socket_that_does_not_watch_any_more_hears_of_nothing() {
        let (sender, closed) = (UdpSocket::bind("127.0.0.1:0").expect("loopback"), closed("127.0.0.1:0"));
        let mut refusals = Refusals::default();
        refusals.watch(&sender, true);
        refusals.watch(&sender, false);
        for _ in 0..3 {
            sender.send_to(b"refused", closed).expect("no error of an earlier one");
            sleep(SOON);
        }
        assert_eq!((refusals.next(&sender), refusals.take_in(&sender)), (None, false));
    }

    #[test]
    fn no_more_addresses_wait_than_there_are_paths() {
        let mut refusals = Refusals::default();
        for port in 1..=2 * WAITING_MAX as u16 {
            refusals.note(([192, 0, 2, 1], port).into());
            refusals.note(([192, 0, 2, 1], port).into());
        }
        assert_eq!(refusals.waiting.len(), WAITING_MAX);
    }

    /// Returns an address of this machine at which nobody listens.
    fn closed(any: &str) -> SocketAddr {
        UdpSocket::bind(any).and_then(|socket| socket.local_addr()).expect("loopback")
    }

    const SOON: Duration = Duration::from_millis(50);
}
