//! Group key files: 32 raw bytes, or one line of text (`glancecast-key:` and 64 hexadecimal digits) for templates and vaults.
//! Their user may read them, a group that the service is in, and nobody else; only this user or root may change them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use glancecast_proto::hex::{self, Hex};
use glancecast_proto::limits::GROUP_KEYS_MAX;
use glancecast_proto::seal::GroupKey;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Group, Uid, getegid, geteuid};
use zeroize::Zeroizing;

use super::access::Access;

/// Reads a key file.
///
/// # Errors
/// [`KeyFileError`]: the file is missing, not regular, of another length, somebody else's, or open to others.
pub fn load(path: &Path) -> Result<GroupKey, KeyFileError> {
    let bytes = read_up_to(path, TEXT_BYTES_MAX, Readers::OwnGroup)?;
    parse(&bytes).ok_or_else(|| KeyFileError::Length { path: path.to_owned(), bytes: bytes.len() as u64 })
}

/// Parses the content of a key file, in either form; `None` if it has no group key.
fn parse(file: &[u8]) -> Option<GroupKey> {
    if let Ok(raw) = <[u8; GroupKey::BYTES]>::try_from(file) {
        let key = Zeroizing::new(raw);
        return Some(GroupKey::new(*key));
    }
    let line = file.strip_suffix(b"\n").unwrap_or(file);
    let digits = std::str::from_utf8(line.strip_prefix(TEXT_PREFIX.as_bytes())?).ok()?;
    let key = Zeroizing::new(hex::parse::<{ GroupKey::BYTES }>(digits)?);
    Some(GroupKey::new(*key))
}

/// The beginning of a group key as text. No other kind of key begins like this.
pub const TEXT_PREFIX: &str = "glancecast-key:";

/// Longest content: the prefix, two digits a byte, and a line feed.
const TEXT_BYTES_MAX: usize = TEXT_PREFIX.len() + 2 * GroupKey::BYTES + 1;

/// Reads the key files of a host: the group's key, and the new one too while the key is being replaced.
///
/// # Errors
/// [`KeyFileError`] of the first unusable file, or for too many files.
pub fn load_all(paths: &[PathBuf]) -> Result<Vec<GroupKey>, KeyFileError> {
    if paths.len() > GROUP_KEYS_MAX {
        return Err(KeyFileError::TooMany { keys: paths.len() });
    }
    paths.iter().map(|path| load(path)).collect()
}

/// Creates a key file with a random key and mode 0600. Never replaces a file: a lost key loses the group.
///
/// # Errors
/// [`KeyFileError`]: a file of this name exists, or the file cannot be written.
pub fn create(path: &Path) -> Result<(), KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let key = Zeroizing::new(crate::random::bytes::<{ GroupKey::BYTES }>().map_err(at)?);
    write_private(path, &*key)
}

/// Reads a file of `len` bytes that nobody else may read or change.
pub(crate) fn read_private(path: &Path, len: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let bytes = read_private_up_to(path, len)?;
    match bytes.len() == len {
        true => Ok(bytes),
        false => Err(KeyFileError::Length { path: path.to_owned(), bytes: bytes.len() as u64 }),
    }
}

/// Reads a file of at most `len` bytes that nobody else may read or change.
///
/// # Errors
/// [`KeyFileError`]
pub fn read_private_up_to(path: &Path, len: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    read_up_to(path, len, Readers::Owner)
}

/// Who may read a file of our own besides us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    /// Nobody.
    Owner,
    /// The group of this process: a service's key is usually root's or its own, with the service's group.
    OwnGroup,
}

fn read_up_to(path: &Path, len: usize, readers: Readers) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    // Opening a named pipe must not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
        io::ErrorKind::PermissionDenied => closed_to_us(path, error),
        _ => at(error),
    })?;
    let metadata = file.metadata().map_err(at)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    Access::of(&metadata).check((geteuid(), getegid()), readers, path)?;
    if metadata.size() > len as u64 {
        return Err(KeyFileError::Length { path: path.to_owned(), bytes: metadata.size() });
    }
    let mut bytes = Zeroizing::new(vec![0; metadata.size() as usize]);
    file.read_exact(&mut bytes).map_err(at)?;
    Ok(bytes)
}

