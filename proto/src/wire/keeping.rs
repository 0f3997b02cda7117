//! The format of the object's bytes, and how long hosts keep them: fields of an announcement, for the hosts' stores.

use std::fmt;
use std::time::Duration;

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;

crate::named_enum! {
    /// The format of the object's bytes, named as Glance's `disk_format` names it.
    #[derive(Default)]
    pub enum DiskFormat: u8 {
        /// None of the others, or not known.
        #[default]
        Other = 0 => "other",
        /// A disk, sector by sector.
        Raw = 1 => "raw",
        /// QEMU's copy-on-write format, version 2 or 3.
        Qcow2 = 2 => "qcow2",
        /// VMware's.
        Vmdk = 3 => "vmdk",
        /// Virtual PC's; QEMU calls it vpc.
        Vhd = 4 => "vhd",
        /// Hyper-V's.
        Vhdx = 5 => "vhdx",
        /// VirtualBox's.
        Vdi = 6 => "vdi",
        /// Raw bytes that Nova uses without judging what they hold: the disk of an image that was converted, with a
        /// boot sector that Nova refuses in a raw image; a compressed kernel or ramdisk.
        RawContent = 7 => "raw-content",
    }
}

impl DiskFormat {
    /// Length on the wire.
    pub(super) const BYTES: usize = 1;

    /// Whether the bytes are a disk, sector by sector, or are used as one.
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Raw | Self::RawContent)
    }

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        out.u8(self as u8);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Self::from_byte(body.u8()?).ok_or(Discard::Malformed)
    }
}

/// How long hosts keep the object where something else would remove it, as Nova does with images that nobody uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// No longer than the owner of the place keeps it.
    #[default]
    None,
    /// This long after its publication, in whole seconds, at least one.
    For(Duration),
    /// Until it is unpinned.
    Forever,
}

impl Pin {
    /// Length on the wire.
    pub(super) const BYTES: usize = PinFields::BYTES;

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        let (code, seconds) = match self {
            Self::None => (NONE, 0),
            Self::For(time) => (FOR, u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
            Self::Forever => (FOREVER, 0),
        };
        out.u8(code);
        out.u32(seconds);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match (body.u8()?, body.u32()?) {
            (NONE, 0) => Ok(Self::None),
            (FOR, seconds) if seconds > 0 => Ok(Self::For(Duration::from_secs(u64::from(seconds)))),
            (FOREVER, 0) => Ok(Self::Forever),
            _ => Err(Discard::Malformed),
        }
    }
}

/// How long an object is pinned that was published before: a [`Pin`] that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinTime {
    /// This long from now on, in whole seconds, at least one.
    For(Duration),
    /// Until it is unpinned.
    Forever,
}

impl PinTime {
    /// Length on the wire.
    pub(super) const BYTES: usize = Pin::BYTES;

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        Pin::from(self).emit(out);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match Pin::parse(body)? {
            Pin::None => Err(Discard::Malformed),
            Pin::For(time) => Ok(Self::For(time)),
            Pin::Forever => Ok(Self::Forever),
        }
    }
}

impl From<PinTime> for Pin {
    fn from(time: PinTime) -> Self {
        match time {
            PinTime::For(time) => Self::For(time),
            PinTime::Forever => Self::Forever,
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::For(time) => write!(f, "for {} s", time.as_secs()),
            Self::Forever => f.write_str("forever"),
        }
    }
}

const NONE: u8 = 0;
const FOR: u8 = 1;
const FOREVER: u8 = 2;

fields! {
    PinFields {
        HOW_LONG: 1,
        SECONDS: 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for format in DiskFormat::ALL {
            assert_eq!(DiskFormat::parse(&mut Reader::new(&[format as u8])), Ok(format));
        }
        let week = Duration::from_secs(7 * 86_400);
        for pin in [Pin::None, Pin::For(Duration::from_secs(1)), Pin::For(week), Pin::Forever] {
            let mut bytes = Vec::new();
            pin.emit(&mut Writer::new(&mut bytes));
            assert_eq!(Pin::parse(&mut Reader::new(&bytes)), Ok(pin));
        }
    }

    #[test]
    fn a_pin_keeps_a_whole_second_at_least_and_136_years_at_most() {
        for (time, seconds) in [(Duration::from_millis(10), 1), (Duration::MAX, u32::MAX)] {
            let mut bytes = Vec::new();
            Pin::For(time).emit(&mut Writer::new(&mut bytes));
            assert_eq!(bytes[1..], seconds.to_be_bytes());
        }
    }

    #[test]
    fn what_cannot_be_is_malformed() {
        assert_eq!(DiskFormat::parse(&mut Reader::new(&[8])), Err(Discard::Malformed));
        for bytes in [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [2, 0, 0, 0, 1], [3, 0, 0, 0, 0]] {
            assert_eq!(Pin::parse(&mut Reader::new(&bytes)), Err(Discard::Malformed), "{bytes:?}");
        }
    }
}
