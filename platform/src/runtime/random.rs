//! Randomness of the operating system, for keys, ids and seeds.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns `N` random bytes from the system call, never from a file. Early in the boot the call waits until the kernel has
/// gathered enough randomness (getrandom(2)), and a file named `/dev/urandom` may be any file.
///
/// # Errors
/// When the kernel gives none, which on Linux means that `getrandom` is forbidden to this process.
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
        // Above 256 bytes a signal may cut a call short.
        let (first, second) = (bytes::<4096>().expect("a kernel"), bytes::<4096>().expect("a kernel"));
        assert_ne!(first, second);
        // 32 zeros in a row are less likely than 2^-240.
        assert!(!first.chunks(32).any(|piece| piece.iter().all(|byte| *byte == 0)));
    }
}
