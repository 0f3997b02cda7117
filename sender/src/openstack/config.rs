//! The settings of a cloud: from clouds.yaml or OS_* variables, found where the OpenStack command line finds them.
//! Reads files and the environment; uses no network.
//!
//! Order: `--os-cloud`, then OS_CLOUD, each a name in clouds.yaml; else the OS_* variables of an openrc file.
//! clouds.yaml is OS_CLIENT_CONFIG_FILE, or the first in ./, ~/.config/openstack/ and /etc/openstack/. secure.yaml
//! (OS_CLIENT_SECURE_FILE) and clouds-public.yaml (OS_CLIENT_VENDOR_FILE) are merged as there.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use openstack_sdk_core::config::{
    Auth, CloudConfig, ConfigFile, ConfigFileBuilderError, find_clouds_file, find_secure_file,
    find_vendor_file,
};
use serde_json::Value;

use super::error::{CloudError, one_line};
use super::trusted;

/// All that is needed to log in.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: CloudConfig,
    pub(super) auth_url: String,
    /// The source of the settings, for messages: "cloud `x` in /etc/openstack/clouds.yaml".
    pub(super) origin: String,
}

impl Settings {
    /// # Errors
    /// `UntrustedFile`, and others of kind `Usage` about the configuration.
    pub(super) fn load(cloud_name: Option<&str>) -> Result<Self, CloudError> {
        ConfigInputs::of_this_process()?.settings(cloud_name)
    }

    /// Whether certificates are not verified.
    pub(super) fn is_unverified(&self) -> bool {
        self.config.verify == Some(false)
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
}

/// The inputs of the search, so that tests do not depend on their environment.
#[derive(Debug, Default)]
struct ConfigInputs {
    /// The OS_* variables that are set and not empty.
    variables: BTreeMap<String, String>,
    clouds_file: Option<PathBuf>,
    secure_file: Option<PathBuf>,
    vendor_file: Option<PathBuf>,
}

impl ConfigInputs {
    fn of_this_process() -> Result<Self, CloudError> {
        // `vars_os`: `vars` panics when any variable of the process is not UTF-8.
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, value)| name.starts_with("OS_") && !value.is_empty())
            .collect();
        let mut places = Self { variables, ..Self::default() };
        places.clouds_file = places.file("OS_CLIENT_CONFIG_FILE", find_clouds_file)?;
        places.secure_file = places.file("OS_CLIENT_SECURE_FILE", find_secure_file)?;
        places.vendor_file = places.file("OS_CLIENT_VENDOR_FILE", find_vendor_file)?;
        Ok(places)
    }

    fn file(
        &self,
        variable: &'static str,
        search: fn() -> Option<PathBuf>,
    ) -> Result<Option<PathBuf>, CloudError> {
        match self.variables.get(variable) {
            None => Ok(search()),
            Some(path) if Path::new(path).is_file() => Ok(Some(path.into())),
            Some(path) => Err(CloudError::ConfigFileMissing { variable, path: path.clone() }),
        }
    }

    fn settings(&self, cloud_name: Option<&str>) -> Result<Settings, CloudError> {
        let named = cloud_name.or(self.variables.get("OS_CLOUD").map(String::as_str));
        let (mut config, origin) = match named {
            Some(name) => self.named_cloud(name)?,
            None if self.variables.contains_key("OS_AUTH_URL") => self.openrc_cloud()?,
            None => {
                return Err(CloudError::NoCloudChosen {
                    looked_in: match &self.clouds_file {
                        Some(path) => path.display().to_string(),
                        None => "a clouds.yaml (none was found)".to_owned(),
                    },
                });
            }
        };
        // The older option. As in Python's client, it takes precedence over `verify` and `cacert`.
        if config.options.get("insecure").is_some_and(|value| value.clone().into_bool().unwrap_or(false)) {
            config.verify = Some(false);
        }
        let auth_url = config.auth.as_ref().and_then(|auth| auth.auth_url.clone());
        match auth_url {
            Some(auth_url) => Ok(Settings { config, auth_url, origin }),
            None => Err(CloudError::BadSettings {
                reason: match &config.profile {
                    Some(profile) => format!(
                        "auth_url is missing, and profile `{profile}` of clouds-public.yaml does not give it"
                    ),
                    None => "auth_url is missing".to_owned(),
                },
                origin,
            }),
        }
    }

    fn named_cloud(&self, cloud: &str) -> Result<(CloudConfig, String), CloudError> {
        let Some(clouds_file) = &self.clouds_file else {
            return Err(CloudError::NoCloudsFile {
                cloud: cloud.to_owned(),
                looked_in: LOOKED_IN.to_owned(),
            });
        };
        let mut builder = ConfigFile::builder();
        let paths = [&self.vendor_file, &self.clouds_file, &self.secure_file];
        for path in paths.into_iter().flatten() {
            trusted::check(path)?;
            builder = builder.add_source(path).map_err(|error| bad_file(&error, path))?;
        }
        let file = builder.build().map_err(|error| bad_file(&error, clouds_file))?;
        let found = file.get_cloud_config(cloud);
        match found.map_err(|_| unreadable(clouds_file, "not a clouds.yaml".to_owned()))? {
            Some(config) => Ok((config, format!("cloud `{cloud}` in {}", clouds_file.display()))),
            None => {
                let mut known = file.get_available_clouds();
                known.sort();
                Err(CloudError::UnknownCloud {
                    cloud: cloud.to_owned(),
                    files: clouds_file.display().to_string(),
                    known: match known.is_empty() {
                        true => "no cloud at all".to_owned(),
                        false => known.join(", "),
                    },
                })
            }
        }
    }

    /// Reads the OS_* variables. The SDK's own reader treats an empty variable, which openrc files leave behind, as a
    /// value, and does not know the older names.
    fn openrc_cloud(&self) -> Result<(CloudConfig, String), CloudError> {
        let origin = "the OS_* variables".to_owned();
        let mut members = serde_json::Map::new();
        for (name, value) in &self.variables {
            let key = name.trim_start_matches("OS_").to_ascii_lowercase();
            members.insert(key, Value::String(value.clone()));
        }
        if let Some(project) = members.get("tenant_name").cloned() {
            members.entry("project_name").or_insert(project);
        }
        let text = |key: &str| members.get(key)?.as_str().map(str::to_owned);
        let interface = text("interface").or(text("endpoint_type"));
        let config = CloudConfig {
            auth_type: text("auth_type"),
            region_name: text("region_name"),
            // keystoneclient's older words: publicURL, internalURL, adminURL.
            interface: interface.map(|word| word.trim_end_matches("URL").to_owned()),
            cacert: text("cacert"),
            verify: text("insecure")
                .map(|word| !["1", "true", "yes"].contains(&word.to_lowercase().as_str())),
            ..CloudConfig::default()
        };
        let auth = serde_json::from_value::<Auth>(Value::Object(members));
        match auth {
            Ok(auth) => Ok((
                CloudConfig {
                    interface: config.interface.or(Some("public".to_owned())),
                    auth: Some(auth),
                    ..config
                },
                origin,
            )),
            // The error's text is dropped, as it quotes values.
            Err(_) => Err(CloudError::BadSettings { origin, reason: "they are not text".to_owned() }),
        }
    }
}

