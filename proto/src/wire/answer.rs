//! A page of a host's answer: who the host is on the first page, what it holds on those after it.
//!
//! An answer that changes, as while a copy is being hashed, is sent anew as its next edition. Pages go one by one: each
//! waits for the acknowledgement of the one before it, so that the querier decides how fast they come.
//!
//! ```text
//!   0  10     header, kind 20                                 clear, signed
//!  10   8     receiver id
//!  18   4     edition, from 1                                 sealed, signed
//!  22   2     page
//!  24   2     number of pages, <= 1001
//!             page 0:
//!  26  32       the host's public key
//!  58  32       its agreement key for this query
//!  90   1+n     host name, n <= 128
//!   +   1+n     software, n <= 32
//!   +   1+n     store, n <= 80
//!   +   8       free bytes; all bits set: not known
//!   +   4       objects held
//!   +   4       objects pinned
//!   +  16       digest of all roots
//!   +   1       state: 0 final | 2 busy
//!   +   1+16      1 verifying, then bytes hashed so far, bytes to hash
//!   +   1+1+n     3 failed, then the reason, n <= 96
//!   +   1         4 awaiting a new group key
//!             any other page:
//!  26   1       1 objects | 2 counters
//!  27   1       number of objects, > 0 | number of counters, 1 to 32
//!   +   ...     objects (held.rs)
//!   +   9n      counters, each: 1 which one, 8 its value
//!   +  64     signature                                       sealed
//!   +  16     tag
//! ```

use super::bytes::{Reader, Writer, choice, fields, list, text};
use super::discard::Discard;
use super::envelope::{read_all, sealed_signed};
use super::header::{UP_CLEAR_BYTES, UpHeader};
use super::heard::Heard;
use super::held::Held;
use super::kind::Kind;
use super::signed_up::{Opened, SignedUp};
use crate::agree::AgreementPublic;
use crate::hex::shown_as_hex;
use crate::ids::{HostName, ObjectName, ReceiverId, Sequence};
use crate::integrity::Root;
use crate::limits::{
    CONTROL_MAX, CONTROL_SMALL, COUNTERS_MAX, FINDING_MAX, HELD_MAX, HOST_NAME_MAX, SOFTWARE_MAX,
    STORE_TEXT_MAX,
};
use crate::seal::Cipher;
use crate::sign::{PublicKey, Scope, Signer};

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
    /// A page of what the host has counted, in answer to a diagnosis.
    Counters {
        /// Its number, 1 to `pages` - 1.
        number: u16,
        /// One to [`COUNTERS_MAX`] counters.
        counters: Vec<Counter>,
    },
}

/// One counter of a host's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Which one.
    pub id: u8,
    /// Its value, or how far it has risen.
    pub value: u64,
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The key by which all pages are signed.
    pub key: PublicKey,
    /// Its half of the key that it shares with the querier.
    pub agreement: AgreementPublic,
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
    /// A digest of the roots of all that it holds: as long as it is the same, the host holds the same.
    pub digest: HeldDigest,
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
    /// The host is ready for a new group key; another edition follows once it has it.
    AwaitingKey,
}

/// A digest of what a host holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeldDigest(pub [u8; Self::BYTES]);

impl HeldDigest {
    /// Length on the wire.
    pub const BYTES: usize = 16;

    /// The digest of what has these names and roots, in any order.
    pub fn of<'a>(held: impl IntoIterator<Item = (&'a ObjectName, Root)>) -> Self {
        let mut all: Vec<(&ObjectName, Root)> = held.into_iter().collect();
        all.sort_unstable_by_key(|&(name, root)| (name, root.0));
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v2 held objects: roots, names");
        for (name, root) in all {
            hasher.update(&root.0).update(&[name.as_str().len() as u8]).update(name.as_str().as_bytes());
        }
        let mut digest = [0; Self::BYTES];
        hasher.finalize_xof().fill(&mut digest);
        Self(digest)
    }
}

shown_as_hex!(HeldDigest);

impl Answer {
    /// The page's number.
    pub fn page_number(&self) -> u16 {
        match &self.page {
            Page::About(_) => 0,
            Page::Objects { number, .. } | Page::Counters { number, .. } => *number,
        }
    }

    /// The acknowledgement of this page.
    pub fn heard(&self, receiver: ReceiverId) -> Heard {
        Heard { receiver, edition: self.edition, page: self.page_number() }
    }

