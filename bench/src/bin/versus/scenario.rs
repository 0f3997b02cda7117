//! What is measured: how many receivers, over which line, with which loss, and how large an image.

use glancecast_tests::netns::{Offload, Shape};
use serde::{Deserialize, Serialize};

/// One network and one image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Number of receiver hosts.
    pub(crate) receivers: usize,
    /// The rate of the sender's line in bits per second, whole Ethernet frames without their checksums; none is unshaped.
    pub(crate) line_bits_per_second: Option<u64>,
    /// Whether batches of datagrams cross as one packet.
    pub(crate) offload: bool,
    /// Packets of a thousand that each receiver loses, independently.
    pub(crate) loss_per_mille: u32,
}

/// One comparison.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// What it is called on the command line and in the results.
    pub(crate) name: &'static str,
    /// Where it runs.
    pub(crate) network: Network,
    /// Bytes of the image.
    pub(crate) image_bytes: u64,
}

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    let shaped = |name, receivers, line, offload, loss_per_mille, image_bytes| Scenario {
        name,
        network: Network { receivers, line_bits_per_second: Some(line), offload, loss_per_mille },
        image_bytes,
    };
    let unshaped = |name, receivers| Scenario {
        name,
        network: Network { receivers, line_bits_per_second: None, offload: true, loss_per_mille: 0 },
        image_bytes: 1 << 30,
    };
    vec![
        shaped("8x1g", 8, GBIT, false, 0, 256 << 20),
        shaped("8x1g-loss", 8, GBIT, false, 10, 256 << 20),
        shaped("8x1g-offload", 8, GBIT, true, 0, 256 << 20),
        shaped("8x1g-offload-loss", 8, GBIT, true, 10, 256 << 20),
        shaped("4x400m", 4, 400 * MBIT, false, 0, 256 << 20),
        shaped("4x400m-loss", 4, 400 * MBIT, false, 10, 256 << 20),
        shaped("16x200m", 16, 200 * MBIT, false, 0, 64 << 20),
        shaped("16x200m-loss", 16, 200 * MBIT, false, 10, 64 << 20),
        unshaped("1-unshaped", 1),
        unshaped("4-unshaped", 4),
    ]
}

/// The scenarios, one a line.
pub(crate) fn list() -> String {
    all().iter().map(|scenario| format!("  {:<18} {}\n", scenario.name, scenario.title())).collect()
}

impl Scenario {
    /// In words.
    pub(crate) fn title(&self) -> String {
        self.network.title(self.image_bytes)
    }
}

impl Network {
    /// In words.
    pub(crate) fn title(&self, image_bytes: u64) -> String {
        let receivers = if self.receivers == 1 { "receiver" } else { "receivers" };
        let line = self.line_bits_per_second.map_or_else(|| "unshaped".to_owned(), rate_in_words);
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

    /// Seconds that the line alone needs for an image in full frames; none when it is not shaped.
    pub(crate) fn line_seconds(&self, image_bytes: u64) -> Option<f64> {
        let rate = self.line_bits_per_second?;
        Some(image_bytes as f64 * FRAME_BYTES / SYMBOL_BYTES * 8.0 / rate as f64)
    }

    /// A rate that leaves the line room for headers that a tool does not count and for its answers, in bits per second.
    pub(crate) fn paced(&self, share: f64) -> Option<u64> {
        self.line_bits_per_second.map(|rate| (rate as f64 * share) as u64)
    }

    /// As the lab takes it; `rate` is [`Self::tc_rate`].
    pub(crate) fn shape<'a>(&self, rate: Option<&'a str>) -> Shape<'a> {
        let offload = if self.offload { Offload::On } else { Offload::Off };
        Shape { receivers: self.receivers, offload, loss_per_mille: self.loss_per_mille, rate }
    }

    /// The line's rate as `tc` writes it.
    pub(crate) fn tc_rate(&self) -> Option<String> {
        self.line_bits_per_second.map(|rate| format!("{rate}bit"))
    }
}

fn rate_in_words(bits_per_second: u64) -> String {
    match bits_per_second {
        rate if rate.is_multiple_of(GBIT) => format!("{} Gbit/s", rate / GBIT),
        rate => format!("{} Mbit/s", rate / MBIT),
    }
}

const MBIT: u64 = 1_000_000;
const GBIT: u64 = 1000 * MBIT;
/// A full frame at MTU 1500, its checksum left out, as tbf counts it: 14 + 20 + 8 + 1472.
const FRAME_BYTES: f64 = 1514.0;
/// What of the image a full frame of glancecast holds: 1472 less a header and the tag of the seal.
const SYMBOL_BYTES: f64 = 1432.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_alone_needs_what_the_frames_need() {
        let all = all();
        let scenario = all.iter().find(|scenario| scenario.name == "8x1g").expect("it is one");
        let seconds = scenario.network.line_seconds(scenario.image_bytes).expect("shaped");
        assert!((seconds - 2.27).abs() < 0.005, "{seconds}");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn a_title_tells_network_and_image() {
        let all = all();
        let title = |name| all.iter().find(|scenario| scenario.name == name).expect("it is one").title();
        assert_eq!(
            title("4x400m-loss"),
            "4 receivers, 400 Mbit/s, one packet a call, 1 % loss at each receiver, 256 MiB of random bytes"
        );
        assert_eq!(
            title("1-unshaped"),
            "1 receiver, unshaped, batches cross whole, no loss, 1024 MiB of random bytes"
        );
    }
}
