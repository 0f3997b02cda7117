//! The form in which an image is sent. It is inspected before anything opens it, `qemu-img` in its sandbox must find
//! the same format, and it is converted to raw where hosts need raw.

use std::fs::File;

use bytes::Bytes;
use glancecast_inspect::{
    CheckError, Claim, DiskFormat as Declared, Facts, Format, Limits, Waiver, check, check_end, check_head,
};
use glancecast_proto::wire::{DiskFormat, printable};
use glancecast_sandbox::{Unsandboxed, not_opened};

use super::push::FileImage;
use super::{Image, Observer, Preparing, PushOptions, RequestError};
use crate::pipeline::source::FileSource;
use crate::pipeline::source::convert::{Opinion, Tool};

/// Rules for the images that are sent, and for their form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatRules {
    /// The form in which an image that is not raw is sent.
    pub conversion: Conversion,
    /// Whether `qemu-img` may read it if the kernel has no sandbox.
    pub unsandboxed: Unsandboxed,
    /// The size of the largest virtual disk; larger ones are refused.
    pub virtual_bytes_max: u64,
    /// The rules that need not hold. A host with a nova store holds the image to them all the same.
    pub allowed: Vec<Waiver>,
}

/// The form in which an image that is not raw is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Converted to raw.
    ToRaw,
    /// Unchanged.
    AsIs,
}

impl FormatRules {
    /// Whether an image is sent unchanged.
    pub(super) fn keeps(&self, facts: Facts) -> bool {
        self.conversion == Conversion::AsIs || facts.format.is_raw()
    }
}

/// Inspects and converts the image of a push.
pub(super) struct Inspector<'a> {
    pub(super) options: &'a PushOptions,
    pub(super) observer: &'a Observer,
}

impl Inspector<'_> {
    fn limits<'a>(&self, waived: &'a [Waiver]) -> Limits<'a> {
        Limits {
            virtual_bytes_max: self.options.formats.virtual_bytes_max,
            // Nova does not fetch a file from here, so the file need not have a format that Nova accepts.
            vhd: matches!(self.options.image, Image::File(_)),
            waived,
            ..Limits::default()
        }
    }

    /// Returns the rules that need not hold. A file without an image id goes to directory stores alone, where no Nova
    /// reads it; and who says by hand that a file is raw means it.
    fn waived(&self) -> Vec<Waiver> {
        let mut waived = self.options.formats.allowed.clone();
        if let Image::File(FileImage { image_id, format, .. }) = &self.options.image {
            waived.extend(image_id.is_none().then_some(Waiver::PartitionTable));
            waived.extend((*format == Some(Declared::Raw)).then_some(Waiver::NotADisk));
        }
        waived
    }

    /// Returns `qemu-img` for this image, if the request allows it.
    pub(super) async fn tool(&self) -> Tool {
        let tool = Tool::find(self.options.formats.unsandboxed).await;
        if tool.is_unsandboxed() {
            tracing::warn!(
                "this kernel gives no sandbox: qemu-img reads the image with all rights of this process, as told"
            );
        }
        tool
    }

    /// Inspects a whole image.
    pub(super) fn inspect(&self, file: &File, name: &str, claim: Claim) -> Result<Facts, RequestError> {
        let facts = self.inspect_with(file, name, claim, &self.waived())?;
        warn_of_odd(name, claim, facts);
        Ok(facts)
    }

    fn inspect_with(
        &self,
        mut file: &File,
        name: &str,
        claim: Claim,
        waived: &[Waiver],
    ) -> Result<Facts, RequestError> {
        let (image, limits) = (|| name.to_owned(), self.limits(waived));
        let facts = check(&mut file, claim, &limits);
        let facts =
            facts.and_then(|facts| check_end(&mut file, facts, &limits)).map_err(|error| match error {
                CheckError::Refused(refusal) => RequestError::Refused { image: image(), refusal },
                CheckError::Read(error) => RequestError::Read { image: image(), error },
            })?;
        warn_of_overhang(name, facts);
        Ok(facts)
    }

    /// Inspects the beginning of an image of `bytes` bytes that is still arriving. Returns its facts if it may be sent
    /// as it arrives; `None` if its end has to be inspected, or all of it is needed for the conversion.
    pub(super) async fn inspect_head(
        &self,
        head: &Bytes,
        bytes: u64,
        name: &str,
        claim: Claim,
    ) -> Result<(Tool, Option<Facts>), RequestError> {
        let head_only = &head[..head.len().min(glancecast_inspect::HEAD_BYTES)];
        let facts = check_head(head_only, bytes, claim, &self.limits(&self.waived()))
            .map_err(|refusal| RequestError::Refused { image: name.to_owned(), refusal })?;
        let tool = self.tool().await;
        let Some(facts) = facts.filter(|&facts| self.options.formats.keeps(facts)) else {
            return Ok((tool, None));
        };
        let opinion = tool
            .opinion_of_head(head, bytes, facts.format, &self.options.spool)
            .await
            .map_err(|error| RequestError::convert(name, error))?;
        let streams = unreadable(&opinion).is_none();
        if streams {
            warn_of_odd(name, claim, facts);
            warn_of_overhang(name, facts);
        }
        Ok((tool, streams.then_some(facts)))
    }

    /// Returns what is sent of an inspected image in a file: the file itself, or one converted to raw.
    pub(super) async fn ready(
        &self,
        tool: &Tool,
        image: FileSource,
        claim: Claim,
        facts: Facts,
    ) -> Result<(FileSource, DiskFormat), RequestError> {
        let name = image.name().to_owned();
        if self.options.formats.keeps(facts) {
            second_opinion(tool, image.file(), &name, facts).await?;
            return Ok((image, announced(claim, facts)));
        }
        let from = facts.format.name();
        let show = |percent: &str| (self.observer)(Preparing::Converting { from, percent });
        show("0.00");
        let raw = tool
            .to_raw(image.file(), facts, &self.options.spool, show)
            .await
            .map_err(|error| RequestError::convert(&name, error))?;
        // The image was inspected before the conversion, and the result is useless if the file changed in between. A
        // writer who changes it twice within one tick of ctime's clock (4 ms before Linux 6.13) is not noticed: the
        // sandbox and the steps below do not rely on this check.
        image.check_unchanged()?;
        // The disk's content may itself look like an image of another format. Nova looks at its format alone
        // (`fetch_to_raw`), and at no boot sector.
        let converted = format!("{name}, converted,");
        let waived = [self.options.formats.allowed.as_slice(), &[Waiver::PartitionTable]].concat();
        let facts = self.inspect_with(&raw, &converted, Claim::Disk, &waived)?;
        second_opinion(tool, &raw, &converted, facts).await?;
        let source = FileSource::over(raw, name.clone());
        let source = source.map_err(|error| RequestError::Read { image: name, error })?;
        let has_odd_table = facts.odd.is_some_and(|odd| odd.waiver() == Waiver::PartitionTable);
        Ok((source, if has_odd_table { DiskFormat::RawContent } else { DiskFormat::Raw }))
    }
}

