//! Which formats an image looks like, by the marks that oslo.utils and QEMU go by.

use std::io::{self, Read, Seek};

use crate::format::Format;
use crate::view::{Stop, View, le32};
use crate::{mbr, vmdk};

/// The formats that an image looks like, in a fixed order; [`Format::Raw`] alone where it looks like none. Safe images look
/// like one, or like an ISO image with partitions ([`Format::Iso`] and [`Format::Gpt`]), as bootable ones do.
///
/// # Errors
/// Those of reading.
pub fn detect<R: Read + Seek>(image: &mut R) -> io::Result<Vec<Format>> {
    let mut view = View::whole(image)?;
    match formats(&mut view) {
        Ok(formats) => Ok(formats),
        Err(Stop::Io(error)) => Err(error),
        Err(Stop::Beyond | Stop::Refused(_)) => unreachable!("all of it is there, and nothing is judged"),
    }
}

pub(crate) fn formats(view: &mut View<'_>) -> Result<Vec<Format>, Stop> {
    let start = view.upto(0, START_BYTES)?;
    let mut formats: Vec<Format> =
        MAGICS.iter().filter(|(magic, _)| start.starts_with(magic)).map(|&(_, format)| format).collect();
    if vmdk::is_text(&start) {
        formats.push(Format::Vmdk);
    }
    if start.len() >= 0x44 && le32(&start, 0x40) == VDI_SIGNATURE {
        formats.push(Format::Vdi);
    }
    if start.get(..mbr::SECTOR_BYTES).is_some_and(mbr::is_boot_sector) {
        formats.push(Format::Gpt);
    }
    let descriptor = view.upto(ISO_DESCRIPTOR, ISO_DESCRIPTOR_BYTES)?;
    if descriptor.len() == ISO_DESCRIPTOR_BYTES && ISO_IDS.contains(&&descriptor[1..6]) {
        formats.push(Format::Iso);
    }
    if formats.is_empty() {
        formats.push(Format::Raw);
    }
    formats.sort_unstable();
    formats.dedup();
    Ok(formats)
}

/// oslo.utils reads 4096 bytes at a time, and judges a text by the first of them.
const START_BYTES: usize = 4096;

const MAGICS: [(&[u8], Format); 11] = [
    (b"QFI\xfb", Format::Qcow2),
    (b"QED\0", Format::Qed),
    (b"conectix", Format::Vhd),
    (b"vhdxfile", Format::Vhdx),
    (b"KDMV", Format::Vmdk),
    (b"COWD", Format::Vmdk),
    (b"LUKS\xba\xbe", Format::Luks),
    (b"WithoutFreeSpace", Format::Parallels),
    (b"WithouFreSpacExt", Format::Parallels),
    (b"Bochs Virtual HD Image", Format::Bochs),
    (b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0", Format::Cloop),
];

const VDI_SIGNATURE: u32 = 0xBEDA_107F;

/// The first volume descriptor, and what it may call itself.
const ISO_DESCRIPTOR: u64 = 32 << 10;
const ISO_DESCRIPTOR_BYTES: usize = 2048;
const ISO_IDS: [&[u8]; 3] = [b"CD001", b"NSR02", b"NSR03"];
