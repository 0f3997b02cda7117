//! The vocabulary between the machine and its shell: effects, their outcomes, timers and events.

use crate::ids::{BlockIndex, SessionId};
use crate::integrity::{BlockHash, Root};
use crate::receiver::intake::{GaveUp, Intake};
use crate::receiver::table::{BufferId, Collected, Place, Sifted, Work};
use crate::senders::Sender;
use crate::sign::PublicKey;
use crate::wire::{Announce, BaseName, Discard, FailureKind};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;

/// One attempt of this host at a session. Effects and their outcomes have its number, so that a session that is
/// lost and joined again does not take outcomes of the earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub(super) u64);

impl Attempt {
    /// Returns the number, which is higher than that of any earlier attempt of the same receiver.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Work that the machine asks its shell for. `U` is the shell's handle of an unfinished file, `E` that of a file
/// that existed before. The machine keeps both for the shell, and hands them out with the work on them.
#[derive(Debug)]
pub enum Effect<U, E> {
    /// Allocate this number of buffers of [`buffer_bytes`](super::buffer_bytes): symbols may arrive from now on.
    /// There is no answer.
    Prepare(Attempt, Box<Announce>, u16),
    /// Find a place for this object. Comes only when no unfinished file of an earlier attempt is in use. Answer:
    /// [`Receiver::handle_opened`](super::Receiver::handle_opened).
    Open(Attempt, Box<Announce>),
    /// Index this base. Answer: [`Receiver::handle_base`](super::Receiver::handle_base).
    LookThrough(Attempt, BaseName),
    /// Prove a block and write it to this file. Answer: [`Receiver::handle_block`](super::Receiver::handle_block).
    Block(Attempt, Work, U),
    /// Publish this file: every block is written, and the root is the one that the sender vouches for. Answer:
    /// [`Receiver::handle_published`](super::Receiver::handle_published).
    Publish(Attempt, U, Proof),
    /// Hash the existing file and report whether this is its root. Answer:
    /// [`Receiver::handle_published`](super::Receiver::handle_published).
    Compare(Attempt, E, Root),
    /// Free the buffers of this attempt, and answer at once any work on it that has not begun. There is no answer
    /// to this effect itself.
    Leave(Attempt),
    /// Put this file away once nothing writes to it. Answer:
    /// [`Receiver::handle_put_away`](super::Receiver::handle_put_away).
    PutAway(U, Leftover),
}

/// What becomes of an unfinished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// It is kept, and a later session of the same object resumes from it.
    Kept,
    /// It is deleted.
    Discarded,
}

/// Whether the shell accepts work on another block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRoom {
    /// It accepts a block.
    Free,
    /// It accepts none.
    Full,
}

/// Evidence that every block of an object is proven and written, and that their root is the one that the sender
/// vouches for. Only the machine makes one, and a store publishes nothing without it.
#[derive(Debug)]
pub struct Proof {
    pub(super) root: Root,
}

impl Proof {
    /// Returns the root that is proven.
    pub fn root(&self) -> Root {
        self.root
    }
}

/// What the store found when it was asked for a place for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened<U, E> {
    /// A new place, or that of an earlier session.
    Unfinished {
        /// The file.
        file: U,
        /// Blocks that an earlier session may have written, in ascending order. The host asks for those that do not
        /// match the manifest.
        kept: Vec<BlockIndex>,
    },
    /// A file of this name and length exists.
    Existing(E),
}

/// Why this host cannot go on with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the reason.
    pub kind: FailureKind,
    /// The reason as text, for people.
    pub reason: String,
}

impl Failure {
    /// Returns a failure with its reason.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// How the work on a block ended.
#[derive(Debug)]
pub enum BlockOutcome {
    /// The block is proven and written.
    Written {
        /// The number of source symbols that did not arrive and were computed.
        repaired: u32,
    },
    /// A block of zeros is in its place, and this is its hash.
    Zeros(BlockHash),
    /// The symbols do not determine the block yet.
    Undecodable,
    /// The block does not match the manifest. The symbols in its buffer are as they came.
    Corrupt,
    /// The symbols were compared with their hashes, and those that differ were dropped.
    Sifted(Sifted),
    /// The bytes that were kept of the block, or found elsewhere, do not match the manifest or cannot be read.
    NotKept,
    /// The store failed.
    Failed(Failure),
}

/// A buffer that the work on a block returns, and its contents.
#[derive(Debug)]
pub struct Returned {
    /// The buffer.
    pub buffer: BufferId,
    /// The symbols in the buffer.
    pub collected: Box<Collected>,
}

/// How publishing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file was published under its name.
    New,
    /// The same bytes existed before.
    Existing,
}

