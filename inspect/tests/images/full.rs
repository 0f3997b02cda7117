//! Images with something in every table that their format has. They end with something that a table names, so that
//! none of their bytes may be missing.

use super::{VHDX_METADATA, put, stream_vmdk, vdi, vhd, vhdx, vmdk};

/// A qcow2 of 32 KiB in clusters of 512 bytes, with a cluster of data, a compressed one, a snapshot and a bitmap.
pub(crate) fn full_qcow2() -> Vec<u8> {
    let mut image = vec![0; 14 * 512];
    put(&mut image, 0, b"QFI\xfb");
    for (at, value) in [(4, 3u32), (20, 9), (36, 1), (56, 1), (60, 1), (96, 4), (100, 112)] {
        put(&mut image, at, &value.to_be_bytes());
    }
    for (at, value) in [
        (24, 32 << 10),
        (QCOW2_L1, 512u64),
        (QCOW2_REFCOUNTS, 1024),
        (QCOW2_SNAPSHOTS, 7 * 512),
        (88, 1), // the bitmaps are valid
        (512, (1 << 63) | 2048),
        (1024, 1536),
        (QCOW2_DATA, (1 << 63) | (5 * 512)),
        (QCOW2_COMPRESSED, (1 << 62) | (6 * 512 + 100)),
        (7 * 512, 8 * 512), // the snapshot's L1 table
        (8 * 512, 9 * 512),
        (9 * 512 + 8, 10 * 512),
        (11 * 512, 12 * 512), // the bitmap's table
        (12 * 512, 13 * 512),
    ] {
        put(&mut image, at, &value.to_be_bytes());
    }
    put(&mut image, 7 * 512 + 8, &1u32.to_be_bytes());
    put(&mut image, 11 * 512 + 8, &1u32.to_be_bytes());
    for (at, value) in [(112, 0x2385_2875u32), (116, 24), (120, 1)] {
        put(&mut image, at, &value.to_be_bytes());
    }
    put(&mut image, 128, &32u64.to_be_bytes());
    put(&mut image, QCOW2_BITMAPS, &(11u64 * 512).to_be_bytes());
    image
}

pub(crate) const QCOW2_L1: usize = 40;
pub(crate) const QCOW2_REFCOUNTS: usize = 48;
pub(crate) const QCOW2_SNAPSHOTS: usize = 64;
pub(crate) const QCOW2_BITMAPS: usize = 136;
/// Entries of the L2 table.
pub(crate) const QCOW2_DATA: usize = 2048;
pub(crate) const QCOW2_COMPRESSED: usize = 2056;

/// A vmdk of two grains of 4 KiB, one of which is there, with both directories.
pub(crate) fn full_vmdk() -> Vec<u8> {
    let mut image = vmdk(super::DESCRIPTOR);
    image.resize(24 * 512, 0);
    put(&mut image, 8, &3u32.to_le_bytes());
    for (at, value) in [(12, 16u64), (20, 8), (48, 6), (56, 5), (64, 16)] {
        put(&mut image, at, &value.to_le_bytes());
    }
    for (at, value) in [(VMDK_DIRECTORY, 7u32), (VMDK_REDUNDANT, 11), (7 * 512, 16), (11 * 512, 16)] {
        put(&mut image, at, &value.to_le_bytes());
    }
    image
}

/// The two grain directories of a full vmdk.
pub(crate) const VMDK_DIRECTORY: usize = 5 * 512;
pub(crate) const VMDK_REDUNDANT: usize = 6 * 512;

/// A stream with a compressed grain, the tables behind it, and a footer.
pub(crate) fn full_stream_vmdk() -> Vec<u8> {
    let mut image = stream_vmdk();
    let footer = image.split_off(4096);
    image.resize(14 * 512, 0);
    image.extend(footer);
    let second_header = 15 * 512;
    put(&mut image, second_header + 56, &12u64.to_le_bytes());
    for header in [0, second_header] {
        put(&mut image, header + 8, &0x3_0001u32.to_le_bytes());
        put(&mut image, header + 12, &16u64.to_le_bytes());
        put(&mut image, header + 20, &8u64.to_le_bytes());
        put(&mut image, header + 77, &1u16.to_le_bytes());
    }
    put(&mut image, STREAM_GRAIN + 8, &300u32.to_le_bytes());
    put(&mut image, 7 * 512, &5u32.to_le_bytes());
    put(&mut image, 12 * 512, &7u32.to_le_bytes());
    image
}

/// The marker of the stream's grain.
pub(crate) const STREAM_GRAIN: usize = 5 * 512;

/// A dynamic VHD with one of its two blocks of 4 KiB.
pub(crate) fn full_vhd() -> Vec<u8> {
    let mut image = vhd();
    let footer = image.split_off(2048);
    put(&mut image, 512 + 32, &4096u32.to_be_bytes());
    put(&mut image, VHD_BLOCK, &4u32.to_be_bytes());
    image.resize(2048 + 512 + 4096, 7);
    image.extend(footer);
    image
}

/// The entry of the VHD's block.
pub(crate) const VHD_BLOCK: usize = 1536;

/// A VDI of two blocks of 1 KiB, of which the second is there, and cut at the end of the disk.
pub(crate) fn full_vdi() -> Vec<u8> {
    let mut image = vdi();
    for (at, value) in
        [(0x154, 512u32), (0x158, 1024), (0x178, 1024), (0x180, 2), (0x184, 1), (512, u32::MAX)]
    {
        put(&mut image, at, &value.to_le_bytes());
    }
    put(&mut image, 0x170, &1536u64.to_le_bytes());
    image.truncate(1536);
    image
}

/// The entry of the VDI's second block, which is the first in the image.
pub(crate) const VDI_BLOCK: usize = 516;

/// A VHDX of 4 MiB with its first block, a log, and its table at the end.
pub(crate) fn full_vhdx() -> Vec<u8> {
    let mut image = vhdx();
    image.resize(VHDX_TABLE + 2048, 0);
    for (at, sequence, log) in [(64 << 10, 7u64, 512u64 << 10), (128 << 10, 6, 1 << 40)] {
        put(&mut image, at, b"head");
        put(&mut image, at + 8, &sequence.to_le_bytes());
        put(&mut image, at + 68, &4096u32.to_le_bytes());
        put(&mut image, at + 72, &log.to_le_bytes());
    }
    put(&mut image, (192 << 10) + 8, &2u32.to_le_bytes());
    let region = (192 << 10) + 48;
    put(&mut image, region, b"\x66\x77\xC2\x2D\x23\xF6\x00\x42\x9D\x64\x11\x5E\x9B\xFD\x4A\x08");
    put(&mut image, region + 16, &(VHDX_TABLE as u64).to_le_bytes());
    put(&mut image, region + 24, &2048u32.to_le_bytes());
    put(&mut image, VHDX_METADATA + 10, &3u16.to_le_bytes());
    put(&mut image, VHDX_METADATA + 96, b"\x1D\xBF\x41\x81\x6F\xA9\x09\x47\xBA\x47\xF2\x33\xA8\xFA\xAB\x5F");
    put(&mut image, VHDX_METADATA + 112, &((64u32 << 10) + 16).to_le_bytes());
    put(&mut image, VHDX_METADATA + (64 << 10), &(1u32 << 20).to_le_bytes());
    put(&mut image, VHDX_METADATA + (64 << 10) + 16, &512u32.to_le_bytes());
    put(&mut image, VHDX_TABLE, &((2u64 << 20) | 6).to_le_bytes());
    image
}

/// The block allocation table of the full VHDX.
pub(crate) const VHDX_TABLE: usize = 3 << 20;
