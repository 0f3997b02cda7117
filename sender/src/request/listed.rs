//! Hosts with their addresses, as an operator lists them: in a file, or one by one.
//!
//! ```text
//! compute-1 10.0.0.11          in a file: a name, and its address after a blank
//! compute-[2-40]               names without addresses, which Nova or the name service may have
//! compute-1=10.0.0.11,web-1    after --to: the same in one line
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use glancecast_platform::cli;
use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::items;
use glancecast_proto::wire::printable;

use super::RequestError;
use super::host_list::{HostList, HostListError};
use super::reach::{HostAddress, HostAddressError};

/// Hosts, and the addresses of some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The hosts, and those that are left out.
    pub hosts: HostList,
    /// Addresses of those that have one.
    pub addresses: BTreeMap<HostName, HostAddress>,
}

/// A text lists no hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListedError {
    /// A name or a range is none.
    #[error(transparent)]
    Hosts(#[from] HostListError),
    /// An address is none.
    #[error("{}: {error}", printable(name))]
    Address {
        /// The host.
        name: String,
        /// What is wrong with it.
        error: HostAddressError,
    },
    /// An address is given to several hosts at once, or to one that is left out.
    #[error("{0:?} has an address, which belongs to one host")]
    OneHost(String),
    /// A host has two addresses.
    #[error("{name} has two addresses, {one} and {other}: give the one at which it receives")]
    Two {
        /// The host.
        name: HostName,
        /// The first address.
        one: HostAddress,
        /// The second address.
        other: HostAddress,
    },
}

impl Listed {
    /// Reads hosts from a file: on each line a name with or without an address, or a folded range of names, with a `!`
    /// before those that are left out; `#` starts a comment. The path `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be read, or a line is wrong.
    pub fn from_file(path: &Path) -> Result<Self, RequestError> {
        let text = read(path).map_err(|error| RequestError::HostsFile { path: path.to_owned(), error })?;
        Self::of_lines(&text, path)
    }

    /// Reads hosts from the text of a file.
    fn of_lines(text: &str, path: &Path) -> Result<Self, RequestError> {
        let mut all = Self::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if !line.is_empty() {
                let added = Self::line(line).and_then(|more| all.add(more));
                let at = |error| RequestError::HostsFileLine { path: path.to_owned(), line: i + 1, error };
                added.map_err(at)?;
            }
        }
        Ok(all)
    }

    /// Reads the files that the list names.
    ///
    /// # Errors
    /// A file cannot be read, names no host, or has a wrong line; or a host has two addresses.
    pub fn with_files(mut self) -> Result<Self, RequestError> {
        let read = |path: &PathBuf| match Self::from_file(path)? {
            listed if listed.hosts.hosts.is_empty() => Err(RequestError::HostsFileEmpty(path.clone())),
            listed => Ok(listed),
        };
        for path in std::mem::take(&mut self.hosts.files) {
            self.add(read(&path)?)?;
        }
        for path in std::mem::take(&mut self.hosts.except_files) {
            let except = read(&path)?.hosts.names().into_iter().collect();
            self.hosts.add(HostList { except, ..HostList::default() })?;
        }
        Ok(self)
    }

    /// Adds the hosts of another list.
    ///
    /// # Errors
    /// Those of [`HostList::add`], and [`ListedError::Two`].
    pub fn add(&mut self, other: Self) -> Result<(), ListedError> {
        self.hosts.add(other.hosts)?;
        for (name, address) in other.addresses {
            match self.addresses.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(address)),
                Entry::Occupied(entry) if *entry.get() == address => {}
                Entry::Occupied(entry) => {
                    let (name, one) = (entry.key().clone(), *entry.get());
                    return Err(ListedError::Two { name, one, other: address });
                }
            }
        }
        Ok(())
    }

    /// Parses a line of a file. What follows the last blank is an address if it looks like one, and else part of a list
    /// with blanks between its items.
    fn line(line: &str) -> Result<Self, ListedError> {
        match line.rsplit_once(char::is_whitespace) {
            Some((name, address)) if looks_like_an_address(address) => Self::one(name.trim_end(), address),
            _ => {
                let hosts: HostList = line.parse()?;
                // Files that name each other would be read for ever.
                match hosts.files.is_empty() && hosts.except_files.is_empty() {
                    true => Ok(Self { hosts, ..Self::default() }),
                    false => Err(HostListError::Nested.into()),
                }
            }
        }
    }

    fn one(name: &str, address: &str) -> Result<Self, ListedError> {
        let hosts: HostList = name.parse()?;
        let mut names = hosts.hosts.iter();
        let (Some(host), None, true) = (names.next(), names.next(), hosts.except.is_empty()) else {
            return Err(ListedError::OneHost(name.to_owned()));
        };
        let address = address.parse();
        let address = address.map_err(|error| ListedError::Address { name: name.to_owned(), error })?;
        let addresses = [(host.clone(), address)].into();
        Ok(Self { hosts, addresses })
    }
}

/// Parses `HOST[=ADDRESS]`, several of them with commas between.
impl FromStr for Listed {
    type Err = ListedError;

    fn from_str(text: &str) -> Result<Self, ListedError> {
        let mut all = Self::default();
        for item in items(text) {
            all.add(match item.split_once('=') {
                Some((name, address)) => Self::one(name.trim_end(), address.trim_start())?,
                None => Self { hosts: item.parse()?, ..Self::default() },
            })?;
        }
        Ok(all)
    }
}

