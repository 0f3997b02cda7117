//! Drops, for good, rights that are no longer needed and ways in which keys could leave this process.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Keeps keys out of core files, other processes of the same user out of this one (ptrace(2), "Ptrace access mode
/// checking"), and programs that this one starts from gaining rights. Call it before keys are read.
///
/// `/proc/self/fd/N` can still be opened: a process may always access itself (`ptrace_may_access` and
/// `proc_fd_permission` of the kernel).
///
/// # Errors
/// The error of the system call.
pub fn close_up() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    Ok(())
}

/// Drops every capability except those that the store needs, as root, to give files to their owner. Capabilities belong
/// to a thread: call this after the sockets are open and before another thread is started.
///
/// Joining a group again takes no capability; only a receive buffer above `net.core.rmem_max` does.
///
/// # Errors
/// The error of the system call.
pub fn drop_capabilities() -> io::Result<()> {
    let had = capabilities(None)?;
    if had == NONE {
        return Ok(());
    }
    let kept = if geteuid().is_root() { had.permitted & OF_THE_STORE } else { CapabilitySet::empty() };
    clear_ambient_capability_set()?; // only permitted capabilities can be ambient
    if had.effective.contains(CapabilitySet::SETPCAP) {
        bound(kept)?;
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, ..NONE })?;
    Ok(())
}

/// Removes what is not kept from the bounding set, the limit of what a started program could gain. Without CAP_SETPCAP
/// it cannot be changed, and `no_new_privs` has the same effect.
fn bound(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // This kernel does not know this capability, hence none after it.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

const NONE: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// As root the store takes on its owner's file system identity, and creates missing directories.
const OF_THE_STORE: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);
