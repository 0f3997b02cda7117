//! The kernel's limits for socket buffers. The manuals of udpcast and UFTP ask for larger ones than the usual; they
//! hold for all network namespaces, so they are raised for a run only, and put back after it.

use std::fs;

use anyhow::{Context, Result};

/// What the limits were.
#[derive(Debug, Clone)]
pub struct Buffers(Vec<(&'static str, String)>);

/// Raised limits; dropping it puts back what was.
#[derive(Debug)]
pub struct Raised(Buffers);

impl Buffers {
    /// Reads the limits.
    pub fn read() -> Result<Self> {
        let limits = LIMITS.iter().map(|(name, _)| {
            let value =
                fs::read_to_string(path(name)).with_context(|| format!("cannot read net.core.{name}"))?;
            Ok((*name, value.trim().to_owned()))
        });
        Ok(Self(limits.collect::<Result<_>>()?))
    }

    /// Puts the limits back.
    pub fn restore(&self) {
        for (name, value) in &self.0 {
            if fs::read_to_string(path(name)).is_ok_and(|now| now.trim() == value) {
                continue;
            }
            if let Err(error) = fs::write(path(name), value) {
                eprintln!("cannot put net.core.{name} back to {value}: {error}");
            }
        }
    }
}

impl Raised {
    /// Raises limits that are lower than ours.
    pub fn raise() -> Result<Self> {
        let before = Buffers::read()?;
        for ((name, wanted), (_, value)) in LIMITS.iter().zip(&before.0) {
            if value.parse::<u64>().is_ok_and(|value| value < *wanted) {
                fs::write(path(name), wanted.to_string())
                    .with_context(|| format!("cannot raise net.core.{name}"))?;
            }
        }
        Ok(Self(before))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.restore();
    }
}

/// The limits as they are in a run, as one would set them.
pub fn shown() -> Vec<String> {
    LIMITS.iter().map(|(name, value)| format!("net.core.{name}={value}")).collect()
}

fn path(name: &str) -> String {
    format!("/proc/sys/net/core/{name}")
}

/// udpcast asks for no buffer of its own and takes the default; UFTP asks for up to 100 MiB.
const LIMITS: &[(&str, u64)] = &[("rmem_default", 8 << 20), ("rmem_max", 100 << 20), ("wmem_max", 100 << 20)];
