//! Who logs in, with what, and for what: the methods and the scope of a log-in, and the body of its request (Identity
//! API v3, `POST /v3/auth/tokens`). Pure.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use super::cloud::Options;
use super::yaml::Value;

/// What is asked of Keystone.
#[derive(Clone, Debug)]
pub(in crate::openstack) struct Credentials {
    pub(in crate::openstack) methods: Methods,
    pub(in crate::openstack) scope: Scope,
    /// The one-time password that Keystone may ask for after the first method.
    pub(in crate::openstack) second: Option<Method>,
}

/// The ways to log in.
#[derive(Clone, Debug)]
pub(in crate::openstack) enum Methods {
    /// Methods of Keystone itself, one or several in one request.
    Own(Vec<Method>),
    /// An exchange with an identity provider, by its name in clouds.yaml: a method of the SDK.
    Federated(String),
}

/// A method of Keystone.
#[derive(Clone, Debug)]
pub(in crate::openstack) enum Method {
    Password { user: User, password: SecretString },
    Totp { user: User, passcode: SecretString },
    Token { token: SecretString },
    ApplicationCredential { credential: ApplicationCredential, secret: SecretString },
}

/// An application credential, by its id, or by its name and its owner.
#[derive(Clone, Debug)]
pub(in crate::openstack) enum ApplicationCredential {
    Id(String),
    Name { name: String, user: User },
}

/// A user, by id, or by name and domain.
#[derive(Clone, Debug)]
pub(in crate::openstack) enum User {
    Id(String),
    Name { name: String, domain: Domain },
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openstack) enum Domain {
    Id(String),
    Name(String),
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openstack) enum Scope {
    /// Nothing, or the user's default project.
    Unscoped,
    ProjectId(String),
    Project {
        name: String,
        domain: Domain,
    },
    Domain(Domain),
    /// The trust with this id, and its project.
    Trust(String),
    System,
}

/// Why the options are no log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openstack) enum NoLogin {
    /// What is wrong with the options.
    Wrong(String),
    /// The log-in takes an identity provider that asks a person, or a protocol that only Python's plugins speak.
    Federated(String),
}

impl Credentials {
    /// Makes the log-in of the options. `default_domain` is the id of the domain where a user or project has none:
    /// `OS_DEFAULT_DOMAIN`, else `default`, as osc-lib has it.
    ///
    /// # Errors
    /// [`NoLogin`].
    pub(super) fn new(options: &Options, default_domain: &str) -> Result<Self, NoLogin> {
        let reader = Reader { options, default_domain };
        let auth_type = reader.auth_type();
        let methods = match auth_type.as_str() {
            "v3oidcaccesstoken" | "accesstoken" | "v3oidcclientcredentials" | "clientcredentials" => {
                Methods::Federated(auth_type)
            }
            "v3multifactor" | "multifactor" => Methods::Own(reader.several()?),
            name => Methods::Own(vec![reader.method(name)?]),
        };
        let is_bound = matches!(&methods, Methods::Own(own) if own.iter().any(Method::has_own_scope));
        let scope = match is_bound {
            // Keystone refuses a scope beside an application credential, which has its project.
            true => Scope::Unscoped,
            false => reader.scope()?,
        };
        let second = match &methods {
            Methods::Own(own) if matches!(own[..], [Method::Password { .. }]) => reader.method("v3totp").ok(),
            _ => None,
        };
        Ok(Self { methods, scope, second })
    }
}

/// Returns the body of a log-in. It holds secrets.
pub(in crate::openstack) fn request(methods: &[Method], scope: &Scope) -> Json {
    let names: Vec<&str> = methods.iter().map(Method::name).collect();
    let mut identity = json!({ "methods": names });
    for method in methods {
        identity[method.name()] = method.json();
    }
    let mut auth = json!({ "identity": identity });
    if let Some(scope) = scope.json() {
        auth["scope"] = scope;
    }
    json!({ "auth": auth })
}

impl Method {
    /// Returns Keystone's name of the method.
    pub(in crate::openstack) fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Totp { .. } => "totp",
            Self::Token { .. } => "token",
            Self::ApplicationCredential { .. } => "application_credential",
        }
    }

    fn has_own_scope(&self) -> bool {
        matches!(self, Self::ApplicationCredential { .. })
    }

    fn json(&self) -> Json {
        let with = |user: &User, key: &str, secret: &SecretString| {
            let mut user = user.json();
            user[key] = secret.expose_secret().into();
            json!({ "user": user })
        };
        match self {
            Self::Password { user, password } => with(user, "password", password),
            Self::Totp { user, passcode } => with(user, "passcode", passcode),
            Self::Token { token } => json!({ "id": token.expose_secret() }),
            Self::ApplicationCredential { credential, secret } => match credential {
                ApplicationCredential::Id(id) => json!({ "id": id, "secret": secret.expose_secret() }),
                ApplicationCredential::Name { name, user } => {
                    json!({ "name": name, "user": user.json(), "secret": secret.expose_secret() })
                }
            },
        }
    }
}

