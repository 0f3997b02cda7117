//! Images made by hand: small ones that pass, to be broken by the tests.
#![allow(dead_code, reason = "each test uses some of them")]

pub(crate) mod full;

/// 1 GiB in a qcow2 of version 3, with nothing in it.
pub(crate) fn qcow2() -> Vec<u8> {
    let mut image = vec![0; 4096];
    put(&mut image, 0, b"QFI\xfb");
    put(&mut image, 4, &3u32.to_be_bytes());
    put(&mut image, 20, &16u32.to_be_bytes());
    put(&mut image, 24, &(1u64 << 30).to_be_bytes());
    put(&mut image, 100, &112u32.to_be_bytes());
    image
}

/// The usual descriptor of a vmdk in one file.
pub(crate) const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=7b2c7e6d\nparentCID=ffffffff\n\
    createType=\"monolithicSparse\"\n\n# Extent description\nRW 8192 SPARSE \"disk.vmdk\"\n\n\
    # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\n";

/// 4 MiB in a vmdk with this descriptor.
pub(crate) fn vmdk(descriptor: &str) -> Vec<u8> {
    let mut image = vec![0; 4096];
    put(&mut image, 0, b"KDMV");
    put(&mut image, 4, &1u32.to_le_bytes());
    put(&mut image, 12, &8192u64.to_le_bytes());
    put(&mut image, 20, &128u64.to_le_bytes());
    put(&mut image, 28, &1u64.to_le_bytes());
    put(&mut image, 36, &4u64.to_le_bytes());
    put(&mut image, 44, &512u32.to_le_bytes());
    put(&mut image, 56, &5u64.to_le_bytes());
    put(&mut image, 512, descriptor.as_bytes());
    image
}

/// The same for streams, with its footer.
pub(crate) fn stream_vmdk() -> Vec<u8> {
    let mut image = vmdk(&DESCRIPTOR.replace("monolithicSparse", "streamOptimized"));
    let mut header = image[..512].to_vec();
    put(&mut image, 56, &u64::MAX.to_le_bytes());
    put(&mut header, 56, &5u64.to_le_bytes());
    let mut marker = vec![0; 512];
    put(&mut marker, 12, &3u32.to_le_bytes());
    image.extend([marker, header, vec![0; 512]].concat());
    image
}

/// A dynamic VHD of 4 MiB with nothing in it.
pub(crate) fn vhd() -> Vec<u8> {
    let mut image = vec![0; 2048];
    put(&mut image, 0, b"conectix");
    put(&mut image, 16, &512u64.to_be_bytes());
    put(&mut image, 40, &(4u64 << 20).to_be_bytes());
    put(&mut image, 48, &(4u64 << 20).to_be_bytes());
    put(&mut image, 60, &3u32.to_be_bytes());
    let footer = image[..512].to_vec();
    put(&mut image, 512, b"cxsparse");
    put(&mut image, 512 + 16, &1536u64.to_be_bytes());
    put(&mut image, 512 + 28, &2u32.to_be_bytes());
    put(&mut image, 512 + 32, &(2u32 << 20).to_be_bytes());
    put(&mut image, 1536, &[0xFF; 512]);
    image.extend(footer);
    image
}

/// A VDI of 4 MiB.
pub(crate) fn vdi() -> Vec<u8> {
    let mut image = vec![0; 2048];
    put(&mut image, 0x40, &0xBEDA_107Fu32.to_le_bytes());
    put(&mut image, 0x4C, &1u32.to_le_bytes());
    put(&mut image, 0x170, &(4u64 << 20).to_le_bytes());
    image
}

/// A VHDX of 4 MiB with its metadata at 1 MiB.
pub(crate) fn vhdx() -> Vec<u8> {
    let mut image = vec![0; VHDX_METADATA + (128 << 10)];
    put(&mut image, 0, b"vhdxfile");
    put(&mut image, 192 << 10, b"regi");
    put(&mut image, (192 << 10) + 8, &1u32.to_le_bytes());
    put(&mut image, (192 << 10) + 16, b"\x06\xA2\x7C\x8B\x90\x47\x9A\x4B\xB8\xFE\x57\x5F\x05\x0F\x88\x6E");
    put(&mut image, (192 << 10) + 32, &(VHDX_METADATA as u64).to_le_bytes());
    put(&mut image, VHDX_METADATA, b"metadata");
    put(&mut image, VHDX_METADATA + 10, &2u16.to_le_bytes());
    put(&mut image, VHDX_METADATA + 32, b"\x37\x67\xA1\xCA\x36\xFA\x43\x4D\xB3\xB6\x33\xF0\xAA\x44\xE7\x6B");
    put(&mut image, VHDX_METADATA + 48, &(64u32 << 10).to_le_bytes());
    put(&mut image, VHDX_METADATA + 64, b"\x24\x42\xA5\x2F\x1B\xCD\x76\x48\xB2\x11\x5D\xBE\xD8\x3B\xF4\xB8");
    put(&mut image, VHDX_METADATA + 80, &((64u32 << 10) + 8).to_le_bytes());
    put(&mut image, VHDX_METADATA + (64 << 10) + 8, &(4u64 << 20).to_le_bytes());
    image
}

pub(crate) const VHDX_METADATA: usize = 1 << 20;

/// A disc.
pub(crate) fn iso() -> Vec<u8> {
    let mut image = vec![0; 40 << 10];
    put(&mut image, 32 << 10, b"\x01CD001\x01");
    image
}

/// A disk with a partition.
pub(crate) fn mbr() -> Vec<u8> {
    let mut image = vec![0; 4096];
    put(&mut image, 446, &[0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0]);
    put(&mut image, 510, &[0x55, 0xAA]);
    image
}

/// Changes some bytes.
pub(crate) fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The image with some bytes changed.
pub(crate) fn with(mut image: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    put(&mut image, at, bytes);
    image
}
