//! A directory that is held open. Everything in it is addressed by a plain [`Name`] relative to its descriptor. So it
//! stays the same directory wherever its path leads by now, and no link in it is followed: `openat2` has
//! `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS` (openat2(2)). If the kernel or a filter lacks that call, `O_NOFOLLOW` is
//! as good for a name without a directory.
//!
//! Whoever may write to the directory can exchange a name for another at any moment. So an open file is inspected by
//! its descriptor (`fstat`), gets its name by its descriptor ([`Dir::link`]), and has its owner, mode and times set by
//! descriptor. Only two operations use names: removing one, and renaming one to another in the same directory, which is
//! also how a file gets its name on a file system without hard links. They change names here and no file elsewhere. All of it is done with the rights of the directory's owner ([`Acting`]).

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, open, openat, openat2, renameat, renameat2,
};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::acting::Acting;
use super::name::Name;
use super::owner::Owner;

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    file: File,
    /// For messages.
    path: PathBuf,
    owner: Owner,
    acting: Acting,
}

/// The access that a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To read a file of any owner.
    Read,
    /// To write a file of our own.
    Write,
    /// To lock a file of any owner, which needs write access.
    Lock,
}

/// Sizes of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes that this process may still write.
    pub(super) free: u64,
    /// Bytes in all.
    pub(super) total: u64,
}

