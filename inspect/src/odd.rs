//! What is odd about a disk: it is refused by default, and may be let pass, because it harms nobody but its user.

use crate::enums::named_enum;
use crate::mbr::TableFault;
use crate::packed::Packed;
use crate::refusal::{Refusal, Rule};

named_enum! {
    /// A rule that need not hold where no Nova reads the file.
    pub enum Waiver {
        /// [`Rule::PartitionTable`]
        PartitionTable => "partition-table",
        /// [`Rule::NotADisk`]
        NotADisk => "not-a-disk",
    }
}

/// What a disk breaks one of these rules by. `Display` is a sentence about the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    /// A boot sector that Nova refuses in a raw image. It takes the same disk within an image of another format,
    /// because it inspects only what it downloads (`nova/virt/images.py`, `fetch_to_raw`).
    #[error(
        "{0}: Nova refuses such a raw image, and takes it as qcow2 (qemu-img convert -f raw -O qcow2 IMAGE NEW)"
    )]
    PartitionTable(TableFault),
    /// A compressed file, an archive, a backup or a description.
    #[error("{0}")]
    Packed(Packed),
}

impl Odd {
    /// Returns the rule's waiver.
    pub const fn waiver(self) -> Waiver {
        match self {
            Self::PartitionTable(_) => Waiver::PartitionTable,
            Self::Packed(_) => Waiver::NotADisk,
        }
    }
}

impl From<Odd> for Refusal {
    fn from(odd: Odd) -> Self {
        let rule = match odd {
            Odd::PartitionTable(_) => Rule::PartitionTable,
            Odd::Packed(_) => Rule::NotADisk,
        };
        Self::new(rule, odd.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_room_to_say_what_is_wrong() {
        const ROOM: usize = 200; // REASON_MAX of the protocol
        for fault in [
            TableFault::BootFlag { partition: 4, flag: 0xFF },
            TableFault::Protective,
            TableFault::Hybrid,
            TableFault::NoPartition,
            TableFault::FileSystem("exFAT"),
        ] {
            let text = Refusal::from(Odd::PartitionTable(fault)).to_string();
            assert!(text.len() <= ROOM, "{}: {text}", text.len());
        }
    }

    #[test]
    fn a_waiver_has_the_name_of_its_rule() {
        let odd = Odd::PartitionTable(TableFault::NoPartition);
        assert_eq!(odd.waiver().name(), Refusal::from(odd).rule.name());
        let archive = crate::packed::detect(b"7z\xbc\xaf\x27\x1c").expect("an archive");
        assert_eq!(Odd::Packed(archive).waiver().name(), Refusal::from(Odd::Packed(archive)).rule.name());
    }
}
