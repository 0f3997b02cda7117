//! What Keystone is asked for: the methods of authentication, the scope, and the body of the request for a token
//! (Identity API v3, `POST /v3/auth/tokens`).

use std::iter;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::config::Settings;

/// A method of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Password,
    Token,
    Totp,
    ApplicationCredential,
    /// A token of an OpenID Connect provider.
    OidcAccessToken,
    /// A client that gets such a token itself.
    OidcClientCredentials,
}

impl Method {
    /// Returns the method of this name in clouds.yaml.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("v3").unwrap_or(name) {
            "password" => Self::Password,
            "token" => Self::Token,
            "totp" => Self::Totp,
            "applicationcredential" | "application_credential" => Self::ApplicationCredential,
            "oidcaccesstoken" | "accesstoken" => Self::OidcAccessToken,
            "oidcclientcredentials" | "clientcredentials" => Self::OidcClientCredentials,
            _ => return None,
        })
    }

    /// Returns what Keystone refuses when it does not accept the credentials.
    pub(super) fn refused(self) -> &'static str {
        match self {
            Self::Password => "the user name, the password, a domain or the project",
            Self::Token => "the token, which may have expired, or the project",
            Self::Totp => "the user name, the passcode, a domain or the project",
            Self::ApplicationCredential => {
                "the application credential: its id or name, its user, its secret, or it has expired or was deleted"
            }
            Self::OidcAccessToken | Self::OidcClientCredentials => {
                "the access token of the identity provider, or the project"
            }
        }
    }

    /// Returns the method's name in the request.
    fn key(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token | Self::OidcAccessToken | Self::OidcClientCredentials => "token",
            Self::Totp => "totp",
            Self::ApplicationCredential => "application_credential",
        }
    }

    /// Returns the method that a receipt asks for by this name.
    fn of_key(key: &str) -> Option<Self> {
        [Self::Password, Self::Token, Self::Totp].into_iter().find(|method| method.key() == key)
    }

    /// Returns the method's part of the request.
    fn part(self, settings: &Settings) -> Result<Value, Missing> {
        match self {
            Self::Password => user(settings, "password"),
            Self::Totp => user(settings, "passcode"),
            Self::ApplicationCredential => application_credential(settings),
            Self::Token | Self::OidcAccessToken | Self::OidcClientCredentials => {
                Ok(json!({"id": text(settings, "token")?}))
            }
        }
    }
}

/// A setting that the method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is missing")]
pub(super) struct Missing(&'static str);

/// Returns the body of the request for a token.
///
/// # Errors
/// `Missing`
pub(super) fn body(method: Method, settings: &Settings) -> Result<Value, Missing> {
    let scope = match method {
        // It has the scope of the user who made it, and Keystone refuses a request for another.
        Method::ApplicationCredential => None,
        _ => scope(settings)?,
    };
    let further = settings.further_methods().iter().filter_map(|name| Method::named(name));
    let parts = iter::once(method).chain(further).map(|method| Ok((method, method.part(settings)?)));
    Ok(request(&parts.collect::<Result<Vec<_>, _>>()?, scope))
}

/// Returns the body that asks for a scope with a token.
///
/// # Errors
/// `Missing`
pub(super) fn rescope(token: &SecretString, settings: &Settings) -> Result<Option<Value>, Missing> {
    let part = json!({"id": token.expose_secret()});
    Ok(scope(settings)?.map(|scope| request(&[(Method::Token, part)], Some(scope))))
}

/// Returns the body with the further factors that Keystone's receipt asks for; `None` if the settings lack them.
pub(super) fn further_factors(receipt: &Value, settings: &Settings) -> Option<Value> {
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let done = names(receipt.get("receipt")?.get("methods")?);
    let rules = receipt.get("required_auth_methods")?.as_array()?;
    let parts = rules.iter().take(RULES_MAX).find_map(|rule| {
        let lacking = names(rule).into_iter().filter(|name| !done.contains(name));
        let parts = lacking.map(|name| {
            let method = Method::of_key(&name)?;
            Some((method, method.part(settings).ok()?))
        });
        parts.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty())
    })?;
    Some(request(&parts, scope(settings).ok()?))
}

