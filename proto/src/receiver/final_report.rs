//! The final report (done or failed) of a session that this host left without an acknowledgement. If the session is
//! announced again later, the path to the sender may work again, and the sender may be waiting for this report.

use std::net::SocketAddr;
use std::time::Duration;

use super::ReceiverConfig;
use super::session::apart;
use super::uplink::{Greeting, Uplink};
use crate::geometry::Geometry;
use crate::ids::SessionId;
use crate::seal::Cipher;
use crate::sign::Verifier;
use crate::time::Moment;
use crate::wire::{Discard, Down, Header, Kind, Up};

/// An unacknowledged final report, with what is needed to send it.
pub(super) struct FinalReport {
    pub(super) session: SessionId,
    uplink: Uplink,
    cipher: Cipher,
    geometry: Geometry,
    /// Checks the signatures of datagrams to the group.
    signer: Option<Verifier>,
    report: Up,
    /// Set while the hello is unacknowledged too, as the sender accepts nothing else from an unknown host: the time over
    /// which all hosts spread their hellos.
    unknown: Option<Duration>,
    due: Option<Moment>,
    hello_due: bool,
    quiet_until: Moment,
    quiet_for: Duration,
}

impl FinalReport {
    pub(super) fn new(
        uplink: Uplink,
        cipher: Cipher,
        geometry: Geometry,
        signer: Option<Verifier>,
        report: Up,
        unknown: Option<Duration>,
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
            quiet_for: FINAL_REPORT_GAP,
        }
    }

    /// Notes that the session is still announced: the report is sent once more, `delay` from now. All hosts draw the delay
    /// below `spread`.
    pub(super) fn announced(&mut self, now: Moment, delay: Duration, spread: Duration) {
        if self.due.is_none() && now >= self.quiet_until {
            self.due = Some(now + delay);
            self.hello_due = self.unknown.is_some();
            self.quiet_for = FINAL_REPORT_GAP.max(2 * spread);
        }
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        self.due
    }

    /// Writes the datagram that is due into `out`, and returns its address.
    pub(super) fn next(&mut self, now: Moment, me: &ReceiverConfig, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        if std::mem::take(&mut self.hello_due) {
            // The report waits for the next turn of this host, as all others may have as much to say.
            self.due = Some(now + apart(self.unknown.unwrap_or_default()));
            let greeting = Greeting { busy: None, via: None, kept: Vec::new() };
            return Some(self.uplink.greet(me, greeting, out));
        }
        self.due = None;
        self.quiet_until = now + self.quiet_for;
        Some(self.uplink.seal(&self.report, out))
    }

    /// Handles a datagram of this session's sender. `check` allows a check of its signature. Returns whether nothing is
    /// left to be sent.
    pub(super) fn take(
        &mut self,
        header: Header,
        datagram: &[u8],
        check: impl FnOnce() -> Result<(), Discard>,
    ) -> Result<bool, Discard> {
        if header.kind == Kind::Ack {
            let ack = self.uplink.open_ack(datagram)?;
            self.unknown = None;
            return Ok(ack.kind != Kind::Hello);
        }
        let ends = |down: &Down| match down {
            Down::End(_) => check(),
            Down::Manifest(_) | Down::Poll(_) | Down::Audience(_) | Down::Proofs(_) => {
                Err(Discard::NotNeeded)
            }
        };
        let (_, down) = Down::open(&self.cipher, self.geometry, self.signer, datagram, ends)?;
        Ok(matches!(down, Down::End(_)))
    }
}

/// The shortest time between two sendings, however often the session is announced.
const FINAL_REPORT_GAP: Duration = Duration::from_secs(1);

/// The number of final reports that are kept; the oldest is forgotten first.
pub(super) const FINAL_REPORTS_MAX: usize = 8;
