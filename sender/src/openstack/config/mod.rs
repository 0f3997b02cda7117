//! The settings of a cloud, as the `openstack` command reads them: from clouds.yaml and the OS_* variables. Reads files
//! and the environment; uses no network.
//!
//! The models are openstacksdk's `config/loader.py`, which finds and merges files, osc-lib's `shell.py` and `api/auth.py`,
//! whose variables override a named cloud, and keystoneauth1, which makes the request of it. A test runs them beside
//! this code on the same files: `the_openstack_command_and_glancecast_ask_keystone_for_the_same`. Where the command
//! refuses, or takes something silently that may be wrong, this code may do otherwise: a missing domain is `default`,
//! scalars are the text that was written, and several regions are refused.
//!
//! `files` finds and reads the files, `yaml` and `scalar` compose them as PyYAML does, `environment` has the variables,
//! `cloud` and `region` put a cloud together, and `credentials` has what is asked of Keystone.

mod cloud;
mod credentials;
mod environment;
mod files;
mod region;
mod scalar;
mod vendor;
mod yaml;

use std::path::PathBuf;

use openstack_sdk_core::config::CloudConfig;
use serde_json::{Map as JsonMap, Value as Json};

pub(super) use self::credentials::{Credentials, Method, Methods, Scope, request};

use self::cloud::{Layers, Options, belongs_to_cloud, merge_deep, normalized};
use self::credentials::NoLogin;
use self::environment::{CERTIFICATES, Environment};
use self::files::{CLOUDS, SECURE, SettingsFile, VENDOR};
use self::region::{Chosen, Regions};
use self::scalar::Reading;
use self::vendor::Profile;
use self::yaml::{Map, Value};
use super::error::{CloudError, shown};

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
    /// Overrides of endpoints for the SDK's catalog, and the options of a federated log-in for its methods.
    pub(super) config: CloudConfig,
    pub(super) auth_url: String,
    pub(super) credentials: Credentials,
    pub(super) certificates: Certificates,
    /// Where Glance is looked up in the catalog.
    pub(super) image: Place,
    /// Where Nova is looked up in the catalog.
    pub(super) compute: Place,
    /// The source of the settings, for messages: "cloud `x` in /etc/openstack/clouds.yaml".
    pub(super) origin: String,
}

/// Region and interfaces of a service in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `None`: any.
    pub(super) region: Option<String>,
    /// `public`, `internal` or `admin`, at least one; the first one that the catalog has counts.
    pub(super) interfaces: Vec<String>,
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

    /// Returns interface, region and origin for messages about the catalog.
    pub(super) fn catalog_terms(&self) -> (String, String, String) {
        let Place { region, interfaces } = &self.image;
        let region = region.clone().unwrap_or_else(|| "any".to_owned());
        (interfaces.join(" or "), region, self.origin.clone())
    }
}

/// The inputs of the search, so that tests do not depend on their environment.
#[derive(Debug, Default)]
struct Inputs {
    environment: Environment,
    directories: Vec<PathBuf>,
}

/// The settings, and what the operator should hear of them.
type Read = (Settings, Vec<String>);

impl Inputs {
    fn of_this_process() -> Self {
        Self { environment: Environment::of_this_process(), directories: files::directories() }
    }

    fn settings(&self, choice: &CloudChoice) -> Result<Read, CloudError> {
        let of_variables = self.environment.get("OS_CLOUD_NAME").unwrap_or("envvars");
        let has_openrc = self.environment.get("OS_AUTH_URL").is_some();
        match choice.cloud.as_deref().or(self.environment.get("OS_CLOUD")) {
            Some(name) if name == of_variables && has_openrc => self.openrc_cloud(choice),
            Some(name) => self.named_cloud(name, choice),
            None if has_openrc => self.openrc_cloud(choice),
            None => self.only_cloud(choice),
        }
    }

