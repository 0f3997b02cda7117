//! The options of one cloud, put together as openstacksdk's `config/loader.py` and osc-lib's `client_config.py` put them
//! together: profile, cloud, region and overrides over one another, older names made the newer ones, and each option of
//! a log-in at its place. Pure.

use super::yaml::{Map, Scalar, Value};

/// The options of a cloud. Keys have `_`, also where the file has `-`.
pub(super) struct Options {
    top: Map,
    /// What a log-in takes, wherever it was written.
    auth: Map,
    /// Options that are written where they have no effect, in words for the operator.
    pub(super) misplaced: Vec<String>,
}

/// Where options come from; later ones override earlier ones.
pub(super) struct Layers {
    pub(super) profile: Map,
    pub(super) cloud: Map,
    /// The `values` of the region.
    pub(super) region: Map,
    /// Variables, and options of the command line.
    pub(super) overrides: Map,
}

impl Options {
    /// # Errors
    /// The name of an option that is a list or a mapping where a text belongs.
    pub(super) fn new(layers: Layers) -> Result<Self, String> {
        let Layers { profile, cloud, region, overrides } = layers;
        let (mut top, mut auth) = (Map::new(), Map::new());
        for layer in [profile, cloud, region, overrides] {
            let mut layer = normalized(layer);
            match layer.remove("auth") {
                Some(Value::Map(own)) => auth.extend(own),
                None | Some(Value::Null) => {}
                Some(_) => return Err("auth".to_owned()),
            }
            top.extend(layer);
        }
        let mut options = Self { top, auth, misplaced: Vec::new() };
        options.move_log_in();
        options.move_interfaces();
        options.share_domain();
        options.check_texts()?;
        options.find_misplaced();
        Ok(options)
    }

    /// Returns an option of the cloud that is set and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.top.get(key).and_then(Value::as_text).filter(|text| !text.is_empty())
    }

    /// Returns an option of the cloud whatever it is.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.top.get(key)
    }

    /// Returns an option of the log-in that is set and not empty.
    pub(super) fn auth(&self, key: &str) -> Option<&str> {
        self.auth.get(key).and_then(Value::as_text).filter(|text| !text.is_empty())
    }

    /// Returns an option of the log-in whatever it is.
    pub(super) fn auth_value(&self, key: &str) -> Option<&Value> {
        self.auth.get(key)
    }

    /// Returns the names of the log-in's texts that PyYAML takes for something else.
    pub(super) fn read_otherwise(&self) -> Vec<&str> {
        let is_odd =
            |value: &Value| matches!(value, Value::Text(Scalar { reading, .. }) if reading.differs());
        let odd = |(key, value)| is_odd(value).then_some(key);
        let of_auth = self.auth.iter().filter(|(key, _)| is_known(key)).filter_map(odd);
        of_auth
            .chain(self.top.iter().filter(|(key, _)| *key == "region_name").filter_map(odd))
            .map(String::as_str)
            .collect()
    }

    /// `_fix_backwards_auth` and `_validate_auth`: the options of a log-in may stand at either place, and the cloud's
    /// own level wins, because variables are there.
    fn move_log_in(&mut self) {
        for (name, spellings) in RENAMED {
            let mut found = None;
            for &spelling in *spellings {
                for value in [self.auth.remove(spelling), self.top.remove(spelling)].into_iter().flatten() {
                    if !matches!(value, Value::Null) {
                        found = Some(value);
                    }
                }
            }
            if let Some(value) = found.filter(is_set) {
                self.auth.insert((*name).to_owned(), value);
            }
        }
        for (name, older) in MOVED {
            let take = |map: &mut Map| {
                let (value, old) = (map.remove(*name), older.and_then(|older| map.remove(older)));
                value.or(old).filter(is_set)
            };
            let (top, auth) = (take(&mut self.top), take(&mut self.auth));
            if let Some(value) = top.or(auth) {
                self.auth.insert((*name).to_owned(), value);
            }
        }
    }

    /// `_fix_backwards_interface`: an endpoint type is an interface, and wins.
    fn move_interfaces(&mut self) {
        let older: Vec<String> =
            self.top.keys().filter(|key| key.ends_with("endpoint_type")).cloned().collect();
        for key in older {
            if let Some(value) = self.top.remove(&key) {
                self.top.insert(key.replace("endpoint_type", "interface"), value);
            }
        }
    }

    /// `_handle_domain_id`: with a project, a domain is the user's and the project's; alone it is the scope.
    fn share_domain(&mut self) {
        if !self.auth.contains_key("project_id") && !self.auth.contains_key("project_name") {
            return;
        }
        for kind in ["id", "name"] {
            let Some(domain) = self.auth.remove(&format!("domain_{kind}")) else { continue };
            for owner in ["user", "project"] {
                self.auth.entry(format!("{owner}_domain_{kind}")).or_insert_with(|| domain.clone());
            }
        }
    }

    fn check_texts(&self) -> Result<(), String> {
        let is_text = |(key, value): &(&String, &Value)| {
            *key == "auth_methods" || matches!(value, Value::Text(_) | Value::Null)
        };
        let of_auth = self.auth.iter().filter(|(key, _)| is_known(key));
        let of_top = self.top.iter().filter(|(key, _)| TEXTS.contains(&key.as_str()));
        match of_auth.chain(of_top).find(|entry| !is_text(entry)) {
            Some((key, _)) => Err(key.clone()),
            None => Ok(()),
        }
    }

    fn find_misplaced(&mut self) {
        for key in self.auth.keys().filter(|key| !is_known(key)) {
            self.misplaced.push(match belongs_to_cloud(key) {
                true => format!("`{key}` stands in `auth`, where it has no effect; move it one level up"),
                false => format!("`{key}` in `auth` is unknown, and has no effect"),
            });
        }
    }
}

