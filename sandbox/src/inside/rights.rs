//! Limits and capabilities of the process, which the tool inherits.

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

/// Sets the resource limits and the priority.
pub(super) fn limit(limits: Limits) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::RLIMIT_AS, limits.address_space_bytes),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
    ] {
        // Both hard and soft: a soft limit sends a signal, which the first process of a PID namespace may ignore.
        setrlimit(resource, limit, limit)?;
    }
    // This fails if systemd's filter refuses it. It is not part of the confinement.
    let _ = nice(limits.nice);
    Ok(())
}

/// An image, a result, one library at a time, event descriptors.
const OPEN_FILES: u64 = 64;

/// Drops every capability, also for the tool. Only root has any. Root without capabilities reads its own and
/// world-readable files. For an image of another owner, as Glance's are, it keeps the capability to read, within what
/// Landlock or the private root allow.
pub(super) fn drop_capabilities(given: &Given) -> io::Result<()> {
    let kept = if needs_to_read(given)? { CapabilitySet::DAC_READ_SEARCH } else { CapabilitySet::empty() };
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        // Skips those that this kernel lacks. Without the right to drop them, this process has no capabilities.
        if !kept.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    // As root, exec grants what is in the inheritable and the bounding set; capabilities(7). With no_new_privs it
    // grants nothing that the process does not have.
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    // A service without capabilities may be denied this system call.
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
