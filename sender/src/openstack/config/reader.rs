//! From the choice of a cloud to its settings: chooses the cloud, reads its files, and puts the settings together.

use std::path::PathBuf;

use super::super::error::{CloudError, shown};
use super::cloud::{Layers, Options, belongs_to_cloud, merge_deep, normalized};
use super::environment::{CERTIFICATES, Environment};
use super::files::{self, CLOUDS, SECURE, SettingsFile, VENDOR};
use super::log_in::{LogIn, NoLogin};
use super::region::{Chosen, Regions};
use super::vendor::{self, Profile};
use super::words::{expanded, home_expanded, place, said};
use super::yaml::{Map, Value};
use super::{Certificates, CloudChoice, Settings};

/// The inputs of the search, so that tests do not depend on their environment.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) environment: Environment,
    pub(super) directories: Vec<PathBuf>,
}

/// The settings, and what the operator should hear of them.
pub(super) type Read = (Settings, Vec<String>);

impl Inputs {
    pub(super) fn of_this_process() -> Self {
        Self { environment: Environment::of_this_process(), directories: files::directories() }
    }

    /// # Errors
    /// Of kind `Usage`: what is missing or wrong, and where.
    pub(super) fn settings(&self, choice: &CloudChoice) -> Result<Read, CloudError> {
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
        let variables = self.environment.names_of(&overrides);
        if !variables.is_empty() {
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
        let log_in = LogIn::new(&options, default_domain).map_err(|error| match error {
            NoLogin::Wrong(reason) => bad(reason),
            NoLogin::Federated(auth_type) => {
                CloudError::FederatedLogin { auth_type: shown(&auth_type), origin: origin.clone() }
            }
        })?;
        let place = |service| place(service, &options).map_err(bad);
        let settings = Settings {
            glance: place("image")?,
            nova: place("compute")?,
            certificates: self.certificates(&options),
            auth_url,
            log_in,
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

const LOOKED_IN: &str =
    "OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack/clouds.yaml and /etc/openstack/clouds.yaml";

/// The maximum number of clouds in a message.
const CLOUDS_LISTED_MAX: usize = 50;
/// The maximum number of warnings of one kind.
const WARNINGS_MAX: usize = 10;
