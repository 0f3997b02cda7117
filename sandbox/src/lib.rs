//! `qemu-img` on a stranger's image, in a sandbox where it finds nothing else: no file, no network, no key, no other process.
//!
//! ```text
//! glancecast -- /proc/self/exe, hidden argument --> the same program, one thread, no key, empty environment
//!                                                     namespaces -> private root -> no capabilities -> Landlock
//!                                                     -> limits -> seccomp -> exec qemu-img
//! ```
//!
//! A format may name other files and addresses (backing files, extents, parents), and `qemu-img` would open them. Inspection
//! refuses such images; the sandbox is for those that inspection does not know. A program calls [`enter`] before anything else
//! in its `main`, asks [`QemuImg::find`] for the tool in the strongest [`Confinement`] that the kernel allows, and hands it
//! open files. What comes back is bounded in size and in time.
//!
//! | layer | Landlock | namespaces | both |
//! |---|---|---|---|
//! | files | rules for the loader, libraries, the tool, and the two files | a private root with the loader, libraries, the tool | x |
//! | network | no socket (seccomp); no TCP from Linux 6.7 on | no socket (seccomp); an empty network namespace | x |
//! | processes | ptrace is refused, signals from Linux 6.12 on (seccomp before) | a PID namespace of its own | x |
//!
//! In each of them: an empty environment, no new privileges, no capabilities, a list of allowed system calls, no new processes, and
//! limits on memory, processor time, elapsed time and the size of files.
//!
//! `RLIMIT_NPROC` is not used: it counts all processes of the user, so that a limit that is safe for one machine stops the tool on
//! another. seccomp allows threads and no processes instead.

mod info;
mod inside;
mod job;
mod needs;
mod run;
mod said;
mod tool;

pub use info::{Info, InfoError, not_opened};
pub use inside::enter;
pub use job::{Confinement, Limits};
pub use run::{Patience, ToolError};
pub use tool::{Launcher, QemuImg, Unavailable, Unsandboxed};
