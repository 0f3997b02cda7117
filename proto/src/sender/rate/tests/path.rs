//! A simulated path for the controller, in steps of a millisecond: a bottleneck, before it a queue that drops what does
//! not fit, a TCP flow through the same queue, and the path's own loss behind it. Polls wait in the queue as everything
//! does.

use std::collections::VecDeque;
use std::time::Duration;

use super::tcp::Tcp;
use crate::rng::Rng;
use crate::sender::rate::{Pace, RateControl, RoundLoss, SEARCH_ROUND, Sent};
use crate::time::Moment;

pub(super) const MBIT: f64 = 1e6;
pub(super) const DATAGRAM_BITS: f64 = 8.0 * FRAME_BYTES as f64;
const FRAME_BYTES: u64 = 1_500;

pub(super) struct Path {
    pub(super) control: RateControl,
    pub(super) bottleneck: f64,
    /// Share that is lost behind the queue.
    pub(super) own_loss: f64,
    pub(super) tcp: Option<Tcp>,
    /// Length of the queue: the time that the bottleneck takes for a full one.
    queue_seconds: f64,
    queue: VecDeque<Slice>,
    queued: f64,
    now: u64,
    poll_at: u64,
    /// Datagrams sent so far.
    sent: f64,
    lost: f64,
    /// Answers on their way.
    answers: VecDeque<(u64, Poll)>,
    reported: Poll,
    rng: Rng,
}

/// What entered the queue in one millisecond, in datagrams.
struct Slice {
    push: f64,
    tcp: f64,
    /// Behind all that.
    poll: Option<Poll>,
}

/// What had been sent and lost before it.
#[derive(Clone, Copy, Default)]
struct Poll {
    at: u64,
    sent: f64,
    lost: f64,
    /// When its answer came.
    answered: u64,
}

/// What happened in some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Bits per second that arrived.
    pub(super) push: f64,
    pub(super) tcp: f64,
    /// Share of what the push sent.
    pub(super) lost: f64,
}

impl Path {
    pub(super) fn new(pace: Pace, bottleneck: f64) -> Self {
        Self {
            control: RateControl::new(pace),
            bottleneck,
            own_loss: 0.0,
            tcp: None,
            queue_seconds: 0.05,
            queue: VecDeque::new(),
            queued: 0.0,
            now: 0,
            poll_at: POLL_MS,
            sent: 0.0,
            lost: 0.0,
            answers: VecDeque::new(),
            reported: Poll::default(),
            rng: Rng::new(&[7; 32]),
        }
    }

    /// Adds a TCP flow that has had the path to itself for some seconds.
    pub(super) fn beside(mut self, tcp: Tcp, queue: Duration, seed: u8) -> Self {
        self.rng = Rng::new(&[seed; 32]);
        self.queue_seconds = queue.as_secs_f64();
        self.tcp = Some(tcp);
        for _ in 0..4_000 + 100 * u64::from(seed) {
            self.step(0.0);
        }
        self.poll_at = self.now + POLL_MS;
        self
    }

    pub(super) fn run(&mut self, time: Duration) -> Outcome {
        let (sent, lost) = (self.sent, self.lost);
        let mut came = [0.0, 0.0];
        for _ in 0..time.as_millis() {
            let [push, tcp] = self.step(self.control.rate);
            came = [came[0] + push, came[1] + tcp];
        }
        let (sent, lost) = (self.sent - sent, self.lost - lost);
        let [push, tcp] = came.map(|datagrams| datagrams * DATAGRAM_BITS / time.as_secs_f64());
        Outcome { push, tcp, lost: lost / sent }
    }

    /// Runs one millisecond at this rate; returns the datagrams of the push and of TCP that left the queue.
    fn step(&mut self, rate: f64) -> [f64; 2] {
        self.now += 1;
        let serves = self.bottleneck / DATAGRAM_BITS / 1000.0;
        let push = rate / DATAGRAM_BITS / 1000.0;
        let tcp = self.tcp.as_mut().map_or(0.0, |tcp| tcp.send(self.now, 2.0 * serves));
        let excess = self.queued + push + tcp - serves - self.queue_seconds * serves * 1000.0;
        let dropped = (excess / (push + tcp).max(1e-9)).clamp(0.0, 1.0);
        // Chance decides whose datagrams are dropped.
        let tcp_dropped = (tcp * dropped * 2.0 * self.chance()).min(tcp);
        let push_dropped = ((push + tcp) * dropped - tcp_dropped).clamp(0.0, push);
        let own = (0..(push - push_dropped).round() as u64).filter(|_| self.chance() < self.own_loss).count();
        self.sent += push;
        self.lost += push_dropped + own as f64;
        let waits = self.queued / serves / 1000.0;
        let hit = tcp_dropped > 0.0 && self.chance() < tcp_dropped;
        if let Some(tcp) = &mut self.tcp {
            tcp.drop(self.now, waits, tcp_dropped, hit);
        }
        let poll = (rate > 0.0 && self.now >= self.poll_at).then(|| self.poll());
        let slice = Slice { push: push - push_dropped, tcp: tcp - tcp_dropped, poll };
        self.queued += slice.push + slice.tcp;
        self.queue.push_back(slice);
        self.serve(serves)
    }

    fn serve(&mut self, serves: f64) -> [f64; 2] {
        let (mut left, mut came) = (serves, [0.0, 0.0]);
        while let Some(slice) = self.queue.front_mut() {
            let all = slice.push + slice.tcp;
            let share = if all > left { left / all } else { 1.0 };
            came = [came[0] + slice.push * share, came[1] + slice.tcp * share];
            left -= all * share;
            if share < 1.0 {
                (slice.push, slice.tcp) = (slice.push * (1.0 - share), slice.tcp * (1.0 - share));
                break;
            }
            self.answers.extend(slice.poll.map(|poll| (self.now + BASE_MS, poll)));
            self.queue.pop_front();
        }
        self.queued = (self.queued - came[0] - came[1]).max(0.0);
        if let Some(tcp) = &mut self.tcp {
            tcp.acked(self.now, came[1], BASE_MS as f64 / 1000.0 + self.queued / serves / 1000.0);
        }
        came
    }

    /// Gives the controller the answers that have arrived, and sends the next poll.
    fn poll(&mut self) -> Poll {
        let (mut report, mut delay) = (None, None::<u64>);
        while let Some(&(at, poll)) = self.answers.front().filter(|(at, _)| *at <= self.now) {
            self.answers.pop_front();
            let sent = poll.sent - self.reported.sent;
            let share = (poll.lost - self.reported.lost) / sent.max(1.0);
            delay = Some(delay.map_or(at - poll.at, |delay| delay.min(at - poll.at)));
            report = Some(RoundLoss {
                share,
                datagrams: sent as u64,
                since: self.reported.sent as u64,
                took: Duration::from_millis(at - self.reported.answered),
                delay: delay.map(Duration::from_millis),
            });
            self.reported = Poll { answered: at, ..poll };
        }
        let now = Moment::from_micros(self.now * 1000);
        let sent = Sent { datagrams: self.sent as u64, frame_bytes: FRAME_BYTES, others: 0 };
        self.control.note_round(now, sent, report);
        let searching = self.control.is_searching();
        self.poll_at = self.now + if searching { SEARCH_ROUND.as_millis() as u64 } else { POLL_MS };
        Poll { at: self.now, sent: self.sent, lost: self.lost, answered: 0 }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.rng.below(Duration::from_secs(1)).as_secs_f64()
    }
}

const POLL_MS: u64 = 50;
/// Round trip without the queue.
const BASE_MS: u64 = 1;
