//! What the rules of nftables do to the group's port and to reports of membership, as `nft list ruleset` prints them.
//!
//! This reads rules as a person does who looks for the port: it does not evaluate them. A rule with other conditions
//! may be named that drops nothing of ours, and a rule that hides behind a set or a jump may be missed.

use std::net::IpAddr;

use glancecast_proto::doctor::FindingId;

use super::Fault;

/// Returns rules and policies that drop what comes in for the port, or reports of membership.
pub(super) fn drops(rules: &str, port: u16, group: IpAddr) -> Vec<Fault> {
    chains(rules).iter().flat_map(|chain| chain.faults(port, group)).collect()
}

/// A base chain.
#[derive(Debug, Default)]
struct Chain<'a> {
    /// Family and table.
    table: &'a str,
    name: &'a str,
    hook: &'a str,
    drops_the_rest: bool,
    rules: Vec<&'a str>,
}

/// Returns the base chains of a listing.
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
    chains.retain(|chain| !chain.hook.is_empty());
    chains
}

impl Chain<'_> {
    fn faults(&self, port: u16, group: IpAddr) -> Vec<Fault> {
        let comes_in = matches!(self.hook, "input" | "prerouting" | "ingress");
        let concerns = |rule: &str| if comes_in { is_of_ours(rule, port, group) } else { is_of_igmp(rule) };
        if !comes_in && self.hook != "output" {
            return Vec::new();
        }
        let first = self.rules.iter().find(|rule| concerns(rule) && verdict(rule).is_some());
        match first.map(|rule| (rule, verdict(rule))) {
            Some((rule, Some(Verdict::Drop))) => {
                let evidence = format!(
                    "chain {} of table {} ({}) has the rule: {rule}",
                    self.name, self.table, self.hook
                );
                let id = if comes_in { FindingId::Firewall } else { FindingId::Igmp };
                vec![Fault::new(id, evidence, self.accept(port, comes_in))]
            }
            None if self.drops_the_rest && self.hook != "ingress" => {
                let what = if comes_in { format!("UDP port {port}") } else { "IGMP".to_owned() };
                let evidence = format!(
                    "chain {} of table {} ({}) drops what no rule accepts, and no rule names {what}",
                    self.name, self.table, self.hook
                );
                let id = if comes_in { FindingId::Firewall } else { FindingId::Igmp };
                vec![Fault::new(id, evidence, self.accept(port, comes_in))]
            }
            _ => Vec::new(),
        }
    }

    fn accept(&self, port: u16, comes_in: bool) -> String {
        let what = if comes_in { format!("udp dport {port}") } else { "ip protocol igmp".to_owned() };
        format!("nft insert rule {} {} {what} accept", self.table, self.name)
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
fn is_of_ours(rule: &str, port: u16, group: IpAddr) -> bool {
    let names_port = rule.split_once("dport").is_some_and(|(before, after)| {
        let other_protocol = before.trim_end().ends_with("tcp");
        let ports = after.split(['}']).next().unwrap_or("");
        !other_protocol && ports.split([' ', ',', '{']).any(|word| has_port(word, port))
    });
    let names_group = ["224.0.0.0/4", "ff00::/8", &group.to_string()].iter().any(|text| rule.contains(*text));
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
            assert_eq!(found[0].id, id);
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
    }

    #[test]
    fn a_policy_that_drops_the_rest_needs_a_rule_that_names_the_port() {
        let found = of("input", "drop", "ct state established accept\ntcp dport 22 accept");
        assert_eq!(found.len(), 1);
        assert!(found[0].evidence.contains("no rule names UDP port 7167"), "{found:?}");
    }

    fn of(hook: &str, policy: &str, rules: &str) -> Vec<Fault> {
        let listing = format!(
            "table inet wall {{\n\tchain in {{\n\t\ttype filter hook {hook} priority filter; policy {policy};\n\t\t{rules}\n\t}}\n}}\n"
        );
        drops(&listing, 7167, IpAddr::from([239, 255, 71, 67]))
    }
}
