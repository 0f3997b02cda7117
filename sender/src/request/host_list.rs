//! Hosts as an operator writes them: names, folded ranges of names, and names that are left out.
//!
//! ```text
//! compute-1,compute-2         two names
//! compute-[1-40,44]           41 names: 1 to 40, and 44
//! rack[1-2]-n[001-040]        80 names; numbers with leading zeros keep their length
//! compute-[1-40],!compute-7   39 names
//! ```

use std::collections::BTreeSet;
use std::str::FromStr;

use glancecast_proto::ids::{HostName, NameError};
use glancecast_proto::limits::HOSTS_MAX;

/// Hosts that are meant, and hosts that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    /// Those that are named.
    pub hosts: BTreeSet<HostName>,
    /// Those that are named after a `!`.
    pub except: BTreeSet<HostName>,
}

/// A text is no list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostListError {
    /// A name is none.
    #[error("{name:?} is no name of a host: {error}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// A range is none.
    #[error("{item:?}: {why}; ranges are written as in compute-[1-40,44] or compute-[001-040]")]
    Range {
        /// The name with the range.
        item: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are more names than hosts in a group.
    #[error("{item:?} makes more than {HOSTS_MAX} hosts, the most that are possible")]
    TooMany {
        /// The name with the range.
        item: String,
    },
}

impl HostList {
    /// Returns the hosts that are named and not left out.
    pub fn names(self) -> Vec<HostName> {
        self.hosts.difference(&self.except).cloned().collect()
    }

    /// Adds the hosts of another list.
    ///
    /// # Errors
    /// [`HostListError::TooMany`]
    pub fn add(&mut self, other: Self) -> Result<(), HostListError> {
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
            let names = expand(pattern)?.into_iter().collect();
            list.add(match is_excepted {
                true => Self { except: names, ..Self::default() },
                false => Self { hosts: names, ..Self::default() },
            })?;
        }
        Ok(list)
    }
}

/// Returns the parts between commas that are not inside brackets.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let is_between = move |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(is_between).map(str::trim)
}

/// Returns the names that an item stands for, at most [`HOSTS_MAX`].
fn expand(item: &str) -> Result<Vec<HostName>, HostListError> {
    let mut names = vec![String::new()];
    let mut rest = item;
    while let Some((before, after)) = rest.split_once('[') {
        let (ranges, after) = after.split_once(']').ok_or_else(|| range(item, "a bracket is not closed"))?;
        let numbers = numbers(item, ranges)?;
        if names.len().saturating_mul(numbers.len()) > HOSTS_MAX {
            return Err(HostListError::TooMany { item: item.to_owned() });
        }
        let mut longer = Vec::with_capacity(names.len() * numbers.len());
        for name in &names {
            longer.extend(numbers.iter().map(|number| format!("{name}{before}{number}")));
        }
        names = longer;
        rest = after;
    }
    let name = |name: String| {
        let name = name + rest;
        HostName::new(&name).map_err(|error| HostListError::Name { name, error })
    };
    names.into_iter().map(name).collect()
}

/// Returns the numbers of one pair of brackets as they are written.
fn numbers(item: &str, ranges: &str) -> Result<Vec<String>, HostListError> {
    let mut numbers = Vec::new();
    for part in ranges.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (number(item, first)?, number(item, last)?);
        let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
        if (is_padded(first) || is_padded(last)) && first.len() != last.len() {
            return Err(range(item, "both numbers of a range with leading zeros have the same length"));
        }
        if low > high {
            return Err(range(item, "the first number of a range is the smaller one"));
        }
        if numbers.len() as u64 + (high - low) >= HOSTS_MAX as u64 {
            return Err(HostListError::TooMany { item: item.to_owned() });
        }
        let width = if is_padded(first) { first.len() } else { 0 };
        numbers.extend((low..=high).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

fn number(item: &str, text: &str) -> Result<u64, HostListError> {
    let is_plain =
        !text.is_empty() && text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_plain.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| range(item, "there are numbers in brackets, and ranges of them"))
}

fn range(item: &str, why: &'static str) -> HostListError {
    HostListError::Range { item: item.to_owned(), why }
}

/// Most digits of a number in a name.
const DIGITS_MAX: usize = 18;

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
