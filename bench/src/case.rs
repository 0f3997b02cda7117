//! What is measured: an image on a network, and the ways in which it gets across.

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
    /// Its name on the command line and in the results.
    pub name: &'static str,
    /// What it is, for people.
    pub work: String,
    /// The network.
    pub network: Network,
    /// The image.
    pub content: Content,
    /// The ways that take turns.
    pub ways: Vec<Way>,
    /// Repetitions for each one that is asked for; more than 1 where runs differ by more than the ways do.
    pub rounds: usize,
    /// Whether the length of a compressed qcow2 of the image is measured.
    pub qcow2: bool,
}

/// One way to get the image across.
pub struct Way {
    /// Its name in the results.
    pub name: String,
    /// Version, security, and what else a reader of its figures needs.
    pub about: String,
    /// Whether it is run in the first repetition only, because others would come to the same.
    pub once: bool,
    /// Runs it once.
    pub run: RunOnce,
}

/// Runs a way once.
pub type RunOnce = Box<dyn Fn(&Ground<'_>) -> Result<Run>>;

/// What a way works with.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The network of the case.
    pub network: &'a Network,
    /// The image.
    pub image: &'a Image,
    /// Bytes of the image outside holes, where that is known.
    pub data_bytes: Option<u64>,
    /// A directory in memory.
    pub directory: &'a Path,
    /// The time after which a run has failed.
    pub limit: Duration,
}

impl Case {
    /// A case whose work is described by its network and the length of its random bytes.
    pub fn random(name: &'static str, network: Network, bytes: u64, ways: Vec<Way>) -> Self {
        let (work, content) = (network.title(bytes), Content::Random { bytes });
        Self { name, work, network, content, ways, rounds: 1, qcow2: false }
    }
}

impl Way {
    /// A way that is run in every repetition.
    pub fn new(name: impl Into<String>, run: impl Fn(&Ground<'_>) -> Result<Run> + 'static) -> Self {
        Self { name: name.into(), about: String::new(), once: false, run: Box::new(run) }
    }

    /// The same with a remark.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// Runs it once; an error becomes a failed run.
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
    /// The case's network, built, with empty directories.
    pub fn site(&self) -> Result<Site> {
        Site::build(self)
    }

    /// The same on another network.
    pub fn site_of(&self, network: &Network) -> Result<Site> {
        Site::build(&Ground { network, ..*self })
    }
}

/// The cases with these names or with names that begin with them, all if `only` is empty. A name that is a whole one
/// means that case alone.
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
