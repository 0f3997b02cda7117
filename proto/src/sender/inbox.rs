//! Datagrams from hosts: opened under the host's key, refused if replayed, handled, acknowledged.

use std::net::{IpAddr, SocketAddr};

use super::Sender;
use super::blocks::Job;
use super::event::SenderEvent;
use super::hosts::{Link, Serve};
use super::relaying::Said;
use crate::ids::{HostName, ReceiverId};
use crate::known::Standing;
use crate::seal::Cipher;
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{
    Ack, DeficitRun, Discard, FailureKind, Hello, Kind, Notice, Outcome, Receipt, Report, Up, UpHeader,
    VERSION,
};

impl Sender {
    pub(super) fn take_datagram(
        &mut self,
        now: Moment,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        if Notice::is(datagram) {
            return self.take_notice(from, datagram);
        }
        let up = UpHeader::parse(datagram)?;
        if up.header.tag != self.config.session.tag() {
            return Err(Discard::OtherSession);
        }
        if up.header.kind == Kind::Hello {
            return self.take_hello(now, from, up, datagram);
        }
        if up.header.kind == Kind::RouteAck {
            return self.take_route_ack(now, up, datagram);
        }
        let host = self.hosts.get(up.receiver).ok_or(Discard::UnknownHost)?;
        let message = Up::open(&host.link().up, self.config.geometry, up, datagram)?;
        self.hosts.note_heard(now, up.receiver, up.header.sequence)?;
        let said = if let Up::Report(report) = &message { Some(Said::of(report)) } else { None };
        self.take_message(now, from, up.receiver, message)?;
        self.feedback.note(datagram.len() as u64 + self.config.header_bytes);
        match said {
            Some(said) => {
                let is_echoed = said.echo == self.config.agreement.echo_key().of(up.receiver, from);
                self.hosts.note_reported_from(up.receiver, from, is_echoed);
                self.note_way_of_report(now, up.receiver, said);
            }
            None => self.acknowledge(now, from, up),
        }
        Ok(())
    }

    /// Handles a hello. Any holder of the group key can seal one, so nothing changes before its signature was checked.
    fn take_hello(
        &mut self,
        now: Moment,
        from: SocketAddr,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let hello = match self.hosts.name(up.receiver).cloned() {
            Some(name) => self.take_further_hello(now, from, up, &name, datagram)?,
            // The result stands once the push has ended: no host joins after that.
            None if self.ending.is_some() => return Err(Discard::UnknownHost),
            None => self.take_first_hello(now, from, up, datagram)?,
        };
        self.hosts.note_heard(now, up.receiver, up.header.sequence)?;
        self.hosts.note_hello(up.receiver, &hello);
        self.feedback.note(datagram.len() as u64 + self.config.header_bytes);
        self.note_way_of_hello(now, from, up.receiver, &hello);
        self.acknowledge(now, from, up);
        Ok(())
    }

    /// Checks a further hello of a start with this name.
    fn take_further_hello(
        &mut self,
        now: Moment,
        from: SocketAddr,
        up: UpHeader,
        name: &HostName,
        datagram: &[u8],
    ) -> Result<Hello, Discard> {
        let host = self.hosts.get(up.receiver).ok_or(Discard::UnknownHost)?;
        let greeting = Hello::open(&host.link().hello, self.config.geometry, up, datagram)?;
        host.check(name, &greeting)?;
        if !host.is_newer(up.header.sequence) {
            return Err(Discard::Replayed);
        }
        self.hosts.take_check_of_hello(now, from, name)?;
        greeting.verify(self.scope)?;
        Ok(greeting.hello)
    }

