//! The OS_* variables: all of them for an openrc file, and those that the `openstack` command lets override a cloud of
//! clouds.yaml. Reads the environment once; the rest is pure.

use std::collections::BTreeMap;
use std::env;

use super::yaml::{Map, Value};

/// The OS_* variables that are set and not empty, as openrc files leave empty ones behind.
#[derive(Debug, Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of variables whose values are not UTF-8.
    unreadable: Vec<String>,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        let mut environment = Self::default();
        // `vars_os`: `vars` panics when any variable of the process is not UTF-8.
        for (name, value) in env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                _ if !name.starts_with(PREFIX) && !CERTIFICATES.contains(&name.as_str()) => {}
                Ok(value) if value.is_empty() => {}
                Ok(value) => drop(environment.variables.insert(name, value)),
                Err(_) => environment.unreadable.push(name),
            }
        }
        environment
    }

    #[cfg(test)]
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let variables = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, unreadable: Vec::new() }
    }

    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(String::as_str)
    }

    /// Returns the cloud that an openrc file describes: each variable is a setting of its name.
    pub(super) fn cloud(&self) -> Map {
        let settings = self.variables.iter().filter(|(name, _)| name.starts_with(PREFIX));
        let cloud = settings.map(|(name, value)| (setting(name), Value::text(value)));
        cloud.filter(|(name, _)| name != "cloud" && name != "auth").collect()
    }

    /// Returns the settings that override those of a named cloud: the options of osc-lib's `shell.py` and `api/auth.py`
    /// that have a variable.
    pub(super) fn overrides(&self) -> Map {
        let mut overrides = Map::new();
        for &name in OVERRIDES {
            let variable = format!("{PREFIX}{}", name.to_ascii_uppercase());
            if let Some(value) = self.get(&variable) {
                overrides.insert(name.to_owned(), Value::text(value));
            }
        }
        for (name, older) in [("project_name", "OS_TENANT_NAME"), ("project_id", "OS_TENANT_ID")] {
            if let Some(value) = self.get(older) {
                overrides.entry(name.to_owned()).or_insert(Value::text(value));
            }
        }
        overrides
    }

    /// Returns the variables that overrides come from, for messages.
    pub(super) fn names_of(&self, overrides: &Map) -> Vec<String> {
        let told = overrides.keys().filter(|key| *key != "identity_api_version");
        let variable = |key: &String| {
            let variable = format!("{PREFIX}{}", key.to_ascii_uppercase());
            match self.get(&variable) {
                Some(_) => variable,
                None => variable.replace("PROJECT", "TENANT"),
            }
        };
        told.map(variable).collect()
    }

    /// Returns the variables that are settings of an openrc file, and have no effect beside a named cloud.
    pub(super) fn without_effect(&self) -> Vec<&str> {
        let names = self.variables.keys().map(String::as_str);
        names.filter(|name| OPENRC_ONLY.contains(name) || name.ends_with("_ENDPOINT_OVERRIDE")).collect()
    }

    /// Returns the variables that cannot be read.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }
}

fn setting(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_ascii_lowercase()
}

const PREFIX: &str = "OS_";

/// What Python's `requests` takes for the trusted certificates if no setting names them.
pub(super) const CERTIFICATES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// The settings that a variable overrides, also beside a named cloud. The region is chosen elsewhere.
const OVERRIDES: &[&str] = &[
    "access_token",
    "access_token_endpoint",
    "access_token_type",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "auth_methods",
    "auth_type",
    "auth_url",
    "cacert",
    "cert",
    "client_id",
    "client_secret",
    "default_domain_id",
    "default_domain_name",
    "discovery_endpoint",
    "domain_id",
    "domain_name",
    "identity_api_version",
    "identity_provider",
    "interface",
    "key",
    "openid_scope",
    "passcode",
    "password",
    "project_domain_id",
    "project_domain_name",
    "project_id",
    "project_name",
    "protocol",
    "system_scope",
    "token",
    "trust_id",
    "user_domain_id",
    "user_domain_name",
    "user_id",
    "username",
];

/// Variables that only an openrc file has.
const OPENRC_ONLY: [&str; 8] = [
    "OS_AUTH_PLUGIN",
    "OS_AUTH_TOKEN",
    "OS_COMPUTE_INTERFACE",
    "OS_ENDPOINT_TYPE",
    "OS_IMAGE_INTERFACE",
    "OS_INSECURE",
    "OS_USER_NAME",
    "OS_VERIFY",
];
