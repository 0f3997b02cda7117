//! Images that are not raw, converted once on the sender or sent unchanged, and images that no host should use, which
//! are refused before anything is sent, with the rule that they break.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::openstack::{self, NewImage, OpenStack};
use glancecast_tests::process::{Process, exists};
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{Push, Testbed, list};
use glancecast_tests::{measured, needs, places, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn hosts_get_the_disk_that_qemu_makes_of_an_image() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let disk = sparse_disk(&testbed);
    let sum = image::blake3_of(&disk);
    let receiver = testbed.receiver("r1", &[]);
    for options in [
        &["-O", "qcow2"][..],
        &["-O", "qcow2", "-c"],
        &["-O", "qcow2", "-o", "compat=0.10"],
        &["-O", "vmdk", "-o", "subformat=streamOptimized"],
        &["-O", "vmdk"],
        &["-O", "vhdx"],
        &["-O", "vdi"],
    ] {
        let name = format!("image-{}", options.concat().replace(['-', '='], ""));
        let path = testbed.path(&name);
        qemu_img(&[&["convert", "-f", "raw"], options, &[text(&disk), text(&path)]].concat());
        let (end, report) = push(&testbed, &["--file", text(&path), "--hosts", "r1"]).report(PUSH_TIME);
        assert_eq!(end.code(), Some(0), "{options:?}: {report:?}");
        assert_eq!(
            (report.object.bytes, report.root.as_deref()),
            (DISK_BYTES, Some(sum.as_str())),
            "{options:?}"
        );
        let copy = receiver.store.join(&name);
        assert_eq!(image::blake3_of(&copy), sum, "{options:?}");
        assert!(image::allocated_bytes(&copy) < DISK_BYTES / 2, "{options:?}: the holes are gone");
        assert_eq!(list(&testbed.store("spool")), [""; 0], "the spool is empty again");
        measured!(
            "{} KiB of {options:?}, made raw and pushed in {:.2} s",
            file_bytes(&path) >> 10,
            report.seconds
        );
    }
}

#[test]
fn an_image_is_sent_as_it_is_where_hosts_want_that() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let disk = sparse_disk(&testbed);
    let path = testbed.path("image.qcow2");
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&disk), text(&path)]);
    let receiver = testbed.receiver("r1", &[]);
    let (end, report) =
        push(&testbed, &["--file", text(&path), "--as-is", "--hosts", "r1"]).report(PUSH_TIME);
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(report.object.format, "qcow2");
    assert_eq!(image::blake3_of(&receiver.only_file("image.qcow2")), image::blake3_of(&path));
}

#[test]
fn hostile_images_are_refused_before_anything_is_sent() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let ear = Ear::at(testbed.group());
    for hostile in hostile_images(&testbed) {
        let path = testbed.path(hostile.name);
        let format: Vec<&str> =
            hostile.declared.iter().flat_map(|format| ["--disk-format", format]).collect();
        for as_is in [&[][..], &["--as-is"]] {
            let arguments = [&["--file", text(&path), "--expect", "1"], &format[..], as_is].concat();
            refused(push(&testbed, &arguments).process, hostile.name, hostile.rule);
        }
    }
    assert!(!ear.heard(), "something was sent");
    // The ear does hear.
    let sound = testbed.path("sound.raw");
    fs::write(&sound, [7; 1000]).expect("the testbed's directory takes a file");
    push(&testbed, &["--file", text(&sound), "--expect", "1", "--timeout", "1s"]).report(PUSH_TIME);
    assert!(ear.heard(), "what is sent is not heard");
}

#[test]
fn a_disk_over_the_limit_is_refused() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let path = testbed.path("image.qcow2");
    qemu_img(&["create", "-f", "qcow2", text(&path), "3G"]);
    let arguments = ["--file", text(&path), "--expect", "1", "--max-virtual-size", "2G"];
    refused(push(&testbed, &arguments).process, "image.qcow2", "virtual-size");
}

