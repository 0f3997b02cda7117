//! A variant of settings: drawn at random, and written as an operator might write it.

use std::collections::BTreeMap;

use glancecast_testkit::Rng;
use serde_json::{Map, Value, json};

/// Files, variables and arguments that describe a cloud.
#[derive(Debug)]
pub(super) struct Variant {
    files: BTreeMap<String, String>,
    environ: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// A password that PyYAML takes for a number or the like, in a file without quotes.
    as_written: Option<String>,
}

impl Variant {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let mut drawn = Drawn::default();
        drawn.connection(rng);
        drawn.login(rng);
        drawn.place(rng);
        if rng.one_in(4) { drawn.openrc() } else { drawn.files(rng) }
    }

    /// Returns the variant for `settings.py`.
    pub(super) fn json(&self) -> Value {
        json!({"files": self.files, "environ": self.environ, "arguments": self.arguments})
    }

    /// Changes what the `openstack` command asks for where glancecast does otherwise: a missing domain is `default`, and
    /// a password is the text that was written.
    pub(super) fn put_declared_differences(&self, result: &mut Value) {
        let auth = &mut result["asked"][0]["auth"];
        let default = json!({"id": "default"});
        for method in ["password", "totp", "application_credential"] {
            if let Some(user) = auth["identity"].get_mut(method).and_then(|method| method.get_mut("user"))
                && user.get("name").is_some()
                && user.get("domain").is_none()
            {
                user["domain"] = default.clone();
            }
        }
        if let Some(project) = auth.get_mut("scope").and_then(|scope| scope.get_mut("project"))
            && project.get("name").is_some()
            && project.get("domain").is_none()
        {
            project["domain"] = default;
        }
        if let Some(password) = &self.as_written {
            auth["identity"]["password"]["user"]["password"] = json!(password);
        }
    }
}

