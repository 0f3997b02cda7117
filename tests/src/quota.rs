//! Simulated file systems: a quota, by which a process's writes beyond an offset of a file get the error of an exhausted
//! one, and calls that a file system does not have. Each is a system call filter (seccomp(2)), which needs neither root
//! nor such a file system and changes nothing else.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc::{self, sock_filter, sock_fprog};

/// Makes pwrite(2) at or beyond `limit` return EDQUOT, in the process of `command` and its children.
pub fn deny_writes_from(limit: u32, command: &mut Command) {
    install(filter(limit).to_vec(), command);
}

/// Makes these system calls fail with EPERM, as linkat(2) does on a file system without hard links, in the process of
/// `command` and its children.
pub fn deny_calls(calls: &[libc::c_long], command: &mut Command) {
    let mut filter = vec![load(NUMBER)];
    for (i, &call) in calls.iter().enumerate() {
        // To the last instruction, over the other calls and the permission.
        filter.push(jump(libc::BPF_JEQ, call as u32, u8::try_from(calls.len() - i).expect("a few"), 0));
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    filter.push(answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    install(filter, command);
}

fn install(mut filter: Vec<sock_filter>, command: &mut Command) {
    let install = move || {
        let len = u16::try_from(filter.len()).expect("a few");
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

fn load(at: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

fn answer(answer: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, answer)
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
    fn calls_that_are_denied_fail_and_no_other_does() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = "import os, sys; os.chdir(sys.argv[1]); open('a', 'w').close()\n\
                      try: os.link('a', 'b', follow_symlinks=False); sys.exit(1)\n\
                      except OSError as error: number = error.errno\n\
                      os.mkdir('c'); sys.exit(number)";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(directory.path());
        deny_calls(&[libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_link], &mut command);
        assert_eq!(command.status().expect("python3").code(), Some(libc::EPERM));
        assert!(directory.path().join("c").is_dir() && !directory.path().join("b").exists());
    }

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
