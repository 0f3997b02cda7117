//! Rules of who may do what, in a subset of oslo.policy's language:
//!
//! ```text
//! role:admin   rule:NAME   project_id:%(project_id)s   user_id:%(user_id)s   system_scope:all   @   !   and   or   not   ( )
//! ```
//!
//! `@` and an empty rule allow everybody, `!` nobody. Whatever else stands in a rule is refused when the program starts: a rule
//! that was read otherwise than its author meant it would open a door.

use std::collections::BTreeMap;

use super::Identity;
use crate::limits::RULE_DEPTH_MAX;

/// What somebody may want to do: a rule of this name says who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// List and show pushes, their hosts and events.
    ReadPushes,
    /// Ask for a push.
    CreatePush,
    /// End a push.
    CancelPush,
    /// List images and who holds them.
    ReadImages,
    /// List hosts and what they hold.
    ReadHosts,
    /// List and show policies, their status and plans.
    ReadPolicies,
    /// Make, change and remove policies.
    WritePolicies,
    /// Approve the plan of a policy.
    ApprovePolicy,
    /// List and show verifications and diagnoses.
    ReadJobs,
    /// Ask for a verification or a diagnosis, or end it.
    CreateJob,
    /// Read in detail whether the controller is well.
    ReadHealth,
}

/// All actions with their names and the rules that hold where the file has none.
pub const ACTIONS: [(Action, &str, &str); 11] = [
    (Action::ReadPushes, "image-distribution:pushes:get", "rule:reader"),
    (Action::CreatePush, "image-distribution:pushes:create", "rule:writer"),
    (Action::CancelPush, "image-distribution:pushes:cancel", "rule:writer"),
    (Action::ReadImages, "image-distribution:images:get", "rule:reader"),
    (Action::ReadHosts, "image-distribution:hosts:get", "rule:reader"),
    (Action::ReadPolicies, "image-distribution:policies:get", "rule:reader"),
    (Action::WritePolicies, "image-distribution:policies:write", "rule:writer"),
    (Action::ApprovePolicy, "image-distribution:policies:approve", "rule:writer"),
    (Action::ReadJobs, "image-distribution:jobs:get", "rule:reader"),
    (Action::CreateJob, "image-distribution:jobs:create", "rule:writer"),
    (Action::ReadHealth, "image-distribution:health:get", "rule:reader"),
];

/// Rules that others refer to. A push costs the whole fabric, so that a member of a project may not ask for one.
const SHARED: [(&str, &str); 2] = [
    ("writer", "role:admin or role:service"),
    ("reader", "role:reader or role:member or role:admin or role:service"),
];

/// The names of actions begin so: another one is a slip.
const PREFIX: &str = "image-distribution:";

/// To whom a thing belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The project.
    pub project_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
}

/// The rules in force.
#[derive(Clone, Debug)]
pub struct Rules(BTreeMap<String, Check>);

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Always,
    Never,
    Role(String),
    Rule(String),
    SameProject,
    SameUser,
    System,
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
}

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A part of a rule is unknown.
    #[error(
        "rule {name:?}: {word:?} is not known here; a rule has role:, rule:, project_id:%(project_id)s, user_id:%(user_id)s, \
         system_scope:all, @, !, and, or, not"
    )]
    Unknown {
        /// The rule.
        name: String,
        /// The part.
        word: String,
    },
    /// A rule ends too early, or goes on after its end.
    #[error("rule {name:?}: {what}")]
    Form {
        /// The rule.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A rule refers to one that is not there.
    #[error("rule {name:?} refers to rule:{wanted}, which is not there")]
    NoRule {
        /// The rule.
        name: String,
        /// The other one.
        wanted: String,
    },
    /// A rule refers to itself, or through too many others.
    #[error("rule {name:?} refers to itself, or is nested too deeply")]
    Circle {
        /// The rule.
        name: String,
    },
    /// No action has the name.
    #[error("{name:?} is no action of this service; there are {}", actions())]
    NoAction {
        /// The name.
        name: String,
    },
}

fn actions() -> String {
    ACTIONS.map(|(_, name, _)| name).join(", ")
}

impl Default for Rules {
    fn default() -> Self {
        Self::new([]).expect("a test reads the rules of this file")
    }
}

