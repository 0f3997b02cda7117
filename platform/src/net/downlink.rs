//! A sender's socket: datagrams to all paths of a push, to some of them, or to one host, with what the network refuses
//! told apart from what the kernel cannot do, and the hosts' answers.
//!
//! All copies of a datagram are equal. A batch takes one call for each path. What one path refuses is that path's own:
//! the others get theirs, and the machine hears of it.
//!
//! The socket outlives its network. Nothing here decides how long a refusal is borne: the caller offers the datagrams
//! again, and has the socket [follow](Downlink::follow) its interface.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use glancecast_proto::sender::{PathAddrs, PathSet, To};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

use super::interface::{Interface, on_link};
use super::multicast;
use super::options;
use super::path::path_mtu;
use super::refusals::Refusals;
use super::socket::{self, Buffer, Offload, SocketError};
use super::transport::{Destinations, Marking};

/// A sender's socket: it sends to all destinations and receives the hosts' answers at its own address.
#[derive(Debug)]
pub struct Downlink {
    socket: UdpSocket,
    destinations: Destinations,
    /// The addresses of the paths, by their numbers.
    paths: Vec<Option<SocketAddr>>,
    /// The same, with the interface's link if an address needs one.
    addrs: Vec<Option<SocketAddr>>,
    local: SocketAddr,
    interface: Interface,
    /// The port that hosts answer to, as it was asked for: 0 for any.
    reply_port: u16,
    marking: Marking,
    /// The length of every datagram of a GSO batch except the last, in bytes.
    segment: usize,
    segmentation: bool,
    /// The last datagram found no room. The next one is tried once.
    is_full: bool,
    refusals: Refusals,
    receive: Buffer,
    send: Buffer,
}

/// What the network did not take of a batch.
#[derive(Debug)]
pub struct Refusal {
    /// The system's error.
    pub error: io::Error,
    /// The bytes at the start of the batch that a destination took: whole datagrams.
    pub taken: usize,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { error, taken: 0 }
    }
}

/// What has changed about a socket that followed its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Hosts answer to the same address.
    SameAddress,
    /// Hosts answer to this address from now on.
    NewAddress(SocketAddr),
}