    fn openrc_cloud(&self, choice: &CloudChoice) -> Result<Read, CloudError> {
        let source = Source {
            cloud: self.environment.cloud(),
            overrides: Map::new(),
            origin: "the OS_* variables".to_owned(),
        };
        self.read(source, choice)
    }

    /// Without any choice, the one cloud of a clouds.yaml is meant.
    fn only_cloud(&self, choice: &CloudChoice) -> Result<Read, CloudError> {
        let files = self.files()?;
        let clouds = files.clouds()?;
        match clouds.keys().collect::<Vec<_>>()[..] {
            [name] => {
                let name = name.clone();
                self.cloud_of(files, &name, choice)
            }
            [] => Err(CloudError::NoCloudChosen {
                looked_in: match &files.path {
                    Some(path) => path.display().to_string(),
                    None => "a clouds.yaml (none was found)".to_owned(),
                },
            }),
            _ => {
                Err(CloudError::NoCloudChosen { looked_in: format!("{}: {}", files.name(), names(&clouds)) })
            }
        }
    }

    fn named_cloud(&self, name: &str, choice: &CloudChoice) -> Result<Read, CloudError> {
        let files = self.files()?;
        if files.path.is_none() {
            let forbidden = files::forbidden(CLOUDS, &self.directories);
            let forbidden =
                forbidden.iter().map(|path| format!("; this user may not read {}", path.display()));
            let looked_in = format!("{LOOKED_IN}{}", forbidden.collect::<String>());
            return Err(CloudError::NoCloudsFile { cloud: shown(name), looked_in });
        }
        self.cloud_of(files, name, choice)
    }

    fn cloud_of(&self, files: Files, name: &str, choice: &CloudChoice) -> Result<Read, CloudError> {
        let clouds = files.clouds()?;
        let cloud = match clouds.get(name) {
            Some(Value::Map(cloud)) => cloud.clone(),
            Some(Value::Null) => Map::new(),
            Some(_) => return Err(files.unusable(name)),
            None => {
                let (cloud, known) = (shown(name), names(&clouds));
                return Err(CloudError::UnknownCloud { cloud, files: files.name(), known });
            }
        };
        let overrides = self.environment.overrides();
        let mut origin = format!("cloud `{}` in {}", shown(name), files.name());
        if !overrides.is_empty() {
            let named = |key: &String| {
                let variable = format!("OS_{}", key.to_ascii_uppercase());
                match self.environment.get(&variable) {
                    Some(_) => variable,
                    None => variable.replace("PROJECT", "TENANT"),
                }
            };
            let variables: Vec<String> = overrides.keys().map(named).collect();
            origin.push_str(&format!(" with {}", variables.join(", ")));
        }
        let (settings, mut warnings) = self.read(Source { cloud, overrides, origin }, choice)?;
        for key in files.values.keys().filter(|key| belongs_to_cloud(key) || *key == "auth") {
            warnings.push(format!(
                "`{}` in {} stands outside of any cloud, and has no effect",
                shown(key),
                files.name()
            ));
        }
        for variable in self.environment.without_effect() {
            warnings.push(format!(
                "{variable} has no effect beside a cloud of {}, as for the openstack command; write it into the file",
                files.name()
            ));
        }
        Ok((settings, warnings))
    }

    /// Reads clouds.yaml, with secure.yaml merged into it.
    fn files(&self) -> Result<Files, CloudError> {
        let clouds = files::find(CLOUDS, &self.environment, &self.directories)?;
        let secure = files::find(SECURE, &self.environment, &self.directories)?;
        let (path, mut values) = match clouds {
            Some(SettingsFile { path, values }) => (Some(path), values),
            None => (secure.as_ref().map(|secure| secure.path.clone()), Map::new()),
        };
        if let Some(secure) = secure {
            merge_deep(&mut values, secure.values);
        }
        Ok(Files { path, values })
    }

