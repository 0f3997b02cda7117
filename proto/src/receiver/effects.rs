//! What the machine asks of its shell and what it is answered: the words between the two.

use crate::ids::{BlockIndex, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::receiver::table::{BufferId, Collected, Place, Work};
use crate::sign::PublicKey;
use crate::wire::{Announce, Discard, FailureKind};
use std::net::SocketAddr;
use std::time::Duration;

/// One attempt of this host at a session. Effects and their answers bear its number, as a session that is lost and
/// joined again must not take answers from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub(super) u64);

impl Attempt {
    /// Its number: each attempt of a receiver has a higher one than those before.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Work that the machine asks for.
#[derive(Debug)]
pub enum Effect {
    /// Prepare a place for this object, and so many buffers of [`buffer_bytes`](super::buffer_bytes). Answer: [`Receiver::handle_opened`](super::Receiver::handle_opened).
    /// Where the announcement names a base, it is looked through, too: [`Receiver::handle_base`](super::Receiver::handle_base).
    Open(Attempt, Box<Announce>, u16),
    /// Prove and write a block. Answer: [`Receiver::handle_block`](super::Receiver::handle_block).
    Block(Attempt, Work),
    /// Publish: every block is written and the root is what the sender vouches for. Answer:
    /// [`Receiver::handle_published`](super::Receiver::handle_published).
    Publish(Attempt, Proof),
    /// Hash the file that is there and say whether this is its root. Answer: [`Receiver::handle_published`](super::Receiver::handle_published).
    Compare(Attempt, Root),
    /// Throw away what was written in this attempt. No answer.
    Discard(Attempt),
    /// Put away what was written in this attempt: a later session of the same object goes on from it. No answer.
    Suspend(Attempt),
}

/// Every block of an object is proven and written, and their root is the one that the sender vouches for. Only the
/// machine makes one, and a store publishes nothing without it.
#[derive(Debug)]
pub struct Proof {
    pub(super) root: Root,
}

impl Proof {
    /// What is proven.
    pub fn root(&self) -> Root {
        self.root
    }
}

/// What the store found when it was asked for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A place was made.
    New,
    /// The place of an earlier session was found, where these blocks may be written already, ascending. They are asked for
    /// when they turn out not to be what the manifest says.
    Resumed(Vec<BlockIndex>),
    /// A file of this name and length is there.
    Existing,
}

/// How the work on a block ended.
#[derive(Debug)]
pub enum BlockOutcome {
    /// Proven and written; so many source symbols were rebuilt.
    Written {
        /// Source symbols that did not come themselves.
        repaired: u32,
    },
    /// A block of zeros is in its place, and this is its hash.
    Zeros(BlockHash),
    /// The symbols do not determine it yet.
    Undecodable,
    /// It is not what the manifest says.
    Corrupt,
    /// What was kept of it, or lies elsewhere, is not what the manifest says, or cannot be read.
    NotKept,
    /// The store failed.
    Store(FailureKind, String),
}

/// The buffer that a block's work gives back.
pub type Returned = Option<(BufferId, Box<Collected>)>;

/// How publishing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file is there, under its name.
    New,
    /// The same bytes were there before.
    Existing,
    /// It is not there.
    Failed(FailureKind, String),
}

/// Where a datagram's symbol goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Open it to here, then [`Receiver::accept`](super::Receiver::accept).
    To(Place),
    /// It is of no use. Open it to a scratch place, then [`Receiver::note_spare`](super::Receiver::note_spare): only what opens counts as received.
    Spare(Discard),
}

/// Something worth telling a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverEvent {
    /// This host takes part in a session.
    Joined(Box<Announce>),
    /// A block was not what the manifest says and is asked for again.
    Corrupt(SessionId, BlockIndex),
    /// The object is published.
    Published {
        /// Of which session.
        session: SessionId,
        /// What it is.
        root: Root,
        /// It was there before.
        existing: bool,
    },
    /// This host gave up or was told to; nothing is left.
    Failed(SessionId, String),
    /// Announcements of another group key come in here. Told once.
    WrongKey(SocketAddr),
    /// Somebody with the group key announces a push whom this host does not list, or who does not sign. Told once for each
    /// of the first few.
    UnknownSender(SocketAddr, Option<PublicKey>),
    /// A sender's clock and ours are that far apart, so that its announcements are refused. Told once.
    Stale(SocketAddr, Duration),
    /// A sender speaks another version.
    OtherVersion(SocketAddr, u8),
}
