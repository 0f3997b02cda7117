//! The settings of a cloud, as the `openstack` command reads them: from clouds.yaml and the OS_* variables. Reads
//! files and the environment; uses no network.
//!
//! The models are openstacksdk's `config/loader.py`, which finds and merges files, osc-lib's `shell.py` and
//! `api/auth.py`, whose variables override a named cloud, and keystoneauth1, which makes the request of it. A test
//! runs them beside this code on the same files:
//! `the_openstack_command_and_glancecast_ask_keystone_for_the_same`. Where the command refuses, or takes something
//! silently that may be wrong, this code may do otherwise: a missing domain is `default`, scalars are the text that
//! was written, and several regions are refused.
//!
//! `reader` goes from a choice to settings: `files` finds and reads the files, `yaml`, `scalar` and `flow` compose
//! them as PyYAML does, `environment` has the variables, `cloud` and `region` put a cloud together, `words` reads
//! single options, and `log_in` has what `auth` makes the request of.

mod cloud;
mod environment;
mod files;
mod flow;
mod log_in;
mod reader;
mod region;
mod scalar;
mod vendor;
mod words;
mod yaml;

use std::path::PathBuf;

use secrecy::SecretString;

use self::log_in::LogIn;
use self::reader::Inputs;
use super::error::CloudError;
use super::service::Service;

/// The cloud that a command is to use, and the region in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudChoice {
    /// A cloud of clouds.yaml; `None`: OS_CLOUD, the OS_* variables, or the only cloud.
    pub cloud: Option<String>,
    /// Its region; `None`: OS_REGION_NAME, or the one of the settings.
    pub region: Option<String>,
}

/// All that is needed to log in and to find services.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) auth_url: String,
    pub(super) certificates: Certificates,
    log_in: LogIn,
    glance: Place,
    nova: Place,
    /// The source of the settings, for messages: "cloud `x` in /etc/openstack/clouds.yaml".
    pub(super) origin: String,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    region: Option<String>,
    /// At least one.
    interfaces: Vec<String>,
    /// Its address, whatever the catalog says.
    address: Option<String>,
}

/// What proves the cloud to this program, and this program to the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificates {
    /// Nothing proves the cloud.
    pub(super) unverified: bool,
    /// The trusted certificates, a file or a directory; `None`: the system's.
    pub(super) trusted: Option<PathBuf>,
    /// The own certificate, and its key if that is a file of its own.
    pub(super) own: Option<(PathBuf, Option<PathBuf>)>,
}

impl Settings {
    /// Reads the settings, and warns of what has no effect in them.
    ///
    /// # Errors
    /// `UntrustedFile`, and others of kind `Usage` about the configuration.
    pub(super) fn load(choice: &CloudChoice) -> Result<Self, CloudError> {
        let (settings, warnings) = Inputs::of_this_process().settings(choice)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(settings)
    }

    /// Whether certificates are not verified.
    pub(super) fn is_unverified(&self) -> bool {
        self.certificates.unverified
    }

    /// Returns a warning if certificates are not verified.
    pub(super) fn unverified(&self) -> Option<String> {
        self.is_unverified().then(|| {
            format!(
                "the certificates of Keystone, Glance and Nova are not checked, by the settings of {} (verify: false, \
                 insecure or OS_INSECURE): whoever is in between reads the credentials, and can give another image, as \
                 the hash that proves it comes over the same connection; name the CA with cacert",
                self.origin
            )
        })
    }

    /// Returns the name of the log-in's first method in clouds.yaml.
    pub(super) fn auth_type(&self) -> &str {
        &self.log_in.auth_type
    }

    /// Returns the names of further methods for the same request.
    pub(super) fn further_methods(&self) -> &[String] {
        &self.log_in.further
    }

    /// Returns a value of `auth` by its name in clouds.yaml, unless it is empty.
    pub(super) fn credential(&self, name: &str) -> Option<SecretString> {
        self.log_in.values.get(name).cloned()
    }

    /// Returns the region in which a service is looked up; `None`: any.
    pub(super) fn region(&self, service: Service) -> Option<&str> {
        self.place(service).region.as_deref()
    }

    /// Returns the interfaces at which a service is looked up, the best first: `public`, `internal` or `admin`.
    pub(super) fn interfaces(&self, service: Service) -> &[String] {
        &self.place(service).interfaces
    }

    /// Returns the address of a service that is used instead of the catalog's.
    pub(super) fn endpoint_override(&self, service: Service) -> Option<&str> {
        self.place(service).address.as_deref()
    }

    fn place(&self, service: Service) -> &Place {
        match service {
            Service::Nova => &self.nova,
            _ => &self.glance,
        }
    }
}

#[cfg(test)]
mod tests;
