//! A regular file on this machine as a source. Its holes are not read, where the file system is known to report them
//! rightly.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use glancecast_platform::files::read_full;

use super::holes::Holes;
use super::{Source, SourceError};

/// A regular file on this machine.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    file: File,
    holes: Holes,
    /// Length and times at opening. If they change, the content is taken to have changed.
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
    /// [`OpenError`] if the path is not a readable regular file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let at = |error: io::Error| OpenError { path: path.to_owned(), fault: error.into() };
        let not = |fault| Err(OpenError { path: path.to_owned(), fault });
        let file = File::open(path).map_err(at)?;
        let metadata = file.metadata().map_err(at)?;
        match metadata.file_type() {
            kind if kind.is_dir() => not(OpenFault::Directory),
            kind if !kind.is_file() => not(OpenFault::NotRegular),
            _ => Self::over(file, path.display().to_string()).map_err(at),
        }
    }

    /// Returns a source over an open regular file, such as a nameless one. `name` stands for it in messages.
    ///
    /// # Errors
    /// When the file's metadata cannot be read.
    pub fn over(file: File, name: String) -> io::Result<Self> {
        let stamp = Stamp::of(&file)?;
        let holes = Holes::of(&file, stamp.bytes);
        Ok(Self { name, file, holes, stamp, read: 0 })
    }

    /// Returns the file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the name that messages use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that length and times are what they were at opening.
    ///
    /// # Errors
    /// [`SourceError::Changed`], or [`SourceError::Read`] if they cannot be read.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        let stamp = Stamp::of(&self.file).map_err(|error| self.failed(error))?;
        if stamp == self.stamp { Ok(()) } else { Err(SourceError::Changed { name: self.name.clone() }) }
    }

    /// Returns the file's length in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Returns about how many bytes of the file are neither holes nor zeros.
    pub fn data_bytes(&self) -> u64 {
        self.holes.data_bytes(&self.file)
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

/// Why a path cannot be used as an image.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}", path = path.display())]
pub struct OpenError {
    path: PathBuf,
    fault: OpenFault,
}

#[derive(Debug, thiserror::Error)]
enum OpenFault {
    #[error("there is no such file")]
    Missing,
    #[error("is a directory, not an image")]
    Directory,
    #[error("is not a regular file")]
    NotRegular,
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for OpenFault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Io(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::holes;
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
        // A file system may not report holes.
        assert!(holes == [0, 1, 3, 4, 5] || holes.is_empty(), "{holes:?}");
        source.finish().expect("all of it was read or passed over");
    }

    #[test]
    fn data_that_a_file_system_reports_as_a_hole_is_sent_all_the_same() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.write_all_at(&[7; 3 * PIECE], 0).expect("room");
        for kind in [holes::tests::ZFS, nix::sys::statfs::EXT4_SUPER_MAGIC] {
            let mut source =
                FileSource::over(file.try_clone().expect("open"), "image".into()).expect("a file");
            source.holes =
                Holes::asking(Box::new(holes::tests::Liar { kind, data: 0..0 }), &file, 3 * PIECE as u64);
            let mut buffer = vec![9; PIECE];
            for _ in 0..3 {
                assert!(!source.skip_hole(PIECE), "{kind:?}");
                assert_eq!(source.fill(&mut buffer).expect("readable"), PIECE);
                assert!(buffer.iter().all(|&byte| byte == 7), "{kind:?}");
            }
            source.finish().expect("all of it was read");
        }
    }

    #[test]
    fn a_path_that_is_no_image_is_named_with_the_reason() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, reason) in
            [(directory.path().join("x"), "no such file"), (directory.path().to_owned(), "is a directory")]
        {
            let error = FileSource::open(&path).expect_err("no image").to_string();
            assert!(error.starts_with(&path.display().to_string()) && error.contains(reason), "{error}");
        }
        assert!(
            FileSource::open(Path::new("/dev/null")).expect_err("a device").to_string().contains("regular")
        );
    }
}
