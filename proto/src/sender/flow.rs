//! Flow control: how far the sender may run ahead of the hosts' buffers.
//!
//! A host collects a block in a buffer until it is written. A block that finds no buffer is lost as a whole, and is sent
//! again as a whole. Where stores are slower than the line, sending faster than they write is therefore of no use.
//!
//! Each report says how many buffers are free, and up to which datagram the host has seen everything. So the host has
//! room for as many further blocks, counted from those that had been begun when that datagram was sent, and for those that
//! it has written since then: as many a second as it has written lately. The sender begins no block beyond what three
//! quarters of the hosts have room for; at a fixed rate, half of them. Repair symbols go to blocks that have a buffer, and
//! are not held back.
//!
//! A host may also wait for the sender with all its buffers: for blocks of which it says that it lacks everything, as what
//! it had was forged. So one that lacks something and has written nothing for a while has room for one block more.
//!
//! A host that has no room and writes nothing for [`STALLED_AFTER`], while others do, holds nobody back: its store has
//! failed, or it only says so.
//!
//! A host of whose buffers half are free is not limited by its store, so it holds nothing back. Without this rule a long
//! round trip would limit the rate, as more blocks are under way than a host has buffers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::Sequence;
use crate::time::Moment;
use crate::wire::Report;

/// What the sender has begun, and the bound on it.
pub(super) struct Flow {
    now: Moment,
    /// Blocks begun so far. One that is sent again as a whole counts again, as it needs a buffer again.
    begun: u64,
    /// The last [`STARTS_KEPT`] of them, the newest last.
    starts: VecDeque<Begun>,
    bound: Option<Window>,
}

/// What had been begun before a datagram was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The last datagram before it.
    before: Sequence,
    count: u64,
    at: Moment,
}

/// The room of one host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Blocks that may have been begun at `at`.
    until: f64,
    at: Moment,
    /// By how many blocks this grows in a second.
    growth: f64,
    /// It has written nothing for long.
    is_stalled: bool,
}

/// How fast one host writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drain {
    last: Option<(Moment, u32)>,
    /// Blocks in a second, smoothed.
    rate: f64,
    /// When it had last written something.
    wrote: Moment,
}

impl Flow {
    pub(super) fn new(now: Moment) -> Self {
        Self { now, begun: 0, starts: VecDeque::new(), bound: None }
    }

    pub(super) fn note_time(&mut self, now: Moment) {
        self.now = self.now.max(now);
    }

    /// Notes that a block is begun, and that datagrams up to `last` were sent before it.
    pub(super) fn note_begun(&mut self, last: Sequence) {
        if self.starts.len() == STARTS_KEPT {
            self.starts.pop_front();
        }
        self.starts.push_back(Begun { before: last, count: self.begun, at: self.now });
        self.begun += 1;
    }

    /// Returns what had been begun when the datagram `highest` was sent.
    pub(super) fn begun_before(&self, highest: Sequence) -> Begun {
        let later = self.starts.partition_point(|start| start.before < highest);
        let next = self.starts.get(later).copied();
        next.unwrap_or(Begun { before: highest, count: self.begun, at: self.now })
    }

    /// Binds the sender to the room of the hosts that count, if any is limited.
    pub(super) fn bind(&mut self, bound: Option<Window>) {
        self.bound = bound;
    }

    /// Whether the hosts have room for another block.
    pub(super) fn may_begin(&self) -> bool {
        self.bound.is_none_or(|bound| ((self.begun + 1) as f64) <= bound.at(self.now))
    }

    /// Returns when the hosts will have room for another block, if they do not have it yet and write at all.
    pub(super) fn next_at(&self) -> Option<Moment> {
        let bound = self.bound.filter(|bound| bound.growth > 0.0 && !self.may_begin())?;
        let missing = (self.begun + 1) as f64 - bound.until;
        let at = bound.at + Duration::from_secs_f64((missing / bound.growth).min(WAIT_MAX.as_secs_f64()));
        Some(at.max(self.now + WAIT_MIN))
    }
}

