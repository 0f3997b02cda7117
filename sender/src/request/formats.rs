//! The form in which an image is sent. It is inspected before anything opens it, `qemu-img` in its sandbox must find
//! the same format, and it is converted to raw where hosts need raw.

use std::fs::File;

use bytes::Bytes;
use glancecast_inspect::{CheckError, Claim, Facts, Format, Limits, check, check_head};
use glancecast_proto::wire::{DiskFormat, printable};
use glancecast_sandbox::{Unsandboxed, not_opened};

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
    fn limits(&self) -> Limits<'static> {
        Limits {
            virtual_bytes_max: self.options.formats.virtual_bytes_max,
            // Nova does not fetch a file from here, so the file need not have a format that Nova accepts.
            vhd: matches!(self.options.image, Image::File(_)),
            ..Limits::default()
        }
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
    pub(super) fn inspect(&self, mut file: &File, name: &str, claim: Claim) -> Result<Facts, RequestError> {
        let image = || name.to_owned();
        let facts = check(&mut file, claim, &self.limits()).map_err(|error| match error {
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
        let facts =
            check_head(&head[..head.len().min(glancecast_inspect::HEAD_BYTES)], bytes, claim, &self.limits())
                .map_err(|refusal| RequestError::Refused { image: name.to_owned(), refusal })?;
        let tool = self.tool().await;
        let Some(facts) = facts.filter(|&facts| self.options.formats.keeps(facts)) else {
            return Ok((tool, None));
        };
        let opinion = tool
            .opinion_of_head(head, bytes, facts.format, &self.options.spool)
            .await
            .map_err(|error| RequestError::convert(name, error))?;
        if unreadable(&opinion).is_some() {
            return Ok((tool, None));
        }
        warn_of_overhang(name, facts);
        Ok((tool, Some(facts)))
    }

    /// Returns what is sent of an inspected image in a file: the file itself, or one converted to raw.
    pub(super) async fn ready(
        &self,
        tool: &Tool,
        image: FileSource,
        facts: Facts,
    ) -> Result<(FileSource, DiskFormat), RequestError> {
        let name = image.name().to_owned();
        if self.options.formats.keeps(facts) {
            second_opinion(tool, image.file(), &name, facts).await?;
            return Ok((image, announced(facts.format)));
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
        // The disk's content may itself look like an image of another format.
        let converted = format!("{name}, converted,");
        let facts = self.inspect(&raw, &converted, Claim::Disk)?;
        second_opinion(tool, &raw, &converted, facts).await?;
        let source = FileSource::over(raw, name.clone());
        let source = source.map_err(|error| RequestError::Read { image: name, error })?;
        Ok((source, DiskFormat::Raw))
    }
}

/// Returns the format that the announcement states.
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

/// Logs a warning if a disk says of itself that it is longer than its image.
fn warn_of_overhang(name: &str, facts: Facts) {
    if let Some(overhang) = facts.overhang {
        tracing::warn!("{}: {overhang}", printable(name));
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
        for format in [Format::Raw, Format::Gpt, Format::Iso] {
            assert_eq!(announced(format), DiskFormat::Raw);
        }
        for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx] {
            assert_eq!(announced(format).name(), format.name());
        }
        assert_eq!(announced(Format::Vdi), DiskFormat::Other);
    }
}
