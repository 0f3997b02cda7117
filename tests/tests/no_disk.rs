//! Files that are no disk, or an odd one: refused before anything is sent, with what to do. What Nova alone would
//! refuse goes to directory stores where the operator wants that, and never into Nova's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::needs;
use glancecast_tests::nova::Node;
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use serde_json::Value;

#[test]
fn a_compressed_file_or_an_archive_is_refused_with_the_command_that_unpacks_it() {
    let testbed = Testbed::loopback();
    for (name, start, command) in [
        ("disk.raw.xz", XZ, "xz -dc"),
        ("disk.raw.gz", b"\x1f\x8b\x08\0\0\0\0\0", "gzip -dc"),
        ("disk.zip", b"PK\x03\x04\x14\0", "unzip"),
        ("disk.7z", b"7z\xbc\xaf\x27\x1c", "7z x"),
        ("page.img", b"<!DOCTYPE html>", "error page"),
    ] {
        let file = file(&testbed, name, start);
        refused(&testbed, &["--file", text(&file)], "not-a-disk", &[name, command, "--allow not-a-disk"]);
    }
    let ova = testbed.path("machine.ova");
    fs::write(testbed.path("machine.ovf"), "<Envelope/>").expect("room");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&ova).arg("-C").arg(testbed.path("")).arg("machine.ovf");
    assert!(tar.status().expect("tar").success());
    refused(&testbed, &["--file", text(&ova)], "not-a-disk", &["an OVA", "tar -xf", "the vmdk"]);
}

#[test]
fn a_compressed_file_goes_by_hand_to_a_directory_and_never_to_a_nova_store() {
    let pair = Pair::new("");
    let file = file(&pair.testbed, "disk.raw.xz", XZ);
    for by_hand in [["--disk-format", "raw"], ["--allow", "not-a-disk"]] {
        let (report, log) = pair.push(&file, &by_hand);
        pair.assert_refused_by_nova(&report, "xz -dc");
        assert!(log.contains("nova stores refuse it"), "{log}");
        assert_eq!(
            fs::read(pair.directory.store.join("disk.raw.xz")).expect("there"),
            fs::read(&file).expect("there")
        );
    }
}

#[test]
fn a_boot_sector_that_nova_refuses_goes_to_directories_with_a_warning() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("d1", &[]);
    for (name, sector) in odd_sectors() {
        let file = file(&testbed, name, &sector);
        let mut push = testbed.push(&["--file", text(&file), "--hosts", "d1", "--rate", "390mbit"]);
        let (_, report) = push.report(PUSH_TIME);
        report.assert_hosts(&[("d1", "done")]);
        let log = push.process.log_lines().join("\n");
        assert!(log.contains("nova stores refuse it") && log.contains("qemu-img convert"), "{name}: {log}");
        assert!(receiver.store.join(name).exists());
    }
}

#[test]
fn a_boot_sector_that_nova_refuses_is_refused_for_nova_and_by_its_hosts_whatever_is_allowed() {
    let pair = Pair::new("");
    for (name, sector) in odd_sectors() {
        let file = file(&pair.testbed, name, &sector);
        let arguments = ["--file", text(&file), "--image-id", ID];
        refused(
            &pair.testbed,
            &arguments,
            "partition-table",
            &["Nova refuses", "-O qcow2", "--allow partition-table"],
        );
    }
    let [.., (name, sector)] = odd_sectors();
    let (report, _) = pair.push(&file(&pair.testbed, name, &sector), &["--allow", "partition-table"]);
    pair.assert_refused_by_nova(&report, "Nova refuses");
}

#[test]
fn a_disk_within_a_qcow2_is_taken_as_nova_takes_it_whatever_its_boot_sector() {
    needs!(QEMU_IMG);
    let pair = Pair::new("");
    for (i, (name, sector)) in odd_sectors().into_iter().enumerate() {
        let (raw, image) = (file(&pair.testbed, name, &sector), pair.testbed.path(&format!("{name}.qcow2")));
        qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&raw), text(&image)]);
        let id = format!("0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a{i:02}");
        let (report, _) = pair.push_as(&image, &id, &[]);
        report.assert_hosts(&[("d1", "done"), ("n1", "done")]);
    }
    assert_eq!(pair.node.cached().len(), odd_sectors().len());
}

#[test]
fn nothing_is_sent_of_an_empty_image() {
    let testbed = Testbed::loopback();
    let empty = testbed.path("empty");
    fs::write(&empty, "").expect("room");
    for more in [&[][..], &["--as-is"], &["--disk-format", "raw"], &["--disk-format", "qcow2"]] {
        let arguments = [&["--file", text(&empty)][..], more].concat();
        refused(&testbed, &arguments, "empty", &["empty", "nothing to push"]);
    }
}

#[test]
fn a_vmdk_that_is_only_a_text_is_refused_with_the_files_that_it_names() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let vmdk = testbed.path("disk.vmdk");
    qemu_img(&["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", text(&vmdk), "1M"]);
    for (format, rule) in
        [(None, "vmdk-extent"), (Some("vmdk"), "vmdk-extent"), (Some("raw"), "format-mismatch")]
    {
        let declared: Vec<&str> = format.iter().flat_map(|format| ["--disk-format", format]).collect();
        let arguments = [&["--file", text(&vmdk)][..], &declared].concat();
        let words = ["\"disk-flat.vmdk\"", "qemu-img convert -f vmdk -O qcow2"];
        refused(&testbed, &arguments, rule, &words);
    }
}

#[test]
fn a_feature_of_a_qcow2_that_nova_does_not_take_is_named_with_the_way_to_a_plain_one() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let image = testbed.path("subclusters.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", text(&image), "1M"]);
    let words = ["subclusters (extended_l2, bit 4)", "qemu-img convert -O qcow2"];
    refused(&testbed, &["--file", text(&image)], "unknown-feature", &words);
}