/// Why this process may not open a key file: it is somebody else's, or its directory is closed.
fn closed_to_us(path: &Path, error: io::Error) -> KeyFileError {
    let (path, user) = (path.to_owned(), geteuid());
    match path.metadata().map(|metadata| Access::of(&metadata).owner) {
        Ok(owner) if owner != user => KeyFileError::OfSomebodyElse { path, owner, user },
        _ => KeyFileError::Io { path, error },
    }
}

impl Access {
    /// Checks that the file belongs to the user of this process, and only that user and `readers` may read it; or to root, with
    /// read access for a group at most. The group may be the service's own. With systemd's `LoadCredential=` the files
    /// belong to root and have an access list for the service's user, which shows as group permissions (acl(5)).
    fn check(
        &self,
        (user, own_group): (Uid, Gid),
        readers: Readers,
        path: &Path,
    ) -> Result<(), KeyFileError> {
        let Self { owner, group, mode } = *self;
        if owner != user && !owner.is_root() {
            return Err(KeyFileError::OfSomebodyElse { path: path.to_owned(), owner, user });
        }
        let is_shared = readers == Readers::OwnGroup && group == own_group;
        let forbidden = if owner == user && !is_shared { 0o077 } else { 0o037 };
        if mode & forbidden != 0 {
            let who = if mode & 0o007 != 0 { "everybody".to_owned() } else { shown(group) };
            let most = 0o640 & !forbidden;
            return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode, who, most });
        }
        Ok(())
    }
}

/// Returns a group's name in quotes, or its number.
fn shown(group: Gid) -> String {
    match Group::from_gid(group) {
        Ok(Some(known)) => format!("group {:?}", known.name),
        _ => format!("group {group}"),
    }
}

/// Writes a new file that only its owner may read.
/// Never replaces one.
///
/// # Errors
/// [`KeyFileError`]: a file of this name exists, or it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => at(error),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}

/// Puts a file with these bytes in the place of `path`, in one step and when it is on the disk. It has the old file's mode
/// and owner, or mode 0600 if there was none.
///
/// # Errors
/// [`KeyFileError`]; the old file is there then.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| KeyFileError::NotAFile { path: path.to_owned() })?;
    let suffix = crate::random::bytes::<8>().map_err(at)?;
    let fresh = directory.join(format!(".{}.{}", name.to_string_lossy(), Hex(&suffix)));
    let written = write_private(&fresh, bytes)
        .and_then(|()| keep_access(path, &fresh).and_then(|()| fs::rename(&fresh, path)).map_err(at));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(at)
}

