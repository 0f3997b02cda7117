//! What a host answers: who it is on the first page, what it holds on those after it.
//!
//! An answer that changes, as while a copy is being hashed, is said anew as its next edition. Pages go one by one: each
//! waits for the one before it to be acknowledged, so that the querier decides how fast they come.

use super::ask::Heard;
use super::bytes::{Reader, Writer, cut, printable};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram};
use super::header::{Header, Kind, UP_CLEAR_BYTES};
use super::up::UpHeader;
use crate::ids::{HostName, ObjectName, ReceiverId, Sequence, SessionTag};
use crate::integrity::Root;
use crate::limits::{
    CONTROL_MAX, CONTROL_SMALL, FINDING_MAX, HELD_MAX, HOST_NAME_MAX, OBJECT_NAME_MAX, SOFTWARE_MAX,
    STORE_TEXT_MAX,
};
use crate::seal::{Cipher, TAG_BYTES};
use crate::time::WallClock;

/// One page of a host's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Counted up with each answer of this host to this query, from 1.
    pub edition: u32,
    /// Pages of this edition, at least one.
    pub pages: u16,
    /// The page; its number follows from what is on it only for the first one.
    pub page: Page,
}

/// What is on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The first one, number 0.
    About(About),
    /// One of those after it.
    Objects {
        /// Its number, 1 to `pages` - 1.
        number: u16,
        /// What the host holds, at least one.
        objects: Vec<Held>,
    },
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: HostName,
    /// Name and version of its program.
    pub software: String,
    /// Its store as its operator writes it, cut to [`STORE_TEXT_MAX`] bytes.
    pub store: String,
    /// Bytes that it can still take; `None` where it could not find out.
    pub free_bytes: Option<u64>,
    /// Objects that it holds, also those that the pages have no room for.
    pub held: u32,
    /// Of those, the ones that it keeps longer than its rules say.
    pub pinned: u32,
    /// How far the answer is.
    pub state: AnswerState,
}

/// How far an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerState {
    /// Nothing more will come.
    Final,
    /// The host hashes its copies; another edition will come.
    Verifying {
        /// Bytes hashed so far.
        done: u64,
        /// Bytes to hash.
        of: u64,
    },
    /// The host has too much to do for this query, and nothing more will come.
    Busy,
    /// The store could not say, and nothing more will come.
    Failed(String),
}

/// An object that a host holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: ObjectName,
    /// Glance's id, where the host knows it.
    pub image_id: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// What it was proven to be.
    pub root: Root,
    /// When it last was.
    pub proven: WallClock,
    /// How long the host keeps it.
    pub kept: Kept,
    /// What became of what was asked.
    pub finding: Finding,
}

/// How long a host keeps an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// By the rule of whoever owns the place; in a directory, until somebody removes it.
    #[default]
    ByRule,
    /// At least until then.
    Until(WallClock),
    /// Until it is let go of.
    Forever,
}

/// What a host did about an object, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing was asked but what it holds.
    Listed,
    /// It is being hashed, or waits for it.
    Pending,
    /// Its bytes hash to what was proven.
    Intact,
    /// Its bytes hash to something else.
    Differs(Root),
    /// It could not be done.
    Failed(String),
    /// It is not kept any more; so long it was.
    LetGo(Kept),
}

impl Answer {
    /// The page's number.
    pub fn page_number(&self) -> u16 {
        match &self.page {
            Page::About(_) => 0,
            Page::Objects { number, .. } => *number,
        }
    }

    /// What acknowledges it.
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
        let header = Header { kind: Kind::Answer, tag, sequence };
        let clear = |out: &mut Writer<'_>| {
            header.emit(out);
            out.bytes(&receiver.0);
        };
        seal_datagram(cipher, sequence, out, clear, |out| self.emit(out));
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
        let mut body =
            Reader::new(open_body(cipher, up.header.sequence, datagram, UP_CLEAR_BYTES, &mut plain)?);
        let (edition, number, pages) = (body.u32()?, body.u16()?, body.u16()?);
        if edition == 0 || number >= pages || usize::from(pages) > PAGES_MAX {
            return Err(Discard::Malformed);
        }
        let page = if number == 0 {
            Page::About(About::parse(&mut body)?)
        } else {
            let count = body.u8()?;
            if count == 0 {
                return Err(Discard::Malformed);
            }
            let objects = (0..count).map(|_| Held::parse(&mut body)).collect::<Result<_, _>>()?;
            Page::Objects { number, objects }
        };
        body.end()?;
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

/// Where the objects of each page begin and end, for datagrams of so many bytes: as many as fit.
pub fn page_breaks(objects: &[Held], answer_bytes_max: usize) -> Vec<std::ops::Range<usize>> {
    let room = answer_bytes_max - PAGE_BYTES;
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
        out.text(cut(&self.software, SOFTWARE_MAX));
        out.text(cut(&self.store, STORE_TEXT_MAX));
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
                out.text(cut(reason, FINDING_MAX));
            }
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            name: HostName::new(body.text(HOST_NAME_MAX)?).map_err(|_| Discard::Malformed)?,
            software: printable(body.text(SOFTWARE_MAX)?),
            store: printable(body.text(STORE_TEXT_MAX)?),
            free_bytes: Some(body.u64()?).filter(|&bytes| bytes != UNKNOWN),
            held: body.u32()?,
            pinned: body.u32()?,
            state: match body.u8()? {
                0 => AnswerState::Final,
                1 => AnswerState::Verifying { done: body.u64()?, of: body.u64()? },
                2 => AnswerState::Busy,
                3 => AnswerState::Failed(printable(body.text(FINDING_MAX)?)),
                _ => return Err(Discard::Malformed),
            },
        })
    }
}

