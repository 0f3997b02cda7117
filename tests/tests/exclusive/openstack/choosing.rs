//! Choosing with a real cloud: images from Glance's list, hosts from Nova's aggregates and zones, and the confirmation
//! of a push by Nova. Each test starts one cloud, and runs on it whatever does not interfere.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::openstack::{self, NewImage, OpenStack};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Testbed};
use serde_json::Value;

#[test]
fn images_are_listed_from_all_pages_and_narrowed_by_every_filter() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    // 34 images in pages of ten.
    let cloud = OpenStack::start_with(&testbed.path("openstack"), &["--page-images", "10"]);
    cloud.create_many("lab-demo", "shell", 32);
    let file = testbed.path("upload.raw");
    image::random(&file, 3 << 20, Seed::draw());
    let tagged = NewImage { tags: &["gold", "web"], ..NewImage::new("lab-demo", "web server") };
    let tagged = cloud.upload_as(tagged, &file);
    let public = NewImage { visibility: "public", tags: &["gold"], ..NewImage::new("lab-admin", "base") };
    let public = cloud.upload_as(public, &file);

    let list = |arguments: &[&str]| Listing::of(&testbed, &cloud, arguments);
    let all = list(&[]);
    assert_eq!(all.names().len(), 34);
    assert_eq!((all.names()[0], all.names()[33]), ("base", "web server"));
    assert_eq!(all.next_marker(), None);
    let mut row = all.0["images"][33].clone();
    assert!(row["created_at"].take().as_str().is_some_and(|at| at.ends_with('Z')), "{row}");
    let expected = serde_json::json!({"id": tagged, "name": "web server", "status": "active", "size": 3 << 20,
        "format": "raw", "container_format": "bare", "visibility": "private", "created_at": null, "obstacle": null});
    assert_eq!(row, expected);

    let first = list(&["--limit", "15"]);
    assert_eq!(first.names(), all.names()[..15]);
    let marker = first.next_marker().expect("there are more").to_owned();
    assert_eq!(list(&["--marker", &marker]).names(), all.names()[15..]);

    assert_eq!(list(&["--name", "shell-0007"]).names(), ["shell-0007"]);
    assert_eq!(list(&["--status", "active"]).names(), ["base", "web server"]);
    assert_eq!(list(&["--visibility", "public"]).ids(), [public.as_str()]);
    assert_eq!(list(&["--tag", "gold"]).names(), ["base", "web server"]);
    assert_eq!(list(&["--tag", "gold", "--tag", "web"]).ids(), [tagged.as_str()]);
    assert_eq!(list(&["--name", "nosuch"]).names().len(), 0);

    let mut table = images(&testbed, &cloud, &["--status", "active"]);
    assert_eq!(table.wait(SOON).code(), Some(0), "{:?}", table.log_lines());
    let output = table.output();
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{lines:?}");
    assert!(lines[2].contains(&tagged) && lines[2].contains("3.00 MiB"), "{lines:?}");
    refused(
        images(&testbed, &cloud, &["--marker", "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"]),
        &["4b2c93ee", "marker"],
    );
}

#[test]
fn a_cloud_without_nova_is_reported() {
    needs!(openstack::NEEDS);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::shared(&testbed.path("openstack"));
    let push = push(&testbed, &cloud, "lab-admin", &["image", "--aggregate", "gpu"]);
    refused(push.process, &["no Nova", "--hosts"]);
}

#[test]
fn an_aggregate_is_pushed_to_without_its_disabled_and_down_hosts_and_confirmed() {
    needs!(openstack::NEEDS);
    let site = Site::start();
    site.refuses_choices_that_give_no_host();
    let receivers = ["c1", "c4"].map(|host| site.testbed.receiver(host, &[]));
    let (end, report) = site.push(&["--aggregate", "gpu", "--confirm"]).report(PATIENCE);
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(report.host("c1").state, "done");
    let skipped: Vec<_> =
        report.skipped.iter().map(|host| (host.name.as_str(), host.reason.as_str())).collect();
    assert_eq!(skipped, [("c2", "disabled in Nova: new memory"), ("c3", "its nova-compute is down")]);
    let confirmed = &report.confirm.as_ref().expect("it was asked for")[0];
    assert_eq!((confirmed.aggregate.as_str(), confirmed.asked), ("gpu", true), "{confirmed:?}");
    assert_eq!(confirmed.answer_must_be, "existing");
    let calls = site.calls_to_cache();
    let call = calls.first().expect("Nova was asked to cache the image");
    assert!(call.contains("status: 202") && call.contains("microversion: 2.81"), "{call}");

    // Zone nova has c4 only; both together have all hosts in use.
    let both = ["--aggregate", "gpu", "--availability-zone", "nova", "--name", "again"];
    let (end, report) = site.push(&both).report(PATIENCE);
    assert_eq!(end.code(), Some(0), "{report:?}");
    report.assert_hosts(&[("c1", "done"), ("c4", "done")]);
    assert_eq!(report.root.as_deref(), Some(site.sum.as_str()));
    assert!(report.confirm.is_none());
    site.answers_queries();
    drop(receivers);

    // No host answers, so Nova is not asked: it would fetch the image from Glance.
    let (end, report) = site.push(&["--aggregate", "gpu", "--confirm", "--timeout", "2s"]).report(PATIENCE);
    assert_eq!(end.code(), Some(3), "{report:?}");
    let confirmed = &report.confirm.as_ref().expect("it was asked for")[0];
    assert!(
        !confirmed.asked && confirmed.reason.as_ref().is_some_and(|why| why.contains("Glance")),
        "{confirmed:?}"
    );
    assert_eq!(site.calls_to_cache().len(), 1);
}

