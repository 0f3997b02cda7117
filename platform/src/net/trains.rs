//! Sending one train of datagrams to several destinations: sendmmsg(2) with `UDP_SEGMENT`.
//!
//! A **train** is a run of datagrams of one length, of which the last may be shorter. Its bytes may lie apart: in the
//! batch that they were received in, or in one piece. The kernel takes a train for each destination, and up to
//! 32 of them with one call. Nothing here allocates, and no call blocks.
//!
//! Beside `batch.rs` this is the crate's only file with `unsafe`. nix is no replacement: `nix::sys::socket::sendmmsg`
//! (0.31) takes slices of one length for all messages in memory that it allocates.

#![allow(clippy::host_endian_bytes, reason = "what the kernel is handed is in its own byte order")]

use std::io::{self, IoSlice};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
/// A destination, in the form that the kernel takes.
pub use socket2::SockAddr as Destination;

/// Datagrams of a train: what the kernel cuts from one packet (`UDP_MAX_SEGMENTS`, include/linux/udp.h before 6.9).
pub const DATAGRAMS_MAX: usize = 64;

/// Bytes of a train: the longest payload of an IPv4 packet.
pub const BYTES_MAX: usize = 65_507;

/// Messages of one call.
const MESSAGES: usize = 32;

/// Datagrams of one length, of which the last may be shorter, wherever their bytes are.
#[derive(Debug)]
pub struct Train<'a> {
    parts: [IoSlice<'a>; DATAGRAMS_MAX],
    /// The parts in use.
    len: usize,
    bytes: usize,
    segment: usize,
    /// Whether a shorter datagram has ended the train.
    is_ended: bool,
}

impl Default for Train<'_> {
    fn default() -> Self {
        Self { parts: [IoSlice::new(&[]); DATAGRAMS_MAX], len: 0, bytes: 0, segment: 0, is_ended: false }
    }
}

impl<'a> Train<'a> {
    /// Returns the train of bytes in one piece, cut every `segment` bytes.
    ///
    /// # Panics
    /// If it is longer than a train may be.
    pub fn of(bytes: &'a [u8], segment: usize) -> Self {
        assert!(bytes.len() <= BYTES_MAX && bytes.len().div_ceil(segment.max(1)) <= DATAGRAMS_MAX);
        let mut train = Self { bytes: bytes.len(), segment, is_ended: true, ..Self::default() };
        train.parts[0] = IoSlice::new(bytes);
        train.len = usize::from(!bytes.is_empty());
        train
    }

    /// Adds a datagram at the end. Returns whether it fits: if not, the train goes first.
    pub fn push(&mut self, datagram: &'a [u8]) -> bool {
        let is_first = self.len == 0;
        let fits = !self.is_ended
            && self.len < DATAGRAMS_MAX
            && datagram.len() <= self.segment
            && self.bytes + datagram.len() <= BYTES_MAX;
        if !is_first && !fits || datagram.is_empty() {
            return false;
        }
        if is_first {
            self.segment = datagram.len();
        }
        self.is_ended = datagram.len() < self.segment;
        self.parts[self.len] = IoSlice::new(datagram);
        self.len += 1;
        self.bytes += datagram.len();
        true
    }

    /// Whether there is no datagram.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the length of all datagrams together, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the length of every datagram but the last, in bytes.
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// Returns the pieces in which the bytes lie.
    pub fn parts(&self) -> &[IoSlice<'a>] {
        &self.parts[..self.len]
    }

    /// Returns the datagrams.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.parts().iter().flat_map(|part| part.chunks(self.segment))
    }
}

/// How far a train has come: to these many destinations it went as a whole, to the next one these many datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Destinations that are done with.
    pub destinations: usize,
    /// Datagrams that the next destination has.
    pub datagrams: usize,
    /// Destinations that refused the train, as one that no route leads to.
    pub refused: usize,
}

/// What became of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The kernel took it, or a destination refused it.
    All,
    /// The socket's buffer or the queue below is full.
    Full,
}

/// How trains are sent through one socket.
#[derive(Debug)]
pub struct Trains {
    segmentation: bool,
}

impl Trains {
    /// `segmentation` says whether the kernel may cut trains.
    pub(crate) fn new(segmentation: bool) -> Self {
        Self { segmentation }
    }