fn request(parts: &[(Method, Value)], scope: Option<Value>) -> Value {
    let methods: Vec<&str> = parts.iter().map(|(method, _)| method.key()).collect();
    let mut identity = Map::from_iter([("methods".to_owned(), json!(methods))]);
    identity.extend(parts.iter().map(|(method, part)| (method.key().to_owned(), part.clone())));
    let mut auth = json!({"identity": identity});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    json!({"auth": auth})
}

/// Returns the scope that the settings ask for; `None` for the user's default.
fn scope(settings: &Settings) -> Result<Option<Value>, Missing> {
    let given = |name: &str| settings.credential(name).map(|value| value.expose_secret().to_owned());
    Ok(if let Some(id) = given("trust_id") {
        Some(json!({"OS-TRUST:trust": {"id": id}}))
    } else if let Some(id) = given("project_id") {
        Some(json!({"project": {"id": id}}))
    } else if let Some(name) = given("project_name") {
        let domain = domain(settings, "project_domain_id", "project_domain_name");
        Some(json!({"project": {"name": name, "domain": domain.ok_or(Missing("project_domain_name"))?}}))
    } else if let Some(domain) = domain(settings, "domain_id", "domain_name") {
        Some(json!({"domain": domain}))
    } else {
        given("system_scope").map(|all| json!({"system": {"all": all == "all"}}))
    })
}

fn application_credential(settings: &Settings) -> Result<Value, Missing> {
    let secret = text(settings, "application_credential_secret")?;
    if let Ok(id) = text(settings, "application_credential_id") {
        return Ok(json!({"id": id, "secret": secret}));
    }
    let Ok(name) = text(settings, "application_credential_name") else {
        return Err(Missing("application_credential_id"));
    };
    // A name is unique only among those of one user.
    Ok(json!({"name": name, "secret": secret, "user": named_user(settings)?}))
}

/// Returns the user with one secret, under the secret's name.
fn user(settings: &Settings, secret: &'static str) -> Result<Value, Missing> {
    let mut user = named_user(settings)?;
    user.insert(secret.to_owned(), text(settings, secret)?.into());
    Ok(json!({"user": user}))
}

fn named_user(settings: &Settings) -> Result<Map<String, Value>, Missing> {
    let mut user = Map::new();
    if let Ok(id) = text(settings, "user_id") {
        user.insert("id".to_owned(), id.into());
        return Ok(user);
    }
    user.insert("name".to_owned(), text(settings, "username")?.into());
    let domain = domain(settings, "user_domain_id", "user_domain_name");
    user.insert("domain".to_owned(), domain.ok_or(Missing("user_domain_name"))?);
    Ok(user)
}

/// Returns a domain by its id, else by its name.
fn domain(settings: &Settings, id: &'static str, name: &'static str) -> Option<Value> {
    let by_id = text(settings, id).ok().map(|id| json!({"id": id}));
    by_id.or_else(|| text(settings, name).ok().map(|name| json!({"name": name})))
}

fn text(settings: &Settings, name: &'static str) -> Result<String, Missing> {
    settings.credential(name).map(|value| value.expose_secret().to_owned()).ok_or(Missing(name))
}

