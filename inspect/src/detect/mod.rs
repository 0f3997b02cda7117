//! Which formats an image looks like: to QEMU, whose tools open the files on the hosts, and to oslo.utils, with which
//! Nova inspects its downloads. Each of the two has its own file; an image must look the same to both.

mod oslo;
mod qemu;

use std::io::{self, Read, Seek};

use crate::format::Format;
use crate::view::{Stop, View};

/// Returns the formats that an image looks like, in a fixed order, or [`Format::Raw`] alone if there is none. Safe
/// images look like one, or like ISO images with partitions ([`Format::Iso`] and [`Format::Gpt`]) if bootable.
///
/// # Errors
/// Read errors.
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
    let mut formats: Vec<Format> = qemu::bdrv_probe_all(&start).collect();
    formats.extend(oslo::formats(&start));
    if oslo::is_iso(&view.upto(oslo::ISO_DESCRIPTOR, oslo::ISO_DESCRIPTOR_BYTES)?) {
        formats.push(Format::Iso);
    }
    if formats.is_empty() {
        formats.push(Format::Raw);
    }
    formats.sort_unstable();
    formats.dedup();
    Ok(formats)
}

/// Length of the beginning that both inspect: oslo.utils reads 4096 bytes at a time, and recognises a text by the first
/// of these pieces.
const START_BYTES: usize = 4096;
