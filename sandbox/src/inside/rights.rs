//! Limits and capabilities of the process, which the tool keeps.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;
use rustix::process::nice;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::descriptors::Given;
use crate::job::Limits;

/// Sets the limits, the priority and the mode of new files.
pub(super) fn limit(limits: Limits) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::RLIMIT_AS, limits.address_space_bytes),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
    ] {
        // Hard and soft: a soft one sends a signal, which the first process of a PID namespace need not obey.
        setrlimit(resource, limit, limit)?;
    }
    // It fails where systemd's filter refuses it, and is no part of the confinement.
    let _ = nice(limits.nice);
    Ok(())
}

/// An image, a result, libraries one after the other, event descriptors.
const OPEN_FILES: u64 = 64;

/// Gives up every capability, for the tool too. Root alone has any. Root without them reads its own files and those that all may
/// read; for an image of somebody else (Glance's are) it keeps the one to read, within what Landlock or the root of the
/// namespaces leave.
pub(super) fn drop_capabilities(given: &Given) -> io::Result<()> {
    let kept = if needs_to_read(given)? { CapabilitySet::DAC_READ_SEARCH } else { CapabilitySet::empty() };
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        // Those that this kernel does not have, or that this process may not take away: it has none then.
        if !kept.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    // Who executes a program as root gets what is in the inheritable and the bounding set; capabilities(7). Without new privileges it
    // gets no more than it has.
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    // A service without any may not be allowed the system call, either.
    if capabilities(None)? != sets {
        set_capabilities(None, sets)?;
    }
    Ok(())
}

fn needs_to_read(given: &Given) -> io::Result<bool> {
    let (image, _) = given.files();
    let metadata = File::from(image.try_clone_to_owned()?).metadata()?;
    let mine = metadata.uid() == 0 && metadata.permissions().mode() & 0o400 != 0;
    Ok(geteuid().is_root() && !mine && metadata.permissions().mode() & 0o004 == 0)
}
