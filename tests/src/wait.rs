//! Waiting with a deadline: no scenario hangs, and a timeout names what was waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Polls `ready` until it returns a value; panics with `what` after `within`.
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

/// Short against every wait, long against the cost of a poll.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);
