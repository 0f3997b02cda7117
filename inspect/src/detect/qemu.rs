//! QEMU's probes: the format that its tools use for a file when none is given. Each function has the name of the one in
//! QEMU (`block/*.c`, the same in 7.2 and 10.0) and accepts at least what that accepts.
//!
//! A probe sees only the beginning of a file. All probes see raw in formats that QEMU recognises by the name of the
//! file (`dmg_probe`: `*.dmg`) or, for a given format, by its end (`koly` of a dmg, the footer of a fixed VHD).

use crate::format::Format;
use crate::view::{be32, le32, starts_with_any};

/// Returns the formats whose drivers claim a file that begins with these bytes. QEMU chooses the one with the highest
/// score; raw has the lowest, and is chosen if no other driver claims the file.
pub(super) fn bdrv_probe_all(start: &[u8]) -> impl Iterator<Item = Format> {
    let mut buffer = [0; PROBE_BYTES];
    let len = start.len().min(PROBE_BYTES);
    buffer[..len].copy_from_slice(&start[..len]);
    PROBES.iter().filter(move |(probe, _)| probe(&buffer)).map(|&(_, format)| format)
}

type Probe = fn(&[u8; PROBE_BYTES]) -> bool;

/// Every driver of QEMU with a `bdrv_probe`, except raw and dmg.
const PROBES: [(Probe, Format); 11] = [
    (bochs_probe, Format::Bochs),
    (cloop_probe, Format::Cloop),
    (block_crypto_probe_luks, Format::Luks),
    (parallels_probe, Format::Parallels),
    (qcow_probe, Format::Qcow2),
    (qcow2_probe, Format::Qcow2),
    (bdrv_qed_probe, Format::Qed),
    (vdi_probe, Format::Vdi),
    (vhdx_probe, Format::Vhdx),
    (vmdk_probe, Format::Vmdk),
    (vpc_probe, Format::Vhd),
];

/// QEMU also compares type, subtype and version.
fn bochs_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"Bochs Virtual HD Image")
}

/// QEMU compares one more word of the shell script.
fn cloop_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0")
}

/// QEMU also requires version 1. A LUKS volume of version 2 is raw to QEMU; Nova accepts neither version.
fn block_crypto_probe_luks(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"LUKS\xba\xbe")
}

/// QEMU also compares the version.
fn parallels_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    starts_with_any(buffer, &[b"WithoutFreeSpace", b"WithouFreSpacExt"])
}

/// The first version of qcow, which has the same magic as the later ones.
fn qcow_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(QCOW_MAGIC) && be32(buffer, QCOW_VERSION_OFFSET) == QCOW_VERSION
}

/// To QEMU, version 0 is raw; Nova's inspector does not check the version.
fn qcow2_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(QCOW_MAGIC) && be32(buffer, QCOW_VERSION_OFFSET) != QCOW_VERSION
}

fn bdrv_qed_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"QED\0")
}

fn vdi_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    le32(buffer, VDI_SIGNATURE_OFFSET) == VDI_SIGNATURE
}

fn vhdx_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"vhdxfile")
}

/// Accepts a text in addition to the two binary forms: comment lines, which may contain any bytes, and lines of spaces,
/// then a line with only a version. What follows does not matter, nor whether that line is terminated.
fn vmdk_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    if starts_with_any(buffer, &[b"KDMV", b"COWD"]) {
        return true;
    }
    let mut rest = &buffer[..];
    loop {
        let blank = match rest.first() {
            Some(b'#') => rest.iter().position(|&byte| byte == b'\n'),
            Some(b' ') => rest.iter().position(|&byte| byte != b' ').and_then(|end| match rest[end..] {
                [b'\n', ..] => Some(end),
                [b'\r', b'\n', ..] => Some(end + 1),
                _ => None,
            }),
            _ => return starts_with_any(rest, VERSION_LINES),
        };
        let Some(line_end) = blank else { return false };
        rest = &rest[line_end + 1..];
    }
}

fn vpc_probe(buffer: &[u8; PROBE_BYTES]) -> bool {
    buffer.starts_with(b"conectix")
}

/// QEMU probes 512 bytes (`BLOCK_PROBE_BUF_SIZE`), earlier versions 2048, with zeros after the end of the file. A file
/// claimed by the shorter buffer is claimed by the longer one too.
const PROBE_BYTES: usize = 2048;
const QCOW_MAGIC: &[u8] = b"QFI\xfb";
const QCOW_VERSION_OFFSET: usize = 4;
const QCOW_VERSION: u32 = 1;
const VDI_SIGNATURE_OFFSET: usize = 0x40;
const VDI_SIGNATURE: u32 = 0xBEDA_107F;
const VERSION_LINES: &[&[u8]] =
    &[b"version=1\n", b"version=2\n", b"version=3\n", b"version=1\r\n", b"version=2\r\n", b"version=3\r\n"];
