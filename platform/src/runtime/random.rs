//! Randomness from the operating system, for keys, ids and seeds.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns `N` random bytes from the system call getrandom(2), never from a file: any file may have the name
/// `/dev/urandom`. Early in the boot the call blocks until the kernel has gathered enough randomness.
///
/// # Errors
/// If the kernel refuses, which on Linux means that `getrandom` is forbidden to this process.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_an_array_is_random_each_time() {
        // A signal may interrupt a request of more than 256 bytes.
        let (first, second) = (bytes::<4096>().expect("a kernel"), bytes::<4096>().expect("a kernel"));
        assert_ne!(first, second);
        // The probability of 32 zeros in a row is below 2^-240.
        assert!(!first.chunks(32).any(|piece| piece.iter().all(|byte| *byte == 0)));
    }
}
