//! The judgement: what an image is, whether it is what it is said to be, and whether it is safe.

use std::io::{self, Read, Seek};

use crate::format::{DiskFormat, Format};
use crate::refusal::{Refusal, Rule};
use crate::view::{Stop, View};
use crate::vmdk::VmdkType;
use crate::{detect, mbr, qcow2, qed, vdi, vhd, vhdx, vmdk};

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Bytes of the disk that an image makes, at most.
    pub virtual_bytes_max: u64,
    /// Nova's `[compute] vmdk_allowed_types`.
    pub vmdk_types: &'a [VmdkType],
    /// Whether a VHD is taken. Nova's own way refuses all of them: its inspector calls the format vhd, qemu-img vpc, and
    /// it wants them to agree.
    pub vhd: bool,
}

impl Default for Limits<'_> {
    /// 2 TiB, what Nova allows of vmdk by default, no VHD.
    fn default() -> Self {
        Self { virtual_bytes_max: 2 << 40, vmdk_types: &VmdkType::ALL, vhd: false }
    }
}

/// What an image is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// What its record says, judged as Nova does before it uses what it downloaded.
    Format(DiskFormat),
    /// A disk that a host uses as it is: raw, with partitions or without, or a disc.
    Disk,
    /// Nobody said anything: whatever it looks like.
    Nothing,
}

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The format of its bytes.
    pub format: Format,
    /// Bytes of the disk that it makes; of a raw one its own.
    pub virtual_bytes: u64,
}

/// An image that was refused, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It must not be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Judges an image. Who is about to publish a disk asks with [`Claim::Disk`].
///
/// # Errors
/// [`Refusal`] by the first rule that it breaks; errors of reading.
pub fn check<R: Read + Seek>(image: &mut R, claim: Claim, limits: &Limits<'_>) -> Result<Facts, CheckError> {
    let mut view = View::whole(image)?;
    match judge(&mut view, claim, limits) {
        Ok(facts) => Ok(facts),
        Err(Stop::Refused(refusal)) => Err(refusal.into()),
        Err(Stop::Io(error)) => Err(error.into()),
        Err(Stop::Beyond) => unreachable!("all of it is there"),
    }
}

/// Judges an image by its beginning: its first [`HEAD_BYTES`](crate::HEAD_BYTES), or all of it where it is shorter, of
/// `bytes` in all. `None`: the whole of it has to be looked at with [`check`], which can be so of vmdk, vhd and vhdx only.
///
/// # Errors
/// [`Refusal`] by the first rule that it breaks.
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
    Ok(Facts { format, virtual_bytes })
}

/// The one format of an image. An ISO image that boots as a disk too has a partition table in front.
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
