//! Namespaces: an unconnected network, no other process, and a root with only what the tool needs.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid, pivot_root};

use crate::needs;

/// Moves this process to new namespaces, and its children to a new PID namespace. Root does so without a user
/// namespace, in which files of other owners could not be opened. Other users, and root if it may not, use one.
pub(super) fn unshare_all() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    match unshare(SPACES) {
        Err(Errno::EPERM) => {}
        other => return Ok(other?),
    }
    unshare(SPACES | CloneFlags::CLONE_NEWUSER)?;
    // Root inside, because exec would otherwise drop the capabilities that mounting needs; user_namespaces(7).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

const SPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS);

/// Creates a read-only root with what the tool needs, and this PID namespace's /proc, by which QEMU opens descriptors.
pub(super) fn private_root(tool: &Path) -> io::Result<()> {
    // From here on, mounts are not visible outside.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    let new = PLACES.iter().find(|place| Path::new(place).is_dir()).ok_or(Errno::ENOENT)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), *new, Some("tmpfs"), quiet, Some("size=1m,mode=0755"))?;
    fs::create_dir(Path::new(new).join("old"))?;
    pivot_root(*new, &Path::new(new).join("old"))?;
    std::env::set_current_dir("/")?;
    fs::create_dir("/proc")?;
    // While the old /proc is visible: a user namespace may not mount a /proc that shows more than the visible one.
    mount(Some("proc"), "/proc", Some("proc"), quiet | MsFlags::MS_NOEXEC, NONE)?;
    for path in needs_in_old_root(tool) {
        bring(&path)?;
    }
    umount2("/old", MntFlags::MNT_DETACH)?;
    fs::remove_dir("/old")?;
    Ok(mount(NONE, "/", NONE, quiet | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE)?)
}

const NONE: Option<&str> = None;
/// Where the new root is created: directories that every system has. The mount hides one in this namespace only.
const PLACES: [&str; 3] = ["/tmp", "/run", "/mnt"];

fn needs_in_old_root(tool: &Path) -> Vec<PathBuf> {
    let in_old = |path: &PathBuf| old(path).symlink_metadata().is_ok();
    let all = needs::LIBRARIES.iter().chain(&needs::FILES).map(PathBuf::from).chain(needs::beside(tool));
    let mut all: Vec<PathBuf> = all.filter(in_old).collect();
    if !all.iter().any(|directory| tool.starts_with(directory)) {
        all.push(tool.to_owned());
    }
    all
}

/// Shows a path of the old root at the same path of the new one. Keeps links: /lib is often a link to /usr/lib.
fn bring(path: &Path) -> io::Result<()> {
    let old = old(path);
    let metadata = old.symlink_metadata()?;
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(&old)?, path);
    }
    if metadata.is_dir() {
        fs::create_dir_all(path)?;
    } else {
        fs::write(path, "")?;
    }
    // Includes the mounts below, which a user namespace must not uncover; mount_namespaces(7).
    mount(Some(&old), path, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept(path)?;
    Ok(mount(NONE, path, NONE, flags, NONE)?)
}

/// Returns the mount flags that a user namespace must not change.
fn kept(path: &Path) -> io::Result<MsFlags> {
    let flags = statvfs(path)?.flags();
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    Ok(pairs.into_iter().filter(|&(is, _)| flags.contains(is)).map(|(_, keep)| keep).collect())
}

fn old(path: &Path) -> PathBuf {
    Path::new("/old").join(path.strip_prefix("/").unwrap_or(path))
}
