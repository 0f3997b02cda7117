//! Lists of images, page by page.

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::{CloudError, json_fault};
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
    pub(crate) visibility: String,
}

#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) images: Vec<ListedImage>,
    /// Present if there is another page, which starts after the last image of this one.
    next: Option<String>,
}

impl Cloud {
    /// Returns the images that this project can see, sorted by name, from as many pages as Glance returns.
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
        images.truncate(wanted); // in case Glance returns more than requested
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

/// The size of a requested page; Glance returns fewer images if its `api_limit_max` is smaller.
const PAGE_IMAGES: usize = 500;
/// More images than any cloud has: a longer list is taken for an endless one.
const IMAGES_MAX: usize = 1_000_000;
