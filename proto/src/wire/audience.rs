//! Which hosts a push or a query is for: all, or those whose names are listed in pages.
//!
//! An announcement and a query say whether there are pages. The sender repeats them. A host finds its own name by a hash
//! of it, and one page is enough to know whether it is there, because a page lists all names of a range of hashes.
//!
//! ```text
//!   0  10    header, kind 7                                   clear, signed
//!  10   8    first hash of the range                          sealed, signed
//!  18   8    last hash of the range
//!  26   2    number of names n
//!  28  8n    their hashes, ascending, each within the range
//!   +  64    signature                                        sealed, where the session is signed
//!   +  16    tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::ids::{HostName, SessionId};
use crate::limits::{AUDIENCE_MAX, CONTROL_MAX, CONTROL_SMALL};

/// Which hosts a push or a query is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Every host of the group.
    #[default]
    Everyone,
    /// The hosts whose names are in the pages.
    Named {
        /// The number of names, at most [`AUDIENCE_MAX`].
        names: u32,
    },
}

impl Audience {
    pub(super) const BYTES: usize = 1 + 4;

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        let (code, names) = match self {
            Self::Everyone => (0, 0),
            Self::Named { names } => (1, names),
        };
        out.u8(code);
        out.u32(names);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match (body.u8()?, body.u32()?) {
            (0, 0) => Ok(Self::Everyone),
            (1, names) if (1..=AUDIENCE_MAX).contains(&names) => Ok(Self::Named { names }),
            _ => Err(Discard::Malformed),
        }
    }
}

/// What stands for a host's name in the pages of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameHash(pub u64);

impl NameHash {
    /// Length on the wire.
    pub const BYTES: usize = 8;

    /// Hashes a name for one session, so that two names that share a hash in one session do not in the next one. Among
    /// 10 000 names and as many hosts, one host in 10^12 sessions is taken for another.
    pub fn of(session: SessionId, name: &HostName) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v2 name of a host: session id, name");
        hasher.update(&session.0).update(name.as_str().as_bytes());
        let mut hash = [0; Self::BYTES];
        hasher.finalize_xof().fill(&mut hash);
        Self(u64::from_be_bytes(hash))
    }
}

/// All names of a range of hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudiencePage {
    first: NameHash,
    last: NameHash,
    hashes: Vec<NameHash>,
}

/// What a page says about a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// The push or the query is for this host.
    Yes,
    /// It is not.
    No,
    /// Another page says it.
    NotHere,
}

impl AudiencePage {
    /// The pages of all `names` of one session, each as long as a datagram of `datagram` bytes has room for. They cover
    /// all hashes without gaps.
    pub fn pages<'a>(
        session: SessionId,
        names: impl IntoIterator<Item = &'a HostName>,
        datagram: usize,
    ) -> Vec<Self> {
        let mut hashes: Vec<NameHash> = names.into_iter().map(|name| NameHash::of(session, name)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut first = NameHash(0);
        let mut pages: Vec<Self> = Vec::new();
        for run in hashes.chunks(names_in(datagram)) {
            let last = *run.last().expect("a chunk is not empty");
            pages.push(Self { first, last, hashes: run.to_vec() });
            first = NameHash(last.0.wrapping_add(1));
        }
        if let Some(page) = pages.last_mut() {
            page.last = NameHash(u64::MAX);
        }
        pages
    }

    /// Whether the push or the query is for the host with this hash.
    pub fn says(&self, hash: NameHash) -> Meant {
        if !(self.first..=self.last).contains(&hash) {
            Meant::NotHere
        } else if self.hashes.binary_search(&hash).is_ok() {
            Meant::Yes
        } else {
            Meant::No
        }
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        assert!(self.hashes.len() <= names_in(CONTROL_MAX));
        out.u64(self.first.0);
        out.u64(self.last.0);
        out.u16(self.hashes.len() as u16);
        self.hashes.iter().for_each(|hash| out.u64(hash.0));
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let (first, last, count) = (NameHash(body.u64()?), NameHash(body.u64()?), body.u16()?);
        if usize::from(count) > names_in(CONTROL_MAX) {
            return Err(Discard::Malformed);
        }
        let hashes: Vec<NameHash> = (0..count).map(|_| body.u64().map(NameHash)).collect::<Result<_, _>>()?;
        let within = hashes.iter().all(|hash| (first..=last).contains(hash));
        let ascending = hashes.is_sorted_by(|a, b| a < b);
        if first <= last && within && ascending {
            Ok(Self { first, last, hashes })
        } else {
            Err(Discard::Malformed)
        }
    }
}

