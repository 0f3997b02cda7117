//! Key files from the bytes of a fuzzer.

use std::io;
use std::path::Path;

use glancecast_platform::known_hosts::{KNOWN_HOSTS_MAX, KnownHost, KnownHosts, Note, Occasion};
use glancecast_platform::{host_key, keyring_file, sender_keys};
use glancecast_proto::ids::HostName;
use glancecast_proto::limits::{GROUP_KEYS_MAX, RETIRED_KEYS_MAX, SENDERS_MAX};
use glancecast_proto::sign::PublicKey;
use glancecast_proto::time::WallClock;

/// Reads them as each kind of key file, but for the group's, which is any 32 bytes.
///
/// # Panics
/// If what is read is not what the file says, or an error repeats what may be a secret.
pub(crate) fn read(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    if let Some(key) = sender_keys::parse(input) {
        let line = text.expect("a sender key is a text");
        assert!(input.len() == 90 && line.starts_with("glancecast-sender-secret:"));
        assert!(!format!("{key:?}").contains(&line[25..]), "secrets are not shown");
        assert!(host_key::parse(input).is_none());
    }
    if let Some(key) = host_key::parse(input) {
        let line = text.expect("a host key is a text");
        assert!(input.len() == 88 && line.starts_with("glancecast-host-secret:"));
        assert!(!format!("{key:?}").contains(&line[23..]), "secrets are not shown");
    }
    if let Some(keys) = keyring_file::parse(input) {
        assert!(keys.given.len() <= GROUP_KEYS_MAX && keys.retired.len() <= RETIRED_KEYS_MAX);
    }
    if let Some(text) = text {
        known_hosts(text);
    }
    let read = |path: &Path| {
        assert_eq!(path, Path::new(NAME));
        text.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    match sender_keys::senders_of(&[NAME.to_owned()], read) {
        Ok(senders) => {
            let keys: Vec<_> = senders.entries().iter().map(|sender| sender.key).collect();
            assert!((1..=SENDERS_MAX).contains(&keys.len()) && keys.is_sorted());
            let again: Vec<String> = keys.iter().map(ToString::to_string).collect();
            assert_eq!(sender_keys::senders(&again).expect("they are keys").entries().len(), keys.len());
        }
        Err(error) => assert_shown(&error.to_string(), NAME),
    }
    if let Some(text) = text.filter(|text| text.starts_with("ed25519:")) {
        match sender_keys::senders(&[text.to_owned()]) {
            Ok(senders) => {
                let key = senders.entries()[0].key.to_string();
                assert!(text.to_ascii_lowercase().starts_with(&key));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Reads them as a file of known hosts, and changes it.
///
/// # Panics
/// If the file is not read again as it was written, or a change changes more than it says.
fn known_hosts(text: &str) {
    let mut hosts = match KnownHosts::parse(text) {
        Ok(hosts) => hosts,
        Err(bad) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&bad.line));
            assert!(!bad.to_string().contains(char::is_control) && !bad.to_string().contains("-secret:"));
            return;
        }
    };
    assert!(hosts.keys().len() <= KNOWN_HOSTS_MAX);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    assert_eq!(hosts.to_string(), format!("{text}{end}"));
    let before = hosts.clone();
    let names: Vec<HostName> = hosts.keys().keys().cloned().collect();
    let other = |name: &HostName| KnownHost { name: name.clone(), key: PublicKey([0xA5; PublicKey::BYTES]) };
    let others: Vec<KnownHost> = names.iter().map(other).collect();
    for host in &others {
        hosts.add(host, NOTE).expect("nothing is added");
    }
    assert_eq!(hosts, before, "what is known stays");
    hosts.replace(&others, NOTE).expect("no host is added");
    assert!(hosts.keys().values().all(|key| *key == others[0].key) && hosts.keys().len() == names.len());
    assert_eq!(KnownHosts::parse(&hosts.to_string()).as_ref(), Ok(&hosts));
    assert_eq!(hosts.forget(&names).removed.len(), names.len());
    assert!(hosts.keys().is_empty());
    assert_eq!(KnownHosts::parse(&hosts.to_string()), Ok(hosts));
}

/// One line that names the file, and repeats no secret.
///
/// # Panics
/// If it is not.
pub(crate) fn assert_shown(error: &str, path: &str) {
    assert!(error.contains(path) || error.contains("keys; at most"), "{error:?}");
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(!error.contains("sender-secret:"), "{error:?}");
}

const NAME: &str = "/etc/glancecast/senders";
const NOTE: Note = Note { occasion: Occasion::FirstUse, at: WallClock(0) };
