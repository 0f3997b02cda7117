//! Sender keys. A secret key is one line of text in a file that only its owner may read. Public keys are text, in
//! settings or in files with one key per line.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glancecast_proto::limits::SENDERS_MAX;
use glancecast_proto::senders::{Sender, Senders};
use glancecast_proto::sign::{PublicKey, SigningKey};
use nix::unistd::{Uid, geteuid};

use super::access::Access;
use super::secret_line::SecretLine;
use crate::clock::end_of_day;
use crate::keyfile::{self, KeyFileError};

/// Reads a sender's secret key.
///
/// # Errors
/// [`SenderKeyError`]: the file is missing, is open to others, or holds no sender key.
pub fn load(path: &Path) -> Result<SigningKey, SenderKeyError> {
    let text = match keyfile::read_private(path, LINE.bytes()) {
        Ok(text) => text,
        Err(KeyFileError::Missing { path }) => return Err(SenderKeyError::Missing { path }),
        Err(KeyFileError::Length { path, .. }) => return Err(SenderKeyError::NoSenderKey { path }),
        Err(error) => return Err(error.into()),
    };
    parse(&text).ok_or_else(|| SenderKeyError::NoSenderKey { path: path.to_owned() })
}

/// Parses the content of a secret key file; `None` if it is not a sender key.
pub fn parse(file: &[u8]) -> Option<SigningKey> {
    LINE.parse(file)
}

/// Creates a new sender key with mode 0600 and returns its public half. Never replaces a file.
///
/// # Errors
/// [`SenderKeyError`]: a file of this name exists, or the file cannot be written.
pub fn create(path: &Path) -> Result<PublicKey, SenderKeyError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let drawn = LINE.draw().map_err(at)?;
    keyfile::write_private(path, &drawn.text)?;
    Ok(drawn.key.public())
}

/// Returns the senders of the settings. Each is a key as text, or a file with one key per line and `#` comments. Behind a
/// key may stand the last day on which it is accepted, as in `expires=2027-01-31` (UTC).
///
/// # Errors
/// [`SenderKeyError`]: a file that cannot be read, that others may change, or that is empty; a line that is not a key,
/// or has another date; or too many keys.
pub fn senders(settings: &[String]) -> Result<Senders, SenderKeyError> {
    collect(settings, read_list)
}