#[test]
fn an_interrupted_conversion_leaves_no_process() {
    let testbed = Testbed::loopback();
    let path = testbed.path("image.qcow2");
    fs::write(&path, qcow2_header()).expect("the testbed's directory takes a file");
    // In place of the real tool, one that never ends.
    let tool = testbed.path("qemu-img");
    fs::copy(places::program("sandbox-probe"), &tool).expect("the testbed's directory takes a file");
    let mut command = testbed.command("s", "glancecast");
    let paths = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{paths}", text(&testbed.path(""))));
    let spool = testbed.store("spool");
    let arguments = ["--file", text(&path), "--expect", "1", "--spool", text(&spool)];
    let mut push = testbed.push_with(command, &arguments);
    let tool: u32 = wait::until("the conversion", PUSH_TIME, || converting(&tool));
    push.process.signal(Signal::SIGTERM);
    let end = push.process.wait(PUSH_TIME);
    assert_eq!(end.code(), Some(143), "{:?}", push.process.log_lines());
    wait::until("the tool's end", PUSH_TIME, || (!exists(tool)).then_some(()));
    assert_eq!(list(&spool), [""; 0]);
}

/// Returns the process that converts, found by its program.
fn converting(tool: &Path) -> Option<u32> {
    let processes = fs::read_dir("/proc").expect("it is there").flatten();
    processes
        .filter(|entry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == tool))
        .filter(|entry| {
            fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.windows(7).any(|w| w == b"convert"))
        })
        .find_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[test]
fn a_qcow2_of_glance_is_made_raw() {
    needs!(BOTH);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::start(&testbed.path("openstack"));
    let disk = sparse_disk(&testbed);
    let path = testbed.path("image.qcow2");
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-c", text(&disk), text(&path)]);
    let image = NewImage { disk_format: "qcow2", ..NewImage::new("lab-demo", "ubuntu") };
    let id = cloud.upload_as(image, &path);
    let receiver = testbed.receiver("r1", &[]);
    let (end, report) = push_from(&testbed, &cloud, &["ubuntu", "--hosts", "r1"]).report(PUSH_TIME);
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(
        (report.object.image_id.as_deref(), report.object.format.as_str()),
        (Some(id.as_str()), "raw")
    );
    assert_eq!(image::blake3_of(&receiver.only_file("ubuntu")), image::blake3_of(&disk));

    // An image that was damaged without Glance's knowledge is not even opened.
    cloud.corrupt(&id);
    let mut push = push_from(&testbed, &cloud, &["ubuntu", "--hosts", "r1", "--name", "again"]);
    let end = push.process.wait(PUSH_TIME);
    assert_eq!(end.code(), Some(1), "{:?}", push.process.log_lines());
    assert!(push.process.log_lines().concat().contains("sha512"), "{:?}", push.process.log_lines());
    assert_eq!(receiver.stored(), ["ubuntu"]);
}

#[test]
fn hostile_images_of_glance_are_refused_before_anything_is_sent() {
    needs!(BOTH);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::start(&testbed.path("openstack"));
    let ear = Ear::at(testbed.group());
    for hostile in hostile_images(&testbed).into_iter().filter(|hostile| IN_GLANCE.contains(&hostile.name)) {
        let path = testbed.path(hostile.name);
        let bytes = fs::read(&path).expect("it was made");
        // Glance inspects uploads, too; older versions did not, and no version inspects stored images again.
        let mut decent = bytes.clone();
        if hostile.declared.is_none() {
            decent[8..20].fill(0);
            decent[72..80].fill(0);
        }
        if let Some(hint) = decent.windows(HINT.len()).position(|window| window == HINT) {
            let end = hint + decent[hint..].iter().position(|&byte| byte == b'\n').expect("a line");
            decent[hint..end].fill(b'\n');
        }
        fs::write(&path, decent).expect("it is ours");
        let disk_format = hostile.declared.unwrap_or("qcow2");
        let image = NewImage { disk_format, ..NewImage::new("lab-demo", hostile.name) };
        let id = cloud.upload_as(image, &path);
        fs::write(cloud.stored(&id), bytes).expect("the store is ours");
        for as_is in [&[][..], &["--as-is"]] {
            let arguments = [&[hostile.name, "--expect", "1"], as_is].concat();
            refused(push_from(&testbed, &cloud, &arguments).process, hostile.name, hostile.rule);
        }
    }
    assert!(!ear.heard(), "something was sent");
}

