//! What is to be pushed, found and opened: a file here, or an image in Glance.

use glancecast_proto::ids::ObjectName;
use glancecast_proto::wire::DiskFormat;

use super::Failure;
use super::args::Send;
use crate::cloud::{Cloud, CloudError, CloudErrorKind, ContentCheck, DownloadOptions, ImageRecord};
use crate::data::source::{FileSource, Source};
use crate::data::stream::{ChunkSender, StreamSource};

/// An image that is ready to be read.
pub(super) struct Origin {
    pub(super) name: ObjectName,
    pub(super) image_id: Option<String>,
    pub(super) format: DiskFormat,
    pub(super) bytes: u64,
    /// The hash of Glance's record that proves the bytes at their end.
    pub(super) verified_by: Option<String>,
    pub(super) source: Box<dyn Source>,
    /// The download that fills the source, to be run beside the push.
    pub(super) download: Option<Download>,
}

/// A download that has not begun.
pub(super) struct Download {
    cloud: Cloud,
    image: ImageRecord,
    options: DownloadOptions,
    chunks: ChunkSender,
}

impl Origin {
    /// Opens what the command line names; `cloud` is needed for an image in Glance.
    pub(super) async fn find(args: &Send, cloud: Option<&Cloud>) -> Result<Self, Failure> {
        match (&args.file, &args.image, cloud) {
            (Some(_), ..) => Self::file(args),
            (None, Some(image), Some(cloud)) => Self::glance(args, image, cloud.clone()).await,
            (None, ..) => {
                Err(Failure::usage("nothing to push: name an image in Glance, or give --file PATH"))
            }
        }
    }

    fn file(args: &Send) -> Result<Self, Failure> {
        let path = args.file.as_deref().expect("called with a file");
        let source = FileSource::open(path).map_err(Failure::usage)?;
        let name = match &args.name {
            Some(name) => name.clone(),
            None => {
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                object_name(&name)?
            }
        };
        let bytes = source.bytes();
        let image_id = args.image_id.clone();
        Ok(Self {
            name,
            image_id,
            format: DiskFormat::Raw,
            bytes,
            verified_by: None,
            source: Box::new(source),
            download: None,
        })
    }

    async fn glance(args: &Send, image: &str, cloud: Cloud) -> Result<Self, Failure> {
        let image = cloud.find_image(image).await.map_err(cloud_failure)?;
        if let Some(container) = image.container_format.as_deref().filter(|&format| format != "bare") {
            return Err(Failure::usage(format!(
                "image {} is packed as {container}: only container format bare holds a disk that a host can boot",
                image.label()
            )));
        }
        let check = check(args, &image)?;
        let verified_by = check.as_ref().map(|check| check.algo().to_owned());
        let options = DownloadOptions {
            stall_timeout: args.stall_timeout,
            resumes_max: RESUMES_MAX,
            ranges: check.is_some(),
        };
        tempfile::tempfile_in(&args.spool).map_err(|error| {
            Failure::usage(format!("--spool {}: no file can be made there: {error}", args.spool.display()))
        })?;
        let name = match (&args.name, image.name.as_deref().map(ObjectName::new)) {
            (Some(name), _) => name.clone(),
            (None, Some(Ok(name))) => name,
            (None, Some(Err(_)) | None) => object_name(&image.id)?,
        };
        let (source, chunks) = StreamSource::new(format!("image {}", image.label()), image.size, check);
        Ok(Self {
            name,
            image_id: Some(image.id.clone()),
            format: DiskFormat::Raw,
            bytes: image.size,
            verified_by,
            source: Box::new(source),
            download: Some(Download { cloud, image, options, chunks }),
        })
    }
}

/// The proof of the image's bytes, or none where the operator does without.
fn check(args: &Send, image: &ImageRecord) -> Result<Option<ContentCheck>, Failure> {
    match ContentCheck::new(&image.hash) {
        Ok(check) => Ok(Some(check)),
        Err(error) if args.allow_unverified => {
            tracing::warn!("image {} is sent unverified, as told: {error}", image.label());
            Ok(None)
        }
        Err(error) => Err(Failure::failed(format!("image {}: {error}", image.label()))),
    }
}

impl Download {
    /// Streams the image into its source until its end, an error, or until nobody wants it any more.
    pub(super) async fn run(self) {
        if let Err(error) = self.stream().await {
            let _ = self.chunks.send(Err(error.to_string())).await;
        }
    }

    async fn stream(&self) -> Result<(), CloudError> {
        let mut download = self.cloud.download(&self.image, self.options).await?;
        while let Some(chunk) = download.next_chunk().await? {
            if self.chunks.send(Ok(chunk)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Breaks of one download that are survived; more are a Glance that should be looked at.
const RESUMES_MAX: u32 = 8;

fn object_name(name: &str) -> Result<ObjectName, Failure> {
    ObjectName::new(name).map_err(|error| {
        Failure::usage(format!("{name:?} cannot be the name of the image on the hosts: {error}; give --name"))
    })
}

pub(super) fn cloud_failure(error: CloudError) -> Failure {
    match error.kind() {
        CloudErrorKind::Usage => Failure::usage(error),
        CloudErrorKind::Source => Failure::failed(error),
    }
}
