//! The check: which format an image has, whether that is the declared one, and whether the image is safe.

use std::io::{self, Read, Seek};

use crate::format::{DiskFormat, Format};
use crate::odd::{Odd, Waiver};
use crate::reach::{self, Overhang};
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View};
use crate::vmdk::VmdkType;
use crate::{detect, mbr, packed, qcow2, qed, vdi, vhd, vhdx, vmdk};

/// What an image may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Maximum size in bytes of the disk in the image.
    pub virtual_bytes_max: u64,
    /// Nova's `[compute] vmdk_allowed_types`.
    pub vmdk_types: &'a [VmdkType],
    /// Whether a VHD is accepted. Nova's own check refuses all of them: its inspector calls the format vhd, qemu-img
    /// calls it vpc, and Nova wants the two to agree.
    pub vhd: bool,
    /// The rules that need not hold. [`Facts::odd`] tells what broke one of them.
    pub waived: &'a [Waiver],
}

impl Default for Limits<'_> {
    /// Returns 2 TiB, the types of vmdk that Nova allows by default, no VHD, and no waiver.
    fn default() -> Self {
        Self { virtual_bytes_max: 2 << 40, vmdk_types: &VmdkType::ALL, vhd: false, waived: &[] }
    }
}

/// The declared format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The `disk_format` of its record in Glance, checked as Nova checks its downloads.
    Format(DiskFormat),
    /// A disk that a host uses unchanged: raw, with or without partitions, or an optical disc.
    Disk,
    /// Nothing is declared: any detected format is accepted.
    Nothing,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The detected format.
    pub format: Format,
    /// Size in bytes of the disk in the image; for a raw image, its own length.
    pub virtual_bytes: u64,
    /// A raw image may say of itself that it is longer, which is no reason to refuse it.
    pub overhang: Option<Overhang>,
    /// What broke a waived rule.
    pub odd: Option<Odd>,
}

/// An image was refused, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The image must not be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The image cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Checks an image. Code that is about to publish a disk passes [`Claim::Disk`].
///
/// # Errors
/// [`Refusal`] with the first rule that the image breaks; read errors.
pub fn check<R: Read + Seek>(image: &mut R, claim: Claim, limits: &Limits<'_>) -> Result<Facts, CheckError> {
    let mut view = View::whole(image)?;
    match judge(&mut view, claim, limits) {
        Ok(facts) => Ok(facts),
        Err(Stop::Refused(refusal)) => Err(refusal.into()),
        Err(Stop::Io(error)) => Err(error.into()),
        Err(Stop::Beyond) => unreachable!("all of it is there"),
    }
}

/// Checks an image of `bytes` by `head`: its first [`HEAD_BYTES`](crate::HEAD_BYTES), or all of a shorter one. Returns
/// `None` if only [`check`] can check the image, because it needs the whole. This applies to formats with tables,
/// if these are farther away.
///
/// # Errors
/// [`Refusal`] with the first rule that the image breaks.
pub fn check_head(
    head: &[u8],
    bytes: u64,
    claim: Claim,
    limits: &Limits<'_>,
) -> Result<Option<Facts>, Refusal> {
    match judge(&mut View::head(head, bytes), claim, limits) {
        Ok(facts) => Ok(Some(facts)),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Beyond | Stop::Io(_)) => Ok(None),
    }
}

/// Checks the end of an image that [`check`] or [`check_head`] has passed: what is raw to both of them, and to Nova,
/// may have a mark there.
///
/// # Errors
/// [`Refusal`] by [`Rule::NotADisk`], unless that is waived; read errors.
pub fn check_end<R: Read + Seek>(
    image: &mut R,
    facts: Facts,
    limits: &Limits<'_>,
) -> Result<Facts, CheckError> {
    let mut view = View::whole(image)?;
    let offset = view.bytes().saturating_sub(packed::END_BYTES as u64);
    let end = match view.upto(offset, packed::END_BYTES) {
        Ok(end) => end,
        Err(Stop::Io(error)) => return Err(error.into()),
        Err(Stop::Beyond | Stop::Refused(_)) => unreachable!("all of it is there, and nothing is judged"),
    };
    match packed::detect_by_end(&end).map(Odd::Packed).filter(|_| facts.format.is_raw()) {
        Some(odd) if limits.waived.contains(&odd.waiver()) => {
            Ok(Facts { odd: facts.odd.or(Some(odd)), ..facts })
        }
        Some(odd) => Err(Refusal::from(odd).into()),
        None => Ok(facts),
    }
}

