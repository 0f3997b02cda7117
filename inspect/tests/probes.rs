//! The probes of QEMU, compared with `qemu-img info` itself on beginnings of files that are drawn at random: what it
//! takes for an image of a format is no raw image here, whatever it is declared as.

mod images;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use glancecast_inspect::{CheckError, Claim, DiskFormat, Format, Limits, Refusal, Rule, check, detect};
use glancecast_testkit::Rng;
use images::{iso, qcow2, vdi, vhd, vhdx, vmdk, with};

#[test]
fn what_qemu_takes_for_a_format_is_never_raw_whatever_is_claimed() {
    let Some(path) = tool() else { return };
    let seed = seed();
    let mut random = Rng::new(seed);
    let made = MADE.map(|format| made(&path, format));
    let (mut formats, mut raw) = (std::collections::BTreeSet::new(), 0);
    for round in 0..HEADS {
        let head = match made.get(round) {
            Some(image) => image.clone(),
            None => head(&mut random, round),
        };
        let shown = String::from_utf8_lossy(&head[..head.len().min(200)]).into_owned();
        let qemu = detected_by_qemu(&path, &head);
        let ours = detect(&mut Cursor::new(&head)).expect("memory can be read");
        match qemu.as_deref() {
            Some("raw") => {
                raw += 1;
                assert!(ours.iter().all(|format| format.is_raw()) || is_near(&head), "{ours:?}: {shown:?}");
            }
            name => {
                assert!(refused_as_raw(&head), "qemu-img: {name:?}, here {ours:?}: {shown:?}");
                if let Some(format) = name.and_then(of_qemu) {
                    assert!(ours.contains(&format), "{format} not in {ours:?}: {shown:?}");
                    formats.insert(format);
                }
            }
        }
    }
    fs::remove_file(&path).expect("it is ours");
    println!("{HEADS} heads, {raw} of them raw to qemu-img, the others of {formats:?}");
    assert!(raw > HEADS / 10 && raw < HEADS * 9 / 10 && formats.len() >= 7, "{raw} {formats:?}");
}

/// Whether the whole file is refused under every claim under which a host would use it unchanged.
fn refused_as_raw(head: &[u8]) -> bool {
    let claims = [DiskFormat::Raw, DiskFormat::Iso, DiskFormat::Ami, DiskFormat::Aki, DiskFormat::Ari]
        .map(Claim::Format)
        .into_iter()
        .chain([Claim::Disk]);
    claims.map(|claim| check(&mut Cursor::new(head), claim, &Limits::default())).all(|verdict| {
        let rules = [Rule::FormatMismatch, Rule::SeveralFormats];
        matches!(&verdict, Err(CheckError::Refused(Refusal { rule, .. })) if rules.contains(rule))
    })
}

/// Whether a head is close to one that QEMU detects: by the magic of a format in a version that QEMU does not know, or
/// a text with a version. Such a head is refused here.
fn is_near(head: &[u8]) -> bool {
    let magics: [&[u8]; 6] = [
        b"QFI\xfb",
        b"LUKS\xba\xbe",
        b"WithoutFreeSpace",
        b"WithouFreSpacExt",
        b"Bochs Virtual HD",
        b"#!/bin/sh\n",
    ];
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    magics.iter().any(|magic| head.starts_with(magic))
        || text.contains("version=")
        || text.contains("createtype")
}

/// What `qemu-img info` detects without a given format; `None` if it detects one, and does not open the image.
fn detected_by_qemu(path: &Path, head: &[u8]) -> Option<String> {
    fs::write(path, head).expect("it is ours");
    let mut info = Command::new("qemu-img");
    let info = info.args(["info", "--output=json"]).arg(path).output().expect("qemu-img");
    let text = String::from_utf8_lossy(&info.stdout).into_owned();
    // The last format is the image's own: those of the layers below it come first.
    let name = text.rsplit("\n    \"format\": \"").next()?.split_once('"')?.0.to_owned();
    info.status.success().then_some(name)
}

fn of_qemu(name: &str) -> Option<Format> {
    match name {
        "vpc" => Some(Format::Vhd),
        "qcow" => Some(Format::Qcow2),
        name => Format::ALL.into_iter().find(|format| format.name() == name),
    }
}

/// An image that `qemu-img` makes.
fn made(path: &Path, format: &str) -> Vec<u8> {
    let made = Command::new("qemu-img").args(["create", "-q", "-f", format]).arg(path).arg("1M").status();
    assert!(made.expect("qemu-img").success(), "{format}");
    let image = fs::read(path).expect("it was made");
    fs::remove_file(path).expect("it is ours");
    image
}

