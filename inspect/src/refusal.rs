//! Why an image is refused: a rule with a stable word, and a sentence about this image.

use crate::enums::named_enum;

/// An image that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (rule {rule})")]
pub struct Refusal {
    /// The rule that it breaks.
    pub rule: Rule,
    /// What is wrong with it, for people: no full stop, no name of the image.
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
        /// It is in the format that it is declared to be in.
        FormatMismatch => "format-mismatch",
        /// It looks like one format only: a header within another one hides something.
        SeveralFormats => "several-formats",
        /// Its header is all there.
        TruncatedHeader => "truncated-header",
        /// Its header makes sense.
        MalformedHeader => "malformed-header",
        /// It needs no other image below it (backing file, parent, differencing disk).
        BackingFile => "backing-file",
        /// Its data is in itself, not in a file that it names (the external data file of qcow2).
        DataFile => "data-file",
        /// It asks for no feature that is not known: what one does cannot be judged.
        UnknownFeature => "unknown-feature",
        /// It needs no key.
        Encrypted => "encrypted",
        /// The create type of a vmdk is one that Nova allows.
        VmdkType => "vmdk-type",
        /// The descriptor of a vmdk is where it belongs, and every line of it is understood.
        VmdkDescriptor => "vmdk-descriptor",
        /// The extents of a vmdk are in itself: none names another file.
        VmdkExtent => "vmdk-extent",
        /// The footer of a vmdk, which overrides its header, equals it.
        VmdkFooter => "vmdk-footer",
        /// The partition table in its first sector is a valid one.
        PartitionTable => "partition-table",
        /// The disk that it makes is not larger than the limit.
        VirtualSize => "virtual-size",
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
