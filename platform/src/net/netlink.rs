//! Questions to the kernel's routing tables, and notices of their changes: the messages of rtnetlink(7), as far as they
//! are needed. Attributes are left to the caller.
//!
//! A socket is connected to the kernel, so that no other process can send to it. Reading takes no right.

#![allow(clippy::host_endian_bytes, reason = "netlink is in the byte order of the machine")]

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with,
};

/// A question: a kind, a fixed header, and attributes.
pub(super) struct Question {
    bytes: Vec<u8>,
}

impl Question {
    /// Begins a question of this kind (`RTM_GET*`) about one thing. `header` is the kind's own structure, such as
    /// `ifinfomsg`.
    pub(super) fn one(kind: u16, header: &[u8]) -> Self {
        Self::new(kind, libc::NLM_F_REQUEST | libc::NLM_F_ACK, header)
    }

    /// Begins a question of this kind about everything there is.
    pub(super) fn all(kind: u16, header: &[u8]) -> Self {
        Self::new(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, header)
    }

    fn new(kind: u16, flags: i32, header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        bytes[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
        bytes.extend_from_slice(header);
        Self { bytes }.padded()
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let len = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.padded()
    }

    fn padded(mut self) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// Asks, and calls `take` for each message of the answer.
    ///
    /// # Errors
    /// The kernel's, such as ENODEV for a link that does not exist, or ETIMEDOUT without an answer.
    pub(super) fn ask(self, mut take: impl FnMut(Message<'_>)) -> io::Result<()> {
        let socket = kernel(0)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        send(&socket, &self.bytes, SendFlags::empty())?;
        let mut buffer = vec![0; BUFFER];
        for _ in 0..DATAGRAMS_MAX {
            let len = match recv(&socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((len, _)) => len,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            };
            for message in Messages(&buffer[..len.min(BUFFER)]) {
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => return message.error(),
                    _ => take(message),
                }
            }
        }
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// A socket on which the kernel tells of changes of links and addresses.
#[derive(Debug)]
pub(super) struct Notices(OwnedFd);

impl Notices {
    /// # Errors
    /// The system's.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(kernel(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)?))
    }

    /// Calls `take` for each message that has come, without waiting. Takes at most [`NOTICES_MAX`] datagrams.
    ///
    /// # Errors
    /// ENOBUFS if messages were lost.
    pub(super) fn take(&self, buffer: &mut [u8], mut take: impl FnMut(Message<'_>)) -> io::Result<()> {
        for _ in 0..NOTICES_MAX {
            match recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((len, _)) => Messages(&buffer[..len.min(buffer.len())]).for_each(&mut take),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A socket that talks to the kernel alone and is a member of `groups`.
fn kernel(groups: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, NETLINK_ROUTE)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// One message of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// `RTM_NEW*`, `RTM_DEL*`, or one of netlink's own.
    pub(super) kind: u16,
    /// The kind's own structure and attributes.
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Returns the 32-bit number at `offset` of the kind's own structure.
    pub(super) fn u32(&self, offset: usize) -> Option<u32> {
        number(self.body.get(offset..)?)
    }

    /// Returns the byte at `offset` of the kind's own structure.
    pub(super) fn byte(&self, offset: usize) -> Option<u8> {
        self.body.get(offset).copied()
    }

    /// Returns the attributes after a structure of `header` bytes.
    pub(super) fn attributes(&self, header: usize) -> Attributes<'a> {
        Attributes(self.body.get(header..).unwrap_or(&[]))
    }

    /// Returns what a message of kind `NLMSG_ERROR` says: a negative error number, or 0 for an acknowledgement.
    fn error(&self) -> io::Result<()> {
        match self.u32(0).map_or(-libc::EBADMSG, u32::cast_signed) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        }
    }
}

/// The messages of a datagram. One that is cut short ends them.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let len = number(self.0)? as usize;
        let message = self.0.get(..len).filter(|message| message.len() >= HEADER)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message { kind: short(&message[4..])?, body: &message[HEADER..] })
    }
}

