//! Small clouds, a decision each. What must hold of all clouds is tested in `controller/tests/reconciler`.

use glancecast_proto::integrity::Root;

use super::*;
use crate::policy::limits::{LATE_RATE, POLICIES_MAX};
use crate::policy::{Policies, parse_file};

const NOON: WallClock = WallClock(1_767_268_800_000); // 1 January 2026, 12:00 UTC

#[test]
fn what_lacks_is_one_push_to_the_union_of_the_policies_hosts() {
    let mut cloud = Cloud::new(8, 2);
    cloud.policy("a", "hosts = { names = 'c[1-4]' }\nrate = '1gbit'\npriority = 3");
    cloud.policy("b", "hosts = { names = 'c[3-6]' }\nrate = 'auto:2gbit'");
    cloud.holds(1, 4);
    let plan = cloud.plan();
    let [Start::New(order)] = plan.start.as_slice() else { panic!("{:?}", plan.start) };
    assert_eq!((order.image.clone(), order.way, order.priority), (image(1), Way::Group, 3));
    let policies: Vec<String> = order.hosts.iter().map(|(host, of)| format!("{host}:{}", of.len())).collect();
    assert_eq!(policies, ["c1:1", "c2:1", "c3:2", "c5:1", "c6:1"]);
    assert_eq!(order.rate, "1gbit".parse().ok());
    assert_eq!(plan.waiting.len(), 1, "the other image waits for the group");
    assert_eq!(cloud.why(&plan, "a", 2, 1), "the next push of the group brings it");
}

#[test]
fn one_late_host_is_caught_up_by_unicast_beside_the_push_of_the_group() {
    let mut cloud = Cloud::new(8, 1);
    cloud.policy("a", "hosts = { all = true }");
    (1..8).for_each(|host| cloud.holds(1, host));
    let plan = cloud.plan();
    let [Start::New(order)] = plan.start.as_slice() else { panic!("{:?}", plan.start) };
    assert_eq!(
        (order.way, order.rate, order.hosts.len()),
        (Way::Unicast, Some(RateChoice::AutoUpTo(LATE_RATE)), 1)
    );
    cloud.runs("p1", 9, Way::Group, &[1, 2]);
    assert_eq!(cloud.plan().start, plan.start);
    cloud.runs("p2", 9, Way::Unicast, &[3]);
    assert_eq!(cloud.plan().start, []);
}

#[test]
fn two_hosts_of_a_cloud_of_two_are_no_late_hosts() {
    let mut cloud = Cloud::new(2, 1);
    cloud.policy("a", "hosts = { all = true }");
    let plan = cloud.plan();
    assert!(
        matches!(plan.start.as_slice(), [Start::New(PushOrder { way: Way::Group, .. })]),
        "{:?}",
        plan.start
    );
}

#[test]
fn the_queue_goes_by_priority_and_then_by_age() {
    let mut cloud = Cloud::new(4, 3);
    for (name, n, priority) in [("a", 1, 0), ("b", 2, 5), ("c", 3, 5)] {
        let images =
            format!("images = {{ id = '{}' }}\nhosts = {{ all = true }}\npriority = {priority}", image(n));
        cloud.policy_of(name, &images);
    }
    cloud.actual.memory.0.insert((Group::default(), image(3)), WallClock(NOON.0 - 1));
    let queued = |id: &str, priority, submitted| QueuedPush {
        id: PushId(id.into()),
        group: Group::default(),
        priority,
        submitted: WallClock(submitted),
        window: None,
    };
    cloud.actual.queued =
        vec![queued("late", 5, NOON.0), queued("soon", 5, NOON.0 - 2), queued("low", -1, 0)];
    let plan = cloud.plan();
    assert_eq!(plan.start, [Start::Queued(PushId("soon".into()))]);
    let order: Vec<String> = plan
        .waiting
        .iter()
        .map(|waiting| match &waiting.what {
            Waits::Queued(id) => format!("{} {id}", waiting.ahead),
            Waits::Image(image) => format!("{} {}", waiting.ahead, &image.as_str()[35..]),
        })
        .collect();
    assert_eq!(order, ["0 3", "1 late", "2 2", "3 1", "4 low"]);
}

