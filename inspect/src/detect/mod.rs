//! Which formats an image looks like: to QEMU, whose tools open the files on the hosts, and to oslo.utils, with which
//! Nova inspects what it downloads. Each of the two has a file of its own; an image has to be the same to both.

mod oslo;
mod qemu;

use std::io::{self, Read, Seek};

use crate::format::Format;
use crate::view::{Stop, View};

/// The formats that an image looks like, in a fixed order; [`Format::Raw`] alone where it looks like none. Safe images
/// look like one, or like an ISO image with partitions ([`Format::Iso`] and [`Format::Gpt`]), as bootable ones do.
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

/// Bytes of the beginning that both look at: oslo.utils reads 4096 at a time, and recognises a text by the first of
/// them.
const START_BYTES: usize = 4096;
