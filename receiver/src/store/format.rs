//! The last inspection before publication: the same rules as at the sender, on the bytes that are here, and, for files
//! that somebody opens as a disk, the opinion of `qemu-img` in its sandbox.

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glancecast_inspect::{
    CheckError, Claim, DiskFormat as Inspected, Format, Limits, Refusal, Waiver, check as inspect, check_end,
};
use glancecast_proto::wire::DiskFormat;
use glancecast_sandbox::{Patience, QemuImg, ToolError, Unsandboxed, not_opened};

/// What the files of a store are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Files of any kind, some of them images.
    Files,
    /// Disks of instances, which Nova opens without inspecting them again.
    Disks,
}

/// Why a file is not published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    #[error("its format is not known")]
    Unknown,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Checks that a file is what was announced, and nothing that a tool would open as something else or that Nova would
/// refuse. The inner error gives the reason, for the sender's table.
pub(super) fn check(
    announced: DiskFormat,
    of: Purpose,
    mut file: &File,
) -> io::Result<Result<(), FormatError>> {
    let claim = match announced {
        DiskFormat::Raw | DiskFormat::RawContent => Claim::Disk,
        DiskFormat::Qcow2 => Claim::Format(Inspected::Qcow2),
        DiskFormat::Vmdk => Claim::Format(Inspected::Vmdk),
        DiskFormat::Vhd => Claim::Format(Inspected::Vhd),
        DiskFormat::Vhdx => Claim::Format(Inspected::Vhdx),
        DiskFormat::Vdi => Claim::Format(Inspected::Vdi),
        DiskFormat::Other if of == Purpose::Files => return Ok(Ok(())),
        DiskFormat::Other => return Ok(Err(FormatError::Unknown)),
    };
    // The virtual size of a disk is limited by each instance's flavor. Nova accepts no VHD. What is odd about a raw
    // file concerns Nova alone, unless the sender says that Nova would not look.
    let (vhd, is_waived) =
        (of == Purpose::Files, of == Purpose::Files || announced == DiskFormat::RawContent);
    let waived: &[Waiver] = if is_waived { &Waiver::ALL } else { &[] };
    let limits = Limits { virtual_bytes_max: u64::MAX, vhd, waived, ..Limits::default() };
    let facts = inspect(&mut file, claim, &limits).and_then(|facts| check_end(&mut file, facts, &limits));
    let facts = match facts {
        Ok(facts) => facts,
        Err(CheckError::Refused(refusal)) => return Ok(Err(refusal.into())),
        Err(CheckError::Read(error)) => return Err(error),
    };
    // A raw file in a directory is not opened by any program known here.
    match TOOL.get() {
        Some(tool) if of == Purpose::Disks || !announced.is_raw() => second_opinion(tool, file, facts.format),
        _ => Ok(Ok(())),
    }
}

/// Finds `qemu-img` and a sandbox, once, at the start of the program. Without them inspection alone decides.
pub fn find_tool() {
    match QemuImg::find(Unsandboxed::Refused) {
        Ok(tool) => {
            tracing::debug!(
                sandbox = tool.confinement().name(),
                "images are seen by qemu-img, too, before they are published"
            );
            let _ = TOOL.set(tool);
        }
        Err(why) => tracing::warn!(
            "images are inspected before they are published, and not seen by qemu-img as well: {why}"
        ),
    }
}

/// Stops waiting for the tool, now and later: pending publications fail.
pub(super) fn stop() {
    STOP.store(true, Ordering::Relaxed);
}

