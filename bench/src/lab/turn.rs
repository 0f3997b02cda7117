//! The machine to oneself, for a while: measurements do not run beside scenarios or builds that hold the same lock, and
//! give those a chance between repetitions.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A lock file that is held now and then.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    held: Option<(File, Instant)>,
}

impl Turn {
    /// Holds nothing yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), held: None }
    }

    /// Waits for the lock, unless it is held and has not been for long; drops it to let others in, otherwise.
    pub fn take(&mut self) -> Result<()> {
        if self.held.as_ref().is_some_and(|(_, since)| since.elapsed() < LONG) {
            return Ok(());
        }
        if self.held.take().is_some() {
            // Those who wait are woken, but who asks again at once is before them.
            thread::sleep(PAUSE);
        }
        let file =
            File::create(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", self.path.display()))?;
        self.held = Some((file, Instant::now()));
        Ok(())
    }
}

/// With a repetition after it, about three minutes.
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
