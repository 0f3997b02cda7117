//! Which scenarios may run in parallel. One that measures or moves much data has the machine to itself; the others
//! share it. The folder of a scenario decides (`tests/tests/main.rs`). The lock is a file, so it works between the
//! threads of `cargo test` and between processes. nextest runs the exclusive ones alone anyway, so that no time limit
//! expires while a test waits for the lock.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use crate::{places, wait};

/// How a scenario uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// In parallel to others.
    Shared,
    /// Alone among our processes.
    Alone,
}

impl Share {
    /// Returns the share of a caller in `file`: alone in a folder `exclusive` and in every program that is no scenario.
    pub fn of(file: &str) -> Self {
        let shared = file.contains("tests/tests/") && !file.contains("/exclusive/");
        if shared { Self::Shared } else { Self::Alone }
    }
}

/// A lock on the machine, released when dropped.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Waits until the machine is free, and locks it.
///
/// # Panics
/// When it stays locked for longer than all scenarios may take.
pub fn machine(share: Share) -> Hold {
    let path = path();
    let file =
        File::create(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    wait::until("the machine", TIMEOUT, || {
        let attempt = match share {
            Share::Shared => file.try_lock_shared(),
            Share::Alone => file.try_lock(),
        };
        match attempt {
            Ok(()) => Some(()),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => panic!("cannot lock {}: {error}", path.display()),
        }
    });
    Hold { _file: file }
}

/// Returns the path of the lock file.
pub fn path() -> PathBuf {
    places::scenarios("").join("machine.lock")
}

/// More than all scenarios take one after the other.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_decides() {
        assert_eq!(Share::of("tests/tests/taken.rs"), Share::Shared);
        assert_eq!(Share::of("tests/tests/timed/crash.rs"), Share::Shared);
        assert_eq!(Share::of("tests/tests/exclusive/mtu.rs"), Share::Alone);
        assert_eq!(Share::of("tests/src/bin/soak/main.rs"), Share::Alone);
    }
}
