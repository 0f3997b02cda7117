//! Names that people take for one another: a host that is expected under one name, and is there under another.

use std::collections::BTreeMap;

use glancecast_proto::ids::HostName;

/// For each host that is missing, why it may be one that is there under another name.
pub(crate) type Hints = BTreeMap<HostName, Hint>;

/// A hint for a missing host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The names that it may have instead, at most [`NAMES_MAX`].
    pub(crate) names: Vec<HostName>,
    /// The hint in words.
    pub(crate) text: String,
}

/// Compares the names of missing hosts with those of hosts that are known or there, and are not expected.
pub(crate) fn hints<'a>(
    missing: impl Iterator<Item = &'a HostName>,
    others: impl Iterator<Item = &'a HostName>,
) -> Hints {
    let mut by_core: BTreeMap<String, Vec<&HostName>> = BTreeMap::new();
    for other in others {
        by_core.entry(core(other.as_str())).or_default().push(other);
    }
    let hint = |name: &'a HostName| {
        let mut names: Vec<HostName> =
            by_core.get(&core(name.as_str()))?.iter().map(|&name| name.clone()).collect();
        names.sort();
        names.dedup();
        names.retain(|other| other != name);
        names.truncate(NAMES_MAX);
        let first = names.first()?;
        let text = format!(
            "Is it {first}, whose name has {}? Expect it by that name, or start its glancecastd with --name {name}",
            difference(name.as_str(), first.as_str())
        );
        Some((name.clone(), Hint { names, text }))
    };
    missing.filter_map(hint).collect()
}

/// Returns what is the same in names that are confused: the host's own label in small letters, with `-` for `_`, and
/// numbers without leading zeros. A label of digits alone is taken for a part of an address, which is compared whole.
fn core(name: &str) -> String {
    let name = name.trim_end_matches('.');
    let label = name.split('.').next().filter(|label| !label.bytes().all(|byte| byte.is_ascii_digit()));
    let label = label.unwrap_or(name).to_ascii_lowercase().replace('_', "-");
    let mut core = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_ascii_digit() && ends_in_zero_number(&core) {
            core.pop();
        }
        core.push(c);
    }
    core
}

/// Whether a text ends in a number that is only a zero so far.
fn ends_in_zero_number(text: &str) -> bool {
    text.strip_suffix('0').is_some_and(|rest| !rest.ends_with(|c: char| c.is_ascii_digit()))
}

/// Returns how two names with the same core differ.
fn difference(expected: &str, other: &str) -> &'static str {
    let (plain, other_plain) = (expected.trim_end_matches('.'), other.trim_end_matches('.'));
    let ((label, domain), (other_label, other_domain)) = (parts(plain), parts(other_plain));
    let dashed = |name: &str| name.replace('_', "-");
    if plain == other_plain {
        "another dot at its end"
    } else if plain.eq_ignore_ascii_case(other_plain) {
        "other letters in capitals"
    } else if dashed(plain).eq_ignore_ascii_case(&dashed(other_plain)) {
        "- where _ is expected, or the reverse"
    } else if !label.eq_ignore_ascii_case(other_label) {
        "a similar spelling"
    } else {
        match (domain, other_domain) {
            ("", _) => "a domain",
            (_, "") => "no domain",
            _ => "another domain",
        }
    }
}

/// Returns the label of a host and its domain, which may be empty.
fn parts(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

/// Most names in a hint.
const NAMES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_confuse_are_connected_and_it_is_said_how_they_differ() {
        for (expected, there, how) in [
            ("r1", "r1.example", "a domain"),
            ("r1.example", "r1", "no domain"),
            ("r1.example", "r1.example.org", "another domain"),
            ("r1.a", "r1.b", "another domain"),
            ("R1", "r1", "capitals"),
            ("r1.Example", "r1.example", "capitals"),
            ("r1.example", "r1.example.", "dot at its end"),
            ("compute_1", "compute-1", "- where _"),
            ("compute-1", "compute_1", "- where _"),
            ("compute-1", "compute-001", "similar"),
            ("Compute_01.a", "compute-1", "similar"),
        ] {
            let hints = of(&[expected], &[there, "other"]);
            let hint = hints.get(&name(expected)).unwrap_or_else(|| panic!("{expected} and {there}"));
            assert_eq!(hint.names, [name(there)]);
            assert!(
                hint.text.contains(how) && hint.text.contains(&format!("--name {expected}")),
                "{}",
                hint.text
            );
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for (expected, there) in [
            ("r1", "r2"),
            ("r1", "r10"),
            ("r10", "r1"),
            ("r1", "r1"),
            ("10.0.0.1", "10.0.0.2"),
            ("a-1", "a1"),
        ] {
            assert_eq!(of(&[expected], &[there]), Hints::new(), "{expected} and {there}");
        }
        assert_eq!(core("n00"), "n0");
        assert_eq!(core("n100"), "n100");
    }

    #[test]
    fn a_hint_names_a_few_of_many() {
        let many: Vec<String> = (0..50).map(|i| format!("r1.d{i:02}")).collect();
        let hints = of(&["r1"], &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(hints[&name("r1")].names, ["r1.d00", "r1.d01", "r1.d02"].map(name));
    }

    fn of(missing: &[&str], others: &[&str]) -> Hints {
        let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
        hints(names(missing).iter(), names(others).iter())
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("a name")
    }
}
