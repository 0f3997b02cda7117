//! A receiver's sockets: one for datagrams to everyone, and one for those to this host, which also sends answers and what
//! this host forwards as a relay.
//!
//! They are opened once, with their buffers, and put on an interface as often as that is needed: it may be there only
//! later, be made anew, or get another address.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;

use super::batch::Batch;
use super::interface::{Interface, on_link};
use super::multicast::{self, GROUP_BUFFER, GroupReceiver, Membership};
use super::socket::{self, Buffer, Offload, SocketError};
use super::trains::{Destination, Progress, Taken, Train, Trains};

/// A receiver's sockets.
#[derive(Debug)]
pub struct Uplink {
    everyone: GroupReceiver,
    host: UdpSocket,
    /// A socket like `host` that is bound to nothing, for the next address of the interface: it has a receive buffer for
    /// which the process may lack the right by then.
    spare: Option<UdpSocket>,
    settings: Settings,
    listening: Listening,
    trains: Trains,
    /// The address that `host` is bound to, without its port; `None` if it is bound to none.
    own: Option<SocketAddr>,
    interface: u32,
}

/// For whom a received datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inlet {
    /// Every host.
    Everyone,
    /// This host alone: acknowledgements, what comes by a path that ends here, and symbols if it is the last unfinished
    /// host.
    Host,
}

/// Where a host is to be reached at its own address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// At the group's port: a push finds the host where no multicast leads to it.
    #[default]
    GroupPort,
    /// At a port that the kernel chooses and that only senders learn to whom this host has answered.
    AnyPort,
}

/// Where a host is reached at its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// At the interface's address and the group's port.
    AtGroupPort(SocketAddr),
    /// At another port, as it was asked for, or because the socket is on no interface yet.
    AtAnyPort,
    /// At another port, because this address and port could not be had.
    Refused(SocketAddr, io::ErrorKind),
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtGroupPort(at) => at.fmt(f),
            Self::AtAnyPort => f.write_str("none"),
            Self::Refused(..) => f.write_str("refused"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    membership: Membership,
    dscp: u8,
    offload: Offload,
    listen: Listen,
}