impl Window {
    /// Returns the room of a host that has sent this report; `None` if its store does not limit it. `begun` is what had
    /// been begun when the last datagram was sent that it has seen.
    pub(super) fn of(now: Moment, report: &Report, begun: Begun, drain: Drain) -> Option<Self> {
        let is_idle = 2 * u32::from(report.free) >= u32::from(report.buffers);
        let is_stuck = report.free == 0 && report.is_lacking() && now.since(drain.wrote) >= STUCK_AFTER;
        // A block that is begun a moment before a buffer becomes free is lost, and a full host has enough to write.
        let free = report.free.saturating_sub(report.buffers / RESERVED_OF);
        let until = begun.count as f64 + f64::from(free.max(u16::from(is_stuck)));
        let is_stalled = now.since(drain.wrote) >= STALLED_AFTER;
        (!is_idle).then_some(Self { until, at: begun.at, growth: drain.rate, is_stalled })
    }

    pub(super) fn at(self, now: Moment) -> f64 {
        self.until + self.growth * now.since(self.at).as_secs_f64()
    }
}

impl Drain {
    /// Notes that a host has written `held` blocks, by a report that came now.
    pub(super) fn note(&mut self, now: Moment, held: u32) {
        let Some((before, old)) = self.last else {
            (self.last, self.wrote) = (Some((now, held)), now);
            return;
        };
        if held > old {
            self.wrote = now;
        }
        let elapsed = now.since(before);
        if elapsed < DRAIN_OVER {
            return;
        }
        let rate = f64::from(held.saturating_sub(old)) / elapsed.as_secs_f64();
        self.rate = if self.rate > 0.0 { (self.rate + rate) / 2.0 } else { rate };
        self.last = Some((now, held));
    }
}

/// The room of the hosts that count: the least of those that have most, without the share `unheeded` of them that have
/// least. `windows` has one for each host.
pub(super) fn bound(now: Moment, mut windows: Vec<Option<Window>>, unheeded: f64) -> Option<Window> {
    let room = |window: &Option<Window>| window.map_or(f64::INFINITY, |window| window.at(now));
    let is_moving = |window: &Option<Window>| window.is_none_or(|window| !window.is_stalled);
    if MOVING_SHARE * windows.iter().filter(|window| is_moving(window)).count() >= windows.len() {
        windows.retain(is_moving);
    }
    let place = windows.len().checked_sub(1)? as f64 * (1.0 - unheeded);
    let (_, bound, _) = windows.select_nth_unstable_by(place as usize, |a, b| room(b).total_cmp(&room(a)));
    *bound
}

