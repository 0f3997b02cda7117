//! The command line and the configuration file. Both have the same settings; the command line wins.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use glancecast_platform::logging::Format;
use glancecast_platform::multicast::{Group, Membership};
use glancecast_platform::toml_error;
use glancecast_platform::transport::{Listen, Offload};
use glancecast_platform::units::{Rate, UnitError, parse_duration};
use glancecast_proto::ids::HostName;
use serde::{Deserialize, Deserializer};

use crate::observe::ObserveConfig;
use crate::rate_limit::ReadRate;
use crate::relay_settings::{RelaySettings, Relaying};
use crate::state;
use crate::store::{KeepUnfinished, MinFree, StoreOptions, StoreSpec};

/// Receives operating-system images that a glancecast sender multicasts, proves them and publishes them.
#[derive(Debug, Default, Parser)]
#[command(name = "glancecastd", version = VERSION_LINE, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Read settings from this TOML file; what is given here wins
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Check the configuration and the files that it names, print every mistake, and exit: 0 without one, 78 with any. As root
    /// it looks at the files as the owner of the state directory does
    #[arg(long, conflicts_with = "once")]
    pub check: bool,
    /// What to do besides receiving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Leave after one object: exit 0 when it is published, 1 when it could not be
    #[arg(long)]
    pub once: bool,
}

/// What else glancecastd does than to receive.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Ask the glancecastd of this node what it is at
    Status(StatusArgs),
}

/// The arguments of `glancecastd status`.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// Print one JSON object: see docs/json.md
    #[arg(long)]
    pub json: bool,
    /// The runtime directory of that glancecastd [default: $RUNTIME_DIRECTORY, or /run/glancecast]
    #[arg(long, value_name = "DIR")]
    pub runtime: Option<PathBuf>,
}

/// What both the command line and the file say.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The host's name in the sender's table [default: this machine's host name]
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
    /// The multicast group to join [default: 239.255.71.67:7167]
    #[arg(long, value_name = "ADDR:PORT")]
    group: Option<String>,
    /// The interface to hear on: name or address [default: where the routing table sends the group]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Hear the group from this address alone; a source-specific group needs it [default: from any]
    #[arg(long, value_name = "ADDR")]
    source: Option<IpAddr>,
    /// Differentiated services code point of the answers [default: 0, best effort: they are few, and a push waits for them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..64))]
    dscp: Option<u8>,
    /// Receive each datagram as a packet of its own, without generic receive offload (GRO): for drivers and virtual
    /// networks that damage merged packets
    #[arg(long = "no-offload", num_args = 0, default_missing_value = "false")]
    offload: Option<bool>,
    /// Whether pushes reach this host by unicast as well, at its interface's address and the group's port: `auto` if that port
    /// is free, or `none` [default: auto]
    #[arg(long, value_name = "HOW")]
    listen: Option<String>,
    /// Report the membership of the group this often, as switches without a querier forget it; `none` never does [default: 1m]
    #[arg(long, value_name = "DUR")]
    renew_membership: Option<String>,
    /// The group's key file; twice while a key is being replaced: both are accepted
    #[arg(long, value_name = "FILE")]
    #[serde(default, deserialize_with = "one_or_more")]
    key: Vec<PathBuf>,
    /// Accept pushes signed by this sender alone: its public key, or a file of public keys; may be given several times.
    /// `expires=2027-01-31` behind a key is its last day (UTC).
    /// `any` accepts every push of everybody who has the group's key, which each node has
    #[arg(long = "sender", value_name = "PUBKEY|FILE|any")]
    #[serde(default, deserialize_with = "one_or_more")]
    senders: Vec<String>,
    /// Where this host's own key is kept; the directory must exist [default: the first of $STATE_DIRECTORY, which systemd
    /// sets, or /var/lib/glancecast]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Use the key that everybody knows, and accept pushes from anybody unless --sender says otherwise: for a lab only
    #[arg(long, num_args = 0, default_missing_value = "true")]
    insecure: Option<bool>,
    /// Where images go: directory:PATH, or nova:INSTANCES_PATH for the image cache of this host's Nova
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Nova's configuration here: a file, or a directory for its *.conf; several times in the order in which Nova reads them.
    /// Names the store if --store does not
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    nova_conf: Vec<PathBuf>,
    /// With a nova store: whom files belong to [default: whom the cache belongs to]
    #[arg(long, value_name = "USER:GROUP")]
    owner: Option<String>,
    /// Write no faster than this, so that guests keep their disk, in bits: 400mbit are 50 MB/s [default: as fast as data come]
    #[arg(long, value_name = "RATE")]
    write_rate: Option<String>,
    /// Read no faster than this to hash copies again, in bits; `none` for no cap [default: 400mbit for `glancecast verify`, and
    /// no cap on what a push has read]
    #[arg(long, value_name = "RATE")]
    read_rate: Option<String>,
    /// Leave so much of the store's file system to others: a share, bytes, or both with the less strict one holding; 0 leaves
    /// nothing [default: 5%,10GiB]
    #[arg(long, value_name = "SHARE,BYTES")]
    min_free: Option<String>,
    /// Keep what a broken-off push left, for the next push of the same image: so long after it was written last, or `none` [default: 1d]
    #[arg(long, value_name = "DUR")]
    keep_unfinished: Option<String>,
    /// How to log: text, json, or journal with a field for each value [default: journal where standard error leads there, else
    /// text]
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
    /// The directory of the socket that `glancecastd status` asks [default: the first of $RUNTIME_DIRECTORY, or /run/glancecast;
    /// without such a directory nobody can ask]
    #[arg(long, value_name = "DIR")]
    runtime: Option<PathBuf>,
    /// Let Prometheus scrape metrics at this address, at /metrics [default: not at all]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<String>,
    /// Write metrics to this file, for node_exporter's textfile collector: NAME.prom [default: none]
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Run this program after each image that is published here: its full path, and each argument with a further
    /// --on-published. No shell; it learns of the image by GLANCECAST_NAME, _PATH, _ROOT, _BYTES, _IMAGE_ID; 30 s each
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    #[serde(default)]
    on_published: Vec<String>,
    #[command(flatten)]
    #[serde(default)]
    relay: RelaySettings,
}

