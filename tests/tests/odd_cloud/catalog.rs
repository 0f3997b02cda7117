//! Odd catalogs and version documents: what is not needed is skipped, what is broken is named.

use glancecast_tests::fake_cloud::{FakeCloud, Knobs, catalog, dead_address, endpoint, service};
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

use super::{command, ends, images, names};

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
        &["no Glance", "interface `public`", "another service only", "OS_* variables"],
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
        ends(away, 2, &["interface `", "region `S`", "in region R"]);
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