/// Does the same with files that `read` reads.
///
/// # Errors
/// Those of [`senders`].
pub fn senders_of(
    settings: &[String],
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Senders, SenderKeyError> {
    collect(settings, |path| {
        read(path).map_err(|error| SenderKeyError::Unreadable { path: path.to_owned(), error })
    })
}

fn collect(
    settings: &[String],
    read: impl Fn(&Path) -> Result<String, SenderKeyError>,
) -> Result<Senders, SenderKeyError> {
    let mut senders = Vec::new();
    for setting in settings {
        if setting.starts_with(PublicKey::PREFIX) {
            senders.push(entry(setting, IN_SETTINGS.to_owned())?);
        } else {
            let path = Path::new(setting);
            senders.extend(listed(&read(path)?, path)?);
        }
    }
    let senders = Senders::listed(senders);
    match senders.entries().len() {
        keys if keys > SENDERS_MAX => Err(SenderKeyError::TooMany { keys }),
        _ => Ok(senders),
    }
}

/// Reads a list of public keys. It is not secret, but write access to it decides who may push here.
fn read_list(path: &Path) -> Result<String, SenderKeyError> {
    let at = |error| SenderKeyError::Unreadable { path: path.to_owned(), error };
    let mut file = fs::File::open(path).map_err(at)?;
    let metadata = file.metadata().map_err(at)?;
    let access @ Access { owner, mode, .. } = Access::of(&metadata);
    if access.others_may_change(geteuid()) {
        return Err(SenderKeyError::ChangeableByOthers { path: path.to_owned(), owner, mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(at)?;
    Ok(text)
}

/// Parses the senders in the text of a file.
fn listed(text: &str, path: &Path) -> Result<Vec<Sender>, SenderKeyError> {
    let mut senders = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if !line.is_empty() {
            senders.push(entry(line, format!("{} line {}", path.display(), i + 1))?);
        }
    }
    // An empty list would mean that every sender is accepted.
    if senders.is_empty() { Err(SenderKeyError::Empty { path: path.to_owned() }) } else { Ok(senders) }
}

/// Parses an entry, which stands `at` this place: a key, and perhaps the day on which it expires.
fn entry(text: &str, at: String) -> Result<Sender, SenderKeyError> {
    let mut words = text.split_ascii_whitespace();
    let key = words.next().and_then(|key| key.parse().ok());
    let Some(key) = key else { return Err(SenderKeyError::NoPublicKey { at }) };
    let expires = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(word), None) => {
            let day = word.strip_prefix(EXPIRES).and_then(end_of_day);
            Some(day.ok_or_else(|| SenderKeyError::NoExpiry { at: at.clone() })?)
        }
        (Some(_), Some(_)) => return Err(SenderKeyError::NoExpiry { at }),
    };
    Ok(Sender { key, expires, listed: at })
}

/// Why a sender key is unusable.
#[derive(Debug, thiserror::Error)]
pub enum SenderKeyError {
    /// The file does not exist.
    #[error("sender key {path}: there is no such file; make one with: glancecast keygen --sender {path}", path = path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// The file holds something else, a group key for instance.
    #[error("sender key {path}: this is no sender key; make one with: glancecast keygen --sender FILE", path = path.display())]
    NoSenderKey {
        /// Its path.
        path: PathBuf,
    },
    /// The file violates what applies to both kinds of key files.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file of public keys cannot be read.
    #[error("senders: {path}: {error}", path = path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Others could change a file of public keys.
    #[error(
        "senders: {path}: others may change it (user {owner}, mode {mode:04o}), and so decide who may push here; make it root's: \
         chown root {path}; chmod go-w {path}",
        path = path.display()
    )]
    ChangeableByOthers {
        /// Its path.
        path: PathBuf,
        /// The file's owner.
        owner: Uid,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds no public key.
    #[error("senders: {path}: there is no public key in it", path = path.display())]
    Empty {
        /// Its path.
        path: PathBuf,
    },
    /// A text or a line is not a public key. The error does not repeat it: it may be a secret key.
    #[error(
        "senders: {at}: not a public key, which is `ed25519:` and 64 hex digits, as glancecast keygen --sender prints it"
    )]
    NoPublicKey {
        /// The position of the text.
        at: String,
    },
    /// What stands behind a key is not the day on which it expires.
    #[error("senders: {at}: behind a key may stand `expires=2027-01-31`, its last day, and nothing else")]
    NoExpiry {
        /// The position of the text.
        at: String,
    },
    /// There are more keys than a host lists.
    #[error("senders: {keys} keys; at most {SENDERS_MAX} are possible")]
    TooMany {
        /// The number of keys.
        keys: usize,
    },
}

/// The beginning of an entry's last day.
const EXPIRES: &str = "expires=";
/// The place of a key that is no line of a file.
const IN_SETTINGS: &str = "the setting senders";

