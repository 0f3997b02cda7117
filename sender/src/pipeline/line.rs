//! The line to the hosts: the socket, and what becomes of a push or a query while the network behind it takes nothing.
//!
//! A datagram that is refused stays with the caller, who offers it again when `Line::next_step` says so. Meanwhile
//! the time of the machine stands still ([`Outages`]), and the socket follows its interface, which may come back with
//! another index or address.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use glancecast_platform::clock::Clock;
use glancecast_platform::downlink::{Downlink, Followed, Refusal};
use glancecast_platform::interface::Interface;
use glancecast_platform::path::{CarrierWatch, at_present, is_down};
use glancecast_proto::outages::{OutageNews, Outages};
use glancecast_proto::sender::{PathAddrs, To};
use glancecast_proto::time::Moment;

use super::refused::{Cause, Refused};

/// The socket to the hosts, and the clock of the machine that uses it.
pub(crate) struct Line {
    downlink: Downlink,
    /// The interface as the operator named it; `None` where the routing table chose it.
    named: Option<String>,
    carrier: CarrierWatch,
    carrier_at: Moment,
    outages: Outages,
    clock: Clock,
    /// Which paths the socket sends to; `None` while these are its destinations.
    paths_version: Option<u32>,
    /// Why the network refuses datagrams, or did so last.
    cause: Option<Cause>,
    /// What the last outage that was told was about.
    last: Option<String>,
}

/// What became of a datagram or a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// The network took it.
    Taken,
    /// The network took this many bytes at its start, whole datagrams, and refused the rest.
    Refused(usize),
}

/// What to do during an outage.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing for this time.
    Wait(Duration),
    /// Offer again what was refused.
    Offer,
    /// Stop waiting.
    GiveUp,
}

/// What has changed at the end of an outage, or during it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The network takes datagrams again, after this time.
    Over(Duration),
    /// Hosts answer to this address from now on.
    ReplyTo(SocketAddr),
}

/// The outages of a push or a query, as they are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutageReport {
    /// The number of outages that were long enough to be logged.
    pub times: u32,
    /// How long all of them have lasted.
    pub time: Duration,
    /// Why the network refused datagrams the last time that it was logged.
    pub reason: Option<String>,
}

impl OutageReport {
    /// Adds the outages of a query that came after these.
    pub(crate) fn add(&mut self, later: Self) {
        self.times += later.times;
        self.time += later.time;
        self.reason = later.reason.or(self.reason.take());
    }
}

impl Line {
    /// Returns the line of a push or a query that begins now, and ends after `timeout` if it has one. `named` is the
    /// interface as the operator named it.
    pub(crate) fn new(downlink: Downlink, named: Option<String>, timeout: Option<Duration>) -> Self {
        let clock = Clock::start();
        Self {
            carrier: CarrierWatch::start(downlink.interface().index),
            carrier_at: Moment::default(),
            outages: Outages::new(timeout.map(|timeout| clock.now() + timeout)),
            downlink,
            named,
            clock,
            paths_version: None,
            cause: None,
            last: None,
        }
    }

    /// Returns the time of the machine, which stands still during an outage.
    pub(crate) fn now(&self) -> Moment {
        self.outages.time(self.clock.now())
    }

    /// Returns the true time since the start.
    pub(crate) fn true_now(&self) -> Moment {
        self.clock.now()
    }

    /// Returns the nanoseconds since the start, for pacing.
    pub(crate) fn nanos(&self) -> u64 {
        self.clock.nanos()
    }

    pub(crate) fn downlink(&self) -> &Downlink {
        &self.downlink
    }

    /// Sends what is for everyone to these paths from now on, if they have changed.
    pub(crate) fn set_paths(&mut self, paths: &PathAddrs) {
        if self.paths_version != Some(paths.version()) {
            self.paths_version = Some(paths.version());
            self.downlink.set_paths(paths);
        }
    }

