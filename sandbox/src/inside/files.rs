//! Landlock: what may be opened, whatever path leads there.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::descriptors::Given;
use crate::needs;

/// Allows what the tool needs to start, the image for reading and the result for writing, by rules on their own
/// descriptors, and nothing else: no other file, no TCP, no signal and no abstract socket of another process, as far as this
/// kernel knows of them. What paths alone allow (`truncate` before Linux 6.2, `chmod`) seccomp refuses.
pub(super) fn restrict(tool: &Path, given: &Given) -> Result<(), String> {
    let status = enforce(tool, given).map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel has none, or it is not enabled".to_owned()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn enforce(tool: &Path, given: &Given) -> Result<RestrictionStatus, RulesetError> {
    // What a kernel does not know of it is left out; ABI 1 is the least, which has all that opens a file.
    let abi = ABI::V6;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let run = AccessFs::ReadFile | AccessFs::Execute;
    for directory in needs::directories(tool) {
        rules = allow(rules, &directory, run | AccessFs::ReadDir)?;
    }
    for file in needs::files() {
        rules = allow(rules, &file, AccessFs::ReadFile.into())?;
    }
    rules = allow(rules, tool, run)?;
    let (image, result) = given.files();
    if is_file(image.try_clone_to_owned()) {
        rules = rules.add_rule(PathBeneath::new(image, AccessFs::ReadFile))?;
    }
    if is_file(result.try_clone_to_owned()) {
        let write = AccessFs::ReadFile | AccessFs::WriteFile;
        rules = rules.add_rule(PathBeneath::new(result, write))?;
    }
    rules.restrict_self()
}

/// A file that is not there cannot be opened either.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(place) => rules.add_rule(PathBeneath::new(place, access)),
        Err(_) => Ok(rules),
    }
}

/// Pipes have no rules.
fn is_file(descriptor: std::io::Result<OwnedFd>) -> bool {
    descriptor.and_then(|fd| File::from(fd).metadata()).is_ok_and(|metadata| metadata.is_file())
}
