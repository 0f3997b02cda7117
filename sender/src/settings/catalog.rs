//! The settings: their names, what their values look like, and which exclude each other.

use glancecast_proto::limits::{HOSTS_MAX, MTU_MAX, MTU_MIN};

/// A setting. It has the name of its option, with `_` for `-`.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text in quotes.
    Text,
    /// The path of a file or a directory. In a configuration file it is relative to that file's directory.
    Path,
    /// A number between these two.
    Number(u32, u32),
    /// `true` or `false`.
    Switch,
    /// A text, or an array of texts.
    List,
    /// The same; a text may name a file after `@`.
    Hosts,
}

impl Setting {
    /// Returns the setting of this name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns the long option without its hyphens.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// All settings, in the order in which they are printed.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("group", Kind::Text),
    setting("interface", Kind::Text),
    setting("reply_port", Kind::Number(0, 65_535)),
    setting("ttl", Kind::Number(1, 255)),
    setting("dscp", Kind::Number(0, 63)),
    setting("mtu", Kind::Number(MTU_MIN as u32, MTU_MAX as u32)),
    setting("no_offload", Kind::Switch),
    setting("rate", Kind::Text),
    setting("key", Kind::Path),
    setting("insecure", Kind::Switch),
    setting("sender_key", Kind::Path),
    setting("unsigned", Kind::Switch),
    setting("known_hosts", Kind::Path),
    setting("strict_hosts", Kind::Switch),
    setting("hosts", Kind::Hosts),
    setting("hosts_file", Kind::Path),
    setting("aggregate", Kind::List),
    setting("availability_zone", Kind::List),
    setting("expect", Kind::Number(1, HOSTS_MAX as u32)),
    setting("everyone", Kind::Switch),
    setting("to", Kind::Hosts),
    setting("exclude", Kind::Hosts),
    setting("reach", Kind::Text),
    setting("network", Kind::Text),
    setting("relays", Kind::Path),
    setting("no_relays", Kind::Switch),
    setting("no_diagnosis", Kind::Switch),
    setting("os_cloud", Kind::Text),
    setting("os_region_name", Kind::Text),
    setting("latest", Kind::Switch),
    setting("trusted_certs", Kind::Path),
    setting("verify_signatures", Kind::Switch),
    setting("allow_unverified", Kind::Switch),
    setting("stall_timeout", Kind::Text),
    setting("timeout", Kind::Text),
    setting("wait", Kind::Text),
    setting("pin", Kind::Text),
    setting("compress", Kind::Text),
    setting("spool", Kind::Path),
    setting("as_is", Kind::Switch),
    setting("allow", Kind::List),
    setting("allow_unsandboxed", Kind::Switch),
    setting("max_virtual_size", Kind::Text),
    setting("metrics_file", Kind::Path),
];

const fn setting(name: &'static str, kind: Kind) -> Setting {
    Setting { name, kind }
}

/// Whether a command that has the option takes the setting. The timeout is that of a push, which lasts long: `rekey`
/// asks hosts that are off for as long as its own.
pub(crate) fn is_for(name: &str, command: &str) -> bool {
    command != "rekey" || name != "timeout"
}

/// Returns the names that a value excludes in the places below it. It may be the value of an option that is no setting.
pub(super) fn replaced_by(name: &str, value: Option<&str>) -> &'static [&'static str] {
    match name {
        "everyone" | "hosts" | "hosts_file" | "expect" | "aggregate" | "availability_zone" | "to" => {
            WHICH_HOSTS
        }
        "forget" => FORGOTTEN,
        "key" | "insecure" => &["key", "insecure"],
        "sender_key" | "unsigned" => &["sender_key", "unsigned"],
        "relays" | "no_relays" => &["relays", "no_relays"],
        "reach" if value == Some("multicast") => &["network", "relays", "no_relays"],
        "file" => &["latest", "trusted_certs", "verify_signatures"],
        "one_way" => &["expect"],
        "enroll" => &["strict_hosts"],
        _ => &[],
    }
}

/// One of these chooses the hosts; hosts that a place below leaves out belong to the choice there.
const WHICH_HOSTS: &[&str] =
    &["everyone", "hosts", "hosts_file", "expect", "aggregate", "availability_zone", "to", "exclude"];
const FORGOTTEN: &[&str] = &[
    "everyone",
    "hosts",
    "hosts_file",
    "expect",
    "aggregate",
    "availability_zone",
    "to",
    "exclude",
    "strict_hosts",
];
