//! Tests of the settings with files and variables of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::ExposeSecret;

use super::super::error::CloudErrorKind;
use super::environment::Environment;
use super::reader::{Inputs, Read};
use super::*;

impl Settings {
    /// Returns the settings of these OS_* variables, for tests of other modules.
    pub(in crate::openstack) fn of_variables(pairs: &[(&str, &str)]) -> Self {
        let inputs = Inputs { environment: Environment::of(pairs), directories: Vec::new() };
        inputs.settings(&CloudChoice::default()).expect("they are a cloud").0
    }
}

/// A directory that is searched.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new(clouds: &str) -> Self {
        let scratch = Self(tempfile::tempdir().expect("temporary directory"));
        fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).expect("ours");
        scratch.write("clouds.yaml", clouds);
        scratch
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("writable");
        fs::set_permissions(self.path().join(name), PermissionsExt::from_mode(0o644)).expect("ours");
    }

    fn inputs(&self, variables: &[(&str, &str)]) -> Inputs {
        Inputs { environment: Environment::of(variables), directories: vec![self.path().to_owned()] }
    }

    fn read(&self, cloud: Option<&str>, variables: &[(&str, &str)]) -> Result<Read, CloudError> {
        let choice = CloudChoice { cloud: cloud.map(str::to_owned), region: None };
        self.inputs(variables).settings(&choice)
    }

    fn settings(&self, cloud: &str) -> Settings {
        self.read(Some(cloud), &[]).unwrap_or_else(|error| panic!("{error}")).0
    }

    fn refused(&self, cloud: Option<&str>, variables: &[(&str, &str)]) -> String {
        let error = self.read(cloud, variables).expect_err("it is refused");
        assert_eq!(error.kind(), CloudErrorKind::Usage);
        error.to_string()
    }
}

fn openrc(pairs: &[(&str, &str)]) -> Settings {
    let user = [("OS_AUTH_URL", "https://ks/v3"), ("OS_USERNAME", "u"), ("OS_PASSWORD", "pw")];
    Settings::of_variables(&[&user, pairs].concat())
}

fn value(settings: &Settings, key: &str) -> Option<String> {
    settings.credential(key).map(|value| value.expose_secret().to_owned())
}

const CLOUDS: &str = "clouds:\n  Prod.One:\n    auth:\n      auth_url: http://ks/v3\n      username: u\n      password: pw\n    interface: internal\n  bare: {}\n";
const ONE: &str = "clouds:\n  x:\n    auth: {auth_url: https://ks/v3, username: u, password: pw}\n";

#[test]
fn nothing_configured_says_what_was_looked_for() {
    let error = Inputs::default().settings(&CloudChoice::default()).unwrap_err();
    let text = error.to_string();
    assert!(["--os-cloud", "OS_CLOUD", "OS_AUTH_URL"].iter().all(|word| text.contains(word)));
    assert_eq!(error.kind(), CloudErrorKind::Usage);
    let choice = CloudChoice { cloud: Some("x".to_owned()), region: None };
    let error = Inputs::default().settings(&choice).unwrap_err();
    assert!(error.to_string().contains("/etc/openstack/clouds.yaml"));
}

#[test]
fn a_cloud_is_found_by_its_exact_name_and_secure_yaml_is_merged() {
    let scratch = Scratch::new(CLOUDS);
    scratch.write("secure.yaml", "clouds:\n  Prod.One:\n    auth:\n      password: secret\n");
    let settings = scratch.settings("Prod.One");
    assert_eq!(settings.auth_url, "http://ks/v3");
    assert_eq!(settings.interfaces(Service::Glance), ["internal"]);
    assert_eq!(value(&settings, "password").as_deref(), Some("secret"));
    assert_eq!(value(&settings, "username").as_deref(), Some("u"));
    assert!(scratch.refused(Some("prod.one"), &[]).contains("Prod.One, bare"));
}

#[test]
fn the_first_of_the_directories_with_any_suffix_is_taken() {
    let (near, far) = (Scratch::new(ONE), Scratch::new(CLOUDS));
    let cloud = |inputs: &Inputs, name: &str| {
        inputs.settings(&CloudChoice { cloud: Some(name.to_owned()), region: None }).is_ok()
    };
    let inputs =
        Inputs { directories: vec![near.path().to_owned(), far.path().to_owned()], ..Inputs::default() };
    assert!(cloud(&inputs, "x") && !cloud(&inputs, "Prod.One"));
    fs::rename(near.path().join("clouds.yaml"), near.path().join("clouds.yml")).expect("ours");
    assert!(cloud(&inputs, "x"));
    fs::remove_file(near.path().join("clouds.yml")).expect("ours");
    assert!(cloud(&inputs, "Prod.One"));
    near.write(
        "clouds.json",
        r#"{"clouds": {"x": {"auth": {"auth_url": "https://ks", "user_id": "u", "password": "p"}}}}"#,
    );
    assert!(cloud(&inputs, "x"));
}

