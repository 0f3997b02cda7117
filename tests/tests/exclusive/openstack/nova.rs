//! Images in Nova's cache: Nova's own code accepts what a push places there, keeps it while it is pinned, and removes
//! it afterwards. Nothing else is placed or changed there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::nova::{self, Node, Nova, age, make_old};
use glancecast_tests::openstack::{NewImage, OpenStack};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{RECORDS, SOON, Testbed, list};
use glancecast_tests::{measured, needs, wait};

#[test]
fn nova_uses_a_pushed_image_without_fetching_and_keeps_it_as_long_as_it_is_pinned() {
    needs!(nova::NEEDS);
    let testbed = Testbed::loopback();
    let mut nova = Nova::start(&testbed.path(""));
    let openstack = OpenStack::start(&testbed.path("openstack"));
    let (disk, source) = (testbed.path("disk.raw"), testbed.path("image.qcow2"));
    image::sparse(&disk, BYTES, &[0, 3 << 20, BYTES - (1 << 20)], 1 << 20, Seed::draw());
    convert(&disk, &source);
    let qcow2 = NewImage { disk_format: "qcow2", ..NewImage::new("lab-demo", "an-image") };
    let id = openstack.upload_as(qcow2, &source);
    let nodes = HOSTS.map(|host| node(&testbed, host, ""));
    let mut daemons: Vec<Process> = (0..3).map(|i| start(&testbed, HOSTS[i], &nodes[i])).collect();

    push(
        &testbed,
        &openstack,
        &["--hosts", "n1,n2,n3", "--pin", "1s"],
        &[("n1", "done"), ("n2", "done"), ("n3", "done")],
    );
    let scratch = Node::new(&directory(&testbed, "scratch"), DAY, "");
    let made = nova.makes(&scratch, &id, &source, "qcow2");
    let name = made.file_name().expect("a name").to_str().expect("hex").to_owned();
    for node in &nodes {
        assert_eq!(node.cached(), [name.as_str()], "Nova's name, and nothing else");
        let uses = nova.uses(node, &id);
        println!("{uses}");
        assert_eq!(uses["cache_image"], "existing", "{uses}");
        assert_eq!(uses["qcow2"]["backing_file"], node.image(&name).to_str().expect("UTF-8"), "{uses}");
        assert_eq!(uses["flat"]["virtual_size"], BYTES, "{uses}");
        assert_eq!(image::blake3_of(&node.image(&name)), image::blake3_of(&made), "as Nova makes it");
        assert_eq!(image::blake3_of(&node.image(&name)), image::blake3_of(&disk));
    }

    // One of the three is pinned again, without limit; pins survive a restart of the receiver.
    for daemon in &mut daemons {
        assert_eq!(daemon.terminate(SOON).code(), Some(0));
    }
    let mut first = start(&testbed, "n1", &nodes[0]);
    push(&testbed, &openstack, &["--hosts", "n1", "--pin", "forever"], &[("n1", "existing")]);
    assert_eq!(first.terminate(SOON).code(), Some(0));
    for node in &nodes {
        make_old(&node.image(&name), DAY);
    }
    let _daemons: Vec<Process> = (0..3).map(|i| start(&testbed, HOSTS[i], &nodes[i])).collect();
    wait::until("the pinned image to be young again", AGE_MAX * 3, || {
        (age(&nodes[0].image(&name)) < AGE_MAX / 2).then_some(())
    });
    assert_eq!(nova.ages(&nodes[0], &[]), [name.as_str()], "pinned");
    assert_eq!(nova.ages(&nodes[1], &[]), [""; 0], "its pin is over");
    assert_eq!(nova.ages(&nodes[2], &[&id]), [name.as_str()], "used");
    // Pins are refreshed throughout, not only at the start.
    make_old(&nodes[0].image(&name), DAY);
    wait::until("the pinned image to be young once more", AGE_MAX * 3, || {
        (age(&nodes[0].image(&name)) < AGE_MAX / 2).then_some(())
    });
    wait::until("what Nova removed to be forgotten", AGE_MAX * 3, || {
        let records = list(&nodes[1].instances().join(RECORDS));
        records.iter().all(|file| file.ends_with(".lock")).then_some(())
    });

    let (code, answer) = testbed.ask(&["unpin", &id, "--hosts", "n1,n2,n3"]);
    assert_eq!(code, 0, "{answer}");
    make_old(&nodes[0].image(&name), DAY);
    assert_eq!(nova.ages(&nodes[0], &[]), [""; 0], "let go of");
}