    /// Returns the next address that refuses what is sent to it alone.
    pub(crate) fn poll_refusal(&mut self) -> Option<SocketAddr> {
        self.downlink.poll_refusal()
    }

    /// Whether the network takes nothing at present.
    pub(crate) fn is_away(&self) -> bool {
        self.outages.is_away()
    }

    /// Has outages waited for no longer than `longest` from now on.
    pub(crate) fn wait_at_most(&mut self, longest: Duration) {
        self.outages.wait_at_most(longest);
    }

    /// Offers one datagram to the network.
    pub(crate) fn send(&mut self, datagram: &[u8], to: To) -> Offered {
        let result = self.downlink.send(datagram, to);
        self.note(result)
    }

    /// Offers a batch to the network.
    pub(crate) fn send_batch(&mut self, batch: &[u8], to: To) -> Offered {
        let result = self.downlink.send_batch(batch, to);
        self.note(result)
    }

    fn note(&mut self, result: Result<(), Refusal>) -> Offered {
        match result {
            Ok(()) => Offered::Taken,
            Err(Refusal { error, taken }) => {
                self.refuse(Cause::Error(error));
                Offered::Refused(taken)
            }
        }
    }

    fn refuse(&mut self, cause: Cause) {
        self.cause = Some(cause);
        self.outages.handle_refused(self.clock.now());
    }

    /// Looks from time to time whether the carrier is lost, without which the kernel takes datagrams and drops them.
    pub(crate) fn check_carrier(&mut self) {
        let now = self.clock.now();
        if !self.is_away() && now >= self.carrier_at {
            self.carrier_at = now + CARRIER_GAP;
            if self.carrier.is_lost(self.downlink.interface().index) {
                self.refuse(Cause::NoCarrier);
            }
        }
    }

    /// Ends the outage, as the network took what was offered, or nothing is left to be offered.
    pub(crate) fn resume(&mut self) -> Option<Change> {
        self.outages.handle_taken(self.clock.now()).map(Change::Over)
    }

    /// Returns what is to be done in an outage. Tells a person of it, once.
    pub(crate) fn next_step(&mut self) -> Step {
        self.tell();
        let now = self.clock.now();
        if self.outages.is_lost(now) {
            return Step::GiveUp;
        }
        match self.outages.next_try() {
            Some(at) if now < at => Step::Wait(at.since(now)),
            Some(_) | None => Step::Offer,
        }
    }

    /// Has the socket follow its interface. Returns whether it is worth offering anything, and another address of the
    /// hosts' answers.
    pub(crate) fn follow(&mut self) -> Result<Option<Change>, NoUse> {
        if self.carrier.is_lost(self.downlink.interface().index) {
            self.refuse(Cause::NoCarrier);
            return Err(NoUse);
        }
        let lasted = self.outages.lasted(self.clock.now());
        if lasted < FOLLOWED_AFTER {
            return Ok(None);
        }
        let (before, to) = (self.downlink.interface(), self.downlink.destinations().first());
        let present = match at_present(before, self.named.as_deref(), to) {
            Ok(present) if present.addr == before.addr || lasted >= ADDRESS_AWAITED => present,
            Ok(_) => {
                self.refuse(Cause::NoAddress);
                return Err(NoUse);
            }
            Err(error) => {
                // The system's own error says less than what has become of the interface.
                self.refuse(Cause::Interface(error));
                return Err(NoUse);
            }
        };
        if (present.index, present.addr) != (before.index, before.addr) {
            match self.downlink.follow(&present) {
                Ok(Followed::SameAddress) => {}
                Ok(Followed::NewAddress(addr)) => return Ok(Some(Change::ReplyTo(addr))),
                Err(error) => {
                    self.refuse(Cause::Socket(error));
                    return Err(NoUse);
                }
            }
        }
        if is_down(self.downlink.interface().index) {
            self.refuse(Cause::Down);
            return Err(NoUse);
        }
        Ok(None)
    }

