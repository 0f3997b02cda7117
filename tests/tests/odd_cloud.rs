//! A cloud that is busy, odd or half out of order: it is waited for, what is not needed of it is skipped, and what is
//! wrong is named with the service, its address and what to change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_proto::ids::is_unprintable;
use glancecast_tests::fake_cloud::{
    self, FakeCloud, Fault, IMAGE_ID, Knobs, Reply, catalog, closing_server, dead_address, endpoint, image,
    service,
};
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

#[test]
fn an_entry_of_the_catalog_that_is_not_needed_keeps_nobody_out() {
    let testbed = Testbed::loopback();
    let mut entries = catalog("HERE").as_array().expect("a list").clone();
    entries.extend([
        service("messaging-websocket", "zaqar", "ws://127.0.0.1:9000"),
        service("metric", "gnocchi", "not a URL"),
        json!({"type": "dns", "name": "designate", "endpoints": [{"interface": "public", "url": null}]}),
        json!({"type": "volumev3", "endpoints": [5, null, {}]}),
        json!({"type": null, "name": 5, "endpoints": {}}),
        json!("odd"),
        json!(null),
    ]);
    entries.reverse();
    let cloud = FakeCloud::start(Knobs { catalog: entries.into(), ..Knobs::default() });
    assert_eq!(names(&mut images(&testbed, &cloud, &[])), ["debian"]);
}

#[test]
fn a_service_may_be_told_by_a_type_with_a_version_or_by_its_name() {
    let testbed = Testbed::loopback();
    for entry in [
        service("imagev2", "x", "HERE"),
        service("glance", "x", "HERE/v2"),
        json!({"name": "glance", "endpoints": [{"interface": "public", "url": "HERE/v2/"}]}),
    ] {
        let cloud = FakeCloud::start(Knobs { catalog: json!([entry]), ..Knobs::default() });
        assert_eq!(names(&mut images(&testbed, &cloud, &[])), ["debian"]);
    }
}

#[test]
fn a_needed_endpoint_that_is_broken_is_named_with_service_interface_region_and_url() {
    let testbed = Testbed::loopback();
    for (url, word) in [("ws://gl:9292", "ws://gl:9292"), ("gl:9292/%(x)s", "gl:9292"), ("/image", "/image")]
    {
        let cloud = FakeCloud::start(Knobs { catalog: catalog(url), ..Knobs::default() });
        let words = ["Glance", "interface `public`", "region `R`", word, "image_endpoint_override"];
        ends(images(&testbed, &cloud, &[]), 2, &words);
    }
    let without = json!([service("compute", "nova", "HERE")]);
    let cloud = FakeCloud::start(Knobs { catalog: without, ..Knobs::default() });
    ends(
        images(&testbed, &cloud, &[]),
        2,
        &["no Glance", "interface `public`", "1 other services", "OS_* variables"],
    );
}

#[test]
fn interface_and_region_choose_the_endpoint_as_they_do_for_the_openstack_command() {
    let testbed = Testbed::loopback();
    let nowhere = format!("http://{}", dead_address());
    for interface in ["public", "internal", "admin", "internalURL"] {
        let wanted = interface.trim_end_matches("URL");
        let others = ["public", "internal", "admin"].into_iter().filter(|other| *other != wanted);
        let mut endpoints: Vec<Value> = others.map(|other| endpoint(other, "R", &nowhere)).collect();
        endpoints.push(endpoint(wanted, "R", "HERE/image"));
        let all = json!([{"type": "image", "name": "glance", "endpoints": endpoints}]);
        let cloud = FakeCloud::start(Knobs {
            catalog: all,
            glance_link: "HERE/image/v2/".into(),
            ..Knobs::default()
        });
        for region in [Some("R"), None] {
            for variable in ["OS_INTERFACE", "OS_ENDPOINT_TYPE"] {
                let mut settings = vec![(variable, interface)];
                settings.extend(region.map(|region| ("OS_REGION_NAME", region)));
                assert_eq!(names(&mut images(&testbed, &cloud, &settings)), ["debian"], "{settings:?}");
            }
        }
        let away = images(&testbed, &cloud, &[("OS_INTERFACE", interface), ("OS_REGION_NAME", "S")]);
        ends(away, 2, &["interface `", "region `S`", "region `R`"]);
    }
}

