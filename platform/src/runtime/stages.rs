//! Measures where the time of a data path goes. A stage adds its time and bytes once per batch or block, so counting
//! costs next to nothing. It is always on, because operators ask only after a push what limited it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The stages of one program, in the order of the data path. Threads share the value.
#[derive(Debug)]
pub struct Stages<const N: usize> {
    names: [&'static str; N],
    counts: [Counts; N],
}

#[derive(Debug, Default)]
struct Counts {
    nanos: AtomicU64,
    bytes: AtomicU64,
}

/// What one stage has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTime {
    /// Its name.
    pub name: &'static str,
    /// Nanoseconds spent in the stage, summed over all threads.
    pub nanos: u64,
    /// Bytes that went through it.
    pub bytes: u64,
}

impl<const N: usize> Stages<N> {
    /// Creates stages with zero counters.
    pub fn new(names: [&'static str; N]) -> Self {
        Self { names, counts: std::array::from_fn(|_| Counts::default()) }
    }

    /// Runs `work` on `bytes` bytes as a part of `stage`, and counts its time.
    ///
    /// # Panics
    /// If the stage does not exist.
    pub fn time<T>(&self, stage: usize, bytes: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start, bytes);
        result
    }

    /// Counts work that began at `start` and ends now.
    ///
    /// # Panics
    /// If the stage does not exist.
    pub fn add(&self, stage: usize, start: Instant, bytes: usize) {
        let counts = &self.counts[stage];
        counts.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the counters of all stages.
    pub fn times(&self) -> Vec<StageTime> {
        let counts = self.names.iter().zip(&self.counts);
        counts
            .map(|(&name, counts)| StageTime {
                name,
                nanos: counts.nanos.load(Ordering::Relaxed),
                bytes: counts.bytes.load(Ordering::Relaxed),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn time_and_bytes_add_up_by_stage() {
        let stages = Stages::new(["read", "send"]);
        assert_eq!(stages.time(0, 10, || 7), 7);
        stages.time(1, 5, || sleep(Duration::from_millis(2)));
        stages.time(1, 6, || {});
        let times = stages.times();
        assert_eq!((times[0].name, times[0].bytes), ("read", 10));
        assert_eq!((times[1].name, times[1].bytes), ("send", 11));
        assert!(times[1].nanos >= 2_000_000);
    }
}