/// The beginning of a file: of one that QEMU knows, or a text, in half of them with a change; in some of them within
/// the system area of a disc, or shorter than a sector.
fn head(random: &mut Rng, round: usize) -> Vec<u8> {
    let mut head = match round % 3 {
        0 => known(random),
        _ => text(random),
    };
    if random.one_in(2) {
        let at = random.index(head.len().min(96));
        head[at] = *[0, b'\n', b'#', b' ', b'\r', b'1', random.bytes::<1>()[0]]
            .get(random.index(7))
            .expect("one of seven");
    }
    match random.below(6) {
        0 => head.truncate(1 + random.index(head.len())),
        1 => {
            let mut disc = iso();
            let len = head.len().min(32 << 10);
            disc[..len].copy_from_slice(&head[..len]);
            head = disc;
        }
        _ => head.resize(head.len().max(4096), 0),
    }
    head
}

fn known(random: &mut Rng) -> Vec<u8> {
    let small = |bytes: &[u8]| with(vec![0; 4096], 0, bytes);
    let bochs = with(with(small(b"Bochs Virtual HD Image"), 32, b"Redolog"), 48, b"Growing");
    let parallels = |magic: &[u8], version| with(small(magic), 16, &[version]);
    let all: [Beginning<'_>; 14] = [
        &|random| with(qcow2(), 7, &[random.below(5) as u8]),
        &|_| with(qcow2(), 7, &[1]),
        &|_| vmdk(images::DESCRIPTOR),
        &|_| small(b"COWD\x01"),
        &|_| with(vdi(), 0x44, &0x0001_0001u32.to_le_bytes()),
        &|_| vhd(),
        &|_| vhdx()[..4096].to_vec(),
        &|random| small(&[b"QED\0".as_slice(), &random.bytes::<60>()].concat()),
        &|random| with(bochs.clone(), 64, &((1 + random.below_u32(3)) << 16).to_le_bytes()),
        &|_| small(b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"),
        &|random| with(small(b"LUKS\xba\xbe"), 6, &[0, random.below(3) as u8]),
        &|random| parallels(b"WithoutFreeSpace", random.below(4) as u8),
        &|random| parallels(b"WithouFreSpacExt", random.below(4) as u8),
        &|random| random.noise(4096),
    ];
    all[random.index(all.len())](random)
}

/// What makes a beginning.
type Beginning<'a> = &'a dyn Fn(&mut Rng) -> Vec<u8>;

/// Comments of any bytes, lines of spaces, blank lines, a version, and an extent in a file of the host; with line ends
/// of either kind.
fn text(random: &mut Rng) -> Vec<u8> {
    let mut text = Vec::new();
    let end: &[u8] = if random.one_in(3) { b"\r\n" } else { b"\n" };
    for _ in 0..random.below(5) {
        match random.below(8) {
            0..=2 => {
                let longest = if random.one_in(8) { 500 } else { 40 };
                let len = random.index(longest);
                text.push(b'#');
                text.extend(random.noise(len).into_iter().filter(|&byte| byte != b'\n'));
            }
            3 | 4 => text.extend(vec![b' '; 1 + random.index(6)]),
            5 => text.extend(b" \t"),
            6 => {}
            _ => text.extend(b"# Disk DescriptorFile"),
        }
        text.extend(end);
    }
    let versions: [&[u8]; 8] = [
        b"version=1",
        b"version=1",
        b"version=2",
        b"version=3",
        b"version=4",
        b"version=12",
        b"VERSION=1",
        b"version = 1",
    ];
    text.extend(versions[random.index(versions.len())]);
    text.extend(end);
    text.extend(
        b"CID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"/nowhere\" 0\n",
    );
    text
}

/// A path for the heads, if there is a `qemu-img`.
fn tool() -> Option<std::path::PathBuf> {
    let found =
        Command::new("qemu-img").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        glancecast_testkit::skip("needs qemu-img: sudo apt-get install qemu-utils");
        return None;
    }
    Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("head-{}", std::process::id())))
}

/// A new seed, or that of `GLANCECAST_TEST_SEED`.
fn seed() -> u64 {
    let given = std::env::var("GLANCECAST_TEST_SEED").ok();
    let seed = given.map_or_else(Rng::seed_from_clock, |text| text.parse().expect("a number"));
    println!("GLANCECAST_TEST_SEED={seed}");
    seed
}

const MADE: [&str; 8] = ["qcow2", "qcow", "vmdk", "vdi", "vhdx", "vpc", "qed", "parallels"];
const HEADS: usize = 160;
