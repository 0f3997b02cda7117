//! One run: a sender, hosts, the paths between them, and one clock. The earliest event comes first; events of the same
//! time come in the order in which they were scheduled.

mod broken;
mod others;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use glancecast_fec::Codec;
use glancecast_proto::ids::{HostName, ReceiverId, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::limits::END_OUTAGE_MAX;
use glancecast_proto::receiver::ReceiverEvent;
use glancecast_proto::sender::{HostRow, SenderEvent, Verdict};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Discard, Kind, Part, Poll};

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::host::{self, Host, SENDER, Shared, Task};
use super::insider::Insider;
use super::mutant::Mutant;
use super::object::Object;
use super::oracle::{Ended, Oracle, Seen, check_disk, check_end, check_rows};
use super::overhear::asked_for;
use super::plan::{Expecting, Leaving, Plan, Way};
use super::pusher::{self, Pusher, Sent};
use super::road::Racks;
use super::{Beside, Neighbour, Violation};
use others::Honesty;

pub(crate) struct World {
    plan: Plan,
    object: Object,
    mutant: Mutant,
    now: Moment,
    sender: Option<Pusher>,
    /// Whether a crashed sender will come back.
    sender_away: bool,
    session: SessionId,
    /// This session and those of the sender before it crashed.
    sessions: Vec<SessionId>,
    /// When the last host was done, and those that are.
    beside: Beside,
    done: BTreeSet<HostName>,
    /// The sender's known_hosts.
    known: KnownHosts,
    hosts: Vec<Host>,
    /// Which host says something under which id.
    receivers: BTreeMap<ReceiverId, usize>,
    /// Hosts that a broken machine has talk to the hostile one, with the life in which they do.
    diverted: BTreeMap<usize, u32>,
    insider: Option<Insider>,
    /// What racks of hosts lose together.
    racks: Option<Racks>,
    /// The last poll, as the hostile machine has heard it.
    poll: Poll,
    due: BinaryHeap<Reverse<Due>>,
    /// The events of `due`, which need no order of their own.
    happenings: Vec<Option<Happening>>,
    free: Vec<usize>,
    ordered: u64,
    oracle: Oracle,
    counts: Counts,
    dice: Dice,
    codec: Codec,
    ended: Option<Moment>,
    /// The number of steps since time last advanced.
    standing: u32,
    /// Whether events are printed.
    pub(crate) is_told: bool,
}

/// The time, the order, and the index in `happenings`.
type Due = (Moment, u64, usize);

enum Happening {
    Down(usize, SocketAddr, Rc<[u8]>),
    Up(SocketAddr, Rc<[u8]>),
    Finished(usize, u32, Task),
    Start(usize),
    Outage(usize, usize),
    SenderCrash,
    SenderReturn,
    Interrupt,
}

