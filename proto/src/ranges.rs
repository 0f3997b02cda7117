//! Folded ranges of names: `fold` writes many names in little room, `unfold` is its opposite.
//!
//! ```text
//! compute-1, compute-2, compute-3, compute-9    <->  compute-[1-3,9]
//! rack01-n1 rack01-n2 rack02-n1 rack02-n2       <->  rack[01-02]-n[1-2]
//! n08 n09 n10, and n8                           <->  n[8,08-10]        leading zeros are part of a name
//! ```
//!
//! A name is text and numbers in turn. Names that differ in one number alone are folded, last number first, so that each
//! item is a product of sets and no host is in two.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{HostName, NameError};
use crate::limits::HOSTS_MAX;

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
    /// A file has no name.
    #[error("a file of hosts is named behind the @, as in @nodes.txt")]
    NoFile,
    /// A file of hosts names another one.
    #[error("a file of hosts names no other file: give each after an @ on the command line")]
    Nested,
    /// There are more names than hosts in a group.
    #[error("{item:?} makes more than {HOSTS_MAX} hosts, the most that are possible")]
    TooMany {
        /// The name with the range.
        item: String,
    },
}

/// Writes names as items with commas between them. The same names give the same text, whatever their order.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a HostName>) -> String {
    fold_items(names).join(",")
}

/// Returns the items of [`fold`], for a caller that has room for some of them.
pub fn fold_items<'a>(names: impl IntoIterator<Item = &'a HostName>) -> Vec<String> {
    let mut patterns: BTreeSet<Pattern> = names.into_iter().map(|name| Pattern::new(name.as_str())).collect();
    for from_last in 0..NUMBERS_MAX {
        // Patterns that are equal but for this number, and the numbers that they have there.
        let mut alike: BTreeMap<Pattern, BTreeSet<Number>> = BTreeMap::new();
        for mut pattern in patterns {
            let place = pattern.numbers.len().checked_sub(from_last + 1);
            let numbers = place.map(|place| std::mem::take(&mut pattern.numbers[place]));
            alike.entry(pattern).or_default().extend(numbers.into_iter().flatten());
        }
        let whole = |(mut pattern, numbers): (Pattern, BTreeSet<Number>)| {
            if let Some(place) = pattern.numbers.len().checked_sub(from_last + 1) {
                pattern.numbers[place] = numbers;
            }
            pattern
        };
        patterns = alike.into_iter().map(whole).collect();
    }
    patterns.iter().map(Pattern::text).collect()
}

/// Parses names and folded ranges with commas between them. Returns each name once, in order.
///
/// # Errors
/// [`HostListError`] with the item that is wrong. Nothing is made of more than [`HOSTS_MAX`] names.
pub fn unfold(text: &str) -> Result<Vec<HostName>, HostListError> {
    let mut names = BTreeSet::new();
    for item in items(text) {
        names.extend(expand(item)?);
        if names.len() > HOSTS_MAX {
            return Err(HostListError::TooMany { item: item.to_owned() });
        }
    }
    Ok(names.into_iter().collect())
}

/// Names that differ in their numbers alone: all that can be made of the sets of numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    /// The text before each number, and after the last.
    texts: Vec<String>,
    numbers: Vec<BTreeSet<Number>>,
}

/// A number as it is written. Numbers of a name are in the order of their values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    value: u64,
    digits: String,
}

impl Number {
    fn is_padded(&self) -> bool {
        self.digits.len() > 1 && self.digits.starts_with('0')
    }
}

impl Pattern {
    /// Takes a name apart. Only its last [`NUMBERS_MAX`] numbers are numbers.
    fn new(name: &str) -> Self {
        let mut places = number_places(name);
        places.drain(..places.len().saturating_sub(NUMBERS_MAX));
        let (mut texts, mut numbers, mut end) = (Vec::new(), Vec::new(), 0);
        for place in places {
            texts.push(name[end..place.start].to_owned());
            end = place.end;
            let digits = name[place].to_owned();
            let value = digits.parse().expect("DIGITS_MAX digits fit");
            numbers.push(BTreeSet::from([Number { value, digits }]));
        }
        texts.push(name[end..].to_owned());
        Self { texts, numbers }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (i, before) in self.texts.iter().enumerate() {
            text.push_str(before);
            match self.numbers.get(i) {
                Some(numbers) if numbers.len() == 1 => text.extend(numbers.iter().map(|one| &*one.digits)),
                Some(numbers) => text.push_str(&format!("[{}]", ranges(numbers))),
                None => {}
            }
        }
        text
    }
}

/// Returns where a name has runs of at most [`DIGITS_MAX`] digits.
fn number_places(name: &str) -> Vec<std::ops::Range<usize>> {
    let (mut places, mut start) = (Vec::new(), None);
    for (i, byte) in name.bytes().chain([b'.']).enumerate() {
        match (byte.is_ascii_digit(), start) {
            (true, None) => start = Some(i),
            (false, Some(first)) => {
                start = None;
                if i - first <= DIGITS_MAX {
                    places.push(first..i);
                }
            }
            _ => {}
        }
    }
    places
}

