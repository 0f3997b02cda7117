//! Whether and how a host forwards pushes to others, as its configuration and command line say.

use glancecast_platform::transport::Listen;
use glancecast_platform::units::Rate;
use glancecast_proto::relay::Prefix;
use serde::Deserialize;

use crate::config::Senders;

/// The table `[relay]`, or the flags that begin with `--relay`.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelaySettings {
    /// Whether this host forwards pushes to others when a sender asks it to: `on` or `off` [default: on where senders are
    /// listed]
    #[arg(id = "relay_mode", long = "relay", value_name = "on|off")]
    mode: Option<String>,
    /// Forward no faster than this, all copies together [default: no cap]
    #[arg(id = "relay_rate_max", long = "relay-rate-max", value_name = "RATE")]
    rate_max: Option<String>,
    /// Forward only what comes from this network; may be given several times [default: from any]
    #[arg(id = "relay_parents", long = "relay-parent", value_name = "CIDR")]
    #[serde(default)]
    parents: Vec<String>,
    /// The interface whose network gets what is forwarded to the group: name or address [default: that of --interface]
    #[arg(id = "relay_interface", long = "relay-interface", value_name = "IF")]
    interface: Option<String>,
}

/// Whether and how a host forwards pushes to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relaying {
    /// Whether it does at all.
    pub allowed: bool,
    /// Cap on all copies together.
    pub rate_max: Option<Rate>,
    /// The networks from which it forwards; none for any.
    pub parents: Vec<Prefix>,
    /// The interface for what goes to the group, if another one was chosen.
    pub interface: Option<String>,
}

impl RelaySettings {
    /// Joins what the command line says with what the file says.
    pub(crate) fn join(self, file: Self) -> Self {
        Self {
            mode: self.mode.or(file.mode),
            rate_max: self.rate_max.or(file.rate_max),
            parents: if self.parents.is_empty() { file.parents } else { self.parents },
            interface: self.interface.or(file.interface),
        }
    }

    /// Validates the settings. Without another word a host forwards for senders that it lists alone: whoever has the
    /// group's key could make it send otherwise.
    ///
    /// # Errors
    /// One line that names the setting.
    pub(crate) fn resolve(self, senders: &Senders, listen: Listen) -> Result<Relaying, String> {
        let by_default = *senders != Senders::Any && listen == Listen::GroupPort;
        let allowed = match self.mode.as_deref() {
            None => by_default,
            Some("on") => true,
            Some("off") => false,
            Some(other) => return Err(format!("[relay] mode: {other:?} is neither \"on\" nor \"off\"")),
        };
        if allowed && listen == Listen::AnyPort {
            return Err(
                "[relay] mode = \"on\" needs listen = \"auto\": what a relay forwards comes by unicast"
                    .into(),
            );
        }
        let rate_max = self.rate_max.map(|rate| rate.parse()).transpose();
        let parents = self.parents.iter().map(|parent| parent.parse()).collect::<Result<_, _>>();
        Ok(Relaying {
            allowed,
            rate_max: rate_max.map_err(|error| format!("[relay] rate_max: {error}"))?,
            parents: parents.map_err(|error| format!("[relay] parents: {error}"))?,
            interface: self.interface,
        })
    }
}
