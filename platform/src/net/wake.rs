//! Sleeping until a socket is readable, another thread wakes the sleeper, or a time is reached.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// Wakes a [`Sleeper`] from another thread. It is cheap to clone and never blocks.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Makes the current or the next sleep return at once.
    pub fn wake(&self) {
        // The counter overflows only after 2^64 - 1 calls, long after the sleeper has woken.
        let _ = self.0.write(1);
    }
}

/// Where a thread sleeps.
#[derive(Debug)]
pub struct Sleeper(Arc<EventFd>);

impl Sleeper {
    /// Creates a sleeper and its waker.
    ///
    /// # Errors
    /// If the process cannot open more files.
    pub fn new() -> io::Result<(Self, Waker)> {
        let event = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        Ok((Self(Arc::clone(&event)), Waker(event)))
    }

    /// Sleeps until one of `sockets` is readable, the waker is used, or `timeout` has passed.
    ///
    /// # Errors
    /// The error of ppoll(2). A signal is no error: it ends the sleep.
    pub fn sleep<const N: usize>(&self, sockets: [BorrowedFd<'_>; N], timeout: Duration) -> io::Result<()> {
        let mut fds: [PollFd<'_>; 4] =
            std::array::from_fn(|_| PollFd::new(self.0.as_fd(), PollFlags::POLLIN));
        assert!(N < fds.len(), "room for {N} sockets and the waker");
        for (fd, socket) in fds[1..].iter_mut().zip(sockets) {
            *fd = PollFd::new(socket, PollFlags::POLLIN);
        }
        match ppoll(&mut fds[..=N], Some(TimeSpec::from_duration(timeout)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[0].any() != Some(false) {
            let _ = self.0.read(); // resets the counter
        }
        Ok(())
    }
}

/// Makes the calling thread's sleeps end on time. By default the kernel prolongs them by up to 50 us (timer slack,
/// prctl(2)), which is a tenth of a GSO batch at 1 Gbit/s.
pub fn sleep_precisely() {
    let _ = nix::sys::prctl::set_timerslack(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_call_ends_the_sleep_also_when_it_came_before() {
        let (sleeper, waker) = Sleeper::new().expect("eventfd");
        waker.wake();
        let start = Instant::now();
        sleeper.sleep([], Duration::from_secs(10)).expect("sleep");
        assert!(start.elapsed() < Duration::from_secs(5));
        sleeper.sleep([], Duration::from_millis(5)).expect("sleep");
        assert!(start.elapsed() >= Duration::from_millis(5), "the call was used up");
    }
}