    /// Handles the hello of a start that is not known yet: it joins if its key is the one of its name.
    fn take_first_hello(
        &mut self,
        now: Moment,
        from: SocketAddr,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<Hello, Discard> {
        let cipher = Cipher::upward(&self.config.key, self.config.session, up.receiver);
        let greeting = Hello::open(&cipher, self.config.geometry, up, datagram)?;
        let (name, key) = (&greeting.hello.name, greeting.key);
        self.hosts.may_join(name)?;
        let standing = self.hosts.standing(name, key);
        let objection = objection(standing, name, key);
        if let Some((reason, _)) = &objection
            && self.hosts.is_claimed(name)
        {
            return Err(*reason);
        }
        self.hosts.take_check_of_hello(now, from, name)?;
        greeting.verify(self.scope)?;
        if let Some((reason, event)) = objection {
            if self.hosts.note_stranger(name, key, standing) {
                self.event(event);
            }
            return Err(reason);
        }
        let link = self.link(up.receiver, key, &greeting.hello, cipher)?;
        self.hosts.join(now, from, up.receiver, link, &greeting.hello)?;
        self.last_one = None;
        self.event(SenderEvent::Joined(name.clone()));
        if standing == Standing::FirstUse {
            self.event(SenderEvent::FirstUse(name.clone(), key));
        }
        Ok(greeting.hello)
    }

    /// Returns what a start is spoken to by, from its hello, which `cipher` opened and which was proven.
    fn link(
        &self,
        receiver: ReceiverId,
        key: PublicKey,
        hello: &Hello,
        cipher: Cipher,
    ) -> Result<Link, Discard> {
        let (group, session) = (&self.config.key, self.config.session);
        let shared = self.config.agreement.agree(&hello.agreement).ok_or(Discard::Malformed)?;
        Ok(Link {
            key,
            agreement: hello.agreement,
            software: hello.software.clone(),
            hello: cipher,
            up: Cipher::private_up(group, session, receiver, &shared),
            down: Cipher::private_down(group, session, receiver, &shared),
        })
    }

    fn take_message(
        &mut self,
        now: Moment,
        from: SocketAddr,
        id: ReceiverId,
        message: Up,
    ) -> Result<(), Discard> {
        match message {
            // A host never holds less than before.
            Up::Report(report) if self.hosts.falls_back(id, &report) => return Err(Discard::Implausible),
            Up::Report(mut report) => {
                self.hosts.take_round(id, report.round, self.polls.rounds())?;
                // Nor has it seen what was not sent. A host that reports so has received forged numbers; it is served.
                let last = self.sequences.last();
                report.highest = report.highest.min(last);
                self.take_report(now, id, &report);
            }
            // A host can only have proven the root that this sender vouches for.
            Up::Done(done) if Some(done.root) != self.root() => return Err(Discard::Malformed),
            Up::Done(done) => {
                self.check_receipt(now, from, id, &done.receipt, done.outcome())?;
                self.paths.note_settled(id);
                if self.hosts.note_done(now, id, &done, self.config.geometry.blocks()) {
                    self.event(SenderEvent::Done(done.receipt.name));
                }
            }
            Up::Failed(mut failed) => {
                self.check_receipt(now, from, id, &failed.receipt, failed.outcome())?;
                if failed.kind == FailureKind::UnknownSender {
                    failed.reason = self.unlisted();
                }
                self.paths.note_settled(id);
                if self.hosts.note_failed(now, id, &failed) {
                    self.event(SenderEvent::Failed(failed.receipt.name, failed.reason));
                }
            }
        }
        Ok(())
    }

    /// Checks that a receipt is signed by the host that it came from, in the name that it has in this push. A final
    /// report that is repeated changes nothing, and its receipt is not checked.
    fn check_receipt(
        &mut self,
        now: Moment,
        from: SocketAddr,
        id: ReceiverId,
        receipt: &Receipt,
        outcome: Outcome,
    ) -> Result<(), Discard> {
        if self.hosts.is_settled(id) {
            return Ok(());
        }
        let key = self.hosts.get(id).ok_or(Discard::UnknownHost)?.link().key;
        if self.hosts.name(id) != Some(&receipt.name) {
            return Err(Discard::BadSignature);
        }
        self.hosts.take_check_of_receipt(now, from, &receipt.name)?;
        let good = receipt.verify(key, self.scope, outcome);
        if good { Ok(()) } else { Err(Discard::BadSignature) }
    }

    /// Why a host refuses this sender. The sender says it in its own words, with its own key: a key that a host names
    /// could be anybody's.
    fn unlisted(&self) -> String {
        match &self.config.signer {
            Some(signer) => {
                format!("it does not list this sender: add {} (sender.pub) to its senders", signer.public())
            }
            None => {
                "it takes signed pushes only: send with --sender-key, and list that key at the host".into()
            }
        }
    }

    fn take_report(&mut self, now: Moment, id: ReceiverId, report: &Report) {
        let group_bytes = self.symbols_sent * self.config.geometry.datagram_bytes() as u64;
        let answered = self.polls.answered(now, report.round);
        let asked = answered.map(|(_, asked)| asked);
        let serve = self.hosts.note_report(now, id, report, asked, group_bytes);
        if let Some(name) = self.hosts.take_deaf_news(id) {
            self.event(SenderEvent::Deaf(name));
        }
        self.hosts.note_window(now, id, report, self.flow.begun_before(report.highest));
        if self.hosts.answering() <= FLOW_AT_ONCE_MAX {
            self.flow.bind(self.hosts.room(now, self.share_unheeded()));
        }
        if let Some((after, asked)) = answered {
            self.hosts.note_answer(id, report.round, after, asked);
        }
        // What a side-lined host lacks waits until it delays no other host.
        let turn = match serve {
            Serve::Now => true,
            Serve::Afterwards => self.is_tail() && !self.hosts.somebody_lacks(),
            Serve::Probe => return self.probe(report),
            Serve::Never => return,
        };
        let turn = turn && self.paths.reaches(id);
        self.polls.note_report(report.is_lacking());
        report.gaps.iter().for_each(|&gap| self.blocks.demand_manifest(gap, report.highest));
        if turn {
            self.demand_proofs(now, id, report);
            let loss = if self.is_tail() { self.hosts.loss_of(id) } else { self.hosts.usual_loss() };
            for &run in &report.deficits {
                self.blocks.demand(run, report.highest, loss);
                self.paths.note_deficit(id, run);
            }
        }
    }

    /// Queues the blocks of whose symbols a host asks for the hashes.
    fn demand_proofs(&mut self, now: Moment, id: ReceiverId, report: &Report) {
        for &block in &report.suspects {
            let Some(Job::Source { first, repair, .. }) = self.blocks.handed_out(block) else { continue };
            let end = first.plus(repair).expect("ids are handed out in range");
            if let Err(reason) = self.proofs.demand(now, id, (block, end), report.highest) {
                self.discards.count(reason);
            }
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

    fn take_notice(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<(), Discard> {
        let opened = Notice::open(&self.config.key, datagram);
        if opened == Err(Discard::Forged) && Notice::has_tag(datagram, self.config.session.tag()) {
            self.note_other_key(from.ip().to_canonical());
        }
        let notice = opened?;
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

    /// Notes a notice about this push that this group's key does not open. Anybody can make one up, so it changes
    /// nothing, and only some are told of.
    fn note_other_key(&mut self, ip: IpAddr) {
        if self.other_keys.len() < OTHER_KEYS_MAX && self.other_keys.insert(ip) {
            self.event(SenderEvent::OtherKey(ip));
        }
    }

    /// Acknowledges the hello of each host again. An interface that was made anew may have another hardware address:
    /// hosts answer to the old one until they hear from the new one by unicast (RFC 826, packet reception; RFC 4861
    /// section 7.2).
    pub(super) fn greet_again(&mut self, now: Moment) {
        let echoes = self.config.agreement.echo_key();
        for (receiver, to, host) in self.hosts.unsettled_starts() {
            let echo = echoes.of(receiver, to);
            self.acks.push(now, to, Ack { receiver, kind: Kind::Hello, slot: host.slot(), echo });
        }
    }

    fn acknowledge(&mut self, now: Moment, to: SocketAddr, up: UpHeader) {
        if let Some(host) = self.hosts.get(up.receiver) {
            let echo = self.config.agreement.echo_key().of(up.receiver, to);
            let ack = Ack { receiver: up.receiver, kind: up.header.kind, slot: host.slot(), echo };
            self.acks.push(now, to, ack);
            if up.header.kind == Kind::Hello {
                self.hosts.note_slot_told(up.receiver, self.polls.rounds());
            }
        }
    }
}

/// Why a key does not take part under a name, if it does not.
fn objection(standing: Standing, name: &HostName, key: PublicKey) -> Option<(Discard, SenderEvent)> {
    match standing {
        Standing::Known | Standing::FirstUse => None,
        Standing::Changed(_) => Some((Discard::KeyChanged, SenderEvent::KeyChanged(name.clone(), key))),
        Standing::Unknown => Some((Discard::UnknownKey, SenderEvent::UnknownKey(name.clone(), key))),
    }
}

/// With more hosts their room is looked at once in each round of reports, as that takes a walk over all of them.
const FLOW_AT_ONCE_MAX: u32 = 64;

/// Addresses of which it is told that a host with another group key is there.
const OTHER_KEYS_MAX: usize = 16;

/// Symbols that a host is probed with after one poll: one of them may get through where much is lost.
const PROBE_SYMBOLS: u16 = 2;