/// Those whose header alone differs from a qcow2 that Glance accepts, and one that Glance accepts anyway.
const IN_GLANCE: &[&str] =
    &["backed", "split", "feature", "absurd", "declared-raw", "parent", "parent-nbd", "parent-json"];

/// Makes QEMU read unallocated data from another file, whatever the other lines of a vmdk say.
const HINT: &[u8] = b"parentFileNameHint=";

struct Hostile {
    /// The file in the testbed's directory.
    name: &'static str,
    /// The declared format; `None` for the format that it looks like.
    declared: Option<&'static str>,
    rule: &'static str,
}

/// Creates the images, each of which breaks one rule.
fn hostile_images(testbed: &Testbed) -> Vec<Hostile> {
    let path = |name: &str| text(&testbed.path(name)).to_owned();
    qemu_img(&["create", "-f", "raw", &path("base"), "1M"]);
    qemu_img(&["create", "-f", "qcow2", "-b", &path("base"), "-F", "raw", &path("backed")]);
    let data_file = format!("data_file={},data_file_raw=on", path("data"));
    qemu_img(&["create", "-f", "qcow2", "-o", &data_file, &path("split"), "1M"]);
    qemu_img(&["create", "-f", "qcow2", "-o", "extended_l2=on", &path("feature"), "1M"]);
    qemu_img(&["create", "-f", "qcow2", "-o", "cluster_size=2M", &path("absurd"), "4P"]);
    qemu_img(&["create", "-f", "vmdk", "-o", "subformat=monolithicFlat", &path("flat"), "1M"]);
    qemu_img(&["create", "-f", "vmdk", &path("path"), "1M"]);
    let mut vmdk = fs::read(path("path")).expect("qemu-img made it");
    let name = vmdk.windows(8).position(|window| window == b"SPARSE \"").expect("its extent has a name");
    vmdk[name + 8..][..4].copy_from_slice(b"/etc");
    fs::write(path("path"), vmdk).expect("it is ours");
    let extent = format!(
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"{}\" 0\n",
        path("base")
    );
    fs::write(path("text"), extent).expect("the testbed's directory takes a file");
    let json = format!("json:{{'driver':'vmdk','file':{{'driver':'file','filename':'{}'}}}}", path("text"));
    for (name, parent) in
        [("parent", path("text")), ("parent-nbd", "nbd://127.0.0.1:1".into()), ("parent-json", json)]
    {
        qemu_img(&["create", "-f", "vmdk", &path(name), "1M"]);
        add_parent(&testbed.path(name), &parent, Hint::InDescriptor);
    }
    qemu_img(&["create", "-f", "vmdk", &path("parent-beyond"), "1M"]);
    add_parent(&testbed.path("parent-beyond"), &path("text"), Hint::Beyond);
    qemu_img(&["create", "-f", "qcow2", &path("declared-raw"), "1M"]);
    fs::write(path("declared-qcow2"), vec![7; 1 << 20]).expect("the testbed's directory takes a file");
    fs::write(path("truncated"), &qcow2_header()[..100]).expect("the testbed's directory takes a file");
    [
        ("backed", None, "backing-file"),
        ("split", None, "data-file"),
        ("feature", None, "unknown-feature"),
        ("absurd", None, "virtual-size"),
        ("flat", None, "vmdk-extent"),
        ("path", Some("vmdk"), "vmdk-extent"),
        ("parent", Some("vmdk"), "backing-file"),
        ("parent-nbd", Some("vmdk"), "backing-file"),
        ("parent-json", Some("vmdk"), "backing-file"),
        ("parent-beyond", Some("vmdk"), "backing-file"),
        ("declared-raw", Some("raw"), "format-mismatch"),
        ("declared-qcow2", Some("qcow2"), "format-mismatch"),
        ("truncated", Some("qcow2"), "truncated-header"),
    ]
    .map(|(name, declared, rule)| Hostile { name, declared, rule })
    .into()
}

/// Where a vmdk names its parent.
#[derive(Clone, Copy)]
enum Hint {
    /// In the descriptor.
    InDescriptor,
    /// After the descriptor's size by the header, which QEMU ignores.
    Beyond,
}