/// What `--version` prints. The number is the one of [`glancecast_proto::wire::VERSION`].
const VERSION_LINE: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 2)");

const _: () = assert!(glancecast_proto::wire::VERSION == 2, "VERSION_LINE names it");

/// Validated settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's name.
    pub name: HostName,
    /// The group, and the only source address that it is received from, if there is one.
    pub membership: Membership,
    /// The interface, if one was chosen.
    pub interface: Option<String>,
    /// Differentiated services code point of the answers, 0 to 63.
    pub dscp: u8,
    /// Whether the kernel may merge datagrams.
    pub offload: Offload,
    /// Where pushes reach this host by unicast.
    pub listen: Listen,
    /// Whether and how this host forwards pushes to others.
    pub relaying: Relaying,
    /// How often the membership of the group is reported unasked; `None` for never.
    pub renew_membership: Option<Duration>,
    /// The key files; none for the well-known key.
    pub keys: Vec<PathBuf>,
    /// The senders whose pushes are accepted.
    pub senders: Senders,
    /// The directory with the host's own key.
    pub state: PathBuf,
    /// The store.
    pub store: StoreSpec,
    /// Cap on writes to the store.
    pub write_rate: Option<Rate>,
    /// Cap on reads from the store that hash data again.
    pub read_rate: ReadRate,
    /// The program that runs after each publication, and its arguments; empty for none.
    pub on_published: Vec<String>,
    /// How long unfinished images are kept, and what stays free.
    pub store_options: StoreOptions,
    /// The form of the log, if one was chosen.
    pub log_format: Option<Format>,
    /// Where status and metrics are given out.
    pub observe: ObserveConfig,
}

/// The senders whose pushes a host accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Every holder of the group key.
    Any,
    /// Senders whose signature one of these public keys verifies; a key is given directly or in a file. Never empty.
    Listed(Vec<String>),
}

impl Senders {
    /// Returns the senders for these settings; only with `insecure`, in a lab, may none be set.
    fn new(settings: Vec<String>, insecure: bool) -> Result<Self, String> {
        let any = settings.iter().filter(|setting| *setting == ANY).count();
        if settings.is_empty() {
            return if insecure { Ok(Self::Any) } else { Err(NO_SENDERS.to_owned()) };
        }
        match any {
            0 => Ok(Self::Listed(settings)),
            any if any == settings.len() => Ok(Self::Any),
            _ => {
                Err("senders: \"any\" and public keys exclude each other: list the keys, or accept everybody"
                    .to_owned())
            }
        }
    }
}

