//! A query as seen by its caller: start it, take the answers. Its thread owns the machine and the socket, and waits for
//! nothing else.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::Clock;
use glancecast_platform::transport::Downlink;
use glancecast_platform::wake::Sleeper;
use glancecast_proto::known::FirstUse;
use glancecast_proto::query::{HostAnswer, Querier, QuerierConfig, Tally};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::DiscardCounts;

use super::running::{Control, Running};

/// A query that is under way in its own thread. It fails when its socket does.
pub type RunningQuery = Running<Tally, io::Result<Answers>>;

/// The answers of the hosts.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Every host that was heard or is expected by name, sorted by name.
    pub rows: Vec<HostAnswer>,
    /// The hosts whose keys are not known, of which nobody else has claimed the name.
    pub first_uses: Vec<FirstUse>,
    /// The time from the start to the end.
    pub time: Duration,
    /// Discarded datagrams, by reason.
    pub discards: DiscardCounts,
}

/// Starts the thread of a query.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(config: QuerierConfig, downlink: Downlink) -> io::Result<RunningQuery> {
    let (sleeper, waker) = Sleeper::new()?;
    let control = Control::default();
    let shared = control.clone();
    Running::start("query", control, waker, move || run(config, &downlink, &sleeper, &shared))
}

fn run(
    config: QuerierConfig,
    downlink: &Downlink,
    sleeper: &Sleeper,
    control: &Control<Tally>,
) -> io::Result<Answers> {
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
                // Why a datagram is discarded is counted by the machine.
                let _ = machine.handle_datagram(now, from, datagram);
            }
        }
        if control.is_stopped() {
            machine.handle_stop();
        }
        while let Some(transmit) = machine.poll_transmit(clock.now(), &mut out) {
            downlink.send(&out, transmit.to)?;
        }
        control.update(|tally| *tally = machine.tally());
        let now = clock.now();
        if machine.is_finished(now) {
            let time = now.since(Moment::default());
            return Ok(Answers {
                rows: machine.rows(),
                first_uses: machine.first_uses(),
                time,
                discards: machine.discards().clone(),
            });
        }
        let due = machine.poll_timeout(now).map_or(SLEEP_MAX, |at| at.since(now));
        sleeper.sleep([downlink.as_fd()], due.min(SLEEP_MAX))?;
    }
}

const BATCHES_IN_A_ROW: u32 = 4;

/// The longest sleep while only a datagram can end it.
const SLEEP_MAX: Duration = Duration::from_millis(200);