impl Downlink {
    /// Opens the socket on `interface`. Hosts answer to `reply_port`, 0 for any free one. The datagrams of a GSO batch
    /// have `segment` bytes.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn open(
        destinations: Destinations,
        interface: &Interface,
        reply_port: u16,
        marking: Marking,
        segment: usize,
        offload: Offload,
    ) -> Result<Self, SocketError> {
        let first = destinations.first();
        let socket = socket::open(first)?;
        multicast::send_through(&socket, interface, marking.ttl)?;
        socket::mark(&socket, first, marking.dscp)?;
        options::never_fragment(&socket, first.is_ipv4()).map_err(SocketError::at("forbid fragments"))?;
        let own = interface.socket_addr(reply_port);
        socket.bind(&own.into()).map_err(SocketError::at("bind to the interface's address"))?;
        let send = socket::enlarge_send_buffer(&socket, SEND_BUFFER);
        let receive = socket::enlarge_receive_buffer(&socket, FEEDBACK_BUFFER);
        socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
        let segmentation = offload == Offload::Used && set_segment(&socket, segment).is_ok();
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().map_err(SocketError::at("read back the address"))?;
        let paths: Vec<_> = destinations.all().map(Some).collect();
        let addrs = on_links(&paths, interface);
        let interface = interface.clone();
        let (is_full, refusals) = (false, Refusals::default());
        Ok(Self {
            socket,
            destinations,
            paths,
            addrs,
            local,
            interface,
            reply_port,
            marking,
            segment,
            segmentation,
            is_full,
            refusals,
            receive,
            send,
        })
    }

    /// Sends what is for everyone to these paths from now on, in place of the destinations.
    pub fn set_paths(&mut self, paths: &PathAddrs) {
        let numbers = 0..paths.all().iter().last().map_or(0, |last| last + 1);
        self.take_paths(numbers.map(|path| paths.addr(path)).collect());
    }

    fn take_paths(&mut self, paths: Vec<Option<SocketAddr>>) {
        self.addrs = on_links(&paths, &self.interface);
        self.paths = paths;
        let has_unicast = self.paths.iter().flatten().any(|addr| !addr.ip().is_multicast());
        self.refusals.watch(&self.socket, has_unicast);
    }

    /// Returns the next address that refuses what is sent to it: by this machine's routes or firewall, by a router on
    /// the way, or by its host, where nobody listens. Anybody may have forged the latter two. Only pushes with a
    /// unicast path hear of them.
    pub fn poll_refusal(&mut self) -> Option<SocketAddr> {
        self.refusals.next(&self.socket)
    }

    /// Makes the socket one of `interface`, which is the same interface in its present state: made anew with another
    /// index, or with another address. The port stays, unless any was asked for and it is taken now.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step. The socket is unchanged then.
    pub fn follow(&mut self, interface: &Interface) -> Result<Followed, SocketError> {
        // A socket that is bound to a link-local address is bound to the link's index as well.
        let is_bound_anew = interface.socket_addr(self.local.port()) != self.local;
        if !is_bound_anew {
            let socket = Socket::from(
                self.socket.try_clone().map_err(SocketError::at("duplicate the socket's descriptor"))?,
            );
            multicast::send_through(&socket, interface, self.marking.ttl)?;
            self.addrs = on_links(&self.paths, interface);
            self.interface = interface.clone();
            return Ok(Followed::SameAddress);
        }
        let offload = if self.segmentation { Offload::Used } else { Offload::Avoided };
        let open = |port| {
            Self::open(self.destinations.clone(), interface, port, self.marking, self.segment, offload)
        };
        let opened = match open(self.local.port()) {
            Err(_) if self.reply_port == 0 => open(0)?,
            opened => opened?,
        };
        let before = self.local;
        let paths = std::mem::take(&mut self.paths);
        *self = Self { reply_port: self.reply_port, ..opened };
        self.take_paths(paths);
        let is_same = (before.ip(), before.port()) == (self.local.ip(), self.local.port());
        Ok(if is_same { Followed::SameAddress } else { Followed::NewAddress(self.local) })
    }

    /// Has datagrams to the group leave with this TTL from now on, for a diagnosis.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), SocketError> {
        let duplicate =
            self.socket.try_clone().map_err(SocketError::at("duplicate the socket's descriptor"))?;
        multicast::send_through(&Socket::from(duplicate), &self.interface, ttl)?;
        self.marking.ttl = ttl;
        Ok(())
    }

    /// Sends a batch whose datagrams have `segment` bytes, other than those of the socket's own batches, for a
    /// diagnosis.
    ///
    /// # Errors
    /// Those of [`send_batch`](Self::send_batch).
    pub fn send_batch_of(&mut self, segment: usize, batch: &[u8], to: To) -> Result<(), Refusal> {
        let usual = std::mem::replace(&mut self.segment, segment);
        let result = self.use_segment().and_then(|()| self.send_batch(batch, to));
        self.segment = usual;
        self.use_segment()?;
        result
    }

    /// Has the kernel cut batches into datagrams of the present length, if it cuts them at all.
    fn use_segment(&self) -> Result<(), Refusal> {
        match self.segmentation {
            true => set_segment(&self.socket, self.segment).map_err(|error| io::Error::from(error).into()),
            false => Ok(()),
        }
    }

    /// Returns the destinations.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// Returns the interface, as it was when the socket was opened or followed it last.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Returns the address to which hosts answer.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns the size of the buffer for the hosts' answers.
    pub fn receive_buffer(&self) -> Buffer {
        self.receive
    }

    /// Returns the size of the send buffer.
    pub fn send_buffer(&self) -> Buffer {
        self.send
    }

    /// Returns the length of the longest IP packet that the way of every path takes at present, in bytes.
    pub fn path_mtu(&self) -> Option<u32> {
        path_mtu(self.paths.iter().copied().flatten(), &self.interface)
    }

    /// Returns the length of the IP packets that the datagrams of a batch travel in, in bytes.
    pub fn packet_bytes(&self) -> usize {
        self.segment + usize::from(self.destinations.ip_header()) + 8
    }

    /// Returns the number of copies of a datagram that the interface sends.
    pub fn copies(&self, to: To) -> u64 {
        match to {
            To::Host(_) => 1,
            To::Everyone | To::Paths(_) => self.numbers(to).count() as u64,
        }
    }

    /// Returns the length of the Ethernet frame of one copy of a datagram, in bytes.
    pub fn frame_bytes(&self, datagram: usize) -> u64 {
        self.destinations.frame_bytes(datagram)
    }

    /// Sends one datagram, of at most the length of those of a batch. To paths, it blocks for up to [`FULL_MAX`] while
    /// the socket's buffer or the queue below is full. To a single host, it tries once and ignores failure: a host that
    /// is gone must not end a push, and any other host asks again.
    ///
    /// # Errors
    /// Those of [`send_batch`](Self::send_batch).
    pub fn send(&mut self, datagram: &[u8], to: To) -> Result<(), Refusal> {
        match to {
            To::Everyone | To::Paths(_) => self.send_batch(datagram, to),
            To::Host(host) => {
                let _ = self.send_batch_to(datagram, self.on_link(host), Duration::ZERO);
                Ok(())
            }
        }
    }

    /// Sends a GSO batch: datagrams of one length, of which the last may be shorter. It blocks for up to [`FULL_MAX`]
    /// for each path while the socket's buffer or the queue below is full. A path that refuses it is
    /// [told](Self::poll_refusal) if the batch was for some paths only, or another path took it.
    ///
    /// # Errors
    /// The refusal, if the batch was for everyone and no path accepted all of it, or if there was no room for it.
    pub fn send_batch(&mut self, batch: &[u8], to: To) -> Result<(), Refusal> {
        let patience = if self.is_full { Duration::ZERO } else { FULL_MAX };
        if let To::Host(host) = to
            && self.send_batch_to(batch, self.on_link(host), patience).is_ok()
        {
            return Ok(());
        }
        // If unicast to one host fails, the batch still goes to everyone.
        let (mut result, mut refused): (Option<Result<(), Refusal>>, _) = (None, PathSet::NONE);
        for path in 0..self.addrs.len() as u32 {
            let Some(addr) = self.addr(path, to) else { continue };
            let sent = self.send_batch_to(batch, addr, patience);
            if sent.as_ref().is_err_and(|refusal| !is_full(&refusal.error)) {
                refused = refused.union(PathSet::of(path));
            }
            result = Some(match result {
                None => sent,
                Some(before) => better(before, sent),
            });
        }
        // While no host is known that it could go to, a batch for everyone is for nobody.
        let result = result.unwrap_or(Ok(()));
        self.is_full = result.as_ref().is_err_and(|refusal| is_full(&refusal.error));
        let is_for_some = matches!(to, To::Paths(_));
        if result.is_err() && (!is_for_some || self.is_full) {
            return result;
        }
        let addrs = refused.iter().filter_map(|path| self.paths[path as usize]);
        addrs.for_each(|addr| self.refusals.note(addr));
        Ok(())
    }

    /// Returns the numbers of the paths that a datagram goes to.
    fn numbers(&self, to: To) -> impl Iterator<Item = u32> {
        (0..self.addrs.len() as u32).filter(move |&path| self.addr(path, to).is_some())
    }

    /// Returns the address of a path, if it is there and the datagram goes to it.
    fn addr(&self, path: u32, to: To) -> Option<SocketAddr> {
        let is_meant = match to {
            To::Paths(paths) => paths.contains(path),
            To::Everyone | To::Host(_) => true,
        };
        self.addrs[path as usize].filter(|_| is_meant)
    }

    fn send_batch_to(&mut self, batch: &[u8], addr: SocketAddr, patience: Duration) -> Result<(), Refusal> {
        if !self.segmentation {
            return self.send_singly(batch, addr, patience);
        }
        match patiently(patience, || self.send_to(batch, addr)) {
            Err(error) if may_refuse_segmentation(&error) => self.send_unsegmented(batch, addr, patience),
            result => result.map_err(Refusal::from),
        }
    }

    /// Sends a batch that was refused by an error that some devices and tunnels give for segmentation alone: without
    /// it. Where the network takes no datagram either, segmentation was not the reason, and is used again later.
    fn send_unsegmented(
        &mut self,
        batch: &[u8],
        addr: SocketAddr,
        patience: Duration,
    ) -> Result<(), Refusal> {
        let _ = set_segment(&self.socket, 0);
        let result = self.send_singly(batch, addr, patience);
        let is_the_reason = result.as_ref().map_or_else(|refusal| refusal.taken > 0, |()| true);
        self.segmentation = !is_the_reason && set_segment(&self.socket, self.segment).is_ok();
        result
    }

    /// Sends each datagram of a batch with a call of its own.
    fn send_singly(&mut self, batch: &[u8], addr: SocketAddr, patience: Duration) -> Result<(), Refusal> {
        let mut taken = 0;
        for datagram in batch.chunks(self.segment) {
            let sent = patiently(patience, || self.send_to(datagram, addr));
            sent.map_err(|error| Refusal { error, taken })?;
            taken += datagram.len();
        }
        Ok(())
    }

    /// Returns a host's address with the present link: it may have been heard before the interface was made anew.
    fn on_link(&self, host: SocketAddr) -> SocketAddr {
        on_link(host, self.interface.index)
    }

    fn send_to(&mut self, bytes: &[u8], addr: SocketAddr) -> io::Result<()> {
        let sent = self.socket.send_to(bytes, addr).map(|_| ());
        match sent {
            Err(error) if self.refusals.is_watching() => self.send_again(bytes, addr, error),
            sent => sent,
        }
    }

    /// Sends what was refused by an error that may be an earlier datagram's: once that is taken from the socket.
    fn send_again(&mut self, bytes: &[u8], addr: SocketAddr, mut error: io::Error) -> io::Result<()> {
        for _ in 0..EARLIER_ERRORS_MAX {
            match errno(&error) {
                // A socket that watches hears of a full device queue, too, which no other socket does (net/ipv4/udp.c,
                // `udp_send_skb`). Part of a batch may be in the queue by then.
                Some(Errno::ENOBUFS) => return Ok(()),
                Some(Errno::EAGAIN | Errno::EINTR) => break,
                _ if !self.refusals.take_in(&self.socket) => break,
                _ => match self.socket.send_to(bytes, addr) {
                    Ok(_) => return Ok(()),
                    Err(next) => error = next,
                },
            }
        }
        Err(error)
    }
}

