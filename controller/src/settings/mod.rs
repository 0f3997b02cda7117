//! The command line and the configuration file. Both have the same settings; the command line wins.
//!
//! ```text
//! Args (clap) --+
//!               +--> Config, or every mistake in one line each
//! TOML file  ---+
//! ```

mod file;
mod profiles;
mod secret;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use glancecast_platform::logging::Format;
use glancecast_platform::units::parse_duration;

pub use file::text_of as read_text;
pub use secret::{Secret, credential};

use crate::auth::TOKENS_FILE;
use file::Settings;

/// Keeps images on the hosts where policies want them, and answers a REST API.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "glancecast-controller", version)]
pub struct Args {
    /// Read settings from this TOML file; what is given here wins
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Check the configuration and the files that it names, print every mistake, and exit: 0 without one, 78 with any
    #[arg(long)]
    pub check: bool,
    /// Print a new token and the line for the file of tokens that accepts it, for a user of this name, and exit
    #[arg(long, value_name = "USER", conflicts_with = "check")]
    pub new_token: Option<String>,
    /// With --new-token: the roles of that user, separated by commas
    #[arg(long, value_name = "ROLE", value_delimiter = ',', default_value = "admin")]
    pub roles: Vec<String>,
}

/// Validated settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this controller, by which several of them know each other.
    pub name: String,
    /// Where the API and the page are.
    pub listen: SocketAddr,
    /// Where metrics are, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The directory of the database, of tokens and of what children need.
    pub state: PathBuf,
    /// Where the state is kept.
    pub database: Database,
    /// The address that links begin with; `None`: the one that the client names.
    pub public_url: Option<String>,
    /// While this file exists, the health check fails.
    pub disable_file: Option<PathBuf>,
    /// The form of the log, if one was chosen.
    pub log_format: Option<Format>,
    /// Who may ask.
    pub auth: Auth,
    /// The rules of who may do what; `None`: the default rules.
    pub policy_file: Option<PathBuf>,
    /// The cloud; `None` without OpenStack.
    pub cloud: Option<CloudSettings>,
    /// How children are started.
    pub sender: SenderSettings,
    /// The profiles of glancecast's configuration that pushes may name; the first is the default, which has no name.
    pub profiles: Vec<Option<String>>,
    /// The directory with policies; `None`: the API's alone.
    pub policies: Option<PathBuf>,
    /// Time between two looks at the cloud and two plans.
    pub interval: Duration,
    /// Time between two questions to all hosts.
    pub inventory_interval: Duration,
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub enum Database {
    /// In a file of SQLite.
    Sqlite(PathBuf),
    /// In MariaDB or MySQL, at an address without a password.
    Server {
        /// `mysql://user@host/database`.
        url: String,
        /// The file with the password, if it needs one.
        password: Option<PathBuf>,
    },
}

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Whoever has a token of a file: one that is made at the first start, or one with a line for each user.
    Tokens {
        /// The file with a line for each user; `None`: the one that is made in the state directory.
        file: Option<PathBuf>,
    },
    /// Whoever Keystone knows.
    Keystone {
        /// The address of Keystone for `WWW-Authenticate`; `None`: the one of the credentials.
        uri: Option<String>,
        /// The roles of which a service token needs one.
        service_roles: Vec<String>,
    },
    /// Everybody on this machine.
    Nobody,
}

/// The cloud, and with whose credentials it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudSettings {
    /// A cloud of clouds.yaml; `None`: OS_CLOUD or the OS_* variables.
    pub cloud: Option<String>,
    /// Its region.
    pub region: Option<String>,
}

/// How children are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderSettings {
    /// The program.
    pub program: PathBuf,
    /// Its configuration; `None`: the usual places.
    pub config: Option<PathBuf>,
    /// The directory of the images that are pushed as `file:NAME`; `None`: there are none.
    pub images: Option<PathBuf>,
}

impl Args {
    /// Merges the command line with the file.
    ///
    /// # Errors
    /// A line for each missing or wrong setting. A file that is not TOML, or has an unknown setting, is one mistake.
    pub fn resolve(&self) -> Result<Config, Vec<String>> {
        let file = match &self.config {
            Some(path) => file::read(path).map_err(|mistake| vec![mistake])?,
            None => Settings::default(),
        };
        join(self.settings.clone().over(file), &Surroundings::of_this_process())
    }
}

/// What the settings depend on besides themselves.
#[derive(Clone, Debug, Default)]
struct Surroundings {
    /// The directory that systemd gives the service for its state.
    state: Option<PathBuf>,
    /// Whether the environment has credentials for a cloud.
    has_cloud: bool,
    host_name: Option<String>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let first = |value: std::ffi::OsString| {
            let text = value.into_string().ok()?;
            Some(PathBuf::from(text.split(':').next()?))
        };
        Self {
            state: set("STATE_DIRECTORY").and_then(first),
            has_cloud: set("OS_CLOUD").is_some() || set("OS_AUTH_URL").is_some(),
            host_name: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
        }
    }
}