#[test]
fn a_version_link_with_the_host_of_the_back_end_leads_nowhere_else() {
    let testbed = Testbed::loopback();
    let elsewhere = FakeCloud::start(Knobs::default());
    for (glance, link) in [
        ("HERE", elsewhere.url("/v2/")),
        ("HERE/image", elsewhere.url("/v2/")),
        ("HERE/image/", "http://glance.internal:19292/glance-api/v2".to_owned()),
        ("HERE/image", "https://HERE/image/v2/".to_owned()),
    ] {
        let keystone_link = elsewhere.url("/v3/");
        let knobs = Knobs { catalog: catalog(glance), glance_link: link, keystone_link, ..Knobs::default() };
        assert_eq!(names(&mut images(&testbed, &FakeCloud::start(knobs), &[])), ["debian"], "{glance}");
    }
    assert_eq!(elsewhere.heard().len(), 0);
}

#[test]
fn hosts_of_nova_are_found_where_glance_is_out_of_order() {
    let testbed = Testbed::loopback();
    let knobs = Knobs { catalog: catalog("ws://gl"), hosts: vec!["r1".into()], ..Knobs::default() };
    let cloud = FakeCloud::start(knobs);
    let _receiver = testbed.receiver("r1", &[]);
    let arguments = ["hosts", "--availability-zone", "nova", "--wait", "1s"];
    let (code, answer) = testbed.ask_with(command(&testbed, &cloud, &[]), &arguments);
    assert_eq!(code, 0, "{answer}");
}