const LINE: SecretLine = SecretLine { prefix: "glancecast-sender-secret:" };

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_key_is_private_reads_back_and_is_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("sender.key");
        let public = create(&path).expect("new");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path).expect("just made").public(), public);
        assert!(matches!(create(&path), Err(SenderKeyError::File(KeyFileError::Exists { .. }))));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("ours");
        assert!(matches!(load(&path), Err(SenderKeyError::File(KeyFileError::OpenToOthers { .. }))));
    }

    #[test]
    fn a_group_key_is_no_sender_key_and_the_other_way_round() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (group, sender) = (dir.path().join("group.key"), dir.path().join("sender.key"));
        keyfile::create(&group).expect("new");
        create(&sender).expect("new");
        assert!(matches!(load(&group), Err(SenderKeyError::NoSenderKey { .. })));
        assert!(matches!(keyfile::load(&sender), Err(KeyFileError::Length { .. })));
        assert!(matches!(load(&dir.path().join("no")), Err(SenderKeyError::Missing { .. })));
    }

    #[test]
    fn senders_are_listed_as_text_and_in_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let keys: Vec<PublicKey> = (1..4).map(|byte| PublicKey([byte; 32])).collect();
        let file = dir.path().join("senders");
        fs::write(&file, format!("# two of them\n{} # ours\n\n{}\n", keys[0], keys[1])).expect("writable");
        let settings = [file.display().to_string(), keys[2].to_string(), keys[2].to_string()];
        let senders = senders(&settings).expect("keys");
        let listed: Vec<_> =
            senders.entries().iter().map(|sender| (sender.key, sender.listed.as_str())).collect();
        let line = |number| format!("{} line {number}", file.display());
        assert_eq!(
            listed,
            [(keys[0], line(2).as_str()), (keys[1], line(4).as_str()), (keys[2], IN_SETTINGS)]
        );
        assert!(super::senders(&[]).expect("none").accepts_anybody());
    }

    #[test]
    fn a_sender_is_listed_up_to_its_last_day() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("senders");
        let [a, b] = [1, 2].map(|byte| PublicKey([byte; 32]));
        fs::write(&file, format!("{a} expires=2027-01-31 # until the move\n")).expect("writable");
        let settings = [file.display().to_string(), format!("{b}  expires=2026-12-31")];
        let senders = senders(&settings).expect("keys");
        let expires: Vec<_> = senders.entries().iter().map(|sender| sender.expires).collect();
        assert_eq!(expires, ["2027-01-31", "2026-12-31"].map(end_of_day));
        for bad in ["expires=2027-02-30", "expires=", "expires", "until=2027-01-31", "expires=2027-01-31 2"] {
            fs::write(&file, format!("\n{a} {bad}\n")).expect("writable");
            let error = super::senders(&settings[..1]).expect_err(bad).to_string();
            assert!(error.contains("senders line 2") && error.contains("expires=2027-01-31"), "{error}");
        }
    }

    #[test]
    fn a_list_whose_lines_end_as_on_windows_is_read_and_a_secret_key_is_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (list, secret) = (dir.path().join("senders"), dir.path().join("sender.key"));
        let keys: Vec<PublicKey> = (1..3).map(|byte| PublicKey([byte; 32])).collect();
        fs::write(&list, format!("# two\r\n{} # ours\r\n\r\n{}\r\n", keys[0], keys[1])).expect("writable");
        let senders = senders(&[list.display().to_string()]).expect("keys");
        assert_eq!(senders.entries().iter().map(|sender| sender.key).collect::<Vec<_>>(), keys);
        create(&secret).expect("new");
        let text = fs::read_to_string(&secret).expect("ours").replace('\n', "\r\n");
        fs::write(&secret, text).expect("ours");
        assert!(matches!(load(&secret), Err(SenderKeyError::NoSenderKey { .. })));
    }

    #[test]
    fn a_key_that_anybody_can_sign_for_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("senders");
        let (good, nobodys) = (PublicKey([1; 32]), PublicKey([0; 32]));
        fs::write(&file, format!("{good}\n{nobodys}\n")).expect("writable");
        let error = senders(&[file.display().to_string()]).expect_err("of small order");
        assert!(error.to_string().contains("senders line 2"), "{error}");
        assert!(senders(&[nobodys.to_string()]).is_err());
    }

    #[test]
    fn a_list_that_others_may_change_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("senders");
        fs::write(&file, PublicKey([1; 32]).to_string()).expect("writable");
        for (mode, taken) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("ours");
            let keys = senders(&[file.display().to_string()]);
            assert_eq!(keys.is_ok(), taken, "{mode:o}");
            assert!(taken || keys.is_err_and(|error| error.to_string().contains("chmod go-w")), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_and_not_repeated() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("senders");
        for text in ["glancecast-sender-secret:00", "ed25519:00", "# nobody\n"] {
            fs::write(&file, text).expect("writable");
            let error = senders(&[file.display().to_string()]).expect_err(text).to_string();
            assert!(!error.contains("secret:00") && !error.contains('\n'), "{error}");
        }
        assert!(matches!(senders(&["ed25519:00".into()]), Err(SenderKeyError::NoPublicKey { .. })));
        assert!(matches!(senders(&["/no/such".into()]), Err(SenderKeyError::Unreadable { .. })));
        let many: Vec<String> =
            (1..=SENDERS_MAX as u8 + 1).map(|byte| PublicKey([byte; 32]).to_string()).collect();
        assert_eq!(senders(&many[1..]).expect("as many as there may be").entries().len(), SENDERS_MAX);
        assert!(matches!(senders(&many), Err(SenderKeyError::TooMany { .. })));
    }
}
