//! Memory to measure on, a pinned core, and samples of the monotonic clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::unistd::Pid;

/// How many bytes a measurement rotates over, so that none of them are in a cache when it comes back to them.
pub const COLD_BYTES: usize = 256 << 20;

/// Pins the calling thread to a core.
///
/// # Errors
/// If there is no such core for this process.
pub fn pin(core: usize) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}

/// Which pages memory is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// What the kernel gives when it is not asked.
    Default,
    /// Huge ones, as far as the kernel has them.
    Huge,
}

/// Zeroed memory, kept until the process ends.
///
/// # Errors
/// If there is not so much.
pub fn memory(len: usize, pages: Pages) -> anyhow::Result<&'static mut [u8]> {
    let len_mapped = len.max(1).next_multiple_of(2 << 20).try_into()?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new private mapping that the kernel places.
    let at = unsafe { mmap_anonymous(None, len_mapped, protection, MapFlags::MAP_PRIVATE)? };
    if pages == Pages::Huge {
        // SAFETY: the mapping made above; the advice changes nothing but its pages.
        unsafe { madvise(at, len_mapped.get(), MmapAdvise::MADV_HUGEPAGE)? };
    }
    // SAFETY: `len` bytes of a mapping that nobody else has, zeroed by the kernel and never unmapped.
    let memory = unsafe { std::slice::from_raw_parts_mut(at.as_ptr().cast::<u8>(), len) };
    memory.fill(1);
    Ok(memory)
}

/// What `work` takes on the monotonic clock.
pub fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The middle one.
///
/// # Panics
/// If there are none.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// 10^9 bits per second.
pub fn gbit_s(bytes: usize, time: Duration) -> f64 {
    bytes as f64 * 8.0 / time.as_secs_f64() / 1e9
}

/// What this core reads of memory that is in no cache, in Gbit/s: the median of 5.
pub fn read_bandwidth(memory: &[u8]) -> f64 {
    let sum = |memory: &[u8]| {
        let words = memory.chunks_exact(64);
        words.fold([0u64; 8], |mut sum, chunk| {
            for (sum, word) in sum.iter_mut().zip(chunk.chunks_exact(8)) {
                *sum ^= u64::from_le_bytes(word.try_into().expect("8 bytes"));
            }
            sum
        })
    };
    let samples = (0..5).map(|_| {
        gbit_s(
            memory.len(),
            time(|| {
                black_box(sum(black_box(memory)));
            }),
        )
    });
    median(samples.collect())
}
