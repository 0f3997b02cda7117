//! Selections beside small clouds.

use glancecast_proto::time::WallClock;

use super::super::catalog::{Catalog, Compute};
use super::*;
use crate::policy::{Group, parse_file};

#[test]
fn the_newest_of_each_name_are_active_images_that_match_everything() {
    let images = [
        image(1, "debian", "golden", "active", 10),
        image(2, "debian", "golden", "active", 20),
        image(3, "debian", "golden", "active", 30),
        image(4, "debian", "golden", "queued", 40),
        image(5, "ubuntu", "golden", "active", 5),
        image(6, "ubuntu", "other", "active", 50),
    ];
    for (fields, ids, problems) in [
        ("tag = 'golden', newest = 2, newest_by = 'name'", &[2, 3, 5][..], 1),
        ("tag = 'golden', newest = 2", &[2, 3], 1),
        ("tag = 'golden'", &[1, 2, 3, 5], 1),
        ("tag = ['golden', 'other']", &[], 1),
        ("name = ['ubuntu', 'debian'], tag = 'other'", &[6], 0),
        ("name = 'Debian'", &[], 1),
        ("tag = 'golden', visibility = 'private'", &[], 1),
    ] {
        let goal = goal_of(&format!("images = {{ {fields} }}"), "hosts = { names = 'c1' }", &images, nova());
        let found: Vec<u8> = goal.images.keys().map(number).collect();
        assert_eq!((found.as_slice(), goal.problems.len()), (ids, problems), "{fields}: {:?}", goal.problems);
    }
}

#[test]
fn of_images_that_were_created_together_the_id_decides() {
    let images = [image(1, "a", "t", "active", 10), image(2, "a", "t", "active", 10)];
    let goal = goal_of("images = { tag = 't', newest = 1 }", "hosts = { all = true }", &images, nova());
    assert_eq!(goal.images.keys().map(number).collect::<Vec<_>>(), [2]);
}

#[test]
fn ids_that_are_gone_and_images_that_are_not_active_are_named() {
    let ids = [1, 2, 3].map(|n| format!("'{}'", id(n))).join(", ");
    let images = [image(1, "a", "", "active", 1), image(2, "b", "", "deactivated", 1)];
    let goal = goal_of(&format!("images = {{ id = [{ids}] }}"), "hosts = { all = true }", &images, nova());
    assert_eq!(goal.images.keys().map(number).collect::<Vec<_>>(), [1]);
    let shown: Vec<String> = goal.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            format!("Glance has no image {}", id(3)),
            format!("image {} is deactivated in Glance, and only active ones are pushed", id(2)),
        ]
    );
    assert!(!goal.problems.iter().any(Problem::leaves_doubt));
}

#[test]
fn hosts_are_those_of_aggregates_zones_and_names_without_the_excluded_ones() {
    for (fields, hosts) in [
        ("all = true", &["c1", "c2", "c3", "c4", "iron"][..]),
        ("aggregate = 'gpu'", &["c1", "c2", "gone"]),
        ("availability_zone = 'az-2'", &["c3", "c4"]),
        ("aggregate = 'gpu', availability_zone = 'az-2', exclude = 'c[2-3]'", &["c1", "c4", "gone"]),
        ("names = 'c[3-4]', aggregate = 'gpu'", &["c1", "c2", "c3", "c4", "gone"]),
    ] {
        let goal = goal_of("images = { tag = 't' }", &format!("hosts = {{ {fields} }}"), &[], nova());
        assert_eq!(goal.hosts.keys().map(HostName::as_str).collect::<Vec<_>>(), hosts, "{fields}");
    }
}

#[test]
fn what_nova_does_not_use_is_not_counted_and_has_a_reason() {
    let goal = |fields: &str| goal_of("images = { tag = 't' }", fields, &[], nova());
    let of = |fields: &str, host: &str| goal(fields).hosts[&HostName::new(host).expect("a name")].clone();
    let all = "hosts = { all = true }";
    assert_eq!((of(all, "c1"), of(all, "c3")), (Counting::Counted, Counting::Down));
    assert_eq!(of(all, "c2"), Counting::Disabled(Some("fan".into())));
    assert_eq!(of("hosts = { all = true, include_disabled = true }", "c2"), Counting::Counted);
    assert_eq!(of("hosts = { all = true, include_disabled = true }", "c3"), Counting::Down, "down is down");
    assert!(matches!(of(all, "iron"), Counting::Ineligible(why) if why.contains("bare-metal")));
    assert!(
        matches!(of("hosts = { aggregate = 'gpu' }", "gone"), Counting::Ineligible(why) if why.contains("no nova-compute"))
    );
}

