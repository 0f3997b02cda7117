//! Images that end before what their own tables name: a download or an upload that broke off. They are refused before
//! anything is sent, whether they are files or in Glance, and whether they would be made raw or sent as they are.

use std::fs;
use std::process::Command;

use glancecast_tests::image;
use glancecast_tests::needs;
use glancecast_tests::openstack::{NewImage, OpenStack};
use glancecast_tests::testbed::Testbed;

use super::formats::{BOTH, Ear, PUSH_TIME, QEMU_IMG, push, push_from, qemu_img, refused, sparse_disk, text};

#[test]
fn a_half_downloaded_image_is_refused_before_anything_is_sent() {
    needs!(QEMU_IMG);
    let testbed = Testbed::loopback();
    let ear = Ear::at(testbed.group());
    let disk = sparse_disk(&testbed);
    for (name, options) in [
        ("cut.qcow2", &["-O", "qcow2"][..]),
        ("cut-packed.qcow2", &["-O", "qcow2", "-c"]),
        ("cut.vmdk", &["-O", "vmdk"]),
        ("cut-stream.vmdk", &["-O", "vmdk", "-o", "subformat=streamOptimized"]),
        ("cut.vhd", &["-O", "vpc"]),
        ("cut.vhdx", &["-O", "vhdx"]),
        ("cut.vdi", &["-O", "vdi"]),
    ] {
        let path = testbed.path(name);
        qemu_img(&[&["convert", "-f", "raw"], options, &[text(&disk), text(&path)]].concat());
        let whole = fs::read(&path).expect("qemu-img made it");
        // A VHDX begins with its log and its table.
        for kept in [whole.len() * 9 / 10, whole.len() * 2 / 3] {
            fs::write(&path, &whole[..kept]).expect("it is ours");
            for as_is in [&[][..], &["--as-is"]] {
                let arguments = [&["--file", text(&path), "--expect", "1"], as_is].concat();
                refused(push(&testbed, &arguments).process, name, "cut-short");
            }
        }
    }
    assert!(!ear.heard(), "something was sent");
}

/// Glance proves that an image is what was uploaded, and a file that was cut before has a right hash.
#[test]
fn a_cut_image_of_glance_is_refused_before_anything_is_sent() {
    needs!(BOTH);
    let testbed = Testbed::loopback();
    let cloud = OpenStack::start(&testbed.path("openstack"));
    let disk = sparse_disk(&testbed);
    let path = testbed.path("image.qcow2");
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&disk), text(&path)]);
    let whole = fs::read(&path).expect("qemu-img made it");
    let image = NewImage { disk_format: "qcow2", ..NewImage::new("lab-demo", "whole") };
    cloud.upload_as(image, &path);
    let cut = testbed.path("cut.qcow2");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("the testbed's directory takes a file");
    cloud.upload_as(NewImage { name: "cut", ..image }, &cut);

    let ear = Ear::at(testbed.group());
    for as_is in [&[][..], &["--as-is"]] {
        let arguments = [&["cut", "--expect", "1"], as_is].concat();
        refused(push_from(&testbed, &cloud, &arguments).process, "cut", "cut-short");
    }
    assert!(!ear.heard(), "something was sent");
    drop(ear);

    // A whole one is proven in the spool, and then sent as it is.
    let receiver = testbed.receiver("r1", &[]);
    let (end, report) = push_from(&testbed, &cloud, &["whole", "--as-is", "--hosts", "r1"]).report(PUSH_TIME);
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(report.object.format, "qcow2");
    assert_eq!(image::blake3_of(&receiver.only_file("whole")), image::blake3_of(&path));
}

#[test]
fn a_disk_whose_gpt_reaches_beyond_its_end_is_sent_with_a_warning() {
    let testbed = Testbed::loopback();
    let mut disk = vec![7; 1 << 20];
    disk[446..462].copy_from_slice(&[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    disk[462..510].fill(0);
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[544..552].copy_from_slice(&8191u64.to_le_bytes());
    disk[560..568].copy_from_slice(&8158u64.to_le_bytes());
    let path = testbed.path("disk.raw");
    fs::write(&path, &disk).expect("the testbed's directory takes a file");
    let receiver = testbed.receiver("r1", &[]);
    let warnings = |name: &str, file: &str| {
        let mut push = push(&testbed, &["--file", file, "--name", name, "--hosts", "r1"]);
        let end = push.process.wait(PUSH_TIME);
        let lines = push.process.log_lines();
        assert_eq!(end.code(), Some(0), "{lines:?}");
        lines.into_iter().filter(|line| line.contains("GPT")).collect::<Vec<_>>()
    };
    let lines = warnings("cut", text(&path));
    assert_eq!(lines.len(), 1, "{lines:?}");
    for words in ["disk.raw", "4194304", "1048576", "may be cut short"] {
        assert!(lines[0].contains(words), "{lines:?}");
    }
    assert!(receiver.stored().contains(&"cut".to_owned()));

    disk.resize(4 << 20, 0);
    fs::write(&path, &disk).expect("it is ours");
    assert_eq!(warnings("whole", text(&path)), [""; 0]);

    // The disk in a qcow2 was cut before it was one.
    if Command::new("qemu-img").arg("--version").output().is_ok() {
        fs::write(&path, &disk[..1 << 20]).expect("it is ours");
        let packed = testbed.path("disk.qcow2");
        qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&path), text(&packed)]);
        let lines = warnings("packed", text(&packed));
        assert!(lines.len() == 1 && lines[0].contains("converted"), "{lines:?}");
    }
}
