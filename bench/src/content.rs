//! Images: with holes, with files, or with nothing that could be left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use glancecast_tests::image::{self, Seed};

/// A file to send, in memory.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its path.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// The BLAKE3 hash of its bytes, in hex.
    pub blake3: String,
}

/// The content of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Random bytes.
    Random {
        /// The length of the image in bytes.
        bytes: u64,
    },
    /// Pieces of 1 MiB of random bytes in a hole.
    Sparse {
        /// The length of the image in bytes.
        bytes: u64,
        /// The number of pieces.
        pieces: u64,
    },
    /// A file system with the files of this machine's `/usr`, of which a quarter is free.
    Ext4 {
        /// The approximate size of its files in bytes.
        data: u64,
    },
}

impl Content {
    /// Returns the same content, reduced to a fraction `1 / by`.
    #[must_use]
    pub fn smaller(self, by: u64) -> Self {
        match self {
            Self::Random { bytes } => Self::Random { bytes: bytes / by },
            Self::Sparse { bytes, pieces } => Self::Sparse { bytes: bytes / by, pieces: pieces / by },
            Self::Ext4 { data } => Self::Ext4 { data: data / by },
        }
    }

    /// Returns the bytes outside holes, if known.
    pub fn data_bytes(self) -> Option<u64> {
        match self {
            Self::Random { bytes } => Some(bytes),
            Self::Sparse { pieces, .. } => Some(pieces * PIECE_BYTES as u64),
            Self::Ext4 { .. } => None,
        }
    }

    /// Writes `directory/image`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn make(self, directory: &Path, seed: u64) -> Result<Image> {
        let (path, seed) = (directory.join("image"), Seed::new(seed));
        match self {
            Self::Random { bytes } => {
                let blake3 = image::random(&path, bytes, seed);
                return Ok(Image { path, bytes, blake3 });
            }
            Self::Sparse { bytes, pieces } => {
                // Not aligned to a page or a block.
                let distance = bytes / pieces.max(1);
                let offsets: Vec<u64> =
                    (0..pieces).map(|i| i * distance + (i * 7919) % (distance / 2)).collect();
                image::sparse(&path, bytes, &offsets, PIECE_BYTES, seed);
            }
            Self::Ext4 { data } => image::ext4(&path, data, &directory.join("files")),
        }
        let bytes = path.metadata().context("just made")?.len();
        let blake3 = image::blake3_of(&path);
        Ok(Image { path, bytes, blake3 })
    }
}

/// Returns the length of the qcow2 that `qemu-img convert -c` makes of an image.
pub fn qcow2_bytes(image: &Image, directory: &Path) -> Result<u64> {
    let path = directory.join("image.qcow2");
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-c", "-f", "raw", "-O", "qcow2"]).args([&image.path, &path]);
    let status = command.stdin(Stdio::null()).status().context("qemu-img (package qemu-utils)")?;
    ensure!(status.success(), "qemu-img: {status}");
    let bytes = path.metadata().context("just made")?.len();
    fs::remove_file(&path)?;
    Ok(bytes)
}

const PIECE_BYTES: usize = 1 << 20;
