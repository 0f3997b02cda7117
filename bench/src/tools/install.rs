//! Installs the compared programs from the distribution's packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use glancecast_tests::places;

/// Installs missing programs, or only names them if `only_name`.
pub fn install(only_name: bool) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if only_name || places::tool("apt-get").is_none() {
        bail!("not installed: {packages} (names of Debian's packages)");
    }
    println!("installing {packages}");
    let _quiet = NoServices::begin()?;
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat())
}

fn missing() -> Vec<&'static str> {
    PROGRAMS
        .iter()
        .filter(|(program, _)| places::tool(program).is_none())
        .map(|(_, package)| *package)
        .collect()
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
    let status = status.context("cannot run apt-get")?;
    ensure!(status.success(), "apt-get {} ended with {status}", arguments.join(" "));
    Ok(())
}

/// While this exists, packages start no services: the benchmark runs its own, in its own networks.
struct NoServices(Option<PathBuf>);

impl NoServices {
    fn begin() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None)); // the machine has its own policy
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n").context("cannot keep packages from starting services")?;
        let held = Self(Some(policy.to_path_buf()));
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .context("cannot make a file executable")?;
        Ok(held)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.0
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("versus: cannot remove {}: {error}", policy.display());
        }
    }
}

/// Programs and their packages.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
    ("udp-sender", "udpcast"),
    ("uftp", "uftp"),
    ("nginx", "nginx"),
    ("curl", "curl"),
    ("aria2c", "aria2"),
    ("opentracker", "opentracker"),
    ("mktorrent", "mktorrent"),
];
