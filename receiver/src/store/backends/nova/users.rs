//! Which instance uses a file of Nova's cache: one with a disk that is an overlay on it (Nova's `images_type=qcow2`).
//!
//! The header of each qcow2 below the instances is read, and its backing file compared by the last part of its path: a
//! Nova in a container knows the file by another path. Nothing is executed, and nothing is followed. Every file of an
//! instance is looked at, as a rescued, resized or moved one has its disk under another name. What cannot be looked at
//! may be a user: then the error says so, and nothing is removed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use glancecast_proto::wire::printable;

use crate::store::anchor::Anchor;
use crate::store::dir::{Access, Dir};
use crate::store::name::Name;

/// Returns what uses a file of the cache, in words. `skipped` are directories that hold no disks.
///
/// # Errors
/// If some directory or file cannot be looked at, or there are too many.
pub(super) fn user_of(instances: &Anchor, skipped: &[&str], file: &str) -> io::Result<Option<String>> {
    let mut search = Search { file, left: ENTRIES_MAX };
    let dir = instances.dir()?;
    for name in dir.list()? {
        if name.as_str().starts_with('.') || skipped.contains(&name.as_str()) {
            continue;
        }
        if search.below(&dir, &name, DEPTH)? {
            return Ok(Some(format!("instance {}", printable(name.as_str()))));
        }
    }
    Ok(None)
}

struct Search<'a> {
    file: &'a str,
    /// Entries that may still be looked at.
    left: usize,
}

