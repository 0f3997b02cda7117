//! What is to be pushed, found, inspected and opened: a file here, or an image in Glance.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use glancecast_inspect::{Claim, HEAD_BYTES};
use glancecast_proto::ids::ObjectName;
use glancecast_proto::wire::{DiskFormat, is_image_id};
use tokio::task::spawn_blocking;

use super::formats::{Inspector, announced};
use super::push::{FileImage, GlanceImage, Image, SignatureRule};
use super::{Observer, Preparing, PushOptions, RequestError};
use crate::openstack::{
    self, Cloud, CloudError, ContentCheck, DownloadOptions, ImageRecord, SignatureCheck, shown,
};
use crate::pipeline::source::convert::check_space;
use crate::pipeline::source::stream::{ChunkSender, StreamSource};
use crate::pipeline::source::{FileSource, Source, SourceError};

/// An id as Glance makes it: a UUID in lower-case letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageId(String);

impl ImageId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageId {
    type Err = ImageIdError;

    fn from_str(text: &str) -> Result<Self, ImageIdError> {
        match (is_image_id(text), is_image_id(&text.to_ascii_lowercase())) {
            (true, _) => Ok(Self(text.to_owned())),
            (false, true) => Err(ImageIdError::Case),
            (false, false) => Err(ImageIdError::Form),
        }
    }
}

/// Why a text is no image id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageIdError {
    /// It has upper-case letters.
    #[error(
        "Nova looks for its copy under the id letter by letter, and hosts take ids in lower-case letters alone, as Glance \
         makes them: is this how Glance prints it?"
    )]
    Case,
    /// It is no UUID.
    #[error("an image id is a UUID, as Glance prints it")]
    Form,
}

/// An image that is ready to be read.
pub(super) struct OpenImage {
    pub(super) name: ObjectName,
    pub(super) image_id: Option<String>,
    pub(super) format: DiskFormat,
    pub(super) bytes: u64,
    /// The hash of Glance's record that proves the bytes at their end.
    pub(super) verified_by: Option<String>,
    pub(super) source: Box<dyn Source>,
    /// What fills the source, to be run beside the push.
    pub(super) feed: Option<Feed>,
}

/// A download that has brought the image's beginning, and fills a source with the rest.
pub(super) struct Feed {
    rest: openstack::Download,
    chunks: ChunkSender,
}

