//! Finds the image that the operator named.

use reqwest::StatusCode;

use super::error::CloudError;
use super::image::ImageRecord;
use super::namesakes::{Namesakes, Page, SameName};
use super::session::Cloud;

impl Cloud {
    /// Finds an image by id if `name_or_id` has the form of one. If it has not, or no image has this id, finds it by
    /// exact name among the images that Glance lists for this project: its own, public ones, and those shared with it
    /// and accepted. Hidden and community images are found by id only: any project can name a community image like
    /// another project's image. Of several images of the name the only active one is taken, or the one of the rule.
    ///
    /// # Errors
    /// `AmbiguousName` lists the ids; `NotActive` explains what to do about the status; `UnknownImage` also stands for
    /// a private image of another project, whose existence Glance does not reveal.
    pub(crate) async fn find_image(
        &self,
        name_or_id: &str,
        rule: Namesakes,
    ) -> Result<ImageRecord, CloudError> {
        if is_uuid(name_or_id)
            && let Some(image) = self.image_by_id(name_or_id).await?
        {
            return Ok(image);
        }
        let glance = &self.glance().await?.peer;
        let mut found = SameName::new(name_or_id);
        let filter = name_filter(name_or_id);
        let mut marker: Option<String> = None;
        // Without a sort key Glance lists the newest first.
        for _ in 0..PAGES_MAX {
            let mut query = vec![("limit", PAGE_IMAGES)];
            query.extend(filter.as_deref().map(|name| ("name", name)));
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let answer = self.ask_glance("images", &query).await?;
            if answer.status != StatusCode::OK {
                return Err(self.refused(glance, answer.status));
            }
            let page = Page::parse(&answer.body, &glance.to_string())?;
            let next = page.marker();
            found.add(page.into_images(), &glance.to_string())?;
            if next.is_none() || next == marker || found.len() > NAMESAKES_MAX {
                break;
            }
            marker = next;
        }
        found.choose(rule)
    }

    async fn image_by_id(&self, id: &str) -> Result<Option<ImageRecord>, CloudError> {
        let glance = &self.glance().await?.peer;
        let answer = self.ask_glance(&format!("images/{id}"), &[]).await?;
        match answer.status {
            StatusCode::OK => ImageRecord::parse(&answer.body, &glance.to_string()).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(self.refused(glance, other)),
        }
    }
}

/// Returns the value of Glance's filter by name; `None` if it cannot be filtered by. Glance reads a name that begins with
/// `in:` as a list of names, in which each may be quoted (`split_filter_value_for_quotes` in glance/common/utils.py).
pub(super) fn name_filter(name: &str) -> Option<String> {
    match name.starts_with("in:") {
        false => Some(name.to_owned()),
        true => (!name.contains(['"', '\\'])).then(|| format!("in:\"{name}\"")),
    }
}

/// Whether a text has the form of Glance's ids: 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').collect::<Vec<_>>();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The size of a requested page; Glance returns fewer images if its `api_limit_max` is smaller.
const PAGE_IMAGES: &str = "100";
/// More pages than images of one name fill; with a name that cannot be filtered by, all images are listed.
const PAGES_MAX: usize = 1000;
/// More images of one name cannot be told apart by reading a list of them.
const NAMESAKES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_an_id_is_asked_for_as_one() {
        assert!(is_uuid("4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"));
        assert!(is_uuid("4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44"));
        for name in [
            "",
            "debian",
            "4b2c93ee4f244cfd8fcae1cf11ac1a44",
            "../v2/tasks",
            "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a4/",
        ] {
            assert!(!is_uuid(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_glance_takes_for_a_list_is_quoted() {
        assert_eq!(name_filter("debian").as_deref(), Some("debian"));
        assert_eq!(name_filter("in:a,b").as_deref(), Some("in:\"in:a,b\""));
        assert_eq!(name_filter("in:\"a"), None);
    }
}
