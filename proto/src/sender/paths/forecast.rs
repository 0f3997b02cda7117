//! What the configuration alone leads to: the plan as it is shown before anything is sent.

use std::time::Duration;

use super::segments::{Relayed, State};
use super::{Paths, PlanView, Reported, Word};
use crate::ids::ReceiverId;
use crate::relay::Prefix;
use crate::sender::config::SenderConfig;
use crate::time::Moment;

/// Returns the plan of a push in which every host answers and relays, the group reaches the hosts of the sender's own network
/// prefix, and every segment carries multicast.
pub(in crate::sender) fn forecast(config: &SenderConfig, bits: u64) -> PlanView {
    let start = Moment::default();
    let mut paths = Paths::new(start, config, bits);
    let own = Prefix::of(config.reply_to.ip(), if config.reply_to.is_ipv4() { 24 } else { 64 });
    let hosts = if super::is_managed(&config.reach) { config.reach.hosts.as_slice() } else { &[] };
    for (number, (name, addr)) in (0_u64..).zip(hosts) {
        paths.beacons.note_heard(name);
        if config.reach.group.is_some() && own.contains(addr.ip()) {
            continue;
        }
        let id = ReceiverId(number.to_be_bytes());
        let report = Some(Reported { is_proven: true, forged: 0, bytes: 0 });
        for _ in 0..2 {
            paths.members.note(start, id, name, Word { addr: *addr, via: None, report });
        }
        paths.note_hello(start, id, name, config.reach.relays);
    }
    paths.use_group(start, hosts.len() as u32);
    paths.serve(start);
    for at in 0..paths.segments.len() {
        let Some(relay) = paths.segments.get(at).relay() else { continue };
        paths.segments.get_mut(at).state =
            State::Relayed(Relayed { relay, since: Some(start), is_heard: true });
        let via = paths.tree.get(relay).map(|node| node.addr);
        for (id, member) in paths.members.iter_mut() {
            if id != relay && member.segment == Some(at) {
                member.via = via;
            }
        }
    }
    // By then those that are alone in their segments have waited for neighbours.
    paths.serve(start + Duration::from_secs(1));
    paths.view()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::HostName;
    use crate::sender::hosts::Expected;
    use crate::sender::paths::Reach;
    use crate::sender::rate::Pace;
    use crate::sender::testing::config;
    use crate::units::Rate;

    #[test]
    fn the_plan_is_known_before_anything_is_sent() {
        let host = |net: u8, number: u8| {
            let name = HostName::new(&format!("compute-{net}-{number}")).expect("plain");
            (name, ([10, 0, net, 10 + number], 7167).into())
        };
        let hosts: Vec<_> =
            (0..3).flat_map(|net| (0..4).map(move |n| host(net, n))).chain([host(9, 0)]).collect();
        let config = SenderConfig {
            reach: Reach {
                group: Some(([239, 255, 71, 67], 7167).into()),
                hosts,
                relays: true,
                ..Reach::default()
            },
            pace: Pace::Auto { max: Rate::mbit(1_000) },
            ..config(Expected::Anyone)
        };
        let view = forecast(&config, 1 << 33);
        let segments: Vec<(String, u32)> = view
            .rows
            .iter()
            .filter_map(|row| Some((row.segment.as_ref()?.name.clone(), row.segment.as_ref()?.hosts)))
            .collect();
        assert_eq!(segments.len(), 2, "{view:?}");
        assert!(segments.iter().all(|&(_, hosts)| hosts == 4), "{segments:?}");
        assert_eq!(view.rows.len(), 3, "two relays and a host of its own: {view:?}");
        assert!(view.time.is_some_and(|time| time > Duration::from_secs(8)));
    }
}
