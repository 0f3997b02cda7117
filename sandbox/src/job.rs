//! What the program tells the process in the sandbox, as JSON in its second argument. There is no secret in it.

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// The first argument of a process that is to become the tool.
pub(crate) const HIDDEN: &str = "__qemu-img-in-the-sandbox";

/// The exit code of a process that could not confine itself. `qemu-img` has 0 to 3.
pub(crate) const EXIT_UNCONFINED: i32 = 125;

/// What begins a line of such a process on standard error.
pub(crate) const MARK: &str = "sandbox: ";

/// How the tool is kept from everything else. Each but [`Confinement::LimitsOnly`] holds alone: the file system is confined and
/// the network is cut. All of one is there, or the tool is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// Landlock's rules within a root and namespaces of its own.
    LandlockInNamespaces,
    /// Landlock's rules: where namespaces are not allowed.
    Landlock,
    /// A root and namespaces of its own: where there is no Landlock.
    Namespaces,
    /// None: an empty environment, no capabilities and limits. For operators who accept the risk.
    LimitsOnly,
}

impl Confinement {
    /// Those that hold, the strongest first.
    pub const HOLDING: [Self; 3] = [Self::LandlockInNamespaces, Self::Landlock, Self::Namespaces];

    pub(crate) fn has_landlock(self) -> bool {
        matches!(self, Self::LandlockInNamespaces | Self::Landlock)
    }

    pub(crate) fn has_namespaces(self) -> bool {
        matches!(self, Self::LandlockInNamespaces | Self::Namespaces)
    }

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LandlockInNamespaces => "Landlock and namespaces",
            Self::Landlock => "Landlock",
            Self::Namespaces => "namespaces",
            Self::LimitsOnly => "limits only",
        }
    }
}

/// What the tool may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_AS`.
    pub address_space_bytes: u64,
    /// `RLIMIT_CPU`.
    pub cpu_seconds: u64,
    /// `RLIMIT_FSIZE`: how long a file that it writes may get.
    pub file_bytes: u64,
    /// Added to the priority of the program; 19 is the least urgent.
    pub nice: i32,
}

/// One run of the tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) tool: PathBuf,
    pub(crate) confinement: Confinement,
    pub(crate) action: Action,
    pub(crate) limits: Limits,
    /// Where this is the process in the new namespaces, which mounts and executes; else the one that makes them.
    pub(crate) within_namespaces: bool,
    /// The process that waits for it: without it nobody does.
    pub(crate) parent: i32,
}

/// What the tool does with the files that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// Says its version: what is tried first.
    Version,
    /// Says what an image is, as QEMU's own probe finds.
    Info,
    /// Writes an image of this format as raw into the result, which has the length of the disk and is all zeros.
    Convert { format: String },
}

impl Action {
    /// The arguments of `qemu-img`; the numbers are those of the files' descriptors.
    pub(crate) fn arguments(&self, image: RawFd, result: RawFd) -> Vec<String> {
        match self {
            Self::Version => vec!["--version".into()],
            // -U: somebody may have it open for writing, and this only reads its headers.
            Self::Info => vec!["info".into(), "--output=json".into(), "-U".into(), descriptor(image)],
            // -t unsafe: the result need not outlive a crash. -n: the file is there, and is opened by its descriptor.
            Self::Convert { format } => {
                ["convert", "-p", "-t", "unsafe", "-n", "--target-is-zero", "-O", "raw"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([without_backing(format, image), descriptor(result)])
                    .collect()
            }
        }
    }
}

/// QEMU opens it by this name, which is another way to the same open file.
pub(crate) fn descriptor(number: RawFd) -> String {
    format!("/proc/self/fd/{number}")
}

/// The image in a format that is named and with no backing file, whatever its header says. Every format driver takes
/// `"backing": null` (`bdrv_open_inherit` in QEMU's block.c). There is no such word for the data file of a qcow2, which
/// inspection and `qemu-img info` refuse; in the sandbox it cannot be opened.
fn without_backing(format: &str, image: RawFd) -> String {
    let file = json!({ "driver": "file", "filename": descriptor(image) });
    format!("json:{}", json!({ "driver": format, "backing": null, "file": file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_converted_by_descriptors_in_a_named_format_with_no_backing_file() {
        let arguments = Action::Convert { format: "vmdk".into() }.arguments(3, 4);
        let source: serde_json::Value =
            serde_json::from_str(arguments[8].strip_prefix("json:").expect("QEMU's JSON")).expect("JSON");
        assert_eq!(source["driver"], "vmdk");
        assert!(
            source.as_object().expect("an object").contains_key("backing") && source["backing"].is_null()
        );
        assert_eq!(source["file"], json!({ "driver": "file", "filename": "/proc/self/fd/3" }));
        assert_eq!(arguments[9], "/proc/self/fd/4");
    }
}
