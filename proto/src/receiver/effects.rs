//! What the machine asks of its shell and what it is answered: the words between the two.

use crate::ids::{BlockIndex, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::receiver::table::{BufferId, Collected, Place, Work};
use crate::sign::PublicKey;
use crate::wire::{Announce, BaseName, Discard, FailureKind};
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

/// Work that the machine asks for. `U` is an unfinished file and `E` one that was there before: the shell's own, which the machine
/// keeps for it and hands out with the work on them.
#[derive(Debug)]
pub enum Effect<U, E> {
    /// Make so many buffers of [`buffer_bytes`](super::buffer_bytes): symbols may come from now on. No answer.
    Prepare(Attempt, Box<Announce>, u16),
    /// Find a place for this object. Comes when no unfinished file of an earlier attempt is on its way any more. Answer:
    /// [`Receiver::handle_opened`](super::Receiver::handle_opened).
    Open(Attempt, Box<Announce>),
    /// Look this base through. Answer: [`Receiver::handle_base`](super::Receiver::handle_base).
    LookThrough(Attempt, BaseName),
    /// Prove a block and write it to this file. Answer: [`Receiver::handle_block`](super::Receiver::handle_block).
    Block(Attempt, Work, U),
    /// Publish this file: every block is written and the root is what the sender vouches for. Answer:
    /// [`Receiver::handle_published`](super::Receiver::handle_published).
    Publish(Attempt, U, Proof),
    /// Hash the file that is there and say whether this is its root. Answer: [`Receiver::handle_published`](super::Receiver::handle_published).
    Compare(Attempt, E, Root),
    /// Nothing more is wanted of this attempt: its buffers go, and work on it that has not begun is answered at once. No answer.
    Leave(Attempt),
    /// Put this file away, once nobody writes to it any more. Answer: [`Receiver::handle_put_away`](super::Receiver::handle_put_away).
    PutAway(U, Leftover),
}

/// What becomes of an unfinished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// It is kept: a later session of the same object goes on from it.
    Kept,
    /// It is thrown away.
    Discarded,
}

/// Whether work on another block may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRoom {
    /// The shell has a place for it.
    Free,
    /// The shell has none.
    Full,
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
pub enum Opened<U, E> {
    /// A place was made, or that of an earlier session was found.
    Unfinished {
        /// The file.
        file: U,
        /// Blocks that an earlier session may have written, ascending. They are asked for when they turn out not to be what
        /// the manifest says.
        kept: Vec<BlockIndex>,
    },
    /// A file of this name and length is there.
    Existing(E),
}

/// Why this host cannot go on with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of reason.
    pub kind: FailureKind,
    /// The reason, for people.
    pub reason: String,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
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
    Failed(Failure),
}

/// A buffer that the work on a block gives back, and what is in it.
#[derive(Debug)]
pub struct Returned {
    /// The buffer.
    pub buffer: BufferId,
    /// The symbols that are in it.
    pub collected: Box<Collected>,
}

/// How publishing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file is there, under its name.
    New,
    /// The same bytes were there before.
    Existing,
}

/// Where a datagram's symbol goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Open it to here, then [`Receiver::accept`](super::Receiver::accept).
    To(Place),
    /// It is of no use. Open it to a scratch place, then [`Receiver::note_spare`](super::Receiver::note_spare): only what opens counts as received.
    Spare(Discard),
}

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverTimer {
    /// Something is to be said in the session.
    Session,
    /// The sender was not heard for too long, or has not acknowledged the final report.
    Expiry,
    /// A sender is to be told that this host is busy, or why it takes no part.
    Waiting,
    /// A final report that was never acknowledged is to be said again.
    FinalReport,
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
