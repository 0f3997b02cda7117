//! The options of `glancecast rekey`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use glancecast_platform::units::parse_duration;

use super::common::{Network, Output, joined};
use crate::request::{HostList, KnownHostsOptions, OldKey, RekeyRequest, RekeyStep, RequestError};

#[derive(Debug, clap::Args)]
pub(crate) struct RekeyArgs {
    /// File with the group key that is replaced. The new key takes its place once a host has it; the old one is kept in
    /// FILE.rekey until no host needs it
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    key: PathBuf,
    /// Put the new key into this file instead, and leave that of the old one as it is
    #[arg(long, value_name = "FILE", help_heading = "Keys", conflicts_with_all = ["resume", "finish", "again"])]
    out: Option<PathBuf>,
    /// File with the sender key that signs. Hosts take a key from senders that they list alone
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    sender_key: PathBuf,
    /// File with the public keys of known hosts: each of them is given the new key [default: as for `glancecast send`]
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    known_hosts: Option<PathBuf>,
    /// Hosts that are not given the new key, such as one that was stolen, separated by commas; ranges as in
    /// compute-[1-40]
    #[arg(long, value_name = "NAME,...", value_parser = HostList::from_str)]
    without: Vec<HostList>,
    /// Go on with a replacement: give the key to hosts that were off
    #[arg(long, group = "step")]
    resume: bool,
    /// Retire the old key now on every host that has the new one, though others are still awaited
    #[arg(long, group = "step")]
    finish: bool,
    /// Make another new key while the last one is still being given to hosts, as when a second node was stolen
    #[arg(long, group = "step")]
    again: bool,
    /// Let hosts accept the old key until --finish, as for other controllers that still have it [default: it is retired
    /// once every host has the new one]
    #[arg(long, conflicts_with = "finish")]
    keep_old: bool,
    /// How long to ask hosts at a time; those that have begun to answer are waited for longer
    #[arg(long, value_name = "DUR", default_value = "2s", value_parser = parse_duration)]
    wait: Duration,
    /// Ask hosts that did not answer again for this time
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    network: Network,
    /// Differentiated services code point (DSCP) of the datagrams [default: 0, best effort, as they are few]
    #[arg(
        long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Network",
        value_parser = clap::value_parser!(u8).range(0..64)
    )]
    dscp: u8,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl RekeyArgs {
    pub(crate) fn request(self) -> Result<RekeyRequest, RequestError> {
        let step = match (self.resume, self.finish, self.again) {
            (true, _, _) => RekeyStep::Resume,
            (_, true, _) => RekeyStep::Finish,
            (_, _, true) => RekeyStep::BeginAgain,
            (false, false, false) => RekeyStep::Begin,
        };
        Ok(RekeyRequest {
            key: self.key,
            out: self.out,
            sender_key: self.sender_key,
            step,
            without: joined(self.without)?.names(),
            old_key: if self.keep_old { OldKey::Kept } else { OldKey::Retired },
            network: self.network.marked(self.dscp),
            wait: self.wait,
            timeout: self.timeout,
            known_hosts: KnownHostsOptions { file: self.known_hosts, ..KnownHostsOptions::default() },
        })
    }
}
