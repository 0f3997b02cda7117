//! What a relay has forwarded under its lease.
//!
//! ```text
//!   0  10    header, kind 21                                  clear, signed
//!  10   8    receiver id
//!  18   4    generation of the lease                          sealed, signed
//!  22   8    datagrams in
//!  30   8    datagrams forwarded
//!  38   8    datagrams dropped: queue full
//!  46   8    datagrams dropped: above the relay's rate
//!  54   8    gaps in the numbers from the parent
//!  62   2    load in thousandths
//!  64  32    the host's public key
//!  96  64    signature by it                                  sealed
//! 160  16    tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::{read_all, sealed_signed};
use super::header::{UP_CLEAR_BYTES, UpHeader};
use super::kind::Kind;
use super::signed_up::{Opened, SignedUp};
use crate::ids::{ReceiverId, Sequence};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};
use crate::seal::Cipher;
use crate::sign::{PublicKey, Scope, Signer};

/// What a relay has forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteAck {
    /// The lease that it follows.
    pub generation: u32,
    /// Datagrams that came from its parent and opened.
    pub came: u64,
    /// Of those, datagrams that left, each counted once whatever the number of its copies.
    pub forwarded: u64,
    /// Datagrams that were dropped as the queue was full.
    pub dropped_queue: u64,
    /// Datagrams that were dropped as they were above the relay's own rate.
    pub dropped_rate: u64,
    /// Numbers that never came from the parent.
    pub parent_gaps: u64,
    /// Thousandths of the relay's own rate that were used since its last acknowledgement.
    pub load: u16,
}

impl RouteAck {
    /// Writes the sealed datagram, signed by the host.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Signer<'_>,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let word = SignedUp { kind: Kind::RouteAck, cipher, signer, receiver, sequence };
        word.seal(out, |out| self.emit(signer.public(), out));
    }

    /// Opens and reads a datagram whose header was read before; returns the key by which it is signed, which was checked.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(
        cipher: &Cipher,
        scope: Scope,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<(Self, PublicKey), Discard> {
        let mut plain = [0; CONTROL_MAX];
        let opened = Opened::of(Kind::RouteAck, cipher, up, datagram, &mut plain)?;
        let (ack, key) = read_all(opened.body, Self::parse)?;
        opened.check(key, scope)?;
        Ok((ack, key))
    }

    fn emit(&self, key: PublicKey, out: &mut Writer<'_>) {
        out.u32(self.generation);
        for count in [self.came, self.forwarded, self.dropped_queue, self.dropped_rate, self.parent_gaps] {
            out.u64(count);
        }
        out.u16(self.load);
        out.bytes(&key.0);
    }

    fn parse(body: &mut Reader<'_>) -> Result<(Self, PublicKey), Discard> {
        let ack = Self {
            generation: body.u32()?,
            came: body.u64()?,
            forwarded: body.u64()?,
            dropped_queue: body.u64()?,
            dropped_rate: body.u64()?,
            parent_gaps: body.u64()?,
            load: body.u16()?,
        };
        Ok((ack, PublicKey(body.array()?)))
    }
}

fields! {
    Body {
        GENERATION: 4,
        COUNTS: 5 * 8,
        LOAD: 2,
        KEY: PublicKey::BYTES,
    }
}

/// The length of such an acknowledgement.
pub(super) const ROOM: usize = sealed_signed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "it fits every path");
