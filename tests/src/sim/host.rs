//! A simulated host: the real machine in a shell like that of `glancecastd`. Its socket may be slow and its memory bad;
//! its disk outlives crashes.

mod work;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use glancecast_fec::Codec;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::{
    Admission, Attempt, BlockRoom, Effect, Leftover, Published, Receiver, ReceiverConfig, ReceiverEvent,
    Work, buffer_bytes,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::senders::Senders;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{Announce, Discard, Kind, SymbolHeader};

use super::dice::Dice;
use super::disk::Disk;
use super::faults::{Counts, Fault};
use super::identity::{Identity, host_key};
use super::mutant::Mutant;
use super::network::Path;
use super::object::{Object, hash};
use super::overhear::{self, asked_for};
use super::plan::{HostPlan, Leaving, Lists};
use super::pusher;

pub(crate) struct Host {
    pub(crate) plan: HostPlan,
    pub(crate) name: HostName,
    pub(crate) address: SocketAddr,
    pub(crate) path: Path,
    pub(crate) disk: Disk,
    /// Its identity at its first start, and at all later ones.
    identities: [Identity; 2],
    starts: usize,
    /// When it started last.
    pub(crate) up_since: Moment,
    /// `None` while the host is down.
    machine: Option<Receiver>,
    /// Incremented at each start, so that work of an earlier life is never reported to the machine.
    life: u32,
    active: Option<Active>,
    working: u32,
    publishing: bool,
    /// What happens to the unfinished file that is being put away.
    leftover: Option<Leftover>,
    /// Whether a flush of the journal is scheduled.
    flushing: bool,
    socket: VecDeque<(SocketAddr, Rc<[u8]>)>,
    read_at: Moment,
    drops: u64,
    pub(crate) wake: Option<Moment>,
    /// The session in which this life failed by a fault of its own.
    pub(crate) failed_in: Option<SessionId>,
    scratch: Vec<u8>,
}

/// The shell's state of a session.
struct Active {
    attempt: Attempt,
    session: SessionId,
    /// The buffers, each only as long as was used so far; `None` while a worker has it.
    pool: Vec<Option<Vec<u8>>>,
    buffer_bytes: usize,
    symbol_size: usize,
    geometry: Geometry,
    /// Correct blocks that were kept from an earlier session or lie in the base, as far as the host could know. No
    /// report may ask for them, even before the store has listed them. A file that is still being put away adds none.
    right: BTreeSet<BlockIndex>,
}

/// Work that takes a host some time.
pub(crate) enum Task {
    Open(Attempt),
    LookThroughBase(Attempt),
    PutAway,
    Flush,
    Block(Attempt, Work, Option<Vec<u8>>),
    Publish(Attempt),
    Compare(Attempt, Root),
}

/// The outcome of a host's turn.
#[derive(Default)]
pub(crate) struct Turn {
    /// Datagrams to send, with their destinations.
    pub(crate) said: Vec<(SocketAddr, Vec<u8>)>,
    /// Work, and how long it takes.
    pub(crate) tasks: Vec<(Duration, Task)>,
    pub(crate) events: Vec<ReceiverEvent>,
    /// A limit that was exceeded.
    pub(crate) broken: Option<String>,
}

/// State that all hosts of a world share.
pub(crate) struct Shared<'a> {
    pub(crate) now: Moment,
    pub(crate) object: &'a Object,
    pub(crate) dice: &'a mut Dice,
    pub(crate) counts: &'a mut Counts,
    pub(crate) codec: &'a mut Codec,
    pub(crate) mutant: Mutant,
    /// The sessions that the sender has begun, and the names that they are for; all hosts if there are none.
    pub(crate) sessions: &'a [SessionId],
    pub(crate) meant: Option<&'a BTreeSet<HostName>>,
    pub(crate) signed: bool,
}

