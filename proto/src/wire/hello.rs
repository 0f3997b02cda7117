//! The hello: a host takes part. It is signed by the host, and has what all further keys of this host follow from.
//!
//! ```text
//!   0  10     header, kind 16                                 clear, signed
//!  10   8     receiver id
//!  18  32     the host's public key                           sealed, signed
//!  50  32     its agreement key for this session
//!  82   1+n   host name, n <= 128
//!   +   1+n   software, n <= 32
//!   +   1     flags: 1 busy | 2 can relay
//!   +   1+n   if busy: the name of what it is at work on, n <= 48, cut; empty: not known
//!   +   2     MTU of the interface, 0: not known
//!   +   1 | 7 | 19   via: 0 nothing heard | family 4 | 6, address, port
//!   +   1     number of kept runs m, <= 16
//!   +   8m    kept runs, each: 4 first block, 4 blocks
//!   +  64     signature                                       sealed
//!   +  16     tag
//! ```

use std::net::SocketAddr;

use super::bytes::{ADDRESS, Reader, Writer, fields, list, text};
use super::discard::Discard;
use super::envelope::{read_all, sealed_signed};
use super::header::{UP_CLEAR_BYTES, UpHeader};
use super::kind::Kind;
use super::runs::KeptRun;
use super::signed_up::{Opened, SignedUp};
use crate::agree::AgreementPublic;
use crate::geometry::Geometry;
use crate::ids::{HostName, ReceiverId, Sequence};
use crate::limits::{BUSY_WITH_MAX, CONTROL_MAX, CONTROL_SMALL, HELD_RUNS_MAX, HOST_NAME_MAX, SOFTWARE_MAX};
use crate::seal::Cipher;
use crate::sign::{PublicKey, SIGNATURE_BYTES, Scope, Signer};

/// A host that takes part, or will as soon as it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its public half of the key that it shares with the sender of this session.
    pub agreement: AgreementPublic,
    /// Its name.
    pub name: HostName,
    /// Name and version of its program, for the table.
    pub software: String,
    /// If the host is at work on another session and joins this one afterwards: the name of the object there, cut to
    /// [`BUSY_WITH_MAX`] bytes; empty where it is not known.
    pub busy: Option<String>,
    /// The host forwards to others if the sender asks it to.
    pub can_relay: bool,
    /// MTU of its interface in bytes; `None` where it is not known.
    pub mtu: Option<u16>,
    /// Where the last datagram to the group came from: the sender, or a relay.
    pub via: Option<SocketAddr>,
    /// What it kept of an earlier session of the same object, ascending.
    pub kept: Vec<KeptRun>,
}

/// A hello as it came: opened, its signature not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// What it says.
    pub hello: Hello,
    /// The key that claims to have signed it.
    pub key: PublicKey,
    header: [u8; UP_CLEAR_BYTES],
    signed: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Greeting {
    /// Checks that the holder of the key has signed it, for this session of this group.
    ///
    /// # Errors
    /// [`Discard::BadSignature`]
    pub fn verify(&self, scope: Scope) -> Result<(), Discard> {
        let good = self.key.within(scope).verify(&self.header, &self.signed, &self.signature);
        if good { Ok(()) } else { Err(Discard::BadSignature) }
    }
}

impl Hello {
    /// Writes the sealed datagram, signed by the host.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Signer<'_>,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let word = SignedUp { kind: Kind::Hello, cipher, signer, receiver, sequence };
        word.seal(out, |out| self.emit(signer.public(), out));
    }

    /// Opens and reads a datagram whose header was read before.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(
        cipher: &Cipher,
        geometry: Geometry,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<Greeting, Discard> {
        let mut plain = [0; CONTROL_MAX];
        let Opened { body, signature, .. } = Opened::of(Kind::Hello, cipher, up, datagram, &mut plain)?;
        let (key, hello) = read_all(body, |body| Self::parse(geometry, body))?;
        let header = *datagram.first_chunk().ok_or(Discard::TooShort)?;
        Ok(Greeting { hello, key, header, signed: body.to_vec(), signature: *signature })
    }

    fn emit(&self, key: PublicKey, out: &mut Writer<'_>) {
        out.bytes(&key.0);
        out.bytes(&self.agreement.0);
        out.text(self.name.as_str());
        out.cut_text(&self.software, SOFTWARE_MAX);
        out.u8(if self.busy.is_some() { BUSY } else { 0 } | if self.can_relay { CAN_RELAY } else { 0 });
        if let Some(name) = &self.busy {
            out.cut_text(name, BUSY_WITH_MAX);
        }
        out.u16(self.mtu.unwrap_or(0));
        out.maybe_address(self.via);
        KeptRun::emit_all(&self.kept, HELD_RUNS_MAX, out);
    }

    fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<(PublicKey, Self), Discard> {
        let (key, agreement) = (PublicKey(body.array()?), AgreementPublic(body.array()?));
        let (name, software, flags) = (body.host_name()?, body.printable(SOFTWARE_MAX)?, body.u8()?);
        if flags & !(BUSY | CAN_RELAY) != 0 {
            return Err(Discard::Malformed);
        }
        let hello = Self {
            agreement,
            name,
            software,
            busy: if flags & BUSY != 0 { Some(body.printable(BUSY_WITH_MAX)?) } else { None },
            can_relay: flags & CAN_RELAY != 0,
            mtu: Some(body.u16()?).filter(|&mtu| mtu != 0),
            via: body.maybe_address()?,
            kept: KeptRun::parse_all(geometry, HELD_RUNS_MAX, body)?,
        };
        Ok((key, hello))
    }
}

const BUSY: u8 = 1;
const CAN_RELAY: u8 = 2;

fields! {
    Body {
        KEY: PublicKey::BYTES,
        AGREEMENT: AgreementPublic::BYTES,
        NAME: text(HOST_NAME_MAX),
        SOFTWARE: text(SOFTWARE_MAX),
        FLAGS: 1,
        BUSY_WITH: text(BUSY_WITH_MAX),
        MTU: 2,
        VIA: ADDRESS,
        KEPT: list(HELD_RUNS_MAX, KeptRun::BYTES),
    }
}

/// The longest hello.
pub(super) const ROOM: usize = sealed_signed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a hello fits every path");
