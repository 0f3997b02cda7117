//! Notices before a push: its destinations, the hosts that are left out, and what may cause trouble later.

use std::fmt::Write;
use std::time::Duration;

use glancecast_platform::interface::Chosen;
use glancecast_platform::transport::Buffer;
use glancecast_platform::units::{Rate, RateChoice};
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::printable;

use crate::request::{KeySource, PreparedPush, PushOptions, PushPlan, Signing, is_under_way};

/// Returns destinations, rate, credentials, hosts that are not waited for and the interface, on a line each.
pub(crate) fn intro(options: &PushOptions, plan: &PushPlan) -> String {
    let mut text =
        format!("{}: to {} at {}\n", plan.config.name, plan.network.destinations, pace(options.rate, plan));
    if let Some(credentials) = &plan.credentials {
        let _ = writeln!(text, "with the credentials of {}", printable(credentials));
    }
    let _ = writeln!(text, "{}", audience(plan));
    for (host, reason) in plan.targets.left_out.all() {
        let _ = writeln!(text, "left out: {}, {}", printable(host), printable(reason));
    }
    let key = plan.config.key.id().fingerprint();
    let _ = writeln!(
        text,
        "on interface {}, in packets of {} bytes, under the group key {key}",
        plan.interface, plan.mtu
    );
    if plan.network.destinations.need_source() {
        let _ =
            writeln!(text, "the group is source-specific: receivers need --source {}", plan.interface.addr);
    }
    text
}

/// Returns who will write the image.
fn audience(plan: &PushPlan) -> String {
    let known = plan.config.known.keys.len();
    match &plan.config.expected {
        Expected::Named(names) if names.len() == 1 => "for 1 host; no other host writes it".to_owned(),
        Expected::Named(names) => format!("for {} hosts; no other host writes it", names.len()),
        Expected::Count(_) | Expected::Anyone if known > 0 => {
            format!("for everyone: each host of this group will write it; {known} are known by their keys")
        }
        Expected::Count(_) | Expected::Anyone => {
            "for everyone: each host of this group will write it".to_owned()
        }
    }
}

fn pace(asked: RateChoice, plan: &PushPlan) -> String {
    let basis = match (asked, plan.interface.speed) {
        (RateChoice::Fixed(rate), _) => return rate.to_string(),
        (RateChoice::AutoUpTo(_), _) => "",
        (RateChoice::Auto, Some(_)) => " (70 % of the interface's speed; see --rate)",
        (RateChoice::Auto, None) => " (70 % of 1 Gbit/s, as the interface's speed is not known; see --rate)",
    };
    format!("up to {}{basis}", cap(plan))
}

fn cap(plan: &PushPlan) -> Rate {
    plan.config.pace.cap()
}

/// Returns warnings about the push that is to begin, each on one line.
pub(crate) fn warnings(options: &PushOptions, push: &PreparedPush) -> impl Iterator<Item = String> {
    let (plan, downlink) = (&push.plan, push.downlink());
    let interface = &plan.interface;
    let loopback = (interface.chosen == Chosen::ByRoute && interface.is_loopback()).then(|| LOOPBACK.into());
    let hosts = match &plan.config.expected {
        Expected::Count(count) => *count as usize,
        Expected::Named(names) => names.len(),
        Expected::Anyone => 0,
    };
    let short = [
        short_of_answers(downlink.receive_buffer(), hosts),
        short_of_sending(downlink.send_buffer(), cap(plan)),
    ];
    let sealing = sealing(&options.key, &options.signing).map(str::to_owned);
    let rekeying = rekeying(&options.key);
    let not_chosen = plan.targets.notice();
    [loopback, not_chosen].into_iter().chain(short).flatten().chain(sealing).chain(rekeying)
}

/// Returns warnings about keys and signatures that do not keep strangers out of the push.
fn sealing(key: &KeySource, signing: &Signing) -> impl Iterator<Item = &'static str> + use<> {
    let unsigned = (*signing == Signing::Unset).then_some(UNSIGNED);
    insecure(key).into_iter().chain(unsigned)
}