/// Where the symbol of a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Open it into this place, then call [`Receiver::accept`](super::Receiver::accept).
    To(Place),
    /// It is of no use. Open it into a scratch place, then call
    /// [`Receiver::note_spare`](super::Receiver::note_spare): only datagrams that open count as received.
    Spare(Discard),
}

/// The reason for the next timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverTimer {
    /// A datagram of the session is due.
    Session,
    /// The sender was silent for too long, or has not acknowledged the final report.
    Expiry,
    /// A sender must learn that this host is busy, or why it refuses the session.
    Waiting,
    /// An unacknowledged final report is to be sent again.
    FinalReport,
    /// A sender of another version must learn which one this host speaks.
    Notice,
}

/// An event for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverEvent {
    /// This host takes part in a session.
    Joined(Box<Announce>),
    /// A block did not match the manifest. The sender is asked for the hashes of its symbols, or for all of it again.
    Corrupt(SessionId, BlockIndex),
    /// Symbols of such a block were not the sender's, and were dropped.
    Forged {
        /// The session.
        session: SessionId,
        /// The block.
        block: BlockIndex,
        /// The number of forged symbols.
        forged: u32,
        /// The number of symbols that were dropped because the sender gave no hash.
        unproven: u32,
        /// The numbers of the first few forged symbols.
        first_forged: Vec<Esi>,
        /// Addresses besides the sender's from which symbols of this session came, as far as known, and how many.
        strangers: Vec<(SocketAddr, u64)>,
    },
    /// The object is published.
    Published {
        /// The session.
        session: SessionId,
        /// The root of the object.
        root: Root,
        /// Whether the same bytes existed before.
        existing: bool,
        /// What the host took in for it.
        intake: Box<Intake>,
    },
    /// This host leaves a session that it has hardly begun for one that was started earlier. It joins it again
    /// afterwards.
    Yielded {
        /// The session that it leaves.
        session: SessionId,
        /// The session that it joins.
        to: SessionId,
    },
    /// This host gave up or left the session, which published nothing.
    Failed {
        /// The session.
        session: SessionId,
        /// The reason in words.
        reason: String,
        /// The kind of the reason.
        why: GaveUp,
        /// What the host had taken in.
        intake: Box<Intake>,
    },
    /// The sender at this address did not acknowledge this host's final report in time.
    Unacknowledged {
        /// The session.
        session: SessionId,
        /// Where hosts answer.
        sender: SocketAddr,
    },
    /// The sender at this address did not acknowledge this host's hello so far, though its announcements arrive.
    /// Reported once for a session.
    Unanswered {
        /// The session.
        session: SessionId,
        /// Where hosts answer.
        sender: SocketAddr,
    },
    /// Announcements and polls of a session arrive, and none of its symbols, though some were sent. Reported once for a
    /// session.
    Deaf {
        /// The session.
        session: SessionId,
        /// MTU of this host's interface in bytes, where it is known.
        mtu: Option<u16>,
    },
    /// Announcements under another group key arrive from this address. Reported once for a session.
    WrongKey(SocketAddr),
    /// A sender with the group key that this host does not list, or that does not sign, announces a push. Reported
    /// once for a session.
    UnknownSender(SocketAddr, Option<PublicKey>),
    /// A sender whose entry in this host's list has expired announces a push. Reported once for a session.
    ExpiredSender(SocketAddr, Box<Sender>),
    /// The sender's clock and the host's differ by this much, so its announcements are refused. Reported once for a
    /// session.
    Stale(SocketAddr, Duration),
    /// A sender at this address uses another protocol version. Reported once for a session.
    OtherVersion(SocketAddr, u8),
}
