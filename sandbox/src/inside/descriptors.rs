//! The open files of the sandbox: the image, the result, and the tool's output. It contains `unsafe` code: the kernel
//! has to close all other descriptors on exec, because the inherited ones are unknown.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::unistd::{dup, dup2_stdin, dup2_stdout};

/// Makes exec close every descriptor except the three standard ones.
pub(super) fn close_on_exec() -> io::Result<()> {
    let (first, last, flags) = (3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // By number, because C libraries before 2.34 have no function for it. Linux 5.11 and later have the flag.
    // SAFETY: with CLOSE_RANGE_CLOEXEC close_range(2) takes three integers, touches no memory of this process and
    // closes nothing: it sets a flag on descriptors, which takes effect on exec.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The files that the tool gets.
#[derive(Debug)]
pub(super) struct Given {
    image: OwnedFd,
    /// The pipe for the tool's output if there is no result.
    result: OwnedFd,
}

impl Given {
    /// Takes the image from standard input, which becomes /dev/null, and the result from standard output. If the result
    /// is a file, standard output becomes a copy of standard error. The copies stay open on exec.
    pub(super) fn take() -> io::Result<Self> {
        let given = Self { image: dup(io::stdin())?, result: dup(io::stdout())? };
        dup2_stdin(File::open("/dev/null")?)?;
        if given.writes()? {
            dup2_stdout(io::stderr())?;
        }
        Ok(given)
    }

    /// Whether the result is a file.
    pub(super) fn writes(&self) -> io::Result<bool> {
        Ok(File::from(self.result.try_clone()?).metadata()?.is_file())
    }

    pub(super) fn image(&self) -> RawFd {
        self.image.as_raw_fd()
    }

    pub(super) fn result(&self) -> RawFd {
        self.result.as_raw_fd()
    }

    pub(super) fn files(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.image.as_fd(), self.result.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    #[test]
    fn an_inherited_descriptor_closes_and_the_standard_ones_do_not() {
        // dup(2) returns a descriptor that would be inherited.
        let inherited = dup(File::open("/dev/null").expect("it is there")).expect("a descriptor");
        let flags =
            |fd: BorrowedFd<'_>| FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).expect("open"));
        assert!(!flags(inherited.as_fd()).contains(FdFlag::FD_CLOEXEC));
        close_on_exec().expect("Linux 5.11 or later");
        assert!(flags(inherited.as_fd()).contains(FdFlag::FD_CLOEXEC));
        assert!(!flags(io::stderr().as_fd()).contains(FdFlag::FD_CLOEXEC));
    }
}