/// Gives `fresh` the mode and the owner of the file that it takes the place of.
fn keep_access(old: &Path, fresh: &Path) -> io::Result<()> {
    let metadata = match old.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let ours = fresh.metadata()?;
    if (ours.uid(), ours.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::chown(fresh, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(fresh, Permissions::from_mode(metadata.mode() & 0o640))
}

/// Why a key file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file does not exist.
    #[error("key file {path}: there is no such file; make one with: glancecast keygen {path}", path = path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// The file is a directory or a device.
    #[error("key file {path}: not a regular file", path = path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// It has no group key.
    #[error(
        "key file {path}: no group key in its {bytes} bytes: that is {key} bytes, or one line {TEXT_PREFIX} and {digits} hexadecimal digits; \
         glancecast keygen FILE makes one",
        path = path.display(), key = GroupKey::BYTES, digits = 2 * GroupKey::BYTES
    )]
    Length {
        /// Its path.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The file belongs neither to this user nor to root, so its owner could change it.
    #[error(
        "key file {path}: it belongs to the user with the number {owner}, and this program runs as {user}; give it to that \
         user or to root: chown {user} {path}",
        path = path.display()
    )]
    OfSomebodyElse {
        /// Its path.
        path: PathBuf,
        /// The file's owner.
        owner: Uid,
        /// The user of this process.
        user: Uid,
    },
    /// The group or others may read or change the file.
    #[error("key file {path}: mode {mode:04o} lets {who} read or change it; close it with: chmod {most:o} {path}",
        path = path.display())]
    OpenToOthers {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Who may read or change it: a group, or everybody.
        who: String,
        /// The permission bits that it may have.
        most: u32,
    },
    /// There are more files than a host accepts at a time.
    #[error("{keys} key files; at most {GROUP_KEYS_MAX} are accepted at a time, the old key and the new one")]
    TooMany {
        /// The number of files.
        keys: usize,
    },
    /// A file of this name exists, and a new key would replace it.
    #[error("key file {path}: exists already, and a key is never replaced; choose another name", path = path.display())]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// The system reported an error.
    #[error("key file {path}: {error}", path = path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use glancecast_proto::ids::{Sequence, SessionId};
    use glancecast_proto::seal::{Cipher, TAG_BYTES};

    #[test]
    fn a_new_key_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("group.key");
        create(&path).expect("new");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        load(&path).expect("just made");
        let before = std::fs::read(&path).expect("readable");
        assert!(matches!(create(&path), Err(KeyFileError::Exists { .. })));
        assert_eq!(std::fs::read(&path).expect("readable"), before);
    }

    #[test]
    fn keys_that_are_short_long_or_open_are_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("group.key");
        assert!(matches!(load(&path), Err(KeyFileError::Missing { .. })));
        assert!(matches!(load(dir.path()), Err(KeyFileError::NotAFile { .. })));
        for bytes in [0, 31, 33] {
            std::fs::write(&path, vec![1; bytes]).expect("writable");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
            assert!(matches!(load(&path), Err(KeyFileError::Length { .. })), "{bytes}");
        }
        std::fs::write(&path, [1; 32]).expect("writable");
        for mode in [0o660, 0o604, 0o620] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            assert!(matches!(load(&path), Err(KeyFileError::OpenToOthers { .. })), "{mode:o}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("ours");
        load(&path).expect("the group of this process may read it");
        assert!(read_private(&path, 32).is_err(), "which is for group keys alone");
    }

    #[test]
    fn a_key_is_the_same_as_bytes_and_as_a_line_of_text() {
        let raw: [u8; GroupKey::BYTES] = std::array::from_fn(|at| at as u8 * 7);
        let id = GroupKey::new(raw).id();
        let digits = Hex(&raw).to_string();
        let parsed = |text: &str| parse(text.as_bytes()).map(|key| key.id());
        assert_eq!(parse(&raw).map(|key| key.id()), Some(id));
        for good in ["", "\n"] {
            assert_eq!(parsed(&format!("{TEXT_PREFIX}{digits}{good}")), Some(id));
            assert_eq!(parsed(&format!("{TEXT_PREFIX}{}{good}", digits.to_uppercase())), Some(id));
        }
        let short = &digits[1..];
        for bad in [
            digits.clone(),
            format!("{TEXT_PREFIX}{short}"),
            format!("{TEXT_PREFIX}{digits}\n\n"),
            format!("{TEXT_PREFIX}{digits} "),
            format!(" {TEXT_PREFIX}{digits}"),
            format!("{TEXT_PREFIX}{short}g"),
        ] {
            assert_eq!(parsed(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_host_has_its_key_and_while_it_is_replaced_the_new_one_and_no_third() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths: Vec<PathBuf> =
            (0..=GROUP_KEYS_MAX).map(|number| dir.path().join(format!("{number}.key"))).collect();
        assert_eq!(load_all(&[]).expect("none").len(), 0);
        paths.iter().for_each(|path| create(path).expect("new"));
        for keys in 1..=GROUP_KEYS_MAX {
            let loaded = load_all(&paths[..keys]).expect("so many are possible");
            assert_eq!(loaded.len(), keys);
        }
        assert!(matches!(load_all(&paths), Err(KeyFileError::TooMany { keys }) if keys == paths.len()));
        let missing = [paths[0].clone(), dir.path().join("no")];
        assert!(matches!(load_all(&missing), Err(KeyFileError::Missing { .. })), "not one of two");
    }

    #[test]
    fn each_key_file_gives_the_key_that_is_in_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths = [1, 2].map(|byte: u8| {
            let path = dir.path().join(format!("{byte}.key"));
            write_private(&path, &[byte; GroupKey::BYTES]).expect("new");
            path
        });
        let read = load_all(&paths).expect("two keys");
        for (key, byte) in read.iter().zip([1, 2]) {
            let cipher = |key: &GroupKey| Cipher::downward(key, SessionId([0; 16]));
            let (mut sealed, mut opened) = ([0; 3 + TAG_BYTES], [0; 3]);
            cipher(key).seal(Sequence::default(), b"header", b"abc", &mut sealed);
            let written = cipher(&GroupKey::new([byte; GroupKey::BYTES]));
            let result = written.open(Sequence::default(), b"header", &sealed, &mut opened);
            assert!(result.is_ok() && opened == *b"abc", "{byte}");
        }
    }

    #[test]
    fn a_key_is_its_users_alone_or_roots_who_may_show_it_to_a_group() {
        let (root, service, other) = (Uid::from_raw(0), Uid::from_raw(990), Uid::from_raw(1000));
        for (owner, mode, user, verdict) in [
            (service, 0o600, service, ""),
            (service, 0o400, service, ""),
            (service, 0o640, service, "chmod 600 "),
            (service, 0o440, service, "chmod 600 "),
            (service, 0o604, service, "chmod 600 "),
            (root, 0o600, root, ""),
            (root, 0o640, root, "chmod 600 "),
            // `LoadCredential=` with and without access lists, and `chown root:glancecast`.
            (root, 0o400, service, ""),
            (root, 0o440, service, ""),
            (root, 0o640, service, ""),
            (root, 0o660, service, "chmod 640 "),
            (root, 0o444, service, "chmod 640 "),
            (root, 0o602, service, "chmod 640 "),
            (other, 0o600, service, "chown 990 "),
            (other, 0o644, service, "chown 990 "),
            (other, 0o600, root, "chown 0 "),
            (service, 0o600, root, "chown 0 "),
        ] {
            let (group, own) = (Gid::from_raw(50), Gid::from_raw(51));
            let access = Access { owner, group, mode };
            let checked = access.check((user, own), Readers::OwnGroup, Path::new("/k"));
            let said = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                said.contains(verdict) && said.is_empty() == verdict.is_empty(),
                "{owner} {mode:o} {user}: {said}"
            );
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_key_that_the_services_own_group_may_read_is_accepted_and_another_group_is_named() {
        let (user, own) = (Uid::from_raw(990), Gid::from_raw(990));
        let said = |mode, group: u32, readers| {
            let access = Access { owner: user, group: Gid::from_raw(group), mode };
            access.check((user, own), readers, Path::new("/k")).err().map(|error| error.to_string())
        };
        assert_eq!([said(0o640, 990, Readers::OwnGroup), said(0o440, 990, Readers::OwnGroup)], [None, None]);
        for (mode, group, readers, words) in [
            (0o640, 4_242, Readers::OwnGroup, "mode 0640 lets group 4242 read"),
            (0o640, 990, Readers::Owner, "chmod 600 "),
            (0o660, 990, Readers::OwnGroup, "chmod 640 "),
            (0o644, 990, Readers::OwnGroup, "lets everybody read"),
        ] {
            let said = said(mode, group, readers).expect(words);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_key_of_somebody_else_is_refused_by_root_too() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("group.key");
        create(&path).expect("new");
        if !geteuid().is_root() {
            return; // only root can give a file away
        }
        std::os::unix::fs::chown(&path, Some(12_345), None).expect("root");
        assert!(matches!(load(&path), Err(KeyFileError::OfSomebodyElse { .. })));
    }

    #[test]
    fn a_file_that_may_not_be_opened_is_named_with_its_owner_if_that_is_somebody_else() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ours = dir.path().join("group.key");
        create(&ours).expect("new");
        let denied = |path: &Path| closed_to_us(path, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied(&ours), KeyFileError::Io { .. }));
        assert!(matches!(denied(&dir.path().join("no")), KeyFileError::Io { .. }));
        let foreign = if geteuid().is_root() { ours } else { "/etc/passwd".into() };
        if geteuid().is_root() {
            std::os::unix::fs::chown(&foreign, Some(12_345), None).expect("root");
        }
        assert!(matches!(denied(&foreign), KeyFileError::OfSomebodyElse { .. }));
    }

    #[test]
    fn a_pipe_is_no_key_and_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("writable");
        assert!(matches!(load(&path), Err(KeyFileError::NotAFile { .. })));
    }
}
