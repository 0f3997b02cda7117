//! Images from a real Glance with a real Keystone: a push to three receivers, and each refusal or deception by the
//! cloud, with a clear message, the right exit code, and no file on any host.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::openstack::{self, OpenStack};
use glancecast_tests::process::End;
use glancecast_tests::testbed::{Push, Receiver, Testbed};
use glancecast_tests::{measured, needs};

#[test]
fn an_uploaded_image_reaches_three_receivers() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (name, id, sum) = cloud.uploaded("lab-demo", 48 << 20);
    let receivers = cloud.receivers();
    let (end, report) = cloud.push(&name).report(Duration::from_secs(60));
    assert_eq!((end.code(), report.outcome.as_str()), (Some(0), "complete"), "{report:?}");
    report.assert_hosts(&[("r1", "done"), ("r2", "done"), ("r3", "done")]);
    assert_eq!(report.object.image_id.as_deref(), Some(id.as_str()));
    assert_eq!(report.root.as_deref(), Some(sum.as_str()));
    for receiver in &receivers {
        let file = receiver.only_file(&report.object.name);
        assert_eq!(image::blake3_of(&file), sum);
    }
    measured!("{} MiB from Glance to three hosts in {:.2} s", report.object.bytes >> 20, report.seconds);
}

#[test]
fn an_image_is_found_by_its_id() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (_, id, sum) = cloud.uploaded("lab-demo", 1 << 20);
    let receivers = cloud.receivers();
    let (end, report) = cloud.push(&id).report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(report.root.as_deref(), Some(sum.as_str()));
    assert_eq!(image::blake3_of(&receivers[2].only_file(&report.object.name)), sum);
}

#[test]
fn a_wrong_password_is_reported() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (name, ..) = cloud.uploaded("lab-demo", 1 << 20);
    let receivers = cloud.receivers();
    let clouds = cloud.testbed.path("wrong-clouds.yaml");
    cloud.openstack.clouds_with_wrong_password(&clouds);
    let push = cloud.push_with(&name, &clouds);
    refused(push, REFUSED, &["lab-demo"], &["password", "authenticat", "credential"], &receivers);
}

#[test]
fn an_unknown_image_is_reported() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let receivers = cloud.receivers();
    refused(cloud.push("nosuch-image"), REFUSED, &["nosuch-image"], &["no image", "not found"], &receivers);
}

#[test]
fn a_base_is_looked_up_in_glance_and_a_missing_one_is_reported() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (name, id, _) = cloud.uploaded("lab-demo", 1 << 20);
    let receivers = cloud.receivers();
    let push = cloud.push_more(&name, &["--base", "nosuch-base"]);
    refused(push, REFUSED, &["nosuch-base"], &["no image", "not found"], &receivers);
    let (end, report) = cloud.push_more(&name, &["--base", &name]).report(Duration::from_secs(60));
    assert_eq!((end.code(), report.base), (Some(0), Some(id)), "by its id, as all stores know it");
}

#[test]
fn a_queued_image_is_reported() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let name = OpenStack::own_name("empty-shell");
    cloud.openstack.create("lab-demo", &name);
    let receivers = cloud.receivers();
    refused(cloud.push(&name), FAILED, &[&name], &["queued"], &receivers);
}

#[test]
fn a_private_image_of_another_project_is_reported() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (_, id, _) = cloud.uploaded("lab-other", 1 << 20);
    let receivers = cloud.receivers();
    refused(cloud.push(&id), REFUSED, &[&id], &["no image", "not found"], &receivers);
}

#[test]
fn bytes_changed_behind_glance_reach_no_store() {
    needs!(openstack::NEEDS);
    let cloud = Cloud::start();
    let (name, id, _) = cloud.uploaded("lab-demo", 16 << 20);
    cloud.openstack.corrupt(&id);
    let receivers = cloud.receivers();
    refused(cloud.push(&name), FAILED, &[&name], &["sha512", "hash", "digest", "checksum"], &receivers);
}

/// Asserts the exit code, a line on standard error with all of `names` and one of `words`, and no file on any host.
#[track_caller]
fn refused(mut push: Push, code: i32, names: &[&str], words: &[&str], receivers: &[Receiver]) {
    let end: End = push.process.wait(Duration::from_secs(60));
    let lines = push.process.log_lines();
    assert_eq!(end.code(), Some(code), "{lines:?}");
    let clear = |line: &&String| {
        let lower = line.to_lowercase();
        names.iter().all(|name| line.contains(name)) && words.iter().any(|word| lower.contains(word))
    };
    let line = lines.iter().find(clear).unwrap_or_else(|| panic!("{names:?}, {words:?} not in {lines:?}"));
    println!("{line}");
    if code == REFUSED {
        push.process.assert_no_result(code);
    }
    for receiver in receivers {
        let names = receiver.stored();
        assert!(
            names.iter().all(|name| name.starts_with(".glancecast-")),
            "visible, and not vouched for: {names:?}"
        );
    }
}

/// The cloud that these tests share, and a testbed for its hosts.
struct Cloud {
    openstack: OpenStack,
    testbed: Testbed,
}

impl Cloud {
    fn start() -> Self {
        let testbed = Testbed::loopback();
        Self { openstack: OpenStack::shared(&testbed.path("openstack")), testbed }
    }

    /// Uploads random bytes; returns the image's name, id and BLAKE3 sum.
    fn uploaded(&self, cloud: &str, bytes: u64) -> (String, String, String) {
        let file = self.testbed.path("upload.raw");
        let sum = image::random(&file, bytes, Seed::draw());
        let name = OpenStack::own_name("image");
        let id = self.openstack.upload(cloud, &name, &file);
        (name, id, sum)
    }

    fn receivers(&self) -> Vec<Receiver> {
        ["r1", "r2", "r3"].iter().map(|host| self.testbed.receiver(host, &[])).collect()
    }

    fn push(&self, image: &str) -> Push {
        self.push_with(image, self.openstack.clouds())
    }

    fn push_with(&self, image: &str, clouds: &std::path::Path) -> Push {
        self.push_all(image, clouds, &[])
    }

    fn push_more(&self, image: &str, arguments: &[&str]) -> Push {
        self.push_all(image, self.openstack.clouds(), arguments)
    }

    fn push_all(&self, image: &str, clouds: &std::path::Path, arguments: &[&str]) -> Push {
        let mut command = self.testbed.command("s", "glancecast");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
            command.env_remove(name);
        }
        command.env("OS_CLIENT_CONFIG_FILE", clouds);
        let spool = self.testbed.store("spool");
        let spool = spool.to_str().expect("UTF-8");
        let hosts = ["--hosts", "r1,r2,r3", "--rate", "390mbit", "--timeout", "30s"];
        let cloud = [image, "--os-cloud", "lab-demo", "--spool", spool];
        self.testbed.push_with(command, &[&cloud, &hosts[..], arguments].concat())
    }
}

/// The name or the credentials must be corrected first.
const REFUSED: i32 = 2;
/// The image is not what it should be, temporarily or for good.
const FAILED: i32 = 1;
