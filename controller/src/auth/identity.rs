//! Who asks: a user with roles.

use std::collections::BTreeSet;

use glancecast_proto::time::WallClock;
use serde_json::Value;

use super::access_rules::AccessRule;
use crate::model::parse_time;

/// A user who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user_id: String,
    /// The user's name.
    pub user_name: String,
    /// The project that the user asks for.
    pub project_id: Option<String>,
    /// The user's roles, in lower-case letters: Keystone and oslo.policy compare them so.
    pub roles: BTreeSet<String>,
    /// Whether the token is for the whole cloud.
    pub is_system: bool,
}

/// What Keystone says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenInfo {
    pub(super) identity: Identity,
    pub(super) expires_at: WallClock,
    /// The only requests that the token is good for; `None`: all.
    pub(super) access_rules: Option<Vec<AccessRule>>,
}

impl Identity {
    /// Returns a user who may do everything.
    pub fn administrator(name: &str) -> Self {
        Self::with_roles(name, ["admin", "member", "reader"].map(str::to_owned))
    }

    /// Returns a user of the controller's own file.
    pub(super) fn with_roles(name: &str, roles: impl IntoIterator<Item = String>) -> Self {
        Self {
            user_id: name.to_owned(),
            user_name: name.to_owned(),
            project_id: None,
            roles: roles.into_iter().map(|role| role.to_lowercase()).collect(),
            is_system: false,
        }
    }
}

impl TokenInfo {
    /// Reads the member `token` of Keystone's answer; `None` if it lacks what every token has.
    pub(super) fn read(token: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let roles = token.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let identity = Identity {
            user_id: text(&token["user"]["id"])?,
            user_name: text(&token["user"]["name"]).unwrap_or_default(),
            project_id: text(&token["project"]["id"]),
            roles: roles.iter().filter_map(|role| Some(role["name"].as_str()?.to_lowercase())).collect(),
            is_system: token["system"]["all"].as_bool().unwrap_or(false),
        };
        // Without its end a token would be believed for too long.
        let expires_at = parse_time(token["expires_at"].as_str()?)?;
        let access_rules = match &token["application_credential"]["access_rules"] {
            Value::Null => None,
            // A form that is not known restricts to nothing.
            rules => {
                let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
                Some(rules.iter().filter_map(AccessRule::read).collect())
            }
        };
        Some(Self { identity, expires_at, access_rules })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_its_user_its_roles_and_its_end() {
        let mut token = json!({"user": {"id": "u", "name": "ann", "domain": {"id": "default"}}, "project": {"id": "p"},
            "roles": [{"id": "1", "name": "Admin"}, {"id": "2", "name": "reader"}], "methods": ["password"],
            "expires_at": "2026-11-30T21:00:00.000000Z"});
        let info = TokenInfo::read(&token).expect("a token");
        assert_eq!((info.identity.user_id.as_str(), info.identity.project_id.as_deref()), ("u", Some("p")));
        assert!(info.identity.roles.contains("admin") && info.access_rules.is_none());
        token["application_credential"] = json!({"id": "c", "access_rules": "all"});
        assert_eq!(
            TokenInfo::read(&token).expect("a token").access_rules,
            Some(vec![]),
            "none that is known"
        );
        token["expires_at"] = json!("soon");
        assert_eq!(TokenInfo::read(&token), None);
    }
}
