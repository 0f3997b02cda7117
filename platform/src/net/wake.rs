//! Sleeping until a socket has something, until another thread calls, or until a time has come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// Wakes a [`Sleeper`] from another thread. Cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// The sleeper returns at once, now or when it goes to sleep next.
    pub fn wake(&self) {
        // The counter is full only after 2^64 - 1 calls that nobody looked at; the sleeper is awake then anyhow.
        let _ = self.0.write(1);
    }
}

/// Where a thread sleeps.
#[derive(Debug)]
pub struct Sleeper(Arc<EventFd>);

impl Sleeper {
    /// A sleeper and what wakes it.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn new() -> io::Result<(Self, Waker)> {
        let event = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        Ok((Self(Arc::clone(&event)), Waker(event)))
    }

    /// Sleeps until one of `sockets` can be read, the waker is used, or `timeout` has passed.
    ///
    /// # Errors
    /// What ppoll(2) says, but for interruptions by a signal: these end the sleep.
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
            let _ = self.0.read(); // back to zero
        }
        Ok(())
    }
}

/// The calling thread's sleeps end when they should: the kernel lets them be 50 us too long where nobody asks (timer slack,
/// prctl(2)), which is a tenth of a train at 1 Gbit/s.
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
