//! Who logs in, and for what: the type of the log-in, and its values with the defaults that osc-lib gives them. Pure.
//! `auth` makes the request of it.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::super::error::shown;
use super::cloud::{Options, log_in_options};
use super::yaml::Value;

/// The log-in of a cloud.
#[derive(Debug)]
pub(super) struct LogIn {
    /// The first method's name in clouds.yaml, in lower-case letters.
    pub(super) auth_type: String,
    /// Names of further methods for the same request: `auth_methods` of `v3multifactor`.
    pub(super) further: Vec<String>,
    /// Values of `auth` by their names in clouds.yaml; none is empty.
    pub(super) values: BTreeMap<String, SecretString>,
}

/// Why the options are no log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoLogin {
    /// What is wrong with the options.
    Wrong(String),
    /// The log-in takes an identity provider that asks a person, or a protocol that only Python's plugins speak.
    Federated(String),
}

impl LogIn {
    /// Makes the log-in of the options. `default_domain` is the id of the domain where a user or project has none:
    /// `OS_DEFAULT_DOMAIN`, else `default`, as osc-lib has it.
    ///
    /// # Errors
    /// [`NoLogin`].
    pub(super) fn new(options: &Options, default_domain: &str) -> Result<Self, NoLogin> {
        let mut methods = match auth_type(options).as_str() {
            "v3multifactor" | "multifactor" => several(options)?,
            name => vec![name.to_owned()],
        };
        for name in &methods {
            check_method(name)?;
        }
        let mut values: BTreeMap<String, String> = log_in_options()
            .filter_map(|key| Some((key.to_owned(), options.auth(key)?.to_owned())))
            .collect();
        // The plugin's name of the option.
        if let Some(scope) = values.remove("openid_scope") {
            values.insert("scope".to_owned(), scope);
        }
        check_scope(&values)?;
        let is_osc = options.text("identity_api_version") == Some("3")
            && methods.iter().any(|name| ["password", "v3password", "v3totp"].contains(&name.as_str()));
        let defaults = Defaults { of_osc: is_osc.then_some(default_domain), last: default_domain };
        for (name, id, owner) in [("username", "user_id", "user"), ("project_name", "project_id", "project")]
        {
            if values.contains_key(name) && !values.contains_key(id) {
                defaults.add(&mut values, owner);
            }
        }
        let auth_type = methods.remove(0);
        let values = values.into_iter().map(|(key, text)| (key, text.into())).collect();
        Ok(Self { auth_type, further: methods, values })
    }
}

/// Returns the type that is set, else the one of the credentials that are there.
fn auth_type(options: &Options) -> String {
    let has = |key| options.auth(key).is_some();
    let name = match options.text("auth_type").or(options.text("auth_plugin")) {
        Some(name) => name,
        None if has("username") || has("user_id") => "password",
        None if has("application_credential_id") => "v3applicationcredential",
        None if has("token") => "token",
        None => "password",
    };
    name.to_ascii_lowercase()
}

/// Returns the methods of `v3multifactor`: a list, or a text with commas.
fn several(options: &Options) -> Result<Vec<String>, NoLogin> {
    let names: Vec<String> = match options.auth_value("auth_methods") {
        Some(Value::Text(scalar)) => scalar.text.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Value::List(list)) => list.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    match names.len() {
        0 => Err(NoLogin::Wrong("`auth_methods` is missing, as in [v3password, v3totp]".to_owned())),
        1..=METHODS_MAX => Ok(names),
        _ => Err(NoLogin::Wrong("`auth_methods` has too many methods".to_owned())),
    }
}

fn check_method(name: &str) -> Result<(), NoLogin> {
    let wrong = |reason: String| Err(NoLogin::Wrong(reason));
    match name {
        _ if METHODS.contains(&name.strip_prefix("v3").unwrap_or(name)) => Ok(()),
        "v2password" | "v2token" => wrong(format!(
            "auth_type `{name}` is of Keystone's API v2.0, which no supported OpenStack has; use `password` or `token`"
        )),
        "none" | "admin_token" | "token_endpoint" | "http_basic" | "noauth" => wrong(format!(
            "auth_type `{name}` has no catalog, and glancecast finds Glance in Keystone's; use another"
        )),
        name if FEDERATED.iter().any(|part| name.contains(part)) => Err(NoLogin::Federated(name.to_owned())),
        name => wrong(format!("auth_type `{}` is unknown", shown(name))),
    }
}

/// Refuses scopes of several kinds, as keystoneauth1 does.
fn check_scope(values: &BTreeMap<String, String>) -> Result<(), NoLogin> {
    let kinds: [(&str, &[&str]); 4] = [
        ("project", &["project_id", "project_name"]),
        ("domain", &["domain_id", "domain_name"]),
        ("trust_id", &["trust_id"]),
        ("system_scope", &["system_scope"]),
    ];
    if values.get("system_scope").is_some_and(|scope| scope != "all") {
        return Err(NoLogin::Wrong("`system_scope` can only be `all`".to_owned()));
    }
    let is_given = |keys: &[&str]| keys.iter().any(|key| values.contains_key(*key));
    let mut found = kinds.into_iter().filter(|(_, keys)| is_given(keys)).map(|(kind, _)| kind);
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(NoLogin::Wrong(format!(
            "a token is for a {one} or for a {other}, and both are given; leave one of them out"
        ))),
        _ => Ok(()),
    }
}

/// The domain of users and projects that have none.
struct Defaults<'a> {
    /// osc-lib's `_auth_default_domain`, for some log-ins.
    of_osc: Option<&'a str>,
    /// Where nothing else gives one.
    last: &'a str,
}

