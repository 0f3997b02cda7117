//! What a session tells its sender, and when: the hello, reports, and the final report.
//!
//! `turns` says when it is this host's turn. What is said then is made up from the state at that moment.

use std::net::SocketAddr;

use super::{Session, Stage};
use crate::ids::{BlockIndex, Sequence};
use crate::limits::HELD_RUNS_MAX;
use crate::receiver::ReceiverConfig;
use crate::receiver::uplink::Greeting;
use crate::time::Moment;
use crate::wire::{KeptRun, Report, Totals, Up, report_runs_in};

/// What is due to the sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Hello(Greeting),
    Up(Up),
}

impl Session {
    /// Writes the datagram that is due into `out`, and returns its address.
    pub(in crate::receiver) fn send(
        &mut self,
        now: Moment,
        me: &ReceiverConfig,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        Some(match self.next_due(now)? {
            Due::Hello(greeting) => self.uplink.greet(me, greeting, out),
            Due::Up(up) => self.uplink.seal(&up, out),
        })
    }

    pub(super) fn next_due(&mut self, now: Moment) -> Option<Due> {
        if self.turns.take_hello_due(now) {
            let kept = self.kept(0, HELD_RUNS_MAX);
            self.make_room_for_hello(now);
            return Some(Due::Hello(Greeting { busy: None, via: self.via, kept }));
        }
        if let Stage::Closing { final_report, repeat, .. } = &mut self.stage {
            let is_due = repeat.as_mut().is_some_and(|repeat| repeat.take_due(now));
            return is_due.then(|| Due::Up(Up::clone(final_report)));
        }
        if !self.turns.take_report_due(now) {
            return None;
        }
        self.report(now).map(|report| Due::Up(Up::Report(report)))
    }

    /// Returns the blocks from `from` on that need not be sent to this host, in at most `runs_max` runs: those kept
    /// of an earlier session, or all of them if a file of this name exists, as it is not replaced.
    fn kept(&self, from: u32, runs_max: usize) -> Vec<KeptRun> {
        let blocks = self.announce.geometry.blocks().saturating_sub(from);
        match self.stage {
            Stage::Existing | Stage::Comparing if blocks > 0 && runs_max > 0 => {
                vec![KeptRun { first: BlockIndex(from), blocks }]
            }
            Stage::Opening | Stage::Receiving if self.table.is_resumed() => {
                self.table.held_runs(from, runs_max)
            }
            _ => Vec::new(),
        }
    }

    /// Returns when [`Session::send`] has the next datagram.
    pub(in crate::receiver) fn next_at(&self) -> Option<Moment> {
        let next = match &self.stage {
            Stage::Closing { repeat, .. } => repeat.map(|repeat| repeat.next_at),
            _ => self.turns.next_report_at(),
        };
        [next, self.turns.next_hello_at()].into_iter().flatten().min()
    }

    /// Returns the counters, with the losses of the datagrams up to `settled`.
    fn totals(&self, settled: Sequence) -> Totals {
        Totals { symbols_lost: self.arrivals.lost(settled), ..self.final_totals() }
    }

    /// Returns the counters with all losses: nothing is on its way any more that counts.
    pub(in crate::receiver) fn final_totals(&self) -> Totals {
        let (symbols_lost, symbols_late) = (self.arrivals.lost_of_all(), self.arrivals.late());
        Totals { symbols_lost, symbols_late, bytes_received: self.arrivals.bytes(), ..self.totals }
    }

    fn report(&mut self, now: Moment) -> Option<Report> {
        let settled = self.arrivals.settled(now);
        let poll = self.turns.poll()?;
        let collecting = matches!(self.stage, Stage::Opening | Stage::Receiving);
        // Until the store has answered what it kept, no block is asked for.
        let asks = matches!(self.stage, Stage::Receiving);
        let deficits = if asks { self.table.deficits(poll.blocks_sent) } else { Vec::new() };
        let room = report_runs_in(self.announce.geometry.control_bytes()) - deficits.len();
        Some(Report {
            round: self.turns.asked_in(),
            highest: settled,
            blocks_held: self.table.held(),
            covered: poll.blocks_sent,
            deficits,
            gaps: if collecting { self.table.gaps(poll.manifest_sent) } else { Vec::new() },
            kept: self.kept(poll.blocks_sent, room),
            suspects: if asks { self.table.suspects() } else { Vec::new() },
            buffers: self.buffers,
            free: self.table.free_buffers(),
            via: self.via,
            echo: self.echo,
            totals: self.totals(settled),
        })
    }

    /// Returns the blocks that need not be sent to this host, in at most as many runs as a hello holds.
    pub(in crate::receiver) fn held_runs(&self) -> Vec<KeptRun> {
        self.table.held_runs(0, HELD_RUNS_MAX)
    }
}
