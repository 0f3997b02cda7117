//! Images to send: random bytes from a seed, sparse files with a few islands of data, and BLAKE3 sums. Memory use is a
//! buffer, whatever the image's size.

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use glancecast_testkit::Rng;

use crate::places;

/// The seed of an image's bytes. It is printed, so that a failure can be repeated.
#[derive(Debug, Clone, Copy)]
pub struct Seed(u64);

impl Seed {
    /// Returns the seed with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns a new seed, or the one in `GLANCECAST_TEST_SEED`.
    ///
    /// # Panics
    /// When that variable is not a number.
    pub fn draw() -> Self {
        let seed = match env::var("GLANCECAST_TEST_SEED") {
            Ok(text) => text.parse().expect("GLANCECAST_TEST_SEED is a number"),
            Err(_) => Rng::seed_from_clock(),
        };
        println!("GLANCECAST_TEST_SEED={seed}");
        Self(seed)
    }

    /// Returns another seed, for another image of the same test.
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Returns the random numbers for one case of a test with this seed.
    pub fn rng(self, case: usize) -> Rng {
        Rng::new(self.0.wrapping_add(case as u64))
    }

    fn bytes(self) -> blake3::OutputReader {
        blake3::Hasher::new().update(&self.0.to_le_bytes()).finalize_xof()
    }
}

/// Writes `len` random bytes, which match no disk format, and returns their BLAKE3 sum in hex.
pub fn random(path: &Path, len: u64, seed: Seed) -> String {
    let mut file = create(path);
    let mut source = seed.bytes();
    let mut sum = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = len;
    while left > 0 {
        let chunk = &mut buffer[..usize::try_from(left.min(BUFFER_BYTES as u64)).expect("a buffer's length")];
        source.fill(chunk);
        if left == len && chunk.get(510..512) == Some(&[0x55, 0xAA]) {
            chunk[511] = 0; // or one in 65 536 would be a disk with a broken partition table
        }
        sum.update(chunk);
        file.write_all(chunk).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        left -= chunk.len() as u64;
    }
    sum.finalize().to_hex().to_string()
}

/// Writes a file of `len` bytes: a hole with `island_bytes` random bytes at each of `islands`.
pub fn sparse(path: &Path, len: u64, islands: &[u64], island_bytes: usize, seed: Seed) {
    let mut file = create(path);
    let mut source = seed.bytes();
    let mut island = vec![0; island_bytes];
    let mut write = || -> std::io::Result<()> {
        file.set_len(len)?;
        for &offset in islands {
            source.fill(&mut island);
            if offset == 0 && island.get(510..512) == Some(&[0x55, 0xAA]) {
                island[511] = 0;
            }
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&island)?;
        }
        Ok(())
    };
    write().unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Writes `len` bytes of text, in similar but distinct lines.
pub fn text(path: &Path, len: u64) {
    let mut file = BufWriter::new(create(path));
    let mut left = usize::try_from(len).expect("a text of this machine");
    let mut write = || -> std::io::Result<()> {
        for number in 0u64.. {
            let line = format!("line {number} of an image, and {} of its squares\n", number * number % 9973);
            let line = &line.as_bytes()[..left.min(line.len())];
            file.write_all(line)?;
            left -= line.len();
            if left == 0 {
                break;
            }
        }
        file.flush()
    };
    write().unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Makes an ext4 file system with about `data` bytes from this machine's `/usr`, which are first copied to the new
/// directory `files`, and a quarter of free space.
///
/// # Panics
/// When mke2fs is missing or fails.
pub fn ext4(path: &Path, data: u64, files: &Path) {
    let mut left = data;
    for directory in ["/usr/bin", "/usr/lib", "/usr/share"] {
        copy_some(Path::new(directory), &files.join(&directory[1..]), &mut left);
    }
    let file = create(path);
    file.set_len(data + data / 4 + (16 << 20)).expect("a length");
    let mke2fs = places::tool("mke2fs").expect("mke2fs");
    let mut command = Command::new(mke2fs);
    command.args(["-q", "-t", "ext4", "-b", "4096", "-d"]).arg(files).arg(path).stdin(Stdio::null());
    let status = command.status().expect("mke2fs starts");
    assert!(status.success(), "mke2fs: {status}");
    fs::remove_dir_all(files).expect("ours");
}

/// Copies regular files in name order until `left` bytes are used up.
fn copy_some(from: &Path, to: &Path, left: &mut u64) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("cannot create {}: {error}", to.display()));
    let Ok(entries) = fs::read_dir(from) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        let to = to.join(entry.file_name());
        if metadata.is_dir() && *left > 0 {
            copy_some(&entry.path(), &to, left);
        } else if metadata.is_file() && metadata.len() <= *left && fs::copy(entry.path(), &to).is_ok() {
            *left -= metadata.len();
        }
    }
}

/// Returns the size in bytes of a file compressed with `zstd -LEVEL`.
pub fn zstd_bytes(path: &Path, level: i32) -> u64 {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    let mut count = Count(0);
    zstd::stream::copy_encode(file, &mut count, level).expect("a file is read and nothing written");
    count.0
}

/// A writer that counts bytes and drops them.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the BLAKE3 sum of a file in hex, as `b3sum` prints it.
pub fn blake3_of(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    let mut sum = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read =
            file.read(&mut buffer).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        if read == 0 {
            return sum.finalize().to_hex().to_string();
        }
        sum.update(&buffer[..read]);
    }
}

/// Returns the bytes that a file occupies on its disk, without holes.
pub fn allocated_bytes(path: &Path) -> u64 {
    let metadata = path.metadata().unwrap_or_else(|error| panic!("cannot stat {}: {error}", path.display()));
    metadata.blocks() * 512
}

fn create(path: &Path) -> File {
    File::create(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()))
}

/// Large enough that system calls cost little.
const BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_bytes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [first, second, other] = ["first", "second", "other"].map(|name| directory.path().join(name));
        let seed = Seed(7);
        assert_eq!(random(&first, 3_000_001, seed), random(&second, 3_000_001, seed));
        assert_ne!(random(&other, 3_000_001, seed.next()), blake3_of(&first));
        assert_eq!(blake3_of(&first), blake3_of(&second));
        assert_eq!(first.metadata().expect("written").len(), 3_000_001);
    }

    #[test]
    fn a_sparse_image_takes_little_of_the_disk() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("sparse");
        sparse(&path, 1 << 30, &[0, (1 << 30) - 4096], 4096, Seed(7));
        assert_eq!(path.metadata().expect("written").len(), 1 << 30);
        assert!(allocated_bytes(&path) < 1 << 20, "{} bytes allocated", allocated_bytes(&path));
    }

    #[test]
    fn an_empty_file_has_the_sum_of_nothing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("empty");
        assert_eq!(random(&path, 0, Seed(7)), blake3::hash(b"").to_hex().to_string());
        assert_eq!(blake3_of(&path), blake3::hash(b"").to_hex().to_string());
    }
}
