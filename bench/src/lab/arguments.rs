//! What the command lines of the measurements have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use glancecast_tests::exclusive;

use super::turn::Turn;

/// Options of every measurement.
#[derive(Args, Debug)]
pub struct Common {
    /// Where results are written; what is not measured this time keeps its results
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench", overrides_with = "output")]
    pub output: PathBuf,

    /// How often each is measured, three times when not given, as medians need; the figure is that of the middle
    #[arg(long, value_name = "N")]
    pub repeat: Option<usize>,

    /// Seconds after which a run has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 150)]
    limit: u64,

    /// Where images and copies are kept while it runs: memory, so that no disk decides
    #[arg(long, value_name = "DIRECTORY", default_value = "/dev/shm")]
    pub memory: PathBuf,

    /// A lock file to hold during each repetition, if the machine is shared with somebody who holds it too
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,

    /// The number that the images' bytes come from
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub seed: u64,

    /// Set by the supervisor for the process that measures
    #[arg(long, hide = true)]
    work_in: Option<PathBuf>,
}

impl Common {
    /// How often each is measured.
    pub fn repetitions(&self, quick: bool) -> usize {
        self.repeat.unwrap_or(if quick { 1 } else { 3 })
    }

    /// When a run has failed.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// The right to measure on this machine, not taken yet.
    pub fn turn(&self) -> Turn {
        Turn::new(&self.lock.clone().unwrap_or_else(exclusive::path))
    }

    /// Where this process measures; `None` in the one that was called, which only supervises.
    pub fn work_in(&self) -> Option<&Path> {
        self.work_in.as_deref()
    }
}

/// A number of bytes, with `k`, `m` or `g` for a power of 1024.
///
/// # Errors
/// What is wrong with it.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [('k', 10), ('m', 20), ('g', 30)];
    let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
    let (digits, shift) = unit.map_or((text, 0), |(_, shift)| (&text[..text.len() - 1], *shift));
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a number of bytes such as 256m"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too much"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_power_of_1024() {
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("256m"), Ok(256 << 20));
        assert_eq!(bytes("8g"), Ok(8 << 30));
        for wrong in ["", "g", "1t", "-1", "99999999999g"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
