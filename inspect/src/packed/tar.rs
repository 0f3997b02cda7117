//! The first header of a tar archive (POSIX.1-2017, pax), which has no magic of its own in the oldest form: its sum has
//! to be right. Packages of virtual machines are archives of this kind.

use super::Packed;

/// Returns what kind of archive begins with `start`.
pub(super) fn detect(start: &[u8]) -> Option<Packed> {
    let header = start.get(..HEADER_BYTES)?;
    if header[MAGIC].starts_with(b"ustar") || sum_is_right(header) { Some(kind(&header[NAME])) } else { None }
}

/// A package begins with its description: OVF 2.1, section 7, for an OVA; `ova.xml` for Xen's.
fn kind(name: &[u8]) -> Packed {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default().to_ascii_lowercase();
    if name.ends_with(b".ovf") {
        let remedy = "unpack it (tar -xf IMAGE), and push the vmdk in it";
        return Packed { what: "an OVA, a tar archive of a machine's description and its disks", remedy };
    }
    if name.ends_with(b"ova.xml") {
        let remedy = "export the disk alone (xe vdi-export)";
        return Packed { what: "an XVA, a tar archive of Xen", remedy };
    }
    Packed { what: "a tar archive", remedy: "unpack it (tar -xf IMAGE), and push the disk in it" }
}

/// Whether the sum of the header's bytes, with spaces in the place of the sum, is the one in octal digits that it
/// states.
fn sum_is_right(header: &[u8]) -> bool {
    let digits = header[SUM].trim_ascii();
    let digits = digits.split(|&byte| byte == 0 || byte == b' ').next().unwrap_or_default();
    let stated = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let rest =
        header.iter().enumerate().filter(|(at, _)| !SUM.contains(at)).map(|(_, &byte)| u32::from(byte));
    let sum = rest.sum::<u32>() + SUM.len() as u32 * u32::from(b' ');
    header[0] != 0 && stated == Some(sum)
}

const HEADER_BYTES: usize = 512;
const NAME: std::ops::Range<usize> = 0..100;
const SUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..263;

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of the oldest form.
    fn header(name: &[u8]) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..name.len()].copy_from_slice(name);
        header[SUM].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        header[154] = 0;
        header
    }

    #[test]
    fn an_archive_without_a_magic_is_known_by_its_sum() {
        let archive = header(b"disk.raw");
        assert!(detect(&archive).is_some_and(|packed| packed.to_string().contains("tar -xf")));
        for at in [0, 200, 511] {
            let mut damaged = archive.clone();
            damaged[at] ^= 1;
            assert_eq!(detect(&damaged), None, "{at}");
        }
        assert_eq!(detect(&archive[..511]), None);
    }

    #[test]
    fn a_package_of_a_machine_is_named_as_such() {
        for (name, word) in
            [(&b"vm/Debian.OVF"[..], "an OVA"), (b"ova.xml", "an XVA"), (b"x.ovf.gz", "a tar")]
        {
            let packed = detect(&header(name)).expect("an archive");
            assert!(packed.to_string().contains(word), "{packed}");
        }
    }
}