fn bad_file(error: &ConfigFileBuilderError, path: &Path) -> CloudError {
    match error {
        ConfigFileBuilderError::FileParse { source, .. } => unreadable(path, one_line(&source.to_string())),
        // A deserialisation error quotes the value, which may be a password; only its position is kept.
        ConfigFileBuilderError::ConfigDeserialize { source, .. }
        | ConfigFileBuilderError::ConfigBuild { source } => unreadable(path, misplaced(&source.to_string())),
        _ => unreadable(path, "not a clouds.yaml".to_owned()),
    }
}

fn misplaced(text: &str) -> String {
    match text.split_once(" for key `").and_then(|(_, rest)| rest.split_once('`')) {
        Some((key, _)) => format!("`{key}` does not have the form it has in a clouds.yaml"),
        None => "it does not have the form of a clouds.yaml".to_owned(),
    }
}

fn unreadable(path: &Path, reason: String) -> CloudError {
    CloudError::BadConfigFile { file: path.display().to_string(), reason }
}

const LOOKED_IN: &str =
    "OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack/clouds.yaml and /etc/openstack/clouds.yaml";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::error::CloudErrorKind;
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> ConfigInputs {
        ConfigInputs {
            variables: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..ConfigInputs::default()
        }
    }

    /// A new directory in the system's temporary directory, removed on drop.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let dir = env::temp_dir().join(format!("cloud-config-{test}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
            Self(dir)
        }

        fn file(&self, name: &str, text: &str) -> Option<PathBuf> {
            fs::write(self.0.join(name), text).unwrap();
            fs::set_permissions(self.0.join(name), PermissionsExt::from_mode(0o644)).unwrap();
            Some(self.0.join(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const CLOUDS: &str = "clouds:\n  Prod.One:\n    auth:\n      auth_url: http://ks/v3\n      username: u\n    interface: internal\n  bare: {}\n";

    #[test]
    fn nothing_configured_says_what_was_looked_for() {
        let error = ConfigInputs::default().settings(None).unwrap_err();
        let text = error.to_string();
        assert!(["--os-cloud", "OS_CLOUD", "OS_AUTH_URL"].iter().all(|word| text.contains(word)));
        assert_eq!(error.kind(), CloudErrorKind::Usage);
        let error = ConfigInputs::default().settings(Some("x")).unwrap_err();
        assert!(error.to_string().contains("/etc/openstack/clouds.yaml"));
    }

    #[test]
    fn a_cloud_is_found_by_its_exact_name_and_secure_yaml_is_merged() {
        let scratch = Scratch::new("merge");
        let inputs = ConfigInputs {
            clouds_file: scratch.file("clouds.yaml", CLOUDS),
            secure_file: scratch.file("secure.yaml", "clouds:\n  Prod.One:\n    auth:\n      password: pw\n"),
            ..ConfigInputs::default()
        };
        let settings = inputs.settings(Some("Prod.One")).unwrap();
        assert_eq!(settings.auth_url, "http://ks/v3");
        assert_eq!(settings.config.interface.as_deref(), Some("internal"));
        let auth = settings.config.auth.unwrap();
        assert!(auth.password.is_some() && auth.username.as_deref() == Some("u"));
    }

    #[test]
    fn each_file_that_others_could_have_written_is_refused() {
        let scratch = Scratch::new("others");
        let empty = "clouds: {}\n";
        let inputs = ConfigInputs {
            clouds_file: scratch.file("clouds.yaml", CLOUDS),
            secure_file: scratch.file("secure.yaml", empty),
            vendor_file: scratch.file("clouds-public.yaml", "public-clouds: {}\n"),
            ..ConfigInputs::default()
        };
        inputs.settings(Some("Prod.One")).unwrap();
        for file in ["clouds.yaml", "secure.yaml", "clouds-public.yaml"] {
            fs::set_permissions(scratch.0.join(file), PermissionsExt::from_mode(0o666)).unwrap();
            let error = inputs.settings(Some("Prod.One")).unwrap_err();
            assert!(error.to_string().contains(file) && error.to_string().contains("0666"), "{error}");
            assert_eq!(error.kind(), CloudErrorKind::Usage);
            fs::set_permissions(scratch.0.join(file), PermissionsExt::from_mode(0o600)).unwrap();
        }
    }

    #[test]
    fn certificates_that_are_not_checked_are_said() {
        let openrc = |insecure: &str| {
            let pairs = [("OS_AUTH_URL", "https://ks/v3"), ("OS_INSECURE", insecure)];
            variables(&pairs).settings(None).unwrap().unverified()
        };
        let warning = openrc("true").unwrap();
        assert!(warning.contains("not checked") && warning.contains("the OS_* variables"), "{warning}");
        assert_eq!(openrc("false"), None);
    }

    #[test]
    fn an_unknown_cloud_lists_the_known_ones() {
        let scratch = Scratch::new("unknown");
        let inputs = ConfigInputs {
            clouds_file: scratch.file("clouds.yaml", CLOUDS),
            ..variables(&[("OS_CLOUD", "prod")])
        };
        let text = inputs.settings(None).unwrap_err().to_string();
        assert!(text.contains("`prod`") && text.contains("Prod.One, bare"), "{text}");
        let text = inputs.settings(Some("bare")).unwrap_err().to_string();
        assert!(text.contains("auth_url is missing"), "{text}");
    }

    #[test]
    fn a_broken_file_is_named_without_its_values() {
        let scratch = Scratch::new("broken");
        for text in ["clouds:\n  x:\n    auth: hunter2\n", "clouds: hunter2\n", "clouds: [hunter2\n"] {
            let inputs =
                ConfigInputs { clouds_file: scratch.file("clouds.yaml", text), ..ConfigInputs::default() };
            let error = inputs.settings(Some("x")).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("clouds.yaml cannot be used") && !text.contains("hunter2"), "{text}");
            assert_eq!(error.kind(), CloudErrorKind::Usage);
        }
    }

    #[test]
    fn openrc_variables_are_read_with_their_older_names() {
        let inputs = variables(&[
            ("OS_AUTH_URL", "http://ks/v3"),
            ("OS_USERNAME", "u"),
            ("OS_PASSWORD", "pw"),
            ("OS_TENANT_NAME", "p"),
            ("OS_ENDPOINT_TYPE", "internalURL"),
            ("OS_REGION_NAME", "RegionOne"),
        ]);
        let settings = inputs.settings(None).unwrap();
        assert_eq!(settings.config.interface.as_deref(), Some("internal"));
        assert_eq!(settings.config.region_name.as_deref(), Some("RegionOne"));
        let auth = settings.config.auth.unwrap();
        assert_eq!(auth.project_name.as_deref(), Some("p"));
        assert!(auth.password.is_some());
    }

    #[test]
    fn insecure_wins_over_a_ca_certificate() {
        let scratch = Scratch::new("insecure");
        let clouds = "clouds:\n  x:\n    auth:\n      auth_url: https://ks/v3\n    cacert: /ca.pem\n";
        let verify = |more: &str| {
            let inputs = ConfigInputs {
                clouds_file: scratch.file("clouds.yaml", &format!("{clouds}{more}")),
                ..ConfigInputs::default()
            };
            inputs.settings(Some("x")).unwrap().config.verify
        };
        assert_ne!(verify(""), Some(false));
        assert_eq!(verify("    insecure: true\n"), Some(false));
        assert_eq!(verify("    verify: false\n"), Some(false));
        assert_ne!(verify("    insecure: false\n"), Some(false));
        let openrc = variables(&[("OS_AUTH_URL", "https://ks/v3"), ("OS_INSECURE", "True")]);
        assert_eq!(openrc.settings(None).unwrap().config.verify, Some(false));
    }

    #[test]
    fn the_interface_is_public_unless_said() {
        let inputs = variables(&[("OS_AUTH_URL", "http://ks/v3")]);
        let interface = inputs.settings(None).unwrap().config.interface;
        assert_eq!(interface.as_deref(), Some("public"));
    }
}
