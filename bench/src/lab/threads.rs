//! Processor time of each thread of running processes, by thread name. A thread disappears from `/proc` when it ends,
//! so all are sampled repeatedly, and the last sample counts.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// The processor time of one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadTime {
    /// Its name, shortened to 15 bytes.
    pub thread: String,
    /// Seconds in user mode.
    pub user_seconds: f64,
    /// Seconds in the kernel, including interrupts.
    pub system_seconds: f64,
}

/// Samples threads until it is finished.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<Vec<Seen>>,
}

/// The threads of one process by their ids.
type Seen = BTreeMap<u32, ThreadTime>;

impl Sampler {
    /// Starts to sample these processes, which may end.
    pub fn start(pids: Vec<u32>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let looking = thread::spawn(move || {
            let mut seen = vec![Seen::new(); pids.len()];
            while !stopped.load(Ordering::Relaxed) {
                pids.iter().zip(&mut seen).for_each(|(pid, seen)| look(*pid, seen));
                thread::sleep(INTERVAL);
            }
            seen
        });
        Self { stop, looking }
    }

    /// Returns the threads of each process, in the order of their start.
    ///
    /// # Panics
    /// If sampling panicked.
    pub fn finish(self) -> Vec<Vec<ThreadTime>> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.looking.join().expect("looking does not panic");
        seen.into_iter().map(|seen| seen.into_values().collect()).collect()
    }
}

fn look(pid: u32, seen: &mut Seen) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let stat = fs::read_to_string(task.path().join("stat")).ok();
        let Some((id, time)) = stat.and_then(|stat| parse(&stat)) else { continue };
        seen.insert(id, time);
    }
}

/// Reads a line of `/proc/PID/task/TID/stat`, proc_pid_stat(5).
fn parse(stat: &str) -> Option<(u32, ThreadTime)> {
    // The name, in parentheses, may contain anything.
    let (head, rest) = stat.rsplit_once(") ")?;
    let (id, name) = head.split_once(" (")?;
    // The state is field 3, the first of the rest.
    let ticks = |field: usize| rest.split(' ').nth(field - 3)?.parse::<u64>().ok();
    let seconds = |field| Some(ticks(field)? as f64 / ticks_per_second());
    let time =
        ThreadTime { thread: name.to_owned(), user_seconds: seconds(14)?, system_seconds: seconds(15)? };
    Some((id.parse().ok()?, time))
}

fn ticks_per_second() -> f64 {
    sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100.0, |ticks| ticks as f64)
}

/// The last moments of a thread are not sampled. A sample costs about 20 us per thread.
const INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let line = "42 (a ) b) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 0";
        let ticks = ticks_per_second();
        let time = ThreadTime {
            thread: "a ) b".to_owned(),
            user_seconds: 150.0 / ticks,
            system_seconds: 50.0 / ticks,
        };
        assert_eq!(parse(line), Some((42, time)));
        assert_eq!(parse("42 (a) R 1"), None);
    }

    #[test]
    fn this_thread_is_seen_at_work() {
        let sampler = Sampler::start(vec![std::process::id()]);
        let worker = thread::Builder::new().name("at-work".to_owned()).spawn(|| {
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_millis(200) {
                std::hint::black_box(begin);
            }
        });
        worker.expect("a thread").join().expect("it ends");
        let threads = &sampler.finish()[0];
        let seconds: f64 =
            threads.iter().filter(|time| time.thread == "at-work").map(|time| time.user_seconds).sum();
        assert!(seconds > 0.0, "{threads:?}");
    }
}
