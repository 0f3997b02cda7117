//! What is measured: how many receivers, over which line, with which loss, and how large an image.

use glancecast_bench::lab::network::{GBIT, MBIT, Network};

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

#[cfg(test)]
mod tests {
    use super::*;

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
