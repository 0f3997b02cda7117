//! Returns freed memory to the system, for the guests of this host.

use std::fs;

use nix::libc;

/// Makes the allocator map large allocations one by one and unmap each when it is freed. Call it first, while the
/// process has one thread.
///
/// glibc starts that way, but the first large allocation that is freed raises its threshold (mallopt(3),
/// `M_MMAP_THRESHOLD`): the buffers of a push would stay resident until the process ends, and would be cleared by
/// writing to them instead of by the system.
///
/// # Panics
/// If another thread runs already.
pub fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    {
        assert_eq!(threads(), 1, "the allocator is set up before another thread is started");
        set_threshold();
    }
}

#[cfg(target_env = "gnu")]
fn set_threshold() {
    // SAFETY: mallopt takes two numbers and no pointer. glibc's manual calls it "MT-Unsafe init": if nothing was
    // allocated yet, it initialises the allocator without a lock. The program calls it while it has one thread, which
    // the caller asserts; in a test the runner has allocated long before.
    let understood = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
    debug_assert_eq!(understood, 1, "it is a threshold that glibc takes");
}

/// Returns the number of this process's threads; 1 if `/proc` is not mounted, as it is unknown then.
#[cfg(target_env = "gnu")]
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// glibc's initial threshold. A block's buffer has 1 MiB or more.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "before another thread")]
    fn it_is_too_late_when_other_threads_run() {
        give_back_large_pieces(); // the test runner's main thread is another one
    }

    #[test]
    fn buffers_are_not_resident_any_more_when_they_are_freed() {
        // Run it in a process of its own: other tests of this process allocate and free memory meanwhile.
        let alone = ["--exact", "heap::tests::freed_buffers_alone_in_a_process", "--ignored"];
        let child =
            std::process::Command::new(std::env::current_exe().expect("this test")).args(alone).output();
        let output = child.expect("a process");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    #[ignore = "a process that the test before starts"]
    fn freed_buffers_alone_in_a_process() {
        set_threshold();
        drop(touched()); // this would have raised glibc's own threshold
        let before = resident();
        let buffers: Vec<_> = (0..64).map(|_| touched()).collect();
        let behind_them = vec![1u8; 1000]; // else they would end the heap, which is returned anyway
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