/// The setting that accepts every holder of the group key.
const ANY: &str = "any";

impl Args {
    /// Merges the command line with the file.
    ///
    /// # Errors
    /// One line that names the first missing or wrong setting.
    pub fn resolve(&self) -> Result<Config, String> {
        self.look().map_err(|mistakes| mistakes.into_iter().next().expect("there is one"))
    }

    /// Merges the command line with the file.
    ///
    /// # Errors
    /// A line for each missing or wrong setting. A file that is not TOML, or has an unknown setting, is one mistake.
    pub fn look(&self) -> Result<Config, Vec<String>> {
        let file = match &self.config {
            Some(path) => read(path).map_err(|mistake| vec![mistake])?,
            None => Settings::default(),
        };
        self.join(file)
    }

    fn join(&self, file: Settings) -> Result<Config, Vec<String>> {
        let given = self.settings.clone();
        let mut mistakes = Mistakes::default();
        let insecure = given.insecure.or(file.insecure).unwrap_or(false);
        let keys = if given.key.is_empty() { file.key } else { given.key };
        let credentials = std::env::var_os(CREDENTIALS).map(PathBuf::from);
        let keys = mistakes.none(keys_of(keys, insecure, credentials.as_deref()));
        let name = mistakes.none(host_name(given.name.or(file.name)));
        let group = given.group.or(file.group).unwrap_or_else(|| Group::DEFAULT.into());
        let group = group.parse::<Group>().map_err(|error| format!("group: {error}"));
        let source = given.source.or(file.source);
        let membership = mistakes
            .none(group.and_then(|group| Membership::new(group, source).map_err(|error| error.to_string())));
        let dscp = given.dscp.or(file.dscp).unwrap_or(ANSWER_DSCP);
        let dscp = mistakes.none(if dscp < 64 { Ok(dscp) } else { Err(format!("dscp {dscp}: {DSCP}")) });
        let write_rate = given.write_rate.or(file.write_rate).map(|rate| rate.parse::<Rate>()).transpose();
        let write_rate = mistakes.none(write_rate.map_err(|error| format!("write_rate: {error}")));
        let read_rate =
            given.read_rate.or(file.read_rate).map_or(Ok(ReadRate::default()), |text| read_at(&text));
        let read_rate = mistakes.none(read_rate.map_err(|error| format!("read_rate: {error}")));
        let min_free = given.min_free.or(file.min_free).map_or(Ok(MinFree::DEFAULT), |text| text.parse());
        let min_free = mistakes.none(min_free.map_err(|error| format!("min_free: {error}")));
        let keep = given.keep_unfinished.or(file.keep_unfinished);
        let keep = keep.map_or(Ok(KeepUnfinished::DEFAULT), |text| kept_for(&text));
        let keep = mistakes.none(keep.map_err(|error| format!("keep_unfinished: {error}")));
        let on_published = if given.on_published.is_empty() { file.on_published } else { given.on_published };
        let on_published = mistakes.none(program(on_published));
        let renewal = given.renew_membership.or(file.renew_membership);
        let renewal = renewal.map_or(Ok(Some(RENEWAL)), |text| renewed_every(&text));
        let renewal = mistakes.none(renewal.map_err(|error| format!("renew_membership: {error}")));
        let senders = if given.senders.is_empty() { file.senders } else { given.senders };
        let senders = mistakes.none(Senders::new(senders, insecure));
        let listen = given.listen.or(file.listen).map_or(Ok(Listen::default()), |text| listens(&text));
        let listen = mistakes.none(listen);
        let relay = given.relay.join(file.relay);
        let relaying = match (&senders, listen) {
            (Some(senders), Some(listen)) => mistakes.none(relay.resolve(senders, listen)),
            _ => None,
        };
        let state = state::directory(given.state.or(file.state), std::env::var_os(state::VARIABLE));
        let state = mistakes.none(state.map_err(|error| error.to_string()));
        let nova_conf = if given.nova_conf.is_empty() { file.nova_conf } else { given.nova_conf };
        let (store, owner) = (given.store.or(file.store), given.owner.or(file.owner));
        let store = StoreSpec::new(store.as_deref(), &nova_conf, owner.as_deref());
        let store = mistakes.none(store.map_err(|error| error.to_string()));
        let log_format = given.log_format.or(file.log_format).map(|text| text.parse()).transpose();
        let log_format = mistakes.none(log_format.map_err(|error: String| format!("log_format: {error}")));
        let runtime = runtime_directory(given.runtime.or(file.runtime));
        let metrics = given.metrics.or(file.metrics).map(|text| scraped_at(&text)).transpose();
        let metrics = mistakes.none(metrics);
        let metrics_file = given.metrics_file.or(file.metrics_file);
        let interface = given.interface.or(file.interface);
        let offload = given.offload.or(file.offload).unwrap_or(true);
        let config = || {
            Some(Config {
                name: name?,
                membership: membership?,
                interface,
                dscp: dscp?,
                offload: if offload { Offload::Used } else { Offload::Avoided },
                listen: listen?,
                relaying: relaying?,
                renew_membership: renewal?,
                keys: keys?,
                senders: senders?,
                state: state?,
                store: store?,
                write_rate: write_rate?,
                read_rate: read_rate?,
                on_published: on_published?,
                store_options: StoreOptions { keep_unfinished: keep?, min_free: min_free? },
                log_format: log_format?,
                observe: ObserveConfig { runtime: Some(runtime), metrics: metrics?, metrics_file },
            })
        };
        match config() {
            Some(config) if mistakes.0.is_empty() => Ok(config),
            _ => Err(mistakes.0),
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

impl Config {
    /// Returns the settings that differ from `other` and are read at a start alone.
    pub fn needs_restart_for(&self, other: &Self) -> Vec<&'static str> {
        let (a, b) = (self, other);
        let relay_is_turned_on = b.relaying.allowed && !a.relaying.allowed;
        [
            ("name", a.name != b.name),
            ("group or source", a.membership != b.membership),
            ("interface", a.interface != b.interface),
            ("dscp", a.dscp != b.dscp),
            ("offload", a.offload != b.offload),
            ("listen", a.listen != b.listen),
            ("renew_membership", a.renew_membership != b.renew_membership),
            ("state", a.state != b.state),
            ("store, nova_conf or owner", a.store != b.store),
            ("[relay] mode", relay_is_turned_on),
            ("[relay] interface", a.relaying.interface != b.relaying.interface),
            ("log_format", a.log_format != b.log_format),
            ("runtime, metrics or metrics_file", a.observe != b.observe),
        ]
        .into_iter()
        .filter_map(|(setting, differs)| differs.then_some(setting))
        .collect()
    }
}

/// The environment variable in which systemd names the directory of `LoadCredential=` (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The beginning of a key setting that names a credential of systemd instead of a file.
const CREDENTIAL: &str = "credential:";

/// The credential that is used if no key is set.
const GROUP_KEY: &str = "group.key";

/// Returns the key files: those of the setting, where `credential:NAME` stands for a file of systemd's credentials; or
/// the credential `group.key`, if systemd gives the service one and nothing is set.
fn keys_of(given: Vec<PathBuf>, insecure: bool, credentials: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let by_itself = credentials.map(|directory| directory.join(GROUP_KEY)).filter(|path| path.exists());
    let given = match (given.is_empty(), insecure, by_itself) {
        (true, false, Some(path)) => vec![path],
        (true, false, None) => return Err(NO_KEY.into()),
        (false, true, _) => return Err("--key and --insecure exclude each other".into()),
        _ => given,
    };
    let named = given.into_iter().map(|path| {
        let Some(name) = path.to_str().and_then(|text| text.strip_prefix(CREDENTIAL)) else {
            return Ok(path);
        };
        match credentials {
            _ if name.is_empty() || name.contains('/') => {
                Err(format!("key {CREDENTIAL}{name}: a credential has a name without slashes"))
            }
            Some(directory) => Ok(directory.join(name)),
            None => Err(format!(
                "key {CREDENTIAL}{name}: systemd gives this process no credentials; the unit needs \
                 LoadCredential={name}:/etc/glancecast/{name}"
            )),
        }
    });
    named.collect()
}

fn host_name(given: Option<String>) -> Result<HostName, String> {
    let name = match given {
        Some(name) => name,
        None => nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .ok_or("this machine has no host name: give --name HOST")?,
    };
    HostName::new(&name).map_err(|error| format!("name {name:?}: {error}"))
}

/// Returns the runtime directory: the one given, or the first of those that systemd names, or the default one.
pub fn runtime_directory(given: Option<PathBuf>) -> PathBuf {
    let of_systemd = || {
        let paths = std::env::var_os("RUNTIME_DIRECTORY")?.into_string().ok()?;
        paths.split(':').next().filter(|path| !path.is_empty()).map(PathBuf::from)
    };
    given.or_else(of_systemd).unwrap_or_else(|| RUNTIME.into())
}

/// The runtime directory where neither a setting nor systemd names one.
pub const RUNTIME: &str = "/run/glancecast";

fn scraped_at(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("metrics: {text:?} is no address with a port, such as 127.0.0.1:9717"))
}

const DSCP: &str = "a code point is between 0 and 63";

const NO_KEY: &str =
    "no key: give --key FILE (make it with: glancecast keygen --all DIR), or --insecure in a lab of your own";

const NO_SENDERS: &str = "no senders: this host does not know whose pushes to accept. Give --sender FILE, or senders = [\"FILE\"], with \
                          the public half of your sender's key (glancecast keygen --all DIR makes both keys; it is \
                          DIR/sender.pub), or --sender any to accept every push of everybody who has the group's key, which \
                          each node has";

/// Default code point of the answers. It is not the data's: a network that delays the data must not make the sender
/// believe that its hosts are gone. All hosts together send a bounded number of answers.
const ANSWER_DSCP: u8 = 0;

/// Default time between two reports of the membership. Switches forget a host after 260 s by RFC 3376 §8.4, after 130 s
/// where they are set up for queries every minute.
const RENEWAL: Duration = Duration::from_secs(60);

fn renewed_every(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let gap = parse_duration(text).map_err(|error| error.to_string())?;
    if gap < Duration::from_secs(1) {
        return Err(format!("{text:?} is less than 1s; \"none\" never renews it"));
    }
    Ok(Some(gap))
}

fn listens(text: &str) -> Result<Listen, String> {
    match text {
        "auto" => Ok(Listen::GroupPort),
        "none" => Ok(Listen::AnyPort),
        _ => Err(format!("listen: {text:?} is neither \"auto\" nor \"none\"")),
    }
}

fn kept_for(text: &str) -> Result<KeepUnfinished, UnitError> {
    let time = if text == "none" { Duration::ZERO } else { parse_duration(text)? };
    Ok(KeepUnfinished { time })
}

fn read_at(text: &str) -> Result<ReadRate, UnitError> {
    if text == "none" { Ok(ReadRate::Unlimited) } else { Ok(ReadRate::All(text.parse()?)) }
}

/// One text or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text.into()],
        OneOrMore::More(texts) => texts.into_iter().map(T::from).collect(),
    })
}