/// Writes numbers as ranges. Those of one length are ranges of their own if one of them has leading zeros: a range keeps
/// the length of such numbers.
fn ranges(numbers: &BTreeSet<Number>) -> String {
    let padded: BTreeSet<usize> =
        numbers.iter().filter(|number| number.is_padded()).map(|number| number.digits.len()).collect();
    // The key is 0 for numbers that may have any length.
    let mut classes: BTreeMap<usize, Vec<&Number>> = BTreeMap::new();
    for number in numbers {
        let len = number.digits.len();
        classes.entry(if padded.contains(&len) { len } else { 0 }).or_default().push(number);
    }
    let follows = |a: &&Number, b: &&Number| a.value + 1 == b.value;
    let range = |run: &[&Number]| match run {
        [one] => one.digits.clone(),
        [first, .., last] => format!("{}-{}", first.digits, last.digits),
        [] => unreachable!("a run has a number"),
    };
    let parts: Vec<String> = classes.values().flat_map(|class| class.chunk_by(follows).map(range)).collect();
    parts.join(",")
}

/// Returns the parts between commas that are not inside brackets.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
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
///
/// # Errors
/// [`HostListError`] with the item.
pub fn expand(item: &str) -> Result<Vec<HostName>, HostListError> {
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
/// Most numbers of a name that are folded; those before them count as text.
const NUMBERS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use glancecast_testkit::Rng;

    use super::*;

    #[test]
    fn names_that_differ_in_a_number_are_folded() {
        for (names, folded) in [
            ("", ""),
            ("login", "login"),
            ("compute-1,compute-2,compute-3,compute-9", "compute-[1-3,9]"),
            ("compute-7", "compute-7"),
            ("n9,n10,n11", "n[9-11]"),
            ("n8,n08,n09,n10", "n[8,08-10]"),
            ("n01,n02,n001", "n[01-02,001]"),
            ("n0,n1,n00", "n[0-1,00]"),
            ("r01-n1,r01-n2,r02-n1,r02-n2", "r[01-02]-n[1-2]"),
            ("r1-n1,r1-n2,r2-n1", "r1-n[1-2],r2-n1"),
            ("c1.example,c2.example,c1.example.org", "c[1-2].example,c1.example.org"),
            ("b,a,c3,c1,c2", "a,b,c[1-3]"),
            ("n1234567890123456789,n1234567890123456780", "n1234567890123456780,n1234567890123456789"),
            ("1-2-3-4-5,2-2-3-4-5,1-2-3-4-6", "1-2-3-4-[5-6],2-2-3-4-5"),
        ] {
            let list: Vec<HostName> = match names {
                "" => Vec::new(),
                names => names.split(',').map(|name| HostName::new(name).expect("a name")).collect(),
            };
            assert_eq!(fold(&list), folded, "{names}");
            assert_eq!(fold(list.iter().rev()), folded, "the order of names is nothing: {names}");
        }
    }

    #[test]
    fn unfolded_names_are_sorted_and_there_once() {
        let names = unfold("b, a[1-2],a2").expect("names");
        assert_eq!(names.iter().map(HostName::as_str).collect::<Vec<_>>(), ["a1", "a2", "b"]);
        assert!(unfold("a[1-9000],b[1-9000]").is_err_and(|error| error.to_string().contains("more than")));
        assert!(unfold("").is_err() && unfold("!a").is_err());
    }

    #[test]
    fn ten_thousand_hosts_are_one_item() {
        let names = unfold("rack[01-99]-n[1-101]").expect("names");
        assert_eq!((names.len(), fold(&names).as_str()), (9999, "rack[01-99]-n[1-101]"));
    }

    #[test]
    fn what_was_folded_unfolds_to_the_same_names() {
        let seed = std::env::var("GLANCECAST_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(Rng::seed_from_clock);
        println!("GLANCECAST_TEST_SEED={seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..300 {
            let names: BTreeSet<HostName> = (0..=rng.below(40)).map(|_| drawn(&mut rng)).collect();
            let folded = fold(&names);
            let unfolded = unfold(&folded).unwrap_or_else(|error| panic!("{folded}: {error}"));
            assert_eq!(unfolded, names.into_iter().collect::<Vec<_>>(), "{folded}");
        }
    }

    /// Returns a name of a few parts, which others are likely to have too.
    fn drawn(rng: &mut Rng) -> HostName {
        const PARTS: [&str; 8] = ["n", "-", ".", "0", "00", "1", "9", "10"];
        let parts = 1 + rng.below(9);
        let name: String = (0..parts).map(|_| PARTS[rng.index(PARTS.len())]).collect();
        HostName::new(&name).unwrap_or_else(|_| HostName::new("n").expect("a name"))
    }
}
