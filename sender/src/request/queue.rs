//! Several images in one call: which they are, and a push of each.

use chrono::DateTime;
use glancecast_proto::wire::printable;

use super::{Image, PushOptions, PushRequest, RequestError};
use crate::openstack::{Cloud, CloudChoice, ImageFilter, ListedImage, Namesakes};

/// The images that a call pushes, by name or by tag.
#[derive(Debug)]
pub struct QueueRequest {
    /// The push of the first image. Those of the others differ in the image.
    pub first: PushRequest,
    pub(crate) images: Vec<String>,
    /// Tags that all images have; none if images are named.
    pub(crate) tags: Vec<String>,
    pub(crate) cloud: CloudChoice,
    pub(crate) namesakes: Namesakes,
}

/// One push of several.
#[derive(Debug)]
pub struct QueuedPush {
    /// The image, in printable words.
    pub label: String,
    /// The push.
    pub request: PushRequest,
}

impl QueueRequest {
    /// Finds the images. A single one that is named is looked for when it is prepared. Of several, all have to be there
    /// before anything is sent: what is misspelt in a list is nearly always found here.
    ///
    /// # Errors
    /// Glance does not answer, or an image is not there.
    pub async fn resolve(self) -> Result<Vec<QueuedPush>, RequestError> {
        let Self { first, images, tags, cloud, namesakes } = self;
        if images.len() <= 1 && tags.is_empty() {
            let label = match &first.options().image {
                Image::File(file) => file.path.display().to_string(),
                Image::Glance(image) => image.name_or_id.clone(),
            };
            return Ok(vec![QueuedPush { label: printable(&label), request: first }]);
        }
        if images.len() > QUEUE_MAX {
            return Err(RequestError::TooManyImages(images.len()));
        }
        let cloud = Cloud::connect(&cloud).await?;
        let mut found: Vec<(String, String)> = Vec::new();
        if tags.is_empty() {
            for name_or_id in images {
                let id = cloud.find_image(&name_or_id, namesakes).await?.id;
                found.push((id, name_or_id));
            }
        } else {
            let filter =
                ImageFilter { status: Some("active".into()), tags: tags.clone(), ..ImageFilter::default() };
            let images = with_tags(cloud.images(&filter).await?, namesakes);
            if images.is_empty() {
                return Err(RequestError::NoImageWithTag(printable(&tags.join(", "))));
            }
            found.extend(images.into_iter().map(|image| (image.id.clone(), image.name.unwrap_or(image.id))));
        }
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|(id, _)| seen.insert(id.clone()));
        match found.len() {
            many if many > QUEUE_MAX => Err(RequestError::TooManyImages(many)),
            _ => found.into_iter().map(|(id, label)| push(first.options(), id, &label)).collect(),
        }
    }
}

/// Returns the images that can be pushed, or the one that was created last.
fn with_tags(images: Vec<ListedImage>, namesakes: Namesakes) -> Vec<ListedImage> {
    let (mut good, bad): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| image.obstacle.is_none());
    for image in bad {
        let (name, why) = (image.name.unwrap_or(image.id), image.obstacle.unwrap_or_default());
        tracing::warn!("{} has the tag and is not pushed: {}", printable(&name), printable(&why));
    }
    if namesakes == Namesakes::Latest {
        let created = |image: &ListedImage| {
            let time = image.created_at.as_deref().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
            (time, image.id.clone())
        };
        good = good.into_iter().max_by_key(created).into_iter().collect();
    }
    good
}

fn push(first: &PushOptions, id: String, label: &str) -> Result<QueuedPush, RequestError> {
    let mut options = first.clone();
    if let Image::Glance(image) = &mut options.image {
        image.name_or_id = id;
    }
    Ok(QueuedPush { label: printable(label), request: PushRequest::new(options)? })
}

/// Most images of one call. More are a mistake, such as a tag that all images have.
pub(super) const QUEUE_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_tag_is_the_one_that_was_created_last_and_can_be_pushed() {
        let images = || {
            vec![
                image("a", "2026-01-01T00:00:00Z", None),
                image("c", "2026-03-01T00:00:00+01:00", None),
                image("b", "2026-02-28T22:00:00Z", None),
                image("d", "2026-04-01T00:00:00Z", Some("it is queued")),
            ]
        };
        let ids = |rule| with_tags(images(), rule).into_iter().map(|image| image.id).collect::<Vec<_>>();
        assert_eq!(ids(Namesakes::Latest), ["c"]);
        assert_eq!(ids(Namesakes::Refused), ["a", "c", "b"]);
    }

    fn image(id: &str, created_at: &str, obstacle: Option<&str>) -> ListedImage {
        ListedImage {
            id: id.into(),
            name: None,
            status: "active".into(),
            size: Some(1),
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            visibility: None,
            created_at: Some(created_at.into()),
            obstacle: obstacle.map(str::to_owned),
        }
    }
}