impl Host {
    pub(crate) fn new(
        number: usize,
        plan: &HostPlan,
        identities: &[Identity; 2],
        object: &Object,
        dice: &mut Dice,
        counts: &mut Counts,
    ) -> Self {
        Self {
            plan: plan.clone(),
            name: identities[0].name.clone(),
            identities: identities.clone(),
            starts: 0,
            up_since: Moment::default(),
            address: ([10, 0, 1, number as u8], 40_000).into(),
            path: Path::new(&plan.weather),
            disk: Disk::new(&plan.disk, object, dice, counts),
            machine: None,
            life: 0,
            active: None,
            working: 0,
            publishing: false,
            leftover: None,
            flushing: false,
            socket: VecDeque::new(),
            read_at: Moment::default(),
            drops: 0,
            wake: None,
            failed_in: None,
            scratch: vec![0; usize::from(object.geometry.symbol_size())],
        }
    }

    pub(crate) fn start(&mut self, shared: &mut Shared<'_>) {
        assert!(self.machine.is_none());
        self.life += 1;
        self.starts += 1;
        self.up_since = shared.now;
        self.failed_in = None;
        if self.starts > 1 {
            self.disk.mend();
        }
        let identity = self.identity().clone();
        self.name = identity.name;
        self.machine = Some(Receiver::new(ReceiverConfig {
            name: self.name.clone(),
            software: "simulated".into(),
            keys: vec![GroupKey::new(if identity.in_group { KEY } else { OTHER_KEY })],
            host_key: host_key(&identity.key),
            secret: overhear::start_secret(),
            mtu: None,
            senders: match self.plan.lists {
                Lists::Nobody => Senders::any(),
                Lists::Ours => vec![pusher::signing_key().public()].into(),
                Lists::Another => vec![pusher::other_key().public()].into(),
            },
            start: shared.dice.bytes(),
            seed: shared.dice.bytes(),
            buffer_bytes: self.plan.buffer_bytes,
            can_relay: false,
        }));
        self.wake = Some(shared.now);
    }

    /// Takes the host down without notice.
    pub(crate) fn crash(&mut self, how: Leaving, shared: &mut Shared<'_>) {
        if self.publishing {
            shared.counts.note(Fault::CrashedAtPublish);
            if shared.dice.chance(0.5) {
                let _ = self.disk.publish(shared.counts);
            }
        }
        // A host that is stopped puts its file away first.
        if let Some(leftover) = self.leftover.take().filter(|_| how == Leaving::Stop) {
            self.put_away(shared, leftover);
        }
        self.disk.crash(how, shared.dice, shared.counts);
        self.machine = None;
        self.active = None;
        self.working = 0;
        self.publishing = false;
        self.flushing = false;
        self.socket.clear();
        self.drops = 0;
        self.wake = None;
        self.life += 1;
    }

