//! What may be taken away from the sender's network of a lab, and given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::netns::Lab;

/// Something without which the sender's network carries nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The link, taken down by this machine.
    Link,
    /// The carrier: the other end of the cable is down.
    Carrier,
    /// The address of the interface.
    Address,
    /// A firewall that lets the sender's datagrams out: it drops them.
    Passage,
    /// The same: it rejects them.
    Permission,
    /// The interface itself, which is made anew with another index.
    Interface,
    /// Its MTU, which becomes too small for the packets of a push.
    Mtu,
}

impl Needed {
    /// Takes it away.
    pub fn take(self, lab: &Lab) {
        match self {
            Self::Link => on_sender(lab, "ip link set eth0 down"),
            Self::Carrier => lab.set_port(Lab::SENDER, "down"),
            Self::Address => on_sender(lab, &format!("ip addr del {ADDRESS} dev eth0")),
            Self::Passage => on_sender(lab, &firewall("drop")),
            Self::Permission => on_sender(lab, &firewall("reject")),
            Self::Interface => lab.remove_interface(Lab::SENDER),
            Self::Mtu => on_sender(lab, "ip link set eth0 mtu 1300"),
        }
    }

    /// Gives it back.
    pub fn give_back(self, lab: &Lab) {
        match self {
            Self::Link => on_sender(lab, "ip link set eth0 up"),
            Self::Carrier => lab.set_port(Lab::SENDER, "up"),
            Self::Address => on_sender(lab, &format!("ip addr add {ADDRESS} brd + dev eth0")),
            Self::Passage | Self::Permission => on_sender(lab, "nft delete table inet outage"),
            Self::Interface => {
                lab.make_interface(Lab::SENDER);
                on_sender(lab, &format!("ip addr add {ADDRESS} brd + dev eth0"));
                on_sender(lab, "ip link set eth0 up");
            }
            Self::Mtu => on_sender(lab, "ip link set eth0 mtu 1500"),
        }
    }

    /// Takes it away, and gives it back after `time`.
    pub fn take_for(self, lab: &Lab, time: Duration) {
        self.take(lab);
        thread::sleep(time);
        self.give_back(lab);
    }

    /// Takes it away and gives it back again and again while `action` runs.
    pub fn flap<T>(self, lab: &Lab, away: Duration, there: Duration, action: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    self.take_for(lab, away);
                    thread::sleep(there);
                }
            });
            let _over = SetOnDrop(&is_over);
            action()
        })
    }
}

/// Ends the flapping, also when the action panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns the script of nft(8) that keeps UDP from leaving.
fn firewall(verdict: &str) -> String {
    format!(
        "nft add table inet outage; add chain inet outage output {{ type filter hook output priority 0; }}; \
         add rule inet outage output meta l4proto udp {verdict}"
    )
}

fn on_sender(lab: &Lab, line: &str) {
    lab.run(Lab::SENDER, line);
}

/// The sender's address in every lab.
pub const ADDRESS: &str = "10.77.0.1/16";
