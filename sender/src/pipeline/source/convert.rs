//! `qemu-img` in its sandbox: it determines an image's format, and converts the image to raw, once for all hosts.
//!
//! The image has been inspected before. `qemu-img` is the second opinion: it must find the same format, and no file but
//! the image itself. Both files are passed as open descriptors. The result has no name and disappears with the process,
//! however that ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glancecast_inspect::{Facts, Format, Refusal};
use glancecast_sandbox::{
    Confinement, Info, Patience, QemuImg, ToolError, Unavailable, Unsandboxed, not_opened,
};
use nix::sys::statvfs::fstatvfs;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Why an image could not be converted to raw.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// `qemu-img` is not installed.
    #[error(
        "qemu-img is needed to convert it to raw: install it (Debian: qemu-utils, RHEL: qemu-img), or send it --as-is"
    )]
    NoTool,
    /// `qemu-img` would run without a sandbox.
    #[error(
        "there is no sandbox for qemu-img here ({0}), and an image that has to be converted is refused without one: enable \
         Landlock (lsm=landlock,... on the kernel's command line) or user namespaces, or run as root; \
         or accept the risk with --allow-unsandboxed"
    )]
    NoSandbox(Unavailable),
    /// `qemu-img` disagrees with the inspection.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is too little space for the disk.
    #[error(
        "its disk of {needed} bytes does not fit in --spool {spool}, where {free} are free: choose another directory"
    )]
    NoSpace { needed: u64, free: u64, spool: String },
    /// The directory became full while data was written.
    #[error(
        "its data does not fit in --spool {spool}, where {free} bytes were free before: choose another directory"
    )]
    Full { free: u64, spool: String },
    /// `qemu-img` failed.
    #[error("converting it to raw: {0}")]
    Tool(#[from] ToolError),
    /// The disk's length differs from what the image states.
    #[error("qemu-img makes a disk of {got} bytes of it instead of {expected}")]
    Length { got: u64, expected: u64 },
    /// A file or process operation failed.
    #[error("converting it in --spool: {0}")]
    Io(#[from] io::Error),
}

impl ConvertError {
    /// Whether the operator has to change something: repeating the push cannot help.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoTool | Self::NoSandbox(_) | Self::NoSpace { .. } | Self::Full { .. } | Self::Refused(_)
        )
    }
}

/// This machine's `qemu-img`, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Tool(Result<QemuImg, Unavailable>);

/// The answer of `qemu-img` about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// It found the same format as the inspection.
    Agrees { virtual_bytes: u64 },
    /// It was not asked, for this reason; only the inspection's result exists.
    NotAsked(Unavailable),
    /// It cannot open the image.
    Unreadable(String),
}

impl Tool {
    /// Finds `qemu-img`, and tries the sandbox.
    pub(crate) async fn find(unsandboxed: Unsandboxed) -> Self {
        let found = spawn_blocking(move || QemuImg::find(unsandboxed)).await;
        Self(found.unwrap_or_else(|error| Err(Unavailable::NoSandbox(error.to_string()))))
    }

    /// Whether `qemu-img` runs unconfined, so that a hostile image could reach all that this process can.
    pub(crate) fn is_unsandboxed(&self) -> bool {
        self.0.as_ref().is_ok_and(|tool| tool.confinement() == Confinement::LimitsOnly)
    }

    /// Asks `qemu-img` for an image's format. Dropping the future ends the tool.
    pub(crate) async fn opinion(&self, image: &File, inspected: Format) -> Result<Opinion, ConvertError> {
        let tool = match &self.0 {
            Ok(tool) => tool.clone(),
            Err(why) => return Ok(Opinion::NotAsked(why.clone())),
        };
        let image = image.try_clone()?;
        let stop = StopOnDrop::default();
        let stopped = stop.0.clone();
        let answer =
            spawn_blocking(move || tool.info(&image, Patience { time: LOOK_TIME, stop: &stopped })).await;
        match answer.map_err(io::Error::other)? {
            Ok(info) => agreed(&info, inspected),
            Err(ToolError::Failed(line)) => Ok(Opinion::Unreadable(line)),
            Err(error) => Err(error.into()),
        }
    }