/// What is wrong, a line for each mistake.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    /// Returns the value, or notes the mistake.
    fn none<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|mistake| self.0.push(mistake)).ok()
    }
}

fn join(settings: Settings, around: &Surroundings) -> Result<Config, Vec<String>> {
    let mut mistakes = Mistakes::default();
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let listen = settings.listen.clone().unwrap_or_else(|| LISTEN.to_owned());
    let listen = mistakes.none(address("listen", &listen));
    let metrics = settings.metrics.as_deref().map(|text| address("metrics", text)).transpose();
    let metrics = mistakes.none(metrics);
    let state = settings.state.clone().or(around.state.clone()).unwrap_or_else(|| STATE.into());
    let database = mistakes.none(database(settings.database, settings.database_password, &state));
    let log_format = settings.log_format.map(|text| text.parse()).transpose();
    let log_format = mistakes.none(log_format.map_err(|error: String| format!("log_format: {error}")));
    let cloud = CloudSettings { cloud: given(settings.os_cloud), region: given(settings.os_region_name) };
    let wants_keystone = settings.auth.as_deref() == Some("keystone");
    let by_default = cloud.cloud.is_some() || around.has_cloud || wants_keystone;
    let cloud = settings.openstack.unwrap_or(by_default).then_some(cloud);
    let auth = auth(settings.auth.as_deref(), settings.tokens, settings.auth_uri, settings.service_roles);
    let auth = mistakes.none(auth);
    if let (Some(auth), Some(listen)) = (&auth, listen) {
        mistakes.none(fits(auth, listen, cloud.is_some()));
    }
    let public_url = mistakes.none(settings.public_url.map(public_url).transpose());
    let profiles = mistakes.none(profiles::profiles(settings.profiles));
    let interval = mistakes.none(duration("interval", settings.interval, INTERVAL, INTERVAL_MIN));
    let inventory = duration("inventory_interval", settings.inventory_interval, INVENTORY, INTERVAL_MIN);
    let inventory_interval = mistakes.none(inventory);
    let name = given(settings.name).or(around.host_name.clone());
    let name = mistakes.none(name.ok_or_else(|| "name: this machine has no host name; give one".to_owned()));
    let sender = SenderSettings {
        program: settings.glancecast.unwrap_or_else(|| "glancecast".into()),
        config: settings.glancecast_config,
        images: settings.images,
    };
    let config = || {
        Some(Config {
            name: name?,
            listen: listen?,
            metrics: metrics?,
            state,
            database: database?,
            public_url: public_url?,
            disable_file: settings.disable_file,
            log_format: log_format?,
            auth: auth?,
            policy_file: settings.policy_file,
            cloud,
            sender,
            profiles: profiles?,
            policies: settings.policies,
            interval: interval?,
            inventory_interval: inventory_interval?,
        })
    };
    match config() {
        Some(config) if mistakes.0.is_empty() => Ok(config),
        _ => Err(mistakes.0),
    }
}

fn address(name: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{name} {text:?}: give an address and a port, as in 127.0.0.1:9718 or [::1]:9718")
    })
}

fn database(url: Option<String>, password: Option<PathBuf>, state: &Path) -> Result<Database, String> {
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return match password {
            None => Ok(Database::Sqlite(state.join(STATE_FILE))),
            Some(_) => Err("database_password is for a server: give database = \"mysql://...\"".to_owned()),
        };
    };
    let server = ["mysql://", "mariadb://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = server else {
        return match url.strip_prefix('/') {
            Some(_) => Ok(Database::Sqlite(url.into())),
            None => {
                Err("database: give the full path of a file for SQLite, or mysql://user@host/database"
                    .to_owned())
            }
        };
    };
    let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':')) {
        return Err(
            "database: the password belongs into a file of its own, which database_password names".to_owned()
        );
    }
    if name.is_empty() || name.starts_with('?') {
        return Err(
            "database: the name of the database is missing, as in mysql://user@host/glancecast".into()
        );
    }
    let password = password.map(|path| credential("database_password", path)).transpose()?;
    Ok(Database::Server { url, password })
}

fn auth(
    kind: Option<&str>,
    tokens: Option<PathBuf>,
    uri: Option<String>,
    service_roles: Vec<String>,
) -> Result<Auth, String> {
    let of_keystone = uri.is_some() || !service_roles.is_empty();
    match kind.unwrap_or("tokens") {
        "tokens" if of_keystone => Err("auth_uri and service_roles are for auth = \"keystone\"".to_owned()),
        "tokens" => {
            let file = tokens.map(|path| credential("tokens", path)).transpose()?;
            Ok(Auth::Tokens { file })
        }
        "keystone" if tokens.is_some() => {
            Err(format!("tokens names {TOKENS_FILE}: it is for auth = \"tokens\""))
        }
        "keystone" => {
            let service_roles =
                if service_roles.is_empty() { vec!["service".to_owned()] } else { service_roles };
            Ok(Auth::Keystone { uri, service_roles })
        }
        "none" if of_keystone || tokens.is_some() => Err("auth = \"none\" takes no other setting".to_owned()),
        "none" => Ok(Auth::Nobody),
        other => Err(format!("auth {other:?} is none of \"tokens\", \"keystone\" and \"none\"")),
    }
}