impl Defaults<'_> {
    /// Gives the `user` or the `project` its domain. In keystoneauth1's generic plugins a `default_domain_id` comes
    /// before a domain's name.
    fn add(&self, values: &mut BTreeMap<String, String>, owner: &str) {
        let [id, name] = ["id", "name"].map(|kind| format!("{owner}_domain_{kind}"));
        let lacks =
            |values: &BTreeMap<String, String>| !values.contains_key(&id) && !values.contains_key(&name);
        if let Some(domain) = self.of_osc.filter(|_| lacks(values)) {
            values.insert(id.clone(), domain.to_owned());
        }
        for (key, default) in [(&id, "default_domain_id"), (&name, "default_domain_name")] {
            if let Some(domain) = values.get(default).cloned() {
                values.entry(key.clone()).or_insert(domain);
            }
        }
        if lacks(values) {
            values.insert(id, self.last.to_owned());
        }
    }
}

/// The methods that `auth` knows, without their `v3`.
const METHODS: [&str; 9] = [
    "password",
    "token",
    "totp",
    "applicationcredential",
    "application_credential",
    "oidcaccesstoken",
    "accesstoken",
    "oidcclientcredentials",
    "clientcredentials",
];

/// Parts of the names of plugins that log in elsewhere: SAML, OpenID Connect, Kerberos, OAuth and client certificates.
const FEDERATED: [&str; 10] =
    ["oidc", "saml", "adfs", "kerb", "oauth", "sso", "tokenless", "federat", "k2k", "jwt"];

/// Keystone has seven methods.
const METHODS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::cloud::Layers;
    use super::super::yaml::Map;
    use super::*;

    fn log_in(cloud: &str) -> Result<LogIn, NoLogin> {
        let Value::Map(cloud) = Value::parse(cloud).expect("YAML") else { panic!("no mapping") };
        let layers = Layers { profile: Map::new(), cloud, region: Map::new(), overrides: Map::new() };
        LogIn::new(&Options::new(layers).expect("texts"), "default")
    }

    fn value(cloud: &str, key: &str) -> Option<String> {
        let log_in = log_in(cloud).unwrap_or_else(|error| panic!("{cloud}: {error:?}"));
        log_in.values.get(key).map(|value| value.expose_secret().to_owned())
    }

    #[test]
    fn a_missing_domain_is_the_default_one() {
        let cloud = "auth: {username: u, password: 012, project_name: p";
        for (more, user, project) in [
            ("", ("id", "default"), ("id", "default")),
            (", user_domain_name: A", ("name", "A"), ("id", "default")),
            (", project_domain_id: B", ("id", "default"), ("id", "B")),
            (", default_domain_name: C", ("name", "C"), ("name", "C")),
            (", default_domain_id: C, user_domain_name: E", ("id", "C"), ("id", "C")),
            (", domain_name: D", ("name", "D"), ("name", "D")),
        ] {
            let cloud = format!("{cloud}{more}}}");
            assert_eq!(value(&cloud, &format!("user_domain_{}", user.0)).as_deref(), Some(user.1), "{more}");
            assert_eq!(
                value(&cloud, &format!("project_domain_{}", project.0)).as_deref(),
                Some(project.1),
                "{more}"
            );
        }
        assert_eq!(value("auth: {user_id: u, project_id: p}", "user_domain_id"), None);
    }

    #[test]
    fn two_scopes_are_refused_with_their_names() {
        for (options, kinds) in [
            ("project_name: p, trust_id: t", ["project", "trust_id"]),
            ("project_name: p, system_scope: all", ["project", "system_scope"]),
            ("domain_id: d, trust_id: t", ["domain", "trust_id"]),
        ] {
            let Err(NoLogin::Wrong(reason)) = log_in(&format!("auth: {{user_id: u, {options}}}")) else {
                panic!("{options}")
            };
            assert!(kinds.iter().all(|kind| reason.contains(kind)), "{reason}");
        }
        for options in [
            "project_name: p",
            "domain_id: d",
            "trust_id: t",
            "system_scope: all",
            "project_id: p, project_name: q",
        ] {
            log_in(&format!("auth: {{user_id: u, {options}}}"))
                .unwrap_or_else(|error| panic!("{options}: {error:?}"));
        }
    }

    #[test]
    fn a_type_that_is_not_given_is_that_of_the_credentials() {
        for (cloud, expected) in [
            ("auth: {username: u}", "password"),
            ("auth: {token: t}", "token"),
            ("auth: {application_credential_id: i}", "v3applicationcredential"),
            ("{auth: {token: t}, auth_type: v3Password}", "v3password"),
        ] {
            assert_eq!(log_in(cloud).expect(cloud).auth_type, expected);
        }
        let both = log_in("{auth_type: v3multifactor, auth_methods: [v3password, v3totp]}").expect("two");
        assert_eq!((both.auth_type.as_str(), &both.further[..]), ("v3password", &["v3totp".to_owned()][..]));
    }

    #[test]
    fn a_federated_log_in_is_named_as_one_and_others_are_explained() {
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
            let error = log_in(&format!("auth_type: {name}")).expect_err(name);
            assert_eq!(error, NoLogin::Federated(name.to_owned()));
        }
        for (cloud, word) in [
            ("auth_type: v2password", "v2.0"),
            ("auth_type: v9magic", "v9magic"),
            ("auth_type: none", "catalog"),
            ("{auth_type: v3multifactor, auth: {user_id: u}}", "auth_methods"),
            ("auth: {user_id: u, system_scope: some}", "system_scope"),
        ] {
            let Err(NoLogin::Wrong(reason)) = log_in(cloud) else { panic!("{cloud}") };
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn no_secret_is_in_what_a_log_would_show() {
        let shown = format!("{:?}", log_in("auth: {username: u, password: hunter2}").expect("a log-in"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