fn read(path: &Path) -> Result<Settings, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("configuration {}: {error}", path.display()))?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Settings, String> {
    toml::from_str(text)
        .map_err(|error| format!("configuration {} {}", path.display(), toml_error::explained(&error, text)))
}

/// Returns the program that runs after a publication, with its arguments.
fn program(words: Vec<String>) -> Result<Vec<String>, String> {
    match words.first() {
        Some(program) if !program.starts_with('/') => {
            Err(format!("on_published {program:?}: give the program with its full path"))
        }
        Some(_) | None => Ok(words),
    }
}

/// Parses a fuzzer's bytes as the configuration file.
///
/// # Panics
/// If settings are out of their bounds, or an error is more than one line.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzed(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let settings = parse(text, Path::new("glancecastd.toml"));
    // A fuzzer must not read Nova's files and this machine's users.
    if settings.as_ref().is_ok_and(|settings| !settings.nova_conf.is_empty() || settings.owner.is_some()) {
        return;
    }
    match settings.map_err(|mistake| vec![mistake]).and_then(|settings| Args::default().join(settings)) {
        Ok(config) => {
            assert!(config.dscp < 64 && !config.name.as_str().is_empty());
            assert!(config.write_rate.is_none_or(|rate| (64_000..=1_000_000_000_000).contains(&rate.bits())));
            assert!(
                config.senders == Senders::Any
                    || matches!(&config.senders, Senders::Listed(keys) if !keys.is_empty())
            );
            assert!(config.store_options.keep_unfinished.time <= Duration::from_secs(366 * 86_400));
            assert!(!config.state.as_os_str().is_empty());
            let relaying = &config.relaying;
            assert!(relaying.rate_max.is_none_or(|rate| (64_000..=1_000_000_000_000).contains(&rate.bits())));
            assert!(!relaying.allowed || config.listen == Listen::GroupPort);
            let group = config.membership.group().to_string();
            assert!(group.parse::<Group>().is_ok_and(|again| again.to_string() == group));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(!mistake.is_empty() && !mistake.contains(char::is_control), "{mistake:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file() {
        let config = resolve(
            "name = \"from-file\"\ngroup = \"239.1.1.1:7000\"\nkey = \"/file.key\"\nsenders = \"/senders\"\nstore = \"directory:/tmp\"",
            &["--name", "from-line"],
        )
        .expect("complete");
        assert_eq!(config.name.as_str(), "from-line");
        assert_eq!(config.membership.group().to_string(), "239.1.1.1:7000");
        assert_eq!(config.keys, [Path::new("/file.key")]);
        assert_eq!(config.senders, Senders::Listed(vec!["/senders".into()]));
    }

    #[test]
    fn keys_and_senders_may_be_several() {
        let file = "key = [\"/old.key\", \"/new.key\"]\nsenders = [\"/senders\"]\nstore = \"directory:/tmp\"";
        let config = resolve(file, &[]).expect("complete");
        assert_eq!(config.keys, [Path::new("/old.key"), Path::new("/new.key")]);
        assert_eq!(config.senders, Senders::Listed(vec!["/senders".into()]));
        let args = ["--key", "/a", "--key", "/b", "--sender", "ed25519:1", "--sender", "/more"];
        let config = resolve(file, &args).expect("complete");
        assert_eq!(config.keys, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(config.senders, Senders::Listed(vec!["ed25519:1".into(), "/more".into()]));
    }

    #[test]
    fn whose_pushes_are_accepted_is_said_and_never_guessed() {
        let store = "\nstore = \"directory:/tmp\"";
        for (file, args, senders) in [
            ("senders = \"any\"", &["--key", "/k"][..], Ok(Senders::Any)),
            ("senders = [\"any\"]", &["--key", "/k"], Ok(Senders::Any)),
            ("", &["--key", "/k", "--sender", "any"], Ok(Senders::Any)),
            ("", &["--insecure"], Ok(Senders::Any)),
            ("", &["--insecure", "--sender", "any"], Ok(Senders::Any)),
            ("", &["--insecure", "--sender", "/s"], Ok(Senders::Listed(vec!["/s".into()]))),
            ("senders = [\"/s\"]", &["--key", "/k", "--sender", "any"], Ok(Senders::Any)),
            (
                "senders = \"any\"",
                &["--key", "/k", "--sender", "./any"],
                Ok(Senders::Listed(vec!["./any".into()])),
            ),
            ("", &["--key", "/k"], Err("glancecast keygen --all")),
            ("senders = []", &["--key", "/k"], Err("--sender any")),
            ("senders = [\"any\", \"/s\"]", &["--key", "/k"], Err("exclude")),
            ("", &["--key", "/k", "--sender", "/s", "--sender", "any"], Err("exclude")),
        ] {
            let config = resolve(&format!("{file}{store}"), args);
            match senders {
                Ok(senders) => assert_eq!(config.expect("complete").senders, senders, "{file} {args:?}"),
                Err(says) => {
                    let error = config.expect_err(says);
                    assert!(error.contains(says) && !error.contains('\n'), "{error}");
                }
            }
        }
    }

    #[test]
    fn room_and_rates_are_read_from_both_places() {
        let file = "insecure = true\nstore = \"directory:/tmp\"\nread_rate = \"80mbit\"\nmin_free = \"0\"";
        let config = resolve(file, &[]).expect("complete");
        assert_eq!(config.read_rate, ReadRate::All("80mbit".parse().expect("a rate")));
        assert_eq!(config.store_options.min_free, "0".parse().expect("a reserve"));
        let config = resolve(file, &["--read-rate", "none", "--min-free", "1%,2GiB"]).expect("complete");
        assert_eq!(config.read_rate, ReadRate::Unlimited);
        assert_eq!(config.store_options.min_free, "1%,2GiB".parse().expect("a reserve"));
        let config = resolve("insecure = true\nstore = \"directory:/tmp\"", &[]).expect("complete");
        assert_eq!(config.read_rate, ReadRate::Verifications);
        assert_eq!(config.store_options, StoreOptions::DEFAULT);
    }

    #[test]
    fn the_kernel_merges_datagrams_unless_either_place_forbids_it() {
        let offload = |file: &str, args: &[&str]| {
            let file = format!("insecure = true\nstore = \"directory:/tmp\"\n{file}");
            resolve(&file, args).expect("complete").offload
        };
        assert_eq!(offload("", &[]), Offload::Used);
        assert_eq!(offload("offload = false", &[]), Offload::Avoided);
        assert_eq!(offload("offload = true", &["--no-offload"]), Offload::Avoided);
        assert_eq!(offload("offload = true", &[]), Offload::Used);
    }

    #[test]
    fn the_membership_is_renewed_every_minute_unless_told_otherwise() {
        let file = "insecure = true\nstore = \"directory:/tmp\"\n";
        let renewal = |more: &str| resolve(&format!("{file}{more}"), &[]).expect("complete").renew_membership;
        assert_eq!(renewal(""), Some(Duration::from_secs(60)));
        assert_eq!(renewal("renew_membership = \"5m\""), Some(Duration::from_secs(300)));
        assert_eq!(renewal("renew_membership = \"none\""), None);
    }

    #[test]
    fn a_host_relays_where_its_senders_are_listed_or_it_is_told_to() {
        let relays = |senders: &str, more: &str, args: &[&str]| {
            let file = format!("key = \"/k\"\nstore = \"directory:/tmp\"\nsenders = \"{senders}\"\n{more}");
            resolve(&file, args).map(|config| config.relaying.allowed)
        };
        assert_eq!(relays("/s", "", &[]), Ok(true));
        assert_eq!(relays("any", "", &[]), Ok(false));
        assert_eq!(relays("any", "[relay]\nmode = \"on\"", &[]), Ok(true));
        assert_eq!(relays("/s", "[relay]\nmode = \"off\"", &[]), Ok(false));
        assert_eq!(relays("/s", "[relay]\nmode = \"off\"", &["--relay", "on"]), Ok(true));
        assert_eq!(relays("/s", "listen = \"none\"", &[]), Ok(false), "nothing comes by unicast");
        let error =
            relays("/s", "listen = \"none\"\n[relay]\nmode = \"on\"", &[]).expect_err("a contradiction");
        assert!(error.contains("listen"), "{error}");
    }

    #[test]
    fn what_a_relay_may_do_is_read_from_both_places() {
        let file = "insecure = true\nstore = \"directory:/tmp\"\n[relay]\nrate_max = \"2gbit\"\n\
                    parents = [\"10.0.0.0/16\"]\ninterface = \"eth1\"";
        let relaying = resolve(file, &[]).expect("complete").relaying;
        assert_eq!(relaying.rate_max.map(Rate::bits), Some(2_000_000_000));
        assert_eq!(relaying.parents, ["10.0.0.0/16".parse().expect("a network")]);
        assert_eq!(relaying.interface.as_deref(), Some("eth1"));
        let args =
            ["--relay-rate-max", "1gbit", "--relay-parent", "fd00::/64", "--relay-parent", "10.1.0.0/24"];
        let relaying = resolve(file, &args).expect("complete").relaying;
        assert_eq!((relaying.rate_max.map(Rate::bits), relaying.parents.len()), (Some(1_000_000_000), 2));
    }

    #[test]
    fn the_state_has_a_directory_of_its_own() {
        let file = "insecure = true\nstore = \"directory:/tmp\"\nstate = \"/file\"";
        assert_eq!(resolve(file, &[]).expect("complete").state, Path::new("/file"));
        assert_eq!(resolve(file, &["--state", "/line"]).expect("complete").state, Path::new("/line"));
        let error = resolve("insecure = true\nstore = \"directory:/tmp\"\nstate = \"\"", &[]);
        assert!(error.expect_err("empty").starts_with("state: "));
    }

    #[test]
    fn the_sample_configuration_is_complete() {
        let sample = include_str!("../../docs/glancecastd.toml");
        let config = resolve(sample, &[]).expect("complete");
        assert_eq!(config.senders, Senders::Listed(vec!["/etc/glancecast/sender.pub".into()]));
        // Every setting that the sample comments out must exist, too.
        let all: String = sample
            .lines()
            .map(|line| {
                line.strip_prefix('#').filter(|rest| rest.starts_with(char::is_lowercase)).unwrap_or(line)
            })
            .filter(|line| !line.starts_with("nova_conf") && !line.starts_with("owner"))
            .fold(String::new(), |all, line| all + line + "\n");
        resolve(&all, &[]).expect("complete");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_in_one_line() {
        for (file, args, says) in [
            ("", &["--store", "directory:/x"][..], "--key"),
            ("", &["--insecure"], "--store"),
            ("keyy = \"/x\"", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("key = 7\nstore = \"directory:/x\"", &[], "line 1"),
            ("name = 7", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("", &["--insecure", "--store", "ceph:/x"], "ceph"),
            ("", &["--insecure", "--store", "nova:x"], "absolute"),
            ("", &["--insecure", "--store", "nova:"], "INSTANCES_PATH"),
            ("", &["--insecure", "--store", "nova:/x", "--owner", "no-such"], "no-such"),
            ("", &["--insecure", "--store", "directory:/x", "--nova-conf", "/n"], "directory"),
            ("nova_conf = [\"/missing/nova.conf\"]", &["--insecure"], "/missing/nova.conf"),
            ("", &["--insecure", "--store", "directory:/x", "--group", "10.0.0.1:1"], "multicast"),
            ("", &["--insecure", "--key", "/k", "--store", "directory:/x"], "exclude"),
            ("", &["--insecure", "--store", "directory:/x", "--name", "a b"], "name"),
            ("", &["--insecure", "--store", "directory:/x", "--group", "232.0.0.1:1"], "--source"),
            ("source = \"10.0.0\"", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("source = \"fd00::1\"", &["--insecure", "--store", "directory:/x"], "family"),
            ("renew_membership = \"0s\"", &["--insecure", "--store", "directory:/x"], "renew_membership"),
            ("renew_membership = \"often\"", &["--insecure", "--store", "directory:/x"], "renew_membership"),
            ("write_rate = \"50MB\"", &["--insecure", "--store", "directory:/x"], "write_rate"),
            ("keep_unfinished = \"a day\"", &["--insecure", "--store", "directory:/x"], "keep_unfinished"),
            ("read_rate = \"50MB\"", &["--insecure", "--store", "directory:/x"], "read_rate"),
            ("min_free = \"5 pints\"", &["--insecure", "--store", "directory:/x"], "min_free"),
            ("senders = 7", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("write_rate = true", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("insecure = \"yes\"", &["--store", "directory:/x"], "line 1"),
            ("listen = \"7167\"", &["--insecure", "--store", "directory:/x"], "listen"),
            ("[relay]\nmode = \"yes\"", &["--insecure", "--store", "directory:/x"], "mode"),
            ("[relay]\nrate_max = \"1MB\"", &["--insecure", "--store", "directory:/x"], "rate_max"),
            ("[relay]\nparents = [\"10.0.0.1/8\"]", &["--insecure", "--store", "directory:/x"], "10.0.0.1/8"),
            ("[relay]\nparent = \"10.0.0.0/8\"", &["--insecure", "--store", "directory:/x"], "line 2"),
            ("[store]\npath = \"/x\"", &["--insecure", "--store", "directory:/x"], "line 1"),
            ("dscp = 64", &["--insecure", "--store", "directory:/x"], "63"),
        ] {
            let error = resolve(file, args).expect_err(says);
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_is_said_of_the_file_steers_no_terminal() {
        for file in ["\"\t\" = 1", "\"a\\u001B[2J\" = 1", "name = \"\"\"\na\"\"\"\nname = 1"] {
            let error = resolve(file, &["--insecure", "--store", "directory:/x"]).expect_err(file);
            assert!(error.contains("line ") && !error.contains(char::is_control), "{error:?}");
        }
    }

    fn resolve(file: &str, args: &[&str]) -> Result<Config, String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("glancecastd.toml");
        std::fs::write(&path, file).expect("writable");
        let config = ["glancecastd", "--config", path.to_str().expect("text")];
        Args::parse_from(config.iter().chain(args)).resolve()
    }
}
