//! A push that repairs: the hosts read their copies again first, and damaged ones lose their names, as with `verify
//! --quarantine`. Then the image is pushed to the hosts alone that do not hold an intact copy; what is intact of a
//! damaged one is not sent.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::sender::Expected;
use glancecast_proto::wire::{Finding, Kept, printable};

use super::standing::named;
use super::{
    CopyVerdict, Image, PushOptions, PushRequest, QueryKind, QueryRequest, QueryResult, RequestError, Targets,
};
use crate::openstack::Namesakes;

/// What the hosts have found of their copies, before a push that repairs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Hosts that hold an intact copy, and no other.
    pub intact: BTreeSet<HostName>,
    /// Hosts that have set a damaged copy aside.
    pub set_aside: BTreeSet<HostName>,
    /// Those of them whose copy was pinned: the pin went with its name.
    pub pins_ended: BTreeSet<HostName>,
    /// Hosts that answered, and hold no copy.
    pub missing: BTreeSet<HostName>,
    /// Hosts whose copy is not known to be intact and keeps its name, each with the reason.
    pub kept: Vec<(HostName, String)>,
}

impl PushRequest {
    /// Returns the query by which the hosts of this push read their copies again, and set damaged ones aside.
    pub fn verification(&self) -> QueryRequest {
        let options = self.options();
        let (kind, namesakes, is_in_glance) = match &options.image {
            Image::Glance(image) => (image.name_or_id.clone(), image.namesakes, true),
            Image::File(file) => {
                let own_name = || file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = || options.name.as_ref().map_or_else(own_name, ToString::to_string);
                let id = file.image_id.as_ref().map(ToString::to_string);
                (id.unwrap_or_else(name), Namesakes::Refused, false)
            }
        };
        QueryRequest {
            kind: QueryKind::SetAside(kind),
            targets: options.targets.clone(),
            cloud: options.cloud.clone(),
            namesakes,
            is_in_glance,
            network: options.network.clone(),
            wait: ASKED_FOR,
            key: options.key.clone(),
            signing: options.signing.clone(),
            known_hosts: options.known_hosts.clone(),
            missing: options.missing,
        }
    }

    /// Returns the same push for the hosts alone that do not hold an intact copy; `None` if all do.
    ///
    /// # Errors
    /// The rule that the push would break.
    pub fn repairing(self, found: &QueryResult, damage: &Damage) -> Result<Option<Self>, RequestError> {
        let options = self.options().clone();
        let lacking = |row: &&HostAnswer| !damage.intact.contains(&row.name);
        let targets = match &found.plan.config.expected {
            Expected::Named(names) if names.is_subset(&damage.intact) => return Ok(None),
            Expected::Named(names) => {
                let intact = names.intersection(&damage.intact).cloned().collect();
                options.targets.without(intact, INTACT)?
            }
            Expected::Count(_) | Expected::Anyone => {
                let names: BTreeSet<HostName> =
                    found.answers.rows.iter().filter(lacking).map(|row| row.name.clone()).collect();
                if names.is_empty() {
                    return Ok(None);
                }
                Targets::Named(names)
            }
        };
        Self::new(PushOptions { targets, ..options }).map(Some)
    }
}

impl Damage {
    /// Sorts the answers of the hosts.
    pub fn of(found: &QueryResult) -> Self {
        let mut damage = Self::default();
        for row in &found.answers.rows {
            damage.sort(row);
        }
        damage
    }

    fn sort(&mut self, row: &HostAnswer) {
        let name = || row.name.clone();
        if row.standing != Standing::Answered {
            return; // the push says what is wrong with it
        }
        if row.objects.is_empty() {
            self.missing.insert(name());
        } else if row.objects.iter().all(|held| CopyVerdict::of(held) == CopyVerdict::Intact) {
            self.intact.insert(name());
        }
        for held in &row.objects {
            match &held.finding {
                Finding::SetAside(_) => {
                    self.set_aside.insert(name());
                    if held.kept != Kept::ByRule {
                        self.pins_ended.insert(name());
                    }
                }
                Finding::InUse(by) => self.kept.push((name(), format!("in use by {by}"))),
                Finding::Failed(reason) => self.kept.push((name(), reason.clone())),
                _ => {}
            }
        }
    }

