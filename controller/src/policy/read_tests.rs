//! Policies as people write them, and what is refused.

use glancecast_testkit::Rng;

use super::super::set::{NotAdded, Policies};
use super::super::{Guard, Remove, Window};
use super::*;

const GOLDEN: &str = r#"
[[policy]]
name   = "golden-on-gpu"
images = { tag = "golden", visibility = "public", newest_by = "name", newest = 2 }
hosts  = { aggregate = "gpu", state = "up" }
window = "22:00-06:00 Europe/Berlin"
remove = "unpin"
quorum = "99.5%"

[[policy]]
name = "by-name"
profile = "prod"
rate = "auto:2gbit"
max_image = "100GiB"
priority = -7
[policy.images]
name = ["debian-13", "ubuntu 24.04"]
tag = "cloud"
[policy.hosts]
names = ["compute-[1-3]", "login"]
availability_zone = "az-1"
exclude = "compute-7"
include_disabled = true
[policy.guard]
hosts = 12
size = "3TiB"
"#;

#[test]
fn every_field_of_a_file_is_read() {
    let listed = parse_file("golden.toml", GOLDEN).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let [golden, by_name] = [0, 1].map(|i| listed[i].policy.clone());
    assert_eq!(listed[1].place.to_string(), "golden.toml line 10: ");
    let newest = Some(Newest { count: 2, among: Among::EachName });
    let pattern = ImagePattern {
        tags: ["golden".to_owned()].into(),
        names: BTreeSet::new(),
        visibility: Some(Visibility::Public),
        newest,
    };
    assert_eq!(golden.images, ImageSelection::Matching(pattern));
    assert_eq!(golden.window, "22:00-06:00 Europe/Berlin".parse::<Window>().ok());
    assert_eq!((golden.remove, golden.quorum.to_string()), (Remove::Unpin, "99.5%".to_owned()));
    assert_eq!(
        (golden.group.to_string(), golden.priority, golden.guard),
        ("default".into(), 0, Guard::default())
    );

    assert_eq!(
        (by_name.group.profile(), by_name.priority, by_name.max_image),
        (Some("prod"), -7, Size(100 << 30))
    );
    assert_eq!(by_name.guard, Guard { hosts: 12, bytes: Size(3 << 40) });
    let HostsOf::Any { names, zones, .. } = &by_name.hosts.of else { panic!("{:?}", by_name.hosts) };
    assert_eq!((names.len(), zones.len(), by_name.hosts.exclude.len()), (4, 1, 1));
    assert_eq!(by_name.hosts.disabled, DisabledHosts::Included);
    assert_eq!((by_name.remove, by_name.quorum.to_string()), (Remove::Keep, "95%".to_owned()));
}

