//! Every way to log in that operators use, against a real Keystone: each lists images, and a mistake in one is
//! reported.

use std::fs;
use std::process::Command;
use std::time::Duration;

use glancecast_tests::needs;
use glancecast_tests::openstack::{self, OpenStack};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::Testbed;

#[test]
fn a_password_a_token_and_an_application_credential_log_in() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::shared(&testbed.path("openstack"));
    let demo = cloud.settings("lab-demo");
    let has = |key: &str| demo[key].as_str();
    let token = cloud.token("lab-demo");

    // By clouds.yaml.
    lists(&testbed, &cloud, |command| cloud.configure(command, "lab-demo"));
    lists(&testbed, &cloud, |command| cloud.configure(command, "lab-demo-app"));
    let clouds = testbed.path("token-clouds.yaml");
    let text = format!(
        "clouds:\n  by-token:\n    auth_type: token\n    auth:\n      auth_url: {}\n      token: {token}\n      \
         project_name: demo\n      project_domain_name: Default\n    region_name: RegionOne\n",
        has("auth_url")
    );
    fs::write(&clouds, text).expect("the testbed is writable");
    lists(&testbed, &cloud, |command| {
        command.env("OS_CLIENT_CONFIG_FILE", &clouds).env("OS_CLOUD", "by-token");
    });

    // By the variables of an openrc file.
    let variables = |command: &mut Command| {
        command.env("OS_AUTH_URL", has("auth_url")).env("OS_REGION_NAME", "RegionOne");
        command.env("OS_PROJECT_NAME", "demo").env("OS_PROJECT_DOMAIN_NAME", "Default");
    };
    lists(&testbed, &cloud, |command| {
        variables(command);
        command.env("OS_USERNAME", has("username")).env("OS_USER_DOMAIN_NAME", "Default");
        command.env("OS_PASSWORD", has("password"));
    });
    lists(&testbed, &cloud, |command| {
        variables(command);
        command.env("OS_AUTH_TYPE", "token").env("OS_TOKEN", &token);
    });
    let app = cloud.settings("lab-demo-app");
    lists(&testbed, &cloud, |command| {
        command.env("OS_AUTH_URL", has("auth_url")).env("OS_AUTH_TYPE", "v3applicationcredential");
        command.env("OS_APPLICATION_CREDENTIAL_ID", &app["application_credential_id"]);
        command.env("OS_APPLICATION_CREDENTIAL_SECRET", &app["application_credential_secret"]);
    });

    let wrong = run(&testbed, &cloud, |command| {
        variables(command);
        command.env("OS_AUTH_TYPE", "token").env("OS_TOKEN", "gAAAAAnotatoken");
    });
    refused(wrong, &["token", "OS_* variables"]);
}

#[test]
fn the_password_may_be_in_a_secure_yaml_beside_clouds_yaml() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::shared(&testbed.path("openstack"));
    let text = fs::read_to_string(cloud.clouds()).expect("the lab wrote it");
    let open: String =
        text.lines().filter(|line| !line.contains("password:")).map(|line| format!("{line}\n")).collect();
    let password = &cloud.settings("lab-demo")["password"];
    let secure = format!("clouds:\n  lab-demo:\n    auth:\n      password: {password}\n");
    let directory = testbed.store("configuration");
    fs::write(directory.join("clouds.yaml"), open).expect("the testbed is writable");
    let here = |command: &mut Command| {
        command.current_dir(&directory).env("OS_CLOUD", "lab-demo");
    };
    refused(run(&testbed, &cloud, here), &["lab-demo", "password"]);
    fs::write(directory.join("secure.yaml"), secure).expect("the testbed is writable");
    lists(&testbed, &cloud, here);
}

#[test]
fn a_cloud_with_tls_is_trusted_by_its_ca_or_when_told_to_trust_anybody() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::start_with(&testbed.path("openstack"), &["--tls"]);
    let text = fs::read_to_string(cloud.clouds()).expect("the lab wrote it");
    let clouds = testbed.path("clouds.yaml");
    let with = |instead: &str| {
        let lines = text.lines().map(|line| if line.contains("cacert:") { instead } else { line });
        fs::write(&clouds, lines.collect::<Vec<_>>().join("\n")).expect("the testbed is writable");
        let clouds = clouds.clone();
        move |command: &mut Command| {
            command.env("OS_CLIENT_CONFIG_FILE", &clouds).env("OS_CLOUD", "lab-demo");
        }
    };
    lists(&testbed, &cloud, |command| cloud.configure(command, "lab-demo"));
    lists(&testbed, &cloud, with("    insecure: true"));
    lists(&testbed, &cloud, with("    verify: false"));
    let mut unverified = run(&testbed, &cloud, with("    verify: false"));
    unverified.wait_for_log("are not checked, by the settings of cloud `lab-demo`", SOON);
    assert_eq!(unverified.wait(SOON).code(), Some(0));
    refused_with(run(&testbed, &cloud, with("")), 1, &["signed by no CA", "cacert"]);
    refused(run(&testbed, &cloud, with("    cacert: /nosuch/ca.pem")), &["/nosuch/ca.pem"]);
}

/// Runs `glancecast images --limit 1` after `configure` has set up the command's cloud.
fn run(testbed: &Testbed, cloud: &OpenStack, configure: impl Fn(&mut Command)) -> Process {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command, ""); // removes the caller's variables
    command.env_remove("OS_CLIENT_CONFIG_FILE").env_remove("OS_CLOUD");
    configure(&mut command);
    command.args(["images", "--limit", "1", "--json"]);
    Process::start("images", command, &testbed.path(""))
}

#[track_caller]
fn lists(testbed: &Testbed, cloud: &OpenStack, configure: impl Fn(&mut Command)) {
    let mut process = run(testbed, cloud, configure);
    let end = process.wait(SOON);
    assert_eq!(end.code(), Some(0), "{:?}", process.log_lines());
    assert!(process.output().contains("\"images\":["), "{:?}", process.output());
}

/// Asserts exit code 2 and one line with all of `words`.
#[track_caller]
fn refused(process: Process, words: &[&str]) {
    refused_with(process, 2, words);
}

#[track_caller]
fn refused_with(mut process: Process, code: i32, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!((end.code(), lines.len()), (Some(code), 1), "{lines:?}");
    println!("{}", lines[0]);
    assert!(words.iter().all(|word| lines[0].contains(word)), "{words:?} in {lines:?}");
}

const SOON: Duration = Duration::from_secs(60);