    /// Sends the rest of a train to the destinations, from `progress` on.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        train: &Train<'_>,
        to: &[Destination],
        progress: &mut Progress,
    ) -> Taken {
        while progress.destinations < to.len() && !train.is_empty() {
            let singly = !self.segmentation || progress.datagrams > 0;
            let sent = if singly {
                send_singly(socket, train, &to[progress.destinations], progress)
            } else {
                send_whole(socket, train, &to[progress.destinations..], progress)
            };
            match sent {
                Ok(()) => {}
                Err(error) if is_full(&error) => return Taken::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !singly && may_refuse_segmentation(&error) => {
                    match send_singly(socket, train, &to[progress.destinations], progress) {
                        // Where the network takes no datagram either, segmentation was not the reason.
                        Ok(()) => self.segmentation = false,
                        Err(error) if is_full(&error) => return Taken::Full,
                        Err(_) => progress.refuse(),
                    }
                }
                Err(_) => progress.refuse(),
            }
        }
        Taken::All
    }
}

impl Progress {
    fn refuse(&mut self) {
        self.refused += 1;
        self.next();
    }

    fn next(&mut self) {
        self.destinations += 1;
        self.datagrams = 0;
    }
}

/// Sends the train to as many destinations as the kernel takes with one call.
fn send_whole(
    socket: BorrowedFd<'_>,
    train: &Train<'_>,
    to: &[Destination],
    progress: &mut Progress,
) -> io::Result<()> {
    let mut call = Call::new(train.segment);
    to.iter().take(MESSAGES).for_each(|to| call.add(train.parts(), to));
    let sent = call.send(socket)?;
    (0..sent).for_each(|_| progress.next());
    Ok(())
}

/// Sends the datagrams that the destination lacks, each as a message of its own.
fn send_singly(
    socket: BorrowedFd<'_>,
    train: &Train<'_>,
    to: &Destination,
    progress: &mut Progress,
) -> io::Result<()> {
    loop {
        let mut pieces = [IoSlice::new(&[]); MESSAGES];
        let mut len = 0;
        for (piece, datagram) in pieces.iter_mut().zip(train.datagrams().skip(progress.datagrams)) {
            *piece = IoSlice::new(datagram);
            len += 1;
        }
        if len == 0 {
            progress.next();
            return Ok(());
        }
        let mut call = Call::new(0);
        pieces[..len].iter().for_each(|piece| call.add(std::slice::from_ref(piece), to));
        progress.datagrams += call.send(socket)?;
    }
}

/// Bytes of the control message with the segment size: a `cmsghdr` and 16 bits, padded to eight bytes.
const CONTROL_BYTES: usize = size_of::<libc::cmsghdr>() + 8;

/// The messages of one call. It borrows what its pointers point to.
struct Call<'a> {
    headers: [libc::mmsghdr; MESSAGES],
    len: usize,
    segment: usize,
    borrowed: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Call<'a> {
    /// A call without messages. The kernel cuts each message every `segment` bytes; 0 for none of it.
    fn new(segment: usize) -> Self {
        // SAFETY: `mmsghdr` is a plain C struct of integers and pointers, for which all-zero is a valid value.
        let headers = unsafe { zeroed() };
        Self { headers, len: 0, segment, borrowed: std::marker::PhantomData }
    }

    /// Adds a message, of which there are at most [`MESSAGES`].
    fn add(&mut self, parts: &'a [IoSlice<'a>], to: &'a Destination) {
        let header = &mut self.headers[self.len].msg_hdr;
        // `IoSlice` has the layout of `iovec` (its documentation). The kernel reads from what these point to.
        header.msg_iov = parts.as_ptr().cast_mut().cast();
        header.msg_iovlen = parts.len() as _;
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
        self.len += 1;
    }

    /// Sends without blocking. Returns the number of messages that the kernel took, at least 1.
    fn send(mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut control = control(self.segment);
        if self.segment > 0 {
            for header in &mut self.headers[..self.len] {
                // The kernel only reads it, so that all messages may share it.
                header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            }
        }
        // SAFETY: the first `len` headers are initialised. Each points to an array of iovecs and a name of the stated
        // lengths, which are borrowed for 'a, and to `control`, which lives to the end of this function. The kernel
        // reads all of them, and writes `msg_len` of the headers alone, which are borrowed mutably.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.len as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}

/// Aligns the control message as the kernel's structure is.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Writes the control message `UDP_SEGMENT` (udp(7)): length, level and type in native order, then 16 bits.
fn control(segment: usize) -> Control {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let mut control = Control([0; CONTROL_BYTES]);
    control.0[..size_of::<usize>()].copy_from_slice(&(HEADER + size_of::<u16>()).to_ne_bytes());
    control.0[HEADER - 8..HEADER - 4].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    control.0[HEADER - 4..HEADER].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    control.0[HEADER..HEADER + 2].copy_from_slice(&(segment as u16).to_ne_bytes());
    control
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EAGAIN | Errno::ENOBUFS))
}