    /// Writes the sealed datagram, signed by the host.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Signer<'_>,
        receiver: ReceiverId,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let word = SignedUp { kind: Kind::Answer, cipher, signer, receiver, sequence };
        word.seal(out, |out| self.emit(out));
    }

    /// Opens and reads a datagram whose header was read before. `known` is the key of the host that has this receiver
    /// id; a first page of a host that was not heard yet names its key itself.
    ///
    /// # Errors
    /// Why it is none; [`Discard::UnknownHost`] for another page of a host that was not heard yet.
    pub fn open(
        cipher: &Cipher,
        scope: Scope,
        known: Option<PublicKey>,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<Self, Discard> {
        let mut plain = [0; CONTROL_MAX];
        let opened = Opened::of(Kind::Answer, cipher, up, datagram, &mut plain)?;
        let answer = read_all(opened.body, Self::parse)?;
        let named = match &answer.page {
            Page::About(about) => Some(about.key),
            Page::Objects { .. } | Page::Counters { .. } => None,
        };
        let key = known.or(named).ok_or(Discard::UnknownHost)?;
        if named.is_some_and(|named| named != key) {
            return Err(Discard::BadSignature);
        }
        opened.check(key, scope)?;
        Ok(answer)
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let (edition, number, pages) = (body.u32()?, body.u16()?, body.u16()?);
        if edition == 0 || number >= pages || usize::from(pages) > PAGES_MAX {
            return Err(Discard::Malformed);
        }
        let page =
            if number == 0 { Page::About(About::parse(body)?) } else { Self::parse_further(number, body)? };
        Ok(Self { edition, pages, page })
    }

    fn parse_further(number: u16, body: &mut Reader<'_>) -> Result<Page, Discard> {
        let (what, count) = (body.u8()?, body.u8()?);
        match what {
            _ if count == 0 => Err(Discard::Malformed),
            OBJECTS => {
                let objects = (0..count).map(|_| Held::parse(body)).collect::<Result<_, _>>()?;
                Ok(Page::Objects { number, objects })
            }
            COUNTERS if usize::from(count) <= COUNTERS_MAX => {
                let counter = |_| Ok(Counter { id: body.u8()?, value: body.u64()? });
                let counters = (0..count).map(counter).collect::<Result<_, _>>()?;
                Ok(Page::Counters { number, counters })
            }
            _ => Err(Discard::Malformed),
        }
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u32(self.edition);
        out.u16(self.page_number());
        out.u16(self.pages);
        match &self.page {
            Page::About(about) => about.emit(out),
            Page::Objects { objects, .. } => {
                out.u8(OBJECTS);
                out.u8(u8::try_from(objects.len()).expect("a page's objects are counted in a byte"));
                objects.iter().for_each(|held| held.emit(out));
            }
            Page::Counters { counters, .. } => {
                assert!((1..=COUNTERS_MAX).contains(&counters.len()));
                out.u8(COUNTERS);
                out.u8(counters.len() as u8);
                for counter in counters {
                    out.u8(counter.id);
                    out.u64(counter.value);
                }
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
        out.bytes(&self.key.0);
        out.bytes(&self.agreement.0);
        out.text(self.name.as_str());
        out.cut_text(&self.software, SOFTWARE_MAX);
        out.cut_text(&self.store, STORE_TEXT_MAX);
        out.u64(self.free_bytes.unwrap_or(UNKNOWN));
        out.u32(self.held);
        out.u32(self.pinned);
        out.bytes(&self.digest.0);
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
            AnswerState::AwaitingKey => out.u8(4),
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            key: PublicKey(body.array()?),
            agreement: AgreementPublic(body.array()?),
            name: body.host_name()?,
            software: body.printable(SOFTWARE_MAX)?,
            store: body.printable(STORE_TEXT_MAX)?,
            free_bytes: Some(body.u64()?).filter(|&bytes| bytes != UNKNOWN),
            held: body.u32()?,
            pinned: body.u32()?,
            digest: HeldDigest(body.array()?),
            state: match body.u8()? {
                0 => AnswerState::Final,
                1 => AnswerState::Verifying { done: body.u64()?, of: body.u64()? },
                2 => AnswerState::Busy,
                3 => AnswerState::Failed(body.printable(FINDING_MAX)?),
                4 => AnswerState::AwaitingKey,
                _ => return Err(Discard::Malformed),
            },
        })
    }
}

const OBJECTS: u8 = 1;
const COUNTERS: u8 = 2;

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
        KEY: PublicKey::BYTES,
        AGREEMENT: AgreementPublic::BYTES,
        NAME: text(HOST_NAME_MAX),
        SOFTWARE: text(SOFTWARE_MAX),
        STORE: text(STORE_TEXT_MAX),
        FREE_BYTES: 8,
        HELD: 4,
        PINNED: 4,
        DIGEST: HeldDigest::BYTES,
        STATE: choice(text(FINDING_MAX)),
    }
}

/// A page of objects without them.
const PAGE_FIXED_BYTES: usize = sealed_signed(UP_CLEAR_BYTES, Fixed::BYTES + choice(list(0, 0)));

/// The longest first page.
pub(super) const ROOM: usize = sealed_signed(UP_CLEAR_BYTES, Fixed::BYTES + AboutFields::BYTES);

const _: () = {
    assert!(ROOM <= CONTROL_SMALL, "a first page fits every path");
    assert!(PAGE_FIXED_BYTES + Held::BYTES_MAX <= CONTROL_SMALL, "a page holds any object");
    assert!(PAGES_MAX <= u16::MAX as usize);
    let counters = choice(list(COUNTERS_MAX, 1 + 8));
    assert!(
        sealed_signed(UP_CLEAR_BYTES, Fixed::BYTES + counters) <= CONTROL_SMALL,
        "all counters fit a page"
    );
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

    #[test]
    fn a_page_is_full_when_no_byte_of_it_is_left() {
        let objects: Vec<Held> = (0..4).map(|_| held(0)).collect();
        let two = PAGE_FIXED_BYTES + 2 * objects[0].encoded_bytes();
        assert_eq!(page_breaks(&objects, two), [0..2, 2..4]);
        assert_eq!(page_breaks(&objects, two - 1), [0..1, 1..2, 2..3, 3..4]);
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