impl Dir {
    /// Opens a directory at a path that the operator has named. It must not be a link: a user who may exchange that
    /// link would choose the store.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // With a trailing slash a link would be followed.
        let path: PathBuf = path.components().collect();
        match open(&path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Self::of(fd.into(), path),
            Err(Errno::ENOTDIR | Errno::ELOOP) if path.is_symlink() => Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "it is a symbolic link, which is not followed: name the directory that it leads to",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a directory in this one.
    pub(super) fn below(&self, name: &Name) -> io::Result<Self> {
        let _acting = self.acting.begin();
        let file = open_beneath(&self.file, name, DIRECTORY, Mode::empty())?;
        Self::of(file, self.path.join(name.as_str()))
    }

    /// Opens a directory in this one, or creates it with this owner and mode, whatever the umask is. An existing
    /// directory is left as it is.
    pub(super) fn make(&self, name: &Name, owner: Option<Owner>, mode: u32) -> io::Result<Self> {
        if let Ok(there) = self.below(name) {
            return Ok(there);
        }
        {
            let _acting = self.acting.begin();
            match mkdirat(&self.file, name.as_str(), Mode::S_IRWXU) {
                Err(Errno::EEXIST) => {} // just made by somebody else, or no directory: opening it decides
                result => result?,
            }
        }
        let made = self.below(name)?;
        let metadata = made.file.metadata()?;
        if !self.may_have_made(&metadata) {
            return Ok(made);
        }
        made.file.set_permissions(PermissionsExt::from_mode(mode | metadata.mode() & SET_GROUP))?;
        match owner {
            Some(owner) if owner != made.owner => self.give(made, owner),
            _ => Ok(made),
        }
    }

    /// Whether a directory here can be the one that was just created. Otherwise somebody else created it.
    fn may_have_made(&self, directory: &Metadata) -> bool {
        directory.uid() == self.acting.uid() && directory.mode() & 0o7777 & !SET_GROUP == 0o700
    }

    /// Gives away a directory that was just created here.
    fn give(&self, made: Self, owner: Owner) -> io::Result<Self> {
        let mode = self.file.metadata()?.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others may exchange it before it is given to its owner: make it by hand",
            ));
        }
        owner.take(&made.file)?;
        Self::of(made.file, made.path)
    }

    fn of(file: File, path: PathBuf) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let owner = Owner { uid: metadata.uid(), gid: metadata.gid() };
        Ok(Self { file, path, owner, acting: Acting::within(&metadata) })
    }

    /// Opens a regular file: no link, and nothing that blocks or acts when it is opened.
    pub(super) fn open_file(&self, name: &Name, access: Access) -> io::Result<File> {
        let way = match access {
            Access::Read => OFlag::O_RDONLY,
            Access::Write | Access::Lock => OFlag::O_RDWR,
        };
        let file = {
            let _acting = self.acting.begin();
            open_beneath(&self.file, name, way.union(ANY_FILE), Mode::empty())?
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if access == Access::Write && !self.is_ours(&metadata) {
            let why = format!("it belongs to user {}", metadata.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(file)
    }

    /// Creates a new file that only its owner may access, whatever the umask is.
    pub(super) fn create_file(&self, name: &Name) -> io::Result<File> {
        let file = {
            let _acting = self.acting.begin();
            open_beneath(&self.file, name, NEW_FILE, Mode::from_bits_retain(OWNER_ALONE))?
        };
        file.set_permissions(PermissionsExt::from_mode(OWNER_ALONE))?;
        Ok(file)
    }

    /// Returns the metadata of a name; a link itself is meant, not its target.
    pub(super) fn look(&self, name: &Name) -> io::Result<Metadata> {
        let _acting = self.acting.begin();
        open_beneath(&self.file, name, OFlag::O_PATH, Mode::empty())?.metadata()
    }

    /// Gives an open file a new name here. It is that file, wherever its other names lead by now; no existing name is
    /// replaced.
    pub(super) fn link(&self, file: &File, name: &Name) -> io::Result<()> {
        let acting = self.acting.begin();
        let result = self.link_now(file, name);
        drop(acting);
        match result {
            // The owner may not link a file that belongs to somebody else (fs.protected_hardlinks, proc(5)); root may.
            // No name is followed here.
            Err(Errno::EPERM | Errno::EACCES) => Ok(self.link_now(file, name)?),
            result => Ok(result?),
        }
    }

    fn link_now(&self, file: &File, name: &Name) -> Result<(), Errno> {
        match linkat(file, "", &self.file, name.as_str(), AtFlags::AT_EMPTY_PATH) {
            // This needs CAP_DAC_READ_SEARCH (linkat(2)); the other way needs /proc.
            Err(Errno::ENOENT | Errno::EPERM) => {
                let path = by_descriptor(file);
                linkat(AT_FDCWD, &path, &self.file, name.as_str(), AtFlags::AT_SYMLINK_FOLLOW)
            }
            result => result,
        }
    }

    /// Renames a file here.
    pub(super) fn rename(&self, from: &Name, to: &Name) -> io::Result<()> {
        let _acting = self.acting.begin();
        Ok(renameat(&self.file, from.as_str(), &self.file, to.as_str())?)
    }

    /// Renames a file here; no existing name is replaced.
    pub(super) fn rename_new(&self, from: &Name, to: &Name) -> io::Result<()> {
        let _acting = self.acting.begin();
        let flags = RenameFlags::RENAME_NOREPLACE;
        Ok(renameat2(&self.file, from.as_str(), &self.file, to.as_str(), flags)?)
    }

    /// Gives an open file that was created here as `hidden` its name, and no other one then. No existing name is
    /// replaced. It is renamed where the file system has no hard links.
    pub(super) fn name(&self, file: &File, hidden: &Name, name: &Name) -> io::Result<()> {
        match self.link(file, name) {
            Ok(()) => self.remove(hidden),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(error) => {
                let (open, named) = (file.metadata()?, self.look(hidden)?);
                if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
                    return Err(io::Error::other("it was exchanged"));
                }
                self.rename_new(hidden, name).map_err(|_| error)
            }
        }
    }

    /// Removes the name of a file.
    pub(super) fn remove(&self, name: &Name) -> io::Result<()> {
        let _acting = self.acting.begin();
        Ok(unlinkat(&self.file, name.as_str(), UnlinkatFlags::NoRemoveDir)?)
    }

    /// Returns the names here, except those that are not text.
    pub(super) fn list(&self) -> io::Result<Vec<Name>> {
        let mut entries = {
            let _acting = self.acting.begin();
            // Open it again, as a descriptor has one position in the list.
            nix::dir::Dir::openat(&self.file, ".", DIRECTORY, Mode::empty())?
        };
        let mut names = Vec::new();
        for entry in entries.iter() {
            let entry = entry?;
            names.extend(entry.file_name().to_str().ok().and_then(|name| Name::new(name).ok()));
        }
        Ok(names)
    }

    /// Makes the names here durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Returns the room of its file system.
    pub(super) fn room(&self) -> io::Result<Room> {
        let stat = fstatvfs(&self.file)?;
        let unit = stat.fragment_size();
        let bytes = |blocks: u64| blocks.saturating_mul(unit);
        Ok(Room { free: bytes(stat.blocks_available()), total: bytes(stat.blocks()) })
    }

    /// Whether it was removed: nothing can be created in it any more.
    pub(super) fn is_gone(&self) -> bool {
        is_removed(self.file.metadata().map(|metadata| metadata.nlink()))
    }

    /// Whether a file or directory here belongs to us or to the directory's owner.
    pub(super) fn is_ours(&self, metadata: &Metadata) -> bool {
        metadata.uid() == self.owner.uid || metadata.uid() == nix::unistd::geteuid().as_raw()
    }

    /// Returns its own metadata.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens an open file once more, with other flags.
    pub(super) fn open_again(&self, file: &File, flags: OFlag) -> io::Result<File> {
        let again: File = {
            let _acting = self.acting.begin();
            open(&by_descriptor(file), flags.union(OFlag::O_CLOEXEC), Mode::empty())?.into()
        };
        let (first, second) = (file.metadata()?, again.metadata()?);
        if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
            Ok(again)
        } else {
            Err(io::Error::other("/proc/self/fd leads to another file"))
        }
    }
}