/// Whether the kernel may mean segmentation (net/ipv4/udp.c, `udp_send_skb`).
fn may_refuse_segmentation(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use crate::net::batch::Batch;

    #[test]
    fn a_train_takes_datagrams_of_one_length_and_a_shorter_last_one() {
        let bytes = [7; 1500];
        let mut train = Train::default();
        assert!(train.is_empty() && !train.push(&[]), "an empty datagram is none");
        assert!(train.push(&bytes[..1000]) && train.push(&bytes[..1000]));
        assert!(!train.push(&bytes[..1001]), "longer than the first");
        assert!(train.push(&bytes[..500]));
        assert!(!train.push(&bytes[..500]), "the last one may be shorter, and only that");
        assert_eq!((train.bytes(), train.segment(), train.datagrams().count()), (2500, 1000, 3));
    }

    #[test]
    fn a_train_is_no_longer_than_the_kernel_takes() {
        let bytes = [7; 9000];
        for (len, datagrams) in [(9000, 7), (1400, 46), (1023, 64), (100, 64)] {
            let mut train = Train::default();
            let pushed = (0..100).take_while(|_| train.push(&bytes[..len])).count();
            assert_eq!(pushed, datagrams, "of {len} bytes");
            assert!(train.bytes() <= BYTES_MAX);
        }
    }

    #[test]
    fn trains_bring_what_plain_sending_brings() {
        let (from, to) = (bound(), [bound(), bound(), bound()]);
        let names = to.each_ref().map(|to| Destination::from(to.local_addr().expect("bound")));
        let bytes: Vec<u8> = (0..40 * 700 + 123).map(|i| (i / 700) as u8).collect();
        let expected: Vec<Vec<u8>> = bytes.chunks(700).map(<[u8]>::to_vec).collect();
        let mut apart = Train::default();
        assert!(expected.iter().all(|datagram| apart.push(datagram)));
        for train in [apart, Train::of(&bytes, 700)] {
            assert!(train.datagrams().eq(bytes.chunks(700)));
            for segmentation in [true, false] {
                let mut progress = Progress::default();
                let sent = Trains::new(segmentation).send(from.as_fd(), &train, &names, &mut progress);
                assert_eq!(sent, Taken::All);
                assert_eq!(progress, Progress { destinations: 3, datagrams: 0, refused: 0 });
                to.iter().for_each(|to| assert_eq!(drain(to), expected));
            }
        }
    }

    #[test]
    fn a_train_goes_on_where_the_kernel_took_no_more() {
        let (from, to) = (bound(), bound());
        let names = [Destination::from(to.local_addr().expect("bound"))];
        let bytes: Vec<u8> = (0..40 * 700).map(|i| (i / 700) as u8).collect();
        let mut progress = Progress { destinations: 0, datagrams: 38, refused: 0 };
        let train = Train::of(&bytes, 700);
        assert_eq!(Trains::new(true).send(from.as_fd(), &train, &names, &mut progress), Taken::All);
        assert_eq!(drain(&to), [vec![38; 700], vec![39; 700]]);
    }

    /// A socket of the Unix domain is full when its peer has not read ten datagrams or so.
    #[test]
    fn a_full_socket_takes_the_rest_later() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("peer");
        let peer = UnixDatagram::bind(&path).expect("a new path");
        peer.set_nonblocking(true).expect("a socket");
        let (from, names) =
            (UnixDatagram::unbound().expect("a socket"), [Destination::unix(&path).expect("short")]);
        let bytes: Vec<u8> = (0..40 * 700).map(|i| (i / 700) as u8).collect();
        let (mut progress, mut got, mut turns) = (Progress::default(), Vec::new(), 0);
        let mut trains = Trains::new(false);
        while trains.send(from.as_fd(), &Train::of(&bytes, 700), &names, &mut progress) == Taken::Full {
            let mut datagram = [0; 2000];
            while let Ok(len) = peer.recv(&mut datagram) {
                got.push(datagram[..len].to_vec());
            }
            assert_eq!(got.len(), progress.datagrams);
            turns += 1;
        }
        assert!(turns > 1 && got.iter().map(Vec::as_slice).eq(bytes.chunks(700).take(got.len())));
        assert_eq!(progress, Progress { destinations: 1, datagrams: 0, refused: 0 });
    }

    fn bound() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("loopback")
    }

    fn drain(socket: &UdpSocket) -> Vec<Vec<u8>> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        while batch.receive(socket.as_fd()).expect("open socket") > 0 {
            got.extend(batch.datagrams().map(|(_, datagram)| datagram.to_vec()));
        }
        got
    }
}
