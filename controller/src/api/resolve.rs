//! Finds the images that a push names.

use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::clock::wall;

use super::{ApiError, App};
use crate::limits::IMAGES_PER_PUSH_MAX;
use crate::model::{Cloud, Image, Target};
use crate::work::arguments::{FILE, is_file_name};

/// The prefix of a tag.
const TAG: &str = "tag:";

/// Returns the images of these references, in their order.
///
/// # Errors
/// 400 for an image that is not there, or that is not the only one; 409 for one that cannot be pushed; 503 if Glance does not
/// answer.
pub(super) async fn targets(app: &App, references: &[String]) -> Result<Vec<Target>, ApiError> {
    let mut targets = Vec::new();
    for reference in references {
        match reference.strip_prefix(FILE) {
            Some(name) => targets.push(file(app, reference, name)?),
            None => targets.extend(of_cloud(app, reference).await?),
        }
    }
    if targets.len() > IMAGES_PER_PUSH_MAX {
        let detail = format!("{} images; a push has at most {IMAGES_PER_PUSH_MAX}", targets.len());
        return Err(ApiError::bad_request("bad-push", detail));
    }
    Ok(targets)
}

fn file(app: &App, reference: &str, name: &str) -> Result<Target, ApiError> {
    let no_file = |why: &str| ApiError::bad_request("no-such-image", format!("{reference:?}: {why}"));
    let directory = app.config.sender.images.as_ref();
    let directory =
        directory.ok_or_else(|| no_file("the controller has no directory of images (`images`)"))?;
    if !is_file_name(name) {
        return Err(no_file("write the name of a file in the controller's directory of images"));
    }
    match std::fs::metadata(directory.join(name)) {
        Ok(metadata) if metadata.is_file() => Ok(Target {
            reference: reference.to_owned(),
            image_id: None,
            name: Some(name.to_owned()),
            bytes: Some(metadata.len()),
        }),
        _ => Err(no_file("there is no such file in the controller's directory of images")),
    }
}

async fn of_cloud(app: &App, reference: &str) -> Result<Vec<Target>, ApiError> {
    let Some(access) = &app.cloud else {
        let detail = format!("{reference:?}: the controller knows no Glance; push a file as file:NAME");
        return Err(ApiError::bad_request("no-such-image", detail));
    };
    let seen = access.seen();
    // An id means one image for ever; what a name or a tag means may have changed.
    let is_new = seen.taken.is_some_and(|at| wall().0.saturating_sub(at.0) < FRESH.as_millis() as u64);
    let has_id = seen.images.iter().any(|image| image.id == reference && image.status == "active");
    let cloud = match has_id || (is_new && seen.fault.is_none()) {
        true => seen,
        false => access.look().await,
    };
    choose(&cloud, reference)
}

/// Returns the images that a reference means in a cloud.
fn choose(cloud: &Arc<Cloud>, reference: &str) -> Result<Vec<Target>, ApiError> {
    let target = |image: &Image| Target {
        reference: reference.to_owned(),
        image_id: Some(image.id.clone()),
        name: image.name.clone(),
        bytes: image.size,
    };
    if let Some(tag) = reference.strip_prefix(TAG) {
        let has_tag =
            |image: &&Image| image.tags.iter().any(|known| known == tag) && image.obstacle.is_none();
        let mut images: Vec<&Image> = cloud.images.iter().filter(has_tag).collect();
        images.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        return match images.is_empty() {
            true => Err(missing(cloud, format!("no image that can be pushed has the tag {tag:?}"))),
            false => Ok(images.into_iter().map(target).collect()),
        };
    }
    if let Some(image) = cloud.images.iter().find(|image| image.id == reference) {
        return usable(image).map(|image| vec![target(image)]);
    }
    let named: Vec<&Image> =
        cloud.images.iter().filter(|image| image.name.as_deref() == Some(reference)).collect();
    let active: Vec<&Image> = named.iter().copied().filter(|image| image.status == "active").collect();
    match (active.as_slice(), named.as_slice()) {
        ([image], _) => usable(image).map(|image| vec![target(image)]),
        ([], []) => Err(missing(cloud, format!("there is no image with the name or id {reference:?}"))),
        ([], [image, ..]) => usable(image).map(|image| vec![target(image)]),
        (several, _) => {
            let ids: Vec<&str> = several.iter().take(8).map(|image| image.id.as_str()).collect();
            let detail = format!(
                "{} active images have the name {reference:?}: {}; give an id",
                several.len(),
                ids.join(", ")
            );
            Err(ApiError::bad_request("ambiguous-image", detail))
        }
    }
}

fn usable(image: &Image) -> Result<&Image, ApiError> {
    match &image.obstacle {
        None => Ok(image),
        Some(obstacle) => {
            let detail = format!("image {} cannot be pushed: {obstacle}", image.id);
            Err(ApiError::conflict("image-not-usable", detail))
        }
    }
}

/// Returns that an image is not there, unless nobody knows because Glance does not answer.
fn missing(cloud: &Cloud, detail: String) -> ApiError {
    match &cloud.fault {
        None => ApiError::bad_request("no-such-image", detail),
        Some(fault) => ApiError::unavailable("glance", format!("{detail}, as far as is known: {fault}")),
    }
}

/// Age at which a look at Glance is too old to say what a name means.
const FRESH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use glancecast_proto::time::WallClock;

    use super::*;

    fn image(id: &str, name: &str, status: &str, created: u64, tags: &[&str]) -> Image {
        Image {
            id: id.into(),
            name: Some(name.into()),
            status: status.into(),
            visibility: None,
            owner: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            size: Some(5),
            disk_format: None,
            created_at: WallClock(created),
            updated_at: WallClock(created),
            os_hash_algo: None,
            os_hash_value: None,
            obstacle: (status != "active").then(|| format!("it is {status}")),
        }
    }

    #[test]
    fn a_reference_is_an_id_a_name_or_a_tag() {
        let images = vec![
            image("i1", "debian", "active", 2, &["golden"]),
            image("i2", "debian", "deactivated", 1, &["golden"]),
            image("i3", "twice", "active", 1, &["golden"]),
            image("i4", "twice", "active", 3, &[]),
            image("i5", "i1", "active", 3, &[]),
        ];
        let cloud = Arc::new(Cloud { images, ..Cloud::default() });
        let ids = |reference: &str| -> Result<Vec<String>, ApiError> {
            Ok(choose(&cloud, reference)?.into_iter().filter_map(|target| target.image_id).collect())
        };
        assert_eq!(ids("i1").expect("an id"), ["i1"], "an id comes before a name");
        assert_eq!(ids("debian").expect("a name"), ["i1"], "the only active one");
        assert_eq!(
            ids("tag:golden").expect("a tag"),
            ["i3", "i1"],
            "the oldest first, those that can be pushed"
        );
        for (reference, status) in [("twice", 400), ("i2", 409), ("nobody", 400), ("tag:none", 400)] {
            assert_eq!(ids(reference).expect_err(reference).answer("r").status(), status, "{reference}");
        }
        let away = Arc::new(Cloud { fault: Some("refused".into()), ..Cloud::default() });
        assert_eq!(choose(&away, "debian").expect_err("unknown").answer("r").status(), 503);
    }
}
