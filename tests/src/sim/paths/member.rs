//! One host: the real receiver, and a store that takes its time. It reads the [stream](super::stream) of the sender up to
//! the present whenever something happens to it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName};
use glancecast_proto::receiver::{
    Attempt, BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig, Returned, Work,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::SymbolHeader;
use zeroize::Zeroizing;

use super::fabric::Fabric;
use super::stream::{Stream, What};
use super::{NEVER, hash};
use crate::sim::host::{KEY, SENDER, WALL};
use crate::sim::overhear;

/// One host.
pub(super) struct Member {
    pub(super) machine: Receiver,
    number: u32,
    /// When it wants its next turn.
    pub(super) wake: Moment,
    starts: Moment,
    /// It has taken part, and the session is over.
    is_over: bool,
    has_joined: bool,
    /// Whether it began any work for the push, and whether it has published.
    pub(super) is_touched: bool,
    pub(super) has_published: bool,
    /// The next entry of the stream.
    next: u64,
    /// Entries on their way to this host, where delays vary: arrival and number.
    under_way: BinaryHeap<Reverse<(Moment, u64)>>,
    /// When those of them arrive that are prompt.
    prompt: BinaryHeap<Reverse<Moment>>,
    /// The rate at which it writes, in bits per second; `None` is at once.
    store: Option<u64>,
    /// When the store has written all that it was given.
    store_free: Moment,
    /// Blocks in the store, with the time at which each is written.
    in_store: VecDeque<(Moment, Stored)>,
}

/// A block that was given to the store.
struct Stored {
    attempt: Attempt,
    block: BlockIndex,
    returned: Returned,
    repaired: u32,
}

/// What a member reads.
pub(super) struct Air<'a> {
    pub(super) stream: &'a Stream,
    pub(super) fabric: &'a mut Fabric,
    pub(super) geometry: Geometry,
}

impl Member {
    pub(super) fn new(number: u32, name: HostName, store: Option<u64>, starts: Moment) -> Self {
        let bytes = number.to_le_bytes();
        let machine = Receiver::new(ReceiverConfig {
            name,
            software: "simulated".into(),
            keys: vec![GroupKey::new(KEY)],
            host_key: SigningKey::from_seed(&Zeroizing::new(std::array::from_fn(|i| bytes[i % 4]))),
            secret: overhear::start_secret(),
            mtu: None,
            can_relay: false,
            senders: Vec::new().into(),
            start: std::array::from_fn(|i| bytes[i % 4]),
            seed: std::array::from_fn(|i| bytes[i % 4] ^ 0x5A),
            buffer_bytes: BUFFER_BYTES,
        });
        Self {
            machine,
            number,
            wake: NEVER,
            starts,
            is_over: false,
            has_joined: false,
            is_touched: false,
            has_published: false,
            next: 0,
            under_way: BinaryHeap::new(),
            prompt: BinaryHeap::new(),
            store,
            store_free: Moment::default(),
            in_store: VecDeque::new(),
        }
    }

    /// Whether it hears what arrives at `at`.
    pub(super) fn is_up(&self, at: Moment) -> bool {
        !self.is_over && at >= self.starts
    }

    /// The number of the first entry of the stream that it still needs.
    pub(super) fn needs_from(&self) -> u64 {
        if self.is_over {
            return u64::MAX;
        }
        self.under_way.iter().map(|&Reverse((_, number))| number).min().unwrap_or(self.next)
    }

    /// Reads what has arrived, and lets the store write, up to `now`. Returns whether it may have something to say.
    pub(super) fn catch_up(&mut self, now: Moment, air: &mut Air<'_>) -> bool {
        if self.is_over {
            return false;
        }
        let mut may_speak = false;
        if air.fabric.has_jitter() {
            self.let_out(now, air);
            while let Some(&Reverse((at, number))) = self.under_way.peek().filter(|due| due.0.0 <= now) {
                self.under_way.pop();
                may_speak |= self.read(at, number, air);
            }
            while self.prompt.peek().is_some_and(|&Reverse(at)| at <= now) {
                self.prompt.pop();
            }
        } else {
            while let Some(at) = air.stream.arrived(self.next, now).map(|entry| entry.at) {
                self.next += 1;
                may_speak |= self.read(at, self.next - 1, air);
            }
        }
        may_speak | self.write_until(now, air.geometry)
    }

    /// When something prompt arrives whose delay is drawn.
    pub(super) fn next_arrival(&self) -> Moment {
        self.prompt.peek().map_or(NEVER, |&Reverse(at)| at)
    }

    /// Draws the delays of what may have arrived by `now`.
    fn let_out(&mut self, now: Moment, air: &Air<'_>) {
        while let Some(entry) = air.stream.arrived(self.next, now) {
            let at = entry.at + air.fabric.jitter(self.number, self.next);
            self.under_way.push(Reverse((at, self.next)));
            if entry.is_prompt {
                self.prompt.push(Reverse(at));
            }
            self.next += 1;
        }
    }

    /// From now on everything is prompt.
    pub(super) fn make_prompt(&mut self) {
        self.prompt = self.under_way.iter().map(|&Reverse((at, _))| Reverse(at)).collect();
    }

