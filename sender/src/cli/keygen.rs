//! `glancecast keygen`: creates one key, or with `--all` those of a group and its sender, and prints how to use them. Of a key
//! that is there it prints what may be shown: `--public`, `--fingerprint`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use glancecast_platform::sender_keys::SenderKeyError;
use glancecast_platform::{cli, keyfile, sender_keys};
use glancecast_proto::sign::PublicKey;
use serde::Serialize;

use super::args::KeygenArgs;
use super::{Failure, print};
use crate::output::json;

/// Creates new keys and prints how to use them.
pub(super) fn run(args: &KeygenArgs) -> Result<u8, Failure> {
    if let Some(file) = &args.public {
        let key = sender_keys::load(file).map_err(KeysError::from)?;
        print(&format!("{}\n", key.public()))?;
        return Ok(cli::EXIT_OK);
    }
    if let Some(file) = &args.fingerprint {
        let key = keyfile::load(file).map_err(|error| KeysError::from(SenderKeyError::from(error)))?;
        print(&format!("{}\n", key.id().fingerprint()))?;
        return Ok(cli::EXIT_OK);
    }
    match (&args.all, &args.file) {
        (Some(directory), _) => {
            let keys = Keys::create(directory)?;
            match args.json {
                true => print(&json::line(&keys.report()))?,
                false => print(&keys.text())?,
            }
        }
        (None, Some(file)) if args.sender => return sender_key(file),
        (None, Some(file)) => group_key(file)?,
        (None, None) => unreachable!("clap wants a file or a directory"),
    }
    Ok(cli::EXIT_OK)
}

fn group_key(file: &Path) -> Result<(), Failure> {
    keyfile::create(file).map_err(|error| KeysError::from(SenderKeyError::from(error)))?;
    print(&format!("{}: a new group key; copy it to every host of the group, mode 0600\n", file.display()))
}

/// Creates a sender key. Standard output has only the public half, so that it can be redirected to a file for the
/// hosts. The secret file does not have that half, so that it is repeated if it cannot be written there.
fn sender_key(file: &Path) -> Result<u8, Failure> {
    let public = sender_keys::create(file).map_err(KeysError::from)?;
    let printed = writeln!(io::stdout(), "{public}").and_then(|()| io::stdout().flush());
    let where_it_is = if printed.is_ok() { "above".to_owned() } else { public.to_string() };
    cli::tell(&format!(
        "{}: a new sender key, for --sender-key here alone; hosts list the public half {where_it_is}: --sender, or senders = [..]",
        file.display()
    ));
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(cli::EXIT_OK),
    }
}

/// The new keys of a group and its sender.
struct Keys {
    directory: PathBuf,
    public: PublicKey,
}

impl Keys {
    /// Creates all three files, or none: they are written under temporary names, and hard-linked to their final names
    /// when all are on the disk. A link never replaces a file.
    fn create(directory: &Path) -> Result<Self, KeysError> {
        let at = |error| KeysError::Io { path: directory.to_owned(), error };
        let is_new = match DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => false,
            Err(error) => return Err(at(error)),
        };
        if let Some(path) = FILES.map(|name| directory.join(name)).iter().find(|path| is_there(path)) {
            return Err(KeysError::Exists { path: path.clone() });
        }
        let made = Self::make(directory);
        match &made {
            Ok(_) if is_new => sync_directory(&parent(directory)).map_err(at)?,
            Err(_) if is_new => drop(fs::remove_dir(directory)),
            _ => {}
        }
        made
    }

    fn make(directory: &Path) -> Result<Self, KeysError> {
        let at = |error| KeysError::Io { path: directory.to_owned(), error };
        // Its mode is 0700, and it is removed with all that it still contains.
        let fresh = tempfile::Builder::new().prefix(".keygen-").tempdir_in(directory).map_err(at)?;
        let [group, sender, public_half] = FILES.map(|name| fresh.path().join(name));
        keyfile::create(&group).map_err(SenderKeyError::from)?;
        let public = sender_keys::create(&sender)?;
        write_public(&public_half, &public).map_err(at)?;
        let mut linked: Vec<PathBuf> = Vec::new();
        for name in FILES {
            let path = directory.join(name);
            if let Err(error) = fs::hard_link(fresh.path().join(name), &path) {
                for path in &linked {
                    let _ = fs::remove_file(path);
                }
                return Err(match error.kind() {
                    io::ErrorKind::AlreadyExists => KeysError::Exists { path },
                    _ => KeysError::Io { path, error },
                });
            }
            linked.push(path);
        }
        fresh.close().and_then(|()| sync_directory(directory)).map_err(at)?;
        Ok(Self { directory: directory.to_owned(), public })
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn text(&self) -> String {
        let [group, sender, public] = FILES.map(|name| self.path(name));
        format!(
            "{group}: the group's key. To every host, as {HOST_GROUP_KEY}, mode 0600, owned by glancecastd's user\n\
             {sender}: the sender's key. Stays here, mode 0600: whoever has it can push to every host\n\
             {public}: its public half. To every host, as {HOST_PUBLIC_KEY}, mode 0644\n\
             \n\
             on every host, in /etc/glancecast/glancecastd.toml:\n\
             {}\n\
             \n\
             here:\n\
             \x20   glancecast send --key {group} --sender-key {sender} ...\n",
            CONFIGURATION.map(|line| format!("    {line}")).join("\n"),
        )
    }

    fn report(&self) -> Report {
        let [group, sender, public] = FILES.map(|name| self.path(name));
        let file = |file, mode, on_hosts| KeyFile { file, mode, on_hosts };
        Report {
            glancecast: env!("CARGO_PKG_VERSION"),
            group_key: file(group, "0600", Some(HOST_GROUP_KEY)),
            sender_key: file(sender, "0600", None),
            sender_public_key: file(public, "0644", Some(HOST_PUBLIC_KEY)),
            public_key: self.public.to_string(),
            glancecastd_toml: CONFIGURATION,
        }
    }
}