impl Uplink {
    /// Opens the sockets, and puts them on the interface.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn open(
        membership: Membership,
        interface: &Interface,
        dscp: u8,
        offload: Offload,
        listen: Listen,
    ) -> Result<Self, SocketError> {
        let mut uplink = Self::detached(membership, dscp, offload, listen)?;
        uplink.attach(interface)?;
        Ok(uplink)
    }

    /// Opens the sockets, which neither receive nor send before they are [put on an interface](Self::attach). Answers
    /// have the code point `dscp`, 0 to 63, and the system's TTL.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn detached(
        membership: Membership,
        dscp: u8,
        offload: Offload,
        listen: Listen,
    ) -> Result<Self, SocketError> {
        let settings = Settings { membership, dscp, offload, listen };
        Ok(Self {
            everyone: GroupReceiver::open(membership, offload)?,
            host: settings.host_socket()?,
            spare: (listen == Listen::GroupPort).then(|| settings.host_socket()).transpose()?,
            settings,
            listening: Listening::AtAnyPort,
            trains: Trains::new(offload == Offload::Used),
            own: None,
            interface: 0,
        })
    }

    /// Joins the group on the interface, as if never before. Answers come from the interface's address, so that an
    /// acknowledgement reaches only this host; its port stays the same while the address does.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn attach(&mut self, interface: &Interface) -> Result<(), SocketError> {
        self.interface = interface.index;
        self.everyone.join_on(interface.index)?;
        let own = interface.socket_addr(0);
        if self.own != Some(own) {
            if self.own.take().is_some() {
                self.unbind()?;
            }
            self.listening = self.bind(interface)?;
            self.own = Some(own);
        }
        Ok(())
    }

    /// Has trains to the group leave through this interface, and reach its own network alone (TTL 1). This host does not
    /// hear them. An interface that the sockets are put on later takes its place only by another call.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn forward_through(&self, interface: &Interface) -> Result<(), SocketError> {
        let socket = SockRef::from(&self.host);
        multicast::send_through(&socket, interface, 1)?;
        let is_off = match interface.addr {
            IpAddr::V4(_) => socket.set_multicast_loop_v4(false),
            IpAddr::V6(_) => socket.set_multicast_loop_v6(false),
        };
        is_off.map_err(SocketError::at("keep what is forwarded from this host"))?;
        let _ = socket::enlarge_send_buffer(&socket, SEND_BUFFER);
        Ok(())
    }

    /// Opens the sockets anew, as [`detached`](Self::detached), for when the system has closed them.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn reopen(&mut self) -> Result<(), SocketError> {
        let Settings { membership, dscp, offload, listen } = self.settings;
        *self = Self::detached(membership, dscp, offload, listen)?;
        Ok(())
    }

    /// Returns where this host is reached at its own address.
    pub fn listening(&self) -> Listening {
        self.listening
    }

    /// Returns the size of the receive buffer for datagrams to everyone.
    pub fn buffer(&self) -> Buffer {
        self.everyone.buffer()
    }

    /// Returns the only source whose datagrams to everyone are received; `None` for any. Datagrams to this host alone are
    /// received from all.
    pub fn source(&self) -> Option<IpAddr> {
        self.settings.membership.source()
    }

    /// Returns the sockets to sleep on.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.everyone.as_fd(), self.host.as_fd()]
    }

    /// Receives queued datagrams without blocking. Returns the number of messages.
    ///
    /// # Errors
    /// Those of [`Batch::receive`].
    pub fn receive(&self, inlet: Inlet, batch: &mut Batch) -> io::Result<usize> {
        batch.receive(match inlet {
            Inlet::Everyone => self.everyone.as_fd(),
            Inlet::Host => self.host.as_fd(),
        })
    }

    /// Sends one datagram to a sender. A link-local address is taken as one of this interface's link, because only that
    /// link could have carried it, and a link has another index on each host.
    ///
    /// # Errors
    /// The error of sendto(2); `NotConnected` while the sockets are on no interface.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        if self.own.is_none() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.host.send_to(datagram, on_link(to, self.interface)).map(|_| ())
    }

    /// Sends the rest of a train to the destinations, from `progress` on, without blocking.
    pub fn forward(&mut self, train: &Train<'_>, to: &[Destination], progress: &mut Progress) -> Taken {
        self.trains.send(self.host.as_fd(), train, to, progress)
    }

    /// Returns the form in which [`forward`](Self::forward) takes a destination: with this link, if it needs one.
    pub fn destination(&self, to: SocketAddr) -> Destination {
        Destination::from(on_link(to, self.interface))
    }

    /// Makes `host` a socket that is bound to nothing.
    fn unbind(&mut self) -> Result<(), SocketError> {
        // Dissolving an association, of which there is none, gives back a port that the kernel has chosen
        // (`__udp_disconnect` in net/ipv4/udp.c); then the socket can be bound again, and keeps its buffer.
        let was_chosen = !matches!(self.listening, Listening::AtGroupPort(_));
        if was_chosen && rustix::net::connect_unspec(&self.host).is_ok() {
            return Ok(());
        }
        self.host = match self.spare.take() {
            Some(spare) => spare,
            None => self.settings.host_socket()?,
        };
        Ok(())
    }

    /// Binds `host` to the interface's address: to the group's port if it is wanted and free.
    fn bind(&mut self, interface: &Interface) -> Result<Listening, SocketError> {
        let bind = |socket: &UdpSocket, to| rustix::net::bind(socket, &to).map_err(io::Error::from);
        let mut listening = Listening::AtAnyPort;
        if self.settings.listen == Listen::GroupPort {
            let wanted = interface.socket_addr(self.settings.membership.group().addr().port());
            match bind(&self.host, wanted) {
                Ok(()) => return Ok(Listening::AtGroupPort(wanted)),
                Err(error) => listening = Listening::Refused(wanted, error.kind()),
            }
        }
        if bind(&self.host, interface.socket_addr(0)).is_err() {
            // It may be bound still, if the kernel does not give a port back.
            self.host = self.settings.host_socket()?;
            bind(&self.host, interface.socket_addr(0))
                .map_err(SocketError::at("bind to the interface's address"))?;
        }
        Ok(listening)
    }
}

impl Settings {
    /// Opens the socket of one host, which is not bound yet.
    fn host_socket(self) -> Result<UdpSocket, SocketError> {
        let like = self.membership.group().addr();
        let socket = socket::open(like)?;
        socket::mark(&socket, like, self.dscp)?;
        // A whole push may come here, or what the last host of a push needs.
        let buffer = match self.listen {
            Listen::GroupPort => GROUP_BUFFER,
            Listen::AnyPort => HOST_BUFFER,
        };
        socket::enlarge_receive_buffer(&socket, buffer);
        if self.offload == Offload::Used {
            let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        }
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
        Ok(socket.into())
    }
}

/// Holds what a sender sends to a single host between two of its polls.
const HOST_BUFFER: usize = 8 << 20;

