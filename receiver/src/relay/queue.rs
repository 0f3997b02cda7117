//! The output queue of a relay: what the kernel does not take at once waits here, in the order in which it came.
//!
//! The memory is fixed: a ring of bytes, and a list of the trains in it. What finds no room is refused, so that the newest
//! is dropped and nothing that waits. A train that follows one of its kind is joined to it, whatever the datagrams came as.
//! What has waited for [`RELAY_QUEUE_TIME_MAX`] is of no use any more, as it was asked for again.

use std::collections::VecDeque;
use std::io::IoSlice;

use glancecast_platform::trains::{BYTES_MAX, DATAGRAMS_MAX, Progress, Train};
use glancecast_proto::limits::RELAY_QUEUE_TIME_MAX;
use glancecast_proto::time::Moment;

/// Trains that wait.
#[derive(Debug)]
pub(super) struct Queue {
    ring: Box<[u8]>,
    waiting: VecDeque<Waiting>,
}

/// To whom a train goes: the place in the table of ways, and how often that way has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WayId {
    pub(super) at: usize,
    pub(super) epoch: u32,
}

/// A train that waits, in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) way: WayId,
    pub(super) progress: Progress,
    /// When its first datagram came.
    since: Moment,
    start: usize,
    bytes: usize,
    segment: usize,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    /// An empty queue of `bytes` bytes. The memory is not touched before it is used.
    pub(super) fn new(bytes: usize) -> Self {
        Self { ring: vec![0; bytes].into_boxed_slice(), waiting: VecDeque::with_capacity(TRAINS_MAX) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the bytes that wait.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.bytes).sum()
    }

    /// Appends a copy of a train, which has come as far as `progress` says.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub(super) fn push(
        &mut self,
        now: Moment,
        train: &Train<'_>,
        way: WayId,
        progress: Progress,
    ) -> Result<(), Full> {
        let (bytes, segment) = (train.bytes(), train.segment());
        let start = self.room_for(bytes).ok_or(Full)?;
        let count = self.waiting.len();
        let joined = self.waiting.back_mut().filter(|last| {
            progress == Progress::default()
                && start == last.start + last.bytes
                && last.takes(way, bytes, segment)
        });
        match joined {
            Some(last) => last.bytes += bytes,
            None if count == TRAINS_MAX => return Err(Full),
            None => self.waiting.push_back(Waiting { way, progress, since: now, start, bytes, segment }),
        }
        copy(train.parts(), &mut self.ring[start..start + bytes]);
        Ok(())
    }

    /// Returns the train that goes next, and its bytes.
    pub(super) fn front(&mut self) -> Option<(&mut Waiting, Train<'_>)> {
        let front = self.waiting.front_mut()?;
        let train = Train::of(&self.ring[front.start..front.start + front.bytes], front.segment);
        Some((front, train))
    }

    /// Removes the train that goes next.
    pub(super) fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// Returns where these many bytes fit in one piece behind those that wait.
    fn room_for(&self, bytes: usize) -> Option<usize> {
        let (Some(first), Some(last)) = (self.waiting.front(), self.waiting.back()) else {
            return (bytes <= self.ring.len()).then_some(0);
        };
        let end = last.start + last.bytes;
        if last.start < first.start {
            return (bytes <= first.start - end).then_some(end);
        }
        if bytes <= self.ring.len() - end {
            return Some(end);
        }
        (bytes <= first.start).then_some(0)
    }
}

impl Waiting {
    /// Whether it has waited for too long.
    pub(super) fn is_stale(&self, now: Moment) -> bool {
        now.since(self.since) > RELAY_QUEUE_TIME_MAX
    }

    /// Returns the number of datagrams.
    pub(super) fn datagrams(&self) -> u64 {
        self.bytes.div_ceil(self.segment) as u64
    }

    /// Returns the length of all datagrams together.
    pub(super) fn len(&self) -> u64 {
        self.bytes as u64
    }

    /// Whether a train of this length can go with this one, which none of its destinations has yet.
    fn takes(&self, way: WayId, bytes: usize, segment: usize) -> bool {
        let datagrams = self.bytes.div_ceil(self.segment) + bytes.div_ceil(segment);
        self.way == way
            && self.progress == Progress::default()
            && self.bytes.is_multiple_of(self.segment)
            && (segment == self.segment || bytes == segment && segment < self.segment)
            && datagrams <= DATAGRAMS_MAX
            && self.bytes + bytes <= BYTES_MAX
    }
}