/// Whether a key is an option of a cloud besides its log-in.
pub(super) fn belongs_to_cloud(key: &str) -> bool {
    const ENDS: [&str; 5] =
        ["_endpoint_override", "_interface", "_endpoint_type", "_region_name", "_api_version"];
    CLOUD_KEYS.contains(&key) || ENDS.iter().any(|end| key.ends_with(end))
}

/// Makes each `-` of a key `_`, as `normalize_keys` does, in all mappings.
pub(super) fn normalized(map: Map) -> Map {
    let inner = |value| match value {
        Value::Map(map) => Value::Map(normalized(map)),
        other => other,
    };
    map.into_iter().map(|(key, value)| (key.replace('-', "_"), inner(value))).collect()
}

/// Merges mappings into mappings, as `merge_clouds` does; other values are replaced.
pub(super) fn merge_deep(into: &mut Map, from: Map) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Map(into)), Value::Map(from)) => merge_deep(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Text(scalar) => !scalar.text.is_empty(),
        _ => true,
    }
}

/// Returns the names of all options of a log-in.
pub(super) fn log_in_options() -> impl Iterator<Item = &'static str> {
    RENAMED.iter().map(|(name, _)| *name).chain(MOVED.iter().map(|(name, _)| *name))
}

fn is_known(key: &str) -> bool {
    log_in_options().any(|name| name == key)
}

/// Options of a log-in and their spellings, of which the last one wins (`_fix_backwards_auth`).
const RENAMED: &[(&str, &[&str])] = &[
    ("domain_id", &["domain_id"]),
    ("domain_name", &["domain_name"]),
    ("user_domain_id", &["user_domain_id"]),
    ("user_domain_name", &["user_domain_name"]),
    ("project_domain_id", &["project_domain_id"]),
    ("project_domain_name", &["project_domain_name"]),
    ("token", &["auth_token", "token"]),
    ("passcode", &["passcode"]),
    ("project_id", &["tenant_id", "project_id"]),
    ("project_name", &["tenant_name", "project_name"]),
];

/// The other options of a log-in, and an older name that counts where the newer one is not.
const MOVED: &[(&str, Option<&str>)] = &[
    ("access_token", None),
    ("access_token_endpoint", None),
    ("access_token_type", None),
    ("application_credential_id", None),
    ("application_credential_name", None),
    ("application_credential_secret", None),
    ("auth_methods", None),
    ("auth_url", None),
    ("client_id", None),
    ("client_secret", None),
    ("default_domain_id", None),
    ("default_domain_name", None),
    ("discovery_endpoint", None),
    ("identity_provider", None),
    ("openid_scope", Some("scope")),
    ("password", None),
    ("protocol", None),
    ("system_scope", None),
    ("trust_id", None),
    ("user_id", None),
    ("username", Some("user_name")),
];