/// More than are begun in the longest round of reports at 25 Gbit/s.
const STARTS_KEPT: usize = 8_192;
/// One of so many buffers stays free.
const RESERVED_OF: u16 = 32;
/// A host that has written nothing for this time, and lacks something, may wait for the sender.
const STUCK_AFTER: Duration = Duration::from_millis(500);
/// The same, after which it holds nobody back, if at least 1 / [`MOVING_SHARE`] of the hosts write or have room.
const STALLED_AFTER: Duration = Duration::from_secs(2);
const MOVING_SHARE: usize = 4;
/// Shortest time over which it is found how fast a host writes.
const DRAIN_OVER: Duration = Duration::from_millis(20);
/// The longest wait for room: hosts may have become faster.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The shortest one.
const WAIT_MIN: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BlockIndex;
    use crate::sender::testing::{at, report};
    use crate::wire::DeficitRun;

    #[test]
    fn a_host_with_half_of_its_buffers_free_holds_nothing_back() {
        let flow = begun(1_000);
        assert_eq!(room(&flow, 32, 1_000, 10.0), None);
        assert!(room(&flow, 31, 1_000, 10.0).is_some());
    }

    #[test]
    fn a_host_has_room_for_its_free_buffers_and_for_what_it_writes() {
        let flow = begun(100);
        let window = room(&flow, 8, 500, 10.0).expect("its store limits it");
        // When datagram 500 was sent, 50 blocks had been begun, 50 ms after the first.
        assert_eq!(window.at(at(50)), 56.0, "two of 64 buffers are kept free");
        assert_eq!(window.at(at(1_050)), 66.0);
    }

    #[test]
    fn nothing_is_begun_beyond_the_room_and_a_timer_says_when_there_is_more() {
        let mut flow = begun(100);
        assert!(flow.may_begin() && flow.next_at().is_none(), "nobody limits it");
        flow.bind(room(&flow, 12, 1_000, 100.0));
        (0..10).for_each(|_| begin(&mut flow, 100));
        assert!(!flow.may_begin());
        let next = flow.next_at().expect("the host writes");
        assert!((at(100)..=at(112)).contains(&next), "10 ms for a block: {next:?}");
        flow.note_time(at(111));
        assert!(flow.may_begin());
    }

    #[test]
    fn a_host_that_writes_nothing_is_waited_for_without_a_timer() {
        let mut flow = begun(100);
        flow.bind(room(&flow, 0, 1_000, 0.0));
        assert!(!flow.may_begin());
        assert_eq!(flow.next_at(), None, "only a report changes that");
    }

    #[test]
    fn a_host_that_lacks_something_and_writes_nothing_gets_a_block_at_a_time() {
        let flow = begun(100);
        let lacking = DeficitRun { first: BlockIndex(0), blocks: 1, symbols: 9 };
        let until = |ms, deficits| {
            let report = Report { free: 0, deficits, ..report() };
            let window = Window::of(at(ms), &report, flow.begun_before(sequence(1_000)), Drain::default());
            window.expect("it has no free buffer").until
        };
        assert_eq!([until(499, vec![lacking]), until(500, vec![lacking])], [100.0, 101.0]);
        assert_eq!(until(500, Vec::new()), 100.0, "its store is slow");
    }

    #[test]
    fn a_quarter_of_the_hosts_hold_nobody_back() {
        let window = |until| Some(Window { until, at: at(0), growth: 0.0, is_stalled: false });
        let until = |windows: Vec<Option<Window>>| bound(at(0), windows, 0.25).map(|window| window.until);
        assert_eq!(until(vec![window(5.0), None, None, None, None]), None);
        assert_eq!(until(vec![window(5.0), window(6.0), window(7.0), window(8.0)]), Some(6.0));
        assert_eq!(until(vec![window(5.0)]), Some(5.0));
        assert_eq!(until(Vec::new()), None);
        let half = bound(at(0), vec![window(5.0), window(6.0), window(7.0), window(8.0)], 0.5);
        assert_eq!(
            half.map(|window| window.until),
            Some(7.0),
            "at a fixed rate, half of them hold nobody back"
        );
    }

    #[test]
    fn hosts_that_never_write_hold_nobody_back_while_others_do() {
        let flow = begun(100);
        let of = |ms, wrote| {
            let drain = Drain { wrote: at(wrote), ..Drain::default() };
            Window::of(at(ms), &Report { free: 0, ..report() }, flow.begun_before(sequence(1_000)), drain)
        };
        // Half of the hosts claim to have no room, and have never written anything.
        let room = |ms| bound(at(ms), vec![of(ms, 0), of(ms, 0), None, None], 0.25);
        assert!(room(1_999).is_some());
        assert_eq!(room(2_000), None);
        let all = bound(at(2_000), vec![of(2_000, 0); 4], 0.25);
        assert!(all.is_some(), "where nobody writes, everybody is waited for");
    }

    #[test]
    fn the_speed_of_a_store_is_smoothed() {
        let mut drain = Drain::default();
        for (ms, held) in [(0, 0), (100, 10), (105, 90), (200, 30)] {
            drain.note(at(ms), held);
        }
        assert_eq!(drain.rate, 150.0, "100 and 200 in a second; 5 ms show nothing");
    }

    /// After `blocks` blocks, one each millisecond, of ten datagrams each.
    fn begun(blocks: u64) -> Flow {
        let mut flow = Flow::new(at(0));
        for block in 0..blocks {
            flow.note_time(at(block));
            begin(&mut flow, block);
        }
        flow.note_time(at(blocks));
        flow
    }

    fn begin(flow: &mut Flow, block: u64) {
        flow.note_begun(sequence(10 * block));
    }

    /// The room of a host of 64 buffers that has seen all up to `highest` and writes `rate` blocks in a second.
    fn room(flow: &Flow, free: u16, highest: u64, rate: f64) -> Option<Window> {
        let report = Report { free, ..report() };
        let drain = Drain { rate, ..Drain::default() };
        Window::of(at(0), &report, flow.begun_before(sequence(highest)), drain)
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }
}
