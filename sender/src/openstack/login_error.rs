//! Failed logins: converts the SDK's errors.

use openstack_sdk_auth_core::AuthError;
use openstack_sdk_auth_core::authtoken::AuthTokenError;
use openstack_sdk_core::OpenStackError;
use reqwest::StatusCode;

use super::error::{CloudError, one_line, root_cause, shown_url};
use super::http::unanswered;

/// Converts a failed login; `url` is the auth_url, `origin` the source of the settings ("cloud `x` in
/// /etc/openstack/clouds.yaml").
pub(super) fn login_error(error: OpenStackError, url: &str, origin: &str) -> CloudError {
    let (url, origin) = (shown_url(url), origin.to_owned());
    let settings = |reason: String, origin| CloudError::BadSettings { origin, reason };
    match error {
        OpenStackError::AuthError { source } => match source {
            AuthError::Identity(answer) => keystone_status(answer.code, url, origin),
            AuthError::UnknownAuth { code, .. } => keystone_status(code.into(), url, origin),
            AuthError::AuthReceipt(_) => CloudError::SecondFactor { url, origin },
            AuthError::Reqwest { source } => unanswered(&url, &source),
            AuthError::AuthToken {
                source:
                    source @ (AuthTokenError::IdentityMethod { .. }
                    | AuthTokenError::MissingAuthData
                    | AuthTokenError::MissingAuthUrl
                    | AuthTokenError::MultifactorAuthMethodsList
                    | AuthTokenError::Scope { .. }),
            } => settings(one_line(&source.to_string()), origin),
            source @ (AuthError::Plugin { .. }
            | AuthError::AuthValueNotSupplied(_)
            | AuthError::Url { .. }) => settings(root_cause(&source), origin),
            other => CloudError::Client { reason: one_line(&other.to_string()) },
        },
        OpenStackError::AuthHelperError { source } => settings(source.to_string(), origin),
        OpenStackError::IOWithPath { source, path } => settings(format!("{path}: {source}"), origin),
        OpenStackError::UrlParse { source } => settings(format!("auth_url: {source}"), origin),
        OpenStackError::Catalog { source } => settings(one_line(&source.to_string()), origin),
        OpenStackError::Communication { source } => unanswered(&url, &source),
        other => CloudError::Client { reason: one_line(&other.to_string()) },
    }
}

fn keystone_status(status: u32, url: String, origin: String) -> CloudError {
    let status = u16::try_from(status).unwrap_or(0);
    // Keystone answers 404 for an invalid or expired token.
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::NOT_FOUND {
        return CloudError::CredentialsRefused { url, status, origin };
    }
    CloudError::Keystone { url, status, origin }
}

#[cfg(test)]
mod tests {
    use super::super::error::CloudErrorKind;
    use super::*;

    fn identity(code: u32) -> OpenStackError {
        let answer = serde_json::json!({"code": code, "message": "no"});
        AuthError::Identity(serde_json::from_value(answer).unwrap()).into()
    }

    #[test]
    fn a_wrong_password_names_keystone_and_is_a_usage_error() {
        let error = login_error(identity(401), "http://u:pw@ks:5000/v3", "cloud `x`");
        let text = error.to_string();
        assert!(text.starts_with(
            "Keystone at http://ks:5000/v3 refused the user name, password, token or project (401)"
        ));
        assert!(!text.contains("pw"));
        assert_eq!(error.kind(), CloudErrorKind::Usage);
    }

    #[test]
    fn other_keystone_answers_keep_their_status() {
        let error = login_error(identity(403), "http://ks/v3", "OS_* variables");
        assert!(error.to_string().contains("answered 403"), "{error}");
    }

    #[test]
    fn an_auth_type_nobody_knows_is_a_usage_error() {
        let error = OpenStackError::from(AuthTokenError::IdentityMethod { auth_type: "v9magic".into() });
        let error = login_error(error, "http://ks/v3", "cloud `x`");
        assert_eq!(error.kind(), CloudErrorKind::Usage);
        assert!(error.to_string().contains("v9magic"));
    }
}
