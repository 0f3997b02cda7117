//! The final report (done or failed) of a session that this host left without an acknowledgement. If the session is
//! announced again later, the path to the sender may work again, and the sender may be waiting for this report.

use std::net::SocketAddr;
use std::time::Duration;

use super::uplink::Uplink;
use crate::geometry::Geometry;
use crate::ids::{HostName, SessionId};
use crate::seal::Cipher;
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{Ack, Discard, Down, Hello, Kind, Up};

/// An unacknowledged final report, with what is needed to send it.
pub(super) struct FinalReport {
    pub(super) session: SessionId,
    uplink: Uplink,
    cipher: Cipher,
    geometry: Geometry,
    /// The key that signs datagrams to the group, and its session.
    signer: Option<(SessionId, PublicKey)>,
    report: Up,
    /// Whether the hello is unacknowledged too: the sender accepts nothing else from an unknown host.
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

    /// Notes that the session is still announced: the report is sent once more, `delay` from now.
    pub(super) fn announced(&mut self, now: Moment, delay: Duration) {
        if self.due.is_none() && now >= self.quiet_until {
            self.due = Some(now + delay);
            self.hello_due = self.unknown;
        }
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        self.due
    }

    /// Writes the datagram that is due into `out`, and returns its address.
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

    /// Handles a datagram of this session's sender. Returns whether nothing is left to be sent.
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

/// The shortest time between two sendings, however often the session is announced.
const FINAL_REPORT_GAP: Duration = Duration::from_secs(1);

/// The number of final reports that are kept; the oldest is forgotten first.
pub(super) const FINAL_REPORTS_MAX: usize = 8;
