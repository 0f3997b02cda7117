//! seccomp: allows the system calls that `qemu-img` needs on open files, and no others.
//!
//! This is a list of allowed calls, because a list of forbidden ones would have to know future kernels and the numbers
//! of x32. All other calls fail with `ENOSYS`, for which C libraries and QEMU have a fallback: `clone3`, io_uring,
//! rseq. Not allowed are sockets, new processes, signals to others, mounts, and changes of a file's name, mode, owner
//! or length by path.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule,
};

/// Whether the tool writes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// It only reads, and cannot open the image in any other way.
    Nothing,
    /// It writes the result.
    TheResult,
}

/// Allows only the listed calls from now on, for this process and the program that it executes.
pub(super) fn restrict(writing: Writing) -> Result<(), String> {
    let program = program(writing).map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

fn program(writing: Writing) -> Result<BpfProgram, seccompiler::BackendError> {
    let opening = OPENING.iter().map(|(call, _)| call);
    let changing = if writing == Writing::TheResult { CHANGING } else { &[] };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        COMMON.iter().chain(OLDER).chain(changing).chain(opening).map(|&call| (call, Vec::new())).collect();
    let of = |argument, len, is, value| Condition::new(argument, len, is, value);
    // The process id does not change on exec.
    let this = u64::from(std::process::id());
    let thread = libc::CLONE_THREAD as u64;
    for (call, conditions) in [
        (libc::SYS_clone, vec![of(0, Len::Qword, Is::MaskedEq(thread), thread)?]),
        (libc::SYS_tgkill, vec![of(0, Len::Dword, Is::Eq, this)?]),
        (libc::SYS_prlimit64, vec![of(0, Len::Dword, Is::Eq, 0)?, of(2, Len::Qword, Is::Eq, 0)?]),
        (libc::SYS_prctl, vec![of(0, Len::Dword, Is::Eq, libc::PR_SET_NAME as u64)?]),
    ] {
        rules.insert(call, vec![SeccompRule::new(conditions)?]);
    }
    if writing == Writing::Nothing {
        let mask = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64;
        for &(call, flags) in OPENING {
            let reads = of(flags, Len::Dword, Is::MaskedEq(mask), libc::O_RDONLY as u64)?;
            rules.insert(call, vec![SeccompRule::new(vec![reads])?]);
        }
    }
    for more in [libc::PR_SET_TIMERSLACK, libc::PR_SET_VMA] {
        let condition = of(0, Len::Dword, Is::Eq, more as u64)?;
        rules.entry(libc::SYS_prctl).or_default().push(SeccompRule::new(vec![condition])?);
    }
    let otherwise = SeccompAction::Errno(libc::ENOSYS as u32);
    // A call of another architecture ends the process.
    SeccompFilter::new(rules, otherwise, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// The calls that open files, and which argument has the flags.
const OPENING: &[(libc::c_long, u8)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

/// The calls that change an open file.
const CHANGING: &[libc::c_long] = &[libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_copy_file_range];

const COMMON: &[libc::c_long] = &[
    // Files
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fadvise64,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    // Memory
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_get_mempolicy,
    // Threads, signals, time
    libc::SYS_futex,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // Identity and environment
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    libc::SYS_umask,
    // Start and end. Only what may be read can be executed.
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_time,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];
