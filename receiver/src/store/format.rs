//! The last look at what is about to be published where its format matters: nothing that QEMU would take for something
//! else than was announced.

use glancecast_proto::wire::DiskFormat;

/// Bytes from the beginning of a file that are looked at.
pub(super) const START_BYTES: usize = 4096;

/// Compares the beginning of a file with the format that was announced for it; the error is for the sender's table.
pub(super) fn check(announced: DiskFormat, start: &[u8]) -> Result<(), String> {
    let found =
        MAGIC.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    match found {
        None if announced == DiskFormat::Raw => Ok(()),
        None => Err(format!("announced as {announced}, and it does not begin as one")),
        Some(&(_, _, format, _)) if format == announced && format != DiskFormat::Other => Ok(()),
        Some(&(.., name)) => Err(format!("announced as {announced}, and it begins as {name}")),
    }
}

/// By what QEMU tells formats apart (block/*.c, the `bdrv_probe` of each): where, what, and whose it is.
const MAGIC: &[(usize, &[u8], DiskFormat, &str)] = &[
    (0, b"QFI\xFB", DiskFormat::Qcow2, "qcow2"),
    (0, b"KDMV", DiskFormat::Vmdk, "vmdk"),
    (0, b"COWD", DiskFormat::Vmdk, "vmdk"),
    (0, b"# Disk DescriptorFile", DiskFormat::Vmdk, "vmdk"),
    (0, b"conectix", DiskFormat::Vhd, "vhd"),
    (0, b"vhdxfile", DiskFormat::Vhdx, "vhdx"),
    (0, b"QED\0", DiskFormat::Other, "qed"),
    (0x40, b"\x7F\x10\xDA\xBE", DiskFormat::Other, "vdi"),
    (0, b"WithoutFreeSpace", DiskFormat::Other, "parallels"),
    (0, b"WithouFreSpacExt", DiskFormat::Other, "parallels"),
    (0, b"LUKS\xBA\xBE", DiskFormat::Other, "luks"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_begins_as_it_was_announced_passes() {
        check(DiskFormat::Raw, &[0; START_BYTES]).expect("zeros");
        check(DiskFormat::Raw, b"").expect("empty");
        check(DiskFormat::Qcow2, b"QFI\xFB\0\0\0\x03").expect("qcow2");
        check(DiskFormat::Vhdx, b"vhdxfile").expect("vhdx");
    }

    #[test]
    fn a_file_that_qemu_would_take_for_something_else_is_refused() {
        let mut vdi = vec![0; 0x44];
        vdi[0x40..].copy_from_slice(b"\x7F\x10\xDA\xBE");
        for (announced, start, says) in [
            (DiskFormat::Raw, &b"QFI\xFB\0\0\0\x03"[..], "qcow2"),
            (DiskFormat::Raw, b"# Disk DescriptorFile\nversion=1", "vmdk"),
            (DiskFormat::Raw, b"QED\0", "qed"),
            (DiskFormat::Raw, &vdi, "vdi"),
            (DiskFormat::Qcow2, b"KDMV", "vmdk"),
            (DiskFormat::Qcow2, b"QFI", "does not begin"),
            (DiskFormat::Other, b"QED\0", "qed"),
        ] {
            let error = check(announced, start).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }
}