#[test]
fn every_read_is_made_three_times_while_a_service_is_busy() {
    let testbed = Testbed::loopback();
    for (to, kind) in [
        ("GET /v3/", "Keystone"),
        ("POST /v3/auth/tokens", "Keystone"),
        ("GET / ", "Glance"),
        ("GET /v2/images?", "Glance"),
        ("GET /v2.1/os-services", "Nova"),
        ("GET /v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44/file", "Glance"),
    ] {
        let to = to.trim_end();
        for with in [busy(503), busy(429), busy(502), Reply::Closed] {
            let is_slow = matches!(with, Reply::Closed);
            if is_slow && kind == "Keystone" {
                continue; // each takes the pauses of a second and three
            }
            let faults = vec![Fault { to, times: if is_slow { 1 } else { 2 }, with }];
            let cloud = FakeCloud::start(Knobs { faults, hosts: vec!["c1".into()], ..Knobs::default() });
            let spool = testbed.store("spool");
            let arguments = ["debian", "--availability-zone", "nova", "--timeout", "1s", "--spool"];
            let arguments = [&arguments[..], &[spool.to_str().expect("UTF-8")]].concat();
            let mut push = testbed.push_with(command(&testbed, &cloud, &[]), &arguments);
            let end = push.process.wait(SOON);
            let lines = push.process.log_lines();
            assert_eq!(end.code(), Some(3), "nobody listens, {to}: {lines:?}");
            let told = lines.iter().find(|line| line.contains("asking again in"));
            assert!(told.is_some_and(|line| line.contains(kind) && line.contains("try 2 of 3")), "{lines:?}");
        }
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
fn each_fault_of_a_certificate_has_its_words_and_a_way_out() {
    needs!(OPENSSL);
    let testbed = Testbed::loopback();
    let pki = Pki::new(&testbed);
    let good = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";
    for (title, extensions, options, words) in [
        (
            "expired",
            good,
            &["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"][..],
            "expired on 2020-02-01",
        ),
        (
            "early",
            good,
            &["-startdate", "20900101000000Z", "-enddate", "20910101000000Z"],
            "not valid before 2090-01-01",
        ),
        ("name", "subjectAltName=DNS:ks.example\n", &[], "not for 127.0.0.1 but for"),
        ("cn", "basicConstraints=critical,CA:FALSE\n", &[], "subjectAltName"),
        ("purpose", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=clientAuth\n", &[], "not for servers"),
        (
            "ca",
            "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n",
            &[],
            "one of a CA (CA:TRUE)",
        ),
        ("sha1", good, &["-md", "sha1"], "SHA-1"),
    ] {
        let pem = pki.server(title, extensions, options);
        let cloud = FakeCloud::start_with_tls(Knobs::default(), &pem);
        ends(
            images(&testbed, &cloud, &[("OS_CACERT", &pki.ca())]),
            1,
            &["Keystone at https://127.0.0.1:", words],
        );
    }
    let pem = pki.server("good", good, &[]);
    let cloud = FakeCloud::start_with_tls(Knobs::default(), &pem);
    assert_eq!(names(&mut images(&testbed, &cloud, &[("OS_CACERT", &pki.ca())])), ["debian"]);
    let other = Pki::new_in(&testbed, "other");
    ends(images(&testbed, &cloud, &[("OS_CACERT", &other.ca())]), 1, &["signed by no CA", "cacert"]);
    let own =
        pki.server_by_itself("self", "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n");
    let cloud = FakeCloud::start_with_tls(Knobs::default(), &own);
    let own = own.to_str().expect("UTF-8");
    ends(
        images(&testbed, &cloud, &[("OS_CACERT", own)]),
        1,
        &["CA:TRUE", "basicConstraints=critical,CA:FALSE"],
    );
}

#[test]
fn a_port_that_does_not_speak_tls_is_named_as_such() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    let mut command = command(&testbed, &cloud, &[]);
    command.env("OS_AUTH_URL", cloud.url("/v3").replace("http:", "https:")).arg("images");
    ends(Process::start("images", command, &testbed.path("")), 1, &["does not speak TLS", "http://"]);
}

#[test]
fn a_machine_without_certificates_reaches_a_cloud_without_tls() {
    let testbed = Testbed::loopback();
    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let cloud = FakeCloud::start(Knobs::default());
    assert_eq!(names(&mut images(&testbed, &cloud, &none)), ["debian"]);
    let mut command = command(&testbed, &cloud, &none);
    command.env("OS_AUTH_URL", "https://127.0.0.1:9/v3").arg("images");
    let process = Process::start("images", command, &testbed.path(""));
    ends(process, 2, &["no certificates of CAs", "ca-certificates", "cacert"]);
}

#[test]
fn a_proxy_that_does_not_answer_is_named_and_its_password_is_not() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    let dead = dead_address();
    for (variable, proxy) in [
        ("http_proxy", format!("http://{dead}")),
        ("HTTP_PROXY", format!("{dead}")),
        ("ALL_PROXY", format!("http://user:hunter2@{dead}/")),
        ("http_proxy", format!("http://{}", closing_server())),
    ] {
        let process = images(&testbed, &cloud, &[(variable, &proxy)]);
        let line =
            ends(process, 1, &["Keystone at", "through proxy http://127.0.0.1:", variable, "no_proxy"]);
        assert!(!line.contains("hunter2"), "{line}");
        let exempt = [(variable, proxy.as_str()), ("no_proxy", "127.0.0.0/8")];
        assert_eq!(names(&mut images(&testbed, &cloud, &exempt)), ["debian"]);
    }
    assert_eq!(
        names(&mut images(&testbed, &cloud, &[("https_proxy", "nonsense://")])),
        ["debian"],
        "it is not asked"
    );
}

#[test]
fn what_is_no_proxy_is_refused_by_its_variable() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    for proxy in
        ["http://", "ftp://u:hunter2@p", "socks5://u:hunter2@p:1080", "http://u:hunter2@p:99999", "a b"]
    {
        let process = images(&testbed, &cloud, &[("http_proxy", proxy)]);
        let line = ends(process, 2, &["http_proxy", "cannot be used", "http://HOST:PORT"]);
        assert!(!line.contains("hunter2"), "{line}");
    }
    assert_eq!(cloud.heard().len(), 0);
}

#[test]
fn a_proxy_that_refuses_is_named_with_what_it_answers() {
    let testbed = Testbed::loopback();
    for (status, words) in [(407, "asks for a log-in"), (503, "through proxy")] {
        let faults = vec![Fault::status("GET http", 9, status)];
        let proxy = FakeCloud::start(Knobs { faults, ..Knobs::default() });
        let cloud = FakeCloud::start(Knobs::default());
        ends(
            images(&testbed, &cloud, &[("http_proxy", &proxy.url(""))]),
            1,
            &["Keystone at", words, "proxy"],
        );
        assert_eq!(cloud.heard().len(), 0);
    }
}

