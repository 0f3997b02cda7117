//! A diagnosis of the path as seen by its caller: start it, take what was found. Its thread owns the machine and the
//! socket.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::Clock;
use glancecast_platform::downlink::{Downlink, Refusal};
use glancecast_platform::interface::Interface;
use glancecast_platform::queriers::Queriers;
use glancecast_platform::wake::Sleeper;
use glancecast_proto::doctor::{Echo, Evidence, Examiner, ExaminerConfig, Extent, SenderEvidence, Stage};
use glancecast_proto::query::Standing;
use glancecast_proto::sender::To;

use super::echo;
use super::running::{Control, Running};

/// A diagnosis that is under way in its own thread.
pub type RunningExam = Running<Stage, Examined>;

/// What a diagnosis has found.
#[derive(Debug)]
pub struct Examined {
    /// The evidence.
    pub evidence: Evidence,
    /// The addresses from which notices came that this group's key does not open, of no host that is known.
    pub strangers: Vec<IpAddr>,
    /// The time from the start to the end.
    pub time: Duration,
    /// The first error of the system that kept a query or a probe from being sent.
    pub error: Option<io::Error>,
}

/// Starts the thread of a diagnosis. `sender` is what is known of this machine.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(config: ExaminerConfig, downlink: Downlink, sender: SenderEvidence) -> io::Result<RunningExam> {
    let (sleeper, waker) = Sleeper::new()?;
    let control = Control::<Stage>::default();
    let shared = control.clone();
    Running::start("doctor", control, waker, move || {
        let clock = Clock::start();
        let ttl = config.ttl;
        // Most processes may not: then nobody listens, and it is not known who asks.
        let listens = config.extent == Extent::Whole && downlink.local_addr().is_ipv4();
        let queriers = listens.then(|| Queriers::listen(downlink.interface()).ok()).flatten();
        let exam = ExamLoop {
            machine: Examiner::new(clock.now(), config),
            downlink,
            queriers,
            ttl,
            clock,
            out: Vec::new(),
            batch: Vec::new(),
            sleeper,
            control: shared,
            error: None,
        };
        exam.run(sender)
    })
}

/// The thread's state.
struct ExamLoop {
    machine: Examiner,
    downlink: Downlink,
    queriers: Option<Queriers>,
    /// The TTL that datagrams to the group leave with at present.
    ttl: u8,
    clock: Clock,
    out: Vec<u8>,
    /// Datagrams to the group that leave with one call, once the last of them is there.
    batch: Vec<u8>,
    sleeper: Sleeper,
    control: Control<Stage>,
    error: Option<io::Error>,
}

impl ExamLoop {
    fn run(mut self, sender: SenderEvidence) -> Examined {
        let mut batch = Batch::default();
        loop {
            if self.control.is_stopped() {
                self.machine.handle_stop();
            }
            self.hear(&mut batch);
            self.say();
            let stage = self.machine.stage();
            self.control.update(|at| *at = stage);
            if self.machine.is_finished() {
                break;
            }
            let now = self.clock.now();
            let due = self.machine.poll_timeout(now).map_or(SLEEP_MAX, |at| at.since(now));
            if self.sleeper.sleep([self.downlink.as_fd()], due.min(SLEEP_MAX)).is_err() {
                std::thread::sleep(ERROR_SLEEP); // the kernel is out of memory
            }
        }
        self.examined(sender)
    }

    fn hear(&mut self, batch: &mut Batch) {
        self.queriers.iter_mut().for_each(Queriers::take);
        for _ in 0..BATCHES_IN_A_ROW {
            match batch.receive(self.downlink.as_fd()) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let now = self.clock.now();
            for (from, datagram) in batch.datagrams() {
                // What is none of this diagnosis changes nothing.
                let _ = self.machine.handle_datagram(now, from, datagram);
            }
        }
    }

    fn say(&mut self) {
        for _ in 0..DATAGRAMS_IN_A_ROW {
            let Some(outgoing) = self.machine.poll_transmit(self.clock.now(), &mut self.out) else { return };
            let sent = match outgoing.to {
                Some(host) => self.downlink.send(&self.out, To::Host(host)),
                None => {
                    self.set_ttl(outgoing.ttl);
                    self.say_to_group(outgoing.is_followed)
                }
            };
            if let Err(refusal) = sent {
                self.error.get_or_insert(refusal.error);
            }
        }
    }

    /// Sends what is in `out` to the group: at once, or with those that follow as one batch.
    fn say_to_group(&mut self, is_followed: bool) -> Result<(), Refusal> {
        if self.batch.is_empty() && !is_followed {
            return self.downlink.send(&self.out, To::Everyone);
        }
        self.batch.extend_from_slice(&self.out);
        if is_followed {
            return Ok(());
        }
        let sent = self.downlink.send_batch_of(self.out.len(), &self.batch, To::Everyone);
        self.batch.clear();
        sent
    }

    fn set_ttl(&mut self, ttl: u8) {
        if self.ttl != ttl && self.downlink.set_ttl(ttl).is_ok() {
            self.ttl = ttl;
        }
    }

    fn examined(self, sender: SenderEvidence) -> Examined {
        let mut hosts = self.machine.hosts();
        let interface = self.downlink.interface();
        for host in &mut hosts {
            host.reached_through = host.address.and_then(|address| {
                let route = Interface::by_route(address).ok()?;
                (route.index != interface.index && !route.is_loopback()).then_some(route.name)
            });
        }
        let silent = hosts.iter_mut().filter(|host| {
            host.standing == Standing::NeverAnswered && host.echo == Echo::None && host.address.is_some()
        });
        echo::listen(interface, &mut silent.take(ECHOES_MAX).collect::<Vec<_>>());
        let queriers = self.queriers.map(|mut queriers| {
            queriers.take();
            queriers.heard().clone()
        });
        Examined {
            evidence: Evidence {
                sender: SenderEvidence { queriers, ..sender },
                hosts,
                sent: self.machine.sent(),
            },
            strangers: self.machine.strangers(),
            time: self.clock.now().since(glancecast_proto::time::Moment::default()),
            error: self.error,
        }
    }
}

const BATCHES_IN_A_ROW: u32 = 4;
/// Datagrams that are sent before answers are taken in again.
const DATAGRAMS_IN_A_ROW: u32 = 64;

/// The longest sleep while only a datagram can end it.
const SLEEP_MAX: Duration = Duration::from_millis(200);
const ERROR_SLEEP: Duration = Duration::from_millis(1);

/// Silent hosts that are looked for by ICMP: two sockets each.
const ECHOES_MAX: usize = 128;
