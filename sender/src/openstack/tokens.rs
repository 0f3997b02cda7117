//! Tokens of others: asks Keystone what somebody's token is, as keystonemiddleware does.

use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::Value;

use super::config::{CloudChoice, Settings};
use super::error::{CloudError, json_fault};
use super::http::Repeat;
use super::session::Cloud;

/// Whether a token counts that has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// It does not.
    Refused,
    /// It does, for as long as Keystone allows (`allow_expired_window`): a service asks for work that a user began.
    Allowed,
}

/// Returns the address of Keystone in the settings, without a request.
///
/// # Errors
/// Those of the configuration.
pub(crate) fn auth_url(choice: &CloudChoice) -> Result<String, CloudError> {
    Ok(Settings::load(choice)?.auth_url)
}

impl Cloud {
    /// Returns the member `token` of Keystone's answer about a token of somebody else; `None` if it is not valid.
    ///
    /// # Errors
    /// `Status` if this user may not ask, `BadAnswer`, and those of [`Cloud::ask`].
    pub(crate) async fn token_of(
        &self,
        subject: &SecretString,
        expired: Expired,
    ) -> Result<Option<Value>, CloudError> {
        let keystone = self.keystone();
        let Some(request) = keystone.question_about(subject, expired)? else { return Ok(None) };
        let answer = self.ask(keystone.peer(), request, Repeat::Yes).await?;
        match answer.status {
            StatusCode::OK => {}
            // 400: the text has a form that no token has.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => return Ok(None),
            status => return Err(self.refused(keystone.peer(), status)),
        }
        let fault = |reason| CloudError::BadAnswer {
            peer: keystone.peer().to_string(),
            what: "what a token is",
            reason,
        };
        let mut body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| fault(json_fault(&error)))?;
        match body["token"].take() {
            Value::Object(token) => Ok(Some(Value::Object(token))),
            _ => Err(fault("it has no `token`".to_owned())),
        }
    }
}
