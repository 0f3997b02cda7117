//! Why an image is refused: a rule with a stable word, and a sentence about this image.

use std::fmt;

/// An image that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (rule {rule})")]
pub struct Refusal {
    /// What it breaks.
    pub rule: Rule,
    /// What is wrong with it, for people: no full stop, no name of the image.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }
}

/// What an image must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Its format is one that Nova runs.
    UnsupportedFormat,
    /// It is in the format that it is said to be in.
    FormatMismatch,
    /// It looks like one format only: a header within another one hides something.
    SeveralFormats,
    /// Its header is all there.
    TruncatedHeader,
    /// Its header makes sense.
    MalformedHeader,
    /// It needs no other image below it (backing file, parent, differencing disk).
    BackingFile,
    /// Its data is in itself, not in a file that it names (the external data file of qcow2).
    DataFile,
    /// It asks for no feature that is not known: what one does cannot be judged.
    UnknownFeature,
    /// It needs no key.
    Encrypted,
    /// The create type of a vmdk is one that Nova allows.
    VmdkType,
    /// The descriptor of a vmdk is where it belongs, and every line of it is understood.
    VmdkDescriptor,
    /// The extents of a vmdk are in itself: none names another file.
    VmdkExtent,
    /// The footer of a vmdk, which counts more than its header, says the same.
    VmdkFooter,
    /// The partition table in its first sector is a valid one.
    PartitionTable,
    /// The disk that it makes is not larger than the limit.
    VirtualSize,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::UnsupportedFormat,
        Self::FormatMismatch,
        Self::SeveralFormats,
        Self::TruncatedHeader,
        Self::MalformedHeader,
        Self::BackingFile,
        Self::DataFile,
        Self::UnknownFeature,
        Self::Encrypted,
        Self::VmdkType,
        Self::VmdkDescriptor,
        Self::VmdkExtent,
        Self::VmdkFooter,
        Self::PartitionTable,
        Self::VirtualSize,
    ];

    /// Its word for scripts. It does not change.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnsupportedFormat => "unsupported-format",
            Self::FormatMismatch => "format-mismatch",
            Self::SeveralFormats => "several-formats",
            Self::TruncatedHeader => "truncated-header",
            Self::MalformedHeader => "malformed-header",
            Self::BackingFile => "backing-file",
            Self::DataFile => "data-file",
            Self::UnknownFeature => "unknown-feature",
            Self::Encrypted => "encrypted",
            Self::VmdkType => "vmdk-type",
            Self::VmdkDescriptor => "vmdk-descriptor",
            Self::VmdkExtent => "vmdk-extent",
            Self::VmdkFooter => "vmdk-footer",
            Self::PartitionTable => "partition-table",
            Self::VirtualSize => "virtual-size",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.word()).collect();
        assert_eq!(words.len(), Rule::ALL.len());
    }

    #[test]
    fn a_rule_is_shown_as_its_word() {
        let refusal = Refusal::new(Rule::BackingFile, "it has one");
        assert_eq!(refusal.to_string(), "it has one (rule backing-file)");
    }
}