/// Adds a parent to a vmdk.
fn add_parent(path: &Path, parent: &str, hint: Hint) {
    let mut vmdk = fs::read(path).expect("qemu-img made it");
    let line = [HINT, b"\"", parent.as_bytes(), b"\"\n"].concat();
    let end = 0x200 + vmdk[0x200..].iter().position(|&byte| byte == 0).expect("the descriptor ends");
    let at = match hint {
        Hint::InDescriptor => end,
        Hint::Beyond => {
            vmdk[end..0x400].fill(b'\n');
            vmdk[36..44].copy_from_slice(&1u64.to_le_bytes());
            0x400
        }
    };
    vmdk[at..at + line.len()].copy_from_slice(&line);
    fs::write(path, vmdk).expect("it is ours");
}

/// Returns the header of an empty qcow2 of 1 MiB.
fn qcow2_header() -> Vec<u8> {
    let mut header = vec![0; 512];
    for (at, bytes) in [
        (0, &b"QFI\xfb\0\0\0\x03"[..]),
        (20, &16u32.to_be_bytes()),
        (24, &(1u64 << 20).to_be_bytes()),
        (100, &112u32.to_be_bytes()),
    ] {
        header[at..at + bytes.len()].copy_from_slice(bytes);
    }
    header
}

/// Asserts exit code 2, one line with the image and the rule on standard error, and the same as JSON.
#[track_caller]
pub(super) fn refused(mut process: Process, image: &str, rule: &str) {
    let end = process.wait(PUSH_TIME);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{image}: {lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(image) && lines[0].ends_with(&format!("(rule {rule})")), "{lines:?}");
    let report: Value = serde_json::from_str(&process.output()).expect("one JSON object");
    assert_eq!(
        (&report["outcome"], &report["rule"], &report["exit_code"]),
        (&"refused".into(), &rule.into(), &2.into())
    );
    println!("{}", lines[0]);
}

/// Receives what is sent to a group on loopback.
pub(super) struct Ear(UdpSocket);

impl Ear {
    pub(super) fn at(group: SocketAddrV4) -> Self {
        let socket = UdpSocket::bind(group).expect("nobody else uses the group");
        socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).expect("loopback takes groups");
        socket.set_nonblocking(true).expect("a socket");
        Self(socket)
    }

    pub(super) fn heard(&self) -> bool {
        self.0.recv(&mut [0; 1]).is_ok()
    }
}

/// Creates a disk that is mostly hole.
pub(super) fn sparse_disk(testbed: &Testbed) -> PathBuf {
    let disk = testbed.path("disk.raw");
    image::sparse(&disk, DISK_BYTES, &[0, 7 << 20, DISK_BYTES - (1 << 20)], 1 << 20, Seed::draw());
    disk
}

pub(super) fn push(testbed: &Testbed, arguments: &[&str]) -> Push {
    let spool = testbed.store("spool");
    let usual = ["--spool", text(&spool), "--rate", "390mbit"];
    testbed.push(&[arguments, &usual].concat())
}

pub(super) fn push_from(testbed: &Testbed, cloud: &OpenStack, arguments: &[&str]) -> Push {
    let mut command = testbed.command("s", "glancecast");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
        command.env_remove(name);
    }
    command.env("OS_CLIENT_CONFIG_FILE", cloud.clouds());
    let spool = testbed.store("spool");
    let usual = ["--os-cloud", "lab-demo", "--spool", text(&spool), "--rate", "390mbit"];
    testbed.push_with(command, &[arguments, &usual].concat())
}

pub(super) fn qemu_img(arguments: &[&str]) {
    let mut command = Command::new("qemu-img");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().expect("qemu-img is installed");
    assert!(status.success(), "qemu-img {arguments:?}");
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).expect("it was written").len()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

pub(super) const QEMU_IMG: &[Need] = &[Need::Program("qemu-img", "qemu-utils")];
pub(super) const BOTH: &[Need] =
    &[Need::Program("qemu-img", "qemu-utils"), openstack::NEEDS[0], openstack::NEEDS[1]];
const DISK_BYTES: u64 = 24 << 20;
/// Far more than a push of this size takes.
pub(super) const PUSH_TIME: Duration = Duration::from_secs(60);