    /// Logs the beginning and the end of an outage that lasts.
    pub(crate) fn tell(&mut self) {
        match self.outages.poll_news(self.clock.now()) {
            Some(OutageNews::Begun) => {
                let why = self.refused().why();
                let interface = self.interface();
                tracing::warn!("{interface} takes no datagrams: {why}; waiting for it to come back");
                self.last = Some(why);
            }
            Some(OutageNews::Over(lasted)) => {
                let interface = self.interface();
                tracing::warn!("{interface} takes datagrams again, after {:.1} s", lasted.as_secs_f64());
            }
            None => {}
        }
    }

    /// Returns why the push or query is given up: what refused what for how long, and what to do.
    pub(crate) fn verdict(&self) -> String {
        let (interface, to) = (self.interface(), self.downlink.destinations());
        let lasted = self.outages.lasted(self.clock.now()).as_secs_f64();
        let refused = self.refused();
        format!(
            "{interface} has taken nothing for {to} for {lasted:.0} s: {}; {}",
            refused.why(),
            refused.remedy()
        )
    }

    /// Returns the outages so far.
    pub(crate) fn report(&self) -> OutageReport {
        let time = self.outages.total(self.clock.now());
        OutageReport { times: self.outages.told(), time, reason: self.last.clone() }
    }

    fn refused(&self) -> Refused<'_> {
        Refused { cause: self.cause.as_ref(), downlink: &self.downlink }
    }

    fn interface(&self) -> String {
        let Interface { name, addr, .. } = self.downlink.interface();
        format!("interface {name} ({addr})")
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.downlink.as_fd()
    }
}

/// Nothing that was offered now would be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoUse;

/// Time between two looks at the carrier.
const CARRIER_GAP: Duration = Duration::from_millis(50);
/// The interface is looked up once an outage lasts: a firewall that limits the rate makes many short ones.
const FOLLOWED_AFTER: Duration = Duration::from_millis(10);
/// How long the address that hosts answer to is waited for on an interface that has another one: an interface that is
/// set up anew may get its addresses one by one.
const ADDRESS_AWAITED: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::io;

    use glancecast_platform::multicast::Group;
    use glancecast_platform::transport::{Marking, Offload};

    use super::*;

    #[test]
    fn a_push_is_given_up_with_interface_address_group_cause_and_remedy() {
        let mut line = line(Some(Duration::ZERO));
        assert!(!line.is_away());
        line.refuse(Cause::Error(io::Error::from_raw_os_error(nix::errno::Errno::ENETUNREACH as i32)));
        assert!(line.is_away() && matches!(line.next_step(), Step::GiveUp));
        let text = line.verdict();
        for says in
            ["interface lo (127.0.0.1)", "239.255.71.67:47180", "Network is unreachable", "ip route get"]
        {
            assert!(text.contains(says), "{says}: {text}");
        }
    }

    #[test]
    fn the_machines_time_stands_still_until_the_line_is_resumed() {
        let mut line = line(None);
        line.refuse(Cause::NoCarrier);
        let before = line.now();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(line.now(), before);
        assert!(matches!(line.follow(), Ok(None)), "loopback is as it was");
        let Some(Change::Over(lasted)) = line.resume() else { panic!("it was away") };
        assert!(lasted >= Duration::from_millis(20) && line.now() < line.true_now());
        assert_eq!(line.report().times, 0, "too short to be told");
    }

    fn line(timeout: Option<Duration>) -> Line {
        let group: Group = "239.255.71.67:47180".parse().expect("a group");
        let lo = Interface::find("lo", group).expect("loopback");
        let marking = Marking { ttl: 1, dscp: 8 };
        let downlink = Downlink::open(group.into(), &lo, 0, marking, 1000, Offload::Used).expect("opened");
        Line::new(downlink, Some("lo".into()), timeout)
    }
}