#[test]
fn of_several_images_of_a_name_the_active_or_the_latest_is_taken() {
    let testbed = Testbed::loopback();
    let (old, new) = ("11111111-2222-4333-8444-000000000001", "11111111-2222-4333-8444-000000000002");
    let named = |id: &str, status: &str, created: &str| {
        let mut image = image(&Knobs::default().data);
        (image["id"], image["status"], image["created_at"]) = (json!(id), json!(status), json!(created));
        image
    };
    let cloud = |images: Vec<Value>| FakeCloud::start(Knobs { images, page: 1, ..Knobs::default() });
    let (january, february) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let both = cloud(vec![named(new, "active", february), named(old, "active", january)]);
    let query = |cloud: &FakeCloud, arguments: &[&str]| {
        let mut command = command(&testbed, cloud, &[]);
        command.args(arguments).args(["--wait", "100ms", "--group", &testbed.group().to_string()]);
        command.args(["--interface", "lo", "--unsigned", "--key"]).arg(testbed.key());
        command.arg("--known-hosts").arg(testbed.known_hosts());
        Process::start("query", command, &testbed.path(""))
    };
    let words = ["2 active images are named `debian`", old, new, "--latest", january];
    ends(push(&testbed, &both, &["debian", "--expect", "1"]).process, 2, &words);
    for command in ["status", "verify", "unpin"] {
        let looked_up = [command, "debian", "--availability-zone", "nova"];
        ends(query(&both, &looked_up), 2, &["no compute host"]);
    }
    let with_hosts =
        |images| FakeCloud::start(Knobs { images, page: 1, hosts: vec!["r1".into()], ..Knobs::default() });
    let both = with_hosts(vec![named(new, "active", february), named(old, "active", january)]);
    for command in ["status", "verify", "unpin"] {
        let looked_up = [command, "debian", "--availability-zone", "nova"];
        ends(query(&both, &looked_up), 2, &words);
        let mut latest = query(&both, &[&looked_up[..], &["--latest", "--json"]].concat());
        assert_eq!(latest.wait(SOON).code(), Some(3), "nobody listens");
        assert!(latest.output().contains(new) && !latest.output().contains(old), "{}", latest.output());
    }

    let _receiver = testbed.receiver("r1", &[]);
    for (images, arguments, id) in [
        (vec![named(new, "active", february), named(old, "active", january)], &["--latest"][..], new),
        (vec![named(new, "queued", february), named(old, "active", january)], &[], old),
    ] {
        let arguments = [&["debian", "--hosts", "r1"][..], arguments].concat();
        let (end, report) = push(&testbed, &cloud(images), &arguments).report(SOON);
        assert_eq!((end.code(), report.object.image_id.as_deref()), (Some(0), Some(id)), "{report:?}");
    }
    let tie = cloud(vec![named(new, "active", january), named(old, "active", january)]);
    let words = ["--latest does not choose", "same time", old, new];
    ends(push(&testbed, &tie, &["debian", "--latest", "--expect", "1"]).process, 2, &words);
}

