//! Turns of pushes on one machine: of two to one group at once, the second waits. A lock of the kernel on a file, which is
//! released when its holder ends, however it ends.
//!
//! The lock is a courtesy: hosts take part in one push at a time, whoever sends. It keeps two pushes from sharing the
//! line, and lets the second say what it waits for. Whoever may open the file may also hold it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use glancecast_proto::wire::printable;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::multicast::Group;

/// The right to push to a group, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Flock<File>,
}

/// Why a push has no turn.
#[derive(Debug)]
pub enum NoTurn {
    /// Another push has it.
    Taken(Holder),
    /// No file can be locked.
    NoLock(io::Error),
}

/// The push that has the turn, in printable words of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The image.
    pub image: String,
    /// The user.
    pub user: String,
    /// The process.
    pub pid: String,
}

impl Turn {
    /// Takes the turn for a push of `image` to `group`, or returns who has it.
    ///
    /// # Errors
    /// [`NoTurn`]
    pub fn take(group: Group, image: &str) -> Result<Self, NoTurn> {
        Self::take_in(&directories(), &file_name(group), image)
    }

    fn take_in(directories: &[PathBuf], name: &str, image: &str) -> Result<Self, NoTurn> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        for directory in directories {
            match open(&directory.join(name)) {
                Ok(file) => return Self::lock(file, image),
                Err(error) => last = error,
            }
        }
        Err(NoTurn::NoLock(last))
    }

    fn lock(file: File, image: &str) -> Result<Self, NoTurn> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // Who waits is told less if this fails.
                let _ = Holder::own(image).write_to(&mut lock);
                Ok(Self { _lock: lock })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(NoTurn::Taken(Holder::read_from(file))),
            Err((_, error)) => Err(NoTurn::NoLock(error.into())),
        }
    }
}

impl Holder {
    fn own(image: &str) -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let user = user.map_or_else(|| format!("uid {}", nix::unistd::geteuid()), |user| user.name);
        Self { image: image.to_owned(), user, pid: std::process::id().to_string() }
    }

    fn write_to(&self, file: &mut File) -> io::Result<()> {
        let text: String = [&self.pid, &self.user, &self.image].map(|field| line(field)).concat();
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }

    /// Reads what the holder wrote. Anybody may have written it.
    fn read_from(file: File) -> Self {
        let mut text = Vec::new();
        let _ = file.take(NOTE_BYTES_MAX).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().map(printable);
        let mut next = || lines.next().filter(|line| !line.is_empty()).unwrap_or_else(|| "?".to_owned());
        let (pid, user, image) = (next(), next(), next());
        Self { image, user, pid }
    }
}

fn line(field: &str) -> String {
    printable(field) + "\n"
}

/// Opens the file for writing, or only for reading if it is another user's. It is not made where it is there: a kernel
/// with `fs.protected_regular` refuses that for files of others.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits(); // a pipe would block
    let existing = || {
        let write = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        write.or_else(|_| OpenOptions::new().read(true).custom_flags(flags).open(path))
    };
    let made = || -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).custom_flags(flags).open(path)?;
        file.set_permissions(Permissions::from_mode(0o666))?; // whatever the umask: for every user's push
        Ok(file)
    };
    let file = match existing() {
        Err(error) if error.kind() == ErrorKind::NotFound => match made() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => existing()?,
            made => made?,
        },
        existing => existing?,
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Returns where the file may be: first where every user of the machine meets.
fn directories() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    std::iter::once(PathBuf::from("/run/lock")).chain(own).collect()
}

/// Names the file after the group and the network namespace: the same group elsewhere is another one.
fn file_name(group: Group) -> String {
    let namespace = Path::new("/proc/self/ns/net").metadata().map_or(0, |metadata| metadata.ino());
    let group: String =
        group.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("glancecast-{group}-{namespace}.lock")
}

/// The longest names of a user and an image, and a number.
const NOTE_BYTES_MAX: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_second_learns_whom_it_waits_for_and_goes_when_the_first_is_gone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let directories = [directory.path().join("nowhere"), directory.path().to_owned()];
        let take = |image| Turn::take_in(&directories, "x.lock", image);
        let first = take("ubuntu\u{1b}[2J").expect("free");
        let Err(NoTurn::Taken(holder)) = take("debian") else { panic!("two have it") };
        assert_eq!(holder.pid, std::process::id().to_string());
        assert!(holder.image.starts_with("ubuntu") && !holder.image.contains('\u{1b}'), "{holder:?}");
        drop(first);
        let second = take("debian").expect("free again");
        let Err(NoTurn::Taken(holder)) = take("x") else { panic!("two have it") };
        assert_eq!(holder.image, "debian", "nothing is left of a longer name");
        drop(second);
    }

    #[test]
    fn what_others_put_in_the_place_of_the_file_is_not_followed_and_not_believed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let target = directory.path().join("target");
        fs::write(&target, "precious").expect("writable");
        symlink(&target, directory.path().join("link.lock")).expect("a link");
        let directories = [directory.path().to_owned()];
        assert!(matches!(Turn::take_in(&directories, "link.lock", "x"), Err(NoTurn::NoLock(_))));
        assert_eq!(fs::read(&target).expect("readable"), b"precious");
        fs::write(directory.path().join("junk.lock"), [0xff; 5000]).expect("writable");
        let file = File::open(directory.path().join("junk.lock")).expect("there");
        let holder = Holder::read_from(file);
        assert!(holder.pid.len() < 8192 && holder.image == "?", "{holder:?}");
    }

    #[test]
    fn each_group_has_its_file() {
        let name = |group: &str| file_name(group.parse().expect("a group"));
        assert_ne!(name("239.1.2.3:7"), name("239.1.2.4:7"));
        assert!(!name("[ff15::1]:7").contains([':', '/', '[']), "{}", name("[ff15::1]:7"));
    }
}
