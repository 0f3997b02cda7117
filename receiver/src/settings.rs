//! Settings that are read when the program starts and again on SIGHUP: the group keys, the senders that this host lists,
//! rates, room, and the relay. What is read again takes effect as a whole, or not at all.

use std::path::PathBuf;

use glancecast_platform::keyfile::{self, KeyFileError};
use glancecast_platform::keyring_file::{self, KeyringFileError};
use glancecast_platform::sender_keys::{self, SenderKeyError};
use glancecast_platform::units::Rate;
use glancecast_proto::keyring::{AllRetired, Keyring};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::senders;

use crate::config::{Args, Config, Senders};
use crate::rate_limit::ReadRate;
use crate::relay_settings::Relaying;
use crate::store::StoreOptions;

/// What a running host takes over without a restart.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The keys of the configuration's key files.
    pub keys: Vec<GroupKey>,
    /// The senders whose pushes are accepted.
    pub senders: senders::Senders,
    /// Cap on writes to the store.
    pub write_rate: Option<Rate>,
    /// Cap on reads from the store that hash data again.
    pub read_rate: ReadRate,
    /// How long unfinished images are kept, and what stays free.
    pub store_options: StoreOptions,
    /// Whether and how this host forwards pushes to others.
    pub relaying: Relaying,
}

impl Settings {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// [`SettingsError`] of the first file that is unusable.
    pub fn load(config: &Config) -> Result<Self, SettingsError> {
        let mut keys = keyfile::load_all(&config.keys).map_err(SettingsError::of_key)?;
        if keys.is_empty() {
            keys.push(GroupKey::insecure());
        }
        let senders = match &config.senders {
            Senders::Listed(settings) => sender_keys::senders(settings)?,
            Senders::Any => senders::Senders::any(),
        };
        Ok(Self {
            keys,
            senders,
            write_rate: config.write_rate,
            read_rate: config.read_rate,
            store_options: config.store_options,
            relaying: config.relaying.clone(),
        })
    }

    /// Reads the configuration and its files anew. The log names other settings that differ from `running`, as they need
    /// a restart.
    ///
    /// # Errors
    /// [`SettingsError`]; nothing has changed then.
    pub fn reload(args: &Args, running: &Config) -> Result<Self, SettingsError> {
        let config = args.resolve().map_err(SettingsError::Config)?;
        let settings = Self::load(&config)?;
        let others = running.needs_restart_for(&config);
        if !others.is_empty() {
            tracing::warn!(
                "these settings have changed and are read at a start alone, so restart glancecastd for them: {}",
                others.join("; ")
            );
        }
        Ok(settings)
    }
}

/// Returns the group keys that this host accepts: those of the configuration, and those that senders have given it.
///
/// # Errors
/// [`SettingsError`]
pub fn keyring(config: &Config, configured: Vec<GroupKey>) -> Result<Keyring, SettingsError> {
    let stored = keyring_file::load(&config.state)?;
    keyring_file::remove_unfinished(&config.state);
    Ok(Keyring::new(stored, configured)?)
}

/// Why keys or senders cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// A group key is not there. A node gets its key from elsewhere, and making one would be of no use.
    #[error(
        "key file {path}: there is no such file; copy the group's key from the sender's machine: a new one would open nothing",
        path = path.display()
    )]
    NoKeyFile {
        /// Its path.
        path: PathBuf,
    },
    /// A group key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The keys that senders have given this host cannot be read.
    #[error(transparent)]
    Given(#[from] KeyringFileError),
    /// No key is left.
    #[error("{0}: give this host the present one (key = [..]), or remove {file} in its state directory", file = keyring_file::FILE)]
    Retired(#[from] AllRetired),
    /// The senders cannot be read.
    #[error(transparent)]
    Senders(#[from] SenderKeyError),
}

impl SettingsError {
    /// Returns the error for a group key that cannot be read.
    pub(crate) fn of_key(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Missing { path } => Self::NoKeyFile { path },
            error => Self::Key(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use glancecast_proto::sign::PublicKey;
    use glancecast_proto::time::WallClock;

    use super::*;

    #[test]
    fn keys_and_senders_are_read_anew_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| dir.path().join(name);
        let [a, b] = [1, 2].map(|byte| PublicKey([byte; 32]));
        keyfile::create(&path("group.key")).expect("new");
        fs::write(path("senders"), a.to_string()).expect("writable");
        let write = |more: &str| {
            let text = format!(
                "key = {:?}\nsenders = {:?}\nstore = \"directory:/x\"\n{more}",
                path("group.key"),
                path("senders")
            );
            fs::write(path("glancecastd.toml"), text).expect("writable");
        };
        write("");
        let args = Args::parse_from([
            "glancecastd".into(),
            "--config".into(),
            path("glancecastd.toml").into_os_string(),
        ]);
        let running = args.resolve().expect("a configuration");
        let before = Settings::load(&running).expect("readable");
        assert!(before.senders.has(Some(a)) && !before.senders.has(Some(b)));
        fs::write(path("senders"), format!("{b} expires=2027-01-31\n")).expect("writable");
        let after = Settings::reload(&args, &running).expect("readable");
        assert!(after.senders.has(Some(b)) && !after.senders.has(Some(a)));
        assert!(after.senders.entries()[0].expires > Some(WallClock(1_800_000_000_000)));
        for (bad, says) in [("nonsense", "senders line 1"), ("# nobody\n", "no public key")] {
            fs::write(path("senders"), bad).expect("writable");
            let error = Settings::reload(&args, &running).expect_err(bad).to_string();
            assert!(error.contains(says), "{error}");
        }
        write("nonsense = 1\n");
        assert!(matches!(Settings::reload(&args, &running), Err(SettingsError::Config(_))));
    }

    #[test]
    fn a_host_whose_keys_are_all_retired_says_what_to_do() {
        let error = SettingsError::from(AllRetired).to_string();
        assert!(error.contains("rekey") && error.contains("group.keys"), "{error}");
    }
}
