//! Boot sectors with partition tables, as Nova judges them in a raw image. A GPT disk has one too, as protection from
//! tools that do not know GPT.

use crate::view::{le16, le32};

pub(crate) const SECTOR_BYTES: usize = 512;

/// Whether a sector is a boot sector with partitions. The boot sector of a FAT file system is not.
pub(crate) fn is_boot_sector(sector: &[u8]) -> bool {
    let fat = sector[FAT_COUNT] == 2 && sector[FAT_MEDIA] == FAT_FIXED_DISK;
    le16(sector, SIGNATURE) == 0xAA55 && !fat
}

/// What Nova refuses in the boot sector of a raw image (oslo.utils, `GPTInspector.check_mbr_partitions`). Each of these
/// is found on disks that work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// An entry's boot flag is neither 0 nor 0x80.
    #[error("partition {partition} in its boot sector has the boot flag {flag:#04x}")]
    BootFlag {
        /// The number of the entry, from 1 on.
        partition: usize,
        /// The flag.
        flag: u8,
    },
    /// The protective entry of a GPT does not begin at LBA 1 and CHS 0/0/2.
    #[error("the protective entry of its GPT does not begin at LBA 1 and CHS 0/0/2")]
    Protective,
    /// The boot sector of a GPT has further partitions.
    #[error("it has partitions beside the protective entry of its GPT (a hybrid MBR)")]
    Hybrid,
    /// It has the signature of a boot sector and no partition.
    #[error("its boot sector has no partition")]
    NoPartition,
    /// The sector is that of a file system, which has no partition table.
    #[error("it begins as a file system ({0}), without a partition table")]
    FileSystem(&'static str),
}

/// Returns what Nova refuses in the table of four partitions.
pub(crate) fn fault(sector: &[u8]) -> Option<TableFault> {
    let fault = table_fault(sector)?;
    Some(file_system(sector).map_or(fault, TableFault::FileSystem))
}

fn table_fault(sector: &[u8]) -> Option<TableFault> {
    let (mut partitions, mut protective) = (Vec::new(), false);
    for (i, entry) in sector[TABLE..SIGNATURE].chunks_exact(ENTRY_BYTES).enumerate() {
        let (flag, kind) = (entry[0], entry[4]);
        if flag != 0 && flag != 0x80 {
            return Some(TableFault::BootFlag { partition: i + 1, flag });
        }
        if kind != 0 {
            partitions.push(i);
        }
        if kind == GPT_PROTECTIVE {
            protective = true;
            if entry[1..4] != [0, 2, 0] || le32(entry, 8) != 1 {
                return Some(TableFault::Protective);
            }
        }
    }
    if protective && partitions != [0] {
        return Some(TableFault::Hybrid);
    }
    partitions.is_empty().then_some(TableFault::NoPartition)
}

/// Returns the file system whose boot sector this is, by its label. oslo.utils recognises a FAT by two other bytes.
fn file_system(sector: &[u8]) -> Option<&'static str> {
    LABELS.iter().find(|&&(at, label, _)| sector[at..].starts_with(label)).map(|&(.., name)| name)
}

/// Where boot sectors of file systems have their labels: the OEM name, and the type of FAT12, FAT16 and FAT32.
const LABELS: [(usize, &[u8], &str); 4] =
    [(3, b"NTFS    ", "NTFS"), (3, b"EXFAT   ", "exFAT"), (54, b"FAT1", "FAT"), (82, b"FAT32", "FAT")];
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
            assert_eq!(fault(&table), None);
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
    fn what_nova_refuses_in_a_table_is_found() {
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
        for (table, found) in [
            (&[][..], TableFault::NoPartition),
            (&[boot], TableFault::BootFlag { partition: 1, flag: 7 }),
            (&last, TableFault::BootFlag { partition: 4, flag: 7 }),
            (&[late], TableFault::Protective),
            (&[elsewhere], TableFault::Protective),
            (&[PROTECTIVE, LINUX], TableFault::Hybrid),
        ] {
            assert_eq!(fault(&sector(table)), Some(found));
        }
    }

    #[test]
    fn a_file_system_without_a_table_is_named() {
        for (at, label, name) in LABELS {
            let mut sector = sector(&[]);
            sector[at..][..label.len()].copy_from_slice(label);
            assert_eq!(fault(&sector), Some(TableFault::FileSystem(name)));
        }
    }
}
