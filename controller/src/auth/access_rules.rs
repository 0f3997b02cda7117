//! Access rules of application credentials: the only requests that such a token is good for. The model is
//! keystonemiddleware's `validate_allowed_request` and `_path_matches` (auth_token/__init__.py), except that a `.` in a path is
//! a dot here, and any character there.

use axum::http::Method;
use serde_json::Value;

/// The type of this service in Keystone's catalog.
pub const SERVICE_TYPE: &str = "image-distribution";

/// A request that a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccessRule {
    service: String,
    method: String,
    path: Vec<Part>,
}

/// A part of the pattern of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// `*` or `{tag}`: characters of one segment, at least one.
    Segment,
    /// `**`: any characters.
    Any,
}

impl AccessRule {
    /// Reads a rule; `None` if it has another form.
    pub(super) fn read(rule: &Value) -> Option<Self> {
        let text = |key: &str| rule.get(key)?.as_str().map(str::to_owned);
        let path = text("path")?;
        (path.len() <= PATTERN_BYTES_MAX).then_some(())?;
        Some(Self { service: text("service")?, method: text("method")?, path: parts(&path) })
    }

    /// Whether the rule allows a request to this service.
    pub(super) fn allows(&self, method: &Method, path: &str) -> bool {
        self.service == SERVICE_TYPE && self.method == method.as_str() && matches(&self.path, path)
    }
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (part, length) = match first {
            '{' => match rest.find('}') {
                Some(end) => (Some(Part::Segment), end + 1),
                // keystonemiddleware passes over a brace without its other half.
                None => (None, 1),
            },
            '}' => (None, 1),
            '*' if rest.starts_with("**") => (Some(Part::Any), 2),
            '*' => (Some(Part::Segment), 1),
            other => (Some(Part::Literal(other)), other.len_utf8()),
        };
        parts.extend(part);
        rest = &rest[length..];
    }
    parts
}

/// Whether a path matches. `reached[i]`: the first `i` parts match what has been read, so that the time is the product of both
/// lengths, whatever the pattern.
fn matches(parts: &[Part], path: &str) -> bool {
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    pass_over_any(parts, &mut reached);
    for c in path.chars() {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate() {
            let (before, within) = (reached[at], reached[at + 1]);
            next[at + 1] |= match part {
                Part::Literal(literal) => before && *literal == c,
                Part::Segment => c != '/' && (before || within),
                Part::Any => before || within,
            };
        }
        pass_over_any(parts, &mut next);
        reached = next;
    }
    reached[parts.len()]
}

/// `**` also stands for no character.
fn pass_over_any(parts: &[Part], reached: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if *part == Part::Any && reached[at] {
            reached[at + 1] = true;
        }
    }
}

/// Bytes of a pattern: Keystone's column has 128.
const PATTERN_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_matches_as_in_keystonemiddleware() {
        for (pattern, path, expected) in [
            ("/v1/pushes", "/v1/pushes", true),
            ("/v1/pushes", "/v1/pushes/", false),
            ("/v1/pushes/*", "/v1/pushes/abc", true),
            ("/v1/pushes/*", "/v1/pushes/", false),
            ("/v1/pushes/*", "/v1/pushes/abc/hosts", false),
            ("/v1/pushes/{push_id}/hosts", "/v1/pushes/abc/hosts", true),
            ("/v1/pushes/{push_id}", "/v1/pushes/a/b", false),
            ("/v1/**", "/v1/pushes/abc/hosts", true),
            ("/v1/**", "/v1/", true),
            ("/**/hosts", "/v1/pushes/abc/hosts", true),
            ("/v1/***", "/v1/x", true),
            ("/v1/p.shes", "/v1/pushes", false),
            ("**", "", true),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(&parts(pattern), path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_rule_is_for_its_service_and_its_method() {
        let rule = |service: &str| {
            AccessRule::read(&json!({"id": "1", "service": service, "method": "GET", "path": "/v1/**"}))
        };
        let ours = rule(SERVICE_TYPE).expect("a rule");
        assert!(ours.allows(&Method::GET, "/v1/pushes"));
        assert!(!ours.allows(&Method::POST, "/v1/pushes") && !ours.allows(&Method::GET, "/"));
        assert!(!rule("compute").expect("a rule").allows(&Method::GET, "/v1/pushes"));
        assert_eq!(AccessRule::read(&json!({"service": "x", "method": "GET"})), None);
    }

    #[test]
    fn a_pattern_of_stars_takes_no_exponential_time() {
        let pattern = "**a".repeat(40);
        assert!(!matches(&parts(&pattern), &"a".repeat(4_000).replace('a', "b")));
    }
}
