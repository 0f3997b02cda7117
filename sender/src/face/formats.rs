//! What an image is, and what of it is sent: inspected before anything opens it, made raw where hosts want raw.

use std::fs::File;

use glancecast_inspect::{CheckError, Claim, Facts, Format, Limits, Refusal, check};
use glancecast_proto::wire::DiskFormat;

use super::Failure;
use super::args::Send;
use super::progress::Preparation;
use crate::convert::{ConvertError, to_raw};
use crate::data::source::FileSource;

/// What the command line allows.
pub(super) fn limits(args: &Send) -> Limits<'static> {
    // A file here is nothing that Nova would fetch, and so need not be what it takes.
    Limits { virtual_bytes_max: args.max_virtual_size, vhd: args.file.is_some(), ..Limits::default() }
}

/// Whether an image is sent as its bytes are.
pub(super) fn stays(args: &Send, facts: Facts) -> bool {
    args.as_is || facts.format.is_raw()
}

/// What the announcement says of bytes in this format.
pub(super) fn announced(format: Format) -> DiskFormat {
    match format {
        Format::Raw | Format::Gpt | Format::Iso => DiskFormat::Raw,
        Format::Qcow2 => DiskFormat::Qcow2,
        Format::Vmdk => DiskFormat::Vmdk,
        Format::Vhd => DiskFormat::Vhd,
        Format::Vhdx => DiskFormat::Vhdx,
        _ => DiskFormat::Other,
    }
}

/// Looks at a whole image.
pub(super) fn inspect(
    mut file: &File,
    name: &str,
    claim: Claim,
    limits: &Limits<'_>,
) -> Result<Facts, Failure> {
    check(&mut file, claim, limits).map_err(|error| match error {
        CheckError::Refused(refusal) => refused(name, &refusal),
        CheckError::Read(error) => Failure::failed(format!("{name}: {error}")),
    })
}

pub(super) fn refused(name: &str, refusal: &Refusal) -> Failure {
    Failure::refused(format!("{name} is refused: {refusal}"), refusal.rule.word())
}

/// What is sent of an inspected image in a file: itself, or a raw one made of it.
pub(super) async fn ready(
    args: &Send,
    image: FileSource,
    facts: Facts,
    preparation: &Preparation,
) -> Result<(FileSource, DiskFormat), Failure> {
    if stays(args, facts) {
        return Ok((image, announced(facts.format)));
    }
    let name = image.name().to_owned();
    preparation.converting(facts.format.name(), "0.00");
    let show = |percent: &str| preparation.converting(facts.format.name(), percent);
    let raw =
        to_raw(image.file(), facts, &args.spool, show).await.map_err(|error| unconverted(&name, &error))?;
    // It was looked at before it was converted, and is of no use if the two did not see the same.
    image.check_unchanged().map_err(Failure::failed)?;
    // Within a disk there may be what looks like an image of another format again.
    inspect(&raw, &format!("{name}, converted,"), Claim::Disk, &limits(args))?;
    let source = FileSource::over(raw, name).map_err(Failure::failed)?;
    Ok((source, DiskFormat::Raw))
}

pub(super) fn unconverted(name: &str, error: &ConvertError) -> Failure {
    let text = format!("{name}: {error}");
    match error {
        ConvertError::NoTool | ConvertError::NoSpace { .. } => Failure::usage(text),
        _ => Failure::failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_a_disk_is_announced_as_raw() {
        for format in [Format::Raw, Format::Gpt, Format::Iso] {
            assert_eq!(announced(format), DiskFormat::Raw);
        }
        for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx] {
            assert_eq!(announced(format).name(), format.name());
        }
        assert_eq!(announced(Format::Vdi), DiskFormat::Other);
    }
}