fn second_opinion(tool: &QemuImg, file: &File, inspected: Format) -> io::Result<Result<(), FormatError>> {
    match tool.info(file, Patience { time: LOOK_TIME, stop: &STOP }) {
        Ok(info) => Ok(info.agrees(inspected).map_err(FormatError::from)),
        Err(ToolError::Failed(line)) => Ok(Err(not_opened(inspected, &line).into())),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// One for the program, not for each store: there is one `qemu-img`, and one stop.
static TOOL: OnceLock<QemuImg> = OnceLock::new();
static STOP: AtomicBool = AtomicBool::new(false);

/// Longest wait for the tool, which takes 50 ms, or more on a busy disk.
const LOOK_TIME: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_disk_that_is_one_passes() {
        for disk in [&[0; 4096][..], b"a disk may begin with anything else"] {
            assert_eq!(checked(DiskFormat::Raw, disk), Ok(()));
        }
    }

    #[test]
    fn a_node_takes_what_is_odd_only_where_nova_would_not_look_and_a_directory_takes_it() {
        let mut fat = [0; 4096];
        fat[510..512].copy_from_slice(&[0x55, 0xAA]);
        for odd in [&fat[..], b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c"] {
            assert!(checked(DiskFormat::Raw, odd).is_err(), "{odd:?}");
            assert_eq!(checked(DiskFormat::RawContent, odd), Ok(()), "{odd:?}");
            assert_eq!(checked_of(DiskFormat::Raw, Purpose::Files, odd), Ok(()), "{odd:?}");
        }
        for announced in [DiskFormat::Raw, DiskFormat::RawContent] {
            assert!(checked_of(announced, Purpose::Files, b"# x\nversion=1\n").is_err(), "{announced}");
        }
    }

    #[test]
    fn a_vdi_is_one_on_every_host() {
        let mut vdi = [0; 2048];
        vdi[0x40..0x44].copy_from_slice(&0xBEDA_107Fu32.to_le_bytes());
        vdi[0x4C] = 1;
        vdi[0x170..0x178].copy_from_slice(&(1u64 << 20).to_le_bytes());
        for of in [Purpose::Disks, Purpose::Files] {
            assert_eq!(checked_of(DiskFormat::Vdi, of, &vdi), Ok(()));
            assert!(checked_of(DiskFormat::Vdi, of, &[0; 2048]).is_err());
        }
        vdi[0x4C] = 4;
        assert!(checked(DiskFormat::Vdi, &vdi).is_err(), "it has a parent");
    }

    #[test]
    fn nothing_is_published_nowhere() {
        for of in [Purpose::Disks, Purpose::Files] {
            assert!(checked_of(DiskFormat::Raw, of, b"").is_err(), "{of:?}");
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

    #[test]
    fn a_directory_takes_files_of_any_kind_but_no_image_that_is_something_else() {
        for (announced, bytes) in
            [(DiskFormat::Raw, &b"any file"[..]), (DiskFormat::Other, b"QFI\xFB\0\0\0\x03")]
        {
            assert_eq!(checked_of(announced, Purpose::Files, bytes), Ok(()), "{announced} {bytes:?}");
        }
        for (announced, bytes) in [
            (DiskFormat::Raw, &b"QFI\xFB\0\0\0\x03"[..]),
            (DiskFormat::Qcow2, b"any file"),
            (DiskFormat::Vhd, b"any file"),
        ] {
            assert!(checked_of(announced, Purpose::Files, bytes).is_err(), "{announced} {bytes:?}");
        }
    }

    #[test]
    fn an_image_that_is_cut_short_is_not_published() {
        let mut qcow2 = vec![0; 4096];
        qcow2[..8].copy_from_slice(b"QFI\xFB\0\0\0\x03");
        qcow2[23] = 12; // clusters of 4 KiB
        qcow2[29] = 1; // a disk of 64 KiB
        qcow2[39] = 1; // one entry in the L1 table
        qcow2[47] = 0xC8; // which is at byte 200
        qcow2[103] = 112; // the header's length
        qcow2[200 + 6] = 0x10; // an L2 table in the second cluster
        for purpose in [Purpose::Disks, Purpose::Files] {
            let error = checked_of(DiskFormat::Qcow2, purpose, &qcow2).expect_err("its L2 table is missing");
            assert!(error.to_string().ends_with("(rule cut-short)"), "{error}");
        }
        qcow2[200 + 6] = 0;
        assert_eq!(checked(DiskFormat::Qcow2, &qcow2), Ok(()));
    }

    fn checked(announced: DiskFormat, bytes: &[u8]) -> Result<(), FormatError> {
        checked_of(announced, Purpose::Disks, bytes)
    }

    fn checked_of(announced: DiskFormat, of: Purpose, bytes: &[u8]) -> Result<(), FormatError> {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("room");
        check(announced, of, &file).expect("readable")
    }
}
