//! Memory that the host has backed. On virtual machines whose host backs memory lazily, the first write to a page costs
//! several times a normal write if the page was never touched, or was returned to the host. A run that writes the first
//! copy after a pause would measure the hypervisor.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Makes the kernel allocate `bytes` for files in `directory`, which is in memory, and frees them again.
pub fn warm(directory: &Path, bytes: u64) -> Result<()> {
    let path = directory.join(NAME);
    let written = fill(&path, bytes).with_context(|| format!("cannot fill {bytes} bytes of memory"));
    let removed = fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()));
    written.and(removed)
}

fn fill(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let buffer = vec![0x5a; BUFFER_BYTES as usize];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(BUFFER_BYTES);
        file.write_all(&buffer[..len as usize])?;
        left -= len;
    }
    Ok(())
}

const NAME: &str = "warm";
const BUFFER_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        warm(directory.path(), (1 << 20) + 5).expect("a MiB");
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 0);
    }
}