/// A cloud of four hosts with an image: aggregate `gpu` has `c1`, a disabled host, and one that is down.
struct Site {
    cloud: OpenStack,
    image: String,
    sum: String,
    testbed: Testbed,
}

impl Site {
    fn start() -> Self {
        let testbed = Testbed::loopback();
        let cloud = OpenStack::start_with_nova(&testbed.path("openstack"), &["c1", "c2", "c3", "c4"]);
        cloud.aggregate("gpu", Some("az-a"), &["c1", "c2", "c3"]);
        cloud.aggregate("idle", None, &[]);
        cloud.disable("c2", "new memory");
        cloud.take_down("c3");
        let file = testbed.path("upload.raw");
        let sum = image::random(&file, 2 << 20, Seed::draw());
        let image = cloud.upload("lab-demo", "image", &file);
        Self { cloud, image, sum, testbed }
    }

    fn push(&self, arguments: &[&str]) -> Push {
        self.push_by("lab-admin", arguments)
    }

    fn push_by(&self, user: &str, arguments: &[&str]) -> Push {
        push(&self.testbed, &self.cloud, user, &[&[self.image.as_str()], arguments].concat())
    }

    fn refuses_choices_that_give_no_host(&self) {
        refused(self.push(&["--aggregate", "gpus"]).process, &["`gpus`", "`gpu`, `idle`"]);
        refused(self.push(&["--availability-zone", "az-b"]).process, &["`az-b`", "`az-a`", "`nova`"]);
        refused(self.push(&["--aggregate", "idle"]).process, &["no host in it"]);
        let demo = |arguments: &[&str]| self.push_by("lab-demo", arguments).process;
        refused(demo(&["--aggregate", "gpu"]), &["403", "--os-cloud", "--hosts"]);
        refused(demo(&["--availability-zone", "az-a"]), &["403", "compute services"]);
        let zone = ["--availability-zone", "az-a", "--confirm"];
        refused(self.push(&zone).process, &["--aggregate", "zone"]);
    }

    /// Asserts that queries report the hosts that Nova expects, too, and resolve the image's name in Glance.
    fn answers_queries(&self) {
        let ask = |arguments: &[&str]| {
            let mut command = self.testbed.command("s", "glancecast");
            self.cloud.configure(&mut command, "lab-admin");
            self.testbed.ask_with(command, arguments)
        };
        let (code, answer) = ask(&["hosts", "--aggregate", "gpu"]);
        assert_eq!(code, 0, "{answer}");
        let rows = answer["hosts"].as_array().expect("rows");
        let c1 = rows.iter().find(|row| row["name"] == "c1").expect("a row");
        assert_eq!((&c1["expected"], &c1["state"]), (&true.into(), &"answered".into()), "{answer}");
        let skipped = serde_json::json!([
            {"name": "c2", "reason": "disabled in Nova: new memory"},
            {"name": "c3", "reason": "its nova-compute is down"}]);
        assert_eq!(answer["skipped"], skipped);
        let (code, answer) = ask(&["status", "image", "--aggregate", "gpu", "--availability-zone", "nova"]);
        assert_eq!((code, &answer["image"]["image_id"]), (0, &self.image.as_str().into()), "{answer}");
        let (code, answer) = ask(&["verify", "again", "--aggregate", "gpu"]);
        assert_eq!(
            (code, &answer["image"]["image_id"]),
            (0, &Value::Null),
            "Glance has no such name: {answer}"
        );
    }

    /// Returns the lines of Nova's log for requests to cache an image.
    fn calls_to_cache(&self) -> Vec<String> {
        let is_call = |line: &&str| line.contains("\"POST") && line.contains("/os-aggregates/1/images");
        self.cloud.nova_log().lines().filter(is_call).map(str::to_owned).collect()
    }
}

/// The output of `glancecast images --json`.
struct Listing(Value);

impl Listing {
    #[track_caller]
    fn of(testbed: &Testbed, cloud: &OpenStack, arguments: &[&str]) -> Self {
        let mut process = images(testbed, cloud, &[&["--json"], arguments].concat());
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        let output = process.output();
        Self(serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    fn column(&self, key: &str) -> Vec<&str> {
        let images = self.0["images"].as_array().expect("a list");
        images.iter().map(|image| image[key].as_str().expect("text")).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.column("name")
    }

    fn ids(&self) -> Vec<&str> {
        self.column("id")
    }

    fn next_marker(&self) -> Option<&str> {
        self.0["next_marker"].as_str()
    }
}

/// Starts `glancecast images` as a member.
fn images(testbed: &Testbed, cloud: &OpenStack, arguments: &[&str]) -> Process {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command, "lab-demo");
    command.arg("images").args(arguments);
    Process::start("images", command, &testbed.path(""))
}

fn push(testbed: &Testbed, cloud: &OpenStack, user: &str, arguments: &[&str]) -> Push {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command, user);
    let spool = testbed.store("spool");
    let usual = ["--rate", "390mbit", "--spool", spool.to_str().expect("UTF-8")];
    testbed.push_with(command, &[arguments, &usual].concat())
}

/// Asserts exit code 2, no result on standard output, and one line with all of `words`.
#[track_caller]
fn refused(mut process: Process, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{lines:?}");
    process.assert_no_result(2);
    assert_eq!(lines.len(), 1, "{lines:?}");
    println!("{}", lines[0]);
    for word in words {
        assert!(lines[0].contains(word), "{word:?} in {lines:?}");
    }
}

const SOON: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);
