//! Busy services and broken downloads: what may pass is waited for, and what will not is named.

use std::fs;
use std::time::Duration;

use glancecast_tests::fake_cloud::{FakeCloud, Fault, IMAGE_ID, Knobs, Reply};
use glancecast_tests::testbed::Testbed;

use super::{SOON, command, ends, images, names, push};

#[test]
fn every_read_is_made_three_times_while_a_service_is_busy() {
    let testbed = Testbed::loopback();
    let file = "GET /v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44/file";
    for (to, kind, with) in [
        ("GET /v3/", "Keystone", busy(503)),
        ("POST /v3/auth/tokens", "Keystone", busy(502)),
        ("GET / ", "Glance", busy(408)),
        ("GET /v2/images?", "Glance", busy(429)),
        ("GET /v2.1/os-services", "Nova", busy(500)),
        (file, "Glance", busy(503)),
        (file, "Glance", Reply::Closed),
    ] {
        // Without a wish of the service the pauses are a second and three.
        let times = if matches!(with, Reply::Closed) { 1 } else { 2 };
        let faults = vec![Fault { to, times, with }];
        let cloud = FakeCloud::start(Knobs { faults, hosts: vec!["c1".into()], ..Knobs::default() });
        let arguments = ["debian", "--availability-zone", "nova", "--timeout", "1s"];
        let mut push = push(&testbed, &cloud, &arguments);
        let end = push.process.wait(SOON);
        let lines = push.process.log_lines();
        assert_eq!(end.code(), Some(3), "nobody listens, {to}: {lines:?}");
        let told = lines.iter().find(|line| line.contains("asking again in"));
        assert!(told.is_some_and(|line| line.contains(kind) && line.contains("try 2 of 3")), "{lines:?}");
    }
}

#[test]
fn a_service_that_stays_busy_ends_the_command_after_three_tries_and_pauses() {
    let testbed = Testbed::loopback();
    let faults = vec![Fault::status("POST /v3/auth/tokens", 9, 504)];
    let cloud = FakeCloud::start(Knobs { faults, ..Knobs::default() });
    let mut process = images(&testbed, &cloud, &[]);
    let end = process.wait(SOON);
    assert!(end.lasted > Duration::from_secs(4), "{end:?}");
    ends(process, 1, &["Keystone at http://127.0.0.1:", "answered 504", "each time"]);
    assert_eq!(cloud.count("POST /v3/auth/tokens"), 3);

    let later = Reply::Status(429, vec![("Retry-After", "3600".into())], String::new());
    let faults = vec![Fault { to: "GET /v2/images", times: 9, with: later }];
    let cloud = FakeCloud::start(Knobs { faults, ..Knobs::default() });
    ends(images(&testbed, &cloud, &[]), 1, &["Glance at", "region R", "answered 429", "3600 s", "limit"]);
    assert_eq!(cloud.count("GET /v2/images"), 1, "so long nobody waits");
}

#[test]
fn what_will_not_pass_is_not_asked_again() {
    let testbed = Testbed::loopback();
    for (to, status, code, words) in [
        ("POST /v3/auth/tokens", 401, 2, "refused the user name"),
        ("POST /v3/auth/tokens", 400, 2, "user_domain_name, project_domain_name"),
        ("POST /v3/auth/tokens", 403, 2, "forbids this log-in"),
        ("GET /v2/images", 400, 1, "answered 400"),
        ("GET /v2/images", 404, 1, "is Glance at this address"),
        ("GET /v2/images", 501, 1, "answered 501"),
    ] {
        let cloud =
            FakeCloud::start(Knobs { faults: vec![Fault::status(to, 9, status)], ..Knobs::default() });
        ends(images(&testbed, &cloud, &[]), code, &[words]);
        assert_eq!(cloud.count(to), 1, "{to} {status}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_again() {
    let testbed = Testbed::loopback();
    let faults = vec![Fault { to: "GET /v2/images", times: 1, with: Reply::Truncated }];
    let cloud = FakeCloud::start(Knobs { faults, ..Knobs::default() });
    assert_eq!(names(&mut images(&testbed, &cloud, &[])), ["debian"]);
}

#[test]
fn a_download_goes_on_as_long_as_each_resume_brings_bytes() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let cloud = FakeCloud::start(Knobs { cut: Some(50_000), ..Knobs::default() });
    let (end, report) = push(&testbed, &cloud, &["debian", "--hosts", "r1"]).report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert!(cloud.count(&format!("GET /v2/images/{IMAGE_ID}/file")) > 20);
    assert_eq!(fs::read(receiver.only_file("debian")).expect("readable"), Knobs::default().data);
}

#[test]
fn a_download_that_cannot_go_on_says_that_ranges_are_not_served() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs { cut: Some(700_000), ranges: false, ..Knobs::default() });
    let push = push(&testbed, &cloud, &["debian", "--expect", "1"]);
    ends(push.process, 1, &["broke at 700000 of 1048576 bytes", "serves no byte ranges", "first byte"]);
}