impl User {
    fn json(&self) -> Json {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name { name, domain } => json!({ "name": name, "domain": domain.json() }),
        }
    }
}

impl Domain {
    fn json(&self) -> Json {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

impl Scope {
    fn json(&self) -> Option<Json> {
        Some(match self {
            Self::Unscoped => return None,
            Self::ProjectId(id) => json!({ "project": { "id": id } }),
            Self::Project { name, domain } => json!({ "project": { "name": name, "domain": domain.json() } }),
            Self::Domain(domain) => json!({ "domain": domain.json() }),
            Self::Trust(id) => json!({ "OS-TRUST:trust": { "id": id } }),
            Self::System => json!({ "system": { "all": true } }),
        })
    }
}

struct Reader<'a> {
    options: &'a Options,
    default_domain: &'a str,
}

impl Reader<'_> {
    /// Returns the type that is set, else the one of the credentials that are there.
    fn auth_type(&self) -> String {
        let set = self.options.text("auth_type").or(self.options.text("auth_plugin"));
        let has = |key| self.options.auth(key).is_some();
        let name = match set {
            Some(name) => name,
            None if has("username") || has("user_id") => "password",
            None if has("application_credential_id") => "v3applicationcredential",
            None if has("token") => "token",
            None => "password",
        };
        name.to_ascii_lowercase()
    }

    fn method(&self, name: &str) -> Result<Method, NoLogin> {
        match name {
            "password" | "v3password" => {
                let user = self.user()?;
                Ok(Method::Password { user, password: self.secret("password")? })
            }
            "totp" | "v3totp" => Ok(Method::Totp { user: self.user()?, passcode: self.secret("passcode")? }),
            "token" | "v3token" => Ok(Method::Token { token: self.secret("token")? }),
            "v3applicationcredential" | "applicationcredential" | "application_credential" => {
                let credential = match self.options.auth("application_credential_id") {
                    Some(id) => ApplicationCredential::Id(id.to_owned()),
                    None => self.named_credential()?,
                };
                let secret = self.secret("application_credential_secret")?;
                Ok(Method::ApplicationCredential { credential, secret })
            }
            name => Err(self.unsupported(name)),
        }
    }

    fn named_credential(&self) -> Result<ApplicationCredential, NoLogin> {
        let Some(name) = self.options.auth("application_credential_name") else {
            return missing("application_credential_id");
        };
        match self.user() {
            Ok(user) => Ok(ApplicationCredential::Name { name: name.to_owned(), user }),
            Err(_) => Err(NoLogin::Wrong(
                "`application_credential_name` needs the `username` or `user_id` of its owner; \
                 `application_credential_id` needs none"
                    .to_owned(),
            )),
        }
    }

    /// The methods of `v3multifactor`: a list, or a text with commas.
    fn several(&self) -> Result<Vec<Method>, NoLogin> {
        let names: Vec<&str> = match self.options.auth_value("auth_methods") {
            Some(Value::Text(scalar)) => scalar.text.split(',').map(str::trim).collect(),
            Some(Value::List(list)) => list.iter().filter_map(Value::as_text).collect(),
            _ => return missing("auth_methods"),
        };
        if names.is_empty() || names.len() > METHODS_MAX {
            return Err(NoLogin::Wrong("`auth_methods` names no method, or too many".to_owned()));
        }
        names.into_iter().map(|name| self.method(name)).collect()
    }

    fn user(&self) -> Result<User, NoLogin> {
        match (self.options.auth("user_id"), self.options.auth("username")) {
            (Some(id), _) => Ok(User::Id(id.to_owned())),
            (None, Some(name)) => Ok(User::Name { name: name.to_owned(), domain: self.domain_of("user") }),
            (None, None) => missing("username"),
        }
    }

