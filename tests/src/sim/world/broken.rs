//! Machines that are broken on purpose, as far as that shows between them: datagrams are altered on their way, so that a
//! sound machine does with them what the broken one would have done.

use std::net::SocketAddr;
use std::rc::Rc;

use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::wire::{
    Announce, Audience, CommandOutcome, Done, Kind, Outcome, Receipt, Totals, Up, UpHeader,
};

use super::World;
use super::others::Honesty;
use crate::sim::host::{KEY, SENDER, WALL};
use crate::sim::identity::host_key;
use crate::sim::insider;
use crate::sim::mutant::Mutant;
use crate::sim::overhear;
use crate::sim::pusher;

impl World {
    /// Returns what a host's machine gets of a datagram to the group.
    pub(super) fn alter_down(&mut self, number: usize, datagram: Rc<[u8]>) -> Rc<[u8]> {
        let is_news = datagram.get(1) == Some(&(Kind::Announce as u8))
            && matches!(self.mutant, Mutant::KeepsRefusedLink | Mutant::WritesForOthers);
        let announced = is_news.then(|| Announce::open(&GroupKey::new(KEY), &datagram).ok()).flatten();
        let Some(announced) = announced.filter(|announced| announced.announce.session == self.session) else {
            return datagram;
        };
        if self.mutant == Mutant::KeepsRefusedLink {
            if announced.announce.reply_to == insider::ADDRESS && self.hosts[number].session().is_none() {
                self.diverted.insert(number, self.hosts[number].life());
            }
            return datagram;
        }
        let announce = Announce { audience: Audience::Everyone, ..announced.announce };
        let (group, key, mut out) = (GroupKey::new(KEY), pusher::signing_key(), Vec::new());
        let signer = self.plan.signed.then(|| key.within(group.scope(self.session)));
        announce.seal(&Cipher::downward(&group, self.session), signer, announced.sequence, &mut out);
        out.into()
    }

    /// Returns where a host's datagram goes: a host that keeps the link of a refused announcement goes on using it in the
    /// session that it joins later.
    pub(super) fn diverted(&self, number: usize, to: SocketAddr) -> SocketAddr {
        let host = &self.hosts[number];
        let is_diverted = self.diverted.get(&number) == Some(&host.life());
        if is_diverted && host.session() == Some(self.session) { insider::ADDRESS } else { to }
    }

    /// Checks that what a host tells its sender alone goes there.
    pub(super) fn check_destination(
        &self,
        number: usize,
        to: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), String> {
        let is_private = [Kind::Report, Kind::Done].iter().any(|&kind| datagram[1] == kind as u8);
        if is_private && to != SENDER {
            return Err(format!("{} reports to {to}, which is not its sender", self.hosts[number].name));
        }
        Ok(())
    }

    /// Notes under which id a host speaks, and returns what a sender that takes an unsigned done makes of a forged one:
    /// what the host itself would have said.
    pub(super) fn alter_forged(&self, datagram: &[u8], honesty: Honesty) -> Option<Vec<u8>> {
        if self.mutant != Mutant::TakesUnsignedDone || honesty == Honesty::Genuine {
            return None;
        }
        let up = UpHeader::parse(datagram).ok().filter(|up| up.header.kind == Kind::Done)?;
        let host = &self.hosts[*self.receivers.get(&up.receiver)?];
        let root = self.sender.as_ref()?.machine.root()?;
        let key = host_key(&host.identity().key);
        let scope = GroupKey::new(KEY).scope(self.session);
        let receipt = Receipt::sign(&key, scope, host.name.clone(), WALL, Outcome::Published(root));
        let command = CommandOutcome::None;
        let done = Done { root, existing: false, totals: Totals::default(), receipt, command };
        let mut out = Vec::new();
        let cipher = overhear::private(self.session, up.receiver);
        Up::Done(done).seal(&cipher, self.session.tag(), up.receiver, up.header.sequence, &mut out);
        Some(out)
    }

    /// Notes under which id a host speaks.
    pub(super) fn note_receiver(&mut self, number: usize, datagram: &[u8]) {
        if self.mutant == Mutant::TakesUnsignedDone
            && let Ok(up) = UpHeader::parse(datagram)
        {
            self.receivers.insert(up.receiver, number);
        }
    }
}