#[test]
fn a_redirected_download_names_where_it_points_and_takes_no_token_there() {
    let testbed = Testbed::loopback();
    let other = FakeCloud::start(Knobs::default());
    let file = "GET /v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44/file";
    for status in [301, 302, 303, 307, 308] {
        let to = other.url("/store/disk?signature=secret");
        let with = Reply::Status(status, vec![("Location", to)], String::new());
        let cloud =
            FakeCloud::start(Knobs { faults: vec![Fault { to: file, times: 1, with }], ..Knobs::default() });
        let push = push(&testbed, &cloud, &["debian", "--expect", "1"]);
        let line = ends(
            push.process,
            2,
            &["Glance at", &other.url("/store/disk"), "no token is sent", "deliver the data itself"],
        );
        assert!(!line.contains("signature"), "{line}");
    }
    assert_eq!(other.heard().len(), 0);
    for (status, location) in [(302, None), (300, None), (305, Some("HERE/x")), (304, None)] {
        let headers = location.map(|to| ("Location", to.to_owned())).into_iter().collect();
        let with = Reply::Status(status, headers, String::new());
        let cloud =
            FakeCloud::start(Knobs { faults: vec![Fault { to: file, times: 1, with }], ..Knobs::default() });
        let push = push(&testbed, &cloud, &["debian", "--expect", "1"]);
        let mut process = push.process;
        let code = process.wait(SOON).code().expect("no signal");
        ends(process, code, &["Glance at", "redirect", "image_endpoint_override"]);
    }
}

#[test]
fn a_redirect_within_the_server_is_followed_to_the_data() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let file = "GET /v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44/file";
    let to = format!("HERE/v2/images/{IMAGE_ID}/file?x=1");
    let with = Reply::Status(302, vec![("Location", to)], String::new());
    let cloud =
        FakeCloud::start(Knobs { faults: vec![Fault { to: file, times: 1, with }], ..Knobs::default() });
    let (end, report) = push(&testbed, &cloud, &["debian", "--hosts", "r1"]).report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
    receiver.only_file("debian");
}

#[test]
fn a_redirected_log_in_within_the_server_stays_a_log_in() {
    let testbed = Testbed::loopback();
    for status in [301, 302, 303, 307, 308] {
        let to = "HERE/v3/auth/tokens?moved".to_owned();
        let with = Reply::Status(status, vec![("Location", to)], String::new());
        let faults = vec![Fault { to: "POST /v3/auth/tokens ", times: 1, with }];
        let cloud = FakeCloud::start(Knobs { faults, ..Knobs::default() });
        assert_eq!(names(&mut images(&testbed, &cloud, &[])), ["debian"], "{status}");
        assert_eq!(cloud.count("POST /v3/auth/tokens?moved"), 1, "{status}");
    }
}

/// Returns an answer of a service that can be asked again at once.
fn busy(status: u16) -> Reply {
    Reply::Status(status, vec![("Retry-After", "0".into())], "<html>busy</html>".into())
}
