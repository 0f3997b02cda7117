//! What is known of a replacement of a group key while it is under way: a file beside the key's, `group.key.rekey`. It has
//! the old keys too, so that none is lost, and a later run can still speak to hosts that know no other.
//!
//! ```text
//! # glancecast rekey is replacing this group key: keep this file secret
//! into /etc/glancecast/group.key
//! new 3f0a...                  the new key in hex
//! old 7b21...                  the one before it; the newest first
//! host compute-1 has           awaited | has | finished | left_out
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use glancecast_proto::hex::{self, Hex};
use glancecast_proto::ids::HostName;
use glancecast_proto::seal::GroupKey;
use zeroize::Zeroizing;

/// A replacement that is under way.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The file that the new key goes into.
    pub(super) into: PathBuf,
    pub(super) new: GroupKey,
    /// The keys before it, the newest first: one, and more where a replacement began before the last one was finished.
    pub(super) old: Vec<GroupKey>,
    pub(super) hosts: BTreeMap<HostName, Progress>,
}

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It does not have the new key yet.
    Awaited,
    /// It has the new key, and accepts the old one too.
    Has,
    /// It has the new key, and no longer accepts the old one.
    Finished,
    /// It is not given the new key.
    LeftOut,
}

impl Progress {
    /// The word in the file and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Has => "has",
            Self::Finished => "finished",
            Self::LeftOut => "left_out",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Awaited, Self::Has, Self::Finished, Self::LeftOut]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

impl Record {
    /// Returns the hosts that are as far as this.
    pub(super) fn at(&self, progress: Progress) -> Vec<HostName> {
        let of_it = self.hosts.iter().filter(|&(_, &at)| at == progress);
        of_it.map(|(name, _)| name.clone()).collect()
    }

    /// Whether nothing is left to do: every host has finished or is left out.
    pub(super) fn is_finished(&self) -> bool {
        self.hosts.values().all(|progress| matches!(progress, Progress::Finished | Progress::LeftOut))
    }

    /// Begins the next replacement on top of this one: every host that is not left out needs its key.
    pub(super) fn begin_again(&mut self, new: GroupKey) {
        self.old.insert(0, std::mem::replace(&mut self.new, new));
        for progress in self.hosts.values_mut().filter(|progress| **progress != Progress::LeftOut) {
            *progress = Progress::Awaited;
        }
    }

    /// Parses the content of a file; `None` if it is damaged.
    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        let (mut into, mut new, mut old, mut hosts) = (None, None, Vec::new(), BTreeMap::new());
        let key = |digits: &[u8]| {
            let bytes = std::str::from_utf8(digits).ok().and_then(hex::parse).map(Zeroizing::new)?;
            Some(GroupKey::new(*bytes))
        };
        for line in file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#') {
            let at = line.iter().position(|byte| *byte == b' ')?;
            let (word, rest) = (&line[..at], &line[at + 1..]);
            match word {
                b"into" => into = Some(std::ffi::OsString::from_vec(rest.to_vec()).into()),
                b"new" => new = Some(key(rest)?),
                b"old" => old.push(key(rest)?),
                b"host" => {
                    let (name, progress) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
                    hosts.insert(HostName::new(name).ok()?, Progress::of(progress)?);
                }
                _ => return None,
            }
        }
        let record = Self { into: into?, new: new?, old, hosts };
        (1..=OLD_KEYS_MAX).contains(&record.old.len()).then_some(record)
    }

    /// Returns the content of the file.
    pub(super) fn text(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it: a text that grows leaves copies of keys behind.
        let names: usize = self.hosts.keys().map(|name| name.as_str().len() + 20).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(1_024 + self.into.as_os_str().len() + names));
        text.extend_from_slice(HEAD);
        text.extend_from_slice(b"into ");
        text.extend_from_slice(self.into.as_os_str().as_bytes());
        let mut lines = Zeroizing::new(String::with_capacity(text.capacity()));
        let _ = writeln!(lines, "\nnew {}", Hex(self.new.bytes()));
        for key in &self.old {
            let _ = writeln!(lines, "old {}", Hex(key.bytes()));
        }
        for (name, progress) in &self.hosts {
            let _ = writeln!(lines, "host {name} {}", progress.name());
        }
        text.extend_from_slice(lines.as_bytes());
        text
    }
}

const HEAD: &[u8] = b"# glancecast rekey is replacing this group key: keep this file secret\n";

/// Keys that hosts may still be at while they are replaced. Each costs a query to those that are awaited.
pub(super) const OLD_KEYS_MAX: usize = 4;

/// Bytes of a file: as many hosts as a sender knows, with the longest names.
pub(super) const FILE_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut record = record();
        record.begin_again(key(3));
        let read = Record::parse(&record.text()).expect("ours");
        assert_eq!(read.text(), record.text());
        assert_eq!(read.into, record.into);
        assert_eq!(read.old.iter().map(GroupKey::id).collect::<Vec<_>>(), [key(2).id(), key(1).id()]);
        assert_eq!(
            read.at(Progress::Awaited).len(),
            2,
            "the next key is for those too that had the last one"
        );
        assert_eq!(read.at(Progress::LeftOut), [name("stolen")]);
        assert!(record.text().len() <= record.text().capacity());
    }

    #[test]
    fn what_is_damaged_is_no_record() {
        let text = String::from_utf8(record().text().to_vec()).expect("text");
        assert!(Record::parse(text.as_bytes()).is_some());
        for (from, to) in
            [("new ", "now "), ("old ", "#"), ("into ", "#"), (" has", " had"), ("host a", "host a/b")]
        {
            assert!(Record::parse(text.replacen(from, to, 1).as_bytes()).is_none(), "{from}");
        }
        for len in 0..text.len() {
            let _ = Record::parse(&text.as_bytes()[..len]);
        }
    }

    #[test]
    fn it_is_finished_when_every_host_is_or_is_left_out() {
        let mut record = record();
        assert!(!record.is_finished());
        record.hosts.insert(name("a"), Progress::Finished);
        record.hosts.insert(name("b"), Progress::Finished);
        assert!(record.is_finished());
    }

    fn record() -> Record {
        let hosts = [("a", Progress::Has), ("b", Progress::Awaited), ("stolen", Progress::LeftOut)];
        Record {
            into: "/etc/glancecast/group.key".into(),
            new: key(2),
            old: vec![key(1)],
            hosts: hosts.map(|(text, progress)| (name(text), progress)).into(),
        }
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }

    fn key(number: u8) -> GroupKey {
        GroupKey::new([number; 32])
    }
}