/// The options of a cloud, before they are written down.
#[derive(Debug, Default)]
struct Drawn {
    /// Options of the log-in.
    auth: Vec<(&'static str, String)>,
    /// Options of the cloud.
    cloud: Vec<(&'static str, Value)>,
    /// The region that is chosen by a variable or an argument, as the settings have several.
    chosen: Option<String>,
    as_written: Option<String>,
}

impl Drawn {
    fn connection(&mut self, rng: &mut Rng) {
        let path = pick(rng, &["/v3", "/v3/", "", "/", "/identity/v3", "/identity"]);
        if rng.chance(0.6) {
            return self.auth.push(("auth_url", format!("@URL@{path}")));
        }
        self.auth.push(("auth_url", format!("@TLS@{path}")));
        match rng.below(4) {
            0 => self.cloud.push(("cacert", json!("@DIR@/ca.pem"))),
            1 => self.cloud.push(("cacert", json!("@DIR@/cas"))),
            2 => self.cloud.push(("verify", json!(false))),
            _ => self.cloud.extend([("insecure", json!(true)), ("cacert", json!("@DIR@/ca.pem"))]),
        }
        match rng.below(3) {
            0 => self.cloud.extend([("cert", json!("@DIR@/client.pem")), ("key", json!("@DIR@/client.key"))]),
            1 => self.cloud.push(("cert", json!("@DIR@/both.pem"))),
            _ => {}
        }
    }

    fn login(&mut self, rng: &mut Rng) {
        let kind = pick(
            rng,
            &[
                "password",
                "password",
                "password",
                "v3password",
                "token",
                "v3token",
                "v3applicationcredential",
                "v3applicationcredential",
                "v3totp",
                "v3multifactor",
            ],
        );
        if kind != "password" || rng.one_in(2) {
            self.cloud.push(("auth_type", json!(kind)));
        }
        // Only these two take a default domain, and send a log-in without one.
        let is_generic = ["password", "token"].contains(&kind);
        match kind {
            "token" | "v3token" => {
                let name = pick(rng, &["token", "auth_token"]);
                self.auth.push((name, text(rng)));
            }
            "v3applicationcredential" => {
                self.auth.push(("application_credential_secret", text(rng)));
                if rng.one_in(2) {
                    return self.auth.push(("application_credential_id", word(rng)));
                }
                self.auth.push(("application_credential_name", text(rng)));
                self.user(rng);
                return self.domain(rng, "user", false);
            }
            _ => {
                self.user(rng);
                if kind != "v3totp" {
                    self.auth.push(("password", text(rng)));
                }
                if ["v3totp", "v3multifactor"].contains(&kind) {
                    self.auth.push(("passcode", pick(rng, &["012345", "123456", "000000"]).to_owned()));
                }
                if kind == "v3multifactor" {
                    let methods = pick(rng, &["v3password,v3totp", "v3totp,v3password"]);
                    self.cloud.push(("auth_methods", json!(methods)));
                }
            }
        }
        match rng.below(8) {
            0 => self.auth.push(("trust_id", word(rng))),
            1 => self.auth.push(("system_scope", "all".to_owned())),
            2 if is_generic => self.auth.push((pick(rng, &["domain_id", "domain_name"]), text(rng))),
            3 => self.auth.push((pick(rng, &["project_id", "tenant_id"]), word(rng))),
            4 => {}
            _ => {
                self.auth.push((pick(rng, &["project_name", "project_name", "tenant_name"]), text(rng)));
                if rng.one_in(6) {
                    // One domain for both.
                    return self.auth.push((pick(rng, &["domain_id", "domain_name"]), word(rng)));
                }
                self.domain(rng, "project", is_generic);
            }
        }
        if !kind.ends_with("token") {
            self.domain(rng, "user", is_generic);
        }
    }

    fn user(&mut self, rng: &mut Rng) {
        let name = pick(rng, &["username", "username", "username", "user_name", "user_id"]);
        self.auth.push((name, text(rng)));
    }

    fn domain(&mut self, rng: &mut Rng, owner: &str, may_lack: bool) {
        let [id, name] = match owner {
            "user" => ["user_domain_id", "user_domain_name"],
            _ => ["project_domain_id", "project_domain_name"],
        };
        match rng.below(6) {
            0 if may_lack => {}
            1 if may_lack && !self.auth.iter().any(|(key, _)| key.starts_with("default_domain")) => {
                self.auth.push((pick(rng, &["default_domain_id", "default_domain_name"]), word(rng)));
            }
            2 => self.auth.extend([(id, word(rng)), (name, word(rng))]),
            3 => self.auth.push((id, text(rng))),
            _ => self.auth.push((name, text(rng))),
        }
        if rng.one_in(4) && !self.cloud.iter().any(|(key, _)| *key == "identity_api_version") {
            self.cloud.push(("identity_api_version", pick(rng, &[json!(3), json!("3")])));
        }
    }

    /// Region and interface.
    fn place(&mut self, rng: &mut Rng) {
        let region = pick(rng, &["R1", "R2", "7"]);
        match rng.below(5) {
            0 => {
                self.cloud.push(("regions", json!(["R1", "R2", "7"])));
                self.chosen = Some(region.to_owned());
            }
            1 => {
                let values = json!({"interface": "internal"});
                self.cloud.push(("regions", json!([{"name": "R1", "values": values}, "R2", {"name": "7"}])));
                self.chosen = Some(region.to_owned());
            }
            2 => self.cloud.push(("regions", json!([region]))),
            _ => self.cloud.push(("region_name", json!(region))),
        }
        let interface = pick(rng, &["public", "internal", "admin", "publicURL", "internalURL", "adminURL"]);
        match rng.below(6) {
            0 => self.cloud.push(("endpoint_type", json!(interface))),
            1 => self.cloud.extend([("interface", json!("public")), ("image_interface", json!(interface))]),
            2 => self.cloud.push(("interface", json!([interface, "public"]))),
            3 => self.cloud.push(("interface", json!(interface))),
            4 => self.cloud.push(("image_endpoint_override", json!("@URL@/glance/R2/admin/v2"))),
            _ => {}
        }
    }

    /// All in variables.
    fn openrc(self) -> Variant {
        let mut environ: BTreeMap<String, String> =
            self.auth.into_iter().map(|(key, text)| (variable(key), text)).collect();
        for (key, value) in self.cloud {
            let text = match (key, value) {
                ("regions" | "verify", _) => continue,
                (_, Value::String(text)) => text,
                (_, Value::Array(list)) => list[0].as_str().expect("an interface").to_owned(),
                (_, other) => other.to_string(),
            };
            environ.insert(variable(key), text);
        }
        // A variable cannot say `verify`.
        if environ["OS_AUTH_URL"].starts_with("@TLS@") && !environ.contains_key("OS_CACERT") {
            environ.insert("OS_INSECURE".to_owned(), "True".to_owned());
        }
        let region = self.chosen.unwrap_or_else(|| "R2".to_owned());
        environ.entry("OS_REGION_NAME".to_owned()).or_insert(region);
        for empty in ["OS_TENANT_ID", "OS_PROJECT_DOMAIN_ID", "OS_USER_DOMAIN_ID"] {
            environ.entry(empty.to_owned()).or_default();
        }
        Variant { files: BTreeMap::new(), environ, arguments: Vec::new(), as_written: None }
    }

    /// In a clouds.yaml, with parts of it in other files and in variables.
    fn files(mut self, rng: &mut Rng) -> Variant {
        let mut environ = BTreeMap::new();
        let (mut auth, mut cloud, mut secure, mut profile) = (Map::new(), Map::new(), Map::new(), Map::new());
        for (key, text) in std::mem::take(&mut self.auth) {
            let is_secret = ["password", "application_credential_secret", "passcode"].contains(&key);
            let hyphened = if rng.one_in(8) { key.replace('_', "-") } else { key.to_owned() };
            let is_older =
                ["user_name", "tenant_name", "tenant_id", "auth_token", "domain_id", "domain_name"]
                    .contains(&key);
            match rng.below(10) {
                0 if is_secret => drop(secure.insert(key.to_owned(), json!(text))),
                // The variable overrides what the file has, but for a name with hyphens, which openstacksdk lets win.
                1 if !is_older => {
                    auth.insert(key.to_owned(), json!("overridden"));
                    environ.insert(variable(key), text);
                }
                2 if key == "auth_url" => drop(profile.insert(key.to_owned(), json!(text))),
                3 if key != "auth_url" => drop(cloud.insert(hyphened, json!(text))),
                _ => drop(auth.insert(hyphened, json!(text))),
            }
        }
        cloud.extend(self.cloud.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let mut files = BTreeMap::new();
        if !secure.is_empty() {
            files.insert("secure.yaml".to_owned(), clouds("clouds", json!({"auth": secure}), rng));
        }
        if !profile.is_empty() {
            cloud.insert(pick(rng, &["profile", "profile", "cloud"]).to_owned(), json!("own"));
            let public = json!({"public-clouds": {"own": {"auth": profile}}});
            files.insert(".config/openstack/clouds-public.yaml".to_owned(), yaml(&public, rng));
        }
        let odd = self.odd_password(&mut auth, rng);
        cloud.insert("auth".to_owned(), Value::Object(auth));
        let directory = pick(rng, &["", "", ".config/openstack/"]);
        let (suffix, mut written) = match rng.below(6) {
            0 => ("json", json!({"clouds": {"x": cloud}}).to_string()),
            1 => ("yml", clouds("clouds", json!(cloud), rng)),
            2 => ("yaml", merged(&cloud, rng)),
            _ => ("yaml", clouds("clouds", json!(cloud), rng)),
        };
        if suffix == "json" {
            self.as_written = None;
            written = written.replace(ODD, odd.unwrap_or_default());
        } else if let Some(odd) = odd {
            written = unquoted(&written, odd);
            self.as_written = Some(odd.to_owned());
        }
        if suffix != "json" && rng.one_in(5) {
            written = format!("\u{feff}{}", written.replace('\n', "\r\n"));
        }
        files.insert(format!("{directory}clouds.{suffix}"), written);
        let mut arguments = Vec::new();
        match rng.below(3) {
            0 => arguments.push("--os-cloud=x".to_owned()),
            // The only cloud; the openstack command sees that only without other variables.
            1 if environ.is_empty() && self.chosen.is_none() => {}
            _ => drop(environ.insert("OS_CLOUD".to_owned(), "x".to_owned())),
        }
        match self.chosen {
            Some(region) if rng.one_in(2) => arguments.push(format!("--os-region-name={region}")),
            Some(region) => drop(environ.insert("OS_REGION_NAME".to_owned(), region)),
            None => {}
        }
        Variant { files, environ, arguments, as_written: self.as_written }
    }

    /// Puts a mark where a password is to stand that PyYAML takes for something else; returns the password.
    fn odd_password(&self, auth: &mut Map<String, Value>, rng: &mut Rng) -> Option<&'static str> {
        if !rng.one_in(5) || auth.get("password").is_none_or(|password| password == "overridden") {
            return None;
        }
        auth.insert("password".to_owned(), json!(ODD));
        Some(pick(
            rng,
            &["01234567", "12:30:45", "0x1F", "1_000", "yes", "1.50", "+5", "0123456789", "1e3", ".5"],
        ))
    }
}

/// A mark in place of a password.
const ODD: &str = "odd-password";

fn unquoted(written: &str, odd: &str) -> String {
    let quoted = [format!("'{ODD}'"), format!("\"{ODD}\"")];
    let written = quoted.iter().fold(written.to_owned(), |text, quoted| text.replace(quoted, odd));
    written.replace(ODD, odd)
}

fn variable(key: &str) -> String {
    format!("OS_{}", key.to_ascii_uppercase())
}

fn clouds(root: &str, cloud: Value, rng: &mut Rng) -> String {
    yaml(&json!({root: {"x": cloud}}), rng)
}

/// Writes a cloud whose log-in and whose options come from mappings elsewhere in the file, by merge keys.
fn merged(cloud: &Map<String, Value>, rng: &mut Rng) -> String {
    let mut cloud = cloud.clone();
    let auth = cloud.remove("auth").expect("it has one");
    let base = yaml(&json!({"base": auth}), rng).replacen("base:", "base: &auth", 1);
    let options = yaml(&json!({"options": cloud}), rng).replacen("options:", "options: &options", 1);
    format!("{base}{options}clouds:\n  x:\n    <<: *options\n    auth:\n      <<: [*auth, *options]\n")
        .replace("<<: [*auth, *options]", "<<: *auth")
}

/// Writes mappings as blocks, and all else as it comes.
fn yaml(value: &Value, rng: &mut Rng) -> String {
    let mut text = String::new();
    block(value.as_object().expect("a mapping"), 0, &mut text, rng);
    text
}

fn block(map: &Map<String, Value>, indent: usize, text: &mut String, rng: &mut Rng) {
    for (key, value) in map {
        let start = format!("{:indent$}{key}:", "");
        match value {
            Value::Object(map) if map.is_empty() => text.push_str(&format!("{start} {{}}\n")),
            Value::Object(map) => {
                text.push_str(&format!("{start}\n"));
                block(map, indent + 2, text, rng);
            }
            Value::String(words) => text.push_str(&format!("{start} {}\n", scalar(words, indent + 2, rng))),
            other => text.push_str(&format!("{start} {other}\n")),
        }
    }
}

/// Writes a text in one of the styles that give it back.
fn scalar(words: &str, indent: usize, rng: &mut Rng) -> String {
    let is_plain = words.starts_with(|c: char| c.is_ascii_alphabetic())
        && words.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '/')
        && !["yes", "no", "null", "true", "on", "off"].contains(&words);
    let is_block = words.chars().all(|c| !c.is_control()) && !words.starts_with(' ') && !words.is_empty();
    match rng.below(4) {
        0 if is_plain => words.to_owned(),
        1 if is_block => format!("|-\n{:indent$}{words}", ""),
        2 if !words.contains(char::is_control) => format!("'{}'", words.replace('\'', "''")),
        // JSON's texts are YAML's.
        _ => json!(words).to_string(),
    }
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.index(from.len())].clone()
}

/// Returns a name or a secret that is easily changed on its way.
fn text(rng: &mut Rng) -> String {
    pick(
        rng,
        &[
            "operator",
            "pw",
            "0123456789",
            "01234567",
            "1e3",
            "12345",
            "yes",
            "null",
            "~",
            "2026-11-29",
            "p@ss: w#rd",
            "'single'",
            "\"double\"",
            "ünï çødé ☃ 😀",
            "back\\slash",
            " around ",
            "%percent",
            "*star",
            "&and",
            "!bang",
            "- dash",
            "{region_name}",
            "a, b]",
            "# hash",
            "$HOME `id`",
            "tab\there",
            "x:y",
            "=",
            "<<",
            "?",
        ],
    )
    .to_owned()
}

/// Returns an id or another plain name.
fn word(rng: &mut Rng) -> String {
    pick(rng, &["Default", "default", "4b2c93ee4f244cfd8fcae1cf11ac1a44", "acme", "007"]).to_owned()
}
