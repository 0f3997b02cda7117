//! What can be wrong with a policy, and where.

use std::fmt;

use glancecast_proto::wire::printable;

use super::limits::MISTAKES_MAX;

/// A mistake in a policy, in one line: the file and the line, the field, the reason with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{field}{}{reason}", if field.is_empty() { "" } else { ": " })]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The field, from the policy on, as in `policy "gpu": images.newest`. Empty if all of the text is meant.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

/// A place in a file. Both are `None` for a policy of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{} line {line}: ", printable(file)),
            (Some(file), None) => write!(f, "{}: ", printable(file)),
            (None, Some(line)) => write!(f, "line {line}: "),
            (None, None) => Ok(()),
        }
    }
}

/// The mistakes of one text, in the order of their lines; at least one, and at most [`MISTAKES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The mistakes.
    pub listed: Vec<Mistake>,
    /// Further ones.
    pub further: usize,
}

impl Mistakes {
    /// Sorts and bounds mistakes.
    ///
    /// # Panics
    /// Without a mistake.
    pub(super) fn new(mut all: Vec<Mistake>) -> Self {
        assert!(!all.is_empty(), "nothing is refused without a reason");
        all.sort_by_key(|mistake| mistake.place.line);
        let further = all.len().saturating_sub(MISTAKES_MAX);
        all.truncate(MISTAKES_MAX);
        Self { listed: all, further }
    }
}

/// One line for each.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.listed.iter().enumerate() {
            write!(f, "{}{mistake}", if i > 0 { "\n" } else { "" })?;
        }
        match self.further {
            0 => Ok(()),
            further => write!(f, "\nand {further} more"),
        }
    }
}

impl std::error::Error for Mistakes {}