    fn profile(&self, cloud: &Map, origin: &str) -> Result<Map, CloudError> {
        let name = cloud.get("profile").or(cloud.get("cloud"));
        let Some(name) = name.and_then(Value::as_text).filter(|name| !name.is_empty()) else {
            return Ok(Map::new());
        };
        if let Some(file) = files::find(VENDOR, &self.environment, &self.directories)?
            && let Some(Value::Map(mut profiles)) =
                file.values.into_iter().find_map(|(key, value)| (key == "public-clouds").then_some(value))
            && let Some(Value::Map(profile)) = profiles.remove(name)
        {
            return Ok(normalized(profile));
        }
        match vendor::profile(name) {
            Profile::Known(profile) => Ok(profile),
            Profile::Unknown => Ok(Map::new()),
            Profile::Remote if has_auth_url(cloud) => Ok(Map::new()),
            Profile::Remote => Err(CloudError::BadSettings {
                origin: origin.to_owned(),
                reason: format!(
                    "profile `{}` is fetched from the network by the openstack command, and not here; \
                     write its `auth_url` into the file",
                    shown(name)
                ),
            }),
        }
    }

    fn read(&self, source: Source, choice: &CloudChoice) -> Result<Read, CloudError> {
        let Source { cloud, mut overrides, origin } = source;
        let bad = |reason: String| CloudError::BadSettings { origin: origin.clone(), reason };
        let cloud = normalized(cloud);
        let profile = self.profile(&cloud, &origin)?;
        let chosen =
            Chosen { option: choice.region.as_deref(), variable: self.environment.get("OS_REGION_NAME") };
        let region =
            Regions::of(&cloud, &profile).map_err(bad)?.choose(&chosen, &origin)?.unwrap_or_default();
        overrides.insert("region_name".to_owned(), Value::text(&region.name));
        let profile_name = cloud.get("profile").and_then(Value::as_text).map(shown);
        let layers = Layers { profile, cloud, region: region.values, overrides };
        let options = Options::new(layers).map_err(|key| {
            bad(format!("`{}` does not have the form it has in a clouds.yaml", shown(&key)))
        })?;
        let auth_url = match (options.auth("auth_url"), profile_name) {
            (Some(template), _) => expanded(template, &options).map_err(bad)?,
            (None, None) => return Err(bad("auth_url is missing".to_owned())),
            (None, Some(profile)) => {
                return Err(bad(format!("auth_url is missing, and profile `{profile}` does not give it")));
            }
        };
        let default_domain = self.environment.get("OS_DEFAULT_DOMAIN").unwrap_or("default");
        let credentials = Credentials::new(&options, default_domain).map_err(|error| match error {
            NoLogin::Wrong(reason) => bad(reason),
            NoLogin::Federated(auth_type) => {
                CloudError::FederatedLogin { auth_type: shown(&auth_type), origin: origin.clone() }
            }
        })?;
        let place = |service| place(service, &options).map_err(bad);
        let settings = Settings {
            image: place("image")?,
            compute: place("compute")?,
            config: sdk_config(&options, &credentials).map_err(bad)?,
            certificates: self.certificates(&options),
            auth_url,
            credentials,
            origin: origin.clone(),
        };
        Ok((settings, self.warnings(&options, &origin)))
    }

    /// `get_requests_verify_args`, and what `requests` does with its results.
    fn certificates(&self, options: &Options) -> Certificates {
        let verify = options.text("verify");
        let unverified =
            options.text("insecure").and_then(said) == Some(true) || verify.and_then(said) == Some(false);
        // A path in `verify` is one of trusted certificates.
        let path = verify.filter(|verify| said(verify).is_none());
        let of_requests = || CERTIFICATES.into_iter().find_map(|variable| self.environment.get(variable));
        let trusted = options.text("cacert").or(path).or_else(of_requests).map(home_expanded);
        let key = options.text("key").map(home_expanded);
        let own = options.text("cert").map(|cert| (home_expanded(cert), key));
        Certificates { unverified, trusted: trusted.filter(|_| !unverified), own }
    }

