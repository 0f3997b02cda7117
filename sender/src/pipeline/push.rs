//! A push from the outside: start it, look at its progress, stop it, take its end.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glancecast_platform::stages::StageTime;
use glancecast_platform::transport::Downlink;
use glancecast_platform::wake::{Waker, sleep_precisely};
use glancecast_proto::integrity::Root;
use glancecast_proto::sender::{HostRow, SenderConfig, Tally, Verdict};
use glancecast_proto::wire::DiscardCounts;

use super::compress::Compression;
use super::content::{ContentCounts, Spared};
use super::send_loop::SendLoop;
use super::source::Source;
use super::wire_counts::WireCounts;

/// What a push needs.
pub struct Setup {
    /// The session.
    pub sender: SenderConfig,
    /// The way to its hosts.
    pub downlink: Downlink,
    /// The image.
    pub source: Box<dyn Source>,
    /// Directory for what repairs are made from: compressed blocks, and all others where the source cannot be read again.
    pub spool: PathBuf,
    /// Whether and how hard blocks are compressed.
    pub compression: Compression,
}

/// How far a push is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Blocks whose first pass was sent.
    pub blocks_sent: u32,
    /// What there was in the blocks that were read.
    pub content: ContentCounts,
    /// Bytes of datagrams sent.
    pub wire_bytes: u64,
    /// Repair symbols sent.
    pub repairs: u64,
    /// Bits per second of whole frames at the moment.
    pub rate: u64,
    /// The source was read to its end and is right.
    pub proven: bool,
    /// The hosts so far.
    pub hosts: Tally,
}

/// How a push ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// The object's root, if its source was proven.
    pub root: Option<Root>,
    /// Every host that was heard or expected.
    pub rows: Vec<HostRow>,
    /// What was put on the wire.
    pub counts: WireCounts,
    /// What there was in the blocks that were read.
    pub content: ContentCounts,
    /// What of them was not sent at all.
    pub spared: Spared,
    /// Datagrams from hosts that were dropped, by reason.
    pub discards: DiscardCounts,
    /// From the start to the end.
    pub time: Duration,
    /// Where the time of its threads went.
    pub stages: Vec<StageTime>,
}

/// A push that is under way in its own threads.
pub struct Push {
    thread: JoinHandle<Outcome>,
    progress: Arc<Mutex<Progress>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Push {
    /// Starts the threads. `ended` is called from them when the push is over.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(setup: Setup, ended: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (send_loop, waker) = SendLoop::new(setup, Arc::clone(&stop), Arc::clone(&progress))?;
        let thread = thread::Builder::new().name("send".into()).spawn(move || {
            sleep_precisely();
            let outcome = send_loop.run();
            ended();
            outcome
        })?;
        Ok(Self { thread, progress, stop, waker })
    }

    /// How far it is; a tenth of a second old at most.
    pub fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up: tells the hosts, then ends.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If the sending thread did, which is a defect.
    pub fn join(self) -> Outcome {
        self.thread.join().expect("the sending thread does not panic")
    }
}
