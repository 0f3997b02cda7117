//! What is to be pushed, found, inspected and opened: a file here, or an image in Glance.

use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use glancecast_inspect::{Claim, Facts, HEAD_BYTES, check_head};
use glancecast_proto::ids::ObjectName;
use glancecast_proto::wire::DiskFormat;
use tokio::task::spawn_blocking;

use super::Failure;
use super::args::Send;
use super::formats::{announced, inspect, limits, ready, refused, stays, streams, tool, unconverted};
use super::progress::Preparation;
use crate::convert::check_space;
use crate::openstack::{
    self, Cloud, CloudError, CloudErrorKind, ContentCheck, DownloadOptions, ImageRecord, SignatureCheck,
    SignatureError, shown,
};
use crate::pipeline::source::{FileSource, Source, SourceError};
use crate::pipeline::stream::{ChunkSender, StreamSource};

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

/// A download that has brought the image's beginning.
pub(super) struct Download {
    rest: openstack::Download,
    chunks: ChunkSender,
}

impl Origin {
    /// Opens what the command line names, as far as it may be sent, in the form that is sent; `cloud` is needed for an
    /// image in Glance.
    pub(super) async fn find(args: &Send, cloud: Option<&Cloud>) -> Result<Self, Failure> {
        let preparation = Preparation::new(args.quiet || args.json);
        let origin = match (&args.file, &args.image, cloud) {
            (Some(_), ..) => Self::file(args, &preparation).await,
            (None, Some(image), Some(cloud)) => Self::glance(args, image, cloud.clone(), &preparation).await,
            (None, ..) => {
                Err(Failure::usage("nothing to push: name an image in Glance, or give --file PATH"))
            }
        };
        preparation.clear();
        origin
    }

    async fn file(args: &Send, preparation: &Preparation) -> Result<Self, Failure> {
        let path = args.file.as_deref().expect("called with a file");
        let image = FileSource::open(path).map_err(Failure::usage)?;
        let name = match &args.name {
            Some(name) => name.clone(),
            None => {
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                object_name(&name)?
            }
        };
        let claim = args.disk_format.map_or(Claim::Nothing, Claim::Format);
        let facts = inspect(image.file(), image.name(), claim, &limits(args))?;
        let tool = tool(args).await;
        let (source, format) = ready(args, &tool, image, facts, preparation).await?;
        Ok(Self::whole(name, args.image_id.clone(), source, format))
    }

    async fn glance(
        args: &Send,
        image: &str,
        cloud: Cloud,
        preparation: &Preparation,
    ) -> Result<Self, Failure> {
        let image = cloud.find_image(image).await.map_err(cloud_failure)?;
        let label = format!("image {}", image.label());
        if let Some(container) = image.container_format.as_deref().filter(|&format| format != "bare") {
            return Err(Failure::usage(format!(
                "{label} is packed as {}: only container format bare holds a disk that a host can boot",
                shown(container)
            )));
        }
        let claim = claim(&image, &label)?;
        let signature = signature(args, &image, &label)?;
        let check = check(args, &image)?;
        let verified_by = check.as_ref().map(|check| check.algo().to_owned());
        let options = DownloadOptions {
            stall_timeout: args.stall_timeout,
            resumes_max: RESUMES_MAX,
            ranges: check.is_some(),
        };
        let spool = tempfile::tempfile_in(&args.spool).map_err(|error| {
            Failure::usage(format!("--spool {}: no file can be made there: {error}", args.spool.display()))
        })?;
        let name = match (&args.name, image.name.as_deref().map(ObjectName::new)) {
            (Some(name), _) => name.clone(),
            (None, Some(Ok(name))) => name,
            (None, Some(Err(_)) | None) => object_name(&image.id)?,
        };
        let (bytes, id) = (image.size, Some(image.id.clone()));
        let mut rest = cloud.download(&image, options).await.map_err(cloud_failure)?;
        let head = head(&mut rest).await.map_err(cloud_failure)?;
        let facts = check_head(&head[..head.len().min(HEAD_BYTES)], bytes, claim, &limits(args))
            .map_err(|refusal| refused(&label, &refusal))?;
        let tool = tool(args).await;
        let facts = match facts.filter(|&facts| stays(args, facts)) {
            Some(facts) if streams(args, &tool, &head, bytes, &label, facts).await? => Some(facts),
            _ => None,
        };
        let (source, chunks) = StreamSource::new(label.clone(), head, bytes, check);
        let (source, download) = (source.signed(signature), Download { rest, chunks });
        match facts {
            Some(facts) => Ok(Self {
                name,
                image_id: id,
                format: announced(facts.format),
                bytes,
                verified_by,
                source: Box::new(source),
                download: Some(download),
            }),
            // Its end has to be seen too, or all of it is needed for a raw one.
            _ => {
                check_space(&spool, bytes, &args.spool).map_err(|error| unconverted(&label, &error))?;
                let file = spooled(source, download, spool, bytes, preparation).await?;
                let facts: Facts = inspect(&file, &label, claim, &limits(args))?;
                let image = FileSource::over(file, label).map_err(Failure::failed)?;
                let (source, format) = ready(args, &tool, image, facts, preparation).await?;
                Ok(Self { verified_by, ..Self::whole(name, id, source, format) })
            }
        }
    }

    /// An image that is all here.
    fn whole(name: ObjectName, image_id: Option<String>, source: FileSource, format: DiskFormat) -> Self {
        Self {
            name,
            image_id,
            format,
            bytes: source.bytes(),
            verified_by: None,
            source: Box::new(source),
            download: None,
        }
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
    pub(super) async fn run(mut self) {
        if let Err(error) = self.stream().await {
            let _ = self.chunks.send(Err(error.to_string())).await;
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

/// What the image's record says that it is.
fn claim(image: &ImageRecord, label: &str) -> Result<Claim, Failure> {
    let Some(format) = image.disk_format.as_deref() else {
        return Err(Failure::usage(format!("{label} has no disk format: set it in Glance")));
    };
    let known = format.parse().map_err(|error| {
        let rule = glancecast_inspect::Rule::UnsupportedFormat.name();
        Failure::refused(format!("{label} is refused: {error} (rule {rule})"), rule)
    })?;
    Ok(Claim::Format(known))
}

/// How the image's signature is verified, where it is.
fn signature(args: &Send, image: &ImageRecord, label: &str) -> Result<Option<SignatureCheck>, Failure> {
    let Some(trusted) = &args.trusted_certs else {
        return Ok(None);
    };
    if !image.signature.any() && !args.verify_signatures {
        return Ok(None);
    }
    let refused = |error: SignatureError| {
        let rule = error.rule();
        Failure::refused(format!("{label} is refused: {error} (rule {rule})"), rule)
    };
    image.signature.check(trusted).map(Some).map_err(refused)
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
    download: Download,
    file: std::fs::File,
    bytes: u64,
    preparation: &Preparation,
) -> Result<std::fs::File, Failure> {
    let preparation = preparation.clone();
    // Ends when the download is dropped, too: the source then ends early.
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
            preparation.downloading(offset, bytes);
        }
    });
    let ((), file) = tokio::join!(download.run(), write);
    file.expect("writing does not panic").map_err(|error: SourceError| Failure::failed(error))
}

const SPOOL_PIECE_BYTES: usize = 1 << 20;
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
