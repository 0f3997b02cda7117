//! A page of a host's answer: who the host is on the first page, what it holds on those after it.
//!
//! An answer that changes, as while a copy is being hashed, is sent anew as its next edition. Pages go one by one: each
//! waits for the acknowledgement of the one before it, so that the querier decides how fast they come.
//!
//! ```text
//!   0  10     header, kind 20                                 clear
//!  10   8     receiver id
//!  18   4     edition, from 1                                 sealed
//!  22   2     page
//!  24   2     number of pages, <= 1001
//!             page 0:
//!  26   1+n     host name, n <= 128
//!   +   1+n     software, n <= 32
//!   +   1+n     store, n <= 128
//!   +   8       free bytes; all bits set: not known
//!   +   4       objects held
//!   +   4       objects pinned
//!   +   1       state: 0 final | 2 busy
//!   +   1+16      1 verifying, then bytes hashed so far, bytes to hash
//!   +   1+1+n     3 failed, then the reason, n <= 128
//!             any other page:
//!  26   1       number of objects, > 0
//!   +   ...     objects (held.rs)
//!   +  16     tag
//! ```

use super::bytes::{Reader, Writer, choice, fields, list, text};
use super::discard::Discard;
use super::envelope::{Envelope, open, read_all, sealed};
use super::header::{Header, UP_CLEAR_BYTES, UpHeader};
use super::heard::Heard;
use super::held::Held;
use super::kind::Kind;
use crate::ids::{HostName, ReceiverId, Sequence, SessionTag};
use crate::limits::{
    CONTROL_MAX, CONTROL_SMALL, FINDING_MAX, HELD_MAX, HOST_NAME_MAX, SOFTWARE_MAX, STORE_TEXT_MAX,
};
use crate::seal::Cipher;

/// One page of a host's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Counted up with each answer of this host to this query, from 1.
    pub edition: u32,
    /// Pages of this edition, at least one.
    pub pages: u16,
    /// What is on the page.
    pub page: Page,
}

/// What is on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The first page, number 0.
    About(About),
    /// A page after it.
    Objects {
        /// Its number, 1 to `pages` - 1.
        number: u16,
        /// What the host holds, at least one.
        objects: Vec<Held>,
    },
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: HostName,
    /// Name and version of its program.
    pub software: String,
    /// Its store as its operator writes it, cut off after [`STORE_TEXT_MAX`] bytes.
    pub store: String,
    /// Free bytes in its store; `None` where the host could not find out.
    pub free_bytes: Option<u64>,
    /// Number of objects that it holds, including those for which the pages have no room.
    pub held: u32,
    /// How many of them it keeps longer than its rules say.
    pub pinned: u32,
    /// Whether the answer is final.
    pub state: AnswerState,
}

/// How far an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerState {
    /// No further edition will follow.
    Final,
    /// The host hashes its copies; another edition will follow.
    Verifying {
        /// Bytes hashed so far.
        done: u64,
        /// Bytes to hash.
        of: u64,
    },
    /// The host has too many other queries, and no further edition will follow.
    Busy,
    /// The store failed, and no further edition will follow.
    Failed(String),
}

impl Answer {
    /// The page's number.
    pub fn page_number(&self) -> u16 {
        match &self.page {
            Page::About(_) => 0,
            Page::Objects { number, .. } => *number,
        }
    }

    /// The acknowledgement of this page.
    pub fn heard(&self, receiver: ReceiverId) -> Heard {
        Heard { receiver, edition: self.edition, page: self.page_number() }
    }

    /// Writes the sealed datagram.
    pub fn seal(
        &self,
        cipher: &Cipher,
        tag: SessionTag,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = UpHeader { header: Header { kind: Kind::Answer, tag, sequence }, receiver };
        let envelope = Envelope { cipher, sequence, signer: None };
        envelope.seal(out, |out| header.emit(out), |out| self.emit(out));
    }

    /// Opens and reads a datagram whose header was read before.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, up: UpHeader, datagram: &[u8]) -> Result<Self, Discard> {
        if up.header.kind != Kind::Answer {
            return Err(Discard::UnknownKind);
        }
        let mut plain = [0; CONTROL_MAX];
        let body = open(cipher, up.header.sequence, datagram, UP_CLEAR_BYTES, &mut plain)?;
        read_all(body, Self::parse)
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let (edition, number, pages) = (body.u32()?, body.u16()?, body.u16()?);
        if edition == 0 || number >= pages || usize::from(pages) > PAGES_MAX {
            return Err(Discard::Malformed);
        }
        let page = if number == 0 {
            Page::About(About::parse(body)?)
        } else {
            let count = body.u8()?;
            if count == 0 {
                return Err(Discard::Malformed);
            }
            let objects = (0..count).map(|_| Held::parse(body)).collect::<Result<_, _>>()?;
            Page::Objects { number, objects }
        };
        Ok(Self { edition, pages, page })
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u32(self.edition);
        out.u16(self.page_number());
        out.u16(self.pages);
        match &self.page {
            Page::About(about) => about.emit(out),
            Page::Objects { objects, .. } => {
                out.u8(u8::try_from(objects.len()).expect("a page's objects are counted in a byte"));
                objects.iter().for_each(|held| held.emit(out));
            }
        }
    }
}