#[test]
fn a_mistake_names_file_line_field_and_what_to_write() {
    let id = "6f2b5c1e-0000-4000-8000-00000000000A";
    for (lines, message) in [
        (
            "nmae = 'x'",
            "line 5: policy \"p\": nmae: there is no such field; the fields are name, images, hosts",
        ),
        ("name = 'q'", "line 5: is not TOML: "),
        ("images.tag = 'b'", "line 5: is not TOML: "),
        ("window = '22-06'", "line 5: policy \"p\": window: write the hours and the time zone"),
        ("rate = '1gbps'", "line 5: policy \"p\": rate: \"1gbps\" can be read in two ways"),
        ("rate = 400", "line 5: policy \"p\": rate: write a text in quotes"),
        ("max_image = '100GB'", "max_image: write a whole number of KiB, MiB, GiB or TiB"),
        ("max_image = '9TiB'", "max_image: is at most 8TiB"),
        ("max_image = '0B'", "max_image: a size of 0 lets nothing through"),
        ("priority = '1'", "priority: write a whole number from -100 to 100, without quotes"),
        ("priority = 101", "priority: write a whole number from -100 to 100"),
        ("priority = 1.5", "priority: write a whole number"),
        ("priority = 99999999999999999999", "priority: write a whole number"),
        ("remove = 'delete'", "remove: write \"keep\" or \"unpin\""),
        ("quorum = '0%'", "quorum: write a share from 0.01% to 100%"),
        ("quorum = 95", "quorum: write a text in quotes"),
        ("profile = '../x'", "profile: a name has letters, digits"),
        ("guard = {}", "guard: give hosts or size"),
        ("guard = { hosts = 0 }", "policy \"p\": guard.hosts: write a whole number from 1 to 10000"),
        ("guard = { size = '2000PiB' }", "guard.size: is at most 1024PiB"),
        ("guard = { host = 4 }", "guard.host: there is no such field; the fields are hosts, size"),
        ("guard = 5", "guard: write a table of fields"),
    ] {
        refused("images = { tag = 'a' }", "hosts = { all = true }", lines, message);
    }
    for (images, message) in [
        ("images = {}", "line 3: policy \"p\": images: give at least one of tag, name, id and visibility"),
        ("images = { newest = 2 }", "images: give at least one of"),
        ("images = 'debian'", "images: write a table of fields"),
        ("images = { tag = [] }", "images.tag: the list is empty"),
        ("images = { tag = ['a', 'a'] }", "images.tag: an item is there twice"),
        ("images = { tag = '' }", "images.tag: a text cannot be empty"),
        ("images = { tag = [['a']] }", "images.tag: write a text in quotes"),
        ("images = { tag = 'a', newest_by = 'name' }", "newest_by needs newest"),
        ("images = { tag = 'a', newest = 2, newest_by = 'date' }", "images.newest_by: write \"name\""),
        ("images = { tag = 'a', newest = 0 }", "images.newest: write a whole number from 1 to 64"),
        (
            "images = { tag = 'a', visibility = 'all' }",
            "write \"public\" or \"community\" or \"shared\" or \"private\"",
        ),
        ("images = { id = 'debian' }", "images.id: is no id of Glance"),
        (&*format!("images = {{ id = '{id}' }}"), "images.id: is no id of Glance"),
        (&*format!("images = {{ id = '{}', tag = 'a' }}", id.to_lowercase()), "no other field goes with it"),
        (&*format!("images = {{ id = '{}', newest = 1 }}", id.to_lowercase()), "no other field goes with it"),
        (&*format!("images = {{ tag = {:?} }}", "x".repeat(256)), "a text has at most 255 characters"),
        (
            &*format!("images = {{ tag = {:?} }}", (0..65).map(|i| i.to_string()).collect::<Vec<_>>()),
            "at most 64 items",
        ),
    ] {
        refused(images, "hosts = { all = true }", "", message);
    }
    for (hosts, message) in [
        (
            "hosts = {}",
            "line 4: policy \"p\": hosts: give at least one of aggregate, availability_zone, names and all",
        ),
        ("hosts = { all = false }", "hosts: give at least one of"),
        ("hosts = { all = true, aggregate = 'gpu' }", "all = true means every host"),
        ("hosts = { all = 'yes' }", "hosts.all: write true or false"),
        ("hosts = { all = true, state = 'down' }", "hosts.state: write \"up\""),
        ("hosts = { names = 'c[1-' }", "hosts.names: \"c[1-\": a bracket is not closed"),
        ("hosts = { names = 'c[1-20000]' }", "makes more than 10000 hosts"),
        ("hosts = { names = ['c[1-3]', 'c2'] }", "hosts.names: c2 is there twice"),
        ("hosts = { names = 'a b' }", "hosts.names: \"a b\" is no name of a host"),
        ("hosts = { names = 'c[1-3]', exclude = 'c3' }", "c3 is in names and in exclude"),
        (
            "hosts = { zone = 'a' }",
            "hosts.zone: there is no such field; the fields are aggregate, availability_zone",
        ),
    ] {
        refused("images = { tag = 'a' }", hosts, "", message);
    }
}

#[test]
fn what_is_no_list_of_policies_is_refused() {
    for (text, message) in [
        ("", "p.toml: has no policy: each begins with [[policy]]"),
        ("[policy]\nname = 'a'", "p.toml line 1: a policy begins with [[policy]], in two pairs of brackets"),
        ("[[policies]]\nname = 'a'", "line 1: policies: there is no such field; the fields are policy"),
        ("[[policy]]\n", "p.toml line 1: name is missing"),
        ("policy = [1]", "line 1: write a table of fields"),
        ("x = = 1", "line 1: is not TOML: "),
        ("[[policy]]\nname = \"\u{1b}[2J\"", "line 2: is not TOML"),
        (&*format!("# {}", "x".repeat(POLICY_BYTES_MAX)), "at most 262144 bytes"),
        (&*"[[policy]]\n".repeat(POLICIES_MAX + 1), "at most 256 policies"),
    ] {
        let mistakes = parse_file("p.toml", text).expect_err(&text[..text.len().min(40)]).to_string();
        assert!(mistakes.contains(message), "{mistakes}");
        assert!(!mistakes.contains('\u{1b}'), "{mistakes:?}");
    }
}

