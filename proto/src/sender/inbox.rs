//! Datagrams from hosts: opened under the host's key, refused if replayed, handled, acknowledged.

use std::net::SocketAddr;

use super::Sender;
use super::event::SenderEvent;
use super::hosts::Serve;
use crate::ids::ReceiverId;
use crate::seal::Cipher;
use crate::time::Moment;
use crate::wire::{Ack, DeficitRun, Discard, Kind, Notice, Report, Up, UpHeader, VERSION};

impl Sender {
    pub(super) fn take_datagram(
        &mut self,
        now: Moment,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        if Notice::is(datagram) {
            return self.take_notice(datagram);
        }
        let up = UpHeader::parse(datagram)?;
        if up.header.tag != self.config.session.tag() {
            return Err(Discard::OtherSession);
        }
        let message = self.open(up, datagram)?;
        if let Up::Hello(hello) = &message {
            let (key, session) = (&self.config.key, self.config.session);
            if self.hosts.join(now, from, up.receiver, || Cipher::upward(key, session, up.receiver), hello)? {
                self.last_one = None;
                self.event(SenderEvent::Joined(hello.name.clone()));
            }
        }
        self.hosts.note_heard(now, up.receiver, up.header.sequence)?;
        self.take_message(now, up.receiver, message)?;
        if up.header.kind != Kind::Report {
            self.acknowledge(now, from, up);
        }
        Ok(())
    }

    /// Opens a datagram under its host's key. Only a hello may come from an unknown host.
    fn open(&mut self, up: UpHeader, datagram: &[u8]) -> Result<Up, Discard> {
        let geometry = self.config.geometry;
        match self.hosts.get(up.receiver) {
            Some(host) => Up::open(host.cipher(), geometry, up, datagram),
            // The result stands once the push has ended: no host joins after that.
            None if up.header.kind == Kind::Hello && self.ending.is_none() => {
                let cipher = Cipher::upward(&self.config.key, self.config.session, up.receiver);
                Up::open(&cipher, geometry, up, datagram)
            }
            None => Err(Discard::UnknownHost),
        }
    }

    fn take_message(&mut self, now: Moment, id: ReceiverId, message: Up) -> Result<(), Discard> {
        let name = self.hosts.name(id).ok_or(Discard::UnknownHost)?.clone();
        match message {
            Up::Hello(hello) => self.hosts.note_hello(id, &hello),
            // A host never holds less than before.
            Up::Report(report) if self.hosts.falls_back(id, &report) => return Err(Discard::Implausible),
            Up::Report(mut report) => {
                // Nor has it seen what was not sent. A host that reports so has received forged numbers; it is served.
                let last = self.sequences.last();
                report.highest = report.highest.min(last);
                self.take_report(now, id, &report);
            }
            // A host can only have proven the root that this sender vouches for.
            Up::Done(done) if Some(done.root) != self.root() => return Err(Discard::Malformed),
            Up::Done(done) => {
                if self.hosts.note_done(now, id, &done, self.config.geometry.blocks()) {
                    self.event(SenderEvent::Done(name));
                }
            }
            Up::Failed(failed) => {
                if self.hosts.note_failed(now, id, &failed) {
                    self.event(SenderEvent::Failed(name, failed.reason));
                }
            }
        }
        Ok(())
    }

    fn take_report(&mut self, now: Moment, id: ReceiverId, report: &Report) {
        let group_bytes = self.sequences.next().value() * self.config.geometry.datagram_bytes() as u64;
        let serve = self.hosts.note_report(id, report, group_bytes);
        if let Some(after) = self.polls.answered(now, report.round) {
            self.hosts.note_answer(id, after, self.asked);
        }
        // What a side-lined host lacks waits until it delays no other host.
        let turn = match serve {
            Serve::Now => true,
            Serve::Afterwards => self.is_tail() && !self.hosts.somebody_lacks(),
            Serve::Probe => return self.probe(report),
            Serve::Never => return,
        };
        self.polls.note_report(!report.deficits.is_empty() || !report.gaps.is_empty());
        report.gaps.iter().for_each(|&gap| self.blocks.demand_manifest(gap, report.highest));
        if turn {
            let loss = if self.is_tail() { self.hosts.loss_of(id) } else { self.hosts.usual_loss() };
            report.deficits.iter().for_each(|&run| self.blocks.demand(run, report.highest, loss));
        }
    }

    /// Sends a few symbols to a host that nothing reaches, while no other host lacks anything. If it lacks less
    /// afterwards, it is served again.
    fn probe(&mut self, report: &Report) {
        if self.is_tail() && !self.hosts.somebody_lacks() && self.blocks.is_idle() {
            report.gaps.iter().take(1).for_each(|&gap| self.blocks.demand_manifest(gap, report.highest));
            if let Some(&run) = report.deficits.first() {
                let run = DeficitRun { blocks: 1, symbols: run.symbols.min(PROBE_SYMBOLS), ..run };
                self.blocks.demand(run, report.highest, 0.0);
            }
        }
    }

    fn take_notice(&mut self, datagram: &[u8]) -> Result<(), Discard> {
        let notice = Notice::open(&self.config.key, datagram)?;
        if notice.tag != self.config.session.tag() || notice.version == VERSION {
            return Err(Discard::OtherSession);
        }
        let what = format!(
            "it speaks version {} of the protocol ({}), this sender version {}: upgrade the older one",
            notice.version, notice.software, VERSION
        );
        if self.hosts.speaks_other_version(&notice.name, &what) {
            self.event(SenderEvent::OtherVersion(notice.name, what));
        }
        Ok(())
    }

    fn acknowledge(&mut self, now: Moment, to: SocketAddr, up: UpHeader) {
        if let Some(host) = self.hosts.get(up.receiver) {
            let ack = Ack { receiver: up.receiver, kind: up.header.kind, slot: host.slot() };
            self.acks.push(now, to, ack);
        }
    }
}

/// Symbols that a host is probed with after one poll: one of them may get through where much is lost.
const PROBE_SYMBOLS: u16 = 2;
