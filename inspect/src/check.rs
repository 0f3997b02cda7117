//! The check: which format an image has, whether that is the declared one, and whether the image is safe.

use std::io::{self, Read, Seek};

use crate::format::{DiskFormat, Format};
use crate::reach::{self, Overhang};
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View};
use crate::vmdk::VmdkType;
use crate::{detect, mbr, qcow2, qed, vdi, vhd, vhdx, vmdk};

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
}

impl Default for Limits<'_> {
    /// Returns 2 TiB, the types of vmdk that Nova allows by default, and no VHD.
    fn default() -> Self {
        Self { virtual_bytes_max: 2 << 40, vmdk_types: &VmdkType::ALL, vhd: false }
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

fn judge(view: &mut View<'_>, claim: Claim, limits: &Limits<'_>) -> Result<Facts, Stop> {
    let format = one_of(&detect::formats(view)?)?;
    match claim {
        Claim::Format(declared) => agree(declared, format)?,
        Claim::Disk if !format.is_raw() => {
            let text =
                format!("the content of the disk is {format}, which tools that look at it would take it for");
            return Err(Refusal::new(Rule::FormatMismatch, text).into());
        }
        Claim::Disk | Claim::Nothing => {}
    }
    let virtual_bytes = match format {
        Format::Raw | Format::Iso => view.bytes(),
        Format::Gpt => {
            mbr::check(&view.exactly("boot sector", 0, mbr::SECTOR_BYTES)?)?;
            view.bytes()
        }
        Format::Qcow2 => qcow2::check(view)?,
        Format::Vmdk => vmdk::check(view, limits.vmdk_types)?,
        Format::Vhdx => vhdx::check(view)?,
        Format::Vdi => vdi::check(view)?,
        Format::Vhd if limits.vhd => vhd::check(view)?,
        Format::Luks => return Err(Refusal::new(Rule::Encrypted, "the image is encrypted (LUKS)").into()),
        Format::Vhd => {
            return Err(unsupported("Nova takes no vhd image: its tools disagree about the format").into());
        }
        Format::Qed => return Err(qed::refuse(view)),
        Format::Parallels | Format::Bochs | Format::Cloop => {
            return Err(unsupported(format!(
                "the image is in the format {format}, which Nova does not take"
            ))
            .into());
        }
    };
    if virtual_bytes > limits.virtual_bytes_max {
        let max = limits.virtual_bytes_max;
        let text = format!("the image makes a disk of {virtual_bytes} bytes; at most {max} are allowed");
        return Err(Refusal::new(Rule::VirtualSize, text).into());
    }
    reach::check(view, format, virtual_bytes)?;
    Ok(Facts { format, virtual_bytes, overhang: reach::overhang(view, format)? })
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

fn agree(declared: DiskFormat, format: Format) -> Result<(), Refusal> {
    if declared == DiskFormat::Gpt {
        return Err(unsupported(
            "Nova takes no image of disk format gpt: to qemu-img it is raw; register it as raw",
        ));
    }
    if !declared.allows(format) {
        let text = format!("the image is said to be {declared}, and its content is {format}");
        return Err(Refusal::new(Rule::FormatMismatch, text));
    }
    Ok(())
}

fn unsupported(text: impl Into<String>) -> Refusal {
    Refusal::new(Rule::UnsupportedFormat, text)
}
