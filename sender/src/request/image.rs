//! The image of a push: found, inspected and opened. It is a file on this machine or an image in Glance.

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

/// An image id as Glance creates it: a UUID in lower-case letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageId(String);

impl ImageId {
    /// Returns the id as text.
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

/// Why a text is not an image id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageIdError {
    /// It has upper-case letters.
    #[error(
        "Nova looks for its copy under the id letter by letter, and hosts take ids in lower-case letters alone, as Glance \
         makes them: is this how Glance prints it?"
    )]
    Case,
    /// It is not a UUID.
    #[error("an image id is a UUID, as Glance prints it")]
    Form,
}

/// An image that is ready to be read.
pub(super) struct OpenImage {
    pub(super) name: ObjectName,
    pub(super) image_id: Option<String>,
    pub(super) format: DiskFormat,
    pub(super) bytes: u64,
    /// The algorithm of the hash in Glance's record that proves the bytes at their end.
    pub(super) verified_by: Option<String>,
    pub(super) source: Box<dyn Source>,
    /// The download that fills the source, to be run concurrently with the push.
    pub(super) feed: Option<Feed>,
}

/// A download whose beginning has arrived, and which fills a source with the rest.
pub(super) struct Feed {
    rest: openstack::Download,
    chunks: ChunkSender,
}

impl Feed {
    /// Streams the image into its source until the end, an error, or until the source is dropped.
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
    /// Opens the image of the request in the form in which it is sent, if it may be sent. `cloud` is required for an
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
        let record = cloud.find_image(&wanted.name_or_id, wanted.namesakes).await?;
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

    /// Returns an image that is complete in a file.
    fn whole(name: ObjectName, image_id: Option<String>, source: FileSource, format: DiskFormat) -> Self {
        let (bytes, source) = (source.bytes(), Box::new(source));
        Self { name, image_id, format, bytes, verified_by: None, source, feed: None }
    }
}

/// Returns the check of the image's bytes, or `None` if there is none and the operator allows that.
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

/// Returns the format that the image's record claims.
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

/// Returns the check of the image's signature, if the rule requires one.
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

/// Downloads at least as many bytes as the inspection needs, with all that arrived together with them.
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

/// Downloads the whole image to a file, and proves that it is what Glance keeps.
async fn spooled(
    mut source: StreamSource,
    feed: Feed,
    file: File,
    bytes: u64,
    observer: &Observer,
) -> Result<File, SourceError> {
    let observer = Observer::clone(observer);
    // If the feed is dropped, the source ends early, and so does this task.
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
/// The maximum number of resumes of a download in a row that bring nothing; if it takes more, the operator should know.
const RESUMES_MAX: u32 = 8;

fn object_name(name: &str) -> Result<ObjectName, RequestError> {
    ObjectName::new(name).map_err(|error| RequestError::ObjectName { name: name.to_owned(), error })
}
