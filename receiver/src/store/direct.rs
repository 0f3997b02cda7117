//! Writing past the page cache (`O_DIRECT`, open(2)): no copy, and no pages taken from the guests of this host. The
//! disk keeps up with the writer, so that nothing is left to be flushed at the end. If a file system or a block does
//! not allow it, the page cache is used.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;

use super::dir::Dir;
use crate::pool::PAGE;

/// A second descriptor of a file, for direct writes.
#[derive(Debug)]
pub(super) struct Direct {
    /// `None` if the file system refuses direct writes on opening.
    file: Option<File>,
    /// Whether the file system refused a direct write later.
    refused: AtomicBool,
}

impl Direct {
    /// Opens a file again for direct writes, by its descriptor, as its name may lead to another file by now.
    pub(super) fn open(dir: &Dir, file: &File) -> Self {
        let file = dir.open_again(file, OFlag::O_WRONLY.union(OFlag::O_DIRECT));
        Self { file: file.ok(), refused: AtomicBool::new(false) }
    }

    /// Returns the value for a file that is not written.
    pub(super) fn none() -> Self {
        Self { file: None, refused: AtomicBool::new(true) }
    }

    /// Writes whole pages, aligned in memory and in the file; `None` if these are not, or if direct writes are refused.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Option<io::Result<()>> {
        let whole = bytes.len().is_multiple_of(PAGE) && offset.is_multiple_of(PAGE as u64);
        let file = self.file.as_ref().filter(|_| whole && bytes.as_ptr().align_offset(PAGE) == 0)?;
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        match file.write_all_at(bytes, offset) {
            // Which alignment the file system wants, if any helps, is unknown.
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
        assert!(Direct::none().write(&[1; PAGE], 0).is_none());
    }

    #[test]
    fn whole_pages_at_pages_go_this_way_and_nothing_else_does() {
        let (file, buffer) = (tempfile::tempfile().expect("temporary file"), Buffer::new());
        let direct = of(file);
        for (bytes, offset) in [
            (&buffer.pages()[..100], 0),
            (&buffer.pages()[..PAGE - 1], PAGE as u64),
            (buffer.pages(), 100),
            (&buffer.0[buffer.start() + 1..][..PAGE], 0),
        ] {
            assert!(direct.write(bytes, offset).is_none(), "{} bytes at {offset}", bytes.len());
        }
        assert!(matches!(direct.write(buffer.pages(), PAGE as u64), Some(Ok(()))));
        let bytes = direct.file.as_ref().expect("open").metadata().expect("open").len();
        assert_eq!(bytes, 3 * PAGE as u64, "two pages after the first");
    }

    #[test]
    fn a_way_that_the_file_system_refuses_is_not_tried_again_and_other_errors_are_told() {
        let (file, buffer) = (tempfile::NamedTempFile::new().expect("temporary file"), Buffer::new());
        let closed = of(File::open(file.path()).expect("readable"));
        assert!(matches!(closed.write(buffer.pages(), 0), Some(Err(_))), "it is open to read");
        let refusing = of(file.reopen().expect("writable"));
        assert!(refusing.write(buffer.pages(), 1 << 63).is_none(), "EINVAL: no file is so long");
        assert!(refusing.write(buffer.pages(), 0).is_none());
    }

    fn of(file: File) -> Direct {
        Direct { file: Some(file), refused: AtomicBool::new(false) }
    }

    /// Memory that contains two aligned pages.
    struct Buffer(Vec<u8>);

    impl Buffer {
        fn new() -> Self {
            Self(vec![1; 4 * PAGE])
        }

        fn start(&self) -> usize {
            self.0.as_ptr().align_offset(PAGE)
        }

        fn pages(&self) -> &[u8] {
            &self.0[self.start()..][..2 * PAGE]
        }
    }
}