fn judge(view: &mut View<'_>, claim: Claim, limits: &Limits<'_>) -> Result<Facts, Stop> {
    if view.bytes() == 0 {
        return Err(
            Refusal::new(Rule::Empty, "the image is empty (0 bytes): there is nothing to push").into()
        );
    }
    let format = one_of(&detect::formats(view)?)?;
    agree(view, claim, format)?;
    let mut odd = None;
    let virtual_bytes = match format {
        Format::Raw | Format::Gpt => {
            odd = oddity(view, claim, format, limits)?;
            view.bytes()
        }
        Format::Iso => view.bytes(),
        Format::Qcow2 => qcow2::check(view)?,
        Format::Vmdk => vmdk::check(view, limits.vmdk_types)?,
        Format::Vhdx => vhdx::check(view)?,
        Format::Vdi => vdi::check(view)?,
        Format::Vhd if limits.vhd => vhd::check(view)?,
        Format::Luks => {
            let text = "the image is encrypted (LUKS): decrypt it, and push the disk in it";
            return Err(Refusal::new(Rule::Encrypted, text).into());
        }
        Format::Vhd => {
            let text = "Nova takes no vhd image, because its tools disagree about the format: make it a qcow2 \
                        (qemu-img convert -f vpc -O qcow2 IMAGE NEW)";
            return Err(unsupported(text).into());
        }
        Format::Qed => return Err(qed::refuse(view)),
        Format::Parallels | Format::Bochs | Format::Cloop => {
            return Err(unsupported(format!(
                "the image is in the format {format}, which Nova does not take: make it a qcow2 \
                 (qemu-img convert -f {format} -O qcow2 IMAGE NEW)"
            ))
            .into());
        }
    };
    check_size(virtual_bytes, limits.virtual_bytes_max)?;
    reach::check(view, format, virtual_bytes)?;
    Ok(Facts { format, virtual_bytes, overhang: reach::overhang(view, format)?, odd })
}

fn check_size(virtual_bytes: u64, max: u64) -> Result<(), Refusal> {
    if virtual_bytes == 0 {
        return Err(Refusal::new(Rule::Empty, "the image makes a disk of 0 bytes: there is nothing to push"));
    }
    if virtual_bytes > max {
        let text = format!("the image makes a disk of {virtual_bytes} bytes; at most {max} are allowed");
        return Err(Refusal::new(Rule::VirtualSize, text));
    }
    Ok(())
}

/// Returns what is odd about a raw image and waived. A kernel and a ramdisk are compressed as a rule. A sound partition
/// table outweighs the mark of an archive, whose first bytes are boot code then.
fn oddity(
    view: &mut View<'_>,
    claim: Claim,
    format: Format,
    limits: &Limits<'_>,
) -> Result<Option<Odd>, Stop> {
    let start = view.upto(0, packed::START_BYTES)?;
    let table = if format == Format::Gpt { mbr::fault(&start).map(Odd::PartitionTable) } else { None };
    let packed = if format == Format::Gpt && table.is_none() { None } else { packed::detect(&start) };
    let Some(odd) = packed.map(Odd::Packed).or(table) else { return Ok(None) };
    let is_for_a_kernel = matches!(claim, Claim::Format(DiskFormat::Aki | DiskFormat::Ari));
    if limits.waived.contains(&odd.waiver()) || (is_for_a_kernel && odd.waiver() == Waiver::NotADisk) {
        return Ok(Some(odd));
    }
    Err(Refusal::from(odd).into())
}

/// Returns the only format of an image. An ISO image that also boots as a disk begins with a partition table.
fn one_of(formats: &[Format]) -> Result<Format, Refusal> {
    match formats {
        [format] => Ok(*format),
        [Format::Iso, Format::Gpt] => Ok(Format::Iso),
        several => {
            let names = several.iter().map(|format| format.name()).collect::<Vec<_>>().join(" and ");
            Err(Refusal::new(Rule::SeveralFormats, format!("the image looks like {names} at once")))
        }
    }
}

/// Checks that the format is one that the claim allows.
fn agree(view: &mut View<'_>, claim: Claim, format: Format) -> Result<(), Stop> {
    let text = match claim {
        Claim::Format(DiskFormat::Gpt) => {
            let text = "Nova takes no image of disk format gpt: to qemu-img it is raw; register it as raw";
            return Err(unsupported(text).into());
        }
        Claim::Format(declared) if !declared.allows(format) => {
            format!("the image is said to be {declared}, and its content is {format}")
        }
        Claim::Disk if !format.is_raw() => {
            format!("the content of the disk is {format}, which tools that look at it would take it for")
        }
        Claim::Format(_) | Claim::Disk | Claim::Nothing => return Ok(()),
    };
    let text = match description(view, format)? {
        Some(description) => format!("{text}: {description}"),
        None => text,
    };
    Err(Refusal::new(Rule::FormatMismatch, text).into())
}

/// Returns more about an image of another format than declared: a vmdk that names files, a compressed file.
fn description(view: &mut View<'_>, format: Format) -> Result<Option<String>, Stop> {
    if format == Format::Raw {
        let packed = packed::detect(&view.upto(0, packed::START_BYTES)?);
        return Ok(packed.map(|packed| packed.to_string()));
    }
    vmdk::description(view, format)
}

fn unsupported(text: impl Into<String>) -> Refusal {
    Refusal::new(Rule::UnsupportedFormat, text)
}