/// Whose turn is next.
#[derive(Debug)]
enum Next {
    Happening,
    Sender,
    Insider,
    Host(usize),
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Mutant, codec: Codec) -> Self {
        let (mut dice, mut identity_dice) = (Dice::new(seed), Dice::new(seed ^ IDENTITIES));
        let plan = Plan::draw(&mut dice, &mut identity_dice, &mut Dice::new(seed ^ ROADS));
        Self::of(plan, dice, &mut identity_dice, mutant, codec)
    }

    /// Returns a push without a fault, beside this machine.
    pub(crate) fn quiet(seed: u64, neighbour: Neighbour, codec: Codec) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw_quiet(&mut dice, neighbour);
        Self::of(plan, dice, &mut Dice::new(seed ^ IDENTITIES), Mutant::None, codec)
    }

    fn of(plan: Plan, mut dice: Dice, identity_dice: &mut Dice, mutant: Mutant, codec: Codec) -> Self {
        let object = Object::draw(&mut dice, &plan.object);
        let mut counts = Counts::default();
        let hosts: Vec<Host> = plan
            .hosts
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let starts = &plan.identities.hosts[number].starts;
                Host::new(number, host, starts, &object, &mut dice, &mut counts)
            })
            .collect();
        let mut world = Self {
            object,
            mutant,
            now: Moment::default(),
            sender: None,
            sender_away: false,
            session: SessionId([0; 16]),
            sessions: Vec::new(),
            beside: Beside { time: Duration::ZERO, symbols: 0 },
            done: BTreeSet::new(),
            known: plan.identities.known.clone(),
            hosts,
            receivers: BTreeMap::new(),
            diverted: BTreeMap::new(),
            insider: plan.identities.insider.as_ref().map(|plan| Insider::new(plan, identity_dice.number())),
            racks: plan
                .road
                .racks
                .map(|racks| Racks::new(racks, plan.hosts.len(), Dice::new(dice.clone().number() ^ ROADS))),
            poll: NO_POLL,
            due: BinaryHeap::new(),
            happenings: Vec::new(),
            free: Vec::new(),
            ordered: 0,
            oracle: Oracle::default(),
            counts,
            dice,
            codec,
            ended: None,
            standing: 0,
            is_told: false,
            plan,
        };
        world.prepare();
        world
    }

    /// What the hosts had of the push.
    pub(crate) fn beside(&self) -> Beside {
        self.beside
    }

    /// Returns the counts, and the codec with its caches for the next run.
    pub(crate) fn into_parts(self) -> (Counts, Codec) {
        (self.counts, self.codec)
    }

    /// The plan, to be printed with a failure.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs until the push has ended and every host is idle.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        while !self.is_over() {
            self.step().map_err(|what| Violation { at: self.now, what })?;
        }
        let end = self.hosts.iter().try_for_each(|host| check_disk(&self.plan, &self.object, host));
        end.map_err(|what| Violation { at: self.now, what })
    }

    /// Runs until every host holds the object and the sender knows, whatever a hostile machine still asks for.
    pub(crate) fn run_until_all_are_done(&mut self) -> Result<(), Violation> {
        while (self.done.len() < self.hosts.len()
            || self.hosts.iter().any(|host| !host.disk.holds(&self.object)))
            && !self.is_over()
        {
            self.step().map_err(|what| Violation { at: self.now, what })?;
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.begin_push();
        let plan = self.plan.clone();
        for (number, host) in plan.hosts.iter().enumerate() {
            if !host.start.is_zero() {
                self.counts.note(Fault::LateStart);
            }
            self.happen(at(host.start), Happening::Start(number));
            for (outage, at) in host.outages.iter().enumerate().map(|(n, outage)| (n, outage.at)) {
                self.happen(Moment::default() + at, Happening::Outage(number, outage));
            }
        }
        if let Some((crash, _)) = plan.sender_crash {
            self.happen(at(crash), Happening::SenderCrash);
        }
        if let Some(interrupted) = plan.interrupted {
            self.happen(at(interrupted), Happening::Interrupt);
        }
        if plan.one_way.is_some() {
            self.counts.note(Fault::OneWay);
        }
        if plan.with_base {
            self.counts.note(Fault::WithBase);
        }
        if plan.signed {
            self.counts.note(Fault::Signed);
        }
        let refusing = plan.hosts.iter().filter(|host| !host.lists.accepts(plan.signed)).count();
        self.counts.note_times(Fault::Refused, refusing as u64);
        plan.identities.note(&plan, &mut self.counts);
        plan.road.note(plan.hosts.len(), &mut self.counts);
        if plan.timeout < plan.calm {
            self.counts.note(Fault::ShortTimeout);
        }
    }

    fn begin_push(&mut self) {
        self.session = SessionId(self.dice.bytes());
        self.sessions.push(self.session);
        self.oracle.begin_push();
        let known = self.known_as_taken();
        let config = pusher::config(&self.plan, &self.object, self.session, self.expected(), known, self.now);
        self.sender = Some(Pusher::new(self.now, self.session, config, &self.plan));
        self.ended = None;
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() && !self.sender_away && self.hosts.iter().all(Host::is_idle)
    }

    fn step(&mut self) -> Result<(), String> {
        let (when, next) = self.next().ok_or("nothing will ever happen again")?;
        self.standing = if when > self.now { 0 } else { self.standing + 1 };
        if self.standing > STANDING_MAX {
            return Err(format!("time does not pass while it is the turn of {next:?}"));
        }
        self.now = self.now.max(when);
        self.check_time()?;
        match next {
            Next::Sender => self.turn_sender(None),
            Next::Insider => self.turn_insider(),
            Next::Host(number) => self.turn_host(number),
            Next::Happening => {
                let Reverse((_, _, slot)) = self.due.pop().expect("it was just seen");
                let happening = self.happenings[slot].take().expect("put there with it");
                self.free.push(slot);
                self.let_happen(happening)
            }
        }
    }

    fn next(&self) -> Option<(Moment, Next)> {
        let mut next = self.due.peek().map(|&Reverse((at, _, _))| (at, Next::Happening));
        let mut consider = |wake: Option<Moment>, who: Next| {
            if let Some(at) = wake
                && next.as_ref().is_none_or(|&(earliest, _)| at < earliest)
            {
                next = Some((at, who));
            }
        };
        consider(self.sender.as_ref().and_then(|sender| sender.wake), Next::Sender);
        consider(self.insider.as_ref().and_then(|insider| insider.wake), Next::Insider);
        self.hosts.iter().enumerate().for_each(|(number, host)| consider(host.wake, Next::Host(number)));
        next
    }

    /// Checks that the push ends by its timeout, and every host soon after it.
    fn check_time(&self) -> Result<(), String> {
        let away = self.plan.sender_crash.map_or(Duration::ZERO, |(at, away)| at + away);
        // The last words of a push may wait for the sender's own network.
        let outage = if self.plan.road.away.is_empty() { Duration::ZERO } else { END_OUTAGE_MAX };
        let latest = at(away + self.plan.timeout + END_WITHIN + outage);
        if self.ended.is_none() && !self.sender_away && self.now > latest {
            return Err("the push does not end".into());
        }
        if self.ended.is_some_and(|ended| self.now.since(ended.max(at(self.plan.calm))) > IDLE_WITHIN) {
            return Err("a host does not end its session".into());
        }
        Ok(())
    }

    fn let_happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Down(number, from, datagram) => {
                let datagram = self.alter_down(number, datagram);
                self.with_host(number, |host, shared| host.hear(shared, from, datagram));
                self.turn_host(number)
            }
            Happening::Up(from, datagram) => self.hear(from, &datagram, Honesty::Genuine),
            Happening::Finished(number, life, task) => {
                self.with_host(number, |host, shared| host.finish(shared, life, task));
                check_disk(&self.plan, &self.object, &self.hosts[number])?;
                self.turn_host(number)
            }
            Happening::Start(number) => {
                if self.hosts[number].is_up() {
                    return Ok(());
                }
                if self.hosts[number].life() > 0 {
                    self.counts.note(Fault::Restarted);
                }
                self.tell(|| format!("compute-{number}: starts"));
                self.with_host(number, Host::start);
                self.turn_host(number)
            }
            Happening::Outage(number, outage) => self.take_away(number, outage),
            Happening::SenderCrash => {
                if self.sender.take().is_some() {
                    self.tell(|| "sender: crashes".to_owned());
                    self.counts.note(Fault::SenderCrashed);
                    self.sender_away = true;
                    let away = self.plan.sender_crash.map_or(Duration::ZERO, |(_, away)| away);
                    self.happen(self.now + away, Happening::SenderReturn);
                }
                Ok(())
            }
            Happening::SenderReturn => {
                self.sender_away = false;
                if self.plan.identities.loses_known && !self.known.keys.is_empty() {
                    self.counts.note(Fault::KnownLost);
                    self.known.keys.clear();
                }
                self.tell(|| "sender: comes back".to_owned());
                self.begin_push();
                Ok(())
            }
            Happening::Interrupt => {
                if let Some(sender) = &mut self.sender {
                    self.counts.note(Fault::Interrupted);
                    sender.machine.handle_abort(sender.time(self.now), "interrupted");
                    return self.turn_sender(None);
                }
                Ok(())
            }
        }
    }

    fn take_away(&mut self, number: usize, outage: usize) -> Result<(), String> {
        let outage = self.plan.hosts[number].outages[outage];
        self.tell(|| format!("compute-{number}: {outage:?}"));
        if !self.hosts[number].is_up() {
            return Ok(());
        }
        match outage.back_after {
            // A host that is stopped has a moment to notify the sender.
            Some(back_after) => {
                self.happen(self.now + back_after.max(STOPPING), Happening::Start(number));
            }
            None => self.counts.note(Fault::GoneForGood),
        }
        match outage.how {
            Leaving::Stop if outage.back_after.is_none() => {
                self.counts.note(Fault::Stopped);
                self.hosts[number].stop(self.now);
                self.turn_host(number)
            }
            Leaving::Stop => {
                self.counts.note(Fault::Stopped);
                self.hosts[number].stop(self.now);
                self.turn_host(number)?;
                self.with_host(number, |host, shared| host.crash(outage.how, shared));
                check_disk(&self.plan, &self.object, &self.hosts[number])
            }
            Leaving::Crash | Leaving::PowerLoss | Leaving::CrashAndLose => {
                self.counts.note(match outage.how {
                    Leaving::PowerLoss => Fault::PowerLost,
                    Leaving::Crash | Leaving::CrashAndLose | Leaving::Stop => Fault::Crashed,
                });
                self.with_host(number, |host, shared| host.crash(outage.how, shared));
                check_disk(&self.plan, &self.object, &self.hosts[number])
            }
        }
    }

    /// Delivers a datagram to the sender, which must acknowledge at once whatever it accepts, reports excepted.
    fn hear(&mut self, from: SocketAddr, datagram: &[u8], honesty: Honesty) -> Result<(), String> {
        let own_budget = honesty == Honesty::Genuine && self.has_its_own_budget(from);
        let altered = self.alter_forged(datagram, honesty);
        let datagram = altered.as_deref().unwrap_or(datagram);
        let Some(sender) = &mut self.sender else { return Ok(()) };
        if sender.is_deaf(self.now) {
            self.counts.note(Fault::CutOff);
            return Ok(());
        }
        sender.left_out.extend(self.mutant.skips(self.session, self.object.geometry, datagram));
        let result = sender.machine.handle_datagram(sender.time(self.now), from, datagram);
        if result == Err(Discard::OverBudget) && own_budget {
            return Err(format!("the sender refused what {from} said as too much"));
        }
        let taken = result.is_ok();
        if self.plan.with_base && taken {
            if honesty == Honesty::Forged {
                // It takes part under a key that is not opened here, and may ask for anything.
                sender.asked.extend(self.object.geometry.indices());
            }
            sender.asked.extend(asked_for(self.session, self.object.geometry, datagram));
        }
        let word = [Kind::Hello, Kind::Done, Kind::Failed].iter().any(|&kind| datagram[1] == kind as u8);
        self.turn_sender((taken && word && honesty == Honesty::Genuine).then_some(from))
    }

    fn turn_sender(&mut self, owed: Option<SocketAddr>) -> Result<(), String> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let turn = sender.turn(self.now, &self.object, &mut self.codec, self.mutant);
        if let Some(broken) = turn.broken {
            return Err(broken);
        }
        if turn.is_back {
            self.counts.note(Fault::SenderOutage);
        }
        if let Some(host) = owed
            && !turn.sent.iter().any(|sent| sent.kind == Kind::Ack && sent.to == Some(host))
        {
            return Err(format!("the word of {host} was taken and not acknowledged"));
        }
        for event in turn.events {
            self.tell(|| format!("sender: {event:?}"));
            self.note_event(&event)?;
        }
        for sent in turn.sent {
            if sent.to.is_none() {
                self.overhear_sender(&sent.bytes);
            }
            self.carry_down(&sent);
        }
        self.end_push()
    }

    fn note_event(&mut self, event: &SenderEvent) -> Result<(), String> {
        match event {
            SenderEvent::Done(name) | SenderEvent::Failed(name, _) => {
                self.note_done(event);
                let rows = self.sender.as_ref().map(|sender| sender.machine.rows()).unwrap_or_default();
                let rows: Vec<HostRow> = rows.into_iter().filter(|row| row.name == *name).collect();
                self.check_rows(&rows)?;
                self.counts.note_times(Fault::FailedStays, self.oracle.note_failures(&rows));
            }
            SenderEvent::Joined(_) => {
                let rows = self.sender.as_ref().map(|sender| sender.machine.rows()).unwrap_or_default();
                self.oracle.note_joined(&rows);
            }
            SenderEvent::Silent(_) => self.counts.note(Fault::Silent),
            SenderEvent::Sidelined(..) => self.counts.note(Fault::Sidelined),
            SenderEvent::OtherVersion(..) if self.insider.is_none() => {
                return Err("a host is called one of another version".to_owned());
            }
            SenderEvent::OtherVersion(..) | SenderEvent::OtherKey(_) | SenderEvent::FirstUse(..) => {}
            SenderEvent::Relaying(_) | SenderEvent::RelayLost { .. } => {}
            SenderEvent::Unheard { .. } | SenderEvent::Deaf(_) => {}
            SenderEvent::KeyChanged(name, key) | SenderEvent::UnknownKey(name, key) => {
                self.check_claim(name, *key)?;
            }
        }
        Ok(())
    }

    fn check_rows(&self, rows: &[HostRow]) -> Result<(), String> {
        let seen = Seen { plan: &self.plan, object: &self.object, hosts: &self.hosts, known: &self.known };
        check_rows(&seen, self.session, rows)
    }

    fn end_push(&mut self) -> Result<(), String> {
        if self.sender.as_ref().is_none_or(|sender| !sender.machine.is_finished() && !sender.is_given_up) {
            return Ok(());
        }
        let sender = self.sender.take().expect("just seen");
        let verdict = sender.machine.verdict().expect("finished").clone();
        self.counts.note(match verdict {
            Verdict::Complete => Fault::Complete,
            Verdict::Incomplete => Fault::Incomplete,
            Verdict::Unknown => Fault::Unknown,
            Verdict::GivenUp(_) => Fault::GivenUp,
            Verdict::Aborted(_) => Fault::Aborted,
        });
        if self.plan.source_wrong {
            self.counts.note(Fault::SourceWrong);
        }
        self.counts.note_times(Fault::LastOne, sender.unicast);
        self.counts.note_times(Fault::Skipped, u64::from(sender.machine.blocks_skipped()));
        self.counts.note_times(Fault::Cut, sender.cut);
        self.counts.note_times(Fault::Again, sender.symbols.saturating_sub(self.plan.object.symbols()));
        self.ended = Some(self.now);
        self.tell(|| format!("sender: ends: {verdict:?}"));
        let mut rows = sender.machine.rows();
        self.mutant.forget_failures(&mut rows);
        self.check_rows(&rows)?;
        self.oracle.check_failures(&self.plan, &rows, &verdict)?;
        self.oracle.remember(&mut self.known);
        let ended = Ended { at: self.now, session: self.session, verdict, rows };
        self.counts.note_times(Fault::TwoCopies, self.copies_that_hold());
        check_end(&self.plan, &self.object, &self.hosts, &ended)
    }

    fn turn_host(&mut self, number: usize) -> Result<(), String> {
        let turn = self.with_host(number, |host, shared| host.turn(shared));
        if let Some(broken) = turn.broken {
            return Err(broken);
        }
        if self.hosts_hear_their_sender_alone() && self.hosts[number].has_refused_too_much() {
            return Err(format!("compute-{number} refused what its sender said as too much"));
        }
        for event in &turn.events {
            self.tell(|| format!("compute-{number}: {}", brief(event)));
        }
        let life = self.hosts[number].life();
        for (time, task) in turn.tasks {
            self.happen(self.now + time, Happening::Finished(number, life, task));
        }
        for (to, mut datagram) in turn.said {
            self.note_receiver(number, &datagram);
            let to = self.diverted(number, to);
            self.check_destination(number, to, &datagram)?;
            if datagram[1] == Kind::Report as u8 {
                self.oracle.note_report(self.now, self.hosts.len())?;
                self.hosts[number].check_report(&datagram)?;
            }
            self.mutant.alter_up(self.session, self.object.geometry, &mut datagram);
            let (from, datagram) = (self.hosts[number].address, datagram.into());
            if self.overhear_host(number, to, &datagram) {
                for (at, datagram) in self.carry(number, Way::Up, &datagram) {
                    self.happen(at, Happening::Up(from, datagram));
                }
            }
        }
        Ok(())
    }

    fn carry_down(&mut self, sent: &Sent) {
        let is_calm = self.now >= at(self.plan.calm);
        if let Some(racks) = self.racks.as_mut().filter(|_| !is_calm) {
            racks.draw();
        }
        for number in 0..self.hosts.len() {
            if sent.to.is_none_or(|to| to == self.hosts[number].address) {
                if !is_calm && self.racks.as_ref().is_some_and(|racks| racks.lose(number)) {
                    self.counts.note(Fault::LostInRack);
                    continue;
                }
                for (at, datagram) in self.carry(number, Way::Down, &sent.bytes) {
                    self.happen(at, Happening::Down(number, SENDER, datagram));
                }
            }
        }
    }

    /// Returns the copies of a datagram that leave a host's path, with their times.
    fn carry(&mut self, number: usize, way: Way, datagram: &Rc<[u8]>) -> Vec<(Moment, Rc<[u8]>)> {
        let elapsed = self.now.since(Moment::default());
        let time = (elapsed, elapsed >= self.plan.calm);
        let path = &mut self.hosts[number].path;
        let arrivals = path.carry(&mut self.dice, &mut self.counts, time, way, datagram.len());
        let mut copies = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let mut copy = Rc::clone(datagram);
            if arrival.damaged {
                let mut bytes = datagram.to_vec();
                let at = self.dice.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.dice.below(8);
                copy = bytes.into();
            }
            copies.push((self.now + arrival.after, copy));
        }
        copies
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{} {}", self.now, what());
        }
    }

    fn happen(&mut self, at: Moment, happening: Happening) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            self.happenings.len() - 1
        });
        self.happenings[slot] = Some(happening);
        self.ordered += 1;
        self.due.push(Reverse((at, self.ordered, slot)));
    }

    fn with_host<T>(&mut self, number: usize, work: impl FnOnce(&mut Host, &mut Shared<'_>) -> T) -> T {
        let mut shared = host::Shared {
            now: self.now,
            object: &self.object,
            dice: &mut self.dice,
            counts: &mut self.counts,
            codec: &mut self.codec,
            mutant: self.mutant,
            sessions: &self.sessions,
            meant: (self.plan.expecting == Expecting::Names).then_some(&self.plan.identities.meant),
            signed: self.plan.signed,
        };
        work(&mut self.hosts[number], &mut shared)
    }
}

/// Nothing was polled yet.
const NO_POLL: Poll = Poll {
    round: 0,
    blocks_sent: 0,
    manifest_sent: 0,
    window: Duration::ZERO,
    slots: 1,
    part: Part::ALL,
    root: None,
};

/// Separates the draws of the roads from all others of a seed.
const ROADS: u64 = 0x40_AD5E_4B17;
/// Separates the draws of who the hosts are from all others of a seed.
const IDENTITIES: u64 = 0x1D_E471_71E5;

fn brief(event: &ReceiverEvent) -> String {
    match event {
        ReceiverEvent::Joined(announce) => format!("joins {:?}", announce.session),
        other => format!("{other:?}"),
    }
}

fn at(time: Duration) -> Moment {
    Moment::default() + time
}

/// More than timers or a burst of datagrams need at one time.
const STANDING_MAX: u32 = 50_000;
/// From a push's timeout to its last datagram.
const END_WITHIN: Duration = Duration::from_secs(2);
/// From the end of a push: a host forgets a sender after 30 s, completes slow work, repeats its final report for 15 s.
const IDLE_WITHIN: Duration = Duration::from_secs(90);
/// How long a host needs to notify the sender of its stop.
const STOPPING: Duration = Duration::from_millis(1);