#[test]
fn a_qcow2_as_it_is_goes_where_nova_keeps_it_so_and_nowhere_else() {
    needs!(nova::NEEDS);
    let testbed = Testbed::loopback();
    let mut nova = Nova::start(&testbed.path(""));
    let (disk, source) = (testbed.path("disk.raw"), testbed.path("image.qcow2"));
    image::sparse(&disk, BYTES, &[0], 1 << 20, Seed::draw());
    convert(&disk, &source);
    let as_it_is = Node::new(&directory(&testbed, "n1"), AGE_MAX, "[DEFAULT]\nforce_raw_images = False\n");
    let raw = node(&testbed, "n2", "");
    let _daemons = [start(&testbed, "n1", &as_it_is), start(&testbed, "n2", &raw)];
    let file = source.to_str().expect("UTF-8");
    let arguments = ["--file", file, "--image-id", ID, "--as-is", "--hosts", "n1,n2", "--rate", "390mbit"];
    let (end, report) = testbed.push(&arguments).report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("n1", "done"), ("n2", "failed")]);
    let reason = report.host("n2").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("force_raw_images"), "{reason}");
    assert_eq!(raw.cached(), [""; 0]);
    let uses = nova.uses(&as_it_is, ID);
    assert_eq!(uses["qcow2"]["backing_file"], as_it_is.image(NAME).to_str().expect("UTF-8"), "{uses}");
    let scratch =
        Node::new(&directory(&testbed, "scratch"), AGE_MAX, "[DEFAULT]\nforce_raw_images = False\n");
    let made = nova.makes(&scratch, ID, &source, "qcow2");
    assert_eq!(image::blake3_of(&as_it_is.image(NAME)), image::blake3_of(&made), "as Nova makes it");
}

#[test]
fn publication_waits_for_novas_lock() {
    needs!(nova::NEEDS);
    let testbed = Testbed::loopback();
    let mut nova = Nova::start(&testbed.path(""));
    let node = node(&testbed, "n1", "");
    let mut daemon = start(&testbed, "n1", &node);
    nova.holds(&node, ID);
    let (mut push, sum) = push_file(&testbed, &["--image-id", ID, "--hosts", "n1", "--timeout", "100s"]);
    let line = daemon.wait_for_log("waiting for Nova's lock", Duration::from_secs(60));
    assert!(!node.image(NAME).exists() && push.process.runs(), "not before");
    nova.releases();
    let (end, report) = push.report(Duration::from_secs(120));
    assert_eq!(end.code(), Some(0), "{report:?}");
    report.assert_hosts(&[("n1", "done")]);
    assert_eq!(node.cached(), [NAME]);
    assert_eq!(image::blake3_of(&node.image(NAME)), sum);
    measured!("{line}");
}

#[test]
fn a_base_file_with_other_content_is_never_touched() {
    let testbed = Testbed::loopback();
    let nodes = ["n1", "n2"].map(|host| node(&testbed, host, ""));
    let seed = Seed::new(7);
    for (node, bytes) in nodes.iter().zip([BYTES, BYTES / 2]) {
        fs::create_dir(node.instances().join("_base")).expect("made");
        image::random(&node.image(NAME), bytes, seed);
        make_old(&node.image(NAME), DAY);
    }
    let before = nodes.each_ref().map(|node| state(&node.image(NAME)));
    let _daemons: Vec<Process> =
        nodes.iter().zip(["n1", "n2"]).map(|(node, host)| start(&testbed, host, node)).collect();
    let (mut push, _) = push_file(&testbed, &["--image-id", ID, "--hosts", "n1,n2", "--pin", "forever"]);
    let (end, report) = push.report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("n1", "failed"), ("n2", "failed")]);
    for host in ["n1", "n2"] {
        let reason = report.host(host).reason.as_deref().unwrap_or_default();
        assert!(reason.contains("exists with other content"), "{reason}");
    }
    assert_eq!(nodes.each_ref().map(|node| state(&node.image(NAME))), before);
    assert!(nodes.iter().all(|node| node.cached() == [NAME]), "nothing unfinished is left");
}