    /// Returns what was found, in lines for people; `image` is the image's name.
    pub fn told(&self, image: &str) -> Vec<String> {
        let counted = |hosts: &BTreeSet<HostName>, what: &str| {
            (!hosts.is_empty()).then(|| format!("{what} on {}", named(hosts)))
        };
        let parts = [
            counted(&self.intact, "intact"),
            counted(&self.set_aside, "damaged and set aside"),
            counted(&self.missing, "not there"),
        ];
        let mut lines: Vec<String> = parts.into_iter().flatten().collect();
        lines = vec![match lines.is_empty() {
            true => format!("no host has read its copy of {} again", printable(image)),
            false => format!("{} is {}", printable(image), lines.join("; ")),
        }];
        for (host, reason) in &self.kept {
            lines.push(format!(
                "{host}: its copy of {} cannot be repaired: {}",
                printable(image),
                printable(reason)
            ));
        }
        if !self.pins_ended.is_empty() {
            let hosts = named(&self.pins_ended);
            let image = printable(image);
            lines.push(format!(
                "the damaged copies on {hosts} were pinned, and are not any more: glancecast pin {image} \
                 --hosts {hosts}, once they are repaired, or --pin here"
            ));
        }
        lines
    }
}

/// Why the push is not for a host.
const INTACT: &str = "holds an intact copy";

/// How long hosts are asked; those that read are waited for, however long that takes.
const ASKED_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use glancecast_proto::ids::ObjectName;
    use glancecast_proto::integrity::Root;
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::Held;

    use super::*;

    #[test]
    fn hosts_are_sorted_by_what_they_found_and_those_that_did_not_answer_are_left_to_the_push() {
        let mut damage = Damage::default();
        for row in [
            row("c1", &[Finding::Intact]),
            row("c2", &[Finding::SetAside(Root([1; 32]))]),
            row("c3", &[]),
            row("c4", &[Finding::InUse("instance x; and it is damaged".into())]),
            row("c5", &[Finding::Intact, Finding::SetAside(Root([1; 32]))]),
            HostAnswer { standing: Standing::NeverAnswered, ..row("c6", &[]) },
        ] {
            damage.sort(&row);
        }
        assert_eq!(damage.intact, names(&["c1"]));
        assert_eq!(damage.set_aside, names(&["c2", "c5"]), "one damaged copy is enough");
        assert_eq!((damage.missing.len(), damage.kept.len()), (1, 1));
        let told = damage.told("debian");
        assert_eq!(told[0], "debian is intact on c1; damaged and set aside on c[2,5]; not there on c3");
        assert!(
            told[1].starts_with("c4: its copy of debian cannot be repaired: in use by instance x"),
            "{told:?}"
        );
        assert!(told[2].contains("glancecast pin debian --hosts c[2,5]"), "{told:?}");
        assert_eq!(Damage::default().told("x"), ["no host has read its copy of x again"]);
    }

    fn row(name: &str, findings: &[Finding]) -> HostAnswer {
        let held = |finding: &Finding| Held {
            name: ObjectName::new("debian").expect("a name"),
            image_id: None,
            bytes: 1,
            root: Root([2; 32]),
            proven: WallClock(0),
            kept: Kept::Forever,
            finding: finding.clone(),
        };
        HostAnswer {
            name: HostName::new(name).expect("a name"),
            expected: true,
            standing: Standing::Answered,
            key: None,
            addr: None,
            about: None,
            objects: findings.iter().map(held).collect(),
            counters: Vec::new(),
            left_out: 0,
            reason: None,
        }
    }

    fn names(texts: &[&str]) -> BTreeSet<HostName> {
        texts.iter().map(|text| HostName::new(text).expect("a name")).collect()
    }
}
