//! Where the image's bytes come from, as the reading thread sees it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use glancecast_platform::files::read_full;

use super::holes::Holes;

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
    name: String,
    file: File,
    holes: Holes,
    /// Length and times when it was opened: changed ones mean changed content.
    stamp: Stamp,
    read: u64,
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
        Self::over(file, path.display().to_string()).map_err(at)
    }

    /// Takes a regular file, a nameless one for instance. `name` is what messages call it.
    ///
    /// # Errors
    /// When the system does not tell its length.
    pub fn over(file: File, name: String) -> io::Result<Self> {
        let stamp = Stamp::of(&file)?;
        Ok(Self { name, file, holes: Holes::default(), stamp, read: 0 })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is still what it was when it was opened.
    ///
    /// # Errors
    /// [`SourceError::Changed`]
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        let stamp = Stamp::of(&self.file).map_err(|error| self.failed(error))?;
        if stamp == self.stamp { Ok(()) } else { Err(SourceError::Changed { name: self.name.clone() }) }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    fn failed(&self, error: io::Error) -> SourceError {
        SourceError::Read { name: self.name.clone(), error }
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
        let left = usize::try_from(self.stamp.bytes.saturating_sub(self.read)).unwrap_or(usize::MAX);
        let buffer = match buffer.len() {
            len if len > left => &mut buffer[..left],
            _ => buffer,
        };
        let got = if self.holes.cover(&self.file, self.read, self.read + buffer.len() as u64) {
            buffer.fill(0);
            buffer.len()
        } else {
            read_full(&self.file, buffer, self.read).map_err(|error| self.failed(error))?
        };
        self.read += got as u64;
        Ok(got)
    }

    fn skip_hole(&mut self, bytes: usize) -> bool {
        let end = (self.read + bytes as u64).min(self.stamp.bytes);
        let is_hole = self.holes.cover(&self.file, self.read, end);
        if is_hole {
            self.read = end;
        }
        is_hole
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        self.check_unchanged()?;
        if self.read != self.stamp.bytes {
            return Err(SourceError::Length {
                name: self.name.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const PIECE: usize = 1 << 20;

    #[test]
    fn holes_are_passed_over_and_data_is_not() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(5 * PIECE as u64 + 17).expect("room");
        file.write_all_at(&[7; 100], 2 * PIECE as u64 + 5).expect("room");
        let mut source = FileSource::over(file, "image".into()).expect("a file");
        let mut buffer = vec![9; PIECE];
        let mut holes = Vec::new();
        for piece in 0..6 {
            if source.skip_hole(PIECE) {
                holes.push(piece);
            } else {
                let got = source.fill(&mut buffer).expect("readable");
                let sevens = buffer[..got].iter().filter(|&&byte| byte == 7).count();
                assert_eq!(sevens, if piece == 2 { 100 } else { 0 });
            }
        }
        // A file system may not know of holes.
        assert!(holes == [0, 1, 3, 4, 5] || holes.is_empty(), "{holes:?}");
        source.finish().expect("all of it was read or passed over");
    }
}
