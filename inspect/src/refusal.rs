//! Why an image is refused: a rule with a stable name, and a sentence about this image.

use crate::enums::named_enum;

/// An image that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (rule {rule})")]
pub struct Refusal {
    /// The rule that the image breaks.
    pub rule: Rule,
    /// What is wrong with the image, for people, without a full stop and without the image's name.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }
}

named_enum! {
    /// What must be true of an image. Scripts rely on the names, which do not change.
    pub enum Rule {
        /// Its format is one that Nova runs.
        UnsupportedFormat => "unsupported-format",
        /// Its format is the declared one.
        FormatMismatch => "format-mismatch",
        /// It looks like only one format: a header within another one hides something.
        SeveralFormats => "several-formats",
        /// Its header is complete.
        TruncatedHeader => "truncated-header",
        /// Its header and its tables are consistent.
        MalformedHeader => "malformed-header",
        /// All that its own tables name lies within it.
        CutShort => "cut-short",
        /// It needs no other image below it (backing file, parent, differencing disk).
        BackingFile => "backing-file",
        /// Its data is in the image, not in a file that it names (the external data file of qcow2).
        DataFile => "data-file",
        /// It requires no unknown feature, whose effect could not be judged.
        UnknownFeature => "unknown-feature",
        /// It needs no key.
        Encrypted => "encrypted",
        /// The create type of a vmdk is one that Nova allows.
        VmdkType => "vmdk-type",
        /// The descriptor of a vmdk is in its place, and every line of it is understood.
        VmdkDescriptor => "vmdk-descriptor",
        /// The extents of a vmdk are in the image: none names another file.
        VmdkExtent => "vmdk-extent",
        /// The footer of a vmdk, which overrides its header, equals the header.
        VmdkFooter => "vmdk-footer",
        /// The partition table in its first sector is one that Nova takes in a raw image.
        PartitionTable => "partition-table",
        /// Its content is a disk, and not a compressed file, an archive or a description of one.
        NotADisk => "not-a-disk",
        /// The disk in the image is not larger than the limit.
        VirtualSize => "virtual-size",
        /// The disk in the image has at least one byte.
        Empty => "empty",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }

    #[test]
    fn a_rule_is_shown_by_its_name() {
        let refusal = Refusal::new(Rule::BackingFile, "it has one");
        assert_eq!(refusal.to_string(), "it has one (rule backing-file)");
    }
}
