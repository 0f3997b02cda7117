//! An image made raw, once for all hosts: `qemu-img convert` on open files, with limits.
//!
//! The image has been inspected before, and its format is named, so that nothing is guessed and nothing outside of it is
//! opened. Both files are handed over open: the result needs no name and is gone with the process, however that ends.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use glancecast_inspect::{Facts, Format};
use nix::sys::statvfs::fstatvfs;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Why there is no raw image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    /// The tool is not there.
    #[error("qemu-img is needed to convert it to raw: install it (Debian: qemu-utils), or send it --as-is")]
    NoTool,
    /// The disk may not fit.
    #[error(
        "its disk of {needed} bytes may not fit in --spool {spool}, where {free} are free: choose another directory"
    )]
    NoSpace { needed: u64, free: u64, spool: String },
    /// It took more than it may.
    #[error(
        "converting it took more than {cpu_seconds} s of processor time, which no sound image of its size does"
    )]
    TooSlow { cpu_seconds: u64 },
    /// The tool failed.
    #[error("qemu-img does not convert it: {0}")]
    Tool(String),
    /// The result is not the disk that the image said it would be.
    #[error("converted, it has {got} bytes instead of {expected}")]
    Length { got: u64, expected: u64 },
    /// Files or processes.
    #[error("converting it in --spool: {0}")]
    Io(#[from] io::Error),
}

/// Converts an image to a nameless file in `spool`. `progress` is told how many percent are done. Dropped, it kills the tool.
pub(crate) async fn to_raw(
    image: &File,
    facts: Facts,
    spool: &Path,
    progress: impl Fn(&str),
) -> Result<File, ConvertError> {
    let raw = tempfile::tempfile_in(spool)?;
    check_space(&raw, facts.virtual_bytes, spool)?;
    let cpu_seconds = CPU_SECONDS_MIN + facts.virtual_bytes / CPU_BYTES_PER_SECOND;
    // In the units of a POSIX shell's ulimit; VHD's own length may differ a little.
    let file_blocks = facts.virtual_bytes / 512 + (1 << 20) / 512;
    let mut tool = Command::new("sh")
        .args(["-c", SCRIPT, "sh", facts.format.qemu_name()])
        .args([cpu_seconds, ADDRESS_SPACE_KIB, file_blocks].map(|limit| limit.to_string()))
        .env("LC_ALL", "C")
        .stdin(Stdio::from(image.try_clone()?))
        .stdout(Stdio::from(raw.try_clone()?))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = tool.stderr.take().expect("it is piped");
    let mut text = Said::default();
    let mut buffer = [0; 4096];
    loop {
        match said.read(&mut buffer).await? {
            0 => break,
            got => text.add(&buffer[..got], &progress),
        }
    }
    text.end(&progress);
    judge(tool.wait().await?, &text, cpu_seconds)?;
    let got = raw.metadata()?.len();
    // Whole sectors; what a VHD says of its length in three places, QEMU reads as it sees fit.
    let expected = facts.virtual_bytes.next_multiple_of(512);
    if got != expected && facts.format != Format::Vhd {
        return Err(ConvertError::Length { got, expected });
    }
    Ok(raw)
}

/// All of the disk has to fit, even if most of it will be holes.
pub(crate) fn check_space(file: &File, needed: u64, spool: &Path) -> Result<(), ConvertError> {
    let stat = fstatvfs(file).map_err(io::Error::from)?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    if needed > free {
        return Err(ConvertError::NoSpace { needed, free, spool: spool.display().to_string() });
    }
    Ok(())
}

fn judge(status: ExitStatus, text: &Said, cpu_seconds: u64) -> Result<(), ConvertError> {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(127), _) => Err(ConvertError::NoTool),
        (_, Some(nix::libc::SIGXCPU | nix::libc::SIGKILL)) => Err(ConvertError::TooSlow { cpu_seconds }),
        _ if text.line.is_empty() => Err(ConvertError::Tool(status.to_string())),
        _ => Err(ConvertError::Tool(text.line.clone())),
    }
}

/// What the tool writes: percentages that overwrite each other, and a line when something is wrong.
#[derive(Default)]
struct Said {
    /// The last line that is no percentage, as far as it is of use.
    line: String,
    piece: String,
}

impl Said {
    fn add(&mut self, bytes: &[u8], progress: &impl Fn(&str)) {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end(progress),
                b' '..=b'~' if self.piece.len() < LINE_MAX => self.piece.push(char::from(byte)),
                _ => {}
            }
        }
    }

    fn end(&mut self, progress: &impl Fn(&str)) {
        let piece = std::mem::take(&mut self.piece);
        match piece.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix("/100%)")) {
            Some(percent) => progress(percent),
            None if piece.trim().is_empty() => {}
            None => self.line = piece.trim().replace("qemu-img: ", "").replace(RESULT, "the result"),
        }
    }
}

/// Limits for what reads a stranger's image, the least priority, no core file; standard input is the image, standard output
/// the result, and all that the tool says goes to standard error. `-t unsafe`: the result need not outlive a crash.
const SCRIPT: &str = "\
exec 3<&0 4>&1 </dev/null 1>&2
ulimit -c 0 && ulimit -t \"$2\" && ulimit -v \"$3\" && ulimit -f \"$4\" || exit 1
exec nice -n 19 qemu-img convert -p -t unsafe -f \"$1\" -O raw /proc/self/fd/3 /proc/self/fd/4";
const RESULT: &str = "/proc/self/fd/4";

/// 1 GiB, as Nova allows qemu-img when it looks at an image; converting took less than 400 MB.
const ADDRESS_SPACE_KIB: u64 = 1 << 20;
/// What Nova allows for a look, and time to unpack: 8 MiB a second is a tenth of what one slow core does.
const CPU_SECONDS_MIN: u64 = 30;
const CPU_BYTES_PER_SECOND: u64 = 8 << 20;
/// A line of the tool's that is shown, at most.
const LINE_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn percentages_are_progress_and_the_rest_is_the_reason() {
        let told = RefCell::new(Vec::new());
        let progress = |percent: &str| told.borrow_mut().push(percent.to_owned());
        let mut said = Said::default();
        for piece in
            ["    (0.00/1", "00%)\r    (52.43/100%)\r", "qemu-img: /proc/self/fd/4: \x1b[31mbroken\n\r"]
        {
            said.add(piece.as_bytes(), &progress);
        }
        assert_eq!(*told.borrow(), ["0.00", "52.43"]);
        assert_eq!(said.line, "the result: [31mbroken");
    }

    #[test]
    fn a_tool_that_says_much_is_cut_short() {
        let mut said = Said::default();
        said.add(&vec![b'x'; 1 << 20], &|_| {});
        said.add(b"\n", &|_| {});
        assert_eq!(said.line.len(), LINE_MAX);
    }

    #[test]
    fn a_disk_that_cannot_fit_is_not_begun() {
        let image = tempfile::tempfile().expect("a temporary file");
        image.write_all_at(b"QFI\xfb", 0).expect("it takes bytes");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let facts = Facts { format: Format::Qcow2, virtual_bytes: 1 << 60 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error =
            runtime.block_on(to_raw(&image, facts, directory.path(), |_| {})).expect_err("no such disk");
        assert!(matches!(error, ConvertError::NoSpace { .. }), "{error}");
    }
}
