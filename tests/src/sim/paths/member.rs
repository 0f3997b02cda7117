//! One host: the real receiver, and a store that takes its time.

use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName};
use glancecast_proto::receiver::{
    Attempt, BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig, Returned, Work,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::Moment;
use zeroize::Zeroizing;

use super::{NEVER, hash};
use crate::sim::host::KEY;
use crate::sim::overhear;

/// One host.
pub(super) struct Member {
    pub(super) machine: Receiver,
    /// When it wants its next turn.
    pub(super) wake: Moment,
    starts: Moment,
    /// It has taken part, and the session is over.
    is_over: bool,
    has_joined: bool,
    /// The rate at which it writes, in bits per second; `None` is at once.
    store: Option<u64>,
    /// When the store has written all that it was given.
    store_free: Moment,
    /// Blocks in the store.
    in_store: u32,
}

/// A block that the store has written.
pub(super) struct Stored {
    attempt: Attempt,
    block: BlockIndex,
    returned: Returned,
    repaired: u32,
}

impl Member {
    pub(super) fn new(number: u32, store: Option<u64>, starts: Moment) -> Self {
        let bytes = number.to_be_bytes();
        let machine = Receiver::new(ReceiverConfig {
            name: HostName::new(&format!("compute-{number}")).expect("plain"),
            software: "simulated".into(),
            keys: vec![GroupKey::new(KEY)],
            host_key: SigningKey::from_seed(&Zeroizing::new(std::array::from_fn(|i| bytes[i % 4]))),
            secret: overhear::start_secret(),
            mtu: None,
            senders: Vec::new().into(),
            start: std::array::from_fn(|i| bytes[i % 4]),
            seed: std::array::from_fn(|i| bytes[i % 4] ^ 0x5A),
            buffer_bytes: BUFFER_BYTES,
            can_relay: false,
        });
        Self {
            machine,
            wake: NEVER,
            starts,
            is_over: false,
            has_joined: false,
            store,
            store_free: Moment::default(),
            in_store: 0,
        }
    }

    /// Whether it hears what is sent.
    pub(super) fn is_up(&self, now: Moment) -> bool {
        !self.is_over && now >= self.starts
    }

    /// Performs all pending work. Returns whether there was any besides blocks, and the blocks that go to the store with
    /// the time at which each is written.
    pub(super) fn work(&mut self, now: Moment, geometry: Geometry) -> (bool, Vec<(Moment, Stored)>) {
        let (mut more, mut stored) = (false, Vec::new());
        while let Some(effect) = self.machine.poll_effect(self.room()) {
            more |= !matches!(effect, Effect::Block(..));
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
                    let block = Stored { attempt, block, returned, repaired };
                    stored.extend(self.write(now, geometry, block));
                }
                Effect::Publish(attempt, ..) => {
                    self.machine.handle_published(now, attempt, Ok(Published::New));
                }
                Effect::Block(_, Work::Recheck { .. } | Work::Reuse { .. } | Work::Sift { .. }, ())
                | Effect::Compare(..)
                | Effect::LookThrough(..) => unreachable!("nothing exists here"),
                Effect::PutAway(..) => self.machine.handle_put_away(),
                Effect::Prepare(..) | Effect::Leave(_) => {}
            }
        }
        (more, stored)
    }

    fn room(&self) -> BlockRoom {
        if self.in_store < WORKERS { BlockRoom::Free } else { BlockRoom::Full }
    }

    /// Gives a block to the store; returns it with the time at which it is written, if that takes any.
    fn write(&mut self, now: Moment, geometry: Geometry, block: Stored) -> Option<(Moment, Stored)> {
        let Some(rate) = self.store else {
            self.in_store += 1;
            self.take_stored(now, block);
            return None;
        };
        let bits = 8 * u64::from(geometry.block_len(block.block));
        self.store_free = self.store_free.max(now) + Duration::from_secs_f64(bits as f64 / rate as f64);
        self.in_store += 1;
        Some((self.store_free, block))
    }

    /// Takes back a block that was written.
    pub(super) fn take_stored(&mut self, now: Moment, stored: Stored) {
        let Stored { attempt, block, returned, repaired } = stored;
        self.in_store -= 1;
        self.machine.handle_block(now, attempt, block, Some(returned), BlockOutcome::Written { repaired });
    }

    /// Returns the datagrams that are due, and when the host wants its next turn.
    pub(super) fn speak(&mut self, now: Moment, is_proven: bool) -> (Vec<Vec<u8>>, Moment) {
        let (mut out, mut said) = (Vec::new(), Vec::new());
        while self.machine.poll_transmit(now, &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        while self.machine.poll_event().is_some() {}
        let is_taking_part = self.machine.session().is_some();
        self.has_joined |= is_taking_part;
        self.is_over = is_proven && self.has_joined && !is_taking_part;
        (said, self.machine.poll_timeout().map_or(NEVER, |(at, _)| at))
    }
}

/// Blocks that are rebuilt and written at a time.
const WORKERS: u32 = 4;
/// The buffers of `glancecastd`.
const BUFFER_BYTES: usize = 96 << 20;