impl AsFd for Downlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn on_links(paths: &[Option<SocketAddr>], interface: &Interface) -> Vec<Option<SocketAddr>> {
    paths.iter().map(|path| path.map(|addr| on_link(addr, interface.index))).collect()
}

/// Has the kernel cut what is sent with one call into datagrams of `bytes` bytes; 0 for none of it (udp(7),
/// `UDP_SEGMENT`).
fn set_segment(socket: &impl AsFd, bytes: usize) -> nix::Result<()> {
    setsockopt(socket, sockopt::UdpGsoSegment, &(bytes as i32))
}

/// Of several paths one that took everything counts, else the one that took most.
fn better(one: Result<(), Refusal>, other: Result<(), Refusal>) -> Result<(), Refusal> {
    match (one, other) {
        (Ok(()), _) | (_, Ok(())) => Ok(()),
        (Err(one), Err(other)) => Err(if other.taken > one.taken { other } else { one }),
    }
}

/// Retries while the socket buffer (EAGAIN) or the device queue (ENOBUFS) is full, for about `patience`: waiting loses
/// nothing. The pauses double, so that a queue that does not move costs little.
fn patiently(patience: Duration, mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let (mut waited, mut pause) = (Duration::ZERO, FULL_WAIT);
    loop {
        match send() {
            Err(error) if is_full(&error) && waited < patience => {
                std::thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(FULL_WAIT_MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EAGAIN | Errno::ENOBUFS))
}

/// Whether the kernel may mean segmentation (net/ipv4/udp.c, `udp_send_skb`). Devices without checksum offload and some
/// tunnels refuse a batch only when it is sent.
fn may_refuse_segmentation(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP))
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// A full socket buffer keeps the link busy until the next attempt: 3 ms at 10 Gbit/s with the kernel's overhead. A
/// larger one is not faster, and the default holds only a few batches.
const SEND_BUFFER: usize = 8 << 20;
/// The time of a few frames at 1 Gbit/s.
const FULL_WAIT: Duration = Duration::from_micros(50);
/// The longest pause: a third of what a full buffer holds at 10 Gbit/s.
const FULL_WAIT_MAX: Duration = Duration::from_millis(1);
/// How long a datagram waits for room before it counts as refused: longer than a batch takes on the slowest line that a
/// rate can be set to.
pub const FULL_MAX: Duration = Duration::from_secs(1);
/// Errors of earlier datagrams that one call meets: there is one at a time, and the next may come meanwhile.
const EARLIER_ERRORS_MAX: u32 = 4;
/// Holds the hellos of 10 000 hosts at once.
const FEEDBACK_BUFFER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::multicast::Group;

    #[test]
    fn a_refusal_of_the_network_is_no_refusal_of_segmentation() {
        // From a loopback address the kernel sends nothing to other machines (EINVAL), whatever its length.
        let away: SocketAddr = "192.0.2.1:7167".parse().expect("an address");
        let mut sender = downlink(Destinations::new(None, vec![away]).expect("possible"));
        for _ in 0..3 {
            let refusal = sender.send_batch(&[7; 2500], To::Everyone).expect_err("out of reach");
            assert_eq!((errno(&refusal.error), refusal.taken), (Some(Errno::EINVAL), 0));
            assert!(sender.segmentation, "it is used once the network is back");
        }
    }

    #[test]
    fn without_offload_every_datagram_is_sent_with_a_call_of_its_own() {
        let host = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let to = Destinations::new(None, vec![host.local_addr().expect("bound")]).expect("possible");
        let mut sender = open(to, 0, Offload::Avoided);
        assert!(!sender.segmentation);
        sender.send_batch(&[7; 2500], To::Everyone).expect("taken");
        let lengths = [1000, 1000, 500].map(|_| host.recv(&mut [0; 2000]).expect("it came"));
        assert_eq!(lengths, [1000, 1000, 500]);
        sender.send_batch_of(400, &[7; 900], To::Everyone).expect("taken");
        let lengths = [400, 400, 100].map(|_| host.recv(&mut [0; 2000]).expect("it came"));
        assert_eq!((lengths, sender.segment), ([400, 400, 100], 1000));
        let lo = sender.interface.clone();
        sender.follow(&lo).expect("it is still there");
        assert!(!sender.segmentation, "nor after a change of the interface");
    }

    #[test]
    fn a_batch_for_some_paths_goes_to_those_alone_and_what_one_refuses_is_told_as_its_own() {
        // From a loopback address the kernel sends nothing to other machines (EINVAL).
        let away: SocketAddr = "192.0.2.1:7167".parse().expect("an address");
        let hosts = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("loopback"));
        let addrs = hosts.each_ref().map(|host| host.local_addr().expect("bound"));
        let group: Group = "239.255.71.67:47172".parse().expect("a group");
        for offload in [Offload::Used, Offload::Avoided] {
            let mut sender = open(group.into(), 0, offload);
            // The path with the number 1 is gone.
            sender.take_paths(vec![Some(addrs[0]), None, Some(away), Some(addrs[1])]);
            assert_eq!(sender.copies(To::Everyone), 3);
            sender.send_batch(&[1; 1500], To::Everyone).expect("two paths took it");
            assert_eq!((sender.poll_refusal(), sender.poll_refusal()), (Some(away), None));
            let some = To::Paths([1, 3].into_iter().collect());
            assert_eq!(sender.copies(some), 1);
            sender.send_batch(&[2; 1000], some).expect("taken");
            sender.send_batch(&[3; 1000], To::Paths(PathSet::of(2))).expect("it is the path's own");
            assert_eq!((sender.poll_refusal(), sender.poll_refusal()), (Some(away), None));
            let heard = |host: &UdpSocket| {
                host.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
                let mut datagram = [0; 2000];
                std::iter::from_fn(|| host.recv(&mut datagram).ok().map(|len| (len, datagram[0]))).collect()
            };
            let [first, second]: [Vec<(usize, u8)>; 2] = hosts.each_ref().map(heard);
            assert_eq!(first, [(1000, 1), (500, 1)]);
            assert_eq!(second, [(1000, 1), (500, 1), (1000, 2)]);
        }
    }

    #[test]
    fn a_host_that_refuses_is_told_and_keeps_no_datagram_from_the_others() {
        let host = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback");
        let mut sender = downlink(Destinations::new(None, vec![closed]).expect("possible"));
        sender.take_paths(vec![Some(closed), Some(host.local_addr().expect("bound"))]);
        for i in 0..20 {
            sender.send_batch(&[i; 1000], To::Everyone).expect("an earlier refusal is no error of this one");
        }
        let mut datagram = [0; 2000];
        for i in 0..20 {
            assert_eq!((host.recv(&mut datagram).expect("it came"), datagram[0]), (1000, i));
        }
        assert_eq!(sender.poll_refusal(), Some(closed));
        sender.take_paths(Vec::new());
        sender.send_batch(&[7; 1000], To::Everyone).expect("for nobody");
        assert_eq!(sender.copies(To::Everyone), 0);
    }

    #[test]
    fn a_queue_that_does_not_move_is_waited_for_in_vain_once() {
        let mut calls = 0;
        let full = || {
            calls += 1;
            Err(io::Error::from_raw_os_error(Errno::ENOBUFS as i32))
        };
        assert!(patiently(Duration::from_millis(20), full).is_err_and(|error| is_full(&error)));
        assert!((5..50).contains(&calls), "{calls} calls in 20 ms");
    }

    #[test]
    fn a_socket_follows_its_interface_to_another_address_and_keeps_the_port() {
        let group: Group = "239.255.71.67:47171".parse().expect("a group");
        let mut sender = downlink(group.into());
        let before = sender.local_addr();
        let mut lo = sender.interface().clone();
        assert_eq!(sender.follow(&lo).expect("nothing has changed"), Followed::SameAddress);
        assert_eq!(sender.local_addr(), before);
        lo.addr = "127.0.0.2".parse().expect("an address");
        let after = SocketAddr::new(lo.addr, before.port());
        assert_eq!(sender.follow(&lo).expect("an address of this machine"), Followed::NewAddress(after));
        assert_eq!(sender.local_addr(), after);
        lo.addr = "192.0.2.1".parse().expect("an address");
        assert!(sender.follow(&lo).is_err(), "no address of this machine");
        assert_eq!(sender.local_addr(), after, "unchanged");
    }

    fn downlink(destinations: Destinations) -> Downlink {
        open(destinations, 0, Offload::Used)
    }

    fn open(destinations: Destinations, port: u16, offload: Offload) -> Downlink {
        let lo = Interface::find("lo", "127.0.0.1:7".parse::<SocketAddr>().expect("an address"));
        let marking = Marking { ttl: 1, dscp: 8 };
        Downlink::open(destinations, &lo.expect("loopback"), port, marking, 1000, offload).expect("opened")
    }
}
