//! The policies in force: those of files, and those of the API where no file has their name.

use std::fs;
use std::path::Path;

use crate::policy::{Policies, parse_file, parse_json};
use crate::settings::read_text;
use crate::store::PolicyRow;

/// The policies, and what is wrong with those that are not among them.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The policies.
    pub policies: Policies,
    /// A line for each mistake.
    pub mistakes: Vec<String>,
}

/// Reads the files of a directory, in the order of their names, and adds the policies of the API.
///
/// # Errors
/// Every mistake in the files: a policy that cannot be read may be one that keeps images where they are, so that none counts.
pub(super) fn read(directory: Option<&Path>, of_api: &[PolicyRow]) -> Result<Listing, Vec<String>> {
    let mut listed = Vec::new();
    let mut mistakes = Vec::new();
    for path in directory.map_or(Ok(Vec::new()), files)? {
        let shown = path.display().to_string();
        match read_text(&path) {
            Ok(text) => match parse_file(&shown, &text) {
                Ok(policies) => listed.extend(policies),
                Err(found) => mistakes.push(found.to_string()),
            },
            Err(reason) => mistakes.push(format!("{shown}: {reason}")),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let policies = Policies::of_files(listed).map_err(|found| vec![found.to_string()])?;
    let mut listing = Listing { policies, mistakes: Vec::new() };
    for row in of_api {
        match parse_json(row.body.as_bytes()) {
            Ok(policy) => {
                if let Err(error) = listing.policies.add(policy) {
                    listing.mistakes.push(format!("policy {:?} of the API: {error}", row.name));
                }
            }
            Err(found) => listing.mistakes.push(format!("policy {:?} of the API: {found}", row.name)),
        }
    }
    Ok(listing)
}

fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>, Vec<String>> {
    let fault = |error: std::io::Error| vec![format!("policies {}: {error}", directory.display())];
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