/// A full socket buffer keeps the link busy until the receive loop's next turn: 0.8 ms at 10 Gbit/s. What is beyond it
/// waits in the relay's own queue, which is counted.
const SEND_BUFFER: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    use crate::net::multicast::Group;

    #[test]
    fn a_host_listens_at_its_address_and_the_groups_port() {
        let (membership, lo) = loopback("239.255.71.69:47180");
        let uplink = Uplink::open(membership, &lo, 0, Offload::Used, Listen::GroupPort).expect("joined");
        let at = SocketAddr::from(([127, 0, 0, 1], 47180));
        assert_eq!(uplink.listening(), Listening::AtGroupPort(at));
        let sender = bound();
        sender.send_to(b"by unicast", at).expect("sent");
        assert_eq!(received(&uplink, Inlet::Host), [b"by unicast"]);
        assert!(received(&uplink, Inlet::Everyone).is_empty());
    }

    #[test]
    fn a_taken_port_leaves_a_host_the_group_and_its_answers() {
        let (membership, lo) = loopback("239.255.71.69:47181");
        let holder = UdpSocket::bind("127.0.0.1:47181").expect("free");
        let uplink = Uplink::open(membership, &lo, 0, Offload::Used, Listen::GroupPort).expect("joined");
        let wanted = holder.local_addr().expect("bound");
        assert_eq!(uplink.listening(), Listening::Refused(wanted, io::ErrorKind::AddrInUse));
        let sender = bound();
        uplink.send(b"an answer", sender.local_addr().expect("bound")).expect("sent");
        let (_, from) = sender.recv_from(&mut [0; 64]).expect("it came");
        sender.send_to(b"an ack", from).expect("sent");
        assert_eq!(received(&uplink, Inlet::Host), [b"an ack"]);
    }

    #[test]
    fn a_host_that_is_not_to_listen_has_any_port() {
        let (membership, lo) = loopback("239.255.71.69:47182");
        let uplink = Uplink::open(membership, &lo, 0, Offload::Used, Listen::AnyPort).expect("joined");
        assert_eq!(uplink.listening(), Listening::AtAnyPort);
        assert_ne!(uplink.host.local_addr().expect("bound").port(), 47182);
    }

    #[test]
    fn a_host_follows_its_interface_to_another_address_and_keeps_its_buffer() {
        let (membership, mut lo) = loopback("239.255.71.69:47183");
        for listen in [Listen::GroupPort, Listen::AnyPort] {
            let mut uplink = Uplink::open(membership, &lo, 0, Offload::Used, listen).expect("joined");
            let buffer = |uplink: &Uplink| SockRef::from(&uplink.host).recv_buffer_size().expect("a socket");
            let before = buffer(&uplink);
            for last in [2, 3, 1] {
                lo.addr = IpAddr::from([127, 0, 0, last]);
                uplink.attach(&lo).expect("an address of this machine");
                let at = uplink.host.local_addr().expect("bound");
                assert_eq!((at.ip(), buffer(&uplink)), (lo.addr, before));
                assert_eq!(at.port() == 47183, listen == Listen::GroupPort);
            }
        }
    }

    #[test]
    fn what_is_forwarded_goes_to_the_children_and_the_group() {
        let (membership, lo) = loopback("239.255.71.69:47184");
        let mut relay = Uplink::open(membership, &lo, 0, Offload::Used, Listen::GroupPort).expect("joined");
        relay.forward_through(&lo).expect("loopback");
        let (child, gone) = (bound(), SocketAddr::from(([192, 0, 2, 1], 7)));
        let to = [gone, child.local_addr().expect("bound"), membership.group().addr()];
        let to = to.map(|to| relay.destination(to));
        let bytes: Vec<u8> = (0..2500).map(|i| (i / 1000) as u8).collect();
        let mut progress = Progress::default();
        assert_eq!(relay.forward(&Train::of(&bytes, 1000), &to, &mut progress), Taken::All);
        assert_eq!(progress, Progress { destinations: 3, datagrams: 0, refused: 1 });
        let lengths = [(); 3].map(|()| child.recv(&mut [0; 2000]).expect("it came"));
        assert_eq!(lengths, [1000, 1000, 500]);
        // On this interface everything comes back, whatever the socket keeps from its own machine.
        assert_eq!(received(&relay, Inlet::Everyone).concat(), bytes);
        let socket = SockRef::from(&relay.host);
        assert_eq!(socket.multicast_ttl_v4().ok(), Some(1));
        assert_eq!(socket.multicast_loop_v4().ok(), Some(false));
    }

    fn loopback(group: &str) -> (Membership, Interface) {
        let group: Group = group.parse().expect("a group");
        let membership = Membership::new(group, None).expect("not source-specific");
        (membership, Interface::find("lo", group).expect("loopback"))
    }

    fn bound() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("loopback")
    }

    fn received(uplink: &Uplink, inlet: Inlet) -> Vec<Vec<u8>> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        sleep(Duration::from_millis(20));
        while uplink.receive(inlet, &mut batch).expect("open") > 0 {
            got.extend(batch.datagrams().map(|(_, datagram)| datagram.to_vec()));
        }
        got
    }
}
