//! Memory that is done with goes back to the system, for the guests of this host.

use nix::libc;

/// Has the allocator take large pieces from the system one by one and give each back when it is freed; to be called before
/// any is. glibc begins so, but the first large piece that is freed makes it keep the next ones for itself (mallopt(3),
/// `M_MMAP_THRESHOLD`): the buffers of a push would stay resident until the end of the process, and be cleared by writing
/// to them instead of by the system.
pub fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt takes two numbers, and any thread may call it at any time.
        let understood = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
        debug_assert_eq!(understood, 1, "it is a threshold that glibc takes");
    }
}

/// What glibc begins with. A buffer for a block has 1 MiB and more.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn buffers_are_not_resident_any_more_when_they_are_freed() {
        give_back_large_pieces();
        drop(touched()); // after this one glibc would have changed its mind
        let before = resident();
        let buffers: Vec<_> = (0..64).map(|_| touched()).collect();
        let behind_them = vec![1u8; 1000]; // or they would be the end of the heap, which is given back anyway
        assert!(resident() >= before + (48 << 20), "they were resident");
        drop(buffers);
        let after = resident();
        assert!(after <= before + (16 << 20), "{before} bytes resident before, {after} after");
        drop(behind_them);
    }

    fn touched() -> Vec<u8> {
        vec![7; (1 << 20) + 4096]
    }

    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") << 10
    }
}
