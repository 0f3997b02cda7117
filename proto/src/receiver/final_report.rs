//! The final report (done or failed) of a session that this host has left without an acknowledgement: it was sent for a while and
//! nobody answered. Should the session still be announced after that, the way up may be open again, and the sender be waiting
//! for just this.

use std::net::SocketAddr;
use std::time::Duration;

use super::uplink::Uplink;
use crate::geometry::Geometry;
use crate::ids::{HostName, SessionId};
use crate::seal::Cipher;
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{Ack, Discard, Down, Hello, Kind, Up};

/// What is left of a session.
pub(super) struct FinalReport {
    pub(super) session: SessionId,
    uplink: Uplink,
    cipher: Cipher,
    geometry: Geometry,
    /// Who signs what is said to the group, and in which session.
    signer: Option<(SessionId, PublicKey)>,
    report: Up,
    /// The sender has not acknowledged the hello either: it takes nothing else from a host that it does not know.
    unknown: bool,
    due: Option<Moment>,
    hello_due: bool,
    quiet_until: Moment,
}

impl FinalReport {
    pub(super) fn new(
        uplink: Uplink,
        cipher: Cipher,
        geometry: Geometry,
        signer: Option<(SessionId, PublicKey)>,
        report: Up,
        unknown: bool,
    ) -> Self {
        Self {
            session: uplink.session(),
            uplink,
            cipher,
            geometry,
            signer,
            report,
            unknown,
            due: None,
            hello_due: false,
            quiet_until: Moment::default(),
        }
    }

    /// The session is still announced: the report is sent once more, `delay` from now.
    pub(super) fn announced(&mut self, now: Moment, delay: Duration) {
        if self.due.is_none() && now >= self.quiet_until {
            self.due = Some(now + delay);
            self.hello_due = self.unknown;
        }
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        self.due
    }

    /// Writes what is due into `out`; returns where it goes.
    pub(super) fn next(
        &mut self,
        now: Moment,
        name: &HostName,
        software: &str,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        if std::mem::take(&mut self.hello_due) {
            let hello =
                Hello { name: name.clone(), software: software.to_owned(), busy: false, kept: Vec::new() };
            return Some(self.uplink.seal(&Up::Hello(hello), out));
        }
        self.due = None;
        self.quiet_until = now + FINAL_REPORT_GAP;
        Some(self.uplink.seal(&self.report, out))
    }

    /// What the sender of this session says. True once nothing is left to be said.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Result<bool, Discard> {
        let ends = |down: &Down| matches!(down, Down::End(_));
        match Down::open(&self.cipher, self.geometry, self.signer, datagram, ends)?.1 {
            Down::Ack(ack) => Ok(self.take_ack(&ack)),
            Down::End(_) => Ok(true),
            Down::Manifest(_) | Down::Poll(_) => Ok(false),
        }
    }

    fn take_ack(&mut self, ack: &Ack) -> bool {
        let ours = self.uplink.is_answered_by(ack);
        self.unknown &= !ours;
        ours && ack.kind != Kind::Hello
    }
}

/// At most so often, however often the session is announced.
const FINAL_REPORT_GAP: Duration = Duration::from_secs(1);

/// Sessions of which the final report is kept; the oldest is forgotten first.
pub(super) const FINAL_REPORTS_MAX: usize = 8;
