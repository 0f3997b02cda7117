//! The last look at what is about to be published where its format matters: the same rules as at the sender, on the bytes
//! that are here.

use std::fs::File;
use std::io;

use glancecast_inspect::{CheckError, Claim, DiskFormat as Inspected, Limits, check as inspect};
use glancecast_proto::wire::DiskFormat;

/// Whether a file is what was announced, and nothing that Nova would refuse. The inner error is for the sender's table.
pub(super) fn check(announced: DiskFormat, mut file: &File) -> io::Result<Result<(), String>> {
    let claim = match announced {
        DiskFormat::Raw => Claim::Disk,
        DiskFormat::Qcow2 => Claim::Format(Inspected::Qcow2),
        DiskFormat::Vmdk => Claim::Format(Inspected::Vmdk),
        DiskFormat::Vhd => Claim::Format(Inspected::Vhd),
        DiskFormat::Vhdx => Claim::Format(Inspected::Vhdx),
        DiskFormat::Other => return Ok(Err("its format is not known".to_owned())),
    };
    // How large a disk may be is for the flavor of each instance to say.
    let limits = Limits { virtual_bytes_max: u64::MAX, ..Limits::default() };
    match inspect(&mut file, claim, &limits) {
        Ok(_) => Ok(Ok(())),
        Err(CheckError::Refused(refusal)) => Ok(Err(refusal.to_string())),
        Err(CheckError::Read(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_disk_that_is_one_passes() {
        for disk in [&[0; 4096][..], b"", b"a disk may begin with anything else"] {
            assert_eq!(checked(DiskFormat::Raw, disk), Ok(()));
        }
    }

    #[test]
    fn what_others_would_take_for_something_else_is_refused() {
        for (announced, bytes) in [
            (DiskFormat::Raw, &b"QFI\xFB\0\0\0\x03"[..]),
            (DiskFormat::Raw, b"# Disk DescriptorFile\nversion=1"),
            (DiskFormat::Raw, b"vhdxfile"),
            (DiskFormat::Qcow2, &[0; 4096]),
            (DiskFormat::Qcow2, b"QFI\xFB\0\0\0\x03"),
            (DiskFormat::Vmdk, b"QFI\xFB\0\0\0\x03"),
            (DiskFormat::Other, &[0; 4096]),
        ] {
            assert!(checked(announced, bytes).is_err(), "{announced} {bytes:?}");
        }
    }

    fn checked(announced: DiskFormat, bytes: &[u8]) -> Result<(), String> {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("room");
        check(announced, &file).expect("readable")
    }
}