#[test]
fn all_mistakes_are_found_at_once_in_the_order_of_their_lines_and_bounded() {
    let text = "[[policy]]\nname = '-'\nimages = { tga = 1 }\nhosts = { all = 1 }\n[[policy]]\nname = 'b'\nrate = 1\n";
    let mistakes = parse_file("p.toml", text).expect_err("mistakes");
    let lines: Vec<Option<usize>> = mistakes.listed.iter().map(|mistake| mistake.place.line).collect();
    assert_eq!(lines, [2, 3, 3, 4, 5, 5, 7].map(Some), "{mistakes}");
    let many = parse_file("p.toml", &"[[policy]]\n".repeat(100)).expect_err("mistakes");
    assert_eq!((many.listed.len(), many.further), (32, 268), "{many}");
    assert!(many.to_string().ends_with("\nand 268 more"));
}

#[test]
fn json_has_the_same_fields() {
    let body = br#"{"name": "p", "images": {"tag": ["a", "b"], "newest": 1}, "hosts": {"aggregate": "gpu"}, "priority": 3}"#;
    let policy = parse_json(body).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((policy.name.as_str(), policy.priority), ("p", 3));
    for (body, message) in [
        (&br#"{"name": "p", "name": "q"}"#[..], "line 1: the field \"name\" is there twice"),
        (
            br#"{"name": "p", "images": {"tag": "a", "tag": "b"}, "hosts": {"all": true}}"#,
            "the field \"tag\" is there twice",
        ),
        (
            br#"{"name": "p", "images": {"tag": "a"}, "hosts": {"all": true}, "rate": null}"#,
            "policy \"p\": rate: write a text",
        ),
        (
            br#"{"name": "p", "images": {"tag": "a"}, "hosts": {"all": true}, "x": 1}"#,
            "policy \"p\": x: there is no such field",
        ),
        (b"{\"name\": \"p\",\n", "line 2: is not JSON: "),
        (b"[]", "write a table of fields"),
        (b"", "is not JSON"),
        (b"{} {}", "is not JSON: trailing characters"),
        (&[0xff, 0xfe], "is not JSON"),
        (&vec![b'['; POLICY_BYTES_MAX][..], "is not JSON: recursion limit"),
        (&vec![b' '; POLICY_BYTES_MAX + 1][..], "at most 262144 bytes"),
    ] {
        let mistakes = parse_json(body).expect_err(message).to_string();
        assert!(mistakes.contains(message), "{mistakes}");
    }
}

#[test]
fn a_name_is_taken_once_and_a_file_wins() {
    let file = |file: &str, name: &str| {
        let text = format!("[[policy]]\nname = '{name}'\nimages = {{ tag = 'a' }}\nhosts = {{ all = true }}");
        parse_file(file, &text).expect("a policy").remove(0)
    };
    let mistakes =
        Policies::of_files([file("a.toml", "p"), file("b.toml", "p")]).expect_err("twice").to_string();
    assert_eq!(mistakes, "b.toml line 1: policy \"p\": the name is taken by the policy in a.toml line 1");
    let mut policies = Policies::of_files([file("a.toml", "p"), file("b.toml", "q")]).expect("policies");
    let taken = policies.add(file("", "p").policy).expect_err("taken");
    assert!(taken.to_string().contains("stands in a.toml and is changed there"), "{taken}");
    policies.add(file("", "r").policy).expect("a new name");
    assert_eq!(policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["p", "q", "r"]);
    for i in 0..POLICIES_MAX - 3 {
        policies.add(file("", &format!("n{i}")).policy).expect("room");
    }
    assert_eq!(policies.add(file("", "one-more").policy), Err(NotAdded::TooMany));
    let many = (0..=POLICIES_MAX).map(|i| file("a.toml", &format!("n{i}")));
    assert!(Policies::of_files(many).expect_err("too many").to_string().contains("at most 256 policies"));
}

#[test]
fn what_is_written_is_read_as_the_same_policy() {
    let seed = std::env::var("GLANCECAST_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(Rng::seed_from_clock);
    println!("GLANCECAST_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    for _ in 0..300 {
        let policy = drawn(&mut rng);
        let json = serde_json::to_vec(&policy).expect("JSON");
        let again = parse_json(&json).unwrap_or_else(|mistakes| panic!("{mistakes}: {policy:?}"));
        assert_eq!(again, policy);
        let toml =
            format!("[[policy]]\n{}", toml::to_string(&policy).expect("TOML").replace("\n[", "\n[policy."));
        let listed = parse_file("p.toml", &toml).unwrap_or_else(|mistakes| panic!("{mistakes}:\n{toml}"));
        assert_eq!(listed[0].policy, policy, "{toml}");
    }
}

/// Random texts of the characters that TOML and JSON consist of give policies or mistakes, and never a panic.
#[test]
fn any_text_is_a_policy_or_a_mistake() {
    let seed = std::env::var("GLANCECAST_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(Rng::seed_from_clock);
    println!("GLANCECAST_TEST_SEED={seed}");
    const ODD: &[u8] = b"\"'[]{}=,.\n #0-9%aZ\x1b\xff";
    let mut rng = Rng::new(seed);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut text = GOLDEN.as_bytes().to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.index(text.len());
            match rng.below(8) {
                0 => text.truncate(at.max(2)),
                1..4 if text.len() > 2 => drop(text.remove(at)),
                _ => text[at] = ODD[rng.index(ODD.len())],
            }
        }
        let text = String::from_utf8_lossy(&text);
        match parse_file("p.toml", &text) {
            Ok(_) => good += 1,
            Err(mistakes) => {
                bad += 1;
                assert!(!mistakes.to_string().contains('\u{1b}'));
            }
        }
        let _ = parse_json(text.as_bytes());
    }
    assert!(good > 1_000 && bad > 1_000, "{good} good, {bad} bad");
}

fn refused(images: &str, hosts: &str, more: &str, message: &str) {
    let text = format!("[[policy]]\nname = 'p'\n{images}\n{hosts}\n{more}\n");
    let mistakes = parse_file("/etc/p.toml", &text).expect_err(&text).to_string();
    assert!(mistakes.starts_with("/etc/p.toml line ") && mistakes.contains(message), "{text}: {mistakes}");
}

fn drawn(rng: &mut Rng) -> Policy {
    let word = |rng: &mut Rng| ["a", "b c", "\"q\"", "ü", "x\ty"][rng.index(5)].to_owned();
    let words = |rng: &mut Rng| -> BTreeSet<String> { (0..1 + rng.below(3)).map(|_| word(rng)).collect() };
    let images = match rng.one_in(4) {
        true => ImageSelection::Ids((0..1 + rng.below(3)).map(|i| id(i * 7)).collect()),
        false => ImageSelection::Matching(ImagePattern {
            tags: words(rng),
            names: if rng.one_in(2) { words(rng) } else { BTreeSet::new() },
            visibility: rng.one_in(2).then(|| Visibility::ALL[rng.index(4)]),
            newest: rng.one_in(2).then(|| Newest {
                count: 1 + rng.below_u32(NEWEST_MAX as u32),
                among: if rng.one_in(2) { Among::All } else { Among::EachName },
            }),
        }),
    };
    let names = |rng: &mut Rng, prefix: &str| -> BTreeSet<HostName> {
        (0..rng.below(6)).map(|i| HostName::new(&format!("{prefix}{}", i * i)).expect("a name")).collect()
    };
    let of = match rng.one_in(3) {
        true => HostsOf::All,
        false => HostsOf::Any { aggregates: words(rng), zones: words(rng), names: names(rng, "c") },
    };
    let disabled = if rng.one_in(2) { DisabledHosts::Included } else { DisabledHosts::LeftOut };
    let rates = ["auto", "2gbit", "auto:1.5gbit"];
    Policy {
        name: PolicyName::new(&format!("p{}", rng.below(100))).expect("a name"),
        images,
        hosts: HostSelection { of, exclude: names(rng, "d"), disabled },
        group: if rng.one_in(2) { Group::default() } else { Group::of_profile("prod").expect("a name") },
        window: rng.one_in(2).then(|| "23:30-01:00 America/New_York".parse().expect("a window")),
        rate: rng.one_in(2).then(|| rates[rng.index(3)].parse().expect("a rate")),
        max_image: Size(1 + rng.below(IMAGE_BYTES_MAX)),
        priority: rng.below(201) as i32 - 100,
        remove: if rng.one_in(2) { Remove::Keep } else { Remove::Unpin },
        quorum: Quorum::from_hundredths(1 + rng.below(10_000) as u16).expect("a share"),
        guard: Guard { hosts: 1 + rng.below_u32(10_000), bytes: Size(1 + rng.below(1 << 50)) },
    }
}

fn id(number: u64) -> ImageId {
    ImageId::new(&format!("6f2b5c1e-0000-4000-8000-{number:012x}")).expect("an id")
}
