//! An object that a host holds: an entry of an answer's pages.
//!
//! ```text
//!   0   1+n         name, n <= 200
//!   +   1+n         image id, n = 0 | 36
//!   +   8           length in bytes
//!   +  32           root
//!   +   8           proven: ms since 1970 (UTC)
//!   +   9           kept: 0 by rule | 1 until | 2 for ever; ms since 1970 (UTC), 0 unless until
//!   +   1           finding: 0 listed | 1 pending | 2 intact
//!   +   1+32          3 differs, then the root that was found
//!   +   1+1+n         4 failed, then the reason, n <= 96
//!   +   1+9           5 let go, then how it was kept until now
//!   +   1             6 removed
//!   +   1+1+n         7 in use, then by what, n <= 96
//!   +   1             8 kept, as it is pinned
//!   +   1+32          9 set aside, then the root that was found
//!   +   1+9          10 pinned as it was asked, then how it was kept until now
//! ```

use super::bytes::{IMAGE_ID, Reader, Writer, choice, fields, text};
use super::discard::Discard;
use crate::ids::ObjectName;
use crate::integrity::Root;
use crate::limits::{FINDING_MAX, OBJECT_NAME_MAX};
use crate::time::WallClock;

/// An object that a host holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: ObjectName,
    /// Glance's id, where the host knows it.
    pub image_id: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// The root that was proven when it was published.
    pub root: Root,
    /// When that was last proven.
    pub proven: WallClock,
    /// How long the host keeps it.
    pub kept: Kept,
    /// The result of what was asked.
    pub finding: Finding,
}

/// How long a host keeps an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// As long as the owner of the place keeps it; in a directory, until somebody removes it.
    #[default]
    ByRule,
    /// At least until this time.
    Until(WallClock),
    /// Until it is unpinned.
    Forever,
}

/// What a host did with an object, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Only what the host holds was asked.
    Listed,
    /// It is being hashed, or waiting to be.
    Pending,
    /// Its bytes hash to what was proven.
    Intact,
    /// Its bytes hash to something else.
    Differs(Root),
    /// It could not be done.
    Failed(String),
    /// It is no longer pinned; until now it was kept like this.
    LetGo(Kept),
    /// It is no longer there.
    Removed,
    /// It was not removed or set aside, as this uses it.
    InUse(String),
    /// It was not removed, as it is pinned.
    Pinned,
    /// Its bytes hash to this, which is not what was proven. It has lost its name, and nothing finds it any more.
    SetAside(Root),
    /// It is pinned as it was asked; until now it was kept like this.
    PinSet(Kept),
}

impl Held {
    /// Length of the longest entry.
    pub(super) const BYTES_MAX: usize = Fields::BYTES;

    /// Length on the wire.
    pub(super) fn encoded_bytes(&self) -> usize {
        let mut bytes = Vec::with_capacity(Fields::BYTES);
        self.emit(&mut Writer::new(&mut bytes));
        bytes.len()
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
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
                out.cut_text(reason, FINDING_MAX);
            }
            Finding::LetGo(kept) => {
                out.u8(5);
                kept.emit(out);
            }
            Finding::Removed => out.u8(6),
            Finding::InUse(by) => {
                out.u8(7);
                out.cut_text(by, FINDING_MAX);
            }
            Finding::Pinned => out.u8(8),
            Finding::SetAside(root) => {
                out.u8(9);
                out.bytes(&root.0);
            }
            Finding::PinSet(kept) => {
                out.u8(10);
                kept.emit(out);
            }
        }
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            name: body.object_name()?,
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
                4 => Finding::Failed(body.printable(FINDING_MAX)?),
                5 => Finding::LetGo(Kept::parse(body)?),
                6 => Finding::Removed,
                7 => Finding::InUse(body.printable(FINDING_MAX)?),
                8 => Finding::Pinned,
                9 => Finding::SetAside(Root(body.array()?)),
                10 => Finding::PinSet(Kept::parse(body)?),
                _ => return Err(Discard::Malformed),
            },
        })
    }
}

impl Kept {
    /// Whether it is kept longer than the rules of its place say.
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

fields! {
    Fields {
        NAME: text(OBJECT_NAME_MAX),
        IMAGE: IMAGE_ID,
        LENGTH: 8,
        ROOT: Root::BYTES,
        PROVEN: WallClock::BYTES,
        KEPT: choice(WallClock::BYTES),
        FINDING: choice(text(FINDING_MAX)),
    }
}

const _: () = assert!(text(FINDING_MAX) >= Root::BYTES, "the longest finding is a text");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_by_rule_is_not_pinned() {
        assert!(!Kept::ByRule.is_pinned());
        assert!(Kept::Until(WallClock(0)).is_pinned() && Kept::Forever.is_pinned());
    }
}