/// Checks what no setting shows alone.
fn fits(auth: &Auth, listen: SocketAddr, has_cloud: bool) -> Result<(), String> {
    match auth {
        Auth::Nobody if !listen.ip().is_loopback() => Err(format!(
            "auth = \"none\" and listen = \"{listen}\": whoever reaches this address could push images to every host; \
             choose auth = \"keystone\" or \"tokens\", or an address of 127.0.0.0/8"
        )),
        Auth::Keystone { .. } if !has_cloud => {
            Err("auth = \"keystone\" and openstack = false exclude each other".to_owned())
        }
        _ => Ok(()),
    }
}

fn public_url(text: String) -> Result<String, String> {
    let is_http = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    let is_plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>'));
    match is_http && is_plain {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(format!("public_url {text:?}: give it as https://images.example:9718")),
    }
}

fn duration(name: &str, text: Option<String>, default: Duration, min: Duration) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(default) };
    let duration = parse_duration(&text).map_err(|error| format!("{name}: {error}"))?;
    match duration >= min {
        true => Ok(duration),
        false => Err(format!("{name} {text:?}: at least {} s", min.as_secs())),
    }
}

/// Loopback: out of the box nobody else reaches the controller.
const LISTEN: &str = "127.0.0.1:9718";
const STATE: &str = "/var/lib/glancecast-controller";
const STATE_FILE: &str = "state.db";
const INTERVAL: Duration = Duration::from_secs(60);
const INVENTORY: Duration = Duration::from_secs(300);
/// Glance, Nova and the hosts are asked no more often.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Config, Vec<String>> {
        let around = Surroundings { host_name: Some("ctl-1".into()), ..Surroundings::default() };
        join(file::parse(text, Path::new("/etc/glancecast/controller.toml")).map_err(|m| vec![m])?, &around)
    }

    #[test]
    fn out_of_the_box_it_listens_on_loopback_with_tokens_and_a_file() {
        let config = resolve("").expect("a configuration");
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.auth, Auth::Tokens { file: None });
        assert!(
            matches!(&config.database, Database::Sqlite(path) if path == Path::new("/var/lib/glancecast-controller/state.db"))
        );
        assert!(config.cloud.is_none() && config.metrics.is_none());
        assert_eq!(config.profiles, [None]);
    }

    #[test]
    fn keystone_brings_the_cloud_and_the_roles_of_services() {
        let config =
            resolve("auth = \"keystone\"\nlisten = \"0.0.0.0:9718\"\nos_cloud = \"prod\"").expect("valid");
        assert_eq!(config.auth, Auth::Keystone { uri: None, service_roles: vec!["service".to_owned()] });
        assert_eq!(config.cloud.expect("a cloud").cloud.as_deref(), Some("prod"));
    }

    #[test]
    fn a_mistake_names_its_setting_and_what_to_write() {
        for (text, says) in [
            ("auth = \"none\"\nlisten = \"0.0.0.0:9718\"", "choose auth"),
            ("auth = \"none\"\nlisten = \"[::]:9718\"", "choose auth"),
            ("auth = \"ldap\"", "none of \"tokens\""),
            ("auth = \"keystone\"\nopenstack = false", "exclude each other"),
            ("auth = \"keystone\"\ntokens = \"/t\"", "auth = \"tokens\""),
            ("service_roles = [\"service\"]", "auth = \"keystone\""),
            ("listen = \"9718\"", "an address and a port"),
            ("database = \"mysql://u:secret@db/glancecast\"", "a file of its own"),
            ("database = \"mysql://u@db\"", "name of the database is missing"),
            ("database = \"state.db\"", "full path"),
            ("database_password = \"/p\"", "is for a server"),
            ("public_url = \"images.example\"", "https://images.example"),
            ("interval = \"10\"", "is not a duration"),
            ("interval = \"10ms\"", "at least 1 s"),
            ("log_format = \"xml\"", "log_format"),
            ("lisen = \"x\"", "unknown field `lisen`"),
            ("profiles = [\"a b\"]", "is no name"),
        ] {
            let mistakes = resolve(text).expect_err(text);
            assert!(mistakes.iter().any(|mistake| mistake.contains(says)), "{text}: {mistakes:?}");
            assert!(mistakes.iter().all(|mistake| !mistake.contains("secret")), "{mistakes:?}");
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let mistakes = resolve("listen = \"x\"\nauth = \"x\"\ninterval = \"x\"").expect_err("three");
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }
}