impl Rules {
    /// Returns the default rules with those of a file in their place.
    ///
    /// # Errors
    /// [`RuleError`]
    pub fn new(file: impl IntoIterator<Item = (String, String)>) -> Result<Self, RuleError> {
        let defaults = ACTIONS.iter().map(|(_, name, rule)| (*name, *rule)).chain(SHARED);
        let mut texts: BTreeMap<String, String> =
            defaults.map(|(name, rule)| (name.to_owned(), rule.to_owned())).collect();
        for (name, rule) in file {
            if name.starts_with(PREFIX) && !texts.contains_key(&name) {
                return Err(RuleError::NoAction { name });
            }
            texts.insert(name, rule);
        }
        let parsed = texts.into_iter().map(|(name, text)| {
            let check = parse(&name, &text)?;
            Ok((name, check))
        });
        let rules = Self(parsed.collect::<Result<_, _>>()?);
        for (name, check) in &rules.0 {
            rules.follow(name, check, 0)?;
        }
        Ok(rules)
    }

    /// Whether a user may do something with a thing of `owner`.
    pub fn allow(&self, action: Action, user: &Identity, owner: &Owner) -> bool {
        let name = ACTIONS.iter().find(|(known, ..)| *known == action).map(|(_, name, _)| *name);
        name.and_then(|name| self.0.get(name)).is_some_and(|check| self.holds(check, user, owner))
    }

    fn holds(&self, check: &Check, user: &Identity, owner: &Owner) -> bool {
        match check {
            Check::Always => true,
            Check::Never => false,
            Check::Role(role) => user.roles.contains(role),
            Check::Rule(name) => self.0.get(name).is_some_and(|check| self.holds(check, user, owner)),
            Check::SameProject => user.project_id.is_some() && user.project_id == owner.project_id,
            Check::SameUser => owner.user_id.as_ref() == Some(&user.user_id),
            Check::System => user.is_system,
            Check::Not(check) => !self.holds(check, user, owner),
            Check::All(checks) => checks.iter().all(|check| self.holds(check, user, owner)),
            Check::Any(checks) => checks.iter().any(|check| self.holds(check, user, owner)),
        }
    }

    /// Follows the references of a rule.
    fn follow(&self, name: &str, check: &Check, depth: usize) -> Result<(), RuleError> {
        if depth > RULE_DEPTH_MAX {
            return Err(RuleError::Circle { name: name.to_owned() });
        }
        match check {
            Check::Rule(wanted) => match self.0.get(wanted) {
                Some(check) => self.follow(name, check, depth + 1),
                None => Err(RuleError::NoRule { name: name.to_owned(), wanted: wanted.clone() }),
            },
            Check::Not(check) => self.follow(name, check, depth + 1),
            Check::All(checks) | Check::Any(checks) => {
                checks.iter().try_for_each(|check| self.follow(name, check, depth + 1))
            }
            _ => Ok(()),
        }
    }
}

/// Parses a rule: `not` binds closest, then `and`, then `or`.
fn parse(name: &str, text: &str) -> Result<Check, RuleError> {
    let mut words = words(text);
    if words.is_empty() {
        return Ok(Check::Always);
    }
    words.reverse();
    let mut parser = Parser { name, words };
    let check = parser.any(0)?;
    match parser.words.is_empty() {
        true => Ok(check),
        false => Err(parser.form("it goes on after its end; is `and` or `or` missing?")),
    }
}

/// Splits a rule into words and parentheses. The parentheses of `%(project_id)s` are a part of their word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let inner = word.trim_start_matches('(');
        words.extend((inner.len()..word.len()).map(|_| "(".to_owned()));
        let core = inner.trim_end_matches(')');
        if !core.is_empty() {
            words.push(core.to_owned());
        }
        words.extend((core.len()..inner.len()).map(|_| ")".to_owned()));
    }
    words
}

