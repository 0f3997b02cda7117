//! The simulator: the real [`Sender`](glancecast_proto::sender::Sender) and real
//! [`Receiver`](glancecast_proto::receiver::Receiver)s in one thread, under one seed and a clock that jumps from event
//! to event.
//!
//! The seed draws a push and its faults (`plan`), `world` runs it, and `oracle` checks the rules. Symbols of a small
//! object travel in real datagrams, so that what a host publishes can be compared with it. A run that breaks a rule
//! returns a [`Violation`]; the same seed repeats the run.

pub mod asked;
mod base;
mod dice;
mod disk;
mod faults;
pub mod finish;
mod host;
mod identity;
mod insider;
pub mod kept;
mod mutant;
mod network;
mod object;
mod oracle;
mod overhear;
pub mod paths;
mod plan;
mod pusher;
mod road;
pub mod routed;
pub mod scale;
mod sender_line;
mod world;

use std::cell::Cell;
use std::fmt;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_fec::Codec;
use glancecast_proto::time::Moment;

pub use faults::{Counts, Fault};
pub use mutant::Mutant;

use world::World;

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The time in the run.
    pub at: Moment,
    /// The broken rule.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.what)
    }
}

/// The totals of many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The number of runs.
    pub runs: u64,
    /// How often each fault occurred.
    pub counts: Counts,
    /// The seeds that broke a rule, ascending, each with the rule.
    pub broken: Vec<(u64, Violation)>,
    /// The wall-clock time of all runs.
    pub time: Duration,
}

impl Summary {
    /// Adds the totals of `further` runs.
    pub fn add(&mut self, further: Self) {
        self.runs += further.runs;
        self.counts.add(&further.counts);
        self.broken.extend(further.broken);
        self.time += further.time;
    }
}

/// Runs one seed.
///
/// # Errors
/// The rule that the run broke.
pub fn run(seed: u64, mutant: Mutant) -> (Counts, Result<(), Violation>) {
    run_with(&mut Codec::new(), seed, mutant)
}

fn run_with(codec: &mut Codec, seed: u64, mutant: Mutant) -> (Counts, Result<(), Violation>) {
    let mut world = World::new(seed, mutant, std::mem::take(codec));
    let result = world.run();
    let (counts, used) = world.into_parts();
    *codec = used;
    (counts, result)
}

/// Runs one seed, and prints its plan and its events.
///
/// # Errors
/// The rule that the run broke.
pub fn tell(seed: u64, mutant: Mutant) -> (Counts, Result<(), Violation>) {
    say_seed_on_panic();
    SEED.set(Some(seed));
    let mut world = World::new(seed, mutant, Codec::new());
    println!("{:#?}", world.plan());
    world.is_told = true;
    let result = world.run();
    (world.into_parts().0, result)
}

/// What hosts had of a push beside a hostile machine, or without one.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// The time until the last host was done.
    pub time: Duration,
    /// Symbols sent until then.
    pub symbols: u64,
}

/// The hostile machine of a quiet push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// There is none.
    Nobody,
    /// The push is not for it.
    Outsider,
    /// The push is for it, too.
    Member,
}

/// Runs one seed without any fault, on a network that loses nothing, beside a machine that does all that it can.
///
/// # Errors
/// The rule that the run broke.
pub fn beside(seed: u64, neighbour: Neighbour) -> Result<Beside, Violation> {
    let mut world = World::quiet(seed, neighbour, Codec::new());
    world.run_until_all_are_done()?;
    Ok(world.beside())
}

/// Runs the `count` seeds from `first` on `threads` threads, until a thread has found `enough` that break a rule.
pub fn run_all(first: u64, count: u64, threads: usize, mutant: Mutant, enough: usize) -> Summary {
    say_seed_on_panic();
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let total = Mutex::new(Summary::default());
    let work = || {
        let mut mine = Summary::default();
        let mut codec = Codec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            SEED.set(Some(seed));
            let (counts, result) = run_with(&mut codec, seed, mutant);
            mine.runs += 1;
            mine.counts.add(&counts);
            if let Err(violation) = result {
                mine.broken.push((seed, violation));
                if mine.broken.len() >= enough {
                    next.fetch_add(count, Ordering::Relaxed); // the others stop, too
                }
            }
        }
        SEED.set(None);
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.runs += mine.runs;
        total.counts.add(&mine.counts);
        total.broken.extend(mine.broken);
    };
    thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let mut summary = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.broken.sort_by_key(|&(seed, _)| seed);
    summary.time = start.elapsed();
    summary
}

thread_local! {
    /// The seed that this thread runs.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Prints the seed when an assertion in a machine panics: that is a finding, too.
fn say_seed_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(seed) = SEED.get() {
                eprintln!("the run of seed {seed} panicked; again: make sim SEED={seed}");
            }
            before(info);
        }));
    });
}