    /// Who it is at this start.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identities[self.starts.saturating_sub(1).min(1)]
    }

    /// Whether a push of the sender is for this start, and accepted by it: no other may write to its disk.
    fn may_write(&self, shared: &Shared<'_>) -> bool {
        self.identity().in_group
            && self.plan.lists.accepts(shared.signed)
            && shared.meant.is_none_or(|meant| meant.contains(&self.name))
    }

    fn put_away(&mut self, shared: &mut Shared<'_>, leftover: Leftover) {
        if leftover == Leftover::Kept {
            shared.counts.note(Fault::PutAway);
        }
        self.disk.put_away(leftover);
    }

    pub(crate) fn stop(&mut self, now: Moment) {
        if let Some(machine) = &mut self.machine {
            machine.handle_stop(now);
        }
        self.wake = Some(now);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// The session that the host takes part in.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.machine.as_ref().and_then(Receiver::session).map(|announce| announce.session)
    }

    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// Whether the host is in no session and has no work.
    pub(crate) fn is_idle(&self) -> bool {
        self.working == 0 && self.machine.as_ref().is_none_or(|machine| machine.session().is_none())
    }

    /// Delivers a datagram to the host's socket.
    pub(crate) fn hear(&mut self, shared: &mut Shared<'_>, from: SocketAddr, datagram: Rc<[u8]>) {
        if self.machine.is_none() {
            return;
        }
        if self.plan.datagram_time.is_zero() {
            self.take(shared, from, &datagram);
        } else if self.socket.len() >= self.plan.socket {
            self.drops += 1;
            shared.counts.note(Fault::SocketFull);
        } else {
            if self.socket.is_empty() {
                self.read_at = shared.now + self.plan.datagram_time;
            }
            self.socket.push_back((from, datagram));
        }
    }

    /// Reads the socket, runs the machine's timers, and collects what it sends and starts.
    pub(crate) fn turn(&mut self, shared: &mut Shared<'_>) -> Turn {
        let mut turn = Turn::default();
        let now = shared.now;
        while !self.socket.is_empty() && self.read_at <= now {
            let (from, datagram) = self.socket.pop_front().expect("just seen");
            self.read_at = self.read_at + self.plan.datagram_time;
            let drops = self.drops;
            self.machine().note_socket_drops(drops);
            self.take(shared, from, &datagram);
        }
        let Some(machine) = &mut self.machine else { return turn };
        machine.handle_timeout(now);
        self.perform_effects(shared, &mut turn);
        if self.disk.has_noted() && !std::mem::replace(&mut self.flushing, true) {
            turn.tasks.push((self.plan.flush_after, Task::Flush));
        }
        let machine = self.machine.as_mut().expect("just seen");
        let mut out = Vec::new();
        while let Some(to) = machine.poll_transmit(now, &mut out) {
            turn.said.push((to, out.clone()));
            if turn.said.len() > SAID_MAX {
                turn.broken = Some("a host does not stop talking".into());
                break;
            }
        }
        while let Some(event) = machine.poll_event() {
            turn.events.push(event);
        }
        let reading = (!self.socket.is_empty()).then_some(self.read_at);
        self.wake = machine.poll_timeout().map(|(at, _)| at).into_iter().chain(reading).min();
        turn
    }

    fn machine(&mut self) -> &mut Receiver {
        self.machine.as_mut().expect("it is up")
    }

    /// Whether the machine has refused a datagram as beyond its budget: all senders here are honest.
    pub(crate) fn has_refused_too_much(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.discards().of(Discard::OverBudget) > 0)
    }

    /// Passes a datagram to the machine, as the receive loop of `glancecastd` does.
    fn take(&mut self, shared: &mut Shared<'_>, from: SocketAddr, datagram: &[u8]) {
        let now = shared.now;
        let machine = self.machine.as_mut().expect("it is up");
        if datagram.get(1) != Some(&(Kind::Symbol as u8)) {
            let wall = WallClock(WALL.0 + now.micros() / 1000);
            let _ = machine.handle_datagram(now, wall, from, datagram);
            return;
        }
        let Ok(header) = SymbolHeader::parse(datagram) else { return };
        let Ok(admission) = machine.admit(&header) else { return };
        let Some(cipher) = machine.cipher() else { return };
        let place = match (admission, &mut self.active) {
            (Admission::To(place), Some(active)) => {
                let pool = active.pool[usize::from(place.buffer.0)].as_mut().expect("not lent");
                let start = place.symbol as usize * active.symbol_size;
                let end = start + active.symbol_size;
                assert!(end <= active.buffer_bytes, "a place beyond its buffer");
                if pool.len() < end {
                    pool.resize(end, 0);
                }
                &mut pool[start..end]
            }
            (Admission::To(_), None) => return, // the buffers are still being prepared
            (Admission::Spare(_), _) => &mut self.scratch[..],
        };
        match (header.open(cipher, datagram, place), admission) {
            (Ok(_), Admission::To(place)) => machine.accept(now, &header, place, datagram.len()),
            (Ok(_), Admission::Spare(reason)) => {
                if reason == Discard::NoBuffer {
                    shared.counts.note(Fault::NoBuffer);
                }
                machine.note_spare(now, &header, datagram.len(), reason);
            }
            (Err(reason), _) => {
                machine.count_discard(reason);
            }
        }
    }

    fn perform_effects(&mut self, shared: &mut Shared<'_>, turn: &mut Turn) {
        while let Some(effect) = {
            let room = if self.working < WORK_MAX { BlockRoom::Free } else { BlockRoom::Full };
            self.machine().poll_effect(room)
        } {
            if matches!(effect, Effect::Open(..) | Effect::Block(..) | Effect::Publish(..))
                && !self.may_write(shared)
            {
                turn.broken =
                    Some(format!("{} writes, and the push is not for it or not accepted", self.name));
            }
            match effect {
                Effect::Prepare(attempt, announce, buffers) => {
                    turn.broken = turn.broken.take().or(self.prepare(shared, attempt, &announce, buffers));
                }
                Effect::Open(attempt, _) => self.begin(turn, self.plan.open_time, Task::Open(attempt)),
                Effect::LookThrough(attempt, _) => {
                    turn.tasks.push((self.plan.base_time, Task::LookThroughBase(attempt)));
                }
                Effect::Block(attempt, work, ()) => {
                    let bytes = self.lend(&work);
                    self.begin(turn, self.plan.block_time, Task::Block(attempt, work, bytes));
                }
                Effect::Publish(attempt, (), proof) => {
                    if proof.root() != shared.object.root {
                        turn.broken = Some("a proof of another root".into());
                    }
                    if shared.mutant == Mutant::SaysDoneEarly {
                        self.machine().handle_published(shared.now, attempt, Ok(Published::New));
                    }
                    let time = self.plan.block_time + shared.dice.time(Duration::from_millis(20));
                    self.begin(turn, time, Task::Publish(attempt));
                    self.publishing = true;
                }
                Effect::Compare(attempt, (), root) => {
                    self.begin(turn, self.plan.block_time * 3, Task::Compare(attempt, root));
                }
                Effect::Leave(attempt) => {
                    let left = self.active.take();
                    assert_eq!(left.map(|active| active.attempt), Some(attempt), "it was prepared");
                }
                Effect::PutAway((), leftover) => {
                    assert_eq!(self.leftover.replace(leftover), None, "one at a time");
                    self.begin(turn, self.plan.block_time, Task::PutAway);
                }
            }
        }
    }

    fn begin(&mut self, turn: &mut Turn, time: Duration, task: Task) {
        turn.tasks.push((time, task));
        self.working += 1;
    }

    /// Prepares the buffers of a session; returns what is wrong if the machine asks for more than its limit.
    fn prepare(
        &mut self,
        shared: &mut Shared<'_>,
        attempt: Attempt,
        announce: &Announce,
        buffers: u16,
    ) -> Option<String> {
        if !shared.sessions.contains(&announce.session) || announce.reply_to != SENDER {
            return Some(format!("{} takes part in what its sender has not announced", self.name));
        }
        let bytes = buffer_bytes(announce);
        self.active = Some(Active {
            attempt,
            session: announce.session,
            pool: vec![Some(Vec::new()); usize::from(buffers)],
            buffer_bytes: bytes,
            symbol_size: usize::from(announce.geometry.symbol_size()),
            geometry: announce.geometry,
            right: if self.leftover.is_some() { BTreeSet::new() } else { self.disk.right(shared.object) },
        });
        let allowed = self.plan.buffer_bytes.max(BUFFERS_MIN * bytes);
        (usize::from(buffers) * bytes > allowed)
            .then(|| format!("{buffers} buffers of {bytes} bytes where {allowed} bytes are allowed"))
    }

    /// Checks that a report asks for no block that the host had before the session.
    pub(crate) fn check_report(&self, datagram: &[u8]) -> Result<(), String> {
        let Some(active) = self.active.as_ref().filter(|active| !active.right.is_empty()) else {
            return Ok(());
        };
        let mut asked = asked_for(active.session, active.geometry, datagram);
        match asked.find(|block| active.right.contains(block)) {
            Some(block) => Err(format!("{} asks for block {block}, which it has", self.name)),
            None => Ok(()),
        }
    }

    fn lend(&mut self, work: &Work) -> Option<Vec<u8>> {
        match work {
            Work::Zero { .. } | Work::Recheck { .. } | Work::Reuse { .. } => None,
            Work::Rebuild { buffer, .. } | Work::Sift { buffer, .. } => {
                let active = self.active.as_mut().expect("work is of a session");
                active.pool[usize::from(buffer.0)].take()
            }
        }
    }
}

pub(crate) const KEY: [u8; 32] = [7; 32];
/// The key of another group.
const OTHER_KEY: [u8; 32] = [8; 32];
pub(crate) const WALL: WallClock = WallClock(1_700_000_000_000);
pub(crate) const SENDER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7167);

/// Blocks at the workers: as many as two workers can have queued.
pub(crate) const WORK_MAX: u32 = 4;
/// The machine's own minimum.
const BUFFERS_MIN: usize = 4;
/// Datagrams in one turn.
const SAID_MAX: usize = 100;
