//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic ends the programs at once (`panic = "abort"`), so that a lock is poisoned in tests alone; there the
/// first panic is what fails, and not those that follow from it.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