/// The range of objects on each page, as many as fit into a datagram of `answer_bytes_max` bytes.
pub fn page_breaks(objects: &[Held], answer_bytes_max: usize) -> Vec<std::ops::Range<usize>> {
    let room = answer_bytes_max - PAGE_FIXED_BYTES;
    let mut pages = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, held) in objects.iter().enumerate() {
        let bytes = held.encoded_bytes();
        if used + bytes > room || at - start == usize::from(u8::MAX) {
            pages.push(start..at);
            (start, used) = (at, 0);
        }
        used += bytes;
    }
    if start < objects.len() {
        pages.push(start..objects.len());
    }
    pages
}

impl About {
    fn emit(&self, out: &mut Writer<'_>) {
        out.text(self.name.as_str());
        out.cut_text(&self.software, SOFTWARE_MAX);
        out.cut_text(&self.store, STORE_TEXT_MAX);
        out.u64(self.free_bytes.unwrap_or(UNKNOWN));
        out.u32(self.held);
        out.u32(self.pinned);
        match &self.state {
            AnswerState::Final => out.u8(0),
            AnswerState::Verifying { done, of } => {
                out.u8(1);
                out.u64(*done);
                out.u64(*of);
            }
            AnswerState::Busy => out.u8(2),
            AnswerState::Failed(reason) => {
                out.u8(3);
                out.cut_text(reason, FINDING_MAX);
            }
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            name: body.host_name()?,
            software: body.printable(SOFTWARE_MAX)?,
            store: body.printable(STORE_TEXT_MAX)?,
            free_bytes: Some(body.u64()?).filter(|&bytes| bytes != UNKNOWN),
            held: body.u32()?,
            pinned: body.u32()?,
            state: match body.u8()? {
                0 => AnswerState::Final,
                1 => AnswerState::Verifying { done: body.u64()?, of: body.u64()? },
                2 => AnswerState::Busy,
                3 => AnswerState::Failed(body.printable(FINDING_MAX)?),
                _ => return Err(Discard::Malformed),
            },
        })
    }
}

/// Stands for a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// The first page and, at most, one for each object.
const PAGES_MAX: usize = HELD_MAX + 1;

fields! {
    Fixed {
        EDITION: 4,
        PAGE: 2,
        PAGES: 2,
    }
}

fields! {
    AboutFields {
        NAME: text(HOST_NAME_MAX),
        SOFTWARE: text(SOFTWARE_MAX),
        STORE: text(STORE_TEXT_MAX),
        FREE_BYTES: 8,
        HELD: 4,
        PINNED: 4,
        STATE: choice(text(FINDING_MAX)),
    }
}

/// A page of objects without them.
const PAGE_FIXED_BYTES: usize = sealed(UP_CLEAR_BYTES, Fixed::BYTES + list(0, 0));

/// The longest first page.
pub(super) const ROOM: usize = sealed(UP_CLEAR_BYTES, Fixed::BYTES + AboutFields::BYTES);

const _: () = {
    assert!(ROOM <= CONTROL_SMALL, "a first page fits every path");
    assert!(PAGE_FIXED_BYTES + Held::BYTES_MAX <= CONTROL_SMALL, "a page holds any object");
    assert!(PAGES_MAX <= u16::MAX as usize);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ObjectName;
    use crate::integrity::Root;
    use crate::time::WallClock;
    use crate::wire::{Finding, Kept};

    #[test]
    fn pages_hold_as_many_objects_as_fit_and_all_of_them() {
        let objects: Vec<Held> = (0..300).map(held).collect();
        for max in [CONTROL_SMALL, 1_232, CONTROL_MAX] {
            let pages = page_breaks(&objects, max);
            assert_eq!(pages.iter().cloned().flatten().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
            for (i, page) in pages.iter().enumerate() {
                let bytes: usize = objects[page.clone()].iter().map(Held::encoded_bytes).sum();
                assert!(PAGE_FIXED_BYTES + bytes <= max, "page {i} of {max}");
                if let Some(next) = objects.get(page.end) {
                    assert!(PAGE_FIXED_BYTES + bytes + next.encoded_bytes() > max, "page {i} of {max}");
                }
            }
        }
        assert!(page_breaks(&[], CONTROL_SMALL).is_empty());
    }

    fn held(i: usize) -> Held {
        Held {
            name: ObjectName::new(&"image".repeat(1 + i % 7)).expect("plain"),
            image_id: Some("0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11".into()),
            bytes: i as u64,
            root: Root([7; 32]),
            proven: WallClock(1),
            kept: Kept::Forever,
            finding: Finding::Listed,
        }
    }
}
