//! Every dependency that is built has a licence that `deny.toml` accepts; the test needs only Cargo.
//!
//! `cargo deny check licenses` checks the same and more in a job of its own (`.github/workflows/ci.yml`). It is not
//! part of `make test`: Debian does not package it, and building it takes minutes.

use std::fs;
use std::process::{Command, Stdio};

use glancecast_tests::{measured, places};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

#[test]
fn every_dependency_has_an_accepted_licence() {
    let deny: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let allowed = strings(&deny["licenses"]["allow"]);
    let allowed: Vec<Licensee> =
        allowed.iter().map(|name| Licensee::parse(name).unwrap_or_else(|error| panic!("{error}"))).collect();
    let packages = packages();
    let refused: Vec<String> = packages.iter().filter_map(|package| complaint(package, &allowed)).collect();
    assert!(refused.is_empty(), "not accepted by deny.toml:\n{}", refused.join("\n"));
    measured!("{} packages, {} licences accepted", packages.len(), allowed.len());
}

#[test]
fn every_dependency_comes_from_the_index_that_deny_toml_names() {
    let deny: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let allowed: Vec<String> =
        strings(&deny["sources"]["allow-registry"]).iter().map(|index| format!("registry+{index}")).collect();
    let lock: toml::Table = read("Cargo.lock").parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("Cargo.lock lists packages");
    let sources = packages.iter().filter_map(|package| package.get("source")?.as_str());
    let strange: Vec<&str> = sources.filter(|source| !allowed.iter().any(|index| index == source)).collect();
    assert!(strange.is_empty(), "not accepted by deny.toml: {strange:?}");
}

/// Returns why a package is not accepted, if so.
fn complaint(package: &Value, allowed: &[Licensee]) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    let Some(expression) = package["license"].as_str() else {
        return Some(format!("{name}: names no licence"));
    };
    // Lax: old manifests write MIT/Apache-2.0.
    match Expression::parse_mode(expression, ParseMode::LAX) {
        Ok(parsed) => {
            let accepted = parsed.evaluate(|needed| allowed.iter().any(|licence| licence.satisfies(needed)));
            (!accepted).then(|| format!("{name}: {expression}"))
        }
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// Returns all packages that this platform builds, as Cargo resolves them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &platform()]);
    let output = cargo.current_dir(places::workspace()).stdin(Stdio::null()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let built: Vec<&Value> = metadata["resolve"]["nodes"].as_array().expect("nodes").iter().collect();
    let all = metadata["packages"].as_array().expect("packages");
    all.iter().filter(|package| built.iter().any(|node| node["id"] == package["id"])).cloned().collect()
}

/// Returns Cargo's name of this platform.
fn platform() -> String {
    let output = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_else(|| panic!("no host in {text}")).to_owned()
}

fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string")).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(places::workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
