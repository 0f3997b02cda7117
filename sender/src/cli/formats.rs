//! What an image is, and what of it is sent: inspected before anything opens it, seen by `qemu-img` in its sandbox as inspection has
//! seen it, made raw where hosts want raw.

use std::fs::File;

use glancecast_inspect::{CheckError, Claim, Facts, Format, Limits, Refusal, check};
use glancecast_proto::wire::DiskFormat;
use glancecast_sandbox::{Unsandboxed, not_opened};

use super::Failure;
use super::args::Send;
use super::progress::Preparation;
use crate::convert::{ConvertError, Opinion, Tool};
use crate::pipeline::source::FileSource;

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
    Failure::refused(format!("{name} is refused: {refusal}"), refusal.rule.name())
}

/// The tool for this image, as far as the command line allows.
pub(super) async fn tool(args: &Send) -> Tool {
    let unsandboxed = if args.allow_unsandboxed { Unsandboxed::Allowed } else { Unsandboxed::Refused };
    let tool = Tool::find(unsandboxed).await;
    if tool.is_unsandboxed() {
        tracing::warn!(
            "this kernel gives no sandbox: qemu-img reads the image with all rights of this process, as told"
        );
    }
    tool
}

/// What is sent of an inspected image in a file: itself, or a raw one made of it.
pub(super) async fn ready(
    args: &Send,
    tool: &Tool,
    image: FileSource,
    facts: Facts,
    preparation: &Preparation,
) -> Result<(FileSource, DiskFormat), Failure> {
    let name = image.name().to_owned();
    if stays(args, facts) {
        second_opinion(tool, image.file(), &name, facts).await?;
        return Ok((image, announced(facts.format)));
    }
    preparation.converting(facts.format.name(), "0.00");
    let show = |percent: &str| preparation.converting(facts.format.name(), percent);
    let raw = tool
        .to_raw(image.file(), facts, &args.spool, show)
        .await
        .map_err(|error| unconverted(&name, &error))?;
    // It was looked at before it was converted, and is of no use if the two did not see the same. Who can write the file can
    // write it twice within one tick of ctime's clock (4 ms before Linux 6.13), which this does not see: the sandbox, and
    // what follows, do not rely on it.
    image.check_unchanged().map_err(Failure::failed)?;
    // Within a disk there may be what looks like an image of another format again.
    let converted = format!("{name}, converted,");
    let facts = inspect(&raw, &converted, Claim::Disk, &limits(args))?;
    second_opinion(tool, &raw, &converted, facts).await?;
    let source = FileSource::over(raw, name).map_err(Failure::failed)?;
    Ok((source, DiskFormat::Raw))
}

/// Refuses what `qemu-img` takes for something else than inspection does. Where it cannot be asked, that is said.
async fn second_opinion(tool: &Tool, image: &File, name: &str, facts: Facts) -> Result<(), Failure> {
    let opinion = tool.opinion(image, facts.format).await.map_err(|error| unconverted(name, &error))?;
    match judged(&opinion) {
        Seen::Whole => Ok(()),
        Seen::NotEnough(line) => Err(refused(name, &not_opened(facts.format, &line))),
    }
}

/// Whether an image that is still arriving may be sent as it arrives, by what has come of it: no if it is refused, or if
/// `qemu-img` has to see all of it.
pub(super) async fn streams(
    args: &Send,
    tool: &Tool,
    head: &[u8],
    bytes: u64,
    name: &str,
    facts: Facts,
) -> Result<bool, Failure> {
    let opinion = tool
        .opinion_of_head(head, bytes, facts.format, &args.spool)
        .await
        .map_err(|error| unconverted(name, &error))?;
    Ok(judged(&opinion) == Seen::Whole)
}

#[derive(PartialEq, Eq)]
enum Seen {
    Whole,
    NotEnough(String),
}

fn judged(opinion: &Opinion) -> Seen {
    match opinion {
        Opinion::Agrees { .. } => Seen::Whole,
        Opinion::NotAsked(why) => {
            tracing::warn!("the image is inspected here, and not seen by qemu-img as well: {why}");
            Seen::Whole
        }
        Opinion::Unreadable(line) => Seen::NotEnough(line.clone()),
    }
}

pub(super) fn unconverted(name: &str, error: &ConvertError) -> Failure {
    let text = format!("{name}: {error}");
    match error {
        ConvertError::Refused(refusal) => refused(name, refusal),
        ConvertError::NoTool | ConvertError::NoSandbox(_) | ConvertError::NoSpace { .. } => {
            Failure::usage(text)
        }
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
