use std::fs;

use glancecast_platform::multicast::Group as MulticastGroup;
use glancecast_platform::transport::{Marking, Offload};
use glancecast_proto::sign::PublicKey;

use super::*;

#[test]
fn a_run_that_no_host_answers_keeps_the_old_key_and_is_resumed() {
    let dir = dir();
    let result = run(&request(&dir, RekeyStep::Begin)).expect("loopback");
    assert_eq!((result.installed, result.finished, result.exit_code()), (false, false, 3));
    assert_eq!(result.count(Progress::Awaited), 2);
    let old = keyfile::load(&dir.path().join("group.key")).expect("still there").id();
    let record = fs::read(dir.path().join("group.key.rekey")).expect("a record");
    let record = Record::parse(&record).expect("ours");
    assert_eq!(record.old[0].id(), old);
    assert!(matches!(
        run(&request(&dir, RekeyStep::Begin)),
        Err(RequestError::Rekey(RekeyError::UnderWay { .. }))
    ));
    run(&RekeyRequest { without: vec![name("c2")], ..request(&dir, RekeyStep::Resume) }).expect("loopback");
    let again =
        Record::parse(&fs::read(dir.path().join("group.key.rekey")).expect("a record")).expect("ours");
    assert_eq!(again.new.id(), record.new.id(), "it is the same key");
    assert_eq!(again.at(Progress::LeftOut), [name("c2")]);
}

#[test]
fn a_key_file_that_is_a_link_is_refused_and_both_stay() {
    let dir = dir();
    let (file, link) = (dir.path().join("group.key"), dir.path().join("link.key"));
    std::os::unix::fs::symlink(&file, &link).expect("ours");
    let before = fs::read(&file).expect("a key");
    for request in [
        RekeyRequest { key: link.clone(), ..request(&dir, RekeyStep::Begin) },
        RekeyRequest { out: Some(link.clone()), ..request(&dir, RekeyStep::Begin) },
    ] {
        assert!(matches!(run(&request), Err(RequestError::Rekey(RekeyError::Link { .. }))));
    }
    assert_eq!(fs::read(&file).expect("a key"), before);
    assert!(link.is_symlink() && !dir.path().join("link.key.rekey").exists());
}

#[test]
fn mistakes_are_found_before_a_key_is_made() {
    let dir = dir();
    for (step, without, says) in [
        (RekeyStep::Begin, vec![name("c3")], "--without c3: no such host"),
        (RekeyStep::Begin, vec![name("c1"), name("c2")], "every host"),
        (RekeyStep::Finish, vec![], "not being replaced"),
        (RekeyStep::BeginAgain, vec![], "not being replaced"),
    ] {
        let error = run(&RekeyRequest { without, ..request(&dir, step) }).expect_err(says).to_string();
        assert!(error.contains(says) && !error.contains('\n'), "{error}");
        assert!(!dir.path().join("group.key.rekey").exists(), "{says}");
    }
    fs::write(dir.path().join("known_hosts"), "").expect("writable");
    let result = run(&request(&dir, RekeyStep::Resume)).expect("nothing is left to do");
    assert_eq!((result.hosts.len(), result.exit_code()), (0, 0));
    let error = run(&request(&dir, RekeyStep::Begin)).expect_err("nobody").to_string();
    assert!(error.contains("--enroll"), "{error}");
}

#[test]
fn hosts_that_became_known_are_given_the_key_and_forgotten_ones_are_not() {
    let dir = dir();
    let request = request(&dir, RekeyStep::Begin);
    let known = |names: &[&str]| KnownHosts {
        keys: names.iter().map(|text| (name(text), PublicKey([1; 32]))).collect(),
        unknown: UnknownHosts::Refused,
    };
    let mut record = request.begin(None, &known(&["c1", "c2"])).expect("a key");
    record.hosts.insert(name("c1"), Progress::Has);
    let resume = RekeyRequest { step: RekeyStep::Resume, ..request.clone() };
    let record = resume.begin(Some(record), &known(&["c1", "c3"])).expect("it goes on");
    let hosts: Vec<_> = record.hosts.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    assert_eq!(hosts, [("c1", Progress::Has), ("c3", Progress::Awaited)]);
    let again = RekeyRequest { step: RekeyStep::BeginAgain, ..request };
    let next = again.begin(Some(record.clone()), &known(&["c1", "c3"])).expect("another one");
    assert_eq!((next.old.len(), next.at(Progress::Awaited).len()), (2, 2));
    assert_ne!(next.new.id(), record.new.id());
}

#[test]
fn the_exit_code_says_whether_anything_is_left_to_do() {
    let result = |hosts: &[Progress], finished, old_key| {
        let host = |(at, &progress): (usize, &Progress)| {
            (name(&format!("c{at}")), RekeyHost { progress, reason: None })
        };
        let hosts = hosts.iter().enumerate().map(host).collect();
        RekeyResult {
            into: "/k".into(),
            record: "/k.rekey".into(),
            installed: true,
            finished,
            hosts,
            old_key,
            outages: OutageReport::default(),
        }
        .exit_code()
    };
    assert_eq!(result(&[Progress::Finished, Progress::LeftOut], true, OldKey::Retired), 0);
    assert_eq!(result(&[Progress::Has, Progress::LeftOut], false, OldKey::Kept), 0);
    assert_eq!(result(&[Progress::Has], false, OldKey::Retired), 3);
    assert_eq!(result(&[Progress::Finished, Progress::Awaited], false, OldKey::Retired), 3);
    assert_eq!(result(&[Progress::Has, Progress::Awaited], false, OldKey::Kept), 3);
}

fn run(request: &RekeyRequest) -> Result<RekeyResult, RequestError> {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(request.run())
}

fn request(dir: &tempfile::TempDir, step: RekeyStep) -> RekeyRequest {
    RekeyRequest {
        key: dir.path().join("group.key"),
        out: None,
        sender_key: dir.path().join("sender.key"),
        step,
        without: Vec::new(),
        old_key: OldKey::Retired,
        network: Network {
            destinations: "239.255.71.67:7298".parse::<MulticastGroup>().expect("a group").into(),
            interface: Some("lo".into()),
            reply_port: 0,
            marking: Marking { ttl: 1, dscp: 0 },
            offload: Offload::Used,
        },
        wait: Duration::from_millis(50),
        timeout: Duration::ZERO,
        known_hosts: KnownHostsOptions { file: Some(dir.path().join("known_hosts")), ..Default::default() },
    }
}

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    keyfile::create(&dir.path().join("group.key")).expect("new");
    sender_keys::create(&dir.path().join("sender.key")).expect("new");
    let [a, b] = [1, 2].map(|byte| PublicKey([byte; 32]));
    fs::write(dir.path().join("known_hosts"), format!("c1 {a}\nc2 {b}\n")).expect("writable");
    dir
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}
