//! All policies: those of the files and those of the API.

use std::collections::BTreeMap;

use super::Policy;
use super::limits::POLICIES_MAX;
use super::mistake::{Mistake, Mistakes, Place};
use super::names::PolicyName;

/// A policy, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The policy.
    pub policy: Policy,
    /// Its file and line; neither for one of the API.
    pub place: Place,
}

/// Policies of different names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies(BTreeMap<PolicyName, Listed>);

impl Policies {
    /// Returns the policies of all files.
    ///
    /// # Errors
    /// Names that are there twice, each at its second place, or too many policies.
    pub fn of_files(listed: impl IntoIterator<Item = Listed>) -> Result<Self, Mistakes> {
        let (mut policies, mut mistakes) = (Self::default(), Vec::new());
        for one in listed {
            let refused = match policies.0.get(&one.policy.name) {
                Some(first) => {
                    let first = first.place.to_string();
                    Some(format!("the name is taken by the policy in {}", first.trim_end_matches(": ")))
                }
                None if policies.0.len() == POLICIES_MAX => {
                    Some(format!("there are at most {POLICIES_MAX} policies"))
                }
                None => None,
            };
            match refused {
                Some(reason) => {
                    let field = format!("policy \"{}\"", one.policy.name);
                    mistakes.push(Mistake { place: one.place, field, reason });
                }
                None => drop(policies.0.insert(one.policy.name.clone(), one)),
            }
        }
        if mistakes.is_empty() { Ok(policies) } else { Err(Mistakes::new(mistakes)) }
    }

    /// Adds a policy of the API.
    ///
    /// # Errors
    /// A policy has the name, which wins, or there are too many.
    pub fn add(&mut self, policy: Policy) -> Result<(), NotAdded> {
        match self.0.get(&policy.name) {
            Some(first) => Err(NotAdded::Taken(first.place.clone())),
            None if self.0.len() == POLICIES_MAX => Err(NotAdded::TooMany),
            None => {
                self.0.insert(policy.name.clone(), Listed { policy, place: Place::default() });
                Ok(())
            }
        }
    }

    /// Returns the policies, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.values().map(|listed| &listed.policy)
    }

    /// Returns a policy, and where it stands.
    pub fn get(&self, name: &PolicyName) -> Option<&Listed> {
        self.0.get(name)
    }
}

/// Why a policy of the API is not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// Another policy has its name.
    #[error("the name is taken by another policy{}", in_file(.0))]
    Taken(Place),
    /// There is no room.
    #[error("there are at most {POLICIES_MAX} policies: delete one first")]
    TooMany,
}

fn in_file(place: &Place) -> String {
    place
        .file
        .as_ref()
        .map(|file| format!(", which stands in {file} and is changed there"))
        .unwrap_or_default()
}