    /// Returns the domain of the user or the project; the id wins over the name.
    fn domain_of(&self, owner: &str) -> Domain {
        let own = |kind: &str| self.options.auth(&format!("{owner}_domain_{kind}"));
        let default = |kind: &str| self.options.auth(&format!("default_domain_{kind}"));
        if let Some(id) = own("id") {
            return Domain::Id(id.to_owned());
        }
        if let Some(name) = own("name") {
            return Domain::Name(name.to_owned());
        }
        match (default("id"), default("name")) {
            (Some(id), _) => Domain::Id(id.to_owned()),
            (None, Some(name)) => Domain::Name(name.to_owned()),
            (None, None) => Domain::Id(self.default_domain.to_owned()),
        }
    }

    /// # Errors
    /// If there are scopes of several kinds, of which keystoneauth1 takes none either.
    fn scope(&self) -> Result<Scope, NoLogin> {
        let option = |key| self.options.auth(key).map(str::to_owned);
        let project = match (option("project_id"), option("project_name")) {
            (Some(id), _) => Some(Scope::ProjectId(id)),
            (None, Some(name)) => Some(Scope::Project { name, domain: self.domain_of("project") }),
            (None, None) => None,
        };
        let domain = match (option("domain_id"), option("domain_name")) {
            (Some(id), _) => Some(Scope::Domain(Domain::Id(id))),
            (None, name) => name.map(|name| Scope::Domain(Domain::Name(name))),
        };
        let trust = option("trust_id").map(Scope::Trust);
        let system = match option("system_scope").as_deref() {
            None => None,
            Some("all") => Some(Scope::System),
            Some(_) => return Err(NoLogin::Wrong("`system_scope` can only be `all`".to_owned())),
        };
        let kinds = [("project", project), ("domain", domain), ("trust_id", trust), ("system_scope", system)];
        let mut found = kinds.into_iter().filter_map(|(kind, scope)| Some((kind, scope?)));
        let Some((kind, scope)) = found.next() else { return Ok(Scope::Unscoped) };
        match found.next() {
            None => Ok(scope),
            Some((other, _)) => Err(NoLogin::Wrong(format!(
                "a token is for a {kind} or for a {other}, and both are given; leave one of them out"
            ))),
        }
    }

    fn secret(&self, key: &'static str) -> Result<SecretString, NoLogin> {
        match self.options.auth(key) {
            Some(text) => Ok(text.to_owned().into()),
            None => missing(key),
        }
    }

    fn unsupported(&self, name: &str) -> NoLogin {
        match name {
            "v2password" | "v2token" => NoLogin::Wrong(format!(
                "auth_type `{name}` is of Keystone's API v2.0, which no supported OpenStack has; use `password` or `token`"
            )),
            "none" | "admin_token" | "token_endpoint" | "http_basic" | "noauth" => NoLogin::Wrong(format!(
                "auth_type `{name}` has no catalog; glancecast finds Glance in Keystone's"
            )),
            name if FEDERATED.iter().any(|part| name.contains(part)) => NoLogin::Federated(name.to_owned()),
            name => NoLogin::Wrong(format!("auth_type `{}` is unknown", super::super::error::shown(name))),
        }
    }
}

fn missing<T>(key: &str) -> Result<T, NoLogin> {
    Err(NoLogin::Wrong(format!("`{key}` is missing")))
}

/// Parts of the names of plugins that log in elsewhere: SAML, OpenID Connect, Kerberos, OAuth and client certificates.
const FEDERATED: [&str; 10] =
    ["oidc", "saml", "adfs", "kerb", "oauth", "sso", "tokenless", "federat", "k2k", "jwt"];