#[test]
fn a_base_file_with_the_same_content_is_as_good_as_placed_and_young_again() {
    let testbed = Testbed::loopback();
    let node = node(&testbed, "n1", "");
    let _daemon = start(&testbed, "n1", &node);
    let push = |state| {
        let (mut push, _) = push_file(&testbed, &["--image-id", ID, "--hosts", "n1"]);
        let (end, report) = push.report(Duration::from_secs(60));
        assert_eq!(end.code(), Some(0), "{report:?}");
        report.assert_hosts(&[("n1", state)]);
    };
    push("done");
    assert_eq!(fs::metadata(node.image(NAME)).expect("there").permissions().mode() & 0o7777, 0o644);
    let inode = fs::metadata(node.image(NAME)).expect("there").ino();
    make_old(&node.image(NAME), DAY);
    push("existing");
    assert_eq!(fs::metadata(node.image(NAME)).expect("there").ino(), inode);
    assert!(age(&node.image(NAME)) < DAY / 2);
}

#[test]
fn a_node_that_would_not_use_the_file_refuses_it_and_the_senders_table_says_why() {
    let testbed = Testbed::loopback();
    let ceph = node(&testbed, "n1", "[libvirt]\nimages_type = rbd\n");
    let plain = node(&testbed, "n2", "");
    let mut daemons = [start(&testbed, "n1", &ceph), start(&testbed, "n2", &plain)];
    let (mut push, _) = push_file(&testbed, &["--image-id", ID, "--hosts", "n1,n2"]);
    let (end, report) = push.report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("n1", "failed"), ("n2", "done")]);
    let reason = report.host("n1").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("images_type = rbd") && reason.contains("Glance's rbd store"), "{reason}");
    assert!(!ceph.instances().join("_base").exists(), "nothing was made there");

    let (mut push, _) = push_file(&testbed, &["--hosts", "n2"]);
    let (end, report) = push.report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(3), "{report:?}");
    let reason = report.host("n2").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("--image-id"), "{reason}");
    assert!(daemons.iter_mut().all(Process::runs), "they stay for the next image");
}

/// Converts a raw disk to qcow2.
fn convert(disk: &Path, qcow2: &Path) {
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(disk).arg(qcow2);
    assert!(command.status().expect("it runs").success());
}

/// Returns inode, modification time and sum of a file.
fn state(path: &Path) -> (u64, i64, String) {
    let metadata = fs::metadata(path).expect("there");
    (metadata.ino(), metadata.mtime(), image::blake3_of(path))
}

fn node(testbed: &Testbed, host: &str, more: &str) -> Node {
    Node::new(&directory(testbed, host), AGE_MAX, more)
}

fn directory(testbed: &Testbed, host: &str) -> std::path::PathBuf {
    let directory = testbed.path(&format!("node-{host}"));
    fs::create_dir_all(&directory).expect("made");
    directory
}

fn start(testbed: &Testbed, host: &str, node: &Node) -> Process {
    let store = format!("nova:{}", node.instances().display());
    let mut process = testbed.start_receiver(host, &["--nova-conf", node.conf(), "--store", &store]);
    process.wait_for_log(" listening", SOON);
    process
}

/// Pushes the image from Glance.
fn push(testbed: &Testbed, openstack: &OpenStack, arguments: &[&str], hosts: &[(&str, &str)]) {
    let mut command = testbed.command("s", "glancecast");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
        command.env_remove(name);
    }
    command.env("OS_CLIENT_CONFIG_FILE", openstack.clouds());
    let spool = testbed.store("spool");
    let usual = ["an-image", "--os-cloud", "lab-demo", "--rate", "390mbit", "--timeout", "60s", "--spool"];
    let usual = [usual.as_slice(), &[spool.to_str().expect("UTF-8")]].concat();
    let (end, report) =
        testbed.push_with(command, &[&usual, arguments].concat()).report(Duration::from_secs(90));
    assert_eq!(end.code(), Some(0), "{report:?}");
    report.assert_hosts(hosts);
}

/// Starts to push a random file, the same for all of a testbed, and returns its sum.
fn push_file(testbed: &Testbed, arguments: &[&str]) -> (glancecast_tests::testbed::Push, String) {
    let source = testbed.path("file.raw");
    let sum = image::random(&source, BYTES, Seed::new(1));
    let mut usual = vec!["--file", source.to_str().expect("UTF-8"), "--rate", "390mbit"];
    if !arguments.contains(&"--timeout") {
        usual.extend(["--timeout", "30s"]);
    }
    (testbed.push(&[&usual, arguments].concat()), sum)
}

const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

/// An image's id, and its name in Nova's cache: the output of `printf ID | sha1sum`.
const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
const NAME: &str = "590638ffde49d7a7a1903830bafbdab93378518e";

const BYTES: u64 = 12 << 20;

/// The age at which Nova removes unused images here; the mtime of pinned ones is refreshed each quarter of it.
const AGE_MAX: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);
