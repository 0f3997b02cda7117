//! Randomness of the operating system, for ids and seeds.

use std::io;

/// `N` random bytes.
///
/// # Errors
/// When the kernel has none to give, which on Linux means that `getrandom` is forbidden here.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut file = std::fs::File::open("/dev/urandom")?;
    io::Read::read_exact(&mut file, &mut bytes)?;
    Ok(bytes)
}
