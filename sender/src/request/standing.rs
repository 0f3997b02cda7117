//! Which hosts hold a proven copy at the end of a push, of those that should: the counts, and the words for them.

use std::collections::{BTreeMap, BTreeSet};

use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::fold_items;
use glancecast_proto::sender::{Expected, HostRow};

/// Which hosts hold a proven copy. Hosts are counted by name: two receivers of one name are one host, and it holds a copy if
/// both do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The number of hosts that are expected, by name or by number; `None` if every host is meant.
    pub expected: Option<usize>,
    /// Those of them that hold a copy; of all hosts, if every host is meant.
    pub holding: usize,
    /// Hosts beyond those that are expected, which hold a copy too.
    pub more: usize,
    /// The hosts that answered.
    pub answered: usize,
    /// The hosts that were heard or are expected by name, and hold no copy.
    pub missing: Vec<HostName>,
}

impl Standing {
    /// Counts the hosts of a push. `unnameable` hosts are expected, and no receiver can have their names.
    pub(super) fn of(expected: &Expected, rows: &[HostRow], unnameable: usize) -> Self {
        let mut hosts: BTreeMap<&HostName, bool> = BTreeMap::new();
        for row in rows {
            let holds = hosts.entry(&row.name).or_insert(true);
            *holds &= row.state.is_done();
        }
        let holding: BTreeSet<&HostName> =
            hosts.iter().filter(|&(_, &holds)| holds).map(|(&name, _)| name).collect();
        let mut missing: Vec<HostName> =
            hosts.iter().filter(|&(_, &holds)| !holds).map(|(&name, _)| name.clone()).collect();
        let answered: BTreeSet<&HostName> =
            rows.iter().filter(|row| row.time.is_some()).map(|row| &row.name).collect();
        let (expected, of_expected) = match expected {
            Expected::Named(names) => {
                missing.retain(|name| names.contains(name));
                let held = holding.iter().filter(|name| names.contains(**name)).count();
                (Some(names.len() + unnameable), held)
            }
            Expected::Count(count) => {
                let count = *count as usize + unnameable;
                (Some(count), holding.len().min(count))
            }
            Expected::Anyone if unnameable > 0 => (Some(hosts.len() + unnameable), holding.len()),
            Expected::Anyone => (None, holding.len()),
        };
        let more = holding.len() - of_expected;
        Self { expected, holding: of_expected, more, answered: answered.len(), missing }
    }

    /// Returns on which hosts the image is: "on 3 of 7 expected hosts, and on 1 more".
    pub fn on(&self) -> String {
        let more = if self.more > 0 { format!(", and on {} more", self.more) } else { String::new() };
        match self.expected {
            Some(1) => format!("on {} of 1 expected host{more}", self.holding),
            Some(expected) => format!("on {} of {expected} expected hosts{more}", self.holding),
            None => match self.holding + self.missing.len() {
                1 => format!("on {} of 1 host", self.holding),
                all => format!("on {} of {all} hosts", self.holding),
            },
        }
    }

    /// Returns who holds no copy: "3 of 7 expected hosts hold a proven copy; missing: compute-[3-5,7]".
    pub fn lacking(&self) -> String {
        let of = match (self.expected, self.holding + self.missing.len()) {
            (Some(1), _) => "1 expected host".to_owned(),
            (Some(expected), _) => format!("{expected} expected hosts"),
            (None, 1) => "1 host".to_owned(),
            (None, all) => format!("{all} hosts"),
        };
        match self.holding {
            0 => format!("none of the {of} holds a proven copy"),
            holding => {
                let holds = if holding == 1 { "holds" } else { "hold" };
                let missing = match self.missing.as_slice() {
                    [] => String::new(),
                    missing => format!("; missing: {}", named(missing)),
                };
                format!("{holding} of {of} {holds} a proven copy{missing}")
            }
        }
    }
}

/// Returns names in folded ranges. Of names that do not fold only the first items are there, and the number of the others.
pub(crate) fn named<'a>(names: impl IntoIterator<Item = &'a HostName>) -> String {
    let names: Vec<&HostName> = names.into_iter().collect();
    let mut items = fold_items(names.iter().copied());
    if items.len() <= ITEMS_MAX {
        return items.join(",");
    }
    items.truncate(ITEMS_MAX);
    let shown = glancecast_proto::ranges::unfold(&items.join(",")).map_or(ITEMS_MAX, |names| names.len());
    format!("{} and {} more", items.join(","), names.len() - shown)
}