impl Held {
    fn encoded_bytes(&self) -> usize {
        let mut bytes = Vec::with_capacity(HELD_BYTES_MAX);
        self.emit(&mut Writer::new(&mut bytes));
        bytes.len()
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.text(self.name.as_str());
        out.text(self.image_id.as_deref().unwrap_or(""));
        out.u64(self.bytes);
        out.bytes(&self.root.0);
        out.u64(self.proven.0);
        self.kept.emit(out);
        match &self.finding {
            Finding::Listed => out.u8(0),
            Finding::Pending => out.u8(1),
            Finding::Intact => out.u8(2),
            Finding::Differs(root) => {
                out.u8(3);
                out.bytes(&root.0);
            }
            Finding::Failed(reason) => {
                out.u8(4);
                out.text(cut(reason, FINDING_MAX));
            }
            Finding::LetGo(kept) => {
                out.u8(5);
                kept.emit(out);
            }
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            name: ObjectName::new(body.text(OBJECT_NAME_MAX)?).map_err(|_| Discard::Malformed)?,
            image_id: body.image_id()?,
            bytes: body.u64()?,
            root: Root(body.array()?),
            proven: WallClock(body.u64()?),
            kept: Kept::parse(body)?,
            finding: match body.u8()? {
                0 => Finding::Listed,
                1 => Finding::Pending,
                2 => Finding::Intact,
                3 => Finding::Differs(Root(body.array()?)),
                4 => Finding::Failed(printable(body.text(FINDING_MAX)?)),
                5 => Finding::LetGo(Kept::parse(body)?),
                _ => return Err(Discard::Malformed),
            },
        })
    }
}

impl Kept {
    /// Whether it is kept longer than the rule says.
    pub fn is_pinned(self) -> bool {
        self != Self::ByRule
    }

    fn emit(self, out: &mut Writer<'_>) {
        let (code, until) = match self {
            Self::ByRule => (0, 0),
            Self::Until(until) => (1, until.0),
            Self::Forever => (2, 0),
        };
        out.u8(code);
        out.u64(until);
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match (body.u8()?, body.u64()?) {
            (0, 0) => Ok(Self::ByRule),
            (1, until) => Ok(Self::Until(WallClock(until))),
            (2, 0) => Ok(Self::Forever),
            _ => Err(Discard::Malformed),
        }
    }
}

/// Stands for a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// A page for each object and the first one.
const PAGES_MAX: usize = HELD_MAX + 1;

/// What a page of objects has besides them.
const PAGE_BYTES: usize = UP_CLEAR_BYTES + 4 + 2 + 2 + 1 + TAG_BYTES;

/// The longest entry.
const HELD_BYTES_MAX: usize = (1 + OBJECT_NAME_MAX) + (1 + 36) + 8 + 32 + 8 + 9 + 1 + (1 + FINDING_MAX);

const _: () = {
    let about = UP_CLEAR_BYTES
        + (4 + 2 + 2)
        + (1 + HOST_NAME_MAX)
        + (1 + SOFTWARE_MAX)
        + (1 + STORE_TEXT_MAX)
        + (8 + 4 + 4)
        + (1 + 1 + FINDING_MAX)
        + TAG_BYTES;
    assert!(about <= CONTROL_SMALL);
    assert!(PAGE_BYTES + HELD_BYTES_MAX <= CONTROL_SMALL, "a page holds any object");
    assert!(PAGES_MAX <= u16::MAX as usize);
    assert!(FINDING_MAX >= 32, "the longest finding is a text");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_as_many_objects_as_fit_and_all_of_them() {
        let objects: Vec<Held> = (0..300).map(held).collect();
        for max in [CONTROL_SMALL, 1_232, CONTROL_MAX] {
            let pages = page_breaks(&objects, max);
            assert_eq!(pages.iter().cloned().flatten().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
            for (i, page) in pages.iter().enumerate() {
                let bytes: usize = objects[page.clone()].iter().map(Held::encoded_bytes).sum();
                assert!(PAGE_BYTES + bytes <= max, "page {i} of {max}");
                if let Some(next) = objects.get(page.end) {
                    assert!(PAGE_BYTES + bytes + next.encoded_bytes() > max, "page {i} of {max}");
                }
            }
        }
        assert!(page_breaks(&[], CONTROL_SMALL).is_empty());
    }

    #[test]
    fn the_longest_object_fits_the_smallest_page() {
        let mut longest = held(0);
        longest.name = ObjectName::new(&"n".repeat(OBJECT_NAME_MAX)).expect("plain");
        longest.finding = Finding::Failed("f".repeat(3 * FINDING_MAX));
        assert_eq!(longest.encoded_bytes(), HELD_BYTES_MAX);
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