struct Parser<'a> {
    name: &'a str,
    /// The next word is the last one.
    words: Vec<String>,
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Check, RuleError> {
        let mut checks = vec![self.all(depth)?];
        while self.take("or") {
            checks.push(self.all(depth)?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::Any(checks) })
    }

    fn all(&mut self, depth: usize) -> Result<Check, RuleError> {
        let mut checks = vec![self.one(depth)?];
        while self.take("and") {
            checks.push(self.one(depth)?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::All(checks) })
    }

    fn one(&mut self, depth: usize) -> Result<Check, RuleError> {
        if depth > RULE_DEPTH_MAX {
            return Err(RuleError::Circle { name: self.name.to_owned() });
        }
        if self.take("not") {
            return Ok(Check::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(") {
            let check = self.any(depth + 1)?;
            return match self.take(")") {
                true => Ok(check),
                false => Err(self.form("a parenthesis is not closed")),
            };
        }
        let Some(word) = self.words.pop() else { return Err(self.form("it ends too early")) };
        self.leaf(word)
    }

    fn leaf(&self, word: String) -> Result<Check, RuleError> {
        let name = |text: &str| !text.is_empty() && !text.contains(['%', '(', ')', '\'', '"']);
        Ok(match word.split_once(':') {
            None if word == "@" => Check::Always,
            None if word == "!" => Check::Never,
            Some(("role", role)) if name(role) => Check::Role(role.to_lowercase()),
            Some(("rule", rule)) if name(rule) => Check::Rule(rule.to_owned()),
            Some(("project_id", "%(project_id)s")) => Check::SameProject,
            Some(("user_id", "%(user_id)s")) => Check::SameUser,
            Some(("system_scope", "all")) => Check::System,
            _ => return Err(RuleError::Unknown { name: self.name.to_owned(), word }),
        })
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_next = self.words.last().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        if is_next {
            self.words.pop();
        }
        is_next
    }

    fn form(&self, what: &'static str) -> RuleError {
        RuleError::Form { name: self.name.to_owned(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(roles: &[&str]) -> Identity {
        let roles = roles.iter().map(|role| (*role).to_owned());
        Identity { project_id: Some("p".into()), ..Identity::with_roles("u", roles) }
    }

    fn with(rule: &str) -> Result<Rules, RuleError> {
        Rules::new([("image-distribution:pushes:create".to_owned(), rule.to_owned())])
    }

    #[test]
    fn by_default_readers_read_and_admins_and_services_push() {
        let rules = Rules::default();
        for (roles, reads, pushes) in [
            (&["admin"][..], true, true),
            (&["service"], true, true),
            (&["member"], true, false),
            (&["reader"], true, false),
            (&["heat_stack_owner"], false, false),
            (&[], false, false),
        ] {
            let may = |action| rules.allow(action, &user(roles), &Owner::default());
            assert_eq!((may(Action::ReadPushes), may(Action::CreatePush)), (reads, pushes), "{roles:?}");
        }
    }

    #[test]
    fn a_rule_is_read_as_oslo_policy_reads_it() {
        let own = Owner { project_id: Some("p".into()), user_id: Some("u".into()) };
        let other = Owner { project_id: Some("q".into()), user_id: Some("v".into()) };
        for (rule, roles, owner, allowed) in [
            ("", &[][..], &other, true),
            ("@", &[], &other, true),
            ("!", &["admin"], &own, false),
            ("role:Admin", &["admin"], &other, true),
            ("role:a and role:b or role:c", &["c"], &other, true),
            ("role:c or role:a and role:b", &["a"], &other, false),
            ("(role:c or role:a) and role:b", &["a"], &other, false),
            ("(role:c or role:a) and role:b", &["a", "b"], &other, true),
            ("not role:a", &["b"], &other, true),
            ("NOT role:a AND role:b", &["a", "b"], &other, false),
            ("project_id:%(project_id)s", &[], &own, true),
            ("project_id:%(project_id)s", &[], &other, false),
            ("(role:x and project_id:%(project_id)s) or user_id:%(user_id)s", &[], &own, true),
            ("rule:writer", &["service"], &other, true),
            ("system_scope:all", &["admin"], &other, false),
        ] {
            let rules = with(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
            assert_eq!(rules.allow(Action::CreatePush, &user(roles), owner), allowed, "{rule} {roles:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for rule in [
            "is_admin:True",
            "role:",
            "role:%(target.role)s",
            "http://opa/check",
            "project_id:p",
            "user_id:%(project_id)s",
            "role:a role:b",
            "role:a and",
            "and",
            "(role:a",
            "role:a)",
            "()",
            "not",
            "rule:nobody",
            "rule:image-distribution:pushes:create",
            "'admin':role",
            "tenant:%(tenant_id)s",
            "admin",
        ] {
            assert!(with(rule).is_err(), "{rule}");
        }
        let deep = format!("{}role:a{}", "(".repeat(99), ")".repeat(99));
        assert!(matches!(with(&deep), Err(RuleError::Circle { .. })));
        let slip = [("image-distribution:pushes:creat".to_owned(), "@".to_owned())];
        assert!(Rules::new(slip).expect_err("a slip").to_string().contains("pushes:create"));
    }

    #[test]
    fn a_project_that_nobody_has_is_nobodys() {
        let rules = with("project_id:%(project_id)s").expect("a rule");
        let nobody = Identity { project_id: None, ..user(&[]) };
        assert!(!rules.allow(Action::CreatePush, &nobody, &Owner::default()));
    }
}
