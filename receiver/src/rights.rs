//! What this process gives up for good: rights that it has used, and ways in which its keys could leave it.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Lets no key into a core file, no process of the same user look into this one (ptrace(2), "Ptrace access mode
/// checking"), and no program that this one starts gain rights. It is called before keys are read.
///
/// `/proc/self/fd/N` can still be opened: a process may always look into itself (`ptrace_may_access` and
/// `proc_fd_permission` of the kernel).
///
/// # Errors
/// What the system said.
pub fn close_up() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    Ok(())
}

/// Gives up every capability but those that the store needs where this process is root, which gives files to their owner.
/// A capability is a thread's: this is called after the sockets are open, and before another thread is started.
///
/// Joining a group anew takes no capability; only a receive buffer above `net.core.rmem_max` does.
///
/// # Errors
/// What the system said.
pub fn drop_capabilities() -> io::Result<()> {
    let had = capabilities(None)?;
    if had == NONE {
        return Ok(());
    }
    let kept = if geteuid().is_root() { had.permitted & OF_THE_STORE } else { CapabilitySet::empty() };
    clear_ambient_capability_set()?; // of what is not permitted none is ambient
    if had.effective.contains(CapabilitySet::SETPCAP) {
        bound(kept)?;
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, ..NONE })?;
    Ok(())
}

/// Takes what is not kept out of the bounding set: the limit of what a program that is started could gain. Without
/// CAP_SETPCAP it cannot be changed, and `no_new_privs` has the same effect.
fn bound(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // One that this kernel does not know, and so none after it.
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

/// As root the store is used with the file system identity of its owner, and makes the directories that are missing.
const OF_THE_STORE: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);
