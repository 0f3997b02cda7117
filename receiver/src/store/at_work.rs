//! The files of a store that pushes are at work on. A push enters its file here before it looks for it, and a removal
//! takes the name away while this is locked: whichever comes first, the other one sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files, each with the number of sessions at work on it: as many as the receiver has open.
#[derive(Clone, Debug, Default)]
pub(super) struct AtWork(Arc<Mutex<BTreeMap<String, usize>>>);

/// A session's work on a file; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Working {
    at_work: AtWork,
    file: String,
}

impl AtWork {
    /// Enters a session's file. Waits while a name is being taken away, which takes a rename.
    pub(super) fn begin(&self, file: String) -> Working {
        *self.lock().entry(file.clone()).or_default() += 1;
        Working { at_work: self.clone(), file }
    }

    /// Calls `act` unless a session is at work on the file; none begins meanwhile.
    pub(super) fn unless<T>(&self, file: &str, act: impl FnOnce() -> T) -> Option<T> {
        let files = self.lock();
        (!files.contains_key(file)).then(act)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Working {
    /// Returns the file's name in the store.
    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut files = self.at_work.lock();
        let sessions = files.get_mut(&self.file).expect("it was entered");
        *sessions -= 1;
        if *sessions == 0 {
            files.remove(&self.file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_left_alone_until_the_last_session_has_ended() {
        let at_work = AtWork::default();
        let (first, second) = (at_work.begin("a".into()), at_work.begin("a".into()));
        assert_eq!(at_work.unless("b", || 1), Some(1));
        drop(first);
        assert_eq!(at_work.unless("a", || 1), None);
        drop(second);
        assert_eq!(at_work.unless("a", || 1), Some(1));
        assert!(at_work.lock().is_empty());
    }
}