/// Items of a list in a sentence.
const ITEMS_MAX: usize = 12;

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use glancecast_proto::sender::HostState;
    use glancecast_proto::wire::{CommandOutcome, Totals};

    use super::*;

    fn names(texts: &[&str]) -> Expected {
        Expected::Named(texts.iter().map(|text| HostName::new(text).expect("a name")).collect())
    }

    /// Returns the row of a host in this state.
    pub(crate) fn row(name: &str, state: HostState) -> HostRow {
        HostRow {
            name: HostName::new(name).expect("a name"),
            state,
            reason: None,
            time: (state != HostState::NeverAnswered).then_some(Duration::from_secs(3)),
            blocks_held: 0,
            sidelined: None,
            totals: Totals::default(),
            key: None,
            software: None,
            buffers: None,
            addr: None,
            via: None,
            served: None,
            receipt: None,
            command: CommandOutcome::None,
        }
    }

    #[test]
    fn the_numbers_add_up() {
        use HostState::{Done, Existing, Failed, NeverAnswered};
        let seven = names(&["c1", "c2", "c3", "c4", "c5", "c6", "c7"]);
        let states = [Done, Done, NeverAnswered, NeverAnswered, Failed, Existing, NeverAnswered];
        let mut rows: Vec<HostRow> =
            states.iter().enumerate().map(|(i, &state)| row(&format!("c{}", i + 1), state)).collect();
        let standing = Standing::of(&seven, &rows, 0);
        assert_eq!(standing.on(), "on 3 of 7 expected hosts");
        assert_eq!(standing.lacking(), "3 of 7 expected hosts hold a proven copy; missing: c[3-5,7]");
        assert_eq!(standing.answered, 4);
        rows.push(row("other", Done));
        assert_eq!(Standing::of(&seven, &rows, 0).on(), "on 3 of 7 expected hosts, and on 1 more");
        assert_eq!(
            Standing::of(&Expected::Count(3), &rows, 0).on(),
            "on 3 of 3 expected hosts, and on 1 more"
        );
        assert_eq!(Standing::of(&Expected::Count(6), &rows, 0).on(), "on 4 of 6 expected hosts");
        assert_eq!(Standing::of(&Expected::Anyone, &rows, 0).on(), "on 4 of 8 hosts");
    }

    #[test]
    fn two_receivers_of_one_name_are_one_host() {
        let rows = [row("c1", HostState::Done), row("c2", HostState::Done), row("c2", HostState::Failed)];
        let standing = Standing::of(&names(&["c1", "c2"]), &rows, 0);
        assert_eq!(standing.lacking(), "1 of 2 expected hosts holds a proven copy; missing: c2");
    }

    #[test]
    fn none_and_one_are_words_too() {
        let rows = [row("c1", HostState::NeverAnswered)];
        let standing = Standing::of(&names(&["c1"]), &rows, 0);
        assert_eq!(standing.lacking(), "none of the 1 expected host holds a proven copy");
        assert_eq!(standing.on(), "on 0 of 1 expected host");
        let six: Vec<HostRow> = (0..6).map(|i| row(&format!("c{i}"), HostState::Failed)).collect();
        let lacking = Standing::of(&Expected::Count(6), &six, 0).lacking();
        assert_eq!(lacking, "none of the 6 expected hosts holds a proven copy");
    }

    #[test]
    fn a_name_that_no_receiver_can_have_is_expected_all_the_same() {
        let standing = Standing::of(&names(&["c1"]), &[row("c1", HostState::Done)], 2);
        assert_eq!(standing.on(), "on 1 of 3 expected hosts");
    }

    #[test]
    fn names_that_do_not_fold_are_not_all_said() {
        let letters: Vec<HostName> =
            ('a'..='z').map(|c| HostName::new(&format!("node-{c}")).expect("a name")).collect();
        let text = named(&letters);
        assert!(text.starts_with("node-a,node-b") && text.ends_with("node-l and 14 more"), "{text}");
    }
}
