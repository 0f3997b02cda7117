//! Receiving many datagrams with one system call: recvmmsg(2) with `UDP_GRO`, into memory that is allocated once.
//!
//! The kernel returns up to [`MESSAGES`] messages. Each is a run of datagrams of equal length from one sender, merged
//! by `UDP_GRO` (net/ipv4/udp_offload.c: 64 segments, 64 KiB).
//!
//! Beside `trains.rs` this is the crate's only file with `unsafe`. nix is no replacement: `nix::sys::socket::recvmmsg` (0.31) leaves the
//! length of a `MultiHeaders`' control buffers as the kernel wrote it. After a message without control messages, a
//! reused one loses the segment size of the next, and a run of 40 datagrams looks like a single one. New headers for
//! each call allocate, which costs 2 % more CPU per datagram with `UDP_GRO` and 10 % more without.

#![allow(clippy::host_endian_bytes, reason = "what the kernel hands over is in its own byte order")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Messages per call. With `UDP_GRO` they fill at most half of a second-level cache. Without it, a dozen datagrams are
/// enough to amortise the call.
pub const MESSAGES: usize = 16;

/// Maximum length of a message in bytes: UDP's length field has 16 bits.
const MESSAGE_BYTES: usize = 1 << 16;

/// Distance between the starts of two messages, in bytes. At multiples of a power of two, short messages would all fall
/// into the same few cache lines.
const STRIDE: usize = MESSAGE_BYTES + 1536 + 64;

/// Bytes for control messages: the segment size (a C int) and the drop counter (32 bits), each 24 bytes with padding.
const CONTROL_BYTES: usize = 64;

/// Bytes for an address: `sockaddr_in6` is the longest.
const NAME_BYTES: usize = 28;

/// The memory for one call, and the messages of the last call.
pub struct Batch {
    bytes: Box<[u8]>,
    control: Box<[Aligned<CONTROL_BYTES>; MESSAGES]>,
    names: Box<[Aligned<NAME_BYTES>; MESSAGES]>,
    messages: [Message; MESSAGES],
    received: usize,
    drops: Option<u32>,
}

/// Aligns kernel structures to eight bytes.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Aligned<const N: usize>([u8; N]);

#[derive(Clone, Copy)]
struct Message {
    len: usize,
    segment: usize,
    from: Option<SocketAddr>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            bytes: vec![0; MESSAGES * STRIDE].into_boxed_slice(),
            control: Box::new([Aligned([0; CONTROL_BYTES]); MESSAGES]),
            names: Box::new([Aligned([0; NAME_BYTES]); MESSAGES]),
            messages: [Message { len: 0, segment: 0, from: None }; MESSAGES],
            received: 0,
            drops: None,
        }
    }
}

impl Batch {
    /// Receives what the socket has queued, without blocking. Returns the number of messages, which may be 0.
    ///
    /// # Errors
    /// The error of recvmmsg(2), except for EAGAIN and EINTR.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received = 0;
        let mut iovecs: [libc::iovec; MESSAGES] =
            [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES];
        // SAFETY: `mmsghdr` is a plain C struct of integers and pointers, for which all-zero is a valid value.
        let mut headers: [libc::mmsghdr; MESSAGES] = unsafe { zeroed() };
        for (i, chunk) in self.bytes.chunks_exact_mut(STRIDE).enumerate() {
            iovecs[i] = libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: MESSAGE_BYTES };
            let header = &mut headers[i].msg_hdr;
            header.msg_iov = &raw mut iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control = self.control[i].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
            header.msg_name = self.names[i].0.as_mut_ptr().cast();
            header.msg_namelen = NAME_BYTES as u32;
        }
        // SAFETY: `headers` holds MESSAGES initialised headers. Each points to one iovec, one control buffer and one
        // name buffer of the stated lengths. All are distinct and borrowed from `self` or this frame for the whole
        // call, during which nothing else refers to them. A null timeout is allowed.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                MESSAGES as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.received = received as usize;
        for (i, header) in headers.iter().enumerate().take(self.received) {
            let control_len = header.msg_hdr.msg_controllen;
            let controls = Controls::parse(&self.control[i].0[..control_len.min(CONTROL_BYTES)]);
            self.drops = controls.drops.or(self.drops);
            let len = (header.msg_len as usize).min(MESSAGE_BYTES);
            self.messages[i] = Message {
                len,
                segment: controls.segment.unwrap_or(len).max(1),
                from: parse_name(&self.names[i].0),
            };
        }
        Ok(self.received)
    }

    /// Returns the non-empty datagrams of the last call with their senders, in the order of arrival.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let messages = self.messages[..self.received].iter().zip(self.bytes.chunks_exact(STRIDE));
        messages
            .filter_map(|(message, bytes)| {
                Some((message.from?, bytes[..message.len].chunks(message.segment)))
            })
            .flat_map(|(from, datagrams)| datagrams.map(move |datagram| (from, datagram)))
    }

    /// Whether the last call may have left messages behind.
    pub fn was_full(&self) -> bool {
        self.received == MESSAGES
    }

    /// Returns the total length of the last call's messages, in bytes.
    pub fn bytes(&self) -> usize {
        self.messages[..self.received].iter().map(|message| message.len).sum()
    }

    /// Returns the number of datagrams that the socket has dropped since it was opened because its buffer was full
    /// (`SO_RXQ_OVFL`), as of the last datagram received; `None` before the first drop.
    pub fn drops(&self) -> Option<u32> {
        self.drops
    }
}

