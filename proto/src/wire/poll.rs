//! The poll: asks hosts for reports and tells how far the push is.
//!
//! ```text
//!   0  10       header, kind 4                                clear, signed
//!  10   4       round                                         sealed, signed
//!  14   4       blocks sent
//!  18   4       manifest entries sent
//!  22   4       window in microseconds, with those of all parts <= 2 min
//!  26   4       slots, > 0
//!  30   2       number of parts p, 1 to the number of slots
//!  32   2       the part that is asked, < p
//!  34   1 | 33  0: not proven yet | 1, then the root
//!   +  64       signature                                     sealed, where the session is signed
//!   +  16       tag
//! ```

use std::time::Duration;

use super::bytes::{Reader, Writer, choice, fields};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::Root;
use crate::limits::{CONTROL_SMALL, FEEDBACK_CYCLE_MAX};

/// Asks hosts for reports and tells how far the push is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Counted up; a host answers each round once.
    pub round: u32,
    /// The first pass has sent all symbols of all blocks below this one.
    pub blocks_sent: u32,
    /// All manifest entries below this block were sent.
    pub manifest_sent: u32,
    /// Time over which the hosts that are asked spread their reports.
    pub window: Duration,
    /// Number of slots that all hosts share: one whose slot is `n` has the place `n % slots` among them.
    pub slots: u32,
    /// The hosts that are asked.
    pub part: Part,
    /// Set once the source was read to its end and proven: the object may be published under this root.
    pub root: Option<Root>,
}

/// The hosts that a poll asks: those whose place has the remainder `number` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The remainder; below `of`.
    pub number: u16,
    /// The number of parts, at least 1 and at most the number of slots.
    pub of: u16,
}

impl Part {
    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let (of, number) = (body.u16()?, body.u16()?);
        if number < of { Ok(Self { number, of }) } else { Err(Discard::Malformed) }
    }

    /// All hosts.
    pub const ALL: Self = Self { number: 0, of: 1 };

    /// Returns how long after the poll a host of this slot answers, if it is asked. The `slots` share the window.
    pub(crate) fn turn(self, slot: u32, slots: u32, window: Duration) -> Option<Duration> {
        let (place, of) = (slot % slots, u32::from(self.of));
        let turn = || window.mul_f64(f64::from(place / of) / f64::from(slots.div_ceil(of)));
        (place % of == u32::from(self.number)).then(turn)
    }
}

impl Poll {
    /// Returns how long after this poll a host of this slot answers, if it is asked.
    pub fn turn(&self, slot: u32) -> Option<Duration> {
        self.part.turn(slot, self.slots, self.window)
    }

    /// The time in which all hosts answer in turn, part by part.
    pub fn cycle(&self) -> Duration {
        self.window * u32::from(self.part.of)
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u32(self.round);
        out.u32(self.blocks_sent);
        out.u32(self.manifest_sent);
        out.u32(u32::try_from(self.window.as_micros()).unwrap_or(u32::MAX));
        out.u32(self.slots);
        out.u16(self.part.of);
        out.u16(self.part.number);
        out.bool(self.root.is_some());
        self.root.iter().for_each(|root| out.bytes(&root.0));
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let poll = Self {
            round: body.u32()?,
            blocks_sent: body.u32()?,
            manifest_sent: body.u32()?,
            window: Duration::from_micros(u64::from(body.u32()?)),
            slots: body.u32()?,
            part: Part::parse(body)?,
            root: if body.bool()? { Some(Root(body.array()?)) } else { None },
        };
        let possible = poll.blocks_sent <= geometry.blocks()
            && poll.manifest_sent <= geometry.blocks()
            && poll.slots > 0
            && poll.slots >= u32::from(poll.part.of)
            && poll.cycle() <= FEEDBACK_CYCLE_MAX;
        if possible { Ok(poll) } else { Err(Discard::Malformed) }
    }
}

fields! {
    Body {
        ROUND: 4,
        BLOCKS_SENT: BlockIndex::BYTES,
        MANIFEST_SENT: BlockIndex::BYTES,
        WINDOW: 4,
        SLOTS: 4,
        PARTS: 2,
        PART: 2,
        ROOT: choice(Root::BYTES),
    }
}

/// The longest poll.
pub(super) const ROOM: usize = sealed_signed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a poll fits every path");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_is_asked_in_one_part_and_has_a_turn_of_its_own() {
        let window = Duration::from_micros(10_000);
        for (slots, of) in [(1, 1), (7, 2), (100, 16), (16, 16), (1_000, 13)] {
            let mut asked = vec![0; slots as usize];
            for number in 0..of {
                let part = Part { number, of };
                let turns: Vec<_> =
                    (0..slots).filter_map(|slot| Some((slot, part.turn(slot, slots, window)?))).collect();
                turns.iter().for_each(|&(slot, _)| asked[slot as usize] += 1);
                assert!(
                    turns.windows(2).all(|two| two[0].1 < two[1].1)
                        && turns.iter().all(|turn| turn.1 < window)
                );
            }
            assert!(asked.iter().all(|&times| times == 1), "{slots} in {of} parts");
        }
    }

    #[test]
    fn the_parts_of_twice_as_many_parts_are_halves_of_the_same() {
        let window = Duration::from_millis(1);
        for slot in 0..500 {
            let (half, whole) = (Part { number: 5, of: 16 }, Part { number: 5, of: 8 });
            if half.turn(slot, 500, window).is_some() {
                assert!(whole.turn(slot, 300, window).is_some() || slot >= 300);
            }
        }
    }
}