/// Names in a page of `datagram` bytes.
pub const fn names_in(datagram: usize) -> usize {
    (datagram - sealed_signed(HEADER_BYTES, Fixed::BYTES)) / NameHash::BYTES
}

fields! {
    Fixed {
        FIRST: NameHash::BYTES,
        LAST: NameHash::BYTES,
        NAMES: 2,
    }
}

const _: () = assert!(names_in(CONTROL_SMALL) >= 50, "a page of a narrow path is worth its datagram");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_learns_from_exactly_one_page_whether_it_is_meant() {
        for count in [1, 2, 53, 54, 200, 3_000] {
            let names: Vec<HostName> = (0..count).map(|at| host(&format!("in-{at}"))).collect();
            for datagram in [CONTROL_SMALL, CONTROL_MAX] {
                let pages = AudiencePage::pages(SESSION, &names, datagram);
                assert_eq!(pages.len(), names.len().div_ceil(names_in(datagram)));
                assert!(names.iter().all(|name| verdicts(&pages, name) == [Meant::Yes]));
                let others = (0..200).map(|at| host(&format!("out-{at}")));
                assert!(others.into_iter().all(|name| verdicts(&pages, &name) == [Meant::No]));
            }
        }
    }

    #[test]
    fn a_name_has_another_hash_in_another_session() {
        let name = host("compute-1");
        assert_ne!(NameHash::of(SESSION, &name), NameHash::of(SessionId([6; 16]), &name));
        assert_ne!(NameHash::of(SESSION, &name), NameHash::of(SESSION, &host("compute-2")));
    }

    #[test]
    fn a_page_is_read_as_it_is_written_and_there_is_one_way_to_write_it() {
        let page =
            AudiencePage { first: NameHash(2), last: NameHash(9), hashes: [3, 5].map(NameHash).to_vec() };
        assert_eq!(parsed(&emitted(&page)), Ok(page.clone()));
        let bad = [
            AudiencePage { first: NameHash(4), ..page.clone() },
            AudiencePage { last: NameHash(4), ..page.clone() },
            AudiencePage { hashes: [5, 3].map(NameHash).to_vec(), ..page.clone() },
            AudiencePage { hashes: [3, 3].map(NameHash).to_vec(), ..page.clone() },
            AudiencePage { first: NameHash(9), last: NameHash(2), hashes: Vec::new() },
        ];
        for bad in bad {
            assert_eq!(parsed(&emitted(&bad)), Err(Discard::Malformed), "{bad:?}");
        }
        let mut cut = emitted(&page);
        cut.pop();
        assert_eq!(parsed(&cut), Err(Discard::Malformed));
    }

    fn verdicts(pages: &[AudiencePage], name: &HostName) -> Vec<Meant> {
        let said = pages.iter().map(|page| page.says(NameHash::of(SESSION, name)));
        said.filter(|&meant| meant != Meant::NotHere).collect()
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("plain")
    }

    fn emitted(page: &AudiencePage) -> Vec<u8> {
        let mut out = Vec::new();
        page.emit(&mut Writer::new(&mut out));
        out
    }

    fn parsed(bytes: &[u8]) -> Result<AudiencePage, Discard> {
        let mut body = Reader::new(bytes);
        let page = AudiencePage::parse(&mut body)?;
        body.end()?;
        Ok(page)
    }

    const SESSION: SessionId = SessionId([5; 16]);
}
