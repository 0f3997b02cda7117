//! Whether an image is whole: all that its own tables name has to lie within it. A download or an upload that broke off
//! leaves an image whose header is sound, and of which QEMU reads zeros where bytes are missing.
//!
//! Each format has its tables in a file here. They are read in pieces, in the order in which they name each other, and
//! no two pieces are held at once but one for each level. What an image names is a stranger's choice, so each table is
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
    let mut reach = Reach::new(view);
    match format {
        Format::Qcow2 => qcow2::check(&mut reach, virtual_bytes),
        Format::Vmdk => vmdk::check(&mut reach),
        Format::Vhd => vhd::check(&mut reach),
        Format::Vhdx => vhdx::check(&mut reach, virtual_bytes),
        Format::Vdi => vdi::check(&mut reach, virtual_bytes),
        Format::Raw
        | Format::Gpt
        | Format::Iso
        | Format::Qed
        | Format::Luks
        | Format::Parallels
        | Format::Bochs
        | Format::Cloop => Ok(()),
    }
}

/// Returns what says that a disk is longer than its image.
pub(crate) fn overhang(view: &mut View<'_>, format: Format) -> Result<Option<Overhang>, Stop> {
    if format.is_raw() { disk::overhang(view, format) } else { Ok(None) }
}

/// Reads the tables of an image.
struct Reach<'v, 'i> {
    view: &'v mut View<'i>,
    /// The bytes of tables that may still be read.
    budget: u64,
}

/// Entries of equal length, one after the other.
#[derive(Clone, Copy)]
struct Table {
    /// The format and the table, for messages.
    what: &'static str,
    offset: u64,
    entries: u64,
}

impl<'v, 'i> Reach<'v, 'i> {
    /// Tables of a sound image do not overlap, so that all of them together are shorter than the image.
    fn new(view: &'v mut View<'i>) -> Self {
        let budget = view.bytes().min(TABLE_BYTES_MAX);
        Self { view, budget }
    }

    /// Lets tables be read again that the inspector may not remember: only [`TABLE_BYTES_MAX`] limits them then.
    fn allow_shared_tables(&mut self) {
        self.budget = TABLE_BYTES_MAX;
    }

    /// Checks that `bytes` from `offset` on lie within the image.
    fn within(&self, what: &str, offset: u64, bytes: u64) -> Result<(), Refusal> {
        let has = self.view.bytes();
        match offset.checked_add(bytes) {
            Some(end) if end <= has => Ok(()),
            Some(end) => Err(cut_short(what, &format!("reaches to byte {end}"), has)),
            None => Err(cut_short(what, &format!("is at byte {offset}"), has)),
        }
    }

    /// Checks that the table lies within the image, then reads it a piece at a time and calls `visit` with each entry
    /// of `N` bytes and its index.
    fn each<const N: usize>(
        &mut self,
        table: Table,
        mut visit: impl FnMut(&mut Self, u64, [u8; N]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if table.entries == 0 {
            return Ok(()); // wherever it is
        }
        let bytes = table.entries.checked_mul(N as u64).ok_or_else(|| too_large(table.what))?;
        self.within(table.what, table.offset, bytes)?;
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| too_large(table.what))?;
        let mut index = 0;
        while index < table.entries {
            let entries = (table.entries - index).min((PIECE_BYTES / N) as u64);
            let piece = self.view.exactly(table.what, table.offset + index * N as u64, entries as usize * N)?;
            for entry in piece.chunks_exact(N) {
                visit(self, index, *entry.first_chunk().expect("chunks of N bytes"))?;
                index += 1;
            }
        }
        Ok(())
    }
}

fn cut_short(what: &str, reaches: &str, has: u64) -> Refusal {
    let text = format!(
        "the image is cut short: its {what} {reaches}, and it ends after {has} bytes; was all of it downloaded, and \
         uploaded? Fetch it again, and compare its length and its checksum"
    );
    Refusal::new(Rule::CutShort, text)
}

fn too_large(what: &str) -> Refusal {
    let text = format!("the image's tables are larger than itself, or than any sound image's: its {what}");
    Refusal::new(Rule::MalformedHeader, text)
}

fn malformed(text: impl Into<String>) -> Stop {
    Refusal::new(Rule::MalformedHeader, text).into()
}

/// Bytes of a table that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The longest tables of a sound image of a disk of 2 TiB take 8 GiB: those of a qcow2 with clusters of 2 KiB. The
/// limit bounds the time that a sparse file costs whose tables are all holes.
const TABLE_BYTES_MAX: u64 = 16 << 30;
