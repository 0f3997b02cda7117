//! Lists of images, page by page.

use glancecast_inspect::DiskFormat;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::CloudError;
use super::find::name_filter;
use super::image::id_fault;
use super::namesakes::Page;
use super::session::Cloud;

/// A filter of images; a member that is `None` or empty does not restrict the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageFilter {
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) visibility: Option<String>,
    /// All of these tags.
    pub(crate) tags: Vec<String>,
    /// Start after the image with this id.
    pub(crate) marker: Option<String>,
    /// The maximum number of images.
    pub(crate) limit: Option<usize>,
}

/// A row of the list, as Glance returns it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct ListedImage {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) status: String,
    /// `None` until the image has data.
    pub(crate) size: Option<u64>,
    #[serde(rename(serialize = "format"))]
    pub(crate) disk_format: Option<String>,
    pub(crate) container_format: Option<String>,
    pub(crate) visibility: Option<String>,
    pub(crate) created_at: Option<String>,
    /// Why it cannot be pushed; `None` if nothing in its record is against it.
    #[serde(skip_deserializing)]
    pub(crate) obstacle: Option<String>,
}

impl ListedImage {
    /// Reads the records of a page that are images. The form of others is not Glance's.
    pub(super) fn read(page: Page) -> Vec<Self> {
        let mut skipped = 0;
        let mut images = Vec::new();
        for image in page.into_images() {
            match serde_json::from_value::<Self>(image) {
                Ok(image) => images.push(Self { obstacle: image.obstacle(), ..image }),
                Err(_) => skipped += 1,
            }
        }
        if skipped > 0 {
            tracing::warn!("{skipped} entries of Glance's list are not records of images and are left out");
        }
        images
    }

    /// Returns why the image of a record cannot be pushed, if so; `None` if it is no record of an image.
    pub(super) fn obstacle_of(record: &Value) -> Option<Option<String>> {
        Self::deserialize(record).ok().map(|image| image.obstacle())
    }

    fn obstacle(&self) -> Option<String> {
        let container = self.container_format.as_deref().unwrap_or("bare");
        let format = self.disk_format.as_deref();
        if self.status != "active" {
            Some(format!("it is {}", self.status))
        } else if let Some(fault) = id_fault(&self.id) {
            Some(format!("its id is one {fault}"))
        } else if !CONTAINERS.contains(&container) {
            Some(format!("its container format is {container}"))
        } else if self.size.unwrap_or(0) == 0 {
            Some("it has no data".to_owned())
        } else if format.is_none() {
            Some("it has no disk format".to_owned())
        } else {
            format
                .filter(|format| format.parse::<DiskFormat>().is_err())
                .map(|format| format!("its disk format is {format}"))
        }
    }
}

impl Cloud {
    /// Returns the images that this project can see, sorted by name, from as many pages as Glance returns.
    ///
    /// # Errors
    /// `UnknownMarker`, `TooManyImages`, `BadAnswer`, and those of [`Cloud::ask_glance`].
    pub(crate) async fn images(&self, filter: &ImageFilter) -> Result<Vec<ListedImage>, CloudError> {
        let wanted = filter.limit.unwrap_or(IMAGES_MAX);
        let mut images: Vec<ListedImage> = Vec::new();
        let mut marker = filter.marker.clone();
        let mut seen = 0;
        while images.len() < wanted && seen < IMAGES_MAX {
            let page = self.page(filter, marker.as_deref(), PAGE_IMAGES.min(wanted - images.len())).await?;
            let next = page.marker();
            let found = ListedImage::read(page);
            seen += found.len().max(1);
            // Glance compares names without their case on some databases, and reads `in:a,b` as a list of names.
            let same = |image: &ListedImage| filter.name.is_none() || image.name == filter.name;
            images.extend(found.into_iter().filter(same));
            if next.is_none() || next == marker {
                return Ok(images);
            }
            marker = next;
        }
        images.truncate(wanted); // in case Glance returns more than requested
        match filter.limit {
            Some(_) => Ok(images),
            None => Err(CloudError::TooManyImages { max: IMAGES_MAX }),
        }
    }

    pub(super) async fn page(
        &self,
        filter: &ImageFilter,
        marker: Option<&str>,
        limit: usize,
    ) -> Result<Page, CloudError> {
        let limit = limit.to_string();
        let name = filter.name.as_deref().and_then(name_filter);
        let mut query = vec![("sort", "name:asc"), ("limit", &limit)];
        let narrowing = [("name", &name), ("status", &filter.status), ("visibility", &filter.visibility)];
        query.extend(narrowing.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
        query.extend(filter.tags.iter().map(|tag| ("tag", tag.as_str())));
        query.extend(marker.map(|marker| ("marker", marker)));
        let glance = &self.glance().await?.peer;
        let answer = self.ask_glance("images", &query).await?;
        match (answer.status, marker) {
            (StatusCode::OK, _) => Page::parse(&answer.body, &glance.to_string()),
            (StatusCode::BAD_REQUEST, Some(marker)) => {
                Err(CloudError::UnknownMarker { marker: marker.to_owned() })
            }
            (other, _) => Err(self.refused(glance, other)),
        }
    }
}

/// The container formats that hold a disk as it is.
const CONTAINERS: [&str; 4] = ["bare", "ami", "aki", "ari"];
/// The size of a requested page; Glance returns fewer images if its `api_limit_max` is smaller.
pub(super) const PAGE_IMAGES: usize = 500;
/// More images than any cloud has: a longer list is taken for an endless one.
pub(super) const IMAGES_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(image: Value) -> Vec<ListedImage> {
        let page = json!({"images": [image]}).to_string();
        ListedImage::read(Page::parse(page.as_bytes(), "Glance").unwrap())
    }

    #[test]
    fn what_cannot_be_pushed_is_said_for_each_image() {
        let good = json!({"id": "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44", "name": "debian", "status": "active", "size": 5,
                          "disk_format": "raw", "container_format": "bare", "visibility": "public"});
        assert_eq!(read(good.clone())[0].obstacle, None);
        for (key, value, words) in [
            ("status", json!("queued"), "queued"),
            ("container_format", json!("ovf"), "ovf"),
            ("container_format", json!("docker"), "docker"),
            ("disk_format", json!("ploop"), "ploop"),
            ("disk_format", Value::Null, "no disk format"),
            ("size", json!(0), "no data"),
            ("size", Value::Null, "no data"),
            ("id", json!("4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44"), "upper-case"),
        ] {
            let mut image = good.clone();
            image[key] = value;
            let obstacle = read(image)[0].obstacle.clone().expect(key);
            assert!(obstacle.contains(words), "{obstacle}");
        }
    }

    #[test]
    fn an_entry_that_is_no_image_hides_no_other() {
        for odd in [Value::Null, json!(5), json!({}), json!({"id": 5, "status": "active"})] {
            assert_eq!(read(odd).len(), 0);
        }
        assert_eq!(read(json!({"id": "x", "status": "active"})).len(), 1, "members may be missing");
    }
}
