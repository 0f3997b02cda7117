//! The kernel's limits for socket buffers. The manuals of udpcast and UFTP ask for larger ones than the default. The
//! limits apply to all network namespaces, so they are raised only for a run and restored after it.

use std::fs;

use anyhow::{Context, Result};

/// The limits at one time.
#[derive(Debug, Clone)]
pub struct Buffers(Vec<(&'static str, String)>);

/// Raised limits, which are restored on drop.
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

    /// Restores the limits.
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
    /// Raises limits that are lower than needed.
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

/// Returns the limits of a run in the format of `sysctl`.
pub fn shown() -> Vec<String> {
    LIMITS.iter().map(|(name, value)| format!("net.core.{name}={value}")).collect()
}

fn path(name: &str) -> String {
    format!("/proc/sys/net/core/{name}")
}

/// udpcast sets no buffer size and uses the default; UFTP requests up to 100 MiB.
const LIMITS: &[(&str, u64)] = &[("rmem_default", 8 << 20), ("rmem_max", 100 << 20), ("wmem_max", 100 << 20)];
