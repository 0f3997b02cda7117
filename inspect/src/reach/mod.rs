//! Whether an image is whole: all that its own tables name has to lie within it. A download or an upload that broke off
//! leaves an image whose header is sound, and of which QEMU reads zeros where bytes are missing.
//!
//! Each format has its tables in a file here. They are read in pieces, in the order in which they name each other, and
//! one piece of each level is held at a time. What an image names is a stranger's choice, so each table is
//! charged to a budget: tables that are named again and again, or overlap, end it.

mod disk;
mod qcow2;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

use crate::format::Format;
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View};

pub use disk::Overhang;

/// Checks that all that an image's tables name lies within it. `virtual_bytes` is the length of the disk.
pub(crate) fn check(view: &mut View<'_>, format: Format, virtual_bytes: u64) -> Result<(), Stop> {
    let mut reach = Reach::new(view, format);
    match format {
        Format::Qcow2 => qcow2::check(&mut reach, virtual_bytes),
        Format::Vmdk => vmdk::check(&mut reach),
        Format::Vhd => vhd::check(&mut reach),
        Format::Vhdx => vhdx::check(&mut reach, virtual_bytes),
        Format::Vdi => vdi::check(&mut reach, virtual_bytes),
        // Raw, or refused before.
        _ => Ok(()),
    }
}

/// Returns what says that a disk is longer than its image.
pub(crate) fn overhang(view: &mut View<'_>, format: Format) -> Result<Option<Overhang>, Stop> {
    if format.is_raw() { disk::overhang(view, format) } else { Ok(None) }
}

/// Reads the tables of an image.
struct Reach<'v, 'i> {
    view: &'v mut View<'i>,
    format: Format,
    /// The bytes of tables that may still be read.
    budget: u64,
}

/// Entries of equal length, one after the other.
#[derive(Clone, Copy)]
struct Table {
    /// Its name, for messages.
    what: &'static str,
    offset: u64,
    entries: u64,
}

impl<'v, 'i> Reach<'v, 'i> {
    /// Tables of a sound image do not overlap, so that all of them together are shorter than the image.
    fn new(view: &'v mut View<'i>, format: Format) -> Self {
        let budget = view.bytes().min(TABLE_BYTES_MAX);
        Self { view, format, budget }
    }

    /// Lets tables be read again that the inspector may not remember: only [`TABLE_BYTES_MAX`] limits them then.
    fn allow_shared_tables(&mut self) {
        self.budget = TABLE_BYTES_MAX;
    }

    /// Checks that `bytes` from `offset` on lie within the image.
    fn within(&self, what: &str, offset: u64, bytes: u64) -> Result<(), Refusal> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.view.bytes() => Ok(()),
            Some(end) => Err(self.cut_short(what, &format!("reaches to byte {end}"))),
            None => Err(self.cut_short(what, &format!("is at byte {offset}"))),
        }
    }

    fn cut_short(&self, what: &str, reaches: &str) -> Refusal {
        cut_short(self.format, self.view.bytes(), what, reaches)
    }

    fn malformed(&self, text: &str) -> Stop {
        Refusal::new(Rule::MalformedHeader, format!("the {} {text}", self.format)).into()
    }

    /// Checks that the table lies within the image, then reads it a piece at a time and calls `visit` with each entry
    /// of `N` bytes and its index.
    fn each<const N: usize>(
        &mut self,
        table: Table,
        mut visit: impl FnMut(&mut Self, u64, [u8; N]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let Table { what, offset, entries } = table;
        if entries == 0 {
            return Ok(()); // wherever it is
        }
        let bytes = entries.saturating_mul(N as u64);
        self.within(what, offset, bytes)?;
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| self.malformed(TABLES_TOO_LARGE))?;
        let mut index = 0;
        while index < entries {
            let count = (entries - index).min((PIECE_BYTES / N) as u64);
            let piece = self.view.exactly(what, offset + index * N as u64, count as usize * N)?;
            for &entry in piece.as_chunks::<N>().0 {
                visit(self, index, entry)?;
                index += 1;
            }
        }
        Ok(())
    }
}

/// Returns the refusal of an image of `bytes` that does not have all of its `what`.
pub(crate) fn cut_short(format: Format, bytes: u64, what: &str, reaches: &str) -> Refusal {
    let text = format!(
        "the {format} is cut short: its {what} {reaches}, and it ends after {bytes} bytes; fetch or upload it again, and \
         compare its length and its checksum with those of its publisher"
    );
    Refusal::new(Rule::CutShort, text)
}

const TABLES_TOO_LARGE: &str = "has tables that overlap, or that are larger than those of any sound image";

/// Bytes of a table that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The longest tables of a sound image of a disk of 2 TiB take 8 GiB: those of a qcow2 with clusters of 2 KiB. The
/// limit bounds the time that a sparse file costs whose tables are all holes.
const TABLE_BYTES_MAX: u64 = 16 << 30;