    fn read(&mut self, at: Moment, number: u64, air: &mut Air<'_>) -> bool {
        if !self.is_up(at) {
            return false;
        }
        let entry = air.stream.get(number);
        match &entry.what {
            What::Symbols(first, count) => {
                let count = count - air.fabric.lost(self.number, number, *count);
                self.take_symbols(at, first, count, air.geometry)
            }
            What::Datagram(bytes) => {
                if air.fabric.lost(self.number, number, 1) > 0 {
                    return false;
                }
                let is_prompt = entry.is_prompt;
                self.take_datagram(at, bytes, air.geometry);
                is_prompt
            }
        }
    }

    /// Takes symbols in; returns whether it may have something to say.
    pub(super) fn take_symbols(
        &mut self,
        at: Moment,
        first: &SymbolHeader,
        count: u32,
        geometry: Geometry,
    ) -> bool {
        let wrote_last = self.write_until(at, geometry);
        self.machine.accept_run(at, first, count, geometry.datagram_bytes());
        self.work(at, geometry) | wrote_last
    }

    pub(super) fn take_datagram(&mut self, at: Moment, bytes: &[u8], geometry: Geometry) {
        self.write_until(at, geometry);
        let wall = WallClock(WALL.0 + at.micros() / 1000);
        let _ = self.machine.handle_datagram(at, wall, SENDER, bytes);
        self.work(at, geometry);
    }

    /// Performs all pending work. Returns whether there was any besides blocks.
    pub(super) fn work(&mut self, now: Moment, geometry: Geometry) -> bool {
        let mut more = false;
        while let Some(effect) = self.machine.poll_effect(self.room()) {
            more |= !matches!(effect, Effect::Block(..));
            self.is_touched = true;
            match effect {
                Effect::Open(attempt, _) => {
                    let opened = Opened::Unfinished { file: (), kept: Vec::new() };
                    self.machine.handle_opened(now, attempt, Ok(opened));
                }
                Effect::Block(attempt, Work::Zero { block }, ()) => {
                    self.machine.handle_block(now, attempt, block, None, BlockOutcome::Zeros(hash(block)));
                }
                Effect::Block(attempt, Work::Rebuild { block, buffer, collected, .. }, ()) => {
                    let repaired = collected.held().bound() - collected.held().count();
                    let returned = Returned { buffer, collected };
                    self.write(now, geometry, Stored { attempt, block, returned, repaired });
                }
                Effect::Publish(attempt, ..) => {
                    self.has_published = true;
                    self.machine.handle_published(now, attempt, Ok(Published::New));
                }
                Effect::Block(_, Work::Recheck { .. } | Work::Reuse { .. } | Work::Sift { .. }, ())
                | Effect::Compare(..)
                | Effect::LookThrough(..) => unreachable!("nothing exists here"),
                Effect::PutAway(..) => self.machine.handle_put_away(),
                Effect::Prepare(..) | Effect::Leave(_) => {}
            }
        }
        more
    }

    fn room(&self) -> BlockRoom {
        if self.in_store.len() < WORKERS { BlockRoom::Free } else { BlockRoom::Full }
    }

    /// Gives a block to the store.
    fn write(&mut self, now: Moment, geometry: Geometry, block: Stored) {
        let Some(rate) = self.store else { return self.take_stored(now, block) };
        let bits = 8 * u64::from(geometry.block_len(block.block));
        self.store_free = self.store_free.max(now) + Duration::from_secs_f64(bits as f64 / rate as f64);
        self.in_store.push_back((self.store_free, block));
    }

    /// Takes back the blocks that are written by `now`. Returns whether there may be something to say.
    fn write_until(&mut self, now: Moment, geometry: Geometry) -> bool {
        let mut more = false;
        while self.in_store.front().is_some_and(|&(at, _)| at <= now) {
            let (at, block) = self.in_store.pop_front().expect("just seen");
            self.take_stored(at, block);
            more |= self.work(at, geometry);
        }
        more
    }

    fn take_stored(&mut self, now: Moment, stored: Stored) {
        let Stored { attempt, block, returned, repaired } = stored;
        self.machine.handle_block(now, attempt, block, Some(returned), BlockOutcome::Written { repaired });
    }

    /// Runs the timers; adds the datagrams that are due to `said`. Returns when the host wants its next turn.
    pub(super) fn turn(
        &mut self,
        now: Moment,
        is_proven: bool,
        geometry: Geometry,
        said: &mut Vec<Vec<u8>>,
    ) -> Moment {
        self.machine.handle_timeout(now);
        self.work(now, geometry);
        let mut out = Vec::new();
        while self.machine.poll_transmit(now, &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        while self.machine.poll_event().is_some() {}
        let is_taking_part = self.machine.session().is_some();
        self.has_joined |= is_taking_part;
        self.is_over = is_proven && self.has_joined && !is_taking_part;
        if self.is_over {
            self.under_way.clear();
            self.prompt.clear();
        }
        let timer = self.machine.poll_timeout().map_or(NEVER, |(at, _)| at);
        // Only the last block of the object makes a host speak, and that cannot come before the source is proven.
        let written = self.in_store.front().filter(|_| is_proven).map_or(NEVER, |&(at, _)| at);
        timer.min(written).min(self.next_arrival())
    }
}

/// Blocks that are rebuilt and written at a time.
const WORKERS: usize = 4;
/// The buffers of `glancecastd`.
const BUFFER_BYTES: usize = 96 << 20;