#[test]
fn a_name_is_exact_and_the_list_says_what_cannot_be_pushed() {
    let testbed = Testbed::loopback();
    let mut records: Vec<Value> = ["in:a,b", "a", "b", "debian"]
        .iter()
        .map(|name| {
            let mut image = image(b"x");
            image["name"] = json!(name);
            image
        })
        .collect();
    records[1]["container_format"] = json!("ovf");
    records[2]["status"] = json!("queued");
    let long = "n".repeat(255);
    records[3]["name"] = json!(long);
    records.push(json!({"id": 5}));
    let cloud = FakeCloud::start(Knobs { images: records, page: 2, ..Knobs::default() });
    let run = |arguments: &[&str]| {
        let mut command = command(&testbed, &cloud, &[]);
        command.arg("images").args(arguments);
        let mut process = Process::start("images", command, &testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        process
    };
    assert_eq!(names(&mut run(&["--name", "in:a,b", "--json"])), ["in:a,b"]);
    assert_eq!(names(&mut run(&["--name", "a", "--json"])), ["a"]);
    let all: Value = serde_json::from_str(&run(&["--json"]).output()).expect("JSON");
    assert_eq!(all["images"][1]["container_format"], "ovf");
    assert!(all["images"][1]["obstacle"].as_str().is_some_and(|text| text.contains("ovf")), "{all}");
    assert_eq!(all["images"][0]["obstacle"], Value::Null);
    assert_eq!(all["images"][3]["name"], json!(long));
    let table = run(&[]).output();
    assert!(
        table.contains("it is queued") && table.contains("CONTAINER") && !table.contains(&long),
        "{table}"
    );
    assert!(table.lines().all(|line| line.chars().count() < 180), "{table}");
}

#[test]
fn a_token_that_is_for_no_project_is_named_with_what_to_set() {
    let testbed = Testbed::loopback();
    for (token, words) in [
        (json!({"system": {"all": true}}), &["system_scope", "project_name"][..]),
        (json!({"domain": {"id": "d", "name": "D"}}), &["domain", "project_name"]),
        (json!({"catalog": []}), &["no project", "project_name"]),
        (json!({"catalog": null}), &["no project", "project_name"]),
    ] {
        let faults = vec![Fault::status("GET /v2/images", 9, 403)];
        let cloud = FakeCloud::start(Knobs { token, faults, ..Knobs::default() });
        let mut process = images(&testbed, &cloud, &[]);
        let code = process.wait(SOON).code().expect("no signal");
        ends(process, code, words);
    }
}

#[test]
fn access_rules_that_lack_a_request_are_named_with_those_that_send_needs() {
    let testbed = Testbed::loopback();
    let rules = json!([{"id": "r", "service": "image", "method": "GET", "path": "/v2/images"}]);
    let mut token = fake_cloud::project();
    token["application_credential"] =
        json!({"id": "a", "name": "n", "restricted": true, "access_rules": rules});
    let faults = vec![Fault::status("GET /v2/images/", 9, 401)];
    let cloud = FakeCloud::start(Knobs { token, faults, ..Knobs::default() });
    let words = ["access rules", "GET /v2/images,", "GET /v2/images/*", "GET /v2/images/*/file"];
    ends(push(&testbed, &cloud, &["debian", "--expect", "1"]).process, 1, &words);
}

#[test]
fn an_application_credential_may_be_given_by_its_name() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs::default());
    let settings = [
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_APPLICATION_CREDENTIAL_NAME", "pusher"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s3cret"),
    ];
    assert_eq!(names(&mut images(&testbed, &cloud, &settings)), ["debian"]);
    let login = cloud.heard().into_iter().find(|request| request.line.starts_with("POST")).expect("one");
    let body: Value = serde_json::from_str(&login.body).expect("JSON");
    let user = json!({"name": "operator", "domain": {"name": "Default"}});
    let credential = json!({"name": "pusher", "secret": "s3cret", "user": user});
    assert_eq!(body["auth"]["identity"]["application_credential"], credential);
    assert_eq!(body["auth"].get("scope"), None);
}

/// Starts `glancecast images --json` with variables besides those of the cloud.
fn images(testbed: &Testbed, cloud: &FakeCloud, settings: &[(&str, &str)]) -> Process {
    let mut command = command(testbed, cloud, settings);
    command.args(["images", "--json"]);
    Process::start("images", command, &testbed.path(""))
}

fn command(testbed: &Testbed, cloud: &FakeCloud, settings: &[(&str, &str)]) -> Command {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command);
    command.envs(settings.iter().copied());
    command
}

fn push(testbed: &Testbed, cloud: &FakeCloud, arguments: &[&str]) -> glancecast_tests::testbed::Push {
    let spool = testbed.store("spool");
    let arguments = [arguments, &["--spool", spool.to_str().expect("UTF-8")]].concat();
    testbed.push_with(command(testbed, cloud, &[]), &arguments)
}