    fn warnings(&self, options: &Options, origin: &str) -> Vec<String> {
        let mut warnings: Vec<String> = options
            .misplaced
            .iter()
            .take(WARNINGS_MAX)
            .map(|text| format!("{origin}: {}", shown(text)))
            .collect();
        for key in options.read_otherwise() {
            warnings.push(format!(
                "{origin}: `{key}` is used as it is written; the openstack command reads it as a number, a date or a truth \
                 value: put it in quotes, which both read alike"
            ));
        }
        if options.text("key").is_some() && options.text("cert").is_none() {
            warnings.push(format!(
                "{origin}: `key` without `cert` has no effect; name the client certificate too"
            ));
        }
        if options.value("default_domain").is_some_and(|value| value.as_text().is_some())
            && self.environment.get("OS_DEFAULT_DOMAIN").is_none()
        {
            warnings.push(format!(
                "{origin}: `default_domain` has no effect, as for the openstack command; use `user_domain_name` and \
                 `project_domain_name`"
            ));
        }
        for variable in self.environment.unreadable().iter().take(WARNINGS_MAX) {
            warnings.push(format!("{} is not UTF-8, and has no effect", shown(variable)));
        }
        warnings
    }
}

/// A cloud that was chosen, before its parts are put together.
struct Source {
    cloud: Map,
    overrides: Map,
    origin: String,
}

/// A clouds.yaml with its secure.yaml.
struct Files {
    /// Its path; that of secure.yaml if there is no other; `None` if there is none.
    path: Option<PathBuf>,
    values: Map,
}

impl Files {
    fn clouds(&self) -> Result<Map, CloudError> {
        match self.values.get("clouds") {
            Some(Value::Map(clouds)) => Ok(clouds.clone()),
            None | Some(Value::Null) => Ok(Map::new()),
            Some(_) => Err(self.unusable("clouds")),
        }
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("clouds.yaml".to_owned(), |path| path.display().to_string())
    }

    fn unusable(&self, key: &str) -> CloudError {
        let reason = format!("`{}` does not have the form it has in a clouds.yaml", shown(key));
        CloudError::BadConfigFile { file: self.name(), reason }
    }
}

fn names(clouds: &Map) -> String {
    if clouds.is_empty() {
        return "no cloud at all".to_owned();
    }
    let mut names: Vec<String> = clouds.keys().take(CLOUDS_LISTED_MAX).map(|name| shown(name)).collect();
    if clouds.len() > CLOUDS_LISTED_MAX {
        names.push("..".to_owned());
    }
    names.join(", ")
}

fn has_auth_url(cloud: &Map) -> bool {
    let auth = cloud.get("auth").and_then(Value::as_map);
    [auth, Some(cloud)].into_iter().flatten().any(|options| options.contains_key("auth_url"))
}

/// Puts options into a text that names them in braces, as `https://{region_name}.example` (`str.format`).
fn expanded(template: &str, options: &Options) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, behind) = rest[at..].split_at(1);
        if behind.starts_with(brace) {
            text.push_str(brace);
            rest = &behind[1..];
            continue;
        }
        let name = behind.split_once('}').filter(|_| brace == "{");
        let (name, behind) = name.ok_or("`auth_url` has a brace without another")?;
        let value = options
            .text(name)
            .ok_or_else(|| format!("`auth_url` takes `{}`, which is not set", shown(name)))?;
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

