//! Namespaces: no network but an unconnected one, no other process, and a root with nothing but what the tool needs.

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

/// Moves this process to new namespaces, and its children to a new PID namespace: as root without a user namespace, in which
/// files of other owners could not be opened; as another user, or where root may not, with one.
pub(super) fn unshare_all() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    match unshare(SPACES) {
        Err(Errno::EPERM) => {}
        other => return Ok(other?),
    }
    unshare(SPACES | CloneFlags::CLONE_NEWUSER)?;
    // Root within, or executing would take the capabilities that mounting needs; user_namespaces(7).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

const SPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS);

/// Makes a root that holds what the tool needs, read-only, and this PID namespace's /proc, by which QEMU opens descriptors.
pub(super) fn private_root(tool: &Path) -> io::Result<()> {
    // Nothing that is mounted from here on is seen outside.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    let new = PLACES.iter().find(|place| Path::new(place).is_dir()).ok_or(Errno::ENOENT)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), *new, Some("tmpfs"), quiet, Some("size=1m,mode=0755"))?;
    fs::create_dir(Path::new(new).join("old"))?;
    pivot_root(*new, &Path::new(new).join("old"))?;
    std::env::set_current_dir("/")?;
    fs::create_dir("/proc")?;
    // While the old one can be seen: a user namespace is given no /proc that shows more than what it has.
    mount(Some("proc"), "/proc", Some("proc"), quiet | MsFlags::MS_NOEXEC, NONE)?;
    for path in needs_in_old_root(tool) {
        bring(&path)?;
    }
    umount2("/old", MntFlags::MNT_DETACH)?;
    fs::remove_dir("/old")?;
    Ok(mount(NONE, "/", NONE, quiet | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE)?)
}

const NONE: Option<&str> = None;
/// Where the new root is made: a directory that every system has; it is hidden in this namespace alone.
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

/// Shows what is at this path of the old root at the same path of the new one: /lib is a link to /usr/lib on most systems.
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
    // With what is mounted below, which a user namespace must not uncover; mount_namespaces(7).
    mount(Some(&old), path, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept(path)?;
    Ok(mount(NONE, path, NONE, flags, NONE)?)
}

/// The flags of a mount that a user namespace has to leave as they are.
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
