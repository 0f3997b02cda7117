//! What is measured: an image on a network, and the ways to transfer it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::content::{Content, Image};
use crate::lab::network::Network;
use crate::record::Run;
use crate::run::Site;

/// One row of the results.
#[derive(Debug)]
pub struct Case {
    /// The name on the command line and in the results.
    pub name: &'static str,
    /// A description for people.
    pub work: String,
    /// The network.
    pub network: Network,
    /// The image.
    pub content: Content,
    /// The ways, which are measured in turns.
    pub ways: Vec<Way>,
    /// Runs per requested repetition; more than 1 if runs differ by more than the ways do.
    pub rounds: usize,
    /// Whether to measure the length of a compressed qcow2 of the image.
    pub qcow2: bool,
}

/// One way to transfer the image.
pub struct Way {
    /// The name in the results.
    pub name: String,
    /// Version, security, and whatever else a reader of the figures needs.
    pub about: String,
    /// Whether it is run only in the first repetition, because others would have the same result.
    pub once: bool,
    /// Runs the way once.
    pub run: RunOnce,
}

/// Runs a way once.
pub type RunOnce = Box<dyn Fn(&Ground<'_>) -> Result<Run>>;

/// The input of a way.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The network of the case.
    pub network: &'a Network,
    /// The image.
    pub image: &'a Image,
    /// Bytes of the image outside holes, if known.
    pub data_bytes: Option<u64>,
    /// A directory in memory.
    pub directory: &'a Path,
    /// The time after which a run has failed.
    pub limit: Duration,
}

impl Case {
    /// Creates a case of random bytes, described by its network and the number of bytes.
    pub fn random(name: &'static str, network: Network, bytes: u64, ways: Vec<Way>) -> Self {
        let (work, content) = (network.title(bytes), Content::Random { bytes });
        Self { name, work, network, content, ways, rounds: 1, qcow2: false }
    }
}

impl Way {
    /// Creates a way that is run in every repetition.
    pub fn new(name: impl Into<String>, run: impl Fn(&Ground<'_>) -> Result<Run> + 'static) -> Self {
        Self { name: name.into(), about: String::new(), once: false, run: Box::new(run) }
    }

    /// Adds a remark.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// Runs the way once. An error becomes a failed run.
    pub fn run(&self, ground: &Ground<'_>) -> Run {
        (self.run)(ground).unwrap_or_else(|error| Run::failed(format!("{error:#}")))
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Ground<'_> {
    /// Builds the case's network, with empty directories.
    pub fn site(&self) -> Result<Site> {
        Site::build(self)
    }

    /// Builds another network for the same image.
    pub fn site_of(&self, network: &Network) -> Result<Site> {
        Site::build(&Ground { network, ..*self })
    }
}

/// Returns the cases whose names are in `only` or begin with a name in it, or all if `only` is empty. An exact name
/// selects that case alone.
pub fn choose(mut cases: Vec<Case>, only: &[String]) -> Result<Vec<Case>> {
    let known: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let matches = |case: &str, name: &str| {
        case == name || case.starts_with(name) && known.iter().all(|known| *known != name)
    };
    if let Some(name) = only.iter().find(|name| !known.iter().any(|case| matches(case, name))) {
        bail!("there is no row {name}; there are {}", known.join(", "));
    }
    let wanted: Vec<&str> = known
        .iter()
        .filter(|case| only.is_empty() || only.iter().any(|name| matches(case, name)))
        .copied()
        .collect();
    cases.retain(|case| wanted.contains(&case.name));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_is_one_row_and_a_beginning_is_all_of_them() {
        assert_eq!(names("4x400m"), ["4x400m"]);
        assert_eq!(names("bytes,8x"), ["8x1g", "8x1g-loss", "bytes-1", "bytes-8"]);
        assert_eq!(names("").len(), 6);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = choose(cases(), &["9x".to_owned()]).expect_err("there is none");
        assert!(error.to_string().contains("8x1g, 8x1g-loss"), "{error}");
    }

    fn names(only: &str) -> Vec<&'static str> {
        let only: Vec<String> = only.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        choose(cases(), &only).expect("known names").iter().map(|case| case.name).collect()
    }

    fn cases() -> Vec<Case> {
        ["8x1g", "8x1g-loss", "4x400m", "4x400m-loss", "bytes-1", "bytes-8"]
            .map(|name| Case::random(name, Network::unshaped(1), 1, Vec::new()))
            .into()
    }
}
