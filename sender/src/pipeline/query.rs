//! A query from the outside: start it, look at how far it is, end it early, take what came of it. Its thread owns the
//! machine and the socket, and waits for nothing else.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::Clock;
use glancecast_platform::transport::Downlink;
use glancecast_platform::wake::{Sleeper, Waker};
use glancecast_proto::query::{HostAnswer, Querier, QuerierConfig, Tally};
use glancecast_proto::wire::DiscardCounts;

/// A query that is being asked.
pub(crate) struct Asking {
    thread: JoinHandle<io::Result<Asked>>,
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

/// What came of it.
pub(crate) struct Asked {
    /// Every host that was heard or is expected by name, by name.
    pub(crate) rows: Vec<HostAnswer>,
    /// From the start to the end.
    pub(crate) time: Duration,
    /// Datagrams that were dropped, by reason.
    pub(crate) discards: DiscardCounts,
}

impl Asking {
    /// Starts the thread. `ended` is called from it when it is over.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(
        config: QuerierConfig,
        downlink: Downlink,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (sleeper, waker) = Sleeper::new()?;
        let (stop, tally) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Tally>>::default());
        let told = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = thread::Builder::new().name("ask".into()).spawn(move || {
            let asked = ask(config, &downlink, &sleeper, &told.0, &told.1);
            ended();
            asked
        })?;
        Ok(Self { thread, tally, stop, waker })
    }

    /// How far it is.
    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for nobody any more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What the socket said when it could not send to everyone.
    ///
    /// # Panics
    /// If the thread did, which is a defect.
    pub(crate) fn join(self) -> io::Result<Asked> {
        self.thread.join().expect("the asking thread does not panic")
    }
}

fn ask(
    config: QuerierConfig,
    downlink: &Downlink,
    sleeper: &Sleeper,
    stop: &AtomicBool,
    tally: &Mutex<Tally>,
) -> io::Result<Asked> {
    let clock = Clock::start();
    let mut machine = Querier::new(clock.now(), config);
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    loop {
        for _ in 0..BATCHES_IN_A_ROW {
            if batch.receive(downlink.as_fd())? == 0 {
                break;
            }
            let now = clock.now();
            for (from, datagram) in batch.datagrams() {
                // The machine counts why it drops what it drops.
                let _ = machine.handle_datagram(now, from, datagram);
            }
        }
        if stop.load(Ordering::Relaxed) {
            machine.handle_stop();
        }
        while let Some(transmit) = machine.poll_transmit(clock.now(), &mut out) {
            downlink.send(&out, transmit.to)?;
        }
        *tally.lock().unwrap_or_else(PoisonError::into_inner) = machine.tally();
        let now = clock.now();
        if machine.is_finished(now) {
            let time = now.since(glancecast_proto::time::Moment::default());
            return Ok(Asked { rows: machine.rows(), time, discards: machine.discards().clone() });
        }
        let due = machine.poll_timeout(now).map_or(SLEEP_MAX, |at| at.since(now));
        sleeper.sleep([downlink.as_fd()], due.min(SLEEP_MAX))?;
    }
}

const BATCHES_IN_A_ROW: u32 = 4;

/// With nothing to wait for but datagrams.
const SLEEP_MAX: Duration = Duration::from_millis(200);
