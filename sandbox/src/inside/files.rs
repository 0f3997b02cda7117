//! Landlock: the files that may be opened, whatever the path.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::descriptors::Given;
use crate::needs;

/// Allows what the tool needs to start, reading the image and writing the result, by rules on their own descriptors. As
/// far as this kernel supports it, everything else is denied: other files, TCP, signals and abstract sockets of other
/// processes. seccomp refuses what Landlock does not cover (`truncate` before Linux 6.2, `chmod`).
pub(super) fn restrict(tool: &Path, given: &Given) -> Result<(), String> {
    let status = enforce(tool, given).map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel has none, or it is not enabled".to_owned()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn enforce(tool: &Path, given: &Given) -> Result<RestrictionStatus, RulesetError> {
    // Rights that the kernel does not know are left out. ABI 1, the minimum, has everything that opens a file.
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

/// Adds a rule for `path`. A missing file needs none.
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

/// Whether a descriptor is a regular file. Pipes have no rules.
fn is_file(descriptor: std::io::Result<OwnedFd>) -> bool {
    descriptor.and_then(|fd| File::from(fd).metadata()).is_ok_and(|metadata| metadata.is_file())
}
