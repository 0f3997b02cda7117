//! The cloud for programs beside the sender: whose token this is, which images and hosts there are. It takes the credentials
//! of the `openstack` command, as the sender does, and is the sender's own session.

use secrecy::SecretString;
use serde_json::Value;

use crate::openstack::{Cloud, CloudChoice, CloudError, CloudErrorKind, Nova};

pub use crate::openstack::{CloudHost, CloudImage, Expired};

/// Returns the address of Keystone in the configuration of a cloud, without a request.
///
/// # Errors
/// [`AccessError`] if the configuration is missing or wrong.
pub fn auth_url(cloud: Option<&str>, region: Option<&str>) -> Result<String, AccessError> {
    Ok(crate::openstack::auth_url(&choice(cloud, region))?)
}

fn choice(cloud: Option<&str>, region: Option<&str>) -> CloudChoice {
    CloudChoice { cloud: cloud.map(str::to_owned), region: region.map(str::to_owned) }
}

/// An authenticated session. Clones share its token, which is renewed when a service refuses it.
#[derive(Clone, Debug)]
pub struct Access(Cloud);

impl Access {
    /// Logs in: with the cloud of clouds.yaml that is named, else with that of `OS_CLOUD`, else with the `OS_*` variables.
    ///
    /// # Errors
    /// [`AccessError`]
    pub async fn open(cloud: Option<&str>, region: Option<&str>) -> Result<Self, AccessError> {
        Ok(Self(Cloud::connect(&choice(cloud, region)).await?))
    }

    /// Returns what Keystone says about somebody's token: the member `token` of its answer. `None` if it is not valid.
    ///
    /// # Errors
    /// [`AccessError`] if Keystone cannot be asked.
    pub async fn token_of(&self, token: &str, expired: Expired) -> Result<Option<Value>, AccessError> {
        Ok(self.0.token_of(&SecretString::from(token), expired).await?)
    }

    /// Returns all images that the project of this session can see, by id.
    ///
    /// # Errors
    /// [`AccessError`] if Glance cannot be asked.
    pub async fn images(&self) -> Result<Vec<CloudImage>, AccessError> {
        Ok(self.0.all_images().await?)
    }

    /// Returns all compute hosts that run guests, by name.
    ///
    /// # Errors
    /// [`AccessError`] if Nova cannot be asked, or does not let this user list hosts.
    pub async fn hosts(&self) -> Result<Vec<CloudHost>, AccessError> {
        Ok(Nova::of(&self.0)?.all_hosts().await?)
    }
}

/// Why the cloud could not be asked: one line with what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AccessError {
    /// The line.
    pub message: String,
    /// Whether the configuration or the credentials are wrong, so that asking again cannot help.
    pub is_usage: bool,
}

impl From<CloudError> for AccessError {
    fn from(error: CloudError) -> Self {
        Self { message: error.to_string(), is_usage: error.kind() == CloudErrorKind::Usage }
    }
}
