//! Boot sectors with partition tables. A GPT disk has one too, as protection from tools that do not know GPT.

use crate::refusal::{Refusal, Rule};
use crate::view::{le16, le32};

pub(crate) const SECTOR_BYTES: usize = 512;

/// Whether a sector is a boot sector with partitions. The boot sector of a FAT file system is not.
pub(crate) fn is_boot_sector(sector: &[u8]) -> bool {
    let fat = sector[FAT_COUNT] == 2 && sector[FAT_MEDIA] == FAT_FIXED_DISK;
    le16(sector, SIGNATURE) == 0xAA55 && !fat
}

/// Checks the table of four partitions as Nova does.
pub(crate) fn check(sector: &[u8]) -> Result<(), Refusal> {
    let broken = |text: String| Err(Refusal::new(Rule::PartitionTable, text));
    let (mut partitions, mut protective) = (Vec::new(), false);
    for (i, entry) in sector[TABLE..SIGNATURE].chunks_exact(ENTRY_BYTES).enumerate() {
        let (boot, kind) = (entry[0], entry[4]);
        if boot != 0 && boot != 0x80 {
            return broken(format!("its boot sector's partition {i} has the boot flag {boot:#04x}"));
        }
        if kind != 0 {
            partitions.push(i);
        }
        if kind == GPT_PROTECTIVE {
            protective = true;
            if entry[1..4] != [0, 2, 0] || le32(entry, 8) != 1 {
                return broken("its protective partition for GPT does not begin at the second sector".into());
            }
        }
    }
    if protective && partitions != [0] {
        return broken("it has a GPT, and partitions beside the protective one".into());
    }
    if partitions.is_empty() {
        return broken("it has a boot sector with no partition in it".into());
    }
    Ok(())
}

const FAT_COUNT: usize = 0x10;
const FAT_MEDIA: usize = 0x15;
const FAT_FIXED_DISK: u8 = 0xF8;
const TABLE: usize = 446;
const ENTRY_BYTES: usize = 16;
const SIGNATURE: usize = 510;
const GPT_PROTECTIVE: u8 = 0xEE;

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(entries: &[[u8; 16]]) -> Vec<u8> {
        let mut sector = vec![0; SECTOR_BYTES];
        sector[SIGNATURE..].copy_from_slice(&[0x55, 0xAA]);
        for (i, entry) in entries.iter().enumerate() {
            sector[TABLE + i * ENTRY_BYTES..][..ENTRY_BYTES].copy_from_slice(entry);
        }
        sector
    }

    const LINUX: [u8; 16] = [0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0];
    const PROTECTIVE: [u8; 16] = [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0, 0];

    #[test]
    fn ordinary_tables_pass() {
        for table in [sector(&[LINUX]), sector(&[LINUX, LINUX]), sector(&[PROTECTIVE])] {
            assert!(is_boot_sector(&table));
            check(&table).unwrap();
        }
    }

    #[test]
    fn a_fat_file_system_has_no_table() {
        let mut fat = sector(&[]);
        (fat[FAT_COUNT], fat[FAT_MEDIA]) = (2, FAT_FIXED_DISK);
        assert!(!is_boot_sector(&fat) && !is_boot_sector(&[0; SECTOR_BYTES]));
    }

    #[test]
    fn one_mark_of_fat_alone_does_not_make_it_one() {
        for (place, mark) in [(FAT_COUNT, 2), (FAT_MEDIA, FAT_FIXED_DISK)] {
            let mut code = sector(&[LINUX]);
            code[place] = mark;
            assert!(is_boot_sector(&code), "{place}");
        }
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        let boot = {
            let mut entry = LINUX;
            entry[0] = 7;
            entry
        };
        let late = {
            let mut entry = PROTECTIVE;
            entry[8] = 2;
            entry
        };
        let elsewhere = {
            let mut entry = PROTECTIVE;
            entry[2] = 3;
            entry
        };
        let last = [LINUX, LINUX, LINUX, boot];
        for table in [&[][..], &[boot], &last, &[late], &[elsewhere], &[PROTECTIVE, LINUX]].map(sector) {
            assert_eq!(check(&table).unwrap_err().rule, Rule::PartitionTable);
        }
    }
}
