//! The proxies of the environment: they are used as by the `openstack` command, and named when they fail.

use glancecast_tests::fake_cloud::{FakeCloud, Fault, Knobs, closing_server, dead_address};
use glancecast_tests::testbed::Testbed;

use super::{ends, images, names};

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
