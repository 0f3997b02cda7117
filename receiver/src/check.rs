//! `glancecastd --check`: finds every mistake in the configuration that can be found without starting, as `nginx -t` and
//! `sshd -t` do. It changes nothing, and a running service does not notice it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glancecast_platform::interface::Interface;
use glancecast_platform::keyring_file;
use glancecast_platform::{host_key, keyfile, sender_keys};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setegid, seteuid};

use crate::config::{Args, Config, Senders};
use crate::settings::SettingsError;
use crate::state;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What keeps the service from starting.
    pub mistakes: Vec<String>,
    /// What time may mend: the service waits for it.
    pub notes: Vec<String>,
}

/// Looks at the configuration and at the files that it names.
pub fn look(args: &Args) -> Findings {
    match args.look() {
        Ok(config) => of(&config),
        Err(mistakes) => Findings { mistakes, notes: Vec::new() },
    }
}

/// Looks at the files and directories of a configuration that is complete.
fn of(config: &Config) -> Findings {
    let mut findings = Findings::default();
    if let Err(error) = act_as_owner_of(&config.state) {
        findings
            .notes
            .push(format!("state {}: its owner cannot be taken on: {error}", config.state.display()));
    }
    let mut note = |mistake: Option<String>| findings.mistakes.extend(mistake);
    for key in &config.keys {
        let loaded = keyfile::load_all(std::slice::from_ref(key)).map_err(SettingsError::of_key);
        note(loaded.err().map(|error| error.to_string()));
    }
    if let Senders::Listed(settings) = &config.senders {
        for setting in settings {
            let read = sender_keys::senders(std::slice::from_ref(setting));
            note(read.err().map(|error| error.to_string()));
        }
    }
    note(host_key::check(&config.state).err().map(|error| error.to_string()));
    note(keyring_file::load(&config.state).err().map(|error| error.to_string()));
    note(state::keep_apart(&config.state, &config.store).err().map(|error| error.to_string()));
    if let Some(store) = config.store.named_by_senders() {
        note(is_directory(store).err().map(|error| format!("store {}: {error}", store.display())));
    }
    if let Some(file) = &config.observe.metrics_file {
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        note(is_directory(directory).err().map(|error| format!("metrics_file {}: {error}", file.display())));
    }
    match Interface::choose(config.interface.as_deref(), config.membership.group()) {
        Ok(_) => {}
        Err(error) if error.may_pass() => findings.notes.push(format!("{error}; the service waits for it")),
        Err(error) => findings.mistakes.push(error.to_string()),
    }
    findings
}

/// As root, takes on the owner of the state directory, who is the service's user: whether a file may be read, and whether
/// others may change it, is another question for root. A directory that is missing is a mistake by itself.
fn act_as_owner_of(state: &Path) -> io::Result<()> {
    let Ok(metadata) = state.metadata() else { return Ok(()) };
    if !geteuid().is_root() || metadata.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let known = User::from_uid(user)?;
    let group = known.as_ref().map_or(group, |user| user.gid);
    if let Some(name) = known.and_then(|user| std::ffi::CString::new(user.name).ok()) {
        initgroups(&name, group)?;
    }
    setegid(group)?;
    seteuid(user)?;
    Ok(())
}

fn is_directory(path: &Path) -> io::Result<()> {
    match path.metadata()?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[test]
    fn all_mistakes_are_found_at_once() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("glancecastd.toml");
        let text = "key = \"/nowhere/group.key\"\nsenders = \"any\"\nstore = \"directory:/nowhere\"\n\
                    dscp = 64\nwrite_rate = \"50MB\"\nmin_free = \"5 pints\"\nmetrics = \"9717\"\nlog_format = \"xml\"\n";
        fs::write(&file, text).expect("writable");
        let found = look(&args(&file));
        for (mistake, says) in
            found.mistakes.iter().zip(["dscp", "write_rate", "min_free", "log_format", "metrics"])
        {
            assert!(mistake.contains(says) && !mistake.contains('\n'), "{mistake}");
        }
        assert_eq!(found.mistakes.len(), 5, "{found:?}");
    }

    #[test]
    fn the_files_that_a_good_configuration_names_are_looked_at() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| dir.path().join(name);
        let file = path("glancecastd.toml");
        let write = |store: &str| {
            let text = format!(
                "key = {:?}\nsenders = [\"any\"]\nstore = \"directory:{store}\"\nstate = {:?}\ninterface = \"lo\"\n",
                path("group.key"),
                dir.path(),
            );
            fs::write(&file, text).expect("writable");
        };
        write("/nowhere");
        let found = look(&args(&file)).mistakes;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("copy the group's key from the sender's machine"), "{found:?}");
        assert!(found[1].starts_with("store /nowhere: "), "{found:?}");
        keyfile::create(&path("group.key")).expect("new");
        fs::create_dir(path("images")).expect("room");
        write(path("images").to_str().expect("UTF-8"));
        assert_eq!(look(&args(&file)).mistakes, [""; 0]);
        assert!(!path(host_key::FILE).exists(), "it makes nothing");
    }

    fn args(file: &Path) -> Args {
        Args::parse_from(["glancecastd".as_ref(), "--check".as_ref(), "--config".as_ref(), file.as_os_str()])
    }
}
