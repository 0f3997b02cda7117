//! The command line and the configuration file. Both have the same settings; the command line wins.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use glancecast_platform::multicast::{Group, Membership};
use glancecast_platform::transport::{Listen, Offload};
use glancecast_platform::units::{Rate, UnitError, parse_duration};
use glancecast_proto::ids::HostName;
use serde::{Deserialize, Deserializer};

use crate::rate_limit::ReadRate;
use crate::relay_settings::{RelaySettings, Relaying};
use crate::state;
use crate::store::{KeepUnfinished, MinFree, StoreOptions, StoreSpec};
use crate::toml_error;

/// Receives operating-system images that a glancecast sender multicasts, proves them and publishes them.
#[derive(Debug, Default, Parser)]
#[command(name = "glancecastd", version)]
pub struct Args {
    /// Read settings from this TOML file; what is given here wins
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Leave after one object: exit 0 when it is published, 1 when it could not be
    #[arg(long)]
    pub once: bool,
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
    /// Run this program after each image that is published here: its full path, and each argument with a further
    /// --on-published. No shell; it learns of the image by GLANCECAST_NAME, _PATH, _ROOT, _BYTES, _IMAGE_ID; 30 s each
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    #[serde(default)]
    on_published: Vec<String>,
    #[command(flatten)]
    #[serde(default)]
    relay: RelaySettings,
}

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
    /// One line that names the missing or wrong setting.
    pub fn resolve(&self) -> Result<Config, String> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => Settings::default(),
        };
        self.join(file)
    }

    fn join(&self, file: Settings) -> Result<Config, String> {
        let given = self.settings.clone();
        let insecure = given.insecure.or(file.insecure).unwrap_or(false);
        let keys = if given.key.is_empty() { file.key } else { given.key };
        match (keys.is_empty(), insecure) {
            (false, false) | (true, true) => {}
            (true, false) => return Err(NO_KEY.into()),
            (false, true) => return Err("--key and --insecure exclude each other".into()),
        }
        let name = match given.name.or(file.name) {
            Some(name) => name,
            None => nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .ok_or("this machine has no host name: give --name HOST")?,
        };
        let group = given.group.or(file.group).unwrap_or_else(|| Group::DEFAULT.into());
        let group: Group = group.parse().map_err(|error| format!("group: {error}"))?;
        let membership =
            Membership::new(group, given.source.or(file.source)).map_err(|error| error.to_string())?;
        let dscp = given.dscp.or(file.dscp).unwrap_or(ANSWER_DSCP);
        if dscp >= 64 {
            return Err(format!("dscp {dscp}: a code point is between 0 and 63"));
        }
        let write_rate = given.write_rate.or(file.write_rate).map(|rate| rate.parse()).transpose();
        let read_rate =
            given.read_rate.or(file.read_rate).map_or(Ok(ReadRate::default()), |text| read_at(&text));
        let min_free = given.min_free.or(file.min_free).map_or(Ok(MinFree::DEFAULT), |text| text.parse());
        let renewal = given.renew_membership.or(file.renew_membership);
        let renewal = renewal.map_or(Ok(Some(RENEWAL)), |text| renewed_every(&text));
        let senders = if given.senders.is_empty() { file.senders } else { given.senders };
        let keep = given.keep_unfinished.or(file.keep_unfinished);
        let keep = keep.map_or(Ok(KeepUnfinished::DEFAULT), |text| kept_for(&text));
        let on_published = if given.on_published.is_empty() { file.on_published } else { given.on_published };
        if on_published.first().is_some_and(|program| !program.starts_with('/')) {
            return Err(format!("on_published {:?}: give the program with its full path", on_published[0]));
        }
        let nova_conf = if given.nova_conf.is_empty() { file.nova_conf } else { given.nova_conf };
        let senders = Senders::new(senders, insecure)?;
        let listen = given.listen.or(file.listen).map_or(Ok(Listen::default()), |text| listens(&text))?;
        let relaying = given.relay.join(file.relay).resolve(&senders, listen)?;
        let state = state::directory(given.state.or(file.state), std::env::var_os(state::VARIABLE));
        let (store, owner) = (given.store.or(file.store), given.owner.or(file.owner));
        let store = StoreSpec::new(store.as_deref(), &nova_conf, owner.as_deref())
            .map_err(|error| error.to_string())?;
        Ok(Config {
            name: HostName::new(&name).map_err(|error| format!("name {name:?}: {error}"))?,
            membership,
            interface: given.interface.or(file.interface),
            dscp,
            offload: if given.offload.or(file.offload).unwrap_or(true) {
                Offload::Used
            } else {
                Offload::Avoided
            },
            renew_membership: renewal.map_err(|error| format!("renew_membership: {error}"))?,
            keys,
            listen,
            relaying,
            senders,
            state: state.map_err(|error| error.to_string())?,
            store,
            write_rate: write_rate.map_err(|error| format!("write_rate: {error}"))?,
            read_rate: read_rate.map_err(|error| format!("read_rate: {error}"))?,
            on_published,
            store_options: StoreOptions {
                keep_unfinished: keep.map_err(|error| format!("keep_unfinished: {error}"))?,
                min_free: min_free.map_err(|error| format!("min_free: {error}"))?,
            },
        })
    }
}

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
    // The parser's own message spans several lines; its first line and the reason are enough.
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        format!("configuration {} line {line}: {}", path.display(), toml_error::one_line(&error))
    })
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
    match settings.and_then(|settings| Args::default().join(settings)) {
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
        Err(error) => assert!(!error.is_empty() && !error.contains(char::is_control), "{error:?}"),
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
