//! The images: with holes, with files, with nothing that could be left out.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use glancecast_bench::push::Image;
use glancecast_tests::image::{self, Seed};

/// What there is in an image.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Random bytes.
    Random { bytes: u64 },
    /// So many pieces of 1 MiB of random bytes, and else a hole.
    Sparse { bytes: u64, pieces: u64 },
    /// A file system with about so many bytes of this machine's `/usr`, and a quarter of it free.
    Ext4 { data: u64 },
}

impl Kind {
    /// The same, with a part of the bytes.
    pub(crate) fn smaller(self, by: u64) -> Self {
        match self {
            Self::Random { bytes } => Self::Random { bytes: bytes / by },
            Self::Sparse { bytes, pieces } => Self::Sparse { bytes: bytes / by, pieces: pieces / by },
            Self::Ext4 { data } => Self::Ext4 { data: data / by },
        }
    }

    /// What of it is no hole.
    pub(crate) fn data_bytes(self) -> Option<u64> {
        match self {
            Self::Random { bytes } => Some(bytes),
            Self::Sparse { pieces, .. } => Some(pieces * PIECE_BYTES as u64),
            Self::Ext4 { .. } => None,
        }
    }

    /// Writes it.
    pub(crate) fn make(self, directory: &Path, seed: u64) -> Result<Image> {
        let path = directory.join("image");
        match self {
            Self::Random { bytes } => return Ok(Image::random(path, bytes, seed)),
            Self::Sparse { bytes, pieces } => {
                // At no page's and no block's beginning.
                let distance = bytes / pieces.max(1);
                let offsets: Vec<u64> =
                    (0..pieces).map(|i| i * distance + (i * 7919) % (distance / 2)).collect();
                image::sparse(&path, bytes, &offsets, PIECE_BYTES, Seed::new(seed));
            }
            Self::Ext4 { data } => image::ext4(&path, data, &directory.join("files")),
        }
        let bytes = path.metadata().context("just made")?.len();
        let blake3 = image::blake3_of(&path);
        Ok(Image { path, bytes, blake3 })
    }
}

/// The length of the qcow2 that `qemu-img convert -c` makes of it.
pub(crate) fn qcow2_bytes(image: &Image, directory: &Path) -> Result<u64> {
    let path = directory.join("image.qcow2");
    let mut command = Command::new("qemu-img");
    command
        .args(["convert", "-c", "-f", "raw", "-O", "qcow2"])
        .arg(&image.path)
        .arg(&path)
        .stdin(Stdio::null());
    let status = command.status().context("qemu-img (package qemu-utils)")?;
    ensure!(status.success(), "qemu-img: {status}");
    let bytes = path.metadata().context("just made")?.len();
    fs::remove_file(&path)?;
    Ok(bytes)
}

const PIECE_BYTES: usize = 1 << 20;
