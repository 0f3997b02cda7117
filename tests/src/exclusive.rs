//! Who may run beside whom. A scenario that measures, or that moves much data, has the machine to itself; the others share
//! it. The folder of a scenario says which (`tests/tests/main.rs`). The lock is a file, so it holds between the threads of
//! `cargo test` and between processes; nextest starts the exclusive ones alone anyway, so that no time limit runs out here.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use crate::{places, wait};

/// How a scenario uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Beside others.
    Shared,
    /// With nothing of ours beside it.
    Alone,
}

impl Share {
    /// The share of what this source file starts: alone what lies in a folder `exclusive`, and every program that is no
    /// scenario.
    pub fn of(file: &str) -> Self {
        let shared = file.contains("tests/tests/") && !file.contains("/exclusive/");
        if shared { Self::Shared } else { Self::Alone }
    }
}

/// A hold on the machine; dropping it lets go.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Waits for the machine.
///
/// # Panics
/// When it stays taken for longer than all scenarios may last.
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

/// The lock file.
pub fn path() -> PathBuf {
    places::scenarios("").join("machine.lock")
}

/// All scenarios one after the other take less.
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
