//! Writing past the page cache (`O_DIRECT`, open(2)): no copy, no pages taken from the guests of this host, and the disk
//! is as far as the writer is, so that nothing is left to be flushed at the end. Where a file system or a block does not
//! allow it, the page cache does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;

use super::dir::Dir;
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
    /// Looks for the way to a file that is open: by its descriptor, as its name may lead to another one by now.
    pub(super) fn open(dir: &Dir, file: &File) -> Self {
        let file = dir.open_again(file, OFlag::O_WRONLY | OFlag::O_DIRECT);
        Self { file: file.ok(), refused: AtomicBool::new(false) }
    }

    /// Of a file that is not written.
    pub(super) fn none() -> Self {
        Self { file: None, refused: AtomicBool::new(true) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_second_way_is_to_the_open_file_and_for_whole_pages_alone() {
        let temporary = tempfile::tempdir_in("/var/tmp").expect("temporary directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        let name = |name| super::super::name::Name::new(name).expect("a name");
        let file = dir.create_file(&name("file")).expect("writable");
        std::fs::rename(temporary.path().join("file"), temporary.path().join("moved")).expect("writable");
        std::fs::write(temporary.path().join("file"), b"another").expect("writable");
        let direct = Direct::open(&dir, &file);
        if let Some(second) = &direct.file {
            let ino = |file: &File| file.metadata().expect("open").ino();
            assert_eq!(ino(second), ino(&file));
        }
        assert!(direct.write(&[1; 100], 0).is_none());
        assert!(Direct::none().write(&[1; PAGE], 0).is_none());
    }
}
