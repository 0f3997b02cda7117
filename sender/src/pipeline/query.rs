//! A query as seen by its caller: start it, take the answers. Its thread owns the machine and the socket, and waits for
//! nothing else.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::transport::Downlink;
use glancecast_platform::wake::Sleeper;
use glancecast_proto::known::FirstUse;
use glancecast_proto::query::{HostAnswer, Querier, QuerierConfig, Tally};
use glancecast_proto::sender::Transmit;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::DiscardCounts;

use super::line::{Change, Line, NoUse, Offered, OutageReport, Step};
use super::running::{Control, Running};

/// A query that is under way in its own thread. It fails when its network takes nothing for too long.
pub type RunningQuery = Running<Tally, Result<Answers, NetworkAway>>;

/// The network took nothing until the query was given up: what refused what for how long, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NetworkAway(String);

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
    /// When the querier's own network took nothing.
    pub outages: OutageReport,
}

/// Starts the thread of a query. `interface_named` is the interface as the operator named it.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    config: QuerierConfig,
    downlink: Downlink,
    interface_named: Option<String>,
) -> io::Result<RunningQuery> {
    let (sleeper, waker) = Sleeper::new()?;
    let control = Control::default();
    let shared = control.clone();
    Running::start("query", control, waker, move || {
        let line = Line::new(downlink, interface_named, None);
        let machine = Querier::new(line.now(), config);
        QueryLoop { machine, line, refused: None, out: Vec::new(), sleeper, control: shared }.run()
    })
}

/// The thread's state.
struct QueryLoop {
    machine: Querier,
    line: Line,
    /// The datagram in `out`, if the network refused it. Nothing else is sent before it is taken.
    refused: Option<Transmit>,
    out: Vec<u8>,
    sleeper: Sleeper,
    control: Control<Tally>,
}

impl QueryLoop {
    fn run(mut self) -> Result<Answers, NetworkAway> {
        let mut batch = Batch::default();
        loop {
            if self.control.is_stopped() {
                self.machine.handle_stop();
            } else if self.line.is_away() {
                self.wait_for_network()?;
                continue;
            }
            self.hear(&mut batch);
            self.line.check_carrier();
            self.say();
            self.control.update(|tally| *tally = self.machine.tally());
            let now = self.line.now();
            if self.machine.is_finished(now) {
                return Ok(self.answers(now));
            }
            let due = self.machine.poll_timeout(now).map_or(SLEEP_MAX, |at| at.since(now));
            if !self.line.is_away() {
                self.sleep(due.min(SLEEP_MAX));
            }
        }
    }

    fn hear(&mut self, batch: &mut Batch) {
        for _ in 0..BATCHES_IN_A_ROW {
            match batch.receive(self.line.as_fd()) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    // An error of an earlier datagram that ICMP reports, such as ECONNREFUSED. It is reported once.
                    tracing::debug!(%error, "cannot receive");
                    std::thread::sleep(ERROR_SLEEP);
                    break;
                }
            }
            let now = self.line.now();
            for (from, datagram) in batch.datagrams() {
                // Why a datagram is discarded is counted by the machine.
                let _ = self.machine.handle_datagram(now, from, datagram);
            }
        }
    }

    fn say(&mut self) {
        while !self.line.is_away()
            && let Some(transmit) = self.machine.poll_transmit(self.line.now(), &mut self.out)
        {
            self.send(transmit);
        }
    }

    fn send(&mut self, transmit: Transmit) {
        self.refused = match self.line.send(&self.out, transmit.to) {
            Offered::Taken => None,
            Offered::Refused(_) => Some(transmit),
        };
    }

    /// Waits while the network takes nothing, and offers it what it refused.
    fn wait_for_network(&mut self) -> Result<(), NetworkAway> {
        match self.line.next_step() {
            Step::GiveUp => return Err(NetworkAway(self.line.verdict())),
            Step::Wait(time) => {
                let _ = self.sleeper.sleep([], time);
            }
            Step::Offer => match self.line.follow() {
                Ok(Some(Change::ReplyTo(addr))) => {
                    // What was to be said may name the address that is gone.
                    self.refused = None;
                    self.machine.handle_reply_to(self.line.now(), addr);
                    self.offer_again();
                }
                Ok(_) => self.offer_again(),
                Err(NoUse) => {}
            },
        }
        Ok(())
    }

    fn offer_again(&mut self) {
        if let Some(transmit) = self.refused.take() {
            self.send(transmit);
        }
        if self.refused.is_none() && self.line.resume().is_some() {
            self.line.tell();
        }
    }

    fn sleep(&self, at_most: Duration) {
        if self.sleeper.sleep([self.line.as_fd()], at_most).is_err() {
            std::thread::sleep(ERROR_SLEEP); // the kernel is out of memory
        }
    }

    fn answers(&self, now: Moment) -> Answers {
        let outages = self.line.report();
        Answers {
            rows: self.machine.rows(),
            first_uses: self.machine.first_uses(),
            time: now.since(Moment::default()) + outages.time,
            discards: self.machine.discards().clone(),
            outages,
        }
    }
}

const BATCHES_IN_A_ROW: u32 = 4;

/// The longest sleep while only a datagram can end it.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// Pause after an error of the system, so that one that lasts costs little.
const ERROR_SLEEP: Duration = Duration::from_millis(1);
