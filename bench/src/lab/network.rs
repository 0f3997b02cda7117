//! A network for measurements: number of receivers, rate of the line and loss; and the time that the line alone needs.

use glancecast_tests::netns::{Lab, Offload, Shape};
use glancecast_tests::routed::{self, Fabric};
use serde::{Deserialize, Serialize};

/// One network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network {
    /// The number of receiver hosts.
    pub receivers: usize,
    /// The rate of the sender's line in bits per second, in Ethernet frames without checksums; `None` if unshaped.
    pub line_bits_per_second: Option<u64>,
    /// Whether batches of datagrams cross as one packet.
    pub offload: bool,
    /// The loss rate of each receiver, independently, in packets per thousand.
    pub loss_per_mille: u32,
    /// How the receivers are behind a router that forwards no multicast; `None` if all are in the sender's segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routed: Option<Routed>,
}

/// Receivers behind a router that forwards no multicast. Their line is not the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routed {
    /// In this number of racks of one size. The line is each rack's uplink, and multicast works inside a rack.
    Racks(usize),
    /// In one rack without any multicast. The line is that of the sender and of each receiver.
    UnicastOnly,
}

impl Network {
    /// Returns a network without a line rate in which batches cross whole.
    pub fn unshaped(receivers: usize) -> Self {
        Self { receivers, line_bits_per_second: None, offload: true, loss_per_mille: 0, routed: None }
    }

    /// Returns a network whose line has a rate, in bits per second.
    pub fn shaped(receivers: usize, line: u64, offload: bool, loss_per_mille: u32) -> Self {
        Self { receivers, line_bits_per_second: Some(line), offload, loss_per_mille, routed: None }
    }

    /// Returns a network behind a router, with lines of this rate, in bits per second. Nothing is lost by itself.
    pub fn routed(receivers: usize, line: u64, routed: Routed) -> Self {
        Self { routed: Some(routed), ..Self::shaped(receivers, line, false, 0) }
    }

    /// Builds the network, and tells where its hosts are if it is routed.
    ///
    /// # Panics
    /// If a step fails.
    pub fn build(&self) -> (Lab, Option<Fabric>) {
        let rate = self.tc_rate();
        let rate = rate.as_deref();
        let Some(kind) = self.routed else { return (Lab::build(&self.shape(rate)), None) };
        let rack = match kind {
            Routed::Racks(racks) => {
                routed::Rack { hosts: self.receivers / racks, uplink: rate, ..routed::Rack::default() }
            }
            Routed::UnicastOnly => {
                routed::Rack { hosts: self.receivers, link: rate, is_deaf: true, ..routed::Rack::default() }
            }
        };
        let (racks, sender) = match kind {
            Routed::Racks(racks) => (vec![rack; racks], None),
            Routed::UnicastOnly => (vec![rack], rate),
        };
        let offload = if self.offload { Offload::On } else { Offload::Off };
        let (lab, fabric) = routed::build(&routed::Shape { sender, near: 0, racks: &racks, offload });
        (lab, Some(fabric))
    }

    /// Returns a description.
    pub fn title(&self, image_bytes: u64) -> String {
        let receivers = if self.receivers == 1 { "receiver" } else { "receivers" };
        let line = self.line_bits_per_second.map_or_else(|| "unshaped".to_owned(), rate_in_words);
        let line = match self.routed {
            None => line,
            Some(Routed::Racks(racks)) => {
                format!("in {racks} racks behind a router without multicast, {line} uplinks")
            }
            Some(Routed::UnicastOnly) => format!("without any multicast, {line} each"),
        };
        let packets = if self.offload { "batches cross whole" } else { "one packet a call" };
        let loss = match self.loss_per_mille {
            0 => "no loss".to_owned(),
            loss => format!("{} % loss at each receiver", f64::from(loss) / 10.0),
        };
        format!(
            "{} {receivers}, {line}, {packets}, {loss}, {} MiB of random bytes",
            self.receivers,
            image_bytes >> 20
        )
    }

    /// Returns the seconds that the line alone needs for an image in full frames; `None` if it has no rate.
    pub fn line_seconds(&self, image_bytes: u64) -> Option<f64> {
        let rate = self.line_bits_per_second?;
        Some(image_bytes as f64 * FRAME_BYTES / SYMBOL_BYTES * 8.0 / rate as f64)
    }

    /// Returns a share of the line's rate, in bits per second. The rest is for uncounted headers and for answers.
    pub fn paced(&self, share: f64) -> Option<u64> {
        self.line_bits_per_second.map(|rate| (rate as f64 * share) as u64)
    }

    /// Returns the lab's parameters. `rate` is [`Self::tc_rate`].
    pub fn shape<'a>(&self, rate: Option<&'a str>) -> Shape<'a> {
        let offload = if self.offload { Offload::On } else { Offload::Off };
        Shape { receivers: self.receivers, offload, loss_per_mille: self.loss_per_mille, rate }
    }

    /// Returns the line's rate as `tc` writes it.
    pub fn tc_rate(&self) -> Option<String> {
        self.line_bits_per_second.map(|rate| format!("{rate}bit"))
    }
}

fn rate_in_words(bits_per_second: u64) -> String {
    match bits_per_second {
        rate if rate.is_multiple_of(GBIT) => format!("{} Gbit/s", rate / GBIT),
        rate => format!("{} Mbit/s", rate / MBIT),
    }
}

/// 10^6 bits per second.
pub const MBIT: u64 = 1_000_000;
/// 10^9 bits per second.
pub const GBIT: u64 = 1000 * MBIT;
/// A full frame at MTU 1500 as tbf counts it, without its checksum: 14 + 20 + 8 + 1472.
const FRAME_BYTES: f64 = 1514.0;
/// Bytes of the image in a full frame of glancecast: 1472 without a header and the tag of the seal.
const SYMBOL_BYTES: f64 = 1432.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_has_network_and_image() {
        let lossy = Network::shaped(4, 400 * MBIT, false, 10).title(256 << 20);
        let words =
            "4 receivers, 400 Mbit/s, one packet a call, 1 % loss at each receiver, 256 MiB of random bytes";
        assert_eq!(lossy, words);
        let words = "1 receiver, unshaped, batches cross whole, no loss, 1024 MiB of random bytes";
        assert_eq!(Network::unshaped(1).title(1 << 30), words);
    }

    #[test]
    fn a_title_of_a_routed_network_has_its_racks() {
        let racks = Network::routed(8, 200 * MBIT, Routed::Racks(2)).title(64 << 20);
        let words = "8 receivers, in 2 racks behind a router without multicast, 200 Mbit/s uplinks, one packet a call, no \
                     loss, 64 MiB of random bytes";
        assert_eq!(racks, words);
        let alone = Network::routed(8, 200 * MBIT, Routed::UnicastOnly).title(64 << 20);
        assert!(alone.starts_with("8 receivers, without any multicast, 200 Mbit/s each"), "{alone}");
    }

    #[test]
    fn the_line_alone_needs_what_the_frames_need() {
        let seconds = Network::shaped(8, GBIT, false, 0).line_seconds(256 << 20).expect("shaped");
        assert!((seconds - 2.27).abs() < 0.005, "{seconds}");
    }
}