fn copy(parts: &[IoSlice<'_>], mut to: &mut [u8]) {
    for part in parts {
        let (here, rest) = to.split_at_mut(part.len());
        here.copy_from_slice(part);
        to = rest;
    }
}

/// Trains that wait at most. They are the whole ring where each has one datagram of 512 bytes.
const TRAINS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_testkit::Rng;

    const WAY: WayId = WayId { at: 0, epoch: 1 };

    #[test]
    fn trains_leave_in_the_order_in_which_they_came_with_all_their_bytes() {
        let seed = Rng::seed_from_clock();
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut queue = Queue::new(10_000);
        let (mut expected, mut dropped, mut left) = (VecDeque::new(), 0, 0);
        for turn in 0..20_000_u32 {
            if rng.below(3) < 2 {
                let segment = 1 + rng.below(700) as usize;
                let bytes = vec![turn as u8; 1 + rng.below(3_000) as usize];
                if bytes.len().div_ceil(segment) > DATAGRAMS_MAX {
                    continue;
                }
                let train = Train::of(&bytes, segment);
                match queue.push(Moment::default(), &train, WAY, Progress::default()) {
                    Ok(()) => expected.extend(bytes.chunks(segment).map(<[u8]>::to_vec)),
                    Err(Full) => dropped += 1,
                }
            } else if let Some((_, train)) = queue.front() {
                for datagram in train.datagrams() {
                    assert_eq!(expected.pop_front().as_deref(), Some(datagram));
                    left += 1;
                }
                queue.pop();
            }
            assert!(queue.bytes() <= 10_000);
            assert_eq!(queue.bytes(), expected.iter().map(Vec::len).sum::<usize>());
        }
        assert!(dropped > 100 && left > 1_000, "{dropped} dropped, {left} left");
    }

    #[test]
    fn single_datagrams_of_one_length_become_one_train() {
        let mut queue = Queue::new(1 << 20);
        (0..100).for_each(|_| push(&mut queue, 1_400, WAY).expect("room"));
        let (front, train) = queue.front().expect("they wait");
        assert_eq!((front.datagrams(), train.segment()), (46, 1_400), "as many as a packet holds");
        let other = WayId { epoch: 2, ..WAY };
        push(&mut queue, 1_400, other).expect("room");
        push(&mut queue, 1_200, other).expect("room");
        push(&mut queue, 1_200, other).expect("room");
        let lengths: Vec<u64> = queue.waiting.iter().map(Waiting::datagrams).collect();
        assert_eq!(lengths, [46, 46, 8, 2, 1], "a shorter one ends a train");
    }

    #[test]
    fn a_train_that_has_left_in_part_is_joined_by_none() {
        let mut queue = Queue::new(1 << 20);
        push(&mut queue, 1_400, WAY).expect("room");
        let (front, _) = queue.front().expect("it waits");
        front.progress.destinations = 1;
        push(&mut queue, 1_400, WAY).expect("room");
        assert_eq!(queue.waiting.len(), 2);
    }

    #[test]
    fn a_train_is_as_old_as_its_first_datagram() {
        let at = |ms: u64| Moment::from_micros(1_000 * ms);
        let mut queue = Queue::new(1 << 20);
        for ms in [0, 200] {
            let train = [7; 1_400];
            queue.push(at(ms), &Train::of(&train, 1_400), WAY, Progress::default()).expect("room");
        }
        let (front, _) = queue.front().expect("they wait");
        assert_eq!((front.datagrams(), front.is_stale(at(250)), front.is_stale(at(251))), (2, false, true));
    }

    #[test]
    fn what_finds_no_room_leaves_the_others_alone() {
        let mut queue = Queue::new(3_000);
        push(&mut queue, 1_400, WAY).expect("room");
        push(&mut queue, 1_400, WAY).expect("room");
        assert_eq!(push(&mut queue, 1_400, WAY), Err(Full));
        assert_eq!(queue.bytes(), 2_800);
    }

    fn push(queue: &mut Queue, bytes: usize, way: WayId) -> Result<(), Full> {
        queue.push(Moment::default(), &Train::of(&vec![7; bytes], bytes), way, Progress::default())
    }
}
