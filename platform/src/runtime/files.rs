//! Reading files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads from `offset` until `bytes` is full or the file ends; returns the number of bytes read.
///
/// # Errors
/// The error of pread(2), except for interruptions.
pub fn read_full(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_end() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.write_all_at(&[7; 10], 0).expect("room");
        let mut bytes = [0; 8];
        assert_eq!(read_full(&file, &mut bytes, 1).expect("readable"), 8);
        assert_eq!(read_full(&file, &mut bytes, 4).expect("readable"), 6);
        assert_eq!(read_full(&file, &mut bytes, 20).expect("readable"), 0);
        assert_eq!(bytes, [7; 8]);
    }
}
