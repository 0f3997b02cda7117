//! `glancecastd doctor`: what is wrong with this node's side of the path, as far as the node itself can tell, and the
//! command that mends it. As root it reads the firewall's rules, too. It sends nothing and changes nothing.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use glancecast_platform::cli;
use glancecast_platform::firewall::{self, NoRules};
use glancecast_platform::interface::Interface;
use glancecast_platform::links::LinkState;
use glancecast_platform::multicast::Group;
use glancecast_platform::reverse_path::StrictSources;
use glancecast_proto::doctor::{DropRule, FindingId, drop_rules};
use glancecast_proto::wire::printable;
use serde::{Deserialize, Serialize};

use crate::diagnosis::kernel;

/// Examines this node's side of the path from a sender: interface, rp_filter, buffers, membership, and as root the firewall.
#[derive(Debug, Parser)]
#[command(name = "glancecastd doctor", after_help = EXIT_CODES)]
pub struct Args {
    /// Read group, interface and source from this TOML file [default: /etc/glancecast/glancecastd.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The multicast group [default: 239.255.71.67:7167]
    #[arg(long, value_name = "ADDR:PORT")]
    group: Option<Group>,
    /// The interface: name or address [default: where the routing table sends the group]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// The sender's address, to see whether rp_filter drops it
    #[arg(long, value_name = "ADDR")]
    source: Option<IpAddr>,
    /// Print one JSON object on standard output instead of text
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is wrong
  2  a mistake in the command line or the configuration
  3  something is wrong: the text says what, and how it is mended (docs/doctor.md)";

/// A fault of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fault {
    id: &'static str,
    evidence: String,
    mend: String,
}

impl Fault {
    fn new(id: FindingId, evidence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { id: id.name(), evidence: evidence.into(), mend: mend.into() }
    }
}

/// The settings of the file that matter here.
#[derive(Debug, Default, Deserialize)]
struct File {
    group: Option<String>,
    interface: Option<String>,
    source: Option<IpAddr>,
}

/// Where this node listens.
struct Place {
    group: Group,
    interface: Option<String>,
    source: Option<IpAddr>,
}

/// Runs `glancecastd doctor` if the command line asks for it.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    if words.next()? != "doctor" {
        return None;
    }
    let args = match cli::parse_from::<Args>("glancecastd doctor", std::iter::once(program).chain(words)) {
        Ok(args) => args,
        Err(code) => return Some(code),
    };
    let json = args.json;
    let result = args.place();
    let code = match result {
        Ok(place) => report(&faults(&place), json),
        Err(error) => {
            cli::tell(&format!("glancecastd doctor: {error}"));
            cli::EXIT_USAGE
        }
    };
    Some(ExitCode::from(code))
}

impl Args {
    fn place(self) -> Result<Place, String> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None if Path::new(CONFIG).exists() => read(Path::new(CONFIG))?,
            None => File::default(),
        };
        let group = match (self.group, file.group) {
            (Some(group), _) => group,
            (None, Some(text)) => text.parse().map_err(|error| format!("group: {error}"))?,
            (None, None) => Group::DEFAULT.parse().expect("the default is a group"),
        };
        Ok(Place { group, interface: self.interface.or(file.interface), source: self.source.or(file.source) })
    }
}

fn read(path: &Path) -> Result<File, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {}", path.display(), error.message()))
}

fn report(faults: &[Fault], json: bool) -> u8 {
    let code = if faults.is_empty() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE };
    let text = if json {
        let object = serde_json::json!({
            "glancecast": env!("CARGO_PKG_VERSION"), "exit_code": code, "findings": faults,
        });
        format!("{object}\n")
    } else {
        let paragraph = |fault: &Fault| {
            let (evidence, mend) = (printable(&fault.evidence), printable(&fault.mend));
            format!("{:<5}{evidence}\n     {mend}\n", fault.id)
        };
        let last = if faults.is_empty() { "nothing is wrong on this node\n" } else { "" };
        faults.iter().map(paragraph).collect::<String>() + last
    };
    match cli::print(&text) {
        Ok(()) => code,
        Err(error) => {
            cli::tell(&format!("the result cannot be written to standard output: {error}"));
            cli::EXIT_FAILED
        }
    }
}

/// Returns what is wrong, the worst first.
fn faults(place: &Place) -> Vec<Fault> {
    let interface = match Interface::choose(place.interface.as_deref(), place.group) {
        Ok(interface) => interface,
        Err(error) => {
            let mend = "interface = in glancecastd.toml, or wait: glancecastd joins when it is there";
            return vec![Fault::new(FindingId::WrongInterface, error.to_string(), mend)];
        }
    };
    let found = [
        of_link(&interface),
        of_membership(place, &interface),
        StrictSources::of(&interface, place.source)
            .map(|strict| Fault::new(FindingId::ReversePath, strict.to_string(), "as it says")),
        of_snooping(&interface),
        of_ring(&interface),
        of_buffer(place),
    ];
    let mut faults: Vec<Fault> = found.into_iter().flatten().collect();
    faults.extend(of_firewall(place));
    faults.sort_by_key(|fault| FindingId::ALL.iter().position(|id| id.name() == fault.id));
    faults
}