/// Returns the format that the announcement states.
pub(super) fn announced(claim: Claim, facts: Facts) -> DiskFormat {
    match facts.format {
        Format::Raw if facts.odd.is_some() && is_for_a_kernel(claim) => DiskFormat::RawContent,
        Format::Raw | Format::Gpt | Format::Iso => DiskFormat::Raw,
        Format::Qcow2 => DiskFormat::Qcow2,
        Format::Vmdk => DiskFormat::Vmdk,
        Format::Vhd => DiskFormat::Vhd,
        Format::Vhdx => DiskFormat::Vhdx,
        Format::Vdi => DiskFormat::Vdi,
        _ => DiskFormat::Other,
    }
}

/// Logs a warning if a disk says of itself that it is longer than its image.
fn warn_of_overhang(name: &str, facts: Facts) {
    if let Some(overhang) = facts.overhang {
        tracing::warn!("{}: {overhang}", printable(name));
    }
}

/// Whether an image is a kernel or a ramdisk, which are compressed as a rule.
fn is_for_a_kernel(claim: Claim) -> bool {
    matches!(claim, Claim::Format(Declared::Aki | Declared::Ari))
}

/// Logs what is odd about a disk that is sent, as only some hosts will take it.
fn warn_of_odd(name: &str, claim: Claim, facts: Facts) {
    if let Some(odd) = facts.odd.filter(|_| !is_for_a_kernel(claim)) {
        let name = printable(name);
        tracing::warn!("{name} is sent, for directory stores; nova stores refuse it: {odd}");
    }
}

/// Refuses an image in which `qemu-img` finds another format than the inspection.
async fn second_opinion(tool: &Tool, image: &File, name: &str, facts: Facts) -> Result<(), RequestError> {
    let opinion =
        tool.opinion(image, facts.format).await.map_err(|error| RequestError::convert(name, error))?;
    match unreadable(&opinion) {
        None => Ok(()),
        Some(line) => {
            Err(RequestError::Refused { image: name.to_owned(), refusal: not_opened(facts.format, line) })
        }
    }
}

/// Returns why `qemu-img` cannot read the image, if it cannot. Logs a warning if it was not asked.
fn unreadable(opinion: &Opinion) -> Option<&str> {
    match opinion {
        Opinion::Agrees { .. } => None,
        Opinion::NotAsked(why) => {
            tracing::warn!("the image is inspected here, and not seen by qemu-img as well: {why}");
            None
        }
        Opinion::Unreadable(line) => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_a_disk_is_announced_as_raw() {
        let announced =
            |format| announced(Claim::Nothing, Facts { format, virtual_bytes: 1, overhang: None, odd: None });
        for format in [Format::Raw, Format::Gpt, Format::Iso] {
            assert_eq!(announced(format), DiskFormat::Raw);
        }
        for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx, Format::Vdi] {
            assert_eq!(announced(format).name(), format.name());
        }
    }

    #[test]
    fn a_compressed_ramdisk_is_announced_as_one_and_other_compressed_files_as_raw() {
        let gzip = |claim| {
            let limits = Limits { waived: &Waiver::ALL, ..Limits::default() };
            let facts = check(&mut std::io::Cursor::new(b"\x1f\x8b\x08\0"), claim, &limits).expect("waived");
            announced(claim, facts)
        };
        assert_eq!(gzip(Claim::Format(Declared::Ari)), DiskFormat::RawContent);
        assert_eq!(gzip(Claim::Format(Declared::Raw)), DiskFormat::Raw);
    }
}