#[test]
fn the_only_cloud_is_used_without_being_named() {
    let settings = Scratch::new(ONE).read(None, &[]).unwrap_or_else(|error| panic!("{error}")).0;
    assert!(settings.origin.starts_with("cloud `x` in "), "{}", settings.origin);
    assert!(Scratch::new(CLOUDS).refused(None, &[]).contains("Prod.One, bare"));
}

#[test]
fn each_file_that_others_could_have_written_is_refused() {
    let scratch = Scratch::new(&ONE.replace("    auth", "    profile: p\n    auth"));
    scratch.write("secure.yaml", "clouds: {}\n");
    scratch.write("clouds-public.yaml", "public-clouds: {}\n");
    scratch.settings("x");
    for file in ["clouds.yaml", "secure.yaml", "clouds-public.yaml"] {
        let path = scratch.path().join(file);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("ours");
        let text = scratch.refused(Some("x"), &[]);
        assert!(text.contains(file) && text.contains("0666"), "{text}");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
    }
}

#[test]
fn a_file_that_a_variable_names_is_read_or_missed() {
    let scratch = Scratch::new(ONE);
    let other = Scratch::new(CLOUDS);
    let path = other.path().join("clouds.yaml").display().to_string();
    scratch
        .read(Some("Prod.One"), &[("OS_CLIENT_CONFIG_FILE", &path)])
        .unwrap_or_else(|error| panic!("{error}"));
    let text = scratch.refused(Some("x"), &[("OS_CLIENT_CONFIG_FILE", "/nowhere")]);
    assert!(text.contains("OS_CLIENT_CONFIG_FILE names /nowhere"), "{text}");
    let openrc = [("OS_AUTH_URL", "http://ks"), ("OS_USERNAME", "u"), ("OS_PASSWORD", "p")];
    for file in ["/nowhere", "/dev/null"] {
        scratch
            .read(None, &[&openrc[..], &[("OS_CLIENT_CONFIG_FILE", file)]].concat())
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(scratch.refused(Some("x"), &[("OS_CLIENT_CONFIG_FILE", "/dev/null")]).contains("`x`"));
}

#[test]
fn an_unknown_cloud_lists_the_known_ones() {
    let scratch = Scratch::new(CLOUDS);
    let text = scratch.refused(None, &[("OS_CLOUD", "prod")]);
    assert!(text.contains("`prod`") && text.contains("Prod.One, bare"), "{text}");
    let text = scratch.refused(Some("bare"), &[]);
    assert!(text.contains("auth_url is missing"), "{text}");
}

#[test]
fn a_broken_file_is_named_without_its_values() {
    for text in [
        "clouds:\n  x:\n    auth: hunter2\n",
        "clouds: hunter2\n",
        "clouds: [hunter2\n",
        "clouds: {x: hunter2}\n",
        "hunter2\n",
        "clouds: {x: {auth: {auth_url: http://ks, username: u, password: [hunter2]}}}",
        "clouds: {x: {auth: {auth_url: http://ks, username: u, password: !hunter2 hunter2}}}",
    ] {
        let error = Scratch::new(text).refused(Some("x"), &[]);
        assert!(error.contains("clouds.yaml") && error.contains("cannot be used"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn passwords_and_names_are_the_text_that_was_written() {
    for text in [
        "0123456789",
        "01234567",
        "1e3",
        "12:30:45",
        "0x1F",
        "yes",
        "2026-11-29",
        "1_000",
        "+5",
        "1.50",
        "ä b",
    ] {
        let clouds = format!(
            "clouds:\n  x:\n    auth:\n      auth_url: http://ks\n      username: {text}\n      password: {text}\n      project_name: {text}\n"
        );
        let (settings, warnings) =
            Scratch::new(&clouds).read(Some("x"), &[]).unwrap_or_else(|error| panic!("{error}"));
        for key in ["username", "password", "project_name"] {
            assert_eq!(value(&settings, key).as_deref(), Some(text));
        }
        let is_odd = !["0123456789", "1e3", "ä b"].contains(&text);
        assert_eq!(
            warnings.iter().any(|warning| warning.contains("`password` is used as it is written")),
            is_odd,
            "{text}"
        );
        assert!(!warnings.iter().any(|warning| warning.contains(text)), "{warnings:?}");
    }
}

#[test]
fn merge_keys_of_a_clouds_yaml_are_merged() {
    let clouds = "base: &base\n  auth: &auth {auth_url: https://ks/v3, username: u, password: pw}\n  interface: admin\nclouds:\n  x:\n    <<: *base\n    auth:\n      <<: *auth\n      project_name: p\n";
    let settings = Scratch::new(clouds).settings("x");
    assert_eq!(
        (settings.auth_url.as_str(), &settings.interfaces(Service::Glance)[0][..]),
        ("https://ks/v3", "admin")
    );
    assert_eq!(value(&settings, "project_name").as_deref(), Some("p"));
}

#[test]
fn variables_beside_a_named_cloud_override_it_and_are_named() {
    let scratch = Scratch::new(ONE);
    let variables = [("OS_PASSWORD", "other"), ("OS_TENANT_NAME", "p"), ("OS_INTERFACE", "admin")];
    let (settings, _) = scratch.read(Some("x"), &variables).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(value(&settings, "password").as_deref(), Some("other"));
    assert_eq!(value(&settings, "project_name").as_deref(), Some("p"));
    assert_eq!(settings.interfaces(Service::Glance), ["admin"]);
    assert!(
        settings.origin.ends_with("with OS_INTERFACE, OS_PASSWORD, OS_TENANT_NAME"),
        "{}",
        settings.origin
    );
    let ignored = [("OS_IMAGE_ENDPOINT_OVERRIDE", "http://x"), ("OS_ENDPOINT_TYPE", "admin")];
    let (settings, warnings) = scratch.read(Some("x"), &ignored).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.interfaces(Service::Glance), ["public"]);
    let said = |variable: &str| warnings.iter().any(|warning| warning.starts_with(variable));
    assert!(said("OS_IMAGE_ENDPOINT_OVERRIDE has no effect") && said("OS_ENDPOINT_TYPE"), "{warnings:?}");
}

#[test]
fn openrc_variables_are_read_with_their_older_names() {
    let settings = openrc(&[
        ("OS_TENANT_NAME", "p"),
        ("OS_ENDPOINT_TYPE", "internalURL"),
        ("OS_REGION_NAME", "RegionOne"),
        ("OS_PROJECT_ID", ""),
        ("OS_IMAGE_ENDPOINT_OVERRIDE", "http://glance:9292"),
    ]);
    assert_eq!(settings.region(Service::Glance), Some("RegionOne"));
    assert_eq!(settings.interfaces(Service::Glance), ["internal"]);
    assert_eq!(value(&settings, "project_name").as_deref(), Some("p"));
    assert_eq!(value(&settings, "project_domain_id").as_deref(), Some("default"));
    assert_eq!(settings.endpoint_override(Service::Glance), Some("http://glance:9292"));
    let plain = openrc(&[]);
    assert_eq!(
        (plain.region(Service::Glance), plain.interfaces(Service::Nova)),
        (None, &["public".to_owned()][..])
    );
}

#[test]
fn the_usual_spellings_of_interfaces_are_known_and_others_refused() {
    for (spelling, interfaces) in [
        ("interface: internalURL", vec!["internal"]),
        ("endpoint_type: adminURL", vec!["admin"]),
        ("interface: [internal, public]", vec!["internal", "public"]),
        ("{interface: public, image_interface: admin}", vec!["admin"]),
        ("interface:", vec!["public"]),
    ] {
        let extra = spelling.trim_matches(['{', '}']);
        let clouds = match spelling.starts_with('{') {
            true => {
                format!("clouds: {{x: {{{extra}, auth: {{auth_url: https://ks, user_id: u, password: p}}}}}}")
            }
            false => format!("{ONE}    {spelling}\n"),
        };
        assert_eq!(Scratch::new(&clouds).settings("x").interfaces(Service::Glance), interfaces, "{spelling}");
    }
    let error = Scratch::new(&format!("{ONE}    interface: pubic\n")).refused(Some("x"), &[]);
    assert!(error.contains("`pubic`") && error.contains("public, internal and admin"), "{error}");
}

#[test]
fn a_region_has_values_of_its_own_and_can_be_in_the_address() {
    let clouds = "clouds:\n  x:\n    auth: {auth_url: 'https://{region_name}.example/v3', username: u, password: pw}\n    regions:\n    - name: R1\n      values: {interface: admin, auth: {username: r1}}\n    - R2\n";
    let scratch = Scratch::new(clouds);
    let region = |name: &str| {
        let choice = CloudChoice { cloud: Some("x".into()), region: Some(name.into()) };
        scratch.inputs(&[]).settings(&choice).unwrap_or_else(|error| panic!("{error}")).0
    };
    let (first, second) = (region("R1"), region("R2"));
    assert_eq!(
        (first.auth_url.as_str(), first.interfaces(Service::Glance)[0].as_str()),
        ("https://R1.example/v3", "admin")
    );
    assert_eq!(value(&first, "username").as_deref(), Some("r1"));
    assert_eq!(
        (second.auth_url.as_str(), second.interfaces(Service::Glance)[0].as_str()),
        ("https://R2.example/v3", "public")
    );
    assert!(scratch.refused(Some("x"), &[]).contains("R1, R2"));
    let (of_variable, _) =
        scratch.read(Some("x"), &[("OS_REGION_NAME", "R2")]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(of_variable.region(Service::Glance), Some("R2"));
}

#[test]
fn profiles_come_from_clouds_public_yaml_and_from_openstacksdk() {
    let cloud =
        |profile: &str| format!("clouds: {{x: {{profile: {profile}, auth: {{username: u, password: p}}}}}}");
    let scratch = Scratch::new(&cloud("own"));
    scratch.write(
        "clouds-public.yaml",
        "public-clouds:\n  own:\n    auth: {auth_url: https://own/v3}\n    region_name: R\n",
    );
    let settings = scratch.settings("x");
    assert_eq!((settings.auth_url.as_str(), settings.region(Service::Glance)), ("https://own/v3", Some("R")));
    assert_eq!(Scratch::new(&cloud("elastx")).settings("x").auth_url, "https://ops.elastx.cloud:5000/v3");
    assert!(Scratch::new(&cloud("ovh")).refused(Some("x"), &[]).contains("write its `auth_url`"));
    assert!(Scratch::new(&cloud("gone")).refused(Some("x"), &[]).contains("profile `gone` does not give it"));
}

#[test]
fn certificates_that_are_not_checked_are_said() {
    let warning = openrc(&[("OS_INSECURE", "true")]).unverified().expect("a warning");
    assert!(warning.contains("not checked") && warning.contains("the OS_* variables"), "{warning}");
    assert_eq!(openrc(&[("OS_INSECURE", "false")]).unverified(), None);
}

#[test]
fn insecure_wins_over_a_ca_certificate() {
    let certificates =
        |more: &str| Scratch::new(&format!("{ONE}    cacert: /ca.pem\n{more}")).settings("x").certificates;
    let of_file = Certificates { trusted: Some("/ca.pem".into()), ..Certificates::default() };
    let unverified = Certificates { unverified: true, ..Certificates::default() };
    for (more, expected) in [
        ("", &of_file),
        ("    insecure: true\n", &unverified),
        ("    insecure: yes\n", &unverified),
        ("    verify: false\n", &unverified),
        ("    verify: off\n", &unverified),
        ("    insecure: false\n", &of_file),
        ("    verify: true\n", &of_file),
    ] {
        assert_eq!(&certificates(more), expected, "{more}");
    }
    assert!(openrc(&[("OS_INSECURE", "True")]).is_unverified());
    assert_eq!(openrc(&[("OS_CACERT", "/c")]).certificates.trusted, Some("/c".into()));
    assert_eq!(openrc(&[("REQUESTS_CA_BUNDLE", "/r")]).certificates.trusted, Some("/r".into()));
}

#[test]
fn a_client_certificate_is_taken_with_its_key_or_without() {
    let own = |more: &str| Scratch::new(&format!("{ONE}{more}")).settings("x").certificates.own;
    assert_eq!(own("    cert: /c.pem\n    key: /k.pem\n"), Some(("/c.pem".into(), Some("/k.pem".into()))));
    assert_eq!(own("    cert: /both.pem\n"), Some(("/both.pem".into(), None)));
    let (_, warnings) =
        Scratch::new(&format!("{ONE}    key: /k.pem\n")).read(Some("x"), &[]).expect("usable");
    assert!(warnings.iter().any(|warning| warning.contains("`key` without `cert`")), "{warnings:?}");
}

#[test]
fn known_keys_at_the_wrong_place_are_warned_of() {
    let clouds = "cacert: /ca\nclouds:\n  x:\n    auth: {auth_url: https://ks, username: u, password: pw, cert: /c, region_name: R}\n    default_domain: d\n";
    let (_, warnings) = Scratch::new(clouds).read(Some("x"), &[]).expect("usable");
    for words in [
        "`cert` stands in `auth`",
        "`region_name` stands in `auth`",
        "`cacert` in ",
        "`default_domain` has no effect",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(words)), "{words}: {warnings:?}");
    }
}

#[test]
fn a_federated_log_in_is_refused_with_the_way_out() {
    let text = Scratch::new(&format!("{ONE}    auth_type: v3samlpassword\n")).refused(Some("x"), &[]);
    assert!(
        ["v3samlpassword", "application credential", "openstack token issue", "auth_type: token"]
            .iter()
            .all(|word| text.contains(word)),
        "{text}"
    );
}