/// Options of a cloud that are texts.
const TEXTS: [&str; 8] = [
    "auth_type",
    "cacert",
    "cert",
    "key",
    "profile",
    "image_endpoint_override",
    "compute_endpoint_override",
    "insecure",
];

const CLOUD_KEYS: [&str; 12] = [
    "auth_plugin",
    "auth_type",
    "cacert",
    "cert",
    "endpoint_type",
    "insecure",
    "interface",
    "key",
    "profile",
    "region_name",
    "regions",
    "verify",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Map {
        match Value::parse(text).expect("YAML") {
            Value::Map(map) => map,
            _ => panic!("{text} is no mapping"),
        }
    }

    fn options(cloud: &str, overrides: &str) -> Options {
        let layers = Layers {
            profile: map("auth: {user_domain_name: Default}"),
            cloud: map(cloud),
            region: Map::new(),
            overrides: map(overrides),
        };
        Options::new(layers).unwrap_or_else(|key| panic!("{key}"))
    }

    #[test]
    fn older_names_are_the_newer_ones_and_the_newer_ones_win() {
        for (cloud, key, expected) in [
            ("auth: {tenant_name: a}", "project_name", "a"),
            ("auth: {tenant-name: a}", "project_name", "a"),
            ("tenant_id: a", "project_id", "a"),
            ("auth: {tenant_name: a, project_name: b}", "project_name", "b"),
            ("{auth: {project_name: b}, tenant_name: a}", "project_name", "b"),
            ("auth: {user_name: a}", "username", "a"),
            ("auth: {user_name: a, username: b}", "username", "b"),
            ("auth: {auth-token: a}", "token", "a"),
            ("{auth: {password: a}, password: b}", "password", "b"),
            ("{auth: {password: a}, password: ''}", "password", "a"),
            ("auth: {auth-url: a}", "auth_url", "a"),
        ] {
            assert_eq!(options(cloud, "{}").auth(key), Some(expected), "{cloud}");
        }
    }

    #[test]
    fn an_override_wins_wherever_the_file_has_the_option() {
        for cloud in ["auth: {project_name: a}", "project_name: a", "auth: {tenant_name: a}"] {
            assert_eq!(options(cloud, "project_name: b").auth("project_name"), Some("b"), "{cloud}");
        }
        assert_eq!(options("auth: {password: a}", "password: b").auth("password"), Some("b"));
    }

    #[test]
    fn one_domain_is_that_of_user_and_project_or_else_the_scope() {
        let both = options("auth: {domain_id: d, project_name: p}", "{}");
        assert_eq!((both.auth("user_domain_id"), both.auth("project_domain_id")), (Some("d"), Some("d")));
        assert_eq!(both.auth("domain_id"), None);
        assert_eq!(both.auth("user_domain_name"), Some("Default"), "of the profile");
        assert_eq!(options("auth: {domain_id: d}", "{}").auth("domain_id"), Some("d"));
    }

    #[test]
    fn an_endpoint_type_is_an_interface() {
        let options =
            options("{interface: public, endpoint_type: internalURL, image_endpoint_type: admin}", "{}");
        assert_eq!(
            (options.text("interface"), options.text("image_interface")),
            (Some("internalURL"), Some("admin"))
        );
    }

    #[test]
    fn what_stands_at_the_wrong_place_is_named() {
        let misplaced = options("auth: {cacert: /ca, region_name: R, pasword: x}", "{}").misplaced.join("\n");
        assert!(
            misplaced.contains("`cacert` stands in `auth`")
                && misplaced.contains("`pasword` in `auth` is unknown")
        );
        assert!(misplaced.contains("`region_name` stands in `auth`"), "{misplaced}");
        assert_eq!(options("{cacert: /ca, networks: []}", "{}").misplaced, [""; 0]);
    }

    #[test]
    fn a_list_where_a_text_belongs_is_refused() {
        for cloud in ["auth: {password: [a]}", "auth: a", "auth: {username: {a: b}}", "cacert: [a]"] {
            let layers =
                Layers { profile: Map::new(), cloud: map(cloud), region: Map::new(), overrides: Map::new() };
            assert!(Options::new(layers).is_err(), "{cloud}");
        }
    }
}
