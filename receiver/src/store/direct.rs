//! Writing past the page cache (`O_DIRECT`, open(2)): no copy, no pages taken from the guests of this host, and the disk
//! is as far as the writer is, so that nothing is left to be flushed at the end. Where a file system or a block does not
//! allow it, the page cache does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;

use crate::pool::PAGE;

/// A second way to a file.
#[derive(Debug)]
pub(super) struct Direct {
    /// `None` where the file system has no such way.
    file: Option<File>,
    /// It said so only when it was used.
    refused: AtomicBool,
}

impl Direct {
    /// Looks for the way to a file that is there.
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).custom_flags(OFlag::O_DIRECT.bits()).open(path);
        Self { file: file.ok(), refused: AtomicBool::new(false) }
    }

    /// Writes bytes that begin at a page and are whole pages; `None` if this way is not for them.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Option<io::Result<()>> {
        let whole = bytes.len().is_multiple_of(PAGE) && offset.is_multiple_of(PAGE as u64);
        let file = self.file.as_ref().filter(|_| whole && bytes.as_ptr().align_offset(PAGE) == 0)?;
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        match file.write_all_at(bytes, offset) {
            // What alignment is wanted, if any helps, is the file system's secret.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
            result => Some(result),
        }
    }
}