/// Whether an open directory with this number of links was removed.
fn is_removed(links: io::Result<u64>) -> bool {
    match links {
        Ok(links) => links == 0,
        // Removed on the server of a network file system.
        Err(error) => error.raw_os_error() == Some(Errno::ESTALE as i32),
    }
}

/// Returns a path that leads to an open file, and to nothing else.
fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()).into()
}

fn open_beneath(dir: &File, name: &Name, flags: OFlag, mode: Mode) -> io::Result<File> {
    let flags = flags.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
    static HAS_OPENAT2: AtomicBool = AtomicBool::new(true);
    if HAS_OPENAT2.load(Ordering::Relaxed) {
        let how = OpenHow::new().flags(flags).mode(mode).resolve(HERE);
        match openat2(dir, name.as_str(), how) {
            // Linux before 5.6, or gVisor. Filters that do not know the call return EPERM (older Docker).
            Err(Errno::ENOSYS) => HAS_OPENAT2.store(false, Ordering::Relaxed),
            // If the file itself causes this, the other way fails the same.
            Err(Errno::EPERM) => {}
            result => return Ok(result?.into()),
        }
    }
    open_nofollow(dir, name, flags, mode)
}

fn open_nofollow(dir: &File, name: &Name, flags: OFlag, mode: Mode) -> io::Result<File> {
    Ok(openat(dir, name.as_str(), flags.union(OFlag::O_NOFOLLOW), mode)?.into())
}

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// Flags with which a FIFO does not wait for its other end, and a terminal does not become ours.
const ANY_FILE: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY);

const NEW_FILE: OFlag = OFlag::O_RDWR.union(OFlag::O_CREAT).union(OFlag::O_EXCL).union(ANY_FILE);
/// Restricts a lookup to names in the directory itself.
const HERE: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

