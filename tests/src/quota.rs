//! A simulated disk quota: a process whose writes beyond an offset of a file get the error of an exhausted quota. It is
//! a system call filter (seccomp(2)), which needs neither root nor a kernel with quotas and changes nothing else.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc::{self, sock_filter, sock_fprog};

/// Makes pwrite(2) at or beyond `limit` return EDQUOT, in the process of `command` and its children.
pub fn deny_writes_from(limit: u32, command: &mut Command) {
    let mut filter = filter(limit);
    let install = move || {
        let len = u16::try_from(filter.len()).expect("eight");
        let program = sock_fprog { len, filter: filter.as_mut_ptr() };
        // SAFETY: all arguments are numbers.
        let humble = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 };
        // SAFETY: it reads the program, which lives through the call, and copies it.
        let installed = humble
            && unsafe {
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
            };
        if installed { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only prctl is called, on memory that this closure owns.
    unsafe { command.pre_exec(install) };
}

/// Returns the filter, which reads fields of `struct seccomp_data` (linux/seccomp.h).
fn filter(limit: u32) -> [sock_filter; 8] {
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let answer = |answer| statement(libc::BPF_RET | libc::BPF_K, answer);
    [
        load(NUMBER),
        jump(libc::BPF_JEQ, libc::SYS_pwrite64 as u32, 0, 4),
        load(OFFSET + 4),
        jump(libc::BPF_JEQ, 0, 0, 3),
        load(OFFSET),
        jump(libc::BPF_JGE, limit, 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_ERRNO | libc::EDQUOT as u32),
    ]
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(what: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | what | libc::BPF_K) as u16, jt, jf, k }
}

/// The offset of the system call's number.
const NUMBER: u32 = 0;
/// The offset of the lower half of the fourth argument, the file offset.
const OFFSET: u32 = 16 + 3 * 8;

const _: () = assert!(cfg!(all(target_pointer_width = "64", target_endian = "little")));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_before_the_limit_are_made_and_those_behind_it_are_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        // dd writes with write(2) at the offset that it has sought; perl and python have pwrite.
        let script = "import os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n\
                      os.pwrite(f, b'x' * 100, 4000)\n\
                      try: os.pwrite(f, b'y', 4096)\n\
                      except OSError as error: sys.exit(error.errno)";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(&path);
        deny_writes_from(4096, &mut command);
        let status = command.status().expect("python3");
        assert_eq!(status.code(), Some(libc::EDQUOT));
        assert_eq!(path.metadata().expect("written").len(), 4100);
    }
}
