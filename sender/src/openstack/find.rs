//! Finds the image that the operator named.

use reqwest::StatusCode;

use super::error::CloudError;
use super::image::{ImageRecord, choose_by_name};
use super::session::Cloud;

impl Cloud {
    /// Finds an image by id if `name_or_id` has the form of one. If it has not, or no image has this id, finds it by
    /// exact name among the images that Glance lists for this project: its own, public ones, and those shared with it
    /// and accepted. Hidden and community images are found by id only: any project can name a community image like
    /// another project's image.
    ///
    /// # Errors
    /// `AmbiguousName` lists the ids; `NotActive` explains what to do about the status; `UnknownImage` also stands for
    /// a private image of another project, whose existence Glance does not reveal.
    pub(crate) async fn find_image(&self, name_or_id: &str) -> Result<ImageRecord, CloudError> {
        if is_uuid(name_or_id)
            && let Some(image) = self.image_by_id(name_or_id).await?
        {
            return Ok(image);
        }
        let (status, body) = self.ask("images", &[("name", name_or_id), ("limit", NAMESAKES_MAX)]).await?;
        match status {
            StatusCode::OK => choose_by_name(&body, name_or_id, &self.glance_text()),
            other => Err(self.unexpected(other)),
        }
    }

    async fn image_by_id(&self, id: &str) -> Result<Option<ImageRecord>, CloudError> {
        let (status, body) = self.ask(&format!("images/{id}"), &[]).await?;
        match status {
            StatusCode::OK => ImageRecord::parse(&body, &self.glance_text()).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(self.unexpected(other)),
        }
    }

    fn unexpected(&self, status: StatusCode) -> CloudError {
        CloudError::GlanceStatus { url: self.glance_text(), status: status.as_u16() }
    }
}

/// Whether a text has the form of Glance's ids: 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').collect::<Vec<_>>();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The maximum number of images of one name in a message; more cannot be told apart by reading it.
const NAMESAKES_MAX: &str = "100";

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
}
