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
    pub(super) source: Box<dyn Source>,
    /// The download that fills the source, to be run beside the push.
    pub(super) download: Option<Download>,
}

/// A download that has not begun.
pub(super) struct Download {
    cloud: Cloud,
    image: ImageRecord,
    chunks: ChunkSender,
}

impl Origin {
    /// Opens what the command line names.
    pub(super) async fn find(args: &Send) -> Result<Self, Failure> {
        match (&args.file, &args.image) {
            (Some(_), _) => Self::file(args),
            (None, Some(image)) => Self::glance(args, image).await,
            (None, None) => {
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
        Ok(Self { name, image_id, format: DiskFormat::Raw, bytes, source: Box::new(source), download: None })
    }

    async fn glance(args: &Send, image: &str) -> Result<Self, Failure> {
        let cloud = Cloud::connect(args.os_cloud.as_deref()).await.map_err(cloud_failure)?;
        let image = cloud.find_image(image).await.map_err(cloud_failure)?;
        if let Some(container) = image.container_format.as_deref().filter(|&format| format != "bare") {
            return Err(Failure::usage(format!(
                "image {} is packed as {container}: only container format bare holds a disk that a host can boot",
                image.label()
            )));
        }
        let check = ContentCheck::new(&image.hash).map_err(cloud_failure)?;
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
            source: Box::new(source),
            download: Some(Download { cloud, image, chunks }),
        })
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
        let mut download = self.cloud.download(&self.image, DownloadOptions::default()).await?;
        while let Some(chunk) = download.next_chunk().await? {
            if self.chunks.send(Ok(chunk)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn object_name(name: &str) -> Result<ObjectName, Failure> {
    ObjectName::new(name).map_err(|error| {
        Failure::usage(format!("{name:?} cannot be the name of the image on the hosts: {error}; give --name"))
    })
}

fn cloud_failure(error: CloudError) -> Failure {
    match error.kind() {
        CloudErrorKind::Usage => Failure::usage(error),
        CloudErrorKind::Source => Failure::failed(error),
    }
}
