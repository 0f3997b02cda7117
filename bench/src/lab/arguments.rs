//! The options that all measurements have.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use glancecast_tests::exclusive;

use super::turn::Turn;

/// Options of every measurement.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The rows to measure, by name or by what their names begin with; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Once, with an eighth of each image: to see that everything works
    #[arg(long)]
    pub quick: bool,

    /// List the rows
    #[arg(long)]
    pub list: bool,

    /// Measure nothing, and write the pages of the results that are there
    #[arg(long)]
    pub draw: bool,

    /// Where results are written; rows that are not measured this time keep their results
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench", overrides_with = "output")]
    pub output: PathBuf,

    /// Repetitions of each row [default: 3]; the figures are medians
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// Seconds after which a run has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 150)]
    limit: u64,

    /// Directory in memory for images and copies, so that no disk decides
    #[arg(long, value_name = "DIRECTORY", default_value = "/dev/shm")]
    pub memory: PathBuf,

    /// A lock file to hold during each repetition, if the machine is shared with another process that holds it
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,

    /// The seed of the images' bytes
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub seed: u64,

    /// Set by the supervisor for the process that measures
    #[arg(long, hide = true)]
    pub work_in: Option<PathBuf>,
}

impl Common {
    /// Returns the number of repetitions of each row.
    pub fn repetitions(&self) -> usize {
        self.repeat.unwrap_or(if self.quick { 1 } else { 3 }) as usize
    }

    /// Returns the time after which a run has failed.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// Returns the lock for measurements on this machine, not yet held.
    pub fn turn(&self) -> Turn {
        Turn::new(&self.lock.clone().unwrap_or_else(exclusive::path))
    }
}

/// Parses a number of bytes, with `k`, `m` or `g` for a power of 1024.
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