/// Reads a file, or standard input.
fn read(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => {
            if io::stdin().is_terminal() {
                cli::tell("glancecast: reads names of hosts from standard input; Ctrl-D ends the list");
            }
            Box::new(io::stdin())
        }
        false => Box::new(File::open(path)?),
    };
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other(format!("a list of hosts is at most {FILE_BYTES_MAX} bytes long"))),
        false => Ok(text),
    }
}

/// As many hosts as are possible, each with a name and an address of the greatest length, and a comment.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Whether a word is meant as an address: it has a dot or a colon, and only what addresses have. A name of such a form
/// cannot follow a blank.
fn looks_like_an_address(word: &str) -> bool {
    word.contains(['.', ':']) && word.chars().all(|c| c.is_ascii_hexdigit() || ".:[]%".contains(c))
}

/// Reads the text of a hosts file, and of an option.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzed(text: &str) {
    use glancecast_proto::ids::is_unprintable;
    use glancecast_proto::limits::HOSTS_MAX;

    let file = Listed::of_lines(text, Path::new("/nodes.txt")).map_err(|error| error.to_string());
    let option = text.parse::<Listed>().map_err(|error| error.to_string());
    for read in [file, option] {
        match read {
            Ok(Listed { hosts, addresses }) => {
                assert!(hosts.hosts.len() <= HOSTS_MAX && hosts.except.len() <= HOSTS_MAX);
                assert!(addresses.keys().all(|host| hosts.hosts.contains(host)));
                assert!(hosts.idle_exceptions().all(|host| !hosts.hosts.contains(host)));
                let names: Vec<HostName> = hosts.hosts.iter().cloned().collect();
                if !names.is_empty() {
                    let folded = glancecast_proto::ranges::fold(&names);
                    assert_eq!(glancecast_proto::ranges::unfold(&folded), Ok(names), "{folded}");
                }
            }
            Err(message) => assert!(!message.contains(is_unprintable), "{message:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_host_may_have_an_address_and_a_range_has_none() {
        let listed: Listed = "c1=10.0.0.1, c[2-4], v6=[fd00::1]:9,c1=10.0.0.1".parse().expect("hosts");
        assert_eq!(shown(&listed), ["c1=10.0.0.1", "v6=[fd00::1]:9"]);
        assert_eq!(listed.hosts.hosts.len(), 5);
        for (bad, why) in [
            ("c[1-2]=10.0.0.1", "belongs to one host"),
            ("!c1=10.0.0.1", "belongs to one host"),
            ("c1=", "c1: \"\" is no address"),
            ("c1=c2", "is no address"),
            ("n[1\t]=c2", "n[1?]: "),
            ("c1=10.0.0.1,c1=10.0.0.2", "c1 has two addresses, 10.0.0.1 and 10.0.0.2"),
            ("=10.0.0.1", "cannot be empty"),
            ("c1=224.0.0.1", "not the address of one host"),
        ] {
            let error = bad.parse::<Listed>().expect_err(bad).to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_file_has_an_address_after_a_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("nodes.txt");
        let read = |text: &str| {
            fs::write(&path, text).expect("writable");
            Listed::from_file(&path).map_err(|error| error.to_string())
        };
        let listed = read("c1 10.0.0.1 # rack 1\nc2\t10.0.0.2:7200\nc[3-4]\n! c4\na , b\n").expect("hosts");
        assert_eq!(shown(&listed), ["c1=10.0.0.1", "c2=10.0.0.2:7200"]);
        assert_eq!((listed.hosts.hosts.len(), listed.hosts.except.len()), (6, 1));
        for (text, why) in [
            ("c1\nc[2-3] 10.0.0.2\n", "line 2: \"c[2-3]\" has an address"),
            ("c1 10.0.0.1\nc1 10.0.0.2\n", "line 2: c1 has two addresses"),
            ("c1 10.0.0\n", "line 1: c1: \"10.0.0\" is no address"),
            ("c1 2\n", "line 1: "),
        ] {
            assert!(read(text).expect_err(text).contains(why), "{text}");
        }
    }

    #[test]
    fn files_of_a_list_are_read_and_left_out() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("writable");
            path.display().to_string()
        };
        let nodes = file("nodes", "c1 10.0.0.1\nc[2-9]\n");
        let (down, empty, nested) =
            (file("down", "c[3-9]\n!c9\n"), file("empty", "# none\n"), file("nested", "@/x\n"));
        let listed = |text: &str| {
            let hosts = text.parse().expect("a list");
            Listed { hosts, ..Listed::default() }.with_files().map_err(|error| error.to_string())
        };
        let all = listed(&format!("d1,@{nodes},!@{down}")).expect("hosts");
        assert_eq!(shown(&all), ["c1=10.0.0.1"]);
        let names: Vec<String> = all.hosts.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["c1", "c2", "c9", "d1"]);
        assert!(listed(&format!("@{empty}")).expect_err("empty").contains("there is no host in it"));
        assert!(
            listed(&format!("@{nested}"))
                .expect_err("nested")
                .contains("line 1: a file of hosts names no other")
        );
        assert!(listed("@/nowhere").expect_err("missing").contains("hosts file /nowhere: "));
    }

    fn shown(listed: &Listed) -> Vec<String> {
        listed.addresses.iter().map(|(name, address)| format!("{name}={address}")).collect()
    }
}
