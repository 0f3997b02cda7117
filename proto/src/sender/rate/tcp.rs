//! A TCP flow that always has something to send, for [`super::path`]: CUBIC as RFC 9438 has it, with its Reno-friendly region
//! and fast convergence, without timeouts. In packets of the size of datagrams.

use std::collections::VecDeque;

pub(super) struct Tcp {
    window: f64,
    /// The receiver's, or what its own host lets wait.
    window_max: f64,
    in_flight: f64,
    threshold: f64,
    /// Where it was reduced last, and when.
    w_max: f64,
    epoch: u64,
    /// What Reno would have.
    reno: f64,
    rtt: f64,
    /// Losses that are not known yet, with the time at which they will be.
    dropped: VecDeque<(u64, f64, bool)>,
    /// What is lost before this belongs to the last reduction.
    recovers_until: u64,
}

impl Tcp {
    pub(super) fn new() -> Self {
        Self::limited(f64::INFINITY)
    }

    /// One that never has more than so many packets on the way.
    pub(super) fn limited(window_max: f64) -> Self {
        Self {
            window: 10.0,
            window_max,
            in_flight: 0.0,
            threshold: f64::INFINITY,
            w_max: 0.0,
            epoch: 0,
            reno: 0.0,
            rtt: 0.001,
            dropped: VecDeque::new(),
            recovers_until: 0,
        }
    }

    /// Packets that leave in this millisecond, at most so many.
    pub(super) fn send(&mut self, now: u64, most: f64) -> f64 {
        while let Some(&(_, packets, hit)) = self.dropped.front().filter(|(at, ..)| *at <= now) {
            self.dropped.pop_front();
            self.in_flight -= packets;
            if hit && now > self.recovers_until {
                self.reduce(now);
            }
        }
        let packets = (self.window.min(self.window_max) - self.in_flight).clamp(0.0, most);
        self.in_flight += packets;
        packets
    }

    /// Of what was sent last, which would have waited so long, this did not fit.
    pub(super) fn drop(&mut self, now: u64, waits: f64, packets: f64, hit: bool) {
        if packets > 0.0 {
            self.dropped.push_back((now + 1 + (waits * 1000.0) as u64, packets, hit));
        }
    }

    pub(super) fn acked(&mut self, now: u64, packets: f64, rtt: f64) {
        self.in_flight -= packets;
        self.rtt = rtt;
        if self.window >= self.window_max {
            return;
        }
        if self.window < self.threshold {
            self.window += packets;
            return;
        }
        self.reno += RENO * packets / self.window;
        let after = now.saturating_sub(self.epoch) as f64 / 1000.0 + rtt;
        let k = (self.w_max * (1.0 - BETA) / SCALE).cbrt();
        let target = self.w_max + SCALE * (after - k).powi(3);
        let step = ((target - self.window) / self.window).clamp(0.01 / self.window, 0.5);
        self.window = (self.window + step * packets).max(self.reno);
    }

    fn reduce(&mut self, now: u64) {
        let less = self.window < self.w_max;
        self.w_max = if less { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.window = (self.window * BETA).max(2.0);
        self.threshold = self.window;
        self.reno = self.window;
        self.epoch = now;
        self.recovers_until = now + (self.rtt * 1000.0) as u64 + 1;
    }
}

const BETA: f64 = 0.7;
/// C of RFC 9438, and the growth of the Reno-friendly region in a round-trip.
const SCALE: f64 = 0.4;
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