impl Search<'_> {
    /// Whether a disk of this name, or in the directory of this name, is an overlay on the file.
    fn below(&mut self, dir: &Dir, name: &Name, depth: u32) -> io::Result<bool> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            io::Error::other(format!(
                "more than {ENTRIES_MAX} files are there: look for its instances by hand"
            ))
        })?;
        match dir.open_file(name, Access::Read) {
            Ok(disk) => return Ok(backing_file(&disk)?.is_some_and(|backing| names(&backing, self.file))),
            Err(error) if is_gone(&error) => return Ok(false),
            // A directory, a socket, a link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) if is_link(&error) => return Ok(false),
            Err(error) => return Err(at(dir, name, &error)),
        }
        let below = match dir.below(name) {
            Ok(below) => below,
            Err(error)
                if is_gone(&error) || is_link(&error) || error.kind() == io::ErrorKind::NotADirectory =>
            {
                return Ok(false);
            }
            Err(error) => return Err(at(dir, name, &error)),
        };
        if depth == 0 {
            return Ok(false);
        }
        for name in below.list().map_err(|error| at(dir, name, &error))? {
            if self.below(&below, &name, depth - 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the backing file that a qcow2 names; `None` if it names none, or is no qcow2.
fn backing_file(disk: &File) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    match disk.read_exact_at(&mut header, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some((offset, len)) = backing_field(&header) else { return Ok(None) };
    let mut name = vec![0; len];
    match disk.read_exact_at(&mut name, offset) {
        Ok(()) => Ok(Some(String::from_utf8_lossy(&name).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns where a qcow2 header has the name of its backing file, and its length (QEMU's docs/interop/qcow2.rst).
fn backing_field(header: &[u8; HEADER_BYTES]) -> Option<(u64, usize)> {
    let (magic, rest) = header.split_at(4);
    let offset = u64::from_be_bytes(*rest[4..].first_chunk()?);
    let len = u32::from_be_bytes(*rest[12..].first_chunk()?) as usize;
    // The end of what pread(2) can name.
    let is_there = offset != 0 && offset <= i64::MAX as u64 - BACKING_MAX as u64;
    (magic == MAGIC && is_there && (1..=BACKING_MAX).contains(&len)).then_some((offset, len))
}

/// Whether a backing file is this file of the cache. `FILE_20` is another one, that older Novas have made of it.
fn names(backing: &str, file: &str) -> bool {
    backing.match_indices(file).any(|(at, _)| !backing[at + file.len()..].starts_with('_'))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ELOOP)
}

fn at(dir: &Dir, name: &Name, error: &io::Error) -> io::Error {
    let text = format!(
        "{}: {error}: it may use the image",
        printable(&dir.path().join(name.as_str()).to_string_lossy())
    );
    io::Error::new(error.kind(), text)
}

const MAGIC: &[u8] = b"QFI\xfb";
/// Up to the length of the backing file's name.
const HEADER_BYTES: usize = 20;
/// The longest name that QEMU takes.
const BACKING_MAX: usize = 1023;
/// Directories within directories: `snapshots/TEMPORARY/UUID.delta` of a live snapshot has its parents at depth 2.
const DEPTH: u32 = 2;
/// Files and directories that are looked at: those of some thousands of instances.
const ENTRIES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FILE: &str = "8a6b7f1d0c4e5b3a2918f7e6d5c4b3a291807f6e";

    #[test]
    fn an_instance_is_found_by_any_of_its_disks_and_any_path_to_the_base() {
        for (disk, backing) in [
            ("uuid/disk", format!("/var/lib/nova/instances/_base/{FILE}")),
            ("uuid_resize/disk", format!("/elsewhere/_base/{FILE}")),
            ("uuid/disk.rescue", format!("json:{{\"file\":\"/x/{FILE}\"}}")),
            ("snapshots/tmp1/uuid.delta", FILE.to_owned()),
        ] {
            let dir = tempfile::tempdir().expect("temporary directory");
            overlay(&dir.path().join(disk), &backing);
            let user = disk.split('/').next().expect("a directory");
            assert_eq!(search(dir.path()).expect("readable"), Some(format!("instance {user}")), "{disk}");
        }
    }

    #[test]
    fn what_is_on_another_file_or_is_no_overlay_uses_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        overlay(&dir.path().join("a/disk"), &format!("/i/_base/{FILE}_20"));
        overlay(&dir.path().join("b/disk"), "/i/_base/0000000000000000000000000000000000000000");
        overlay(&dir.path().join("_base/other"), &format!("/i/_base/{FILE}"));
        fs::write(dir.path().join("b/console.log"), FILE).expect("writable");
        fs::write(dir.path().join("compute_nodes"), "{}").expect("writable");
        symlink("/proc/self/mem", dir.path().join("b/disk.link")).expect("writable");
        symlink("/", dir.path().join("link")).expect("writable");
        nix::unistd::mkfifo(&dir.path().join("b/fifo"), nix::sys::stat::Mode::S_IRWXU).expect("writable");
        assert_eq!(search(dir.path()).expect("readable"), None);
    }

    #[test]
    fn a_header_is_believed_within_its_bounds() {
        let field = |offset: u64, len: u32| {
            let mut header = [0; HEADER_BYTES];
            header[..4].copy_from_slice(MAGIC);
            header[8..16].copy_from_slice(&offset.to_be_bytes());
            header[16..20].copy_from_slice(&len.to_be_bytes());
            backing_field(&header)
        };
        assert_eq!(field(512, 40), Some((512, 40)));
        for (offset, len) in [(0, 40), (512, 0), (512, 1024), (u64::MAX, 40), (i64::MAX as u64, 1)] {
            assert_eq!(field(offset, len), None, "{offset} {len}");
        }
        assert_eq!(backing_field(&[0xFF; HEADER_BYTES]), None);
    }

    #[test]
    fn what_cannot_be_looked_at_may_use_it_and_the_error_names_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        overlay(&dir.path().join("uuid/disk"), FILE);
        mode(dir.path(), 0o755);
        mode(&dir.path().join("uuid/disk"), 0o0);
        // Root may look at everything. This thread alone becomes somebody who may not (setfsuid(2)).
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
        let error = search(dir.path());
        nix::unistd::setfsuid(nix::unistd::geteuid());
        let error = error.expect_err("it cannot be read").to_string();
        assert!(error.contains("uuid/disk") && error.contains("may use"), "{error}");
    }

    fn search(path: &Path) -> io::Result<Option<String>> {
        user_of(&Anchor::open(path, Vec::new()).expect("a directory"), &["_base", "locks"], FILE)
    }

    /// Writes the header of a qcow2 with this backing file.
    fn overlay(path: &Path, backing: &str) {
        fs::create_dir_all(path.parent().expect("below")).expect("writable");
        let mut bytes = [MAGIC, &3_u32.to_be_bytes(), &512_u64.to_be_bytes()].concat();
        bytes.extend((backing.len() as u32).to_be_bytes());
        bytes.resize(512, 0);
        bytes.extend(backing.as_bytes());
        fs::write(path, bytes).expect("writable");
    }
}
