//! What sessions and requests need of the settings. Nothing else outside of `config` reads the SDK's configuration.

use secrecy::SecretString;

use super::config::Settings;
use super::service::Service;

impl Settings {
    /// Returns the name of the authentication method.
    pub(super) fn auth_type(&self) -> &str {
        self.config.auth_type.as_deref().unwrap_or("password")
    }

    /// Returns a value of `auth` by its name in clouds.yaml, unless it is empty.
    pub(super) fn credential(&self, name: &str) -> Option<SecretString> {
        let all = serde_json::to_value(&self.config.auth).ok()?;
        let value = all.get(name)?.as_str().filter(|value| !value.is_empty())?;
        Some(value.into())
    }

    /// Returns the region in which a service is looked up.
    pub(super) fn region(&self, _service: Service) -> Option<&str> {
        self.config.region_name.as_deref().filter(|region| !region.is_empty())
    }

    /// Returns the interfaces at which a service is looked up, the best first: `public`, `internal` or `admin`.
    pub(super) fn interfaces(&self, _service: Service) -> Vec<String> {
        // keystoneclient's older words: publicURL, internalURL, adminURL.
        let word = self.config.interface.as_deref().unwrap_or("public").trim_end_matches("URL");
        vec![word.to_ascii_lowercase()]
    }

    /// Returns the address of a service that is used instead of the catalog's.
    pub(super) fn endpoint_override(&self, service: Service) -> Option<String> {
        let value = self.config.options.get(&format!("{}_endpoint_override", service.kind()))?;
        value.clone().into_string().ok().filter(|url| !url.is_empty())
    }

    /// Returns the file or directory with the certificates of CAs.
    pub(super) fn cacert(&self) -> Option<&str> {
        self.config.cacert.as_deref().filter(|path| !path.is_empty())
    }

    /// Returns the file with the client's certificate, and the file with its key if that is another.
    pub(super) fn client_certificate(&self) -> Option<(String, Option<String>)> {
        let option = |name: &str| self.config.options.get(name)?.clone().into_string().ok();
        option("cert").filter(|path| !path.is_empty()).map(|certificate| (certificate, option("key")))
    }
}
