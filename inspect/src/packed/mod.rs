//! Files that are no disk, though they may hold one: compressed files, archives, backups, and descriptions. A host
//! would hand such a file to a guest as its disk.
//!
//! A file system without a partition table is a disk: ext4, squashfs, erofs, cramfs and the like are not looked for. A
//! mark of fewer than four bytes counts only with a header that makes sense, so that a disk of random bytes stays one.

mod tar;

use crate::view::{be16, be32, le16, le32, le64, starts_with_any};

/// What a file is instead of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {what}, not a disk: {remedy}")]
pub struct Packed {
    what: &'static str,
    remedy: &'static str,
}

/// Returns what a file is that begins with `start` (its first [`START_BYTES`], or all of a shorter one); `None` if it
/// may be a disk.
pub(crate) fn detect(start: &[u8]) -> Option<Packed> {
    let mark = MARKS.iter().find(|(is, _)| is.matches(start)).map(|&(_, packed)| packed);
    mark.or_else(|| tar::detect(start))
}

/// The bytes that decide: a header of tar, and the beginning of its first file.
pub(crate) const START_BYTES: usize = 512;

/// Returns what a file is that ends with `end` (its last [`END_BYTES`]): of a disk image of macOS only the end has a
/// mark (QEMU's `block/dmg.c`, `dmg_open`: `koly`, version 4, and a trailer of 512 bytes).
pub(crate) fn detect_by_end(end: &[u8]) -> Option<Packed> {
    let is_dmg =
        end.len() == END_BYTES && end.starts_with(b"koly") && be32(end, 4) == 4 && be32(end, 8) == 512;
    is_dmg.then_some(packed(
        "a disk image of macOS",
        "make it plain (qemu-img convert -f dmg -O qcow2 IMAGE NEW)",
    ))
}

/// The trailer of a disk image of macOS.
pub(crate) const END_BYTES: usize = 512;

/// How a kind of file is recognised.
enum Is {
    /// It begins with one of these.
    Magic(&'static [&'static [u8]]),
    /// Its header makes sense.
    Header(fn(&[u8]) -> bool),
}

impl Is {
    fn matches(&self, start: &[u8]) -> bool {
        match self {
            Self::Magic(magics) => starts_with_any(start, magics),
            Self::Header(is) => is(start),
        }
    }
}

const fn packed(what: &'static str, remedy: &'static str) -> Packed {
    Packed { what, remedy }
}

const XZ: &str = "unpack it (xz -dc IMAGE >DISK)";
const LZMA: &str = "unpack it (xz -dc --format=lzma IMAGE >DISK)";
const GZIP: &str = "unpack it (gzip -dc IMAGE >DISK)";
const BZIP2: &str = "unpack it (bzip2 -dc IMAGE >DISK)";
const ZSTD: &str = "unpack it (zstd -dc IMAGE >DISK)";
const LZ4: &str = "unpack it (lz4 -dc IMAGE >DISK)";
const ZIP: &str = "unpack it (unzip IMAGE), and push the disk in it";
const SEVEN_ZIP: &str = "unpack it (7z x IMAGE), and push the disk in it";
const CPIO: &str = "unpack it (cpio -idv <IMAGE), or declare it as ari if it is a ramdisk";
const BSDTAR: &str = "unpack it (bsdtar -xf IMAGE), and push the disk in it";
const RESTORE: &str = "restore the disk from it, and push that";

