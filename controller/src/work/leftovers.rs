//! Children of an earlier start of this controller, which was killed before it could end them. Two children of one push would
//! disturb each other, so they are ended before the queue is looked at.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::launcher::MARK;
use crate::limits::CHILD_END_TIME;

/// A process that cannot become another one.
#[derive(Debug)]
struct Leftover {
    pid: i32,
    fd: OwnedFd,
}

/// Ends all processes that have `mark` in their environment, and waits until they have ended. Returns how many there were.
///
/// # Errors
/// If /proc cannot be read.
pub async fn end_leftovers(mark: &str) -> io::Result<usize> {
    let mut found = 0;
    let start = Instant::now();
    let mut signal = Signal::TERM;
    loop {
        let left = leftovers(mark)?;
        found = found.max(left.len());
        if left.is_empty() {
            return Ok(found);
        }
        if start.elapsed() > CHILD_END_TIME {
            signal = Signal::KILL;
        }
        for leftover in &left {
            tracing::warn!(pid = leftover.pid, "ending a child of an earlier start");
            // It may have ended in between.
            let _ = pidfd_send_signal(&leftover.fd, signal);
        }
        if start.elapsed() > 2 * CHILD_END_TIME {
            return Err(io::Error::other("a child of an earlier start does not end"));
        }
        tokio::time::sleep(LOOK_GAP).await;
    }
}

fn leftovers(mark: &str) -> io::Result<Vec<Leftover>> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if u32::try_from(pid) == Ok(own) {
            continue;
        }
        // The descriptor first: what is read then is of this process, or of none.
        let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            continue;
        };
        // Of other users' processes it cannot be read, and of one that has ended it is empty.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if is_marked(&environment, mark) {
            found.push(Leftover { pid, fd });
        }
    }
    Ok(found)
}

fn is_marked(environment: &[u8], mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// Time between two looks.
const LOOK_GAP: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_marked_process_is_ended_and_another_is_not() {
        let mark = format!("/test/{}", std::process::id());
        let start = |mark: &str| Command::new("sleep").arg("600").env(MARK, mark).spawn().expect("a process");
        let (mut ours, mut other) = (start(&mark), start(&format!("{mark}-other")));
        let reaper = std::thread::spawn(move || ours.wait().expect("it ends").signal());
        assert_eq!(end_leftovers(&mark).await.expect("/proc"), 1);
        assert_eq!(reaper.join().expect("no panic"), Some(15));
        assert!(other.try_wait().expect("ours").is_none());
        other.kill().expect("ours");
        other.wait().expect("ours");
    }
}
