//! Exclusive use of the machine for a while. Measurements do not run at the same time as scenarios or builds that hold
//! the same lock, and let those run between repetitions.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A lock file that is held for a while and then released.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    held: Option<(File, Instant)>,
}

impl Turn {
    /// Creates a lock that is not held yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), held: None }
    }

    /// Takes the lock. If it was held for long, it is released first, so that others get a turn.
    pub fn take(&mut self) -> Result<()> {
        if self.held.as_ref().is_some_and(|(_, since)| since.elapsed() < LONG) {
            return Ok(());
        }
        if self.held.take().is_some() {
            // Waiting processes are woken, but an immediate new attempt would be faster than they are.
            thread::sleep(PAUSE);
        }
        let file =
            File::create(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", self.path.display()))?;
        self.held = Some((file, Instant::now()));
        Ok(())
    }
}

/// With the repetition after it, about three minutes.
const LONG: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::fs::TryLockError;

    use super::*;

    #[test]
    fn a_turn_keeps_others_out_until_it_ends() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        let other = File::create(&path).expect("a temporary directory takes it");
        let mut turn = Turn::new(&path);
        turn.take().expect("nobody has it");
        turn.take().expect("it is ours");
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(turn);
        other.try_lock().expect("it is free again");
    }
}
