//! Reading and writing fields: big-endian, with their bounds and their sizes in one place.

use std::net::{IpAddr, SocketAddr};

use super::discard::Discard;
use crate::ids::{HostName, IMAGE_ID_BYTES, ObjectName, is_image_id};
use crate::limits::{HOST_NAME_MAX, OBJECT_NAME_MAX};
use crate::text::{cut, printable};

/// Names the largest size of each field of a part of a datagram in bytes, in the order in which they stand there, and
/// the sum of all as `BYTES`.
macro_rules! fields {
    ($(#[$meta:meta])* $part:ident { $($(#[$field_meta:meta])* $FIELD:ident: $bytes:expr,)+ }) => {
        $(#[$meta])*
        enum $part {}

        impl $part {
            $($(#[$field_meta])* const $FIELD: usize = $bytes;)+
            const BYTES: usize = 0 $(+ Self::$FIELD)+;
        }
    };
}

pub(super) use fields;

/// Size of a text of at most `max` bytes: its length in one byte, then the text.
pub(super) const fn text(max: usize) -> usize {
    1 + max
}

/// Size of a list of at most `max` entries of `bytes` each: their number in one byte, then the entries.
pub(super) const fn list(max: usize, bytes: usize) -> usize {
    1 + max * bytes
}

/// Size of a byte that says which of several forms follows, the longest of which has `bytes`.
pub(super) const fn choice(bytes: usize) -> usize {
    1 + bytes
}

/// Largest size of an address: its family, an IPv6 address, the port.
pub(super) const ADDRESS: usize = 1 + 16 + 2;

/// Largest size of an image's id.
pub(super) const IMAGE_ID: usize = text(IMAGE_ID_BYTES);

/// Takes fields off the front of a plaintext; every read past the end returns [`Discard::Malformed`].
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Discard> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Discard::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Discard> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Discard> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u24(&mut self) -> Result<u32, Discard> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Discard> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u40(&mut self) -> Result<u64, Discard> {
        let [a, b, c, d, e] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Discard> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A byte that is 0 or 1.
    pub(super) fn bool(&mut self) -> Result<bool, Discard> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Discard::Malformed),
        }
    }

    /// The number of entries of a list, in one byte, at most `max`.
    pub(super) fn count(&mut self, max: usize) -> Result<u8, Discard> {
        let count = self.u8()?;
        if usize::from(count) <= max { Ok(count) } else { Err(Discard::Malformed) }
    }

    /// A text with its length in one byte before it, at most `max` bytes.
    pub(super) fn text(&mut self, max: usize) -> Result<&'a str, Discard> {
        let len = usize::from(self.u8()?);
        if len > max || len > self.0.len() {
            return Err(Discard::Malformed);
        }
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Discard::Malformed)
    }

    /// A text for people, as [`printable`].
    pub(super) fn printable(&mut self, max: usize) -> Result<String, Discard> {
        self.text(max).map(printable)
    }

    pub(super) fn host_name(&mut self) -> Result<HostName, Discard> {
        HostName::new(self.text(HOST_NAME_MAX)?).map_err(|_| Discard::Malformed)
    }

    pub(super) fn object_name(&mut self) -> Result<ObjectName, Discard> {
        ObjectName::new(self.text(OBJECT_NAME_MAX)?).map_err(|_| Discard::Malformed)
    }

    /// An image's id as text, empty for none.
    pub(super) fn image_id(&mut self) -> Result<Option<String>, Discard> {
        match self.text(IMAGE_ID_BYTES)? {
            "" => Ok(None),
            id if is_image_id(id) => Ok(Some(id.to_owned())),
            _ => Err(Discard::Malformed),
        }
    }

    /// The address of one host: its family (4 or 6), the address, the port.
    pub(super) fn address(&mut self) -> Result<SocketAddr, Discard> {
        let address = self.any_address()?;
        if address.ip().is_multicast() { Err(Discard::Malformed) } else { Ok(address) }
    }

    /// The address of a multicast group, or a byte of zero for none.
    pub(super) fn maybe_group(&mut self) -> Result<Option<SocketAddr>, Discard> {
        if self.0.first() == Some(&0) {
            return self.u8().map(|_| None);
        }
        let address = self.any_address()?;
        if address.ip().is_multicast() { Ok(Some(address)) } else { Err(Discard::Malformed) }
    }

    /// An address that a datagram can be sent to.
    fn any_address(&mut self) -> Result<SocketAddr, Discard> {
        let ip = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Discard::Malformed),
        };
        let port = self.u16()?;
        if ip.is_unspecified() || port == 0 { Err(Discard::Malformed) } else { Ok(SocketAddr::new(ip, port)) }
    }

    /// An address, or a byte of zero for none.
    pub(super) fn maybe_address(&mut self) -> Result<Option<SocketAddr>, Discard> {
        if self.0.first() == Some(&0) {
            return self.u8().map(|_| None);
        }
        self.address().map(Some)
    }

    /// Checks that nothing is left over: an unknown field is an unknown format.
    pub(super) fn end(self) -> Result<(), Discard> {
        if self.0.is_empty() { Ok(()) } else { Err(Discard::Malformed) }
    }
}

/// Appends fields.
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// The low `width` bytes of a number that fits them.
    pub(super) fn uint(&mut self, value: u64, width: usize) {
        assert!(width == 8 || value >> (8 * width) == 0, "{value} in {width} bytes");
        self.bytes(&value.to_be_bytes()[8 - width..]);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A text with its length in one byte before it.
    pub(super) fn text(&mut self, text: &str) {
        self.u8(u8::try_from(text.len()).expect("texts are limited to 255 bytes"));
        self.bytes(text.as_bytes());
    }

    /// A text for people: what goes beyond `max` bytes is cut off.
    pub(super) fn cut_text(&mut self, text: &str, max: usize) {
        self.text(cut(text, max));
    }

    /// See [`Reader::maybe_address`].
    pub(super) fn maybe_address(&mut self, address: Option<SocketAddr>) {
        match address {
            Some(address) => self.address(address),
            None => self.u8(0),
        }
    }

    /// See [`Reader::address`].
    pub(super) fn address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => {
                self.u8(4);
                self.bytes(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.u8(6);
                self.bytes(&ip.octets());
            }
        }
        self.u16(address.port());
    }
}