#[test]
fn a_vdi_as_it_is_arrives_where_nova_keeps_images_as_they_are() {
    needs!(QEMU_IMG);
    let pair = Pair::new("[DEFAULT]\nforce_raw_images = False\n");
    let image = pair.testbed.path("disk.vdi");
    qemu_img(&["create", "-q", "-f", "vdi", text(&image), "1M"]);
    let (report, _) = pair.push(&image, &["--as-is"]);
    report.assert_hosts(&[("d1", "done"), ("n1", "done")]);
    assert_eq!(report.object.format, "vdi");
    assert_eq!(pair.node.cached().len(), 1);
}

/// A host with a directory, `d1`, and one with a nova store, `n1`. Fields are dropped in order: the processes before
/// their directory.
struct Pair {
    directory: Receiver,
    _nova: Process,
    node: Node,
    testbed: Testbed,
}

impl Pair {
    fn new(nova_conf: &str) -> Self {
        let testbed = Testbed::loopback();
        let directory = testbed.receiver("d1", &[]);
        let node = Node::new(&testbed.path("node"), Duration::from_secs(86_400), nova_conf);
        let mut command = testbed.command("n1", "glancecastd");
        command.args(["--name", "n1", "--nova-conf", node.conf(), "--interface", "lo", "--sender", "any"]);
        command.arg("--group").arg(testbed.group().to_string()).arg("--key").arg(testbed.key());
        command.arg("--state").arg(testbed.state("n1"));
        let mut nova = Process::start("n1", command, &testbed.path(""));
        nova.wait_for_log(" listening", SOON);
        Self { directory, _nova: nova, node, testbed }
    }

    /// Pushes a file to both, and returns the report and the log.
    fn push(&self, file: &Path, more: &[&str]) -> (Report, String) {
        self.push_as(file, ID, more)
    }

    fn push_as(&self, file: &Path, id: &str, more: &[&str]) -> (Report, String) {
        let spool = self.testbed.store("spool");
        let arguments =
            ["--file", text(file), "--image-id", id, "--hosts", "d1,n1", "--rate", "390mbit", "--spool"];
        let mut push = self.testbed.push(&[&arguments[..], &[text(&spool)], more].concat());
        let (_, report) = push.report(PUSH_TIME);
        (report, push.process.log_lines().join("\n"))
    }

    #[track_caller]
    fn assert_refused_by_nova(&self, report: &Report, reason: &str) {
        let states = |host| report.host(host).state.as_str();
        assert!(["done", "existing"].contains(&states("d1")) && states("n1") == "failed", "{report:?}");
        let said = report.host("n1").reason.as_deref().unwrap_or_default();
        assert!(said.contains(reason), "{said:?}");
        assert_eq!(self.node.cached(), [""; 0], "nothing is in Nova's cache");
    }
}

/// Asserts that nothing is sent, that the report names the rule, and that the one line on standard error has `words`.
#[track_caller]
fn refused(testbed: &Testbed, arguments: &[&str], rule: &str, words: &[&str]) {
    let mut process = testbed.push(&[arguments, &["--expect", "1"]].concat()).process;
    let end = process.wait(PUSH_TIME);
    let line = process.log_lines().join("\n");
    println!("{line}");
    assert_eq!(end.code(), Some(2), "{line}");
    assert!(line.ends_with(&format!("(rule {rule})")) && !line.contains('\n'), "{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
    let report: Value = serde_json::from_str(&process.output()).expect("one JSON object");
    assert_eq!((&report["outcome"], &report["rule"]), (&"refused".into(), &rule.into()));
}

/// Boot sectors of disks that work: a floppy's, that of NTFS without a table, an empty label, a hybrid one.
fn odd_sectors() -> [(&'static str, Vec<u8>); 4] {
    let sector = |start: &[u8], entries: &[[u8; 16]]| {
        let mut sector = vec![0; 512];
        sector[..start.len()].copy_from_slice(start);
        entries.iter().enumerate().for_each(|(i, entry)| sector[446 + i * 16..][..16].copy_from_slice(entry));
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        sector
    };
    let linux = [0x80, 0, 33, 0, 0x83, 0xFF, 0xFF, 0xFF, 34, 0, 0, 0, 100, 0, 0, 0];
    let gpt = [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 7, 0, 0];
    let floppy = b"\xeb\x3c\x90mkfs.fat\x00\x02\x01\x01\x00\x02\xe0\x00\x40\x0b\xf0";
    [
        ("floppy", sector(floppy, &[])),
        ("ntfs", sector(b"\xeb\x52\x90NTFS    ", &[[0x5A; 16]])),
        ("empty-label", sector(&[], &[])),
        ("hybrid", sector(&[], &[gpt, linux])),
    ]
}

/// A file of 1 MiB and a bit that begins with these bytes.
fn file(testbed: &Testbed, name: &str, start: &[u8]) -> PathBuf {
    let path = testbed.path(name);
    let mut bytes = vec![7; (1 << 20) + 512];
    bytes[..512].fill(0);
    bytes[..start.len()].copy_from_slice(start);
    fs::write(&path, bytes).expect("the testbed's directory takes a file");
    path
}

fn qemu_img(arguments: &[&str]) {
    let mut command = Command::new("qemu-img");
    let status = command.args(arguments).stdout(Stdio::null()).status().expect("qemu-img");
    assert!(status.success(), "{arguments:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

const QEMU_IMG: &[Need] = &[Need::Program("qemu-img", "qemu-utils")];
const XZ: &[u8] = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46";
const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
const PUSH_TIME: Duration = Duration::from_secs(60);