/// Attributes (`rtattr`): each a kind and a value. One that is cut short ends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Returns the attributes that a value consists of.
    pub(super) fn within(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Returns the value of the first attribute of this kind.
    pub(super) fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(other, value)| (other == kind).then_some(value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let len = usize::from(short(self.0)?);
        let attribute = self.0.get(..len).filter(|attribute| attribute.len() >= ATTRIBUTE)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        // The upper bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
        Some((short(&attribute[2..])? & 0x3fff, &attribute[ATTRIBUTE..]))
    }
}

/// Returns the 32-bit number at the beginning of `bytes`.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn short(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// `struct nlmsghdr`: length, kind, flags, sequence, port.
const HEADER: usize = 16;
/// `struct rtattr`: length, kind.
const ATTRIBUTE: usize = 4;
/// Each socket asks once.
const SEQUENCE: u32 = 1;

/// The kernel answers with datagrams of at most 32 KiB (`netlink_dump` in net/netlink/af_netlink.c).
pub(super) const BUFFER: usize = 64 << 10;

/// The tables of a node with a hundred thousand interfaces; there the answer ends with an error.
const DATAGRAMS_MAX: usize = 1 << 16;

/// The kernel answers at once, but for a lock that others may hold.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Datagrams of notices in a row; the others are taken the next time.
const NOTICES_MAX: usize = 64;

/// The protocol 0, which `rustix` has no name for.
const NETLINK_ROUTE: Option<Protocol> = None;

/// Groups of linux/rtnetlink.h.
const RTMGRP_LINK: u32 = 0x1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_its_length_and_aligned_attributes() {
        let question = Question::one(libc::RTM_GETLINK, &[0; 16]).with(3, b"eth0\0");
        assert_eq!(question.bytes.len(), 16 + 16 + 12);
        assert_eq!(number(&question.bytes), Some(44));
        let message = Messages(&question.bytes).next().expect("one");
        let attributes: Vec<_> = message.attributes(16).collect();
        assert_eq!((message.kind, attributes), (libc::RTM_GETLINK, vec![(3, &b"eth0\0"[..])]));
    }

    #[test]
    fn what_is_cut_short_or_has_a_wrong_length_ends_the_reading() {
        let whole = Question::one(libc::RTM_GETLINK, &[0; 16]).with(3, b"eth0").bytes;
        for len in 0..whole.len() {
            assert_eq!(Messages(&whole[..len]).count(), 0, "{len} bytes");
        }
        for len in [0u32, 1, 15, 45, u32::MAX] {
            let mut wrong = whole.clone();
            wrong[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(Messages(&wrong).count(), 0, "a length of {len}");
        }
        for (bytes, count) in
            [(&[0, 0, 3, 0][..], 0), (&[3, 0, 3, 0], 0), (&[9, 0, 3, 0, 1], 0), (&[5, 0, 3, 0, 1], 1)]
        {
            assert_eq!(Attributes(bytes).count(), count, "{bytes:?}");
        }
    }

    #[test]
    fn the_kernel_answers_about_one_thing_and_about_all() {
        let count = |question: Question| {
            let mut count = 0;
            question.ask(|_| count += 1).map(|()| count)
        };
        let mut about_lo = [0; 16];
        about_lo[4..8].copy_from_slice(&1u32.to_ne_bytes());
        assert_eq!(count(Question::one(libc::RTM_GETLINK, &about_lo)).expect("every machine has it"), 1);
        assert!(count(Question::all(libc::RTM_GETLINK, &[0; 16])).expect("a list") >= 1);
        let unknown = Question::one(libc::RTM_GETLINK, &[0; 16]).with(3, b"none-such\0");
        let error = count(unknown).expect_err("no such link");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{error}");
    }
}
