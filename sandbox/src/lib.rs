//! Runs `qemu-img` on untrusted images in a sandbox without other files, network, keys or other processes.
//!
//! ```text
//! glancecast -- /proc/self/exe, hidden argument --> the same program, one thread, no key, empty environment
//!                                                     namespaces -> private root -> no capabilities -> Landlock
//!                                                     -> limits -> seccomp -> exec qemu-img
//! ```
//!
//! A format may name other files and addresses (backing files, extents, parents), and `qemu-img` would open them.
//! Inspection refuses the images that it recognises as such; the sandbox is for the others. A program calls [`enter`]
//! first thing in its `main`, finds the tool in the strongest [`Confinement`] that the kernel allows with
//! [`QemuImg::find`], and passes it open files. The results are bounded in size and time.
//!
//! | layer | Landlock | namespaces | both |
//! |---|---|---|---|
//! | files | rules for loader, libraries, tool and the two files | a private root with loader, libraries and tool | x |
//! | network | no socket (seccomp); no TCP from Linux 6.7 on | no socket (seccomp); an empty network namespace | x |
//! | processes | ptrace is refused, signals from Linux 6.12 on (seccomp before) | a PID namespace of its own | x |
//!
//! In every confinement: an empty environment, no new privileges, no capabilities, a list of allowed system calls, no
//! new processes, and limits on memory, processor time, elapsed time and the size of files.
//!
//! `RLIMIT_NPROC` is not used. It counts all processes of the user, so a limit that is safe on one machine stops the
//! tool on another. Instead, seccomp allows threads but no processes.

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
