//! From what the operator typed to one image.

use reqwest::StatusCode;

use super::error::CloudError;
use super::image::{ImageRecord, choose_by_name};
use super::session::Cloud;

impl Cloud {
    /// By id when `name_or_id` has the form of one, else, or when no image has it, by exact name
    /// among the images that Glance lists for this project: its own, public ones, and those shared
    /// with it and accepted. Hidden and community images are found by id only: anybody can name a
    /// community image like somebody else's.
    ///
    /// # Errors
    /// `AmbiguousName` lists the ids; `NotActive` says what to do about the status; `UnknownImage`
    /// also stands for a private image of another project, which Glance does not admit to have.
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

/// 8-4-4-4-12 hex digits. Glance's ids are always in this form.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').collect::<Vec<_>>();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// More namesakes than this are not told apart by reading a message.
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
