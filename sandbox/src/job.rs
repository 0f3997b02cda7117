//! What the program passes to the process in the sandbox, as JSON in its second argument. It contains no secret.

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// The first argument of a process that is to become the tool.
pub(crate) const HIDDEN: &str = "__qemu-img-in-the-sandbox";

/// The exit code of a process that could not confine itself. `qemu-img` uses 0 to 3.
pub(crate) const EXIT_UNCONFINED: i32 = 125;

/// The prefix of such a process's error message on standard error.
pub(crate) const MARK: &str = "sandbox: ";

/// How the tool is isolated. Each variant except [`Confinement::LimitsOnly`] suffices alone: it confines the file
/// system and cuts the network. If any part of it fails, the tool is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// Landlock rules, in namespaces with a private root.
    LandlockInNamespaces,
    /// Landlock rules only: if namespaces are not allowed.
    Landlock,
    /// Namespaces with a private root only: if there is no Landlock.
    Namespaces,
    /// No isolation: an empty environment, no capabilities, and limits. For operators who accept the risk.
    LimitsOnly,
}

impl Confinement {
    /// The variants that isolate, the strongest first.
    pub const HOLDING: [Self; 3] = [Self::LandlockInNamespaces, Self::Landlock, Self::Namespaces];

    pub(crate) fn has_landlock(self) -> bool {
        matches!(self, Self::LandlockInNamespaces | Self::Landlock)
    }

    pub(crate) fn has_namespaces(self) -> bool {
        matches!(self, Self::LandlockInNamespaces | Self::Namespaces)
    }

    /// Returns the name for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LandlockInNamespaces => "Landlock and namespaces",
            Self::Landlock => "Landlock",
            Self::Namespaces => "namespaces",
            Self::LimitsOnly => "limits only",
        }
    }
}

/// The resources that the tool may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_AS`.
    pub address_space_bytes: u64,
    /// `RLIMIT_CPU`.
    pub cpu_seconds: u64,
    /// `RLIMIT_FSIZE`: the maximum length of a file that it writes.
    pub file_bytes: u64,
    /// The increment of the program's nice value; 19 is the lowest priority.
    pub nice: i32,
}

/// How much memory a run of the tool takes. Its needs grow with the number of cores and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Thrift {
    /// Three arenas of the allocator, as Nova and Ironic let `qemu-img` have.
    Usual,
    /// One arena, and one request at a time in a conversion.
    Least,
}

impl Thrift {
    /// Returns the value of `MALLOC_ARENA_MAX`: each arena of glibc reserves 64 MiB of address space, and without a
    /// limit there are eight for each core.
    pub(crate) fn arenas(self) -> &'static str {
        match self {
            Self::Usual => "3",
            Self::Least => "1",
        }
    }
}

/// One run of the tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) tool: PathBuf,
    pub(crate) confinement: Confinement,
    pub(crate) action: Action,
    pub(crate) limits: Limits,
    pub(crate) thrift: Thrift,
    /// Whether this process is already in the new namespaces, where it mounts and executes. Otherwise it creates them.
    pub(crate) within_namespaces: bool,
    /// The process that waits for this one. If it is gone, this one exits.
    pub(crate) parent: i32,
}

/// What the tool does with the files that it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// Prints its version, as a first test.
    Version,
    /// Describes an image as QEMU's own probe detects it.
    Info,
    /// Writes an image of this format as raw into the result, which has the length of the disk and is all zeros.
    Convert { format: String },
}

impl Action {
    /// Returns the arguments of `qemu-img`. `image` and `result` are the numbers of the descriptors.
    pub(crate) fn arguments(&self, image: RawFd, result: RawFd, thrift: Thrift) -> Vec<String> {
        // -m: the number of requests at a time, 8 without it.
        let requests: &[&str] = if thrift == Thrift::Least { &["-m", "1"] } else { &[] };
        match self {
            Self::Version => vec!["--version".into()],
            // -U: another process may have the image open for writing, and this only reads its headers.
            Self::Info => vec!["info".into(), "--output=json".into(), "-U".into(), descriptor(image)],
            // -t unsafe: the result need not survive a crash. -n: the file exists and is opened by its descriptor.
            Self::Convert { format } => {
                ["convert", "-p", "-t", "unsafe", "-n", "--target-is-zero", "-O", "raw"]
                    .iter()
                    .chain(requests)
                    .map(|&argument| argument.to_owned())
                    .chain([without_backing(format, image), descriptor(result)])
                    .collect()
            }
        }
    }
}

/// Returns the name by which QEMU opens a descriptor: another path to the same open file.
pub(crate) fn descriptor(number: RawFd) -> String {
    format!("/proc/self/fd/{number}")
}

/// Returns the image's options with an explicit format and no backing file, whatever its header says. Every format
/// driver accepts `"backing": null` (`bdrv_open_inherit` in QEMU's block.c). There is no such option for the data file
/// of a qcow2: inspection and `qemu-img info` refuse it, and in the sandbox it cannot be opened.
fn without_backing(format: &str, image: RawFd) -> String {
    let file = json!({ "driver": "file", "filename": descriptor(image) });
    format!("json:{}", json!({ "driver": format, "backing": null, "file": file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_converted_by_descriptors_in_a_named_format_with_no_backing_file() {
        let arguments = Action::Convert { format: "vmdk".into() }.arguments(3, 4, Thrift::Usual);
        let source: serde_json::Value =
            serde_json::from_str(arguments[8].strip_prefix("json:").expect("QEMU's JSON")).expect("JSON");
        assert_eq!(source["driver"], "vmdk");
        assert!(
            source.as_object().expect("an object").contains_key("backing") && source["backing"].is_null()
        );
        assert_eq!(source["file"], json!({ "driver": "file", "filename": "/proc/self/fd/3" }));
        assert_eq!(arguments[9], "/proc/self/fd/4");
    }

    #[test]
    fn where_memory_is_short_one_request_at_a_time_is_made() {
        let arguments = |thrift| Action::Convert { format: "vmdk".into() }.arguments(3, 4, thrift);
        let (usual, least) = (arguments(Thrift::Usual), arguments(Thrift::Least));
        assert!(!usual.contains(&"-m".to_owned()));
        assert_eq!((&least[8..10], &least[10..]), (&["-m".to_owned(), "1".to_owned()][..], &usual[8..]));
        assert_eq!(Action::Info.arguments(3, 4, Thrift::Least), Action::Info.arguments(3, 4, Thrift::Usual));
    }
}