/// Asserts exit code 0, and returns the names of the images.
#[track_caller]
fn names(process: &mut Process) -> Vec<String> {
    let end = process.wait(SOON);
    assert_eq!(end.code(), Some(0), "{:?}", process.log_lines());
    let list: Value = serde_json::from_str(&process.output()).expect("JSON");
    let images = list["images"].as_array().expect("a list").iter();
    images.map(|image| image["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asserts the exit code, and that the last line has all of `words` and steers no terminal. Returns that line.
#[track_caller]
fn ends(mut process: Process, code: i32, words: &[&str]) -> String {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(code), "{lines:?}");
    let line = lines.last().expect("a line").clone();
    println!("{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line:?}");
    assert!(!lines.iter().any(|line| line.chars().any(is_unprintable)), "{lines:?}");
    line
}

/// Returns an answer of a service that can be asked again at once.
fn busy(status: u16) -> Reply {
    Reply::Status(status, vec![("Retry-After", "0".into())], "<html>busy</html>".into())
}

/// A CA that signs certificates with every fault, by `openssl ca`.
struct Pki {
    directory: PathBuf,
}

impl Pki {
    fn new(testbed: &Testbed) -> Self {
        Self::new_in(testbed, "pki")
    }

    fn new_in(testbed: &Testbed, name: &str) -> Self {
        let pki = Self { directory: testbed.store(name) };
        let config = format!(
            "[ca]\ndefault_ca=x\n[x]\ndatabase={0}/index\nserial={0}/serial\nnew_certs_dir={0}\ndefault_md=sha256\n\
             default_days=30\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n",
            pki.directory.display()
        );
        for (file, text) in [("ca.conf", config.as_str()), ("index", ""), ("serial", "01\n")] {
            fs::write(pki.directory.join(file), text).expect("writable");
        }
        pki.key_and_request("ca");
        pki.sign("ca", "basicConstraints=critical,CA:TRUE\n", &["-selfsign"]);
        pki
    }

    fn ca(&self) -> String {
        self.directory.join("ca.pem").to_str().expect("UTF-8").to_owned()
    }

    /// Returns a file with a certificate that the CA signed, and its key.
    fn server(&self, title: &str, extensions: &str, options: &[&str]) -> PathBuf {
        self.key_and_request(title);
        self.sign(title, extensions, &[&["-cert", &self.ca()], options].concat());
        self.with_key(title)
    }

    /// Returns one that signed itself.
    fn server_by_itself(&self, title: &str, extensions: &str) -> PathBuf {
        self.key_and_request(title);
        let key = self.path(title, "key");
        self.sign(title, extensions, &["-selfsign", "-keyfile", &key]);
        self.with_key(title)
    }

    fn key_and_request(&self, title: &str) {
        let (key, request) = (self.path(title, "key"), self.path(title, "csr"));
        let new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"];
        self.openssl(&[&new[..], &["-keyout", &key, "-out", &request]].concat());
    }

    fn sign(&self, title: &str, extensions: &str, options: &[&str]) {
        let (request, certificate, file) =
            (self.path(title, "csr"), self.path(title, "pem"), self.path(title, "ext"));
        fs::write(&file, extensions).expect("writable");
        let (config, key) = (self.path("ca", "conf"), self.path("ca", "key"));
        let mut arguments = vec!["ca", "-batch", "-notext", "-config", &config, "-extfile", &file];
        arguments.extend(["-in", &request, "-out", &certificate]);
        if !options.contains(&"-keyfile") {
            arguments.extend(["-keyfile", &key]);
        }
        self.openssl(&[&arguments[..], options].concat());
    }

    fn with_key(&self, title: &str) -> PathBuf {
        let both = ["pem", "key"].map(|kind| fs::read_to_string(self.path(title, kind)).expect("a file"));
        let path = self.directory.join(format!("{title}-server.pem"));
        fs::write(&path, both.concat()).expect("writable");
        path
    }

    fn path(&self, title: &str, kind: &str) -> String {
        self.directory.join(format!("{title}.{kind}")).to_str().expect("UTF-8").to_owned()
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).stdin(Stdio::null());
        let mut process = Process::start("openssl", command, Path::new(&self.directory));
        let end = process.wait(SOON);
        assert_eq!(end.code(), Some(0), "{arguments:?}: {:?}", process.log_lines());
    }
}

const OPENSSL: &[Need] = &[Need::Program("openssl", "openssl")];
const SOON: Duration = Duration::from_secs(30);