impl Feed {
    /// Streams the image into its source until its end, an error, or until the source is dropped.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.stream().await {
            let _ = self.chunks.send(Err(error)).await;
        }
    }

    async fn stream(&mut self) -> Result<(), CloudError> {
        while let Some(chunk) = self.rest.next_chunk().await? {
            if self.chunks.send(Ok(chunk)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl OpenImage {
    /// Opens what the request names, as far as it may be sent, in the form that is sent; `cloud` is needed for an
    /// image in Glance.
    pub(super) async fn open(
        options: &PushOptions,
        cloud: Option<&Cloud>,
        observer: &Observer,
    ) -> Result<Self, RequestError> {
        let inspector = Inspector { options, observer };
        match (&options.image, cloud) {
            (Image::File(file), _) => Self::file(&inspector, file).await,
            (Image::Glance(image), Some(cloud)) => Self::glance(&inspector, image, cloud).await,
            (Image::Glance(_), None) => unreachable!("a push from Glance connects first"),
        }
    }

    async fn file(inspector: &Inspector<'_>, file: &FileImage) -> Result<Self, RequestError> {
        let image = FileSource::open(&file.path)?;
        let name = match &inspector.options.name {
            Some(name) => name.clone(),
            None => object_name(&file.path.file_name().unwrap_or_default().to_string_lossy())?,
        };
        let claim = file.format.map_or(Claim::Nothing, Claim::Format);
        let facts = inspector.inspect(image.file(), image.name(), claim)?;
        let tool = inspector.tool().await;
        let (source, format) = inspector.ready(&tool, image, facts).await?;
        Ok(Self::whole(name, file.image_id.as_ref().map(ImageId::to_string), source, format))
    }

    async fn glance(
        inspector: &Inspector<'_>,
        wanted: &GlanceImage,
        cloud: &Cloud,
    ) -> Result<Self, RequestError> {
        let record = cloud.find_image(&wanted.name_or_id).await?;
        let label = format!("image {}", record.label());
        let claim = claim(&record, &label)?;
        let signature = signature(&wanted.signatures, &record, &label)?;
        let check = check(wanted, &record, &label)?;
        let verified_by = check.as_ref().map(|check| check.algo().to_owned());
        let download = DownloadOptions {
            stall_timeout: wanted.stall_timeout,
            resumes_max: RESUMES_MAX,
            ranges: check.is_some(),
        };
        let spool = spool(&inspector.options.spool)?;
        let name = match (&inspector.options.name, record.name.as_deref().map(ObjectName::new)) {
            (Some(name), _) => name.clone(),
            (None, Some(Ok(name))) => name,
            (None, Some(Err(_)) | None) => object_name(&record.id)?,
        };
        let mut rest = cloud.download(&record, download).await?;
        let head = head(&mut rest).await?;
        let bytes = record.size;
        let (tool, facts) = inspector.inspect_head(&head, bytes, &label, claim).await?;
        let (source, chunks) = StreamSource::new(label.clone(), head, bytes, check);
        let (source, feed) = (source.signed(signature), Feed { rest, chunks });
        let image_id = Some(record.id);
        if let Some(facts) = facts {
            let (format, source) = (announced(facts.format), Box::new(source));
            return Ok(Self { name, image_id, format, bytes, verified_by, source, feed: Some(feed) });
        }
        check_space(&spool, bytes, &inspector.options.spool)
            .map_err(|error| RequestError::convert(&label, error))?;
        let file = spooled(source, feed, spool, bytes, inspector.observer).await?;
        let facts = inspector.inspect(&file, &label, claim)?;
        let image = FileSource::over(file, label.clone());
        let image = image.map_err(|error| RequestError::Read { image: label, error })?;
        let (source, format) = inspector.ready(&tool, image, facts).await?;
        Ok(Self { verified_by, ..Self::whole(name, image_id, source, format) })
    }

    /// An image that is all here.
    fn whole(name: ObjectName, image_id: Option<String>, source: FileSource, format: DiskFormat) -> Self {
        let (bytes, source) = (source.bytes(), Box::new(source));
        Self { name, image_id, format, bytes, verified_by: None, source, feed: None }
    }
}

/// The proof of the image's bytes, or none where the operator does without.
fn check(
    wanted: &GlanceImage,
    record: &ImageRecord,
    label: &str,
) -> Result<Option<ContentCheck>, RequestError> {
    match ContentCheck::new(&record.hash) {
        Ok(check) => Ok(Some(check)),
        Err(error) if wanted.allow_unverified => {
            tracing::warn!("{label} is sent unverified, as told: {error}");
            Ok(None)
        }
        Err(error) => Err(RequestError::Unproven { image: label.to_owned(), error }),
    }
}

/// What the image's record says that it is.
fn claim(record: &ImageRecord, label: &str) -> Result<Claim, RequestError> {
    let image = || label.to_owned();
    if let Some(container) = record.container_format.as_deref().filter(|&format| format != "bare") {
        return Err(RequestError::Container { image: image(), container: shown(container) });
    }
    let format =
        record.disk_format.as_deref().ok_or_else(|| RequestError::NoDiskFormat { image: image() })?;
    let known = format.parse().map_err(|error| RequestError::UnknownFormat { image: image(), error })?;
    Ok(Claim::Format(known))
}

/// How the image's signature is verified, where it is.
fn signature(
    rule: &SignatureRule,
    record: &ImageRecord,
    label: &str,
) -> Result<Option<SignatureCheck>, RequestError> {
    let trusted = match rule {
        SignatureRule::Ignore => return Ok(None),
        SignatureRule::VerifySigned(_) if !record.signature.any() => return Ok(None),
        SignatureRule::VerifySigned(trusted) | SignatureRule::Require(trusted) => trusted,
    };
    let check = record.signature.check(trusted);
    check.map(Some).map_err(|error| RequestError::Signature { image: label.to_owned(), error })
}

fn spool(directory: &Path) -> Result<File, RequestError> {
    tempfile::tempfile_in(directory)
        .map_err(|error| RequestError::Spool { path: directory.to_owned(), error })
}

/// As many bytes as tell what an image is, and what came with them.
async fn head(download: &mut openstack::Download) -> Result<Bytes, CloudError> {
    let mut head = BytesMut::new();
    while head.len() < HEAD_BYTES {
        match download.next_chunk().await? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(head.freeze())
}

/// All of an image in a file, proven to be what Glance keeps.
async fn spooled(
    mut source: StreamSource,
    feed: Feed,
    file: File,
    bytes: u64,
    observer: &Observer,
) -> Result<File, SourceError> {
    let observer = Observer::clone(observer);
    // Ends when the feed is dropped, too: the source then ends early.
    let write = spawn_blocking(move || {
        let (mut buffer, mut offset) = (vec![0; SPOOL_PIECE_BYTES], 0);
        loop {
            let got = source.fill(&mut buffer)?;
            if got == 0 {
                source.finish()?;
                return Ok(file);
            }
            let failed =
                |error| SourceError::Read { name: "the local copy of the image (--spool)".into(), error };
            file.write_all_at(&buffer[..got], offset).map_err(failed)?;
            offset += got as u64;
            observer(Preparing::Downloading { got: offset, of: bytes });
        }
    });
    let ((), file) = tokio::join!(feed.run(), write);
    file.expect("writing does not panic")
}

const SPOOL_PIECE_BYTES: usize = 1 << 20;
/// Resumes of one download; a Glance that breaks it more often should be looked at.
const RESUMES_MAX: u32 = 8;

fn object_name(name: &str) -> Result<ObjectName, RequestError> {
    ObjectName::new(name).map_err(|error| RequestError::ObjectName { name: name.to_owned(), error })
}