/// The marks, each from its format's document or the magic of file(1).
const MARKS: [(Is, Packed); 45] = [
    (Is::Magic(&[b"\xfd7zXZ\0"]), packed("compressed with xz", XZ)),
    (Is::Header(is_gzip), packed("compressed with gzip", GZIP)),
    (Is::Header(is_bzip2), packed("compressed with bzip2", BZIP2)),
    (Is::Header(is_zstd), packed("compressed with zstd", ZSTD)),
    (Is::Magic(&[b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"]), packed("compressed with lz4", LZ4)),
    (Is::Header(is_lzma), packed("compressed with lzma", LZMA)),
    (Is::Header(is_lzip), packed("compressed with lzip", "unpack it (lzip -dc IMAGE >DISK)")),
    (
        Is::Magic(&[b"\x89LZO\0\r\n\x1a\n"]),
        packed("compressed with lzop", "unpack it (lzop -dc IMAGE >DISK)"),
    ),
    (Is::Magic(&[b"LRZI\0"]), packed("compressed with lrzip", "unpack it (lrzip -d IMAGE)")),
    (Is::Header(is_compress), packed("compressed with compress", GZIP)),
    (Is::Magic(&[b"bvx1", b"bvx2", b"bvxn"]), packed("compressed with lzfse", "unpack it (lzfse -decode)")),
    (
        Is::Magic(&[b"\xff\x06\0\0sNaPpY"]),
        packed("compressed with snappy", "unpack it (snzip -dc IMAGE >DISK)"),
    ),
    (Is::Magic(&[b"\0ZCK1", b"\0ZHR1"]), packed("compressed with zchunk", "unpack it (unzck IMAGE)")),
    (Is::Header(is_zip), packed("a zip archive", ZIP)),
    (Is::Magic(&[b"7z\xbc\xaf\x27\x1c"]), packed("a 7z archive", SEVEN_ZIP)),
    (
        Is::Magic(&[b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\x01\0", b"RE\x7e\x5e"]),
        packed("a rar archive", "unpack it (unrar x IMAGE), and push the disk in it"),
    ),
    (Is::Header(is_cpio), packed("a cpio archive", CPIO)),
    (Is::Magic(&[b"!<arch>\n", b"!<thin>\n"]), packed("an ar archive, as Debian packages are", BSDTAR)),
    (Is::Magic(&[b"\xed\xab\xee\xdb"]), packed("an rpm package", BSDTAR)),
    (Is::Magic(&[b"MSCF\0\0\0\0"]), packed("a cabinet archive", SEVEN_ZIP)),
    (Is::Header(is_lha), packed("an lha archive", SEVEN_ZIP)),
    (Is::Header(is_arj), packed("an arj archive", SEVEN_ZIP)),
    (Is::Magic(&[b"xar!\0"]), packed("a xar archive", SEVEN_ZIP)),
    (Is::Magic(&[b"MSWIM\0\0\0", b"WLPWM\0\0\0"]), packed("a Windows image (wim)", SEVEN_ZIP)),
    (
        Is::Magic(&[b"\x3a\xff\x26\xed"]),
        packed("a sparse image of Android", "make it plain (simg2img IMAGE DISK)"),
    ),
    (Is::Magic(&[b"VMA\0"]), packed("a backup of Proxmox", "unpack it (vma extract IMAGE DIRECTORY)")),
    (
        Is::Magic(&[b"EVF\x09\x0d\x0a\xff\0", b"EVF2\x0d\x0a\x81\0"]),
        packed("an image of EnCase", "make it plain (ewfexport IMAGE)"),
    ),
    (Is::Magic(&[b"AFF10\r\n\0"]), packed("an image of AFF", RESTORE)),
    (Is::Magic(&[b"partclone-image"]), packed("a backup of partclone", "restore it (partclone.restore)")),
    (
        Is::Magic(&[b"\0ntfsclone-image"]),
        packed("a backup of ntfsclone", "restore it (ntfsclone --restore-image)"),
    ),
    (Is::Magic(&[b"PaRtImAgE-VoLuMe"]), packed("a backup of partimage", RESTORE)),
    (Is::Magic(&[b"FsA0"]), packed("a backup of fsarchiver", RESTORE)),
    (
        Is::Magic(&[b"rbd image v1", b"rbd image v2", b"rbd diff v1", b"rbd diff v2"]),
        packed("an export of Ceph", "import it (rbd import --export-format 2), and export a plain disk"),
    ),
    (Is::Magic(&[b"btrfs-stream\0"]), packed("a stream of btrfs send", "restore it (btrfs receive)")),
    (Is::Header(is_zfs_stream), packed("a stream of zfs send", "restore it (zfs receive)")),
    (Is::Magic(&[b"xFSdump0"]), packed("a backup of xfsdump", "restore it (xfsrestore)")),
    (
        Is::Header(is_sesparse),
        packed("one extent of a vmdk (seSparse)", "make one file of it by its descriptor (qemu-img convert)"),
    ),
    (Is::Magic(&[b"-----BEGIN PGP "]), packed("encrypted or signed with PGP", "decrypt it (gpg -d)")),
    (
        Is::Magic(&[b"version https://git-lfs.github.com/"]),
        packed("a pointer of Git LFS", "fetch what it points to (git lfs pull)"),
    ),
    (Is::Magic(&[b"d8:announce"]), packed("a torrent", "download what it describes")),
    (
        Is::Header(is_vmdk_text),
        packed(
            "the descriptor of a vmdk, a text",
            "make one file of it and its extents (qemu-img convert -f vmdk)",
        ),
    ),
    (Is::Header(is_html), packed("a web page", "was an error page downloaded in place of the image?")),
    (Is::Header(is_xml), packed("an XML text, as OVF descriptors are", "push the disk that it names")),
    (Is::Magic(&[b"WARC/"]), packed("an archive of web pages", RESTORE)),
    (Is::Magic(&[b"**ACE**"]), packed("an ace archive", SEVEN_ZIP)),
];

/// RFC 1952: deflate is the only method, and three flags are reserved.
fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(b"\x1f\x8b\x08") && start.get(3).is_some_and(|flags| flags & 0xE0 == 0)
}

/// A level, and the mark of the first block, or of the end of an empty file.
fn is_bzip2(start: &[u8]) -> bool {
    start.starts_with(b"BZh")
        && start.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
        && starts_with_any(&start[4..], &[b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"])
}

/// RFC 8878: a frame, or a frame to be skipped in front of it, as pzstd writes. Lz4 shares the latter.
fn is_zstd(start: &[u8]) -> bool {
    const FRAME: &[u8] = b"\x28\xb5\x2f\xfd";
    const SKIPPED: u32 = 0x184D_2A50;
    start.starts_with(FRAME) || (start.len() >= 8 && le32(start, 0) & !0xF == SKIPPED)
}

/// Properties, a dictionary of a usual size, and a length that is unknown or below 256 TiB; the coder begins with a
/// zero.
fn is_lzma(start: &[u8]) -> bool {
    if start.len() < 14 || start[0] != 0x5D || start[13] != 0 {
        return false;
    }
    let (dictionary, length) = (le32(start, 1), le64(start, 5));
    let usual = dictionary >= 4096 && dictionary.count_ones() <= 2;
    usual && (length == u64::MAX || (1..1 << 48).contains(&length))
}

/// Version 0 or 1, and a dictionary of 4 KiB to 512 MiB.
fn is_lzip(start: &[u8]) -> bool {
    start.starts_with(b"LZIP")
        && matches!(start.get(4), Some(0 | 1))
        && start.get(5).is_some_and(|size| (12..=29).contains(&(size & 0x1F)))
}

/// 9 to 16 bits, two reserved ones, and a first code that is a byte.
fn is_compress(start: &[u8]) -> bool {
    let [0x1F, 0x9D, flags, _, high, ..] = start else { return false };
    flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1F)) && high & 1 == 0
}

/// A file, an empty archive, or the first of several pieces.
fn is_zip(start: &[u8]) -> bool {
    const LOCAL: &[u8] = b"PK\x03\x04";
    starts_with_any(start, &[LOCAL, b"PK\x05\x06", b"PK00PK\x03\x04", b"PK\x07\x08PK\x03\x04"])
}

/// The two forms in text, and the old one in either byte order, whose first file's name ends where its length says.
fn is_cpio(start: &[u8]) -> bool {
    let digits =
        |from, to, is: fn(&u8) -> bool| start.get(from..to).is_some_and(|digits| digits.iter().all(is));
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
    if starts_with_any(start, &[b"070701", b"070702"]) {
        return digits(6, 110, hex);
    }
    if start.starts_with(b"070707") {
        return digits(6, 76, octal);
    }
    let name_bytes = match (le16(start, 0), be16(start, 0)) {
        (OLD_CPIO, _) => le16(start, 20),
        (_, OLD_CPIO) => be16(start, 20),
        _ => return false,
    };
    let name = start.get(26..26 + usize::from(name_bytes)).unwrap_or_default();
    name.len() > 1 && name.iter().position(|&byte| byte == 0) == Some(name.len() - 1)
}

const OLD_CPIO: u16 = 0o070_707;

/// `-lh5-` and its kin, behind the length and the sum of the header.
fn is_lha(start: &[u8]) -> bool {
    matches!(start, [_, _, b'-', b'l', b'h' | b'z', b'0'..=b'9' | b's' | b'd', b'-', ..])
}

/// A header of 30 to 2600 bytes, of a version that exists, for the archive itself.
fn is_arj(start: &[u8]) -> bool {
    start.starts_with(b"\x60\xea")
        && (30..=2600).contains(&le16(start, 2))
        && matches!(start.get(4..11), Some([30..=48, 1..=110, 1..=110, 0..=11, _, _, 2]))
}

/// `DMU_BACKUP_MAGIC` behind the type of the first record, in either byte order.
fn is_zfs_stream(start: &[u8]) -> bool {
    const MAGIC: u64 = 0x2_F5BA_CBAC;
    const BEGIN: u32 = 0;
    start.len() >= 16
        && be32(start, 0) == BEGIN
        && [le64(start, 8), le64(start, 8).swap_bytes()].contains(&MAGIC)
}

/// QEMU's `block/vmdk.c`, `SESPARSE_CONST_HEADER_MAGIC` and version 2.1.
fn is_sesparse(start: &[u8]) -> bool {
    start.len() >= 16 && le64(start, 0) == 0xCAFE_BABE && le64(start, 8) == 0x2_0000_0001
}

/// One that QEMU does not take for a vmdk, as for a byte order mark in front.
fn is_vmdk_text(start: &[u8]) -> bool {
    text(start).starts_with(b"# disk descriptorfile")
}

fn is_html(start: &[u8]) -> bool {
    let text = text(start);
    starts_with_any(&text, &[b"<!doctype html", b"<html", b"<head", b"<body"])
}

fn is_xml(start: &[u8]) -> bool {
    let text = text(start);
    starts_with_any(&text, &[b"<?xml", b"<envelope", b"<parallels_disk_image", b"<domain"])
}

/// The first word of a text, in small letters, behind a byte order mark and spaces.
fn text(start: &[u8]) -> Vec<u8> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    start.trim_ascii_start().iter().take(32).map(u8::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_marks_need_a_header_that_makes_sense() {
        for bytes in [
            &b"\x1f\x8b\x08\xff"[..],
            b"\x1f\x8b\x07\0",
            b"BZh0",
            b"BZh9 is what a text may begin with",
            b"\x1f\x9d\x80",
            b"\x1f\x9d\x1f\0\0",
            b"LZIP\x02\x0c",
            b"]\0\0\x80\0",
            b"\xc7\x71 no old cpio: its name has no end",
            b"070701 no number",
            b"PK",
            b"\x60\xea\0\0",
            b"-lh5-",
            b"",
        ] {
            let mut start = bytes.to_vec();
            assert_eq!(detect(&start), None, "{bytes:?}");
            start.resize(START_BYTES, 0x55);
            assert_eq!(detect(&start), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_descriptor_that_no_tool_would_know_is_known() {
        for front in ["\u{feff}", "\r\n\t", ""] {
            let text = format!("{front}# Disk DescriptorFile\nencoding=\"UTF-8\"\n");
            assert!(detect(text.as_bytes()).is_some_and(|packed| packed.to_string().contains("-f vmdk")));
        }
    }

    #[test]
    fn a_disk_of_random_bytes_is_one() {
        let mut random = glancecast_testkit::Rng::new(0x7061_636B_6564);
        for _ in 0..20_000 {
            let mut start = [0; START_BYTES];
            start.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&random.number().to_le_bytes()));
            assert_eq!(detect(&start), None, "{:02x?}", &start[..32]);
        }
    }

    #[test]
    fn file_systems_without_a_table_are_disks() {
        let ext4 = [0; START_BYTES];
        for magic in
            [&b"hsqs"[..], b"sqsh", b"\x45\x3d\xcd\x28", b"XFSB", b"-rom1fs-", b"LABELONE", b"\x7fELF"]
        {
            let mut start = ext4;
            start[..magic.len()].copy_from_slice(magic);
            assert_eq!(detect(&start), None, "{magic:?}");
        }
        assert_eq!(detect(&ext4), None);
    }
}
