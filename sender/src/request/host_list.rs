//! Hosts as an operator writes them: names, folded ranges of names, and names that are left out.
//!
//! ```text
//! compute-1,compute-2         two names
//! compute-[1-40,44]           41 names: 1 to 40, and 44
//! rack[1-2]-n[001-040]        80 names; numbers with leading zeros keep their length
//! compute-[1-40],!compute-7   39 names
//! @nodes.txt,!@down.txt       those of one file without those of another; @- is standard input
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::ranges::{expand, items};

pub use glancecast_proto::ranges::HostListError;

/// Hosts that are meant, and hosts that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    /// Those that are named.
    pub hosts: BTreeSet<HostName>,
    /// Those that are named after a `!`.
    pub except: BTreeSet<HostName>,
    /// Files that name more. [`super::Listed::with_files`] reads them.
    pub files: Vec<PathBuf>,
    /// Files that name more of those that are not meant.
    pub except_files: Vec<PathBuf>,
}

impl HostList {
    /// Returns the hosts that are named and not left out.
    pub fn names(self) -> Vec<HostName> {
        self.hosts.difference(&self.except).cloned().collect()
    }

    /// Returns the hosts after a `!` that are not among the others: such an exception takes nothing away.
    pub fn idle_exceptions(&self) -> impl Iterator<Item = &HostName> {
        self.except.difference(&self.hosts)
    }

    /// Adds the hosts of another list.
    ///
    /// # Errors
    /// [`HostListError::TooMany`]
    pub fn add(&mut self, other: Self) -> Result<(), HostListError> {
        self.files.extend(other.files);
        self.except_files.extend(other.except_files);
        for (all, more) in [(&mut self.hosts, other.hosts), (&mut self.except, other.except)] {
            let last = more.last().map(HostName::to_string);
            all.extend(more);
            if all.len() > HOSTS_MAX {
                return Err(HostListError::TooMany { item: last.unwrap_or_default() });
            }
        }
        Ok(())
    }
}

/// Parses names and ranges with commas between them.
impl FromStr for HostList {
    type Err = HostListError;

    fn from_str(text: &str) -> Result<Self, HostListError> {
        let mut list = Self::default();
        for item in items(text) {
            let (is_excepted, pattern) = match item.strip_prefix('!') {
                Some(rest) => (true, rest.trim_start()),
                None => (false, item),
            };
            let (mut names, mut files) = (BTreeSet::new(), Vec::new());
            match pattern.strip_prefix('@') {
                Some("") => return Err(HostListError::NoFile),
                Some(file) => files.push(file.into()),
                None => names.extend(expand(pattern)?),
            }
            list.add(match is_excepted {
                true => Self { except: names, except_files: files, ..Self::default() },
                false => Self { hosts: names, files, ..Self::default() },
            })?;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_unfolded_and_numbers_with_leading_zeros_keep_their_length() {
        for (text, hosts) in [
            ("a,b", &["a", "b"][..]),
            (" a , b ", &["a", "b"]),
            ("n[1-3]", &["n1", "n2", "n3"]),
            ("n[1-2,7].example", &["n1.example", "n2.example", "n7.example"]),
            ("n[08-10]", &["n08", "n09", "n10"]),
            ("n[8-10]", &["n10", "n8", "n9"]),
            ("n[001-002,007]", &["n001", "n002", "n007"]),
            ("n[0-1]", &["n0", "n1"]),
            ("r[1-2]-n[1-2],x", &["r1-n1", "r1-n2", "r2-n1", "r2-n2", "x"]),
            ("n[5]", &["n5"]),
            ("n[1-3],n[2-4]", &["n1", "n2", "n3", "n4"]),
        ] {
            let list: HostList = text.parse().expect(text);
            assert_eq!(list.hosts.iter().map(HostName::as_str).collect::<Vec<_>>(), hosts, "{text}");
            assert!(list.except.is_empty());
        }
    }

    #[test]
    fn a_name_after_an_exclamation_mark_is_left_out() {
        let list: HostList = "n[1-4],!n2,! n[3-4]".parse().expect("a list");
        let names = |of: &BTreeSet<HostName>| of.iter().map(HostName::to_string).collect::<Vec<_>>();
        assert_eq!(
            (names(&list.hosts).len(), names(&list.except)),
            (4, ["n2", "n3", "n4"].map(str::to_owned).into())
        );
    }

    #[test]
    fn a_file_of_hosts_is_named_after_an_at_sign() {
        let list: HostList = "a,@/nodes, ! @down,@-".parse().expect("a list");
        assert_eq!(list.files, [PathBuf::from("/nodes"), PathBuf::from("-")]);
        assert_eq!((list.except_files, list.hosts.len()), (vec![PathBuf::from("down")], 1));
        assert_eq!("@".parse::<HostList>(), Err(HostListError::NoFile));
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_item_and_the_reason_and_costs_nothing() {
        for (text, reason) in [
            ("", "cannot be empty"),
            ("a,,b", "cannot be empty"),
            ("!", "cannot be empty"),
            ("a b", "the character ' '"),
            ("n[1-3", "not closed"),
            ("n1-3]", "the character ']'"),
            ("n[]", "numbers in brackets"),
            ("n[a-c]", "numbers in brackets"),
            ("n[1-]", "numbers in brackets"),
            ("n[1-2-3]", "numbers in brackets"),
            ("n[-1]", "numbers in brackets"),
            ("n[[1-2]]", "numbers in brackets"),
            ("n[3-1]", "the smaller one"),
            ("n[1-010]", "the same length"),
            ("n[09-110]", "the same length"),
            ("n[1-10001]", "more than 10000"),
            ("n[0-999999999999999999]", "more than 10000"),
            ("n[1-99999999999999999999999]", "numbers in brackets"),
            ("a[1-1000]b[1-1000]c[1-1000]", "more than 10000"),
            ("a[1-9000],b[1-9000]", "more than 10000"),
        ] {
            let error = text.parse::<HostList>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert_eq!("n[1-10000]".parse::<HostList>().expect("as many as are possible").hosts.len(), HOSTS_MAX);
    }
}
