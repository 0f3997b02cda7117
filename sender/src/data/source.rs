//! Where the image's bytes come from, as the reading thread sees it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// An image that is read once, from front to back.
pub trait Source: Send {
    /// Fills `buffer` as far as there is anything left; less than all of it only at the end.
    ///
    /// # Errors
    /// [`SourceError`]: the push is aborted with it.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Passes over so many bytes if they are known to be zero without being read: a hole of a sparse file.
    fn skip_hole(&mut self, _bytes: usize) -> bool {
        false
    }

    /// Called once, after the last byte: checks what can be checked only then (length, digest, that nobody changed it).
    ///
    /// # Errors
    /// [`SourceError`]: nothing may be published.
    fn finish(&mut self) -> Result<(), SourceError>;

    /// A file that holds the same bytes and can be read again for repairs; `None`: the reader keeps a spool.
    fn again(&self) -> Option<&File>;
}

/// Why the source is of no use, in a sentence that names it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading it failed.
    #[error("{name}: {error}")]
    Read {
        /// Which source.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// It changed while it was read.
    #[error(
        "{name} was changed while it was being sent: nothing is published; push it again when it is at rest"
    )]
    Changed {
        /// Which source.
        name: String,
    },
    /// It is not as long as it was said to be.
    #[error("{name} ended after {got} bytes instead of {expected}")]
    Length {
        /// Which source.
        name: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// Glance failed, or its bytes are not those of its record.
    #[error("{0}")]
    Glance(String),
}

/// A regular file on this machine.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    file: File,
    /// Length and times when it was opened: changed ones mean changed content.
    stamp: Stamp,
    read: u64,
    /// There is no data from where it was read up to here.
    data_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl FileSource {
    /// Opens a file.
    ///
    /// # Errors
    /// One line that says what is wrong with the path.
    pub fn open(path: &Path) -> Result<Self, String> {
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{}: there is no such file", path.display()),
            _ => at(error),
        })?;
        let metadata = file.metadata().map_err(at)?;
        if metadata.is_dir() {
            return Err(format!("{}: is a directory, not an image", path.display()));
        }
        if !metadata.is_file() {
            return Err(format!("{}: is not a regular file", path.display()));
        }
        let stamp = Stamp::of(&file).map_err(at)?;
        Ok(Self { path: path.to_owned(), file, stamp, read: 0, data_at: 0 })
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Where there is data next (lseek(2), `SEEK_DATA`): here, for a file system that does not know.
    fn next_data(&self) -> u64 {
        let from = i64::try_from(self.read).unwrap_or(i64::MAX);
        match lseek(&self.file, from, Whence::SeekData) {
            Ok(at) => u64::try_from(at).unwrap_or(self.read),
            Err(Errno::ENXIO) => self.stamp.bytes, // none any more
            Err(_) => self.read,
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Source for FileSource {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let got = read_full_at(&self.file, buffer, self.read)
            .map_err(|error| SourceError::Read { name: self.name(), error })?;
        self.read += got as u64;
        Ok(got)
    }

    fn skip_hole(&mut self, bytes: usize) -> bool {
        let end = (self.read + bytes as u64).min(self.stamp.bytes);
        if self.data_at <= self.read {
            self.data_at = self.next_data();
        }
        let is_hole = end <= self.data_at;
        if is_hole {
            self.read = end;
        }
        is_hole
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        let stamp = Stamp::of(&self.file).map_err(|error| SourceError::Read { name: self.name(), error })?;
        if stamp != self.stamp {
            return Err(SourceError::Changed { name: self.name() });
        }
        if self.read != self.stamp.bytes {
            return Err(SourceError::Length {
                name: self.name(),
                got: self.read,
                expected: self.stamp.bytes,
            });
        }
        Ok(())
    }

    fn again(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// Reads until the buffer is full or the end is there.
fn read_full_at(from: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 1 << 20;

    #[test]
    fn holes_are_passed_over_and_data_is_not() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("sparse");
        let file = File::create(&path).expect("writable");
        file.set_len(5 * PIECE as u64 + 17).expect("room");
        file.write_all_at(&[7; 100], 2 * PIECE as u64 + 5).expect("room");
        let mut source = FileSource::open(&path).expect("there");
        let mut buffer = vec![9; PIECE];
        let mut holes = Vec::new();
        for piece in 0..6 {
            if source.skip_hole(PIECE) {
                holes.push(piece);
            } else {
                let got = source.fill(&mut buffer).expect("readable");
                assert_eq!(buffer[..got].iter().filter(|&&byte| byte == 7).count(), 100);
            }
        }
        assert!(holes == [0, 1, 3, 4, 5] || holes.is_empty(), "{holes:?}");
        source.finish().expect("all of it was read or passed over");
    }

    #[test]
    fn a_file_that_grows_while_it_is_sent_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("image");
        std::fs::write(&path, vec![0; PIECE]).expect("writable");
        let mut source = FileSource::open(&path).expect("there");
        while !source.skip_hole(PIECE) && source.fill(&mut vec![0; PIECE]).expect("readable") > 0 {}
        std::fs::write(&path, vec![1; PIECE + 1]).expect("writable");
        assert!(matches!(source.finish(), Err(SourceError::Changed { .. })));
    }
}
