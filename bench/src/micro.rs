//! Measurements of single functions: memory to measure on, a pinned core, samples of the monotonic clock, and blocks
//! with lost symbols.

use std::hint::black_box;
use std::time::{Duration, Instant};

use glancecast_fec::{BlockShape, Esi, RepairSymbol, SymbolSet};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::unistd::Pid;

/// The memory that a measurement rotates over, so that no data is in a cache when its turn comes again.
pub const COLD_BYTES: usize = 256 << 20;

/// Pins the calling thread to a core.
pub fn pin(core: usize) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}

/// The page size of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// The kernel's default.
    Default,
    /// Huge pages, as far as the kernel has them.
    Huge,
}

/// Allocates memory with every byte written. It is never freed.
pub fn memory(len: usize, pages: Pages) -> anyhow::Result<&'static mut [u8]> {
    let len_mapped = len.max(1).next_multiple_of(2 << 20).try_into()?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new private mapping that the kernel places.
    let at = unsafe { mmap_anonymous(None, len_mapped, protection, MapFlags::MAP_PRIVATE)? };
    if pages == Pages::Huge {
        // SAFETY: the mapping made above; the advice changes nothing but its pages.
        unsafe { madvise(at, len_mapped.get(), MmapAdvise::MADV_HUGEPAGE)? };
    }
    // SAFETY: `len` bytes of a mapping that nothing else refers to, zeroed by the kernel and never unmapped.
    let memory = unsafe { std::slice::from_raw_parts_mut(at.as_ptr().cast::<u8>(), len) };
    memory.fill(1);
    Ok(memory)
}

/// Returns the time of `work` on the monotonic clock.
pub fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Returns the median sample; of an even number, the upper of the two in the middle.
///
/// # Panics
/// If there are no samples.
pub fn median<T: PartialOrd>(mut samples: Vec<T>) -> T {
    samples.sort_by(|one, other| one.partial_cmp(other).expect("samples are numbers"));
    samples.swap_remove(samples.len() / 2)
}

/// Returns the median time of a call, of at least five calls and about `budget` in total.
pub fn median_time(budget: Duration, mut call: impl FnMut()) -> Duration {
    call(); // warms caches and lazy memory
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || start.elapsed() < budget {
        times.push(time(&mut call));
    }
    median(times)
}

/// Returns a rate in units of 10^9 bits per second.
pub fn gbit_s(bytes: usize, time: Duration) -> f64 {
    bytes as f64 * 8.0 / time.as_secs_f64() / 1e9
}

/// Returns this core's read bandwidth for uncached memory in Gbit/s, the median of 5.
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
    let took = || {
        time(|| {
            black_box(sum(black_box(memory)));
        })
    };
    median((0..5).map(|_| gbit_s(memory.len(), took())).collect())
}

/// Blocks in memory that a measurement goes through in turn.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// Bytes of a block.
    pub block_bytes: usize,
    /// The number of blocks.
    pub blocks: usize,
    /// The next block, counted without end.
    pub next: usize,
}

impl Turns {
    /// Creates turns over the blocks of this shape in `cold` bytes.
    pub fn new(shape: BlockShape, cold: usize) -> Self {
        let block_bytes = shape.source_bytes();
        Self { block_bytes, blocks: cold.div_ceil(block_bytes), next: 0 }
    }

    /// Returns the speed of `work` over `count` blocks in Gbit/s. `work` receives the block's number.
    pub fn gbit_s(&mut self, count: usize, mut work: impl FnMut(usize)) -> f64 {
        let first = self.next;
        self.next += count;
        let took = time(|| (first..first + count).for_each(|turn| work(turn % self.blocks)));
        gbit_s(count * self.block_bytes, took)
    }

    /// Returns the numbers of the next `count` blocks.
    pub fn coming(self, count: usize) -> impl Iterator<Item = usize> {
        (self.next..self.next + count).map(move |turn| turn % self.blocks)
    }
}

/// Returns all source symbols except `lost` ones at equal distances.
pub fn all_but(k: u32, lost: u32) -> SymbolSet {
    let mut held = SymbolSet::full(k);
    (0..lost).for_each(|i| {
        held.remove((u64::from(i) * u64::from(k) / u64::from(lost)) as u32);
    });
    held
}

/// Returns consecutive repair symbols, starting with the first.
///
/// # Panics
/// If there are more than RFC 6330 allows.
pub fn repair_symbols(shape: BlockShape, bytes: &[u8]) -> Vec<RepairSymbol<'_>> {
    let first = Esi::first_repair(shape);
    let symbols = bytes.chunks_exact(shape.symbol_size()).zip(0..);
    symbols.map(|(bytes, i)| RepairSymbol { esi: first.plus(i).expect("few"), bytes }).collect()
}

/// Random numbers: SplitMix64.
#[derive(Clone, Copy, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// Returns the next 64-bit number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns the next number, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// Fills memory with incompressible bytes.
    pub fn fill(&mut self, memory: &mut [u8]) {
        for word in memory.chunks_exact_mut(8) {
            word.copy_from_slice(&self.draw().to_le_bytes());
        }
    }
}