    /// Does the same for the beginning of an image of `bytes` that is still arriving: QEMU probes only the first 2 KiB.
    pub(crate) async fn opinion_of_head(
        &self,
        head: &[u8],
        bytes: u64,
        inspected: Format,
        spool: &Path,
    ) -> Result<Opinion, ConvertError> {
        if let Err(why) = &self.0 {
            return Ok(Opinion::NotAsked(why.clone()));
        }
        let beginning = tempfile::tempfile_in(spool)?;
        Room::of(&beginning, spool)?.reserve(&beginning, bytes.max(head.len() as u64))?;
        beginning.write_all_at(head, 0)?;
        self.opinion(&beginning, inspected).await
    }

    /// Converts an image to a nameless file in `spool`, and calls `progress` with the percentage done. Dropping the
    /// future ends the tool.
    pub(crate) async fn to_raw(
        &self,
        image: &File,
        facts: Facts,
        spool: &Path,
        progress: impl Fn(&str),
    ) -> Result<File, ConvertError> {
        let raw = tempfile::tempfile_in(spool)?;
        let room = Room::of(&raw, spool)?;
        let tool = match &self.0 {
            Ok(tool) => tool.clone(),
            Err(Unavailable::NotInstalled) => return Err(ConvertError::NoTool),
            Err(why) => return Err(ConvertError::NoSandbox(why.clone())),
        };
        room.reserve(&raw, self.disk_bytes(image, facts).await?)?;
        let (image, result) = (image.try_clone()?, raw.try_clone()?);
        let stop = StopOnDrop::default();
        let stopped = stop.0.clone();
        let (percent, mut percents) = mpsc::unbounded_channel();
        let time =
            CONVERSION_TIME_MIN + Duration::from_secs(facts.virtual_bytes / CONVERSION_BYTES_PER_SECOND);
        let mut conversion = spawn_blocking(move || {
            let patience = Patience { time, stop: &stopped };
            tool.convert(&image, facts.format, &result, patience, &mut |text| {
                let _ = percent.send(text.to_owned());
            })
        });
        loop {
            tokio::select! {
                Some(text) = percents.recv() => progress(&text),
                done = &mut conversion => {
                    done.map_err(io::Error::other)?.map_err(|error| room.judge(error))?;
                    return Ok(raw);
                }
            }
        }
    }

    /// Returns the disk's length, if `qemu-img` and the inspection agree on it.
    async fn disk_bytes(&self, image: &File, facts: Facts) -> Result<u64, ConvertError> {
        let got = match self.opinion(image, facts.format).await? {
            Opinion::Agrees { virtual_bytes } => virtual_bytes,
            Opinion::Unreadable(line) => return Err(not_opened(facts.format, &line).into()),
            Opinion::NotAsked(why) => return Err(ConvertError::NoSandbox(why)),
        };
        // In whole sectors. A VHD states its length in three places, and QEMU chooses between them by its own rules.
        let expected = facts.virtual_bytes.next_multiple_of(512);
        let near = facts.format == Format::Vhd && got.abs_diff(expected) <= VHD_DIFFERENCE_MAX;
        if got != expected && !near {
            return Err(ConvertError::Length { got, expected });
        }
        Ok(got)
    }
}

fn agreed(info: &Info, inspected: Format) -> Result<Opinion, ConvertError> {
    info.agrees(inspected)?;
    Ok(Opinion::Agrees { virtual_bytes: info.virtual_bytes })
}

/// The room in the spool for a file. Where its file system keeps holes, a file takes the room of its data, which nobody
/// knows beforehand: it is written as long as there is room.
pub(crate) struct Room {
    free: u64,
    spool: String,
}

impl Room {
    /// Returns the room for `file`, which lies in the directory `spool`.
    pub(crate) fn of(file: &File, spool: &Path) -> io::Result<Self> {
        let stat = fstatvfs(file)?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        Ok(Self { free, spool: spool.display().to_string() })
    }