/// Keystone has seven methods.
const METHODS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::cloud::Layers;
    use super::super::yaml::Map;
    use super::*;

    fn credentials(cloud: &str) -> Result<Credentials, NoLogin> {
        let Value::Map(cloud) = Value::parse(cloud).expect("YAML") else { panic!("no mapping") };
        let layers = Layers { profile: Map::new(), cloud, region: Map::new(), overrides: Map::new() };
        Credentials::new(&Options::new(layers).expect("texts"), "default")
    }

    fn body(cloud: &str) -> Json {
        let credentials = credentials(cloud).unwrap_or_else(|error| panic!("{cloud}: {error:?}"));
        let Methods::Own(methods) = &credentials.methods else { panic!("federated") };
        request(methods, &credentials.scope)["auth"].take()
    }

    fn refused(cloud: &str) -> NoLogin {
        credentials(cloud).expect_err(cloud)
    }

    #[test]
    fn a_missing_domain_is_the_default_one() {
        let expected = json!({
            "identity": {"methods": ["password"],
                "password": {"user": {"name": "u", "domain": {"id": "default"}, "password": "012"}}},
            "scope": {"project": {"name": "p", "domain": {"id": "default"}}}});
        assert_eq!(body("auth: {username: u, password: 012, project_name: p}"), expected);
        let named = body("auth: {username: u, password: x, project_name: p, user_domain_name: A}");
        assert_eq!(named["identity"]["password"]["user"]["domain"], json!({"name": "A"}));
        assert_eq!(named["scope"]["project"]["domain"], json!({"id": "default"}));
    }

    #[test]
    fn each_kind_of_scope_is_asked_for() {
        for (option, scope) in [
            ("project_id: p, project_name: q", json!({"project": {"id": "p"}})),
            ("domain_name: d", json!({"domain": {"name": "d"}})),
            ("domain_id: d, domain_name: e", json!({"domain": {"id": "d"}})),
            ("trust_id: t", json!({"OS-TRUST:trust": {"id": "t"}})),
            ("system_scope: all", json!({"system": {"all": true}})),
        ] {
            assert_eq!(
                body(&format!("auth: {{user_id: u, password: x, {option}}}"))["scope"],
                scope,
                "{option}"
            );
        }
        assert!(body("auth: {user_id: u, password: x}").get("scope").is_none());
    }

    #[test]
    fn two_scopes_are_refused_with_their_names() {
        for (options, kinds) in [
            ("project_name: p, trust_id: t", ["project", "trust_id"]),
            ("project_name: p, system_scope: all", ["project", "system_scope"]),
            ("domain_id: d, trust_id: t", ["domain", "trust_id"]),
        ] {
            let NoLogin::Wrong(reason) = refused(&format!("auth: {{user_id: u, password: x, {options}}}"))
            else {
                panic!("{options}")
            };
            assert!(kinds.iter().all(|kind| reason.contains(kind)), "{reason}");
        }
    }

    #[test]
    fn each_method_of_keystone_has_its_body() {
        let identity = |cloud: &str| body(cloud)["identity"].take();
        assert_eq!(
            identity("{auth_type: v3token, auth: {token: t}}"),
            json!({"methods": ["token"], "token": {"id": "t"}})
        );
        let by_id = "{auth_type: v3applicationcredential, auth: {application_credential_id: i, application_credential_secret: s, project_name: p}}";
        assert_eq!(
            body(by_id),
            json!({"identity": {"methods": ["application_credential"], "application_credential": {"id": "i", "secret": "s"}}})
        );
        let by_name = "auth: {application_credential_name: n, application_credential_secret: s, username: u, user_domain_id: d}\nauth_type: v3applicationcredential";
        let expected = json!({"name": "n", "secret": "s", "user": {"name": "u", "domain": {"id": "d"}}});
        assert_eq!(identity(by_name)["application_credential"], expected);
        let both = identity(
            "{auth_type: v3multifactor, auth_methods: [v3password, v3totp], auth: {user_id: u, password: p, passcode: 012345}}",
        );
        assert_eq!(both["methods"], json!(["password", "totp"]));
        assert_eq!(both["totp"]["user"]["passcode"], json!("012345"));
        assert_eq!(identity("auth: {token: t}")["methods"], json!(["token"]), "no type is given");
    }

    #[test]
    fn a_federated_log_in_is_named_as_one_and_others_say_what_is_missing() {
        for name in [
            "v3oidcpassword",
            "v3oidcauthcode",
            "v3oidcdeviceauthz",
            "v3samlpassword",
            "v3adfspassword",
            "v3kerberos",
            "v3fedkerb",
            "v3websso",
            "v3oauth2clientcredential",
            "v3tokenlessauth",
        ] {
            assert_eq!(refused(&format!("auth_type: {name}")), NoLogin::Federated(name.to_owned()));
        }
        for (cloud, word) in [
            ("auth: {username: u}", "`password` is missing"),
            ("auth: {password: u}", "`username` is missing"),
            ("auth: {username: u, password: ~}", "`password` is missing"),
            ("auth_type: v2password", "v2.0"),
            ("auth_type: v9magic", "v9magic"),
            ("auth_type: none", "catalog"),
            ("{auth_type: v3multifactor, auth: {user_id: u}}", "auth_methods"),
            ("{auth_type: v3applicationcredential, auth: {application_credential_name: n}}", "username"),
        ] {
            let NoLogin::Wrong(reason) = refused(cloud) else { panic!("{cloud}") };
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn no_secret_is_in_what_a_log_would_show() {
        let shown = format!("{:?}", credentials("auth: {username: u, password: hunter2}").expect("a log-in"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
