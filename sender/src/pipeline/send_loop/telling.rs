//! What the log is told while a push runs: the machine's events in words, each with what to do next. It names a bounded
//! number of hosts for each reason: the table has all of them.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::sender::{Relaying, SenderEvent};

/// What was told of a push.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Hosts that gave up.
    failed: u32,
    /// Hosts of other versions.
    other_versions: u32,
}

impl Telling {
    /// Logs an event of a push whose hosts answer to `reply_to`.
    pub(super) fn tell(&mut self, event: SenderEvent, reply_to: SocketAddr) {
        match event {
            SenderEvent::Joined(name) => tracing::debug!(host = %name, "joined"),
            SenderEvent::Done(name) => tracing::debug!(host = %name, "done"),
            SenderEvent::Failed(name, reason) => {
                warn_of(&mut self.failed, &name, &format!("gave up: {reason}"));
            }
            SenderEvent::Unheard { hosts, heard: 0, given_up_in: None } => {
                tracing::warn!("{}", nobody_heard(&hosts, reply_to));
            }
            SenderEvent::Unheard { hosts, given_up_in: None, .. } => tracing::warn!("{}", unheard(&hosts)),
            SenderEvent::Unheard { hosts, given_up_in: Some(left), .. } => {
                tracing::warn!("{}", waited_for(&hosts, left));
            }
            SenderEvent::Deaf(name) => tracing::warn!(
                host = %name,
                "hears announcements and no data: is the MTU of the path smaller? try --mtu 1500"
            ),
            SenderEvent::Silent(name) => tracing::info!(host = %name, "is silent"),
            SenderEvent::Sidelined(name, sideline) => {
                tracing::warn!(host = %name, "is served after the others: {sideline}");
            }
            SenderEvent::OtherVersion(name, what) => warn_of(&mut self.other_versions, &name, &what),
            SenderEvent::OtherKey(ip) => tracing::warn!(
                "a host at {ip} has another group key: compare group_key= in its journal, or in its \
                 glancecastd status, with glancecast keygen --fingerprint FILE here"
            ),
            SenderEvent::FirstUse(name, key) => {
                tracing::debug!(host = %name, %key, "is heard for the first time");
            }
            SenderEvent::KeyChanged(name, key) => {
                tracing::warn!(host = %name, %key, "has another key than the one that is known for it");
            }
            SenderEvent::UnknownKey(name, key) => {
                tracing::warn!(host = %name, %key, "has a key that is not known");
            }
            SenderEvent::Relaying(Relaying { relay, segment, children }) => {
                tracing::info!(host = %relay, segment, children, "relays");
            }
            SenderEvent::RelayLost { served, fault, next } => {
                let next = next.map_or_else(|| "no other host".to_owned(), |next| next.to_string());
                tracing::warn!(
                    host = %served.relay, segment = served.segment,
                    "relays no more: {fault}; {next} relays in its place"
                );
            }
        }
    }
}

/// Warns of a host, up to a number of hosts: more of them have one cause, and are in the table.
fn warn_of(count: &mut u32, host: &HostName, what: &str) {
    *count += 1;
    match *count {
        ..WARNED_MAX => tracing::warn!(%host, "{what}"),
        WARNED_MAX => tracing::warn!(%host, "{what}; further hosts like it are in the table at the end"),
        _ => tracing::info!(%host, "{what}"),
    }
}

/// Names hosts that were not heard, with what to look at, in order.
fn unheard(hosts: &[HostName]) -> String {
    format!(
        "not heard yet: {}. On it, in this order: systemctl status glancecastd; journalctl -u glancecastd \
         names a wrong key or clock, an interface that is not there, a route that is missing; its group \
         and interface. If no host is heard: this machine's firewall and --interface",
        named(hosts)
    )
}

/// Says that no host was heard at all: then this machine is the first to look at.
fn nobody_heard(hosts: &[HostName], reply_to: SocketAddr) -> String {
    let who = match hosts {
        [] => "no host is heard yet".to_owned(),
        hosts => format!("not heard yet: {}, nor any other host", named(hosts)),
    };
    format!(
        "{who}. Answers come to UDP {reply_to} here. In this order: this machine's firewall (--reply-port \
         fixes the port); --interface; the network's IGMP querier; on a host: systemctl status \
         glancecastd; journalctl -u glancecastd names a wrong key or clock, a missing route; its group and \
         interface. glancecast doctor finds out which it is"
    )
}

fn waited_for(hosts: &[HostName], left: Duration) -> String {
    let names = if hosts.is_empty() { "a first host".to_owned() } else { named(hosts) };
    format!(
        "waiting for {names}, never heard: given up in {} s (--join-timeout); Ctrl-C ends it now",
        left.as_secs_f64().round()
    )
}

fn named(hosts: &[HostName]) -> String {
    let named: Vec<&str> = hosts.iter().take(NAMED_MAX).map(HostName::as_str).collect();
    let more = match hosts.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

/// Hosts that a notice names.
const NAMED_MAX: usize = 20;

/// Hosts that are warned of one by one for one reason.
const WARNED_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_is_heard_the_address_that_answers_come_to_is_named_first() {
        let reply_to = ([10, 77, 0, 1], 40_421).into();
        let text = nobody_heard(&names(2), reply_to);
        assert!(
            text.starts_with(
                "not heard yet: c0, c1, nor any other host. Answers come to UDP 10.77.0.1:40421"
            ),
            "{text}"
        );
        let order = ["firewall", "--interface", "querier", "systemctl", "journalctl", "doctor"]
            .map(|word| text.find(word));
        assert!(order.is_sorted() && order[0].is_some(), "{text}");
        assert!(nobody_heard(&[], reply_to).starts_with("no host is heard yet. Answers"));
    }

    #[test]
    fn a_notice_names_a_bounded_number_of_hosts() {
        assert_eq!(named(&names(3)), "c0, c1, c2");
        assert!(named(&names(23)).ends_with("c18, c19 and 3 more"));
    }

    fn names(count: u32) -> Vec<HostName> {
        (0..count).map(|i| HostName::new(&format!("c{i}")).expect("a name")).collect()
    }
}
