//! Waiting with a deadline: no scenario hangs, and one that waited in vain says for what.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Polls `ready` until it yields a value; panics naming `what` when `within` has passed.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {within:?} in vain for {what}");
        sleep(POLL_INTERVAL);
    }
}

/// Short against everything that is waited for, long against the cost of a look.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);
