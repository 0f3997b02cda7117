//! Reading and writing fields: big-endian, bounds in one place.

use std::net::{IpAddr, SocketAddr};

use super::discard::Discard;
use crate::ids::{IMAGE_ID_BYTES, is_image_id};

/// Takes fields off the front of a plaintext; every read that goes past the end says [`Discard::Malformed`].
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

    /// An address that can be answered to: its family, the address, the port.
    pub(super) fn address(&mut self) -> Result<SocketAddr, Discard> {
        let ip = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Discard::Malformed),
        };
        let port = self.u16()?;
        if ip.is_unspecified() || ip.is_multicast() || port == 0 {
            return Err(Discard::Malformed);
        }
        Ok(SocketAddr::new(ip, port))
    }

    /// An image's id as text, empty for none.
    pub(super) fn image_id(&mut self) -> Result<Option<String>, Discard> {
        match self.text(IMAGE_ID_BYTES)? {
            "" => Ok(None),
            id if is_image_id(id) => Ok(Some(id.to_owned())),
            _ => Err(Discard::Malformed),
        }
    }

    /// Nothing may be left over: a field that we do not know is a format that we do not know.
    pub(super) fn end(self) -> Result<(), Discard> {
        if self.0.is_empty() { Ok(()) } else { Err(Discard::Malformed) }
    }

    /// A byte that is 0 or 1.
    pub(super) fn bool(&mut self) -> Result<bool, Discard> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Discard::Malformed),
        }
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

    /// A text with its length in one byte before it.
    pub(super) fn text(&mut self, text: &str) {
        self.u8(u8::try_from(text.len()).expect("texts are limited to 255 bytes"));
        self.bytes(text.as_bytes());
    }
}

/// Cuts a text to at most `max` bytes at a character's border.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A text that may be shown in a terminal: what could move its cursor becomes a question mark.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if crate::ids::is_unprintable(c) { '?' } else { c }).collect()
}