#[test]
fn an_unknown_aggregate_or_zone_leaves_doubt_and_so_does_a_cloud_without_nova() {
    for (fields, compute, problem) in [
        ("aggregate = ['gpu', 'gqu']", nova(), "Nova has no aggregate \"gqu\""),
        ("availability_zone = 'az-9'", nova(), "Nova has no host in the availability zone \"az-9\""),
        ("aggregate = 'gpu'", absent(), "aggregates and zones need Nova, which is not configured"),
    ] {
        let goal = goal_of("images = { tag = 't' }", &format!("hosts = {{ {fields} }}"), &[], compute);
        let doubt: Vec<String> =
            goal.problems.iter().filter(|problem| problem.leaves_doubt()).map(ToString::to_string).collect();
        assert_eq!(doubt, [problem]);
    }
    let goal = goal_of("images = { tag = 't' }", "hosts = { all = true }", &[], absent());
    assert_eq!(goal.hosts.len(), 2, "without Nova the hosts that answer are all");
}

#[test]
fn a_policy_that_selects_too_many_images_selects_none_and_leaves_doubt() {
    let many: Vec<(ImageId, Image)> = (0..=IMAGES_PER_POLICY_MAX)
        .map(|n| {
            (
                ImageId::new(&format!("00000000-0000-4000-8000-{n:012x}")).expect("an id"),
                image(1, "a", "t", "active", 1).1,
            )
        })
        .collect();
    let goal = goal_of("images = { tag = 't' }", "hosts = { all = true }", &many, nova());
    assert_eq!((goal.images.len(), goal.problems.as_slice()), (0, &[Problem::TooManyImages(257)][..]));
    let goal = goal_of("images = { tag = 't' }", "hosts = { all = true }", &many[1..], nova());
    assert_eq!((goal.images.len(), goal.problems.len()), (256, 0));
}

fn goal_of(images: &str, hosts: &str, all: &[(ImageId, Image)], compute: Compute) -> Goal {
    let text = format!("[[policy]]\nname = 'p'\n{images}\n{hosts}");
    let listed = parse_file("p.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let policies = Policies::of_files(listed).expect("one policy");
    let catalog = Catalog { images: all.iter().cloned().collect(), compute };
    select(&policies, &catalog).goals.remove(0)
}

fn image(n: u8, name: &str, tag: &str, status: &str, created: u64) -> (ImageId, Image) {
    let record = Record { algorithm: "sha512".into(), hash: format!("{n:x}"), size: 10 };
    let image = Image {
        name: Some(name.into()),
        tags: [tag.to_owned()].into(),
        visibility: None,
        status: ImageStatus::of_glance(status),
        created_at: WallClock(created),
        record: Ok(record),
    };
    (id(n), image)
}

fn id(n: u8) -> ImageId {
    ImageId::new(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).expect("an id")
}

fn number(id: &ImageId) -> u8 {
    u8::from_str_radix(&id.as_str()[34..], 16).expect("two digits")
}

fn nova() -> Compute {
    let service = |name: &str, zone: &str, state| (name.to_owned(), Service { zone: zone.to_owned(), state });
    let services = [
        service("c1", "az-1", ServiceState::Up),
        service("c2", "az-1", ServiceState::Disabled(Some("fan".into()))),
        service("c3", "az-2", ServiceState::Down),
        service("c4", "az-2", ServiceState::Up),
        service("iron", "az-3", ServiceState::BareMetal),
    ];
    let gpu = ["c1", "c2", "gone"].map(str::to_owned);
    Compute::Nova { services: services.into(), aggregates: [("gpu".to_owned(), gpu.into())].into() }
}

fn absent() -> Compute {
    let hosts = ["c1", "c2"].map(|name| HostName::new(name).expect("a name"));
    Compute::Absent { heard: [(Group::default(), hosts.into())].into() }
}
