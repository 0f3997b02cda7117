//! The names of formats: those declared for an image, and those that bytes can have.

use std::str::FromStr;

use crate::enums::named_enum;

named_enum! {
    /// The declared format of an image: Glance's `disk_format`, by its name there.
    pub enum DiskFormat {
        /// A disk, sector by sector.
        Raw => "raw",
        /// QEMU's copy-on-write format, version 2 or 3.
        Qcow2 => "qcow2",
        /// VMware's.
        Vmdk => "vmdk",
        /// Virtual PC's.
        Vhd => "vhd",
        /// Hyper-V's.
        Vhdx => "vhdx",
        /// VirtualBox's.
        Vdi => "vdi",
        /// An optical disc; for a host it is raw.
        Iso => "iso",
        /// A disk with a GUID partition table; for a host it is raw.
        Gpt => "gpt",
        /// An encrypted disk.
        Luks => "luks",
        /// Amazon's machine image, for Nova a raw disk.
        Ami => "ami",
        /// A kernel.
        Aki => "aki",
        /// A ramdisk.
        Ari => "ari",
    }
}

/// A `disk_format` that is not supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown disk format {0:?}: known are raw, qcow2, vmdk, vhd, vhdx, vdi, iso, gpt, luks, ami, aki and ari"
)]
pub struct UnknownDiskFormat(pub String);

impl DiskFormat {
    /// Whether an image with this declared format may look like `format`. The rules are Nova's: a raw image may have
    /// partitions, and Amazon's formats may be anything that QEMU treats as raw.
    pub const fn allows(self, format: Format) -> bool {
        match self {
            Self::Raw => matches!(format, Format::Raw | Format::Gpt),
            Self::Ami | Self::Aki | Self::Ari => matches!(format, Format::Raw | Format::Gpt | Format::Iso),
            Self::Qcow2 => matches!(format, Format::Qcow2),
            Self::Vmdk => matches!(format, Format::Vmdk),
            Self::Vhd => matches!(format, Format::Vhd),
            Self::Vhdx => matches!(format, Format::Vhdx),
            Self::Vdi => matches!(format, Format::Vdi),
            Self::Iso => matches!(format, Format::Iso),
            Self::Gpt => matches!(format, Format::Gpt),
            Self::Luks => matches!(format, Format::Luks),
        }
    }
}

impl FromStr for DiskFormat {
    type Err = UnknownDiskFormat;

    fn from_str(name: &str) -> Result<Self, UnknownDiskFormat> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        // Glance's administrator may allow any name. The message stays one short line.
        known.ok_or_else(|| UnknownDiskFormat(name.chars().take(40).collect()))
    }
}

named_enum! {
    /// The format of an image's bytes, by its name in oslo.utils.
    pub enum Format {
        /// No known format: the disk itself.
        Raw => "raw",
        /// `QFI\xfb`, whatever follows. The first version of qcow has it too, and is refused.
        Qcow2 => "qcow2",
        /// `KDMV`, `COWD`, or a text that describes a disk.
        Vmdk => "vmdk",
        /// `conectix` at the beginning: a dynamic VHD. A fixed one differs from a raw disk only at its end.
        Vhd => "vhd",
        /// `vhdxfile`
        Vhdx => "vhdx",
        /// 0xbeda107f at byte 64
        Vdi => "vdi",
        /// `QED\0`, which is no longer supported.
        Qed => "qed",
        /// ISO 9660 or UDF.
        Iso => "iso",
        /// A boot sector with a partition table, MBR or GPT.
        Gpt => "gpt",
        /// `LUKS\xba\xbe`
        Luks => "luks",
        /// A Parallels disk. This and the next two are not in Nova's inspector, but QEMU detects them.
        Parallels => "parallels",
        /// A disk of Bochs.
        Bochs => "bochs",
        /// A compressed loop device.
        Cloop => "cloop",
    }
}

impl Format {
    /// Whether the bytes are the disk itself, so that no conversion is needed.
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Raw | Self::Gpt | Self::Iso)
    }

    /// Returns the name for `qemu-img -f`.
    pub const fn qemu_name(self) -> &'static str {
        match self {
            Self::Iso | Self::Gpt => "raw",
            Self::Vhd => "vpc",
            other => other.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for format in DiskFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert!("ploop".parse::<DiskFormat>().is_err() && "RAW".parse::<DiskFormat>().is_err());
    }

    #[test]
    fn a_raw_image_may_have_partitions_and_amazons_may_be_a_disc() {
        assert!(DiskFormat::Raw.allows(Format::Gpt) && !DiskFormat::Raw.allows(Format::Iso));
        assert!(DiskFormat::Ari.allows(Format::Iso) && !DiskFormat::Ami.allows(Format::Qcow2));
        assert!(!DiskFormat::Qcow2.allows(Format::Raw) && !DiskFormat::Iso.allows(Format::Gpt));
    }

    #[test]
    fn qemu_has_names_of_its_own_for_vhd_and_for_what_is_raw() {
        for format in [Format::Raw, Format::Iso, Format::Gpt] {
            assert_eq!(format.qemu_name(), "raw");
            assert!(format.is_raw());
        }
        assert_eq!(Format::Vhd.qemu_name(), "vpc");
        assert_eq!(Format::Vmdk.qemu_name(), "vmdk");
        assert_eq!((Format::Vhd.to_string(), DiskFormat::Vhd.to_string()), ("vhd".into(), "vhd".into()));
    }
}
