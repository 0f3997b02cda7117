//! Lists of images, page by page.

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::{CloudError, json_fault};
use super::session::Cloud;

/// Which images to list; what is `None` or empty does not narrow it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageFilter {
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) visibility: Option<String>,
    /// All of these.
    pub(crate) tags: Vec<String>,
    /// Begin behind the image of this id.
    pub(crate) marker: Option<String>,
    /// Largest number of images.
    pub(crate) limit: Option<usize>,
}

/// A row of the list, as Glance has it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct ListedImage {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) status: String,
    /// Unknown until the image has data.
    pub(crate) size: Option<u64>,
    #[serde(rename(serialize = "format"))]
    pub(crate) disk_format: Option<String>,
    pub(crate) visibility: String,
}

#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) images: Vec<ListedImage>,
    /// Whether there is another page; where it begins is known from the last image of this one.
    next: Option<String>,
}

impl Cloud {
    /// The images that this project sees, sorted by name, from as many pages as Glance makes of them.
    ///
    /// # Errors
    /// `UnknownMarker`, `TooManyImages`, `BadAnswer`, `GlanceStatus`, `Unreachable`.
    pub(crate) async fn images(&self, filter: &ImageFilter) -> Result<Vec<ListedImage>, CloudError> {
        let wanted = filter.limit.unwrap_or(IMAGES_MAX);
        let mut images: Vec<ListedImage> = Vec::new();
        let mut marker = filter.marker.clone();
        while images.len() < wanted {
            let page = self.page(filter, marker.as_deref(), PAGE_IMAGES.min(wanted - images.len())).await?;
            marker = page.images.last().map(|image| image.id.clone());
            images.extend(page.images);
            if marker.is_none() || page.next.is_none() {
                return Ok(images);
            }
        }
        images.truncate(wanted); // a Glance that gives more than it was asked for
        match filter.limit {
            Some(_) => Ok(images),
            None => Err(CloudError::TooManyImages { max: IMAGES_MAX }),
        }
    }

    async fn page(
        &self,
        filter: &ImageFilter,
        marker: Option<&str>,
        limit: usize,
    ) -> Result<Page, CloudError> {
        let limit = limit.to_string();
        let mut query = vec![("sort", "name:asc"), ("limit", &limit)];
        let narrowing =
            [("name", &filter.name), ("status", &filter.status), ("visibility", &filter.visibility)];
        query.extend(narrowing.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
        query.extend(filter.tags.iter().map(|tag| ("tag", tag.as_str())));
        query.extend(marker.map(|marker| ("marker", marker)));
        let (status, body) = self.ask("images", &query).await?;
        match (status, marker) {
            (StatusCode::OK, _) => serde_json::from_slice(&body).map_err(|error| CloudError::BadAnswer {
                url: self.glance_text(),
                reason: json_fault(&error),
            }),
            (StatusCode::BAD_REQUEST, Some(marker)) => {
                Err(CloudError::UnknownMarker { marker: marker.to_owned() })
            }
            (other, _) => Err(CloudError::GlanceStatus { url: self.glance_text(), status: other.as_u16() }),
        }
    }
}

/// Asked for in one request; Glance gives less where its `api_limit_max` is smaller.
const PAGE_IMAGES: usize = 500;
/// More images than any cloud has: a list without an end is a broken one.
const IMAGES_MAX: usize = 1_000_000;