/// The control messages that are evaluated.
#[derive(Default)]
struct Controls {
    segment: Option<usize>,
    drops: Option<u32>,
}

impl Controls {
    /// Parses the `cmsghdr` records (cmsg(3)): length, level, type in native order, then data, padded to eight bytes.
    fn parse(mut rest: &[u8]) -> Self {
        let mut controls = Self::default();
        while let Some((record, level, kind)) = next_record(&mut rest) {
            match (level, kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    controls.segment =
                        first_u32(record).map(|segment| segment as usize).filter(|&segment| segment > 0);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => controls.drops = first_u32(record),
                _ => {}
            }
        }
        controls
    }
}

fn next_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], i32, i32)> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let len = usize::from_ne_bytes(*rest.first_chunk()?);
    let record = rest.get(..len)?;
    let level = i32::from_ne_bytes(*record.get(8..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*record.get(12..)?.first_chunk()?);
    let data = record.get(HEADER..)?;
    *rest = rest.get(len.next_multiple_of(8)..).unwrap_or(&[]);
    Some((data, level, kind))
}

fn first_u32(data: &[u8]) -> Option<u32> {
    data.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// Parses a `sockaddr_in` or `sockaddr_in6`: family in native order, port and address in network order.
fn parse_name(name: &[u8; NAME_BYTES]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes([name[0], name[1]]));
    let port = u16::from_be_bytes([name[2], name[3]]);
    match family {
        libc::AF_INET => {
            let ip: [u8; 4] = *name[4..].first_chunk()?;
            Some(SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *name[8..].first_chunk()?;
            let scope = u32::from_ne_bytes(*name[24..].first_chunk()?);
            Some(SocketAddr::V6(SocketAddrV6::new(ip.into(), port, 0, scope)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn a_batch_brings_what_plain_receiving_brings() {
        let (to, from) = (bound(), bound());
        let sent: Vec<Vec<u8>> = (1..100usize).map(|i| vec![i as u8; (i * 37) % 1400 + 1]).collect();
        for datagram in &sent {
            from.send_to(datagram, to.local_addr().expect("bound")).expect("loopback");
        }
        let sender = from.local_addr().expect("bound");
        let got = drain(&to);
        assert_eq!(got.len(), sent.len());
        for (i, (address, datagram)) in got.iter().enumerate() {
            assert_eq!((*address, datagram), (sender, &sent[i]));
        }
    }

    #[test]
    fn merged_datagrams_come_apart_again() {
        let (to, from) = (bound(), bound());
        nix::sys::socket::setsockopt(&to, nix::sys::socket::sockopt::UdpGroSegment, &true)
            .expect("Linux 5.0");
        nix::sys::socket::setsockopt(&from, nix::sys::socket::sockopt::UdpGsoSegment, &700)
            .expect("Linux 4.18");
        let train: Vec<u8> = (0..700 * 40 + 123).map(|i| (i / 700) as u8).collect();
        from.send_to(&train, to.local_addr().expect("bound")).expect("loopback");
        let got: Vec<Vec<u8>> = drain(&to).into_iter().map(|(_, datagram)| datagram).collect();
        let expected: Vec<Vec<u8>> = train.chunks(700).map(<[u8]>::to_vec).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn ipv6_senders_have_their_address() {
        let Ok(to) = UdpSocket::bind("[::1]:0") else { return eprintln!("no IPv6 here") };
        let from = UdpSocket::bind("[::1]:0").expect("as above");
        from.send_to(b"six", to.local_addr().expect("bound")).expect("loopback");
        assert_eq!(drain(&to), [(from.local_addr().expect("bound"), b"six".to_vec())]);
    }

    #[test]
    fn control_messages_cut_short_are_passed_over() {
        let mut buffer = [0u8; CONTROL_BYTES];
        buffer[..8].copy_from_slice(&20usize.to_ne_bytes());
        buffer[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        buffer[12..16].copy_from_slice(&libc::UDP_GRO.to_ne_bytes());
        buffer[16..20].copy_from_slice(&1432i32.to_ne_bytes());
        assert_eq!(Controls::parse(&buffer[..24]).segment, Some(1432));
        for len in 0..20 {
            assert_eq!(Controls::parse(&buffer[..len]).segment, None, "{len} bytes");
        }
        buffer[..8].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(Controls::parse(&buffer).segment, None, "a length beyond the buffer");
        buffer[..8].copy_from_slice(&3usize.to_ne_bytes());
        assert_eq!(Controls::parse(&buffer).segment, None, "a length below the header's");
    }

    fn bound() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("loopback")
    }

    fn drain(socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        sleep(Duration::from_millis(20));
        while batch.receive(socket.as_fd()).expect("open socket") > 0 {
            got.extend(batch.datagrams().map(|(from, datagram)| (from, datagram.to_vec())));
        }
        got
    }
}
