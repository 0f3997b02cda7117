//! Measurements. They print, compare and record; they never gate a test.

pub mod lab;
pub mod measure;
pub mod push;

use std::time::{Duration, Instant};

/// The median time of one call, of at least five and of about `budget` in all.
pub fn median(budget: Duration, mut call: impl FnMut()) -> Duration {
    call(); // warms caches and lazy memory
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed() < budget {
        let begin = Instant::now();
        call();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