/// Returns where a service is looked up: `image_interface` comes before `interface`, and so on.
fn place(service: &str, options: &Options) -> Result<Place, String> {
    let own = |key: &str| {
        let value = options.value(&format!("{service}_{key}"));
        value.filter(|value| !matches!(value, Value::Null)).or(options.value(key))
    };
    let region = own("region_name").and_then(Value::as_text).filter(|region| !region.is_empty());
    let words: Vec<&str> = match own("interface") {
        Some(Value::Text(scalar)) if !scalar.text.is_empty() => vec![&scalar.text],
        Some(Value::List(list)) => list.iter().filter_map(Value::as_text).collect(),
        _ => vec!["public"],
    };
    let interfaces = words.into_iter().map(interface).collect::<Result<Vec<_>, _>>()?;
    match interfaces.is_empty() {
        true => Err("`interface` is an empty list".to_owned()),
        false => Ok(Place { region: region.map(str::to_owned), interfaces }),
    }
}

/// Returns the catalog's word for an interface; keystoneclient's older words end in URL.
fn interface(word: &str) -> Result<String, String> {
    let lower = word.trim().trim_end_matches("URL").to_ascii_lowercase();
    match lower.as_str() {
        "public" | "internal" | "admin" => Ok(lower),
        _ => Err(format!("interface `{}` is none of public, internal and admin", shown(word))),
    }
}

/// Makes what the SDK takes: overrides of endpoints, and the options of a federated log-in.
fn sdk_config(options: &Options, credentials: &Credentials) -> Result<CloudConfig, String> {
    let mut config = JsonMap::new();
    for (key, value) in options.all() {
        let is_wanted = key.ends_with("_endpoint_override") || key.ends_with("_skip_discovery");
        if let Some(text) = value.as_text().filter(|text| is_wanted && !text.is_empty()) {
            config.insert(key.clone(), text.into());
        }
    }
    if let Some(image) = options.text("image_endpoint_override").or(options.text("image_endpoint")) {
        config.insert("image_endpoint_override".to_owned(), versioned(image).into());
    }
    let image = place("image", options)?;
    config.insert("interface".to_owned(), image.interfaces[0].clone().into());
    config.insert("region_name".to_owned(), image.region.into());
    if let Methods::Federated(auth_type) = &credentials.methods {
        config.insert("auth_type".to_owned(), auth_type.clone().into());
        let keys = FEDERATED_OPTIONS.iter().filter_map(|(key, sdk)| Some((*sdk, options.auth(key)?)));
        let auth = keys.map(|(key, text)| (key.to_owned(), Json::from(text))).collect::<JsonMap<_, _>>();
        config.insert("auth".to_owned(), auth.into());
    }
    // The error's text would quote values.
    serde_json::from_value(Json::Object(config)).map_err(|_| "they are not text".to_owned())
}

/// Gives Glance's address the version that requests go below, where discovery would have found it.
fn versioned(address: &str) -> String {
    let trimmed = address.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("v2") => trimmed.to_owned(),
        _ => format!("{trimmed}/v2"),
    }
}

/// Returns what a word of yes or no says.
fn said(word: &str) -> Option<bool> {
    match (word, Reading::of(word)) {
        ("1", _) => Some(true),
        ("0", _) => Some(false),
        (_, Reading::Bool(said)) => Some(said),
        (word, _) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
    }
}

/// Expands a leading `~` to the home directory.
fn home_expanded(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The options of a federated log-in, and their names in the SDK.
const FEDERATED_OPTIONS: [(&str, &str); 9] = [
    ("access_token", "access_token"),
    ("access_token_endpoint", "access_token_endpoint"),
    ("access_token_type", "access_token_type"),
    ("client_id", "client_id"),
    ("client_secret", "client_secret"),
    ("discovery_endpoint", "discovery_endpoint"),
    ("identity_provider", "identity_provider"),
    ("openid_scope", "scope"),
    ("protocol", "protocol"),
];

const LOOKED_IN: &str =
    "OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack/clouds.yaml and /etc/openstack/clouds.yaml";

/// The maximum number of clouds in a message.
const CLOUDS_LISTED_MAX: usize = 50;
/// The maximum number of warnings of one kind.
const WARNINGS_MAX: usize = 10;

#[cfg(test)]
mod tests;
