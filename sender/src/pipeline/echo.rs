//! Whether a host that does not answer lives: what comes back from its address. The kernel of a host refuses a datagram to
//! a port where nobody listens, by ICMP, and this machine's kernel passes that on to a connected socket.
//!
//! Anybody can forge such a refusal, and a host or a firewall may send none. It only decides what a finding says.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::interface::Interface;
use glancecast_proto::doctor::{Echo, HostEvidence};

/// Finds out of each host, which has an address, what comes back from there.
pub(super) fn listen(interface: &Interface, hosts: &mut [&mut HostEvidence]) {
    if hosts.is_empty() {
        return;
    }
    let mut tried: Vec<Tried> = hosts
        .iter()
        .filter_map(|host| host.address)
        .map(|address| {
            let elsewhere = SocketAddr::new(address.ip(), UNUSED_PORT);
            Tried { port: Knock::at(interface, address), elsewhere: Knock::at(interface, elsewhere) }
        })
        .collect();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        thread::sleep(POLL_GAP);
        tried.iter_mut().for_each(|tried| {
            tried.port.poll();
            tried.elsewhere.poll();
        });
        if tried.iter().all(|tried| tried.port.is_refused && tried.elsewhere.is_refused) {
            break;
        }
    }
    let with_address = hosts.iter_mut().filter(|host| host.address.is_some());
    for (host, tried) in with_address.zip(tried) {
        host.echo = match (tried.port.is_refused, tried.elsewhere.is_refused) {
            (true, _) => Echo::NobodyListens,
            (false, true) => Echo::Silent,
            (false, false) => Echo::None,
        };
    }
}

/// What was sent to one host: to the port of the group, and to one that nobody uses.
struct Tried {
    port: Knock,
    elsewhere: Knock,
}

struct Knock {
    socket: Option<UdpSocket>,
    is_refused: bool,
}

impl Knock {
    fn at(interface: &Interface, to: SocketAddr) -> Self {
        let knock = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind(interface.socket_addr(0))?;
            socket.set_nonblocking(true)?;
            socket.connect(to)?;
            socket.send(&[0])?; // of no version of the protocol
            Ok(socket)
        };
        Self { socket: knock().ok(), is_refused: false }
    }

    fn poll(&mut self) {
        let Some(socket) = &self.socket else { return };
        let refused =
            socket.recv(&mut [0; 16]).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        self.is_refused |= refused;
    }
}

/// The first port of traceroute(8), which nobody listens at.
const UNUSED_PORT: u16 = 33_434;
/// A refusal comes within a round trip.
const PATIENCE: Duration = Duration::from_millis(400);
const POLL_GAP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use glancecast_platform::multicast::Group;
    use glancecast_proto::ids::HostName;

    use super::*;

    #[test]
    fn a_port_where_nobody_listens_is_told_from_one_where_somebody_is_silent() {
        let group: Group = "239.255.71.67:7167".parse().expect("a group");
        let lo = Interface::find("lo", group).expect("loopback");
        let silent = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback");
        let host = |address: Option<SocketAddr>| {
            let name = HostName::new("compute-1").expect("plain");
            HostEvidence { address, ..HostEvidence::new(name) }
        };
        let mut hosts = [host(silent.local_addr().ok()), host(Some(closed)), host(None)];
        listen(&lo, &mut hosts.iter_mut().collect::<Vec<_>>());
        assert_eq!(hosts.map(|host| host.echo), [Echo::Silent, Echo::NobodyListens, Echo::None]);
    }
}
