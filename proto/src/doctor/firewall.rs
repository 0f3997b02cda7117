//! What the rules of a machine's firewall do to a UDP port and to reports of membership, as `nft list ruleset` prints
//! them.
//!
//! This reads rules as a person does who looks for the port: it does not evaluate them. A rule with other conditions
//! may be named that drops nothing of ours, and a rule that hides behind a set or a jump may be missed.

use std::net::IpAddr;

use super::finding::FindingId;

/// A rule or a policy that drops something of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// The fault: [`FindingId::Firewall`], or [`FindingId::Igmp`] for reports of membership.
    pub id: FindingId,
    /// Which rule.
    pub evidence: String,
    /// The command that has the port or the reports accepted, of the program that manages the rules.
    pub mend: String,
}

/// Returns rules and policies that drop what comes in for the port, to the group if one is given, or reports of
/// membership.
pub fn drop_rules(ruleset: &str, port: u16, group: Option<IpAddr>) -> Vec<DropRule> {
    let (chains, manager) = (chains(ruleset), Manager::of(ruleset));
    let base = chains.iter().filter(|chain| !chain.hook.is_empty());
    let accepts = |table: &str| {
        let of_table = chains.iter().filter(|chain| chain.table == table);
        let mut rules = of_table.flat_map(|chain| &chain.rules);
        rules.any(|rule| verdict(rule) == Some(Verdict::Accept) && is_of_ours(rule, port, group))
    };
    let drops = |chain: &Chain<'_>| chain.drops(port, group, manager, accepts(chain.table));
    base.filter_map(drops).collect()
}

/// The program that manages the rules of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Firewalld,
    Ufw,
    Iptables,
    Nobody,
}

impl Manager {
    fn of(ruleset: &str) -> Self {
        if ruleset.contains("table inet firewalld") {
            Self::Firewalld
        } else if ruleset.contains("chain ufw-") {
            Self::Ufw
        } else if ruleset.contains("managed by iptables-nft") {
            Self::Iptables
        } else {
            Self::Nobody
        }
    }

    /// Returns the command that has a port accepted.
    fn open(self, port: u16, chain: &Chain<'_>) -> String {
        match self {
            Self::Firewalld => {
                format!("firewall-cmd --permanent --add-port={port}/udp; firewall-cmd --reload")
            }
            Self::Ufw => format!("ufw allow {port}/udp"),
            Self::Iptables => format!("iptables -I {} -p udp --dport {port} -j ACCEPT", chain.name),
            Self::Nobody => format!("nft insert rule {} {} udp dport {port} accept", chain.table, chain.name),
        }
    }
}

/// A chain of rules.
#[derive(Debug, Default)]
struct Chain<'a> {
    /// Family and table.
    table: &'a str,
    name: &'a str,
    /// Where packets enter it; empty if only other chains lead here.
    hook: &'a str,
    drops_the_rest: bool,
    rules: Vec<&'a str>,
}

/// Returns the chains of a listing.
fn chains(listing: &str) -> Vec<Chain<'_>> {
    let (mut chains, mut table) = (Vec::<Chain<'_>>::new(), "");
    for line in listing.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("table ") {
            table = rest.trim_end_matches(" {");
        } else if let Some(rest) = line.strip_prefix("chain ") {
            chains.push(Chain { table, name: rest.trim_end_matches(" {"), ..Chain::default() });
        } else if let (true, Some(chain)) = (line.starts_with("type "), chains.last_mut()) {
            chain.hook = line.split("hook ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("");
            chain.drops_the_rest = line.contains("policy drop");
        } else if let (false, Some(chain)) = (line.is_empty() || line == "}", chains.last_mut()) {
            chain.rules.push(line);
        }
    }
    chains
}

impl Chain<'_> {
    /// Returns what this chain drops. `is_accepted` says whether a rule of the table accepts the port, to which this
    /// chain may lead.
    fn drops(
        &self,
        port: u16,
        group: Option<IpAddr>,
        manager: Manager,
        is_accepted: bool,
    ) -> Option<DropRule> {
        let comes_in = matches!(self.hook, "input" | "prerouting" | "ingress");
        if !comes_in && self.hook != "output" {
            return None;
        }
        let concerns = |rule: &str| if comes_in { is_of_ours(rule, port, group) } else { is_of_igmp(rule) };
        let first = self.rules.iter().find(|rule| concerns(rule) && verdict(rule).is_some());
        let Self { name, table, hook, .. } = self;
        let evidence = match first.map(|rule| (rule, verdict(rule))) {
            Some((rule, Some(Verdict::Drop))) => {
                format!("chain {name} of table {table} ({hook}) has the rule: {rule}")
            }
            None if self.is_closed() && *hook != "ingress" && !(comes_in && is_accepted) => {
                let what = if comes_in { format!("UDP port {port}") } else { "IGMP".to_owned() };
                format!(
                    "chain {name} of table {table} ({hook}) drops what no rule accepts, and no rule names {what}"
                )
            }
            _ => return None,
        };
        let (id, mend) = match comes_in {
            true => (FindingId::Firewall, manager.open(port, self)),
            false => (FindingId::Igmp, format!("nft insert rule {table} {name} ip protocol igmp accept")),
        };
        Some(DropRule { id, evidence, mend })
    }

    /// Whether it drops what none of its rules accepts: by its policy, or by a last rule without a condition.
    fn is_closed(&self) -> bool {
        let is_for_all = |rule: &&str| rule.starts_with("drop") || rule.starts_with("reject");
        self.drops_the_rest || self.rules.last().is_some_and(is_for_all)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
}

fn verdict(rule: &str) -> Option<Verdict> {
    rule.split_whitespace().find_map(|word| match word {
        "accept" => Some(Verdict::Accept),
        "drop" | "reject" => Some(Verdict::Drop),
        _ => None,
    })
}

