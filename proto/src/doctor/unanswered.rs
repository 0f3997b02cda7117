//! Why a host has not answered, or why its answer does not count.

use super::around::Around;
use super::counters::{Counters, Refusal};
use super::evidence::{Echo, HostEvidence};
use super::fault::{Fault, clock};
use super::finding::{FindingId, Mend};
use crate::query::Standing;

/// Returns what is wrong with a host that has not answered, or whose answer does not count.
pub(super) fn fault(around: &Around<'_>, host: &HostEvidence) -> Fault {
    match host.standing {
        Standing::Twice => Fault::new(
            FindingId::TwoOfOneName,
            "the name was answered for more than once",
            vec![Mend::new(
                "on one of them",
                "set another name (name = in glancecastd.toml), systemctl restart glancecastd",
            )],
        ),
        Standing::KeyChanged => Fault::new(
            FindingId::KeyChanged,
            "another key is known for this name",
            vec![Mend::new("here, if it was made anew", format!("glancecast hosts --forget {}", host.name))],
        ),
        Standing::UnknownKey => Fault::new(
            FindingId::KeyChanged,
            "no key is known for this name",
            vec![Mend::new("here, if it is the host's", "glancecast hosts --enroll")],
        ),
        Standing::OtherVersion => Fault::new(
            FindingId::OtherVersion,
            host.reason.clone().unwrap_or_default(),
            vec![Mend::new("on the older side", "install the version of the other")],
        ),
        Standing::Failed | Standing::Busy => refused(around, host),
        Standing::NeverAnswered => silent(around, host),
        Standing::Partial | Standing::Verifying | Standing::AwaitingKey | Standing::Answered => Fault::new(
            FindingId::PartialAnswer,
            "a part of its answer did not come",
            around.open_reply_port(),
        ),
    }
}

fn refused(around: &Around<'_>, host: &HostEvidence) -> Fault {
    let counters = host.at_start.as_ref();
    match counters.and_then(Counters::refusal) {
        Some(Refusal::Clock) => clock(counters.and_then(Counters::clock_difference_ms)),
        Some(Refusal::UnknownSender) => sender_list(around, "they do not list this sender"),
        Some(Refusal::ExpiredSender) => sender_list(around, "this sender's entry in their list has expired"),
        None => Fault::new(
            FindingId::PartialAnswer,
            host.reason.clone().unwrap_or_else(|| "it has too many queries to answer".to_owned()),
            vec![Mend::new("here", "run it again; a glancecastd without this diagnosis needs an upgrade")],
        ),
    }
}

fn sender_list(around: &Around<'_>, evidence: &str) -> Fault {
    let command = match &around.sender.key {
        Some(key) => format!("senders = [\"{key}\"] in glancecastd.toml, systemctl reload glancecastd"),
        None => "the query was not signed: give --sender-key here".to_owned(),
    };
    Fault::new(FindingId::Key, evidence, vec![Mend::new("on the hosts", command)])
}

/// Returns what is wrong with a host that was not heard.
fn silent(around: &Around<'_>, host: &HostEvidence) -> Fault {
    let port = around.port;
    match (host.echo, host.address) {
        (Echo::OtherKey, _) => Fault::new(
            FindingId::Key,
            "they have another group key: what this sender seals does not open there, nor theirs here",
            vec![Mend::new(
                "on the hosts",
                "copy the group's key from the sender's machine, systemctl reload glancecastd",
            )],
        ),
        (Echo::NobodyListens, _) => Fault::new(
            FindingId::NotRunning,
            format!("the hosts live, and nothing listens at port {port} of their addresses"),
            vec![
                Mend::new("on the hosts", "systemctl status glancecastd"),
                Mend::new(
                    "on the hosts",
                    "if it runs: is it on this interface and group? journalctl -u glancecastd -g listening",
                ),
            ],
        ),
        (Echo::Silent, _) if around.drops_answers() => {
            around.reply_port("the hosts live, and none of them is heard".to_owned())
        }
        (Echo::Silent, _) => Fault::new(
            FindingId::Firewall,
            format!("the hosts live, and what goes to UDP port {port} there stays without any answer"),
            around.open_host_port(),
        ),
        (Echo::None, Some(_)) => {
            let mut mends =
                vec![Mend::new("here", "are the hosts on, and are these their addresses? ping them")];
            mends.extend(beside(around));
            Fault::new(FindingId::Unreached, "nothing comes back from their addresses", mends)
        }
        (Echo::None, None) => {
            let mends = vec![
                Mend::new("on the hosts", "systemctl status glancecastd"),
                Mend::new(
                    "here",
                    "give their addresses (--to NAME=ADDR) to have them examined without the group",
                ),
            ];
            let evidence = "they do not answer the group, and their addresses are not known";
            match around.somebody_answers {
                true => Fault::new(FindingId::Unreached, evidence, mends),
                false => around.nobody(),
            }
        }
    }
}

/// Returns what to try where a host may be beside this machine on one interface, if the mode of this machine's own
/// keeps those apart.
fn beside(around: &Around<'_>) -> Option<Mend> {
    let layer = around.sender.layer.filter(|layer| layer.is_apart())?;
    let command = format!(
        "{interface} is a {layer}, which reaches none beside it on its parent: ip link set {interface} type macvlan mode bridge",
        interface = around.sender.interface
    );
    Some(Mend::new("here, if they are on the same machine", command))
}