#[test]
fn each_reason_is_one_class_and_a_sentence() {
    let mut cloud = Cloud::new(12, 1);
    cloud.policy("a", "hosts = { names = 'c[1-12]' }\nmax_image = '1GiB'");
    cloud.service(2, ServiceState::Down);
    cloud.service(3, ServiceState::Disabled(None));
    cloud.holds(1, 4);
    cloud.runs("run", 1, Way::Group, &[5]);
    cloud.inventory().forget(&host(6));
    cloud.answer(7, NOON.0 - 16 * 60_000, 1 << 40);
    cloud.inventory().troubled(&host(8), "its key has changed");
    cloud.actual.failures.record(Task::Push, &image(1), &host(9), NOON, "its store is broken");
    cloud.answer(10, NOON.0, 10);
    cloud.inventory().delivered(host(11), NOON, image(1), Root([9; 32]), 5, Pinned::No);
    let record = cloud.images[&image(1)].record.clone().expect("a record");
    cloud.actual.roots.learn(image(1), record, Root([1; 32]));
    let plan = cloud.plan();
    let rows: Vec<(&str, String)> =
        plan.policies[0].hosts.values().map(|why| (why.class().as_str(), why.to_string())).collect();
    let order = ["c1", "c10", "c11", "c12", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
    let expected = [
        ("lacking", "waits for push run of the same image"),
        ("refused", "has 10 bytes free, and the image has 1000000"),
        ("refused", "holds other bytes under this image's id (BLAKE3 0909"),
        ("lacking", "waits for push run"),
        ("down", "its nova-compute is down"),
        ("disabled", "disabled in Nova"),
        ("holding", "holds the image"),
        ("coming", "push run runs"),
        ("unknown", "never answered"),
        ("unknown", "last answered at 2026-01-01T11:44:00Z"),
        ("unknown", "its key has changed"),
        ("failing", "failed 1 times, tried again after 2026-01-01T12:01:00Z: its store is broken"),
    ];
    assert_eq!(plan.policies[0].hosts.keys().map(HostName::as_str).collect::<Vec<_>>(), order);
    for ((class, reason), (expected_class, beginning)) in rows.iter().zip(expected) {
        assert!(*class == expected_class && reason.starts_with(beginning), "{class}, {reason}: {beginning}");
    }
    let progress = &plan.policies[0].images[0];
    assert_eq!(
        (progress.holding, progress.counted, progress.needed, progress.has_quorum),
        (1, 10, 10, false)
    );
    let json = serde_json::to_value(&plan.policies[0]).expect("JSON");
    assert_eq!(json["images"][0]["hosts"]["c9"]["state"], "failing");
    assert_eq!(json["counts"]["unknown"], 3);
}

#[test]
fn a_closed_window_an_absent_approval_and_a_cancelled_push_hold_back_and_say_until_when() {
    let mut cloud = Cloud::new(4, 1);
    cloud.policy("a", "hosts = { all = true }\nwindow = '22:00-06:00 Europe/Berlin'\nguard = { hosts = 3 }");
    assert_eq!(
        cloud.why(&cloud.plan(), "a", 1, 1),
        "the plan needs approval: it is larger than the policy's guard"
    );
    let status = &cloud.plan().policies[0];
    assert_eq!(
        (status.needs_approval, status.pending.hosts, status.pending.written_bytes),
        (true, 4, 4_000_000)
    );
    let approval = status.approval(NOON);
    cloud.actual.approvals.insert(status.policy.clone(), approval);
    let plan = cloud.plan();
    assert_eq!(cloud.why(&plan, "a", 1, 1), "the window opens at 2026-01-01T21:00:00Z");
    cloud.now = WallClock(NOON.0 + 9 * 3_600_000);
    (1..=4).for_each(|n| cloud.answer(n, cloud.now.0, 1 << 40));
    assert_eq!(cloud.plan().start.len(), 1);
    cloud.actual.cancelled.insert((Group::default(), image(1)), Cancelled { at: cloud.now, by: By::Person });
    let plan = cloud.plan();
    assert_eq!(plan.start, []);
    assert!(cloud.why(&plan, "a", 1, 1).ends_with("tried again after 2026-01-01T22:00:00Z"));
}

#[test]
fn an_old_image_is_let_go_only_when_its_successor_has_its_quorum() {
    let mut cloud = Cloud::new(4, 2);
    let images = format!("images = {{ id = '{}' }}", image(2));
    cloud.policy_of("a", &format!("{images}\nhosts = {{ all = true }}\nremove = 'unpin'\nquorum = '75%'"));
    for n in 1..=4 {
        cloud.holds(1, n);
        cloud.places(1, n, "a");
    }
    cloud.holds(2, 1);
    cloud.holds(2, 2);
    assert_eq!(cloud.plan().unpin, [], "two of four hold the successor");
    cloud.holds(2, 3);
    let [unpin] = &cloud.plan().unpin[..] else { panic!("{:?}", cloud.plan().unpin) };
    assert_eq!((&unpin.image, unpin.hosts.len()), (&image(1), 4));
    cloud.actual.placements.remove(&Group::default(), &image(1), &host(4));
    assert_eq!(cloud.plan().unpin[0].hosts.len(), 3, "a pin of somebody else stays");
    cloud.policy_of("b", &format!("images = {{ id = '{}' }}\nhosts = {{ names = 'c1' }}", image(1)));
    assert_eq!(cloud.plan().unpin[0].hosts.len(), 2, "another policy wants it there");
}

#[test]
fn nothing_is_let_go_if_a_policy_selects_nothing_is_gone_or_is_in_doubt() {
    let mut cloud = Cloud::new(2, 2);
    cloud.holds(1, 1);
    cloud.places(1, 1, "a");
    cloud.holds(2, 1);
    cloud.holds(2, 2);
    let old = |id: &ImageId| format!("images = {{ id = '{id}' }}");
    for (images, hosts) in [
        ("images = { tag = 'nothing' }".to_owned(), "hosts = { all = true }"),
        (old(&image(2)), "hosts = { aggregate = 'gone' }"),
    ] {
        cloud.texts.clear();
        cloud.policy_of("a", &format!("{images}\n{hosts}\nremove = 'unpin'"));
        assert_eq!(cloud.plan().unpin, [], "{images} {hosts}");
    }
    cloud.texts.clear();
    cloud.policy_of("b", &format!("{}\nhosts = {{ all = true }}\nremove = 'unpin'", old(&image(2))));
    assert_eq!(cloud.plan().unpin, [], "policy a is gone");
    cloud.policy_of("a", &format!("{}\nhosts = {{ all = true }}\nremove = 'unpin'", old(&image(2))));
    assert_eq!(cloud.plan().unpin.len(), 1);
    assert!(cloud.texts.len() < POLICIES_MAX);
}

#[test]
fn a_push_that_no_policy_wants_any_more_ends_and_that_of_a_person_goes_on() {
    let mut cloud = Cloud::new(2, 1);
    cloud.policy("a", "hosts = { all = true }");
    cloud.runs("gone", 9, Way::Group, &[1]);
    cloud.runs("wanted", 1, Way::Unicast, &[2]);
    assert_eq!(cloud.plan().cancel, [PushId("gone".into())]);
    cloud.actual.active[0].by = By::Person;
    assert_eq!(cloud.plan().cancel, []);
}

#[test]
fn the_plan_names_the_moment_at_which_time_alone_changes_it() {
    let mut cloud = Cloud::new(2, 1);
    cloud.policy("a", "hosts = { all = true }");
    (1..=2).for_each(|n| cloud.holds(1, n));
    assert_eq!(
        cloud.plan().wake_at,
        Some(WallClock(NOON.0 + 15 * 60_000 + 1)),
        "what hosts said becomes too old"
    );
    cloud.inventory().forget(&host(1));
    cloud.answer(1, NOON.0, 1 << 40);
    cloud.actual.failures.record(Task::Push, &image(1), &host(1), NOON, "no");
    assert_eq!(cloud.plan().wake_at, Some(WallClock(NOON.0 + 60_000)), "the failure has rested");
}

/// A cloud with hosts c1.. of the default group that have all answered, and images of 1 MB, all active.
struct Cloud {
    images: BTreeMap<ImageId, Image>,
    services: BTreeMap<String, Service>,
    texts: Vec<String>,
    actual: Actual,
    now: WallClock,
}

impl Cloud {
    fn new(hosts: u8, images: u8) -> Self {
        let up = |n: u8| (format!("c{n}"), Service { zone: "nova".into(), state: ServiceState::Up });
        let of = |n: u8| Image {
            name: Some("debian".into()),
            tags: ["golden".to_owned()].into(),
            visibility: None,
            status: ImageStatus::Active,
            created_at: WallClock(u64::from(n)),
            record: Ok(Record { algorithm: "sha512".into(), hash: format!("{n:x}"), size: 1_000_000 }),
        };
        let mut cloud = Self {
            images: (1..=images).map(|n| (image(n), of(n))).collect(),
            services: (1..=hosts).map(up).collect(),
            texts: Vec::new(),
            actual: Actual::default(),
            now: NOON,
        };
        (1..=hosts).for_each(|n| cloud.answer(n, NOON.0, 1 << 40));
        cloud
    }

    fn policy(&mut self, name: &str, fields: &str) {
        self.policy_of(name, &format!("images = {{ tag = 'golden' }}\n{fields}"));
    }

    fn policy_of(&mut self, name: &str, fields: &str) {
        self.texts.push(format!("[[policy]]\nname = '{name}'\n{fields}\n"));
    }

    fn service(&mut self, n: u8, state: ServiceState) {
        self.services.insert(format!("c{n}"), Service { zone: "nova".into(), state });
    }

    fn inventory(&mut self) -> &mut Inventory {
        self.actual.inventories.entry(Group::default()).or_default()
    }

    fn answer(&mut self, n: u8, at: u64, free: u64) {
        let at = WallClock(at);
        self.inventory().forget(&host(n));
        let answer = Answer { asked_at: at, heard_at: at, free_bytes: Some(free), copies: BTreeMap::new() };
        self.inventory().answered(host(n), answer);
    }

    fn holds(&mut self, image_n: u8, host_n: u8) {
        let now = self.now;
        self.inventory().delivered(
            host(host_n),
            now,
            image(image_n),
            Root([image_n; 32]),
            1_000_000,
            Pinned::Yes,
        );
    }

    fn places(&mut self, image_n: u8, host_n: u8, policy: &str) {
        let policies = [PolicyName::new(policy).expect("a name")].into();
        let placement = Placement { policies, name: Some("debian".into()), root: Root([image_n; 32]) };
        self.actual.placements.add(Group::default(), image(image_n), host(host_n), placement);
    }

    fn runs(&mut self, id: &str, image_n: u8, way: Way, hosts: &[u8]) {
        let hosts = hosts.iter().map(|n| host(*n)).collect();
        let push = ActivePush {
            id: PushId(id.into()),
            group: Group::default(),
            image: image(image_n),
            hosts,
            way,
            by: By::Policy,
        };
        self.actual.active.push(push);
    }

    fn plan(&self) -> Plan {
        let listed =
            parse_file("p.toml", &self.texts.concat()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let policies = Policies::of_files(listed).expect("different names");
        let compute = Compute::Nova { services: self.services.clone(), aggregates: BTreeMap::new() };
        plan(&select(&policies, &Catalog { images: self.images.clone(), compute }), &self.actual, self.now)
    }

    fn why(&self, plan: &Plan, policy: &str, image_n: u8, host_n: u8) -> String {
        let status = plan.policies.iter().find(|status| status.policy.as_str() == policy).expect("a policy");
        let progress =
            status.images.iter().find(|progress| progress.image == image(image_n)).expect("an image");
        progress.hosts[&host(host_n)].to_string()
    }
}

fn image(n: u8) -> ImageId {
    ImageId::new(&format!("00000000-0000-4000-8000-0000000000{n:02x}")).expect("an id")
}

fn host(n: u8) -> HostName {
    HostName::new(&format!("c{n}")).expect("a name")
}
