//! What a push says about its network before it begins: where it goes out, and what may surprise later.

use std::time::Duration;

use glancecast_platform::args::Rate;
use glancecast_platform::interface::{Chosen, Interface};
use glancecast_platform::transport::{Buffer, Destinations, Downlink};
use glancecast_proto::sender::Expected;

/// Which interface, who chose it, and how long the packets are.
pub(super) fn network(destinations: &Destinations, interface: &Interface, mtu: u16) -> String {
    let mut text = format!("on interface {interface}, in packets of {mtu} bytes");
    if destinations.need_source() {
        text.push_str("\nthe group is source-specific: receivers need --source ");
        text.push_str(&interface.addr.to_string());
    }
    text
}

/// What the operator should know, each in one line.
pub(super) fn warnings(
    interface: &Interface,
    downlink: &Downlink,
    expected: &Expected,
    rate: Rate,
) -> impl Iterator<Item = String> {
    let loopback = (interface.chosen == Chosen::ByRoute && interface.is_loopback()).then(|| LOOPBACK.into());
    let hosts = match expected {
        Expected::Count(count) => *count as usize,
        Expected::Named(names) => names.len(),
        Expected::Anyone => 0,
    };
    let answers = short_of_answers(downlink.receive_buffer(), hosts);
    let sending = short_of_sending(downlink.send_buffer(), rate);
    [loopback, answers, sending].into_iter().flatten()
}

/// What keeps strangers out of a push.
#[derive(Clone, Copy)]
pub(super) struct Sealing {
    /// Under the key that everybody knows.
    pub(super) insecure: bool,
    /// Signed, or knowingly not.
    pub(super) signed: bool,
}

impl Sealing {
    /// What the operator should know of it, each in one line.
    pub(super) fn warnings(self) -> impl Iterator<Item = String> {
        let insecure = self.insecure.then_some(INSECURE);
        let unsigned = (!self.signed).then_some(UNSIGNED);
        [insecure, unsigned].into_iter().flatten().map(str::to_owned)
    }
}

/// In a lab of one's own nobody minds; elsewhere a forgotten flag has to be seen.
pub(super) const INSECURE: &str = "--insecure: sealed under a key that everybody knows; whoever reaches this network can read this and speak for hosts";

const UNSIGNED: &str = "this push is not signed: hosts that list their senders refuse it, and hosts that do not take pushes \
                        from any node that has the group's key; make keys with: glancecast keygen --all DIR, and give \
                        --sender-key, or --unsigned if it is meant so";

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
    // The kernel counts its own overhead too, which is about as much as the data where packets are small.
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

/// What an answer takes in the buffer, the kernel's own overhead included.
const ANSWER_BYTES: usize = 1280;

/// A full buffer is looked at again after 50 us, and some times that on a busy machine.
const LASTS_MIN: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_nobody_out_is_said() {
        let said = |insecure, signed| {
            Sealing { insecure, signed }.warnings().map(|text| text[..10].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(said(false, true), [""; 0]);
        assert_eq!(said(false, false), ["this push "]);
        assert_eq!(said(true, true), ["--insecure"]);
        assert_eq!(said(true, false), ["--insecure", "this push "]);
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