    /// Gives the file its length of `bytes`, all of it a hole.
    ///
    /// # Errors
    /// [`ConvertError::NoSpace`] if that takes more room than there is, as where holes are filled with zeros, or if no file
    /// may be as long there.
    pub(crate) fn reserve(&self, file: &File, bytes: u64) -> Result<(), ConvertError> {
        let no_space = || ConvertError::NoSpace { needed: bytes, free: self.free, spool: self.spool.clone() };
        // Where holes take room, filling up the disk to find that out would be in the way of others.
        if bytes > self.free && !keeps_holes(file)? {
            return Err(no_space());
        }
        file.set_len(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                no_space()
            }
            _ => error.into(),
        })
    }

    /// Returns the error of a tool, or that there was no room if that was its reason.
    fn judge(&self, error: ToolError) -> ConvertError {
        match &error {
            ToolError::Failed(line) if [NO_SPACE, NO_QUOTA].iter().any(|text| line.contains(text)) => {
                self.full()
            }
            _ => error.into(),
        }
    }

    /// Returns the error for a spool that became full.
    pub(crate) fn full(&self) -> ConvertError {
        ConvertError::Full { free: self.free, spool: self.spool.clone() }
    }
}

/// Whether the file system of an empty file keeps a hole in it.
fn keeps_holes(file: &File) -> io::Result<bool> {
    file.set_len(HOLE_BYTES)?;
    let allocated = file.metadata()?.blocks() * 512; // st_blocks, see stat(3type)
    file.set_len(0)?;
    Ok(allocated < HOLE_BYTES / 2)
}

const HOLE_BYTES: u64 = 1 << 20;

/// What strerror(3) says of ENOSPC and EDQUOT; `qemu-img` has no environment, and so no other language.
const NO_SPACE: &str = "No space left on device";
const NO_QUOTA: &str = "Disk quota exceeded";

/// Ends a thread that waits for `qemu-img` when its result is no longer awaited.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Wall-clock time, as a hanging file system uses no CPU time; far more than a look takes on a busy machine.
const LOOK_TIME: Duration = Duration::from_secs(60);
/// Lower bounds: even a slow disk on a busy controller writes faster.
const CONVERSION_TIME_MIN: Duration = Duration::from_secs(300);
const CONVERSION_BYTES_PER_SECOND: u64 = 2 << 20;
/// The largest rounding of a VHD's geometry: one cylinder of 16 * 255 sectors.
const VHD_DIFFERENCE_MAX: u64 = 16 * 255 * 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_longer_than_the_free_space_is_begun_as_a_hole_and_one_that_no_file_can_be_is_not() {
        let (file, spool) = (tempfile::tempfile().expect("a temporary file"), Path::new("/spool"));
        let room = Room { free: 4_096, ..Room::of(&file, spool).expect("a disk") };
        if keeps_holes(&file).expect("a disk") {
            room.reserve(&file, 1 << 30).expect("a hole takes no room");
            assert_eq!(file.metadata().expect("open").len(), 1 << 30);
        }
        let error = room.reserve(&file, i64::MAX as u64).expect_err("no file is so long");
        assert!(matches!(error, ConvertError::NoSpace { free: 4_096, .. }), "{error}");
        assert!(error.is_usage() && error.to_string().contains("--spool /spool"), "{error}");
    }

    #[test]
    fn a_spool_that_becomes_full_is_named_whatever_noticed_it() {
        let room = Room { free: 7, spool: "/spool".to_owned() };
        for line in ["error while writing at byte 0: No space left on device", "write: Disk quota exceeded"] {
            let error = room.judge(ToolError::Failed(line.to_owned()));
            assert!(matches!(error, ConvertError::Full { free: 7, .. }) && error.is_usage(), "{error}");
        }
        let other = room.judge(ToolError::Failed("Input/output error".to_owned()));
        assert!(matches!(other, ConvertError::Tool(_)), "{other}");
    }

    #[test]
    fn without_a_sandbox_nothing_is_converted_and_the_message_says_what_to_do() {
        let image = tempfile::tempfile().expect("a temporary file");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let facts = Facts { format: Format::Qcow2, virtual_bytes: 512, overhang: None, odd: None };
        let tool = Tool(Err(Unavailable::NoSandbox("Landlock: none".to_owned())));
        let error =
            runtime().block_on(tool.to_raw(&image, facts, directory.path(), |_| {})).expect_err("no box");
        let text = error.to_string();
        assert!(text.contains("Landlock: none") && text.contains("--allow-unsandboxed"), "{text}");
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }
}