const OWNER_ALONE: u32 = 0o600;
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;
/// Write permission of group or others.
pub(super) const OTHERS_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::super::tests::is_root;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_no_store_with_a_slash_at_its_end_neither() {
        let temporary = tempfile::tempdir().expect("temporary directory");
        let (real, link) = (temporary.path().join("real"), temporary.path().join("link"));
        fs::create_dir(&real).expect("writable");
        symlink(&real, &link).expect("writable");
        Dir::open(&real).expect("a directory");
        Dir::open(&real.join("")).expect("a directory");
        for path in [link.clone(), link.join(""), link.join(".")] {
            let error = Dir::open(&path).expect_err("a link");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        fs::write(temporary.path().join("file"), b"").expect("writable");
        let error = Dir::open(&temporary.path().join("file")).expect_err("a file");
        assert!(!error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(Dir::open(&temporary.path().join("no")).expect_err("no").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_link_is_followed_whichever_call_the_kernel_has() {
        let (temporary, dir) = directory();
        fs::write(temporary.path().join("file"), b"secret").expect("writable");
        symlink("file", temporary.path().join("link")).expect("writable");
        for access in [Access::Read, Access::Write, Access::Lock] {
            dir.open_file(&name("file"), access).expect("a file of ours");
            assert!(dir.open_file(&name("link"), access).is_err());
        }
        open_nofollow(&dir.file, &name("file"), OFlag::O_RDONLY, Mode::empty()).expect("a file");
        assert!(open_nofollow(&dir.file, &name("link"), OFlag::O_RDONLY, Mode::empty()).is_err());
        assert!(dir.look(&name("link")).expect("there").is_symlink());
        assert!(dir.create_file(&name("link")).is_err());
        assert!(dir.below(&name("link")).is_err());
        assert_eq!(fs::read(temporary.path().join("file")).expect("there"), b"secret");
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened_and_does_not_block() {
        let (temporary, dir) = directory();
        nix::unistd::mkfifo(&temporary.path().join("fifo"), Mode::S_IRWXU).expect("writable");
        fs::create_dir(temporary.path().join("directory")).expect("writable");
        let _listener =
            std::os::unix::net::UnixListener::bind(temporary.path().join("socket")).expect("bound");
        for what in ["fifo", "directory", "socket"] {
            for access in [Access::Read, Access::Write, Access::Lock] {
                assert!(dir.open_file(&name(what), access).is_err(), "{what}");
            }
        }
        let error = dir.open_file(&name("fifo"), Access::Read).expect_err("a FIFO");
        assert!(error.to_string().contains("regular"), "{error}");
    }

    #[test]
    fn what_is_made_is_its_owners_alone_whatever_the_umask_and_replaces_nothing() {
        let (temporary, dir) = directory();
        dir.create_file(&name("file")).expect("writable");
        let made = fs::metadata(temporary.path().join("file")).expect("there");
        assert_eq!(made.mode() & 0o7777, 0o600);
        let again = dir.create_file(&name("file")).expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        dir.make(&name("directory"), None, 0o751).expect("writable");
        let path = temporary.path().join("directory");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o751);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o711)).expect("ours");
        dir.make(&name("directory"), None, 0o751).expect("there");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o711, "left as it is");
        fs::set_permissions(temporary.path(), PermissionsExt::from_mode(0o2755)).expect("ours");
        let inner = dir.make(&name("inherits"), None, 0o751).expect("writable");
        assert_eq!(inner.metadata().expect("open").mode() & 0o7777, 0o2751, "the group of the directory");
    }

    #[test]
    fn a_directory_that_somebody_else_makes_in_the_same_moment_is_left_as_it_is() {
        let (temporary, dir) = directory();
        let path = temporary.path().join("theirs");
        fs::create_dir(&path).expect("writable");
        let seen = |mode| {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            dir.may_have_made(&fs::metadata(&path).expect("there"))
        };
        assert!(seen(0o700) && seen(0o2700));
        assert!(!seen(0o755) && !seen(0o770) && !seen(0o1700));
        if is_root() {
            std::os::unix::fs::chown(&path, Some(42_436), None).expect("root");
            assert!(!seen(0o700));
        }
    }

    #[test]
    fn what_is_there_and_is_no_directory_is_not_made_one() {
        let (temporary, dir) = directory();
        fs::write(temporary.path().join("file"), b"").expect("writable");
        let error = dir.make(&name("file"), None, 0o755).expect_err("a file");
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_file_gets_its_name_by_its_descriptor_whatever_its_other_name_is_by_then() {
        let (temporary, dir) = directory();
        let file = dir.create_file(&name("hidden")).expect("writable");
        fs::rename(temporary.path().join("hidden"), temporary.path().join("moved")).expect("writable");
        fs::write(temporary.path().join("hidden"), b"another").expect("writable");
        dir.link(&file, &name("published")).expect("free");
        assert_eq!(fs::read(temporary.path().join("published")).expect("there"), b"");
        assert_eq!(dir.look(&name("published")).expect("there").ino(), file.metadata().expect("open").ino());
        let error = dir.link(&file, &name("hidden")).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let path = by_descriptor(&file);
        linkat(AT_FDCWD, &path, &dir.file, "by-proc", AtFlags::AT_SYMLINK_FOLLOW).expect("the other way");
        assert_eq!(file.metadata().expect("open").nlink(), 3);
    }

    #[test]
    fn names_are_listed_renamed_and_removed_here_and_nowhere_else() {
        let (temporary, dir) = directory();
        for file in ["a", "b"] {
            dir.create_file(&name(file)).expect("writable");
        }
        symlink("/nowhere", temporary.path().join("c")).expect("writable");
        dir.rename(&name("a"), &name("d")).expect("there");
        dir.remove(&name("b")).expect("there");
        for _ in 0..2 {
            let mut names = dir.list().expect("readable");
            names.sort();
            assert_eq!(names, [name("c"), name("d")], "each time from its beginning");
        }
        dir.remove(&name("c")).expect("the link itself");
        assert_eq!(dir.remove(&name("c")).expect_err("gone").kind(), io::ErrorKind::NotFound);
        fs::create_dir(temporary.path().join("directory")).expect("writable");
        assert!(dir.remove(&name("directory")).is_err());
        dir.sync().expect("a disk");
    }

    #[test]
    fn a_directory_that_was_removed_is_gone_and_one_that_was_moved_is_not() {
        let (_temporary, parent) = directory();
        let dir = parent.make(&name("a"), None, 0o755).expect("writable");
        fs::rename(parent.path().join("a"), parent.path().join("b")).expect("writable");
        assert!(!dir.is_gone());
        dir.create_file(&name("file")).expect("the same directory");
        fs::remove_dir_all(parent.path().join("b")).expect("writable");
        assert!(dir.is_gone());
        assert!(dir.create_file(&name("file")).is_err());
        assert!(is_removed(Err(Errno::ESTALE.into())) && !is_removed(Err(Errno::EIO.into())));
    }

    #[test]
    fn the_same_file_is_opened_again_and_no_other() {
        let (temporary, dir) = directory();
        let file = dir.create_file(&name("file")).expect("writable");
        fs::rename(temporary.path().join("file"), temporary.path().join("moved")).expect("writable");
        let again = dir.open_again(&file, OFlag::O_RDONLY).expect("by its descriptor");
        assert_eq!(again.metadata().expect("open").ino(), file.metadata().expect("open").ino());
    }

    #[test]
    fn what_another_user_owns_is_read_and_locked_but_not_written() {
        if !is_root() {
            return;
        }
        let (temporary, dir) = directory();
        let path = temporary.path().join("theirs");
        fs::write(&path, b"theirs").expect("writable");
        std::os::unix::fs::chown(&path, Some(42_436), None).expect("root");
        dir.open_file(&name("theirs"), Access::Read).expect("readable");
        dir.open_file(&name("theirs"), Access::Lock).expect("Nova's lock, say");
        let error = dir.open_file(&name("theirs"), Access::Write).expect_err("not ours");
        assert!(error.to_string().contains("42436"), "{error}");
    }

    #[test]
    fn root_makes_what_is_the_owners_and_gives_away_only_where_nobody_can_exchange_it() {
        if !is_root() {
            return;
        }
        let (temporary, dir) = directory();
        let nova = Owner { uid: 42_436, gid: 42_437 };
        let made = dir.make(&name("given"), Some(nova), 0o755).expect("root's");
        assert_eq!(made.owner(), nova);
        let file = made.create_file(&name("file")).expect("as its owner");
        let metadata = file.metadata().expect("open");
        assert_eq!((metadata.uid(), metadata.gid()), (nova.uid, nova.gid));
        assert!(made.is_ours(&metadata) && !dir.is_ours(&metadata));
        let inner = made.make(&name("inner"), None, 0o700).expect("as its owner");
        assert_eq!(inner.owner(), nova);

        fs::set_permissions(temporary.path(), PermissionsExt::from_mode(0o775)).expect("ours");
        let error = dir.make(&name("open"), Some(nova), 0o755).expect_err("a group may exchange it");
        assert!(error.to_string().contains("by hand"), "{error}");
        dir.make(&name("ours"), Some(dir.owner()), 0o755).expect("it need not be given away");
        fs::set_permissions(temporary.path(), PermissionsExt::from_mode(0o1777)).expect("ours");
        dir.make(&name("sticky"), Some(nova), 0o755).expect("nobody else may rename it");
    }

    #[test]
    fn a_file_of_somebody_else_than_the_directory_still_gets_its_name() {
        if !is_root() {
            return;
        }
        let (_temporary, parent) = directory();
        let nova = Owner { uid: 42_436, gid: 42_437 };
        let dir = parent.make(&name("nova"), Some(nova), 0o755).expect("root's");
        let file = dir.create_file(&name("hidden")).expect("writable");
        Owner { uid: 42_438, gid: 42_438 }.take(&file).expect("root may");
        dir.link(&file, &name("published")).expect("by root");
        // The same if fs.protected_hardlinks is 0: the owner may not write to its own directory.
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o555)).expect("root");
        dir.link(&file, &name("second")).expect("by root");
    }

    #[test]
    fn the_room_of_a_file_system_is_less_than_all_of_it() {
        let (_temporary, dir) = directory();
        let room = dir.room().expect("a disk");
        assert!(room.free > 0 && room.free <= room.total, "{room:?}");
    }

    fn directory() -> (tempfile::TempDir, Dir) {
        let temporary = tempfile::tempdir().expect("temporary directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        (temporary, dir)
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }
}
