//! The settings as they are written, on the command line and in the file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use glancecast_platform::toml_error;
use serde::Deserialize;

use crate::limits::FILE_BYTES_MAX;

/// What both the command line and the file say.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The name of this controller, by which several of them know each other [default: this machine's host name]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Where the API and the page are [default: 127.0.0.1:9718]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) listen: Option<String>,
    /// Let Prometheus scrape metrics at this address, at /metrics [default: not at all]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) metrics: Option<String>,
    /// The directory of the database and the tokens; it must exist [default: the first of $STATE_DIRECTORY, which systemd
    /// sets, or /var/lib/glancecast-controller]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Where the state is kept: the path of a file for SQLite, or mysql://user@host/database [default: state.db in the state
    /// directory]
    #[arg(long, value_name = "PATH|URL")]
    pub(super) database: Option<String>,
    /// The file with the password for the database server, or credential:NAME
    #[arg(long, value_name = "FILE")]
    pub(super) database_password: Option<PathBuf>,
    /// The address that links in answers begin with, as clients reach it [default: as the client's request names it]
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// While this file exists, /healthcheck fails, so that a balancer takes this controller out
    #[arg(long, value_name = "FILE")]
    pub(super) disable_file: Option<PathBuf>,
    /// How to log: text, json, or journal with a field for each value [default: journal where standard error leads there, else
    /// text]
    #[arg(long, value_name = "FORM")]
    pub(super) log_format: Option<String>,
    /// Who may ask: `tokens` of a file, users of `keystone`, or `none`: everybody on this machine [default: tokens]
    #[arg(long, value_name = "HOW")]
    pub(super) auth: Option<String>,
    /// With auth = "tokens": the file with a line for each user, or credential:NAME [default: a token that is made at the first
    /// start, in admin.token in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(super) tokens: Option<PathBuf>,
    /// With auth = "keystone": the address of Keystone that clients are sent to [default: that of the credentials]
    #[arg(long, value_name = "URL")]
    pub(super) auth_uri: Option<String>,
    /// With auth = "keystone": the roles of which a service token needs one [default: service]
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    #[serde(default)]
    pub(super) service_roles: Vec<String>,
    /// Rules of who may do what, a subset of oslo.policy's policy.yaml [default: readers see all, admins and services push]
    #[arg(long, value_name = "FILE")]
    pub(super) policy_file: Option<PathBuf>,
    /// Whether there is an OpenStack [default: yes if a cloud is named here or in the environment, or with auth = "keystone"]
    #[arg(long, value_name = "true|false")]
    pub(super) openstack: Option<bool>,
    /// The cloud of clouds.yaml whose credentials are used, by children too [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(super) os_cloud: Option<String>,
    /// Region of the cloud [default: OS_REGION_NAME, or the one of clouds.yaml]
    #[arg(long, value_name = "REGION")]
    pub(super) os_region_name: Option<String>,
    /// The program that pushes [default: glancecast on PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub(super) glancecast: Option<PathBuf>,
    /// Its configuration [default: /etc/glancecast/glancecast.toml and that of the user]
    #[arg(long, value_name = "FILE")]
    pub(super) glancecast_config: Option<PathBuf>,
    /// The directory with images outside of Glance, which are pushed as file:NAME [default: there are none]
    #[arg(long, value_name = "DIR")]
    pub(super) images: Option<PathBuf>,
    /// The directory with policies, files named NAME.toml [default: policies of the API alone]
    #[arg(long, value_name = "DIR")]
    pub(super) policies: Option<PathBuf>,
    /// Time between two looks at Glance and Nova, each followed by a plan [default: 60s]
    #[arg(long, value_name = "DUR")]
    pub(super) interval: Option<String>,
    /// Time between two questions to all hosts what they hold [default: 5m]
    #[arg(long, value_name = "DUR")]
    pub(super) inventory_interval: Option<String>,
    /// Profiles of glancecast's configuration that pushes may name besides the default; a push at a time goes to each [default:
    /// none]
    #[arg(long = "profile", value_name = "NAME")]
    #[serde(default)]
    pub(super) profiles: Vec<String>,
}

impl Settings {
    /// Returns these settings, and those of `file` where these have none.
    pub(super) fn over(self, file: Self) -> Self {
        Self {
            name: self.name.or(file.name),
            listen: self.listen.or(file.listen),
            metrics: self.metrics.or(file.metrics),
            state: self.state.or(file.state),
            database: self.database.or(file.database),
            database_password: self.database_password.or(file.database_password),
            public_url: self.public_url.or(file.public_url),
            disable_file: self.disable_file.or(file.disable_file),
            log_format: self.log_format.or(file.log_format),
            auth: self.auth.or(file.auth),
            tokens: self.tokens.or(file.tokens),
            auth_uri: self.auth_uri.or(file.auth_uri),
            service_roles: if self.service_roles.is_empty() {
                file.service_roles
            } else {
                self.service_roles
            },
            policy_file: self.policy_file.or(file.policy_file),
            openstack: self.openstack.or(file.openstack),
            os_cloud: self.os_cloud.or(file.os_cloud),
            os_region_name: self.os_region_name.or(file.os_region_name),
            glancecast: self.glancecast.or(file.glancecast),
            glancecast_config: self.glancecast_config.or(file.glancecast_config),
            images: self.images.or(file.images),
            policies: self.policies.or(file.policies),
            interval: self.interval.or(file.interval),
            inventory_interval: self.inventory_interval.or(file.inventory_interval),
            profiles: if self.profiles.is_empty() { file.profiles } else { self.profiles },
        }
    }
}

/// Reads the file.
///
/// # Errors
/// One line that names the file, the line and what to write.
pub(super) fn read(path: &Path) -> Result<Settings, String> {
    let text = text_of(path).map_err(|error| format!("configuration {}: {error}", path.display()))?;
    parse(&text, path)
}

/// Parses the text of the file at `path`.
///
/// # Errors
/// As [`read`].
pub(super) fn parse(text: &str, path: &Path) -> Result<Settings, String> {
    toml::from_str(text)
        .map_err(|error| format!("configuration {} {}", path.display(), toml_error::explained(&error, text)))
}

/// Reads a file of bounded length.
///
/// # Errors
/// Why it cannot be read.
pub fn text_of(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    match read as u64 > FILE_BYTES_MAX {
        true => Err(format!("it is longer than {FILE_BYTES_MAX} bytes")),
        false => Ok(text),
    }
}