/// The output of `--json`; docs/json.md describes it.
#[derive(Serialize)]
struct Report {
    glancecast: &'static str,
    group_key: KeyFile,
    sender_key: KeyFile,
    sender_public_key: KeyFile,
    public_key: String,
    glancecastd_toml: [&'static str; 2],
}

#[derive(Serialize)]
struct KeyFile {
    file: String,
    mode: &'static str,
    /// Its path on every host; `None` if no host may have it.
    on_hosts: Option<&'static str>,
}

/// Why no keys were created.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error(
        "{path}: exists already, and a key is never replaced; nothing was made: choose another directory",
        path = path.display()
    )]
    Exists { path: PathBuf },
    #[error("{path}: {error}; nothing was made", path = path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Key(#[from] SenderKeyError),
}

/// Whether the name exists, also as a dangling link.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn write_public(path: &Path, public: &PublicKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    writeln!(file, "{public}")?;
    // Regardless of the umask, as users on the hosts have to read it.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

const FILES: [&str; 3] = ["group.key", "sender.key", "sender.pub"];
const HOST_GROUP_KEY: &str = "/etc/glancecast/group.key";
const HOST_PUBLIC_KEY: &str = "/etc/glancecast/sender.pub";
const CONFIGURATION: [&str; 2] =
    ["key = \"/etc/glancecast/group.key\"", "senders = [\"/etc/glancecast/sender.pub\"]"];

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("it is there").permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn all_keys_of_a_group_are_made_at_once_and_fit_each_other() {
        let scratch = tempfile::tempdir().expect("temporary directory");
        let directory = scratch.path().join("keys");
        let keys = Keys::create(&directory).expect("new");
        assert_eq!(names(&directory), FILES);
        assert_eq!(mode(&directory), 0o700);
        let [group, sender, public] = FILES.map(|name| directory.join(name));
        assert_eq!([&group, &sender, &public].map(|path| mode(path)), [0o600, 0o600, 0o644]);
        keyfile::load(&group).expect("a group key");
        assert_eq!(sender_keys::load(&sender).expect("a sender key").public(), keys.public);
        let senders = sender_keys::senders(&[public.display().to_string()]).expect("a list");
        assert_eq!(senders.entries().iter().map(|sender| sender.key).collect::<Vec<_>>(), [keys.public]);
        let text = keys.text();
        assert!(CONFIGURATION.iter().all(|line| text.contains(line)), "{text}");
    }

    #[test]
    fn nothing_is_made_where_one_of_them_exists() {
        for name in FILES {
            let directory = tempfile::tempdir().expect("temporary directory");
            fs::write(directory.path().join(name), "mine").expect("writable");
            let error = Keys::create(directory.path()).err().expect("it exists").to_string();
            assert!(error.contains(name) && error.contains("exists"), "{error}");
            assert_eq!(names(directory.path()), [name]);
            assert_eq!(fs::read_to_string(directory.path().join(name)).expect("there"), "mine");
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_followed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let elsewhere = directory.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, directory.path().join("sender.key")).expect("a link");
        assert!(matches!(Keys::create(directory.path()), Err(KeysError::Exists { .. })));
        assert!(!is_there(&elsewhere));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let error = Keys::create(&directory.path().join("no/such")).err().expect("no parent").to_string();
        assert!(error.contains("no/such"), "{error}");
    }
}