fn of_link(interface: &Interface) -> Option<Fault> {
    let name = &interface.name;
    let standing = interface.standing().ok()?;
    if let Some(port_of) = standing.port_of {
        let evidence = format!("interface {name} is {port_of}");
        return Some(Fault::new(FindingId::WrongInterface, evidence, "interface = in glancecastd.toml"));
    }
    match standing.state {
        LinkState::Up => None,
        LinkState::NoCarrier => Some(Fault::new(
            FindingId::WrongInterface,
            format!("interface {name} has no carrier"),
            "look at its cable, its switch or its other end",
        )),
        LinkState::Down => Some(Fault::new(
            FindingId::WrongInterface,
            format!("interface {name} is switched off"),
            format!("ip link set {name} up"),
        )),
    }
}

/// Whether the kernel has the group on the interface, as it has while glancecastd runs.
fn of_membership(place: &Place, interface: &Interface) -> Option<Fault> {
    let is_joined = match place.group.addr().ip() {
        IpAddr::V4(ip) => kernel::memberships(interface.index)?.groups.contains(&ip),
        IpAddr::V6(ip) => kernel::memberships_v6(interface.index)?.contains(&ip),
    };
    (!is_joined).then(|| {
        let evidence = format!("nobody has joined {} on {}", place.group, interface.name);
        let mend = "systemctl status glancecastd: does it run, with this group and interface?";
        Fault::new(FindingId::NotRunning, evidence, mend)
    })
}

/// Whether the interface is a bridge that forgets members, as nothing asks for them.
fn of_snooping(interface: &Interface) -> Option<Fault> {
    let name = &interface.name;
    let setting = |setting: &str| fs::read_to_string(format!("/sys/class/net/{name}/bridge/{setting}")).ok();
    let (snooping, querier) = (setting("multicast_snooping")?, setting("multicast_querier")?);
    (snooping.trim() == "1" && querier.trim() == "0").then(|| {
        let evidence = format!(
            "bridge {name} snoops and asks for no members: it forgets them unless a querier is elsewhere"
        );
        Fault::new(FindingId::NoQuerier, evidence, format!("ip link set {name} type bridge mcast_querier 1"))
    })
}

fn of_ring(interface: &Interface) -> Option<Fault> {
    let missed = kernel::statistic(&interface.name, "rx_missed_errors")?;
    (missed > 0).then(|| {
        let evidence =
            format!("the ring of {} had no room for {missed} packets since it was made", interface.name);
        Fault::new(FindingId::Ring, evidence, format!("ethtool -G {} rx 4096", interface.name))
    })
}

/// Whether the sockets of the group's port have dropped anything for want of room.
fn of_buffer(place: &Place) -> Option<Fault> {
    let family = if place.group.addr().is_ipv4() { "udp" } else { "udp6" };
    let table = fs::read_to_string(format!("/proc/self/net/{family}")).ok()?;
    let dropped = socket_drops(&table, place.group.addr().port());
    (dropped > 0).then(|| {
        let evidence = format!(
            "the sockets at port {} had no room for {dropped} datagrams since they were opened",
            place.group.addr().port()
        );
        Fault::new(FindingId::Buffer, evidence, format!("sysctl -w net.core.rmem_max={}", BUFFER_BYTES / 2))
    })
}

/// Returns the drops of all sockets with this port, from a table of the kernel: the last column of each line.
fn socket_drops(table: &str, port: u16) -> u64 {
    let of_port = |line: &str| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?.rsplit_once(':')?.1;
        let is_it = u16::from_str_radix(local, 16) == Ok(port);
        words.next_back().filter(|_| is_it)?.parse::<u64>().ok()
    };
    table.lines().skip(1).filter_map(of_port).sum()
}

/// Returns what the rules of nftables drop; nothing where they cannot be read, which takes root.
fn of_firewall(place: &Place) -> Vec<Fault> {
    match firewall::rules() {
        Ok(rules) => {
            let drops = drop_rules(&rules, place.group.addr().port(), Some(place.group.addr().ip()));
            drops.into_iter().map(|DropRule { id, evidence, mend }| Fault::new(id, evidence, mend)).collect()
        }
        Err(NoRules::NoProgram) => Vec::new(),
        Err(refused @ NoRules::Refused) => {
            cli::tell(&format!("the rules of the firewall were not looked at: {refused}"));
            Vec::new()
        }
    }
}

/// The file that the unit names.
const CONFIG: &str = "/etc/glancecast/glancecastd.toml";

/// The receive buffer that glancecastd asks for.
const BUFFER_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_sockets_with_the_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1: 4347FFEF:1BFF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11 2 0 12\n\
             2: 0100000A:1BFF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0 3\n\
             3: 0100000A:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13 2 0 99\n";
        assert_eq!((socket_drops(table, 7167), socket_drops(table, 7168)), (15, 0));
    }
}
