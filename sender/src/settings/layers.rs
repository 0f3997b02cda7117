//! Merges the places that settings come from: which value is in force, and where it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use glancecast_proto::wire::printable;

use super::catalog::replaced_by;

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file, perhaps in a profile.
    File { path: PathBuf, line: usize, profile: Option<String> },
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag,
}

/// The values that one place has, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer(pub(crate) Vec<Entry>);

/// A setting with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name of the option, with `_` for `-`.
    pub(crate) name: String,
    /// As on the command line; a switch has `true` or `false`.
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

/// Returns the values in force. `layers` are in order: each replaces what those before it say, and also what contradicts
/// it there.
pub(crate) fn merge(layers: impl IntoIterator<Item = Layer>) -> BTreeMap<String, Entry> {
    let mut in_force: BTreeMap<String, Entry> = BTreeMap::new();
    for Layer(entries) in layers {
        for entry in entries.iter().filter(|entry| !entry.is_off()) {
            for name in replaced_by(&entry.name, entry.values.first().map(String::as_str)) {
                in_force.remove(*name);
            }
        }
        // All of a layer come after what it replaces: an aggregate and a zone of one place belong together.
        in_force.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
    }
    in_force
}

impl Entry {
    /// Whether it is a switch that is off, which contradicts nothing.
    pub(crate) fn is_off(&self) -> bool {
        self.values == ["false"]
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, profile: None } => write!(f, "{} line {line}", path.display()),
            Self::File { path, line, profile: Some(profile) } => {
                write!(f, "{} line {line}, profile {profile}", path.display())
            }
            Self::Environment(variable) => f.write_str(&printable(variable)),
            Self::Flag => f.write_str("the command line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The five places, lowest first.
    const PLACES: [&str; 5] = ["system", "user", "profile", "environment", "flag"];

    #[test]
    fn each_place_wins_over_every_place_below_it() {
        for (low, below) in PLACES.iter().enumerate() {
            for above in &PLACES[low + 1..] {
                let merged = merge([layer(below, &[("rate", "1")]), layer(above, &[("rate", "2")])]);
                assert_eq!(merged["rate"], entry(above, "rate", "2"), "{above} over {below}");
                let merged = merge([layer(below, &[("rate", "1")]), layer(above, &[("ttl", "2")])]);
                assert_eq!(merged["rate"], entry(below, "rate", "1"), "{below} beside {above}");
            }
        }
    }

    #[test]
    fn a_choice_of_hosts_replaces_the_choice_below_whole() {
        let below = [("hosts_file", "/nodes"), ("exclude", "c7"), ("rate", "1gbit")];
        for above in ["hosts", "everyone", "expect", "aggregate", "availability_zone", "to", "hosts_file"] {
            let merged = merge([layer("user", &below), layer("flag", &[(above, "x")])]);
            assert_eq!(names(&merged), sorted([above, "rate"]), "{above}");
        }
        let merged = merge([layer("user", &below), layer("flag", &[("exclude", "c9")])]);
        assert_eq!(
            names(&merged),
            ["exclude", "hosts_file", "rate"],
            "hosts that are left out leave the choice"
        );
        assert_eq!(merged["exclude"].values, ["c9"]);
    }

    #[test]
    fn what_excludes_each_other_is_replaced_by_a_higher_place_and_kept_within_one() {
        for (below, above, left) in [
            (&[("key", "/k")][..], ("insecure", "true"), &["insecure"][..]),
            (&[("insecure", "true")], ("key", "/k"), &["key"]),
            (&[("sender_key", "/s")], ("unsigned", "true"), &["unsigned"]),
            (&[("relays", "/r")], ("no_relays", "true"), &["no_relays"]),
            (&[("relays", "/r"), ("network", "10.0.0.0/8")], ("reach", "multicast"), &["reach"]),
            (&[("relays", "/r")], ("reach", "unicast"), &["reach", "relays"]),
            (&[("latest", "true"), ("trusted_certs", "/c")], ("file", "/x"), &["file"]),
            (&[("hosts", "a"), ("strict_hosts", "true")], ("forget", "a"), &["forget"]),
            (
                &[("aggregate", "a"), ("availability_zone", "z")],
                ("rate", "1"),
                &["aggregate", "availability_zone", "rate"],
            ),
        ] {
            let merged = merge([layer("user", below), layer("flag", &[above])]);
            assert_eq!(names(&merged), left, "{above:?} over {below:?}");
        }
    }

    #[test]
    fn a_switch_that_is_off_replaces_itself_alone() {
        let below = layer("user", &[("key", "/k"), ("strict_hosts", "true")]);
        let above = layer("environment", &[("insecure", "false"), ("strict_hosts", "false")]);
        let merged = merge([below, above]);
        assert_eq!(names(&merged), ["insecure", "key", "strict_hosts"]);
        assert!(merged["strict_hosts"].is_off() && !merged["key"].is_off());
    }

    fn layer(place: &str, entries: &[(&str, &str)]) -> Layer {
        Layer(entries.iter().map(|(name, value)| entry(place, name, value)).collect())
    }

    fn entry(place: &str, name: &str, value: &str) -> Entry {
        let file = |profile| Origin::File { path: format!("/{place}").into(), line: 1, profile };
        let origin = match place {
            "environment" => Origin::Environment(format!("GLANCECAST_{name}")),
            "flag" => Origin::Flag,
            "profile" => file(Some("prod".to_owned())),
            _ => file(None),
        };
        Entry { name: name.to_owned(), values: vec![value.to_owned()], origin }
    }

    fn names(merged: &BTreeMap<String, Entry>) -> Vec<&str> {
        merged.keys().map(String::as_str).collect()
    }

    fn sorted<const N: usize>(mut names: [&str; N]) -> [&str; N] {
        names.sort_unstable();
        names
    }
}