/// Returns a warning about `--insecure`: harmless in a lab, but a forgotten flag must be visible elsewhere.
pub(crate) fn insecure(key: &KeySource) -> Option<&'static str> {
    (*key == KeySource::Insecure).then_some(INSECURE)
}

/// Returns a warning that hosts may not hear what is sealed under this key: some may still have the one before it.
pub(crate) fn rekeying(key: &KeySource) -> Option<String> {
    match key {
        KeySource::File(path) if is_under_way(path) => Some(format!(
            "{} is being replaced, and hosts that do not have the new key hear nothing of this: give it to them with \
             glancecast rekey --resume",
            printable(&path.display().to_string())
        )),
        KeySource::File(_) | KeySource::Insecure => None,
    }
}

const INSECURE: &str = "--insecure: sealed under a key that everybody knows; whoever reaches this network can read this \
                        and speak for hosts";

const UNSIGNED: &str = "this push is not signed: hosts that list their senders refuse it, and hosts that do not take \
                        pushes from any node that has the group's key; make keys with: glancecast keygen --all DIR, and \
                        give --sender-key, or --unsigned if it is meant so";

fn short_of_answers(buffer: Buffer, hosts: usize) -> Option<String> {
    let holds = buffer.bytes / ANSWER_BYTES;
    (buffer.is_short() && hosts > holds).then(|| {
        format!(
            "the socket's receive buffer of {} KiB holds the answers of {holds} hosts at once, and {hosts} are expected: \
             what is dropped has to be said again: {}",
            buffer.bytes >> 10,
            buffer.remedy()
        )
    })
}

fn short_of_sending(buffer: Buffer, rate: Rate) -> Option<String> {
    // The kernel's own overhead counts too; with small packets it is about as much as the data.
    let lasts = rate.time_for(buffer.bytes as u64 / 2);
    (buffer.is_short() && lasts < LASTS_MIN).then(|| {
        format!(
            "the socket's send buffer of {} KiB lasts {} us at {rate}, which will hardly be reached: {}",
            buffer.bytes >> 10,
            lasts.as_micros(),
            buffer.remedy()
        )
    })
}

const LOOPBACK: &str = "the routing table sends the group to the loopback interface, where no other machine hears it: \
                        name the interface with --interface";

/// The bytes of one answer in the buffer, with the kernel's overhead.
const ANSWER_BYTES: usize = 1280;

/// A full buffer is checked again after 50 us, on a busy machine after several times as long.
const LASTS_MIN: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_nobody_out_is_said() {
        let said = |key, signing| sealing(&key, &signing).map(|text| &text[..10]).collect::<Vec<_>>();
        let file = || KeySource::File("/k".into());
        assert_eq!(said(file(), Signing::Key("/s".into())), [""; 0]);
        assert_eq!(said(file(), Signing::Unset), ["this push "]);
        assert_eq!(said(KeySource::Insecure, Signing::Unsigned), ["--insecure"]);
        assert_eq!(said(KeySource::Insecure, Signing::Unset), ["--insecure", "this push "]);
    }

    #[test]
    fn a_short_buffer_is_told_of_where_it_matters() {
        let short = Buffer { bytes: 425_984, wanted: 8 << 20, limit: "net.core.rmem_max" };
        assert_eq!(short_of_answers(short, 100), None);
        let text = short_of_answers(short, 1000).expect("more than it holds");
        assert!(text.ends_with("sysctl -w net.core.rmem_max=4194304, or start with CAP_NET_ADMIN"), "{text}");
        let rate = |text: &str| text.parse().expect("a rate");
        assert_eq!(short_of_sending(short, rate("1gbit")), None);
        let text = short_of_sending(short, rate("20gbit")).expect("85 us");
        assert!(text.contains("lasts 85 us at 20.00 Gbit/s"), "{text}");
        let enough = Buffer { bytes: 8 << 20, ..short };
        assert_eq!(
            (short_of_answers(enough, 10_000), short_of_sending(enough, rate("20gbit"))),
            (None, None)
        );
    }
}
