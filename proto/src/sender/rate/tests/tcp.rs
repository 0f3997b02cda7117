//! A simulated TCP flow that always has something to send: CUBIC (RFC 9438) with its Reno-friendly region and fast
//! convergence, without timeouts. Counts packets of the size of datagrams.

use std::collections::VecDeque;

pub(super) struct Tcp {
    window: f64,
    /// The receiver's window, or what the sending host allows to be queued.
    window_max: f64,
    in_flight: f64,
    threshold: f64,
    /// The window at its last reduction, and the time of that.
    w_max: f64,
    epoch: u64,
    /// The window that Reno would have.
    reno: f64,
    rtt: f64,
    /// Losses not yet known to the flow, with the time at which it learns of them.
    dropped: VecDeque<(u64, f64, bool)>,
    /// Losses before this time belong to the last reduction.
    recovers_until: u64,
}

impl Tcp {
    pub(super) fn new() -> Self {
        Self::limited(f64::INFINITY)
    }

    /// A flow that never has more than `window_max` packets in flight.
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

    /// Returns the packets that leave in this millisecond, at most `most`.
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

    /// Of the packets sent last, which would have waited `waits` seconds, `packets` did not fit into the queue.
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
/// C of RFC 9438 §5.1.
const SCALE: f64 = 0.4;
/// Growth of the Reno-friendly region in a round trip (RFC 9438 §4.3).
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