/// More rules than any user has.
const RULES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let variables = pairs.iter().map(|(key, value)| (format!("OS_{}", key.to_ascii_uppercase()), *value));
        let variables: Vec<(String, &str)> = variables.collect();
        let variables = variables.iter().map(|(name, value)| (name.as_str(), *value));
        Settings::of_variables(
            &iter::once(("OS_AUTH_URL", "http://ks/v3")).chain(variables).collect::<Vec<_>>(),
        )
    }

    const USER: [(&str, &str); 3] = [("username", "u"), ("user_domain_name", "D"), ("password", "p")];

    #[test]
    fn a_password_comes_with_its_user_and_the_scope() {
        let all = settings(&[&USER[..], &[("project_name", "x"), ("project_domain_id", "d")]].concat());
        let body = body(Method::Password, &all).unwrap();
        let user = json!({"name": "u", "domain": {"name": "D"}, "password": "p"});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = json!({"project": {"name": "x", "domain": {"id": "d"}}});
        assert_eq!(body, json!({"auth": {"identity": identity, "scope": scope}}));
    }

    #[test]
    fn each_scope_is_asked_for_in_its_words() {
        let of = |pairs: &[(&str, &str)]| {
            let body = body(Method::Password, &settings(&[&USER[..], pairs].concat())).unwrap();
            body["auth"].get("scope").cloned()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("project_id", "i"), ("project_name", "n")]), Some(json!({"project": {"id": "i"}})));
        assert_eq!(of(&[("domain_name", "D")]), Some(json!({"domain": {"name": "D"}})));
        assert_eq!(of(&[("system_scope", "all")]), Some(json!({"system": {"all": true}})));
        assert_eq!(of(&[("trust_id", "t")]), Some(json!({"OS-TRUST:trust": {"id": "t"}})));
    }

    #[test]
    fn an_application_credential_is_named_by_id_or_by_name_and_user() {
        let secret = ("application_credential_secret", "s");
        let by_id = settings(&[secret, ("application_credential_id", "i"), ("project_id", "p")]);
        let body = |settings: &Settings| body(Method::ApplicationCredential, settings);
        let part = |credential| json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}});
        assert_eq!(body(&by_id).unwrap(), part(json!({"id": "i", "secret": "s"})));
        let named =
            [secret, ("application_credential_name", "n"), ("username", "u"), ("user_domain_id", "d")];
        let user = json!({"name": "u", "domain": {"id": "d"}});
        assert_eq!(body(&settings(&named)).unwrap(), part(json!({"name": "n", "secret": "s", "user": user})));
        assert_eq!(body(&settings(&named[..2])), Err(Missing("username")));
        assert_eq!(body(&settings(&[secret])), Err(Missing("application_credential_id")));
    }

    #[test]
    fn several_methods_go_into_one_request() {
        let more =
            [("passcode", "012345"), ("auth_type", "v3multifactor"), ("auth_methods", "v3password,v3totp")];
        let settings = settings(&[&USER[..], &more].concat());
        let body = body(Method::named(settings.auth_type()).unwrap(), &settings).unwrap();
        let identity = &body["auth"]["identity"];
        assert_eq!(identity["methods"], json!(["password", "totp"]));
        assert_eq!(identity["password"]["user"]["password"], "p");
        assert_eq!(identity["totp"]["user"]["passcode"], "012345");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (pairs, missing) in [
            (&[("username", "u"), ("user_domain_name", "D")][..], "password"),
            (&[("user_domain_name", "D"), ("password", "p")], "username"),
        ] {
            assert_eq!(body(Method::Password, &settings(pairs)), Err(Missing(missing)));
        }
    }

    #[test]
    fn a_receipt_is_answered_with_the_factors_that_are_there() {
        let receipt =
            json!({"receipt": {"methods": ["password"]}, "required_auth_methods": [["password", "totp"]]});
        let without = settings(&USER);
        assert_eq!(further_factors(&receipt, &without), None);
        let with = settings(&[&USER[..], &[("passcode", "123456")]].concat());
        let body = further_factors(&receipt, &with).unwrap();
        assert_eq!(body["auth"]["identity"]["methods"], json!(["totp"]));
        assert_eq!(body["auth"]["identity"]["totp"]["user"]["passcode"], json!("123456"));
        for odd in [json!({}), json!([]), json!({"receipt": {"methods": 5}, "required_auth_methods": [5]})] {
            assert_eq!(further_factors(&odd, &with), None, "{odd}");
        }
    }
}