/// Whether a rule is about UDP to the port, or about the group's addresses.
fn is_of_ours(rule: &str, port: u16, group: Option<IpAddr>) -> bool {
    let names_port = rule.split_once("dport").is_some_and(|(before, after)| {
        let other_protocol = before.trim_end().ends_with("tcp");
        let ports = after.split(['}']).next().unwrap_or("");
        !other_protocol && ports.split([' ', ',', '{']).any(|word| has_port(word, port))
    });
    let names_group = group.is_some_and(|group| {
        ["224.0.0.0/4", "ff00::/8", &group.to_string()].iter().any(|text| rule.contains(*text))
    });
    let is_any_udp = rule.starts_with("meta l4proto udp ") || rule.starts_with("ip protocol udp ");
    names_port || names_group && !rule.contains("dport") || is_any_udp && !rule.contains("port")
}

/// Whether a port or a range of ports has this port.
fn has_port(word: &str, port: u16) -> bool {
    match word.split_once('-') {
        Some((first, last)) => match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&port),
            _ => false,
        },
        None => word.parse() == Ok(port),
    }
}

fn is_of_igmp(rule: &str) -> bool {
    rule.contains("igmp") || rule.contains("mld2-listener-report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_drops_the_port_the_group_or_reports_is_named_with_the_rule_that_mends_it() {
        for (hook, rule, id, mend) in [
            ("input", "udp dport 7167 drop", "M04", "nft insert rule inet wall in udp dport 7167 accept"),
            (
                "input",
                "udp dport { 53, 7000-7200 } counter packets 0 bytes 0 reject",
                "M04",
                "udp dport 7167",
            ),
            ("prerouting", "ip daddr 224.0.0.0/4 drop", "M04", "udp dport 7167 accept"),
            ("ingress device \"eth0\"", "ip daddr 239.255.71.67 drop", "M04", "udp dport 7167 accept"),
            ("input", "meta l4proto udp drop", "M04", "udp dport 7167 accept"),
            ("output", "ip protocol igmp drop", "M05", "ip protocol igmp accept"),
        ] {
            let found = of(hook, "accept", rule);
            assert_eq!(found.len(), 1, "{rule}: {found:?}");
            assert_eq!(found[0].id.name(), id);
            assert!(found[0].mend.contains(mend) && found[0].evidence.contains(rule), "{found:?}");
        }
    }

    #[test]
    fn what_concerns_others_or_comes_after_the_rule_that_accepts_is_no_fault() {
        for (policy, rules) in [
            ("accept", "tcp dport 7167 drop"),
            ("accept", "udp dport 7168 drop"),
            ("accept", "udp dport 7167 accept\nudp dport 7167 drop"),
            ("drop", "ct state established accept\nudp dport { 7167 } accept"),
            ("accept", "udp sport 53 drop"),
        ] {
            assert_eq!(of("input", policy, rules), [], "{rules}");
        }
        assert_eq!(of("forward", "drop", ""), []);
        let to_groups = "table inet wall {\nchain in {\ntype filter hook input priority 0;\nip daddr 224.0.0.0/4 drop\n}\n}";
        assert_eq!(
            (drop_rules(to_groups, 40_000, None).len(), drop_rules(to_groups, 40_000, GROUP).len()),
            (0, 1)
        );
    }

    #[test]
    fn a_policy_that_drops_the_rest_needs_a_rule_that_names_the_port() {
        let found = of("input", "drop", "ct state established accept\ntcp dport 22 accept");
        assert_eq!(found.len(), 1);
        assert!(found[0].evidence.contains("no rule names UDP port 7167"), "{found:?}");
    }

    #[test]
    fn the_command_is_that_of_the_program_that_manages_the_rules() {
        let closed = "chain INPUT {\n type filter hook input priority 0; policy drop;\n }\n";
        for (listing, mend) in [
            (format!("table ip filter {{\n{closed}}}"), "nft insert rule ip filter INPUT udp dport 7167 accept"),
            (
                format!("# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {{\n{closed}}}"),
                "iptables -I INPUT -p udp --dport 7167 -j ACCEPT",
            ),
            (format!("table ip filter {{\nchain ufw-user-input {{\n}}\n{closed}}}"), "ufw allow 7167/udp"),
            (
                "table inet firewalld {\nchain filter_INPUT {\ntype filter hook input priority filter + 10; policy accept;\n\
                 ct state { established, related } accept\njump filter_INPUT_ZONES\nreject with icmpx admin-prohibited\n}\n}"
                    .to_owned(),
                "firewall-cmd --permanent --add-port=7167/udp",
            ),
        ] {
            let found = drop_rules(&listing, 7167, GROUP);
            assert_eq!(found.len(), 1, "{listing}");
            assert!(found[0].mend.contains(mend), "{found:?}");
        }
    }

    #[test]
    fn a_port_that_a_chain_of_the_same_table_accepts_is_open() {
        let listing = "table inet firewalld {\nchain filter_INPUT {\ntype filter hook input priority 0; policy accept;\n\
                       jump zones\nreject with icmpx admin-prohibited\n}\nchain zones {\nudp dport 7167 accept\n}\n}";
        assert_eq!(drop_rules(listing, 7167, GROUP), []);
        assert_eq!(drop_rules(listing, 7168, GROUP).len(), 1);
    }

    fn of(hook: &str, policy: &str, rules: &str) -> Vec<DropRule> {
        let listing = format!(
            "table inet wall {{\n\tchain in {{\n\t\ttype filter hook {hook} priority filter; policy {policy};\n\t\t{rules}\n\t}}\n}}\n"
        );
        drop_rules(&listing, 7167, GROUP)
    }

    const GROUP: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(239, 255, 71, 67)));
}
