//! What holds for all hosts of a diagnosis, and the mends that name this machine's own addresses and ports.

use std::net::{IpAddr, SocketAddr};

use super::evidence::{Echo, Evidence, HostEvidence, SenderEvidence, Trial};
use super::fault::Fault;
use super::finding::{FindingId, Mend};
use super::train::Way;
use crate::query::Standing;
use crate::relay::Prefix;

/// What holds for all hosts.
pub(super) struct Around<'a> {
    pub(super) sender: &'a SenderEvidence,
    /// The group's port.
    pub(super) port: u16,
    /// Whether some host has answered.
    pub(super) somebody_answers: bool,
    /// Whether some host has heard the group.
    pub(super) somebody_hears: bool,
    /// Whether every host that hears the group was heard only once it was asked at its own address. One that is late
    /// alone was busy.
    pub(super) all_answers_are_late: bool,
    /// Whether some host that was not asked to join again has heard the group.
    pub(super) somebody_is_remembered: bool,
    /// Whether some host has answered before it was asked at its own address.
    somebody_answers_the_group: bool,
    /// Hosts that live and do not answer.
    silent: usize,
    pub(super) hosts: usize,
}

impl<'a> Around<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        let hosts = &evidence.hosts;
        let hears = |host: &HostEvidence| {
            let of =
                |trial: &Option<Trial>| trial.as_ref().is_some_and(|trial| trial.heard(Way::Group).came > 0);
            of(&host.first) || of(&host.again)
        };
        let is_remembered =
            |host: &HostEvidence| host.first.as_ref().is_some_and(|first| first.heard(Way::Group).came > 0);
        Self {
            sender: &evidence.sender,
            port: evidence.sender.group.map_or(0, |group| group.port()),
            somebody_answers: hosts.iter().any(|host| host.standing != Standing::NeverAnswered),
            somebody_hears: hosts.iter().any(hears),
            all_answers_are_late: !hosts
                .iter()
                .any(|host| host.answered() && host.answered_the_group && hears(host)),
            somebody_is_remembered: hosts.iter().any(is_remembered),
            somebody_answers_the_group: hosts.iter().any(|host| host.answered() && host.answered_the_group),
            silent: hosts.iter().filter(|host| host.echo == Echo::Silent).count(),
            hosts: hosts.len(),
        }
    }

    /// Returns that no host is heard at all.
    pub(super) fn nobody(&self) -> Fault {
        let interface = &self.sender.interface;
        let evidence = format!("nothing was heard on {interface} in answer to the group");
        let mut mends = self.open_reply_port();
        mends
            .push(Mend::new("here", format!("ip route get {}: is {interface} the interface?", self.group())));
        mends.push(Mend::new("on a host", "systemctl status glancecastd"));
        mends.push(Mend::new(
            "here",
            "glancecast doctor --to HOST=ADDR examines hosts that the group does not reach",
        ));
        Fault::new(FindingId::Nobody, evidence, mends)
    }

    /// Whether the sender's own machine is what drops answers: it has such a rule and hears nobody in answer to the
    /// group, or all hosts live and none is heard.
    pub(super) fn drops_answers(&self) -> bool {
        let nobody_is_heard = !self.somebody_answers && self.silent == self.hosts && self.hosts > 1;
        nobody_is_heard || self.sender.drops_answers.is_some() && !self.somebody_answers_the_group
    }

    /// Returns that answers do not reach this machine, with the rule that drops them where it is known.
    pub(super) fn reply_port(&self, evidence: String) -> Fault {
        let evidence = match &self.sender.drops_answers {
            Some(rule) => format!("{evidence}; here {}", rule.evidence),
            None => evidence,
        };
        Fault::new(FindingId::ReplyPort, evidence, self.open_reply_port())
    }

    /// Returns how the port that hosts answer to is opened here.
    pub(super) fn open_reply_port(&self) -> Vec<Mend> {
        let port = self.sender.reply_to.map_or(0, |to| to.port());
        let open = match &self.sender.drops_answers {
            Some(rule) => rule.mend.clone(),
            None => open_port(port),
        };
        vec![
            Mend::new("here", open),
            Mend::new(
                "here",
                "fix the port that hosts answer to with --reply-port, so that one rule is enough",
            ),
        ]
    }

    /// Returns how the group's port is opened on hosts.
    pub(super) fn open_host_port(&self) -> Vec<Mend> {
        vec![
            Mend::new("on the hosts", open_port(self.port)),
            Mend::new("on the hosts", "glancecastd doctor, as root, names the rule"),
        ]
    }

    /// Whether a host is in another network than the sender.
    pub(super) fn is_elsewhere(&self, host: &HostEvidence) -> bool {
        let (Some(own), Some(theirs), Some(prefix)) =
            (self.sender.reply_to, host.address, self.sender.prefix)
        else {
            return false;
        };
        own.is_ipv4() == theirs.is_ipv4() && !Prefix::of(own.ip(), prefix).contains(theirs.ip())
    }

    /// Whether the group is one of IPv6.
    pub(super) fn is_ipv6(&self) -> bool {
        self.sender.group.is_some_and(|group| group.is_ipv6())
    }

    /// Whether the group takes a source: one of 232.0.0.0/8 (RFC 4607).
    pub(super) fn is_source_specific(&self) -> bool {
        matches!(self.sender.group.map(|group| group.ip()), Some(IpAddr::V4(ip)) if ip.octets()[0] == 232)
    }

    fn group(&self) -> String {
        self.sender.group.as_ref().map(SocketAddr::ip).map_or_else(|| "GROUP".to_owned(), |ip| ip.to_string())
    }
}

/// Returns the command that opens a UDP port, for the programs that may manage the rules.
fn open_port(port: u16) -> String {
    format!(
        "nft insert rule inet filter input udp dport {port} accept (firewalld: firewall-cmd --permanent \
         --add-port={port}/udp; ufw: ufw allow {port}/udp)"
    )
}
