//! Why hosts are not heard, while a push runs: the group is asked who is there, and hosts whose addresses are known are
//! examined, a second after the start. Whoever watches learns the cause then, and not at the end of a long push.

use std::collections::BTreeMap;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::sender::Lag;
use tokio::time::{Instant, sleep, sleep_until};

use super::alike::Hints;
use super::standing::named;
use super::survey::Group;
use super::{Network, PushPlan};
use crate::pipeline::push::Progress;
use crate::pipeline::running::Control;

impl PushPlan {
    /// Logs why hosts that are expected by name are not heard, as far as it can be found out, and completes then.
    /// `push` is the push of this plan, which has just begun.
    ///
    /// Where answers have a fixed port, which the push has to itself, only names are compared: on any other port a
    /// firewall would drop the answers of hosts that are well.
    pub(crate) async fn look_for_unheard(&self, push: Control<Progress>) {
        if self.config.one_way.is_some()
            || self.config.join_timeout.is_none()
            || self.config.reach.group.is_none()
        {
            return;
        }
        let started = Instant::now();
        sleep(LOOK_AFTER).await;
        let missing = unheard(&push.progress());
        if missing.is_empty() {
            return;
        }
        let network = Network { reply_port: 0, ..self.network.clone() };
        let group = Group::from(self).on(&network);
        let hints = match self.network.reply_port {
            0 => group.hints_at_once(&missing).await,
            _ => group.known_hints(&missing),
        };
        // Before that a host that is at work on another push may still say hello.
        sleep_until(started + TELL_AFTER).await;
        let missing = unheard(&push.progress());
        for (text, hosts) in by_text(&hints, &missing).into_iter().take(LINES_MAX) {
            tracing::warn!("{}: {text}", named(hosts));
        }
    }
}

/// Returns hosts that are expected by name and were not heard, a bounded number of them.
fn unheard(progress: &Progress) -> Vec<HostName> {
    let hosts = progress.watch.hosts.iter().filter(|host| host.lag == Lag::Unheard);
    hosts.map(|host| host.name.clone()).collect()
}

/// Returns the hosts to which each hint applies, of those that are still missing.
fn by_text<'a>(hints: &'a Hints, missing: &[HostName]) -> BTreeMap<&'a str, Vec<&'a HostName>> {
    let mut hosts: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (host, hint) in hints.iter().filter(|(host, _)| missing.contains(host)) {
        hosts.entry(&hint.text).or_default().push(host);
    }
    hosts
}

/// Time after the start at which hosts that are well have long been heard.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Time after the start at which the hosts that were not heard have been named.
const TELL_AFTER: Duration = Duration::from_millis(2_600);

/// Different causes that are told.
const LINES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::alike::Hint;
    use super::*;

    #[test]
    fn hosts_with_one_cause_are_told_of_together_and_those_that_came_meanwhile_are_not() {
        let name = |text: &str| HostName::new(text).expect("a name");
        let hint = |text: &str| Hint { names: Vec::new(), text: text.to_owned() };
        let hints =
            Hints::from([(name("c1"), hint("off")), (name("c2"), hint("off")), (name("c3"), hint("deaf"))]);
        let told = by_text(&hints, &[name("c1"), name("c2")]);
        assert_eq!(told, BTreeMap::from([("off", vec![&name("c1"), &name("c2")])]));
    }
}
