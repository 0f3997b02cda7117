//! Images that name other files, given to `qemu-img` in the sandbox without inspection: no byte of the secret comes
//! out, and no connection is made.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use glancecast_inspect::{Format, Rule};
use glancecast_sandbox::{Confinement, Launcher, Patience, QemuImg, ToolError};
use tempfile::TempDir;

#[test]
fn no_byte_of_a_secret_that_an_image_names_gets_into_the_disk() {
    let Some(lab) = Lab::new() else { return };
    for hostile in lab.hostile() {
        for (confinement, tool) in holding() {
            let result = tempfile::tempfile().expect("a file");
            result.set_len(DISK_BYTES).expect("room");
            let image = File::open(&hostile.path).expect("it was made");
            // It may fail or return a disk of zeros, but nothing else.
            let stop = AtomicBool::new(false);
            let ended = tool.convert(&image, hostile.format, &result, patience(&stop), &mut |_| {});
            println!("{confinement:?}: {}: {ended:?}", hostile.name);
            assert!(!holds_secret(&result), "{confinement:?}: {}", hostile.name);
            let answer = tool.answer(&image, patience(&stop)).unwrap_or_default();
            assert!(!contains(&answer, SECRET), "{confinement:?}: {}", hostile.name);
            assert!(lab.nobody_called(), "{confinement:?}: {}", hostile.name);
        }
    }
}

#[test]
fn the_same_images_reach_the_secret_without_a_sandbox() {
    let Some(lab) = Lab::new() else { return };
    // A plain conversion: only the format is given.
    for hostile in lab.hostile().into_iter().filter(|hostile| hostile.reaches_without) {
        let raw = lab.path("plain.raw");
        let mut plain = Command::new("qemu-img");
        plain.args([
            "convert",
            "-f",
            hostile.format.qemu_name(),
            "-O",
            "raw",
            text(&hostile.path),
            text(&raw),
        ]);
        let mut plain = plain.stderr(Stdio::null()).spawn().expect("qemu-img");
        // After it has connected, it waits for an answer.
        let reached = loop {
            if !lab.nobody_called() {
                break true;
            }
            if plain.try_wait().expect("it is ours").is_some() {
                break !lab.nobody_called() || File::open(&raw).is_ok_and(|raw| holds_secret(&raw));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let _ = plain.kill();
        let _ = plain.wait();
        assert!(reached, "{}: the image is harmless, and its test shows nothing", hostile.name);
    }
}

#[test]
fn what_an_image_names_is_told_by_qemu_img_and_refused_by_its_rule() {
    let Some(lab) = Lab::new() else { return };
    for hostile in lab.hostile() {
        for (confinement, tool) in holding() {
            let image = File::open(&hostile.path).expect("it was made");
            let stop = AtomicBool::new(false);
            match tool.info(&image, patience(&stop)) {
                Ok(info) => {
                    let refusal = info.agrees(hostile.format).expect_err("refused");
                    assert_eq!(refusal.rule, hostile.rule, "{confinement:?}: {}", hostile.name);
                }
                // Failing to open the named file is just as good.
                Err(ToolError::Failed(line)) => println!("{confinement:?}: {}: {line}", hostile.name),
                Err(other) => panic!("{confinement:?}: {}: {other:?}", hostile.name),
            }
        }
    }
}

#[test]
fn a_raw_image_that_qemu_takes_for_a_vmdk_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let mut bytes =
        descriptor("monolithicFlat", &format!("RW 2048 FLAT \"{}\" 0", text(&lab.secret))).into_bytes();
    bytes.resize(1 << 20, 0);
    let path = lab.write("a1", &bytes);
    for (confinement, tool) in holding() {
        let image = File::open(&path).expect("it was made");
        let stop = AtomicBool::new(false);
        let info = tool.info(&image, patience(&stop));
        match info {
            Ok(info) => assert!(info.agrees(Format::Raw).is_err(), "{confinement:?}"),
            Err(error) => assert!(matches!(error, ToolError::Failed(_)), "{confinement:?}: {error}"),
        }
    }
}

#[test]
fn sound_images_become_the_disk_that_plain_qemu_img_makes() {
    let Some(lab) = Lab::new() else { return };
    let disk = lab.path("disk");
    let mut file = File::create(&disk).expect("it is ours");
    file.write_all(b"the beginning").expect("room");
    file.set_len(DISK_BYTES).expect("room");
    for (format, options) in [
        (Format::Qcow2, &["-O", "qcow2"][..]),
        (Format::Qcow2, &["-O", "qcow2", "-c"]),
        (Format::Qcow2, &["-O", "qcow2", "-o", "compat=0.10"]),
        (Format::Vmdk, &["-O", "vmdk", "-o", "subformat=streamOptimized"]),
        (Format::Vmdk, &["-O", "vmdk"]),
        (Format::Vhdx, &["-O", "vhdx"]),
        (Format::Vdi, &["-O", "vdi"]),
        (Format::Vhd, &["-O", "vpc", "-o", "force_size=on"]),
        (Format::Raw, &["-O", "raw"]),
    ] {
        let path = lab.path("image");
        qemu_img(&[&["convert", "-f", "raw"], options, &[text(&disk), text(&path)]].concat());
        for (confinement, tool) in holding() {
            let image = File::open(&path).expect("it was made");
            let stop = AtomicBool::new(false);
            let info = tool.info(&image, patience(&stop)).expect("it is sound");
            assert_eq!(info.agrees(format), Ok(()), "{confinement:?}: {options:?}");
            let result = tempfile::tempfile().expect("a file");
            result.set_len(info.virtual_bytes).expect("room");
            tool.convert(&image, format, &result, patience(&stop), &mut |_| {}).expect("it is sound");
            assert_eq!(info.virtual_bytes, DISK_BYTES, "{confinement:?}: {options:?}");
            assert!(bytes(&result) == fs::read(&disk).expect("there"), "{confinement:?}: {options:?}");
        }
    }
}

#[test]
fn a_spool_behind_a_link_is_used_by_its_descriptor_and_nothing_of_its_target_is_read() {
    let Some(lab) = Lab::new() else { return };
    let (real, link) = (lab.path("real"), lab.path("spool"));
    fs::create_dir(&real).expect("it is ours");
    std::os::unix::fs::symlink(&real, &link).expect("it is ours");
    let image = lab.path("image");
    qemu_img(&["create", "-q", "-f", "qcow2", text(&image), "1M"]);
    for (confinement, tool) in holding() {
        let result = tempfile::tempfile_in(&link).expect("a file");
        result.set_len(DISK_BYTES).expect("room");
        // The name now leads elsewhere.
        fs::remove_file(&link).expect("it is ours");
        std::os::unix::fs::symlink(lab.secret.parent().expect("a directory"), &link).expect("it is ours");
        let stop = AtomicBool::new(false);
        let image = File::open(&image).expect("it was made");
        tool.convert(&image, Format::Qcow2, &result, patience(&stop), &mut |_| {}).expect("it is sound");
        assert!(!holds_secret(&result), "{confinement:?}");
        assert_eq!(fs::read(&lab.secret).expect("there"), SECRET, "{confinement:?}");
        fs::remove_file(&link).expect("it is ours");
        std::os::unix::fs::symlink(&real, &link).expect("it is ours");
    }
}

/// An image with its expected treatment.
struct Hostile {
    name: &'static str,
    path: PathBuf,
    format: Format,
    /// The rule that refuses it, if `qemu-img info` opens it at all.
    rule: Rule,
    /// Whether plain `qemu-img` follows the name.
    reaches_without: bool,
}

struct Lab {
    directory: TempDir,
    secret: PathBuf,
    listener: TcpListener,
}

impl Lab {
    fn new() -> Option<Self> {
        if !Command::new("qemu-img")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            glancecast_testkit::skip("needs qemu-img: sudo apt-get install qemu-utils");
            return None;
        }
        let directory = TempDir::new().expect("a directory");
        let secret = directory.path().join("sender.key");
        fs::write(&secret, SECRET).expect("it is ours");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        Some(Self { directory, secret, listener })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it is ours");
        path
    }

    fn nobody_called(&self) -> bool {
        self.listener.accept().is_err()
    }

    /// Returns images for every way in which a format names another file, as far as QEMU follows it.
    fn hostile(&self) -> Vec<Hostile> {
        let secret = text(&self.secret).to_owned();
        let flat = format!("RW 1 FLAT \"{secret}\" 0");
        let text_vmdk =
            text(&self.write("flat.vmdk", descriptor("monolithicFlat", &flat).as_bytes())).to_owned();
        let nbd = format!("nbd://127.0.0.1:{}/x", self.listener.local_addr().expect("bound").port());
        let json = format!("json:{{'driver':'vmdk','file':{{'driver':'file','filename':'{text_vmdk}'}}}}");
        let backing = Rule::BackingFile;
        let mut hostile = Vec::new();
        let mut add = |name, path, format, rule, reaches_without| {
            hostile.push(Hostile { name, path, format, rule, reaches_without });
        };
        for (name, parent, reaches) in
            [("vmdk-path", &text_vmdk, true), ("vmdk-nbd", &nbd, true), ("vmdk-json", &json, true)]
        {
            add(name, self.vmdk(name, parent, Hint::InDescriptor), Format::Vmdk, backing, reaches);
        }
        add("vmdk-beyond", self.vmdk("vmdk-beyond", &text_vmdk, Hint::Beyond), Format::Vmdk, backing, true);
        add("vmdk-flat", PathBuf::from(&text_vmdk), Format::Vmdk, Rule::VmdkExtent, true);
        for (name, file, format, reaches) in [
            ("qcow2-path", &secret, "raw", true),
            ("qcow2-nbd", &nbd, "raw", true),
            ("qcow2-json", &json, "vmdk", true),
        ] {
            let path = self.path(name);
            qemu_img(&["create", "-q", "-u", "-f", "qcow2", "-b", file, "-F", format, text(&path), "1M"]);
            add(name, path, Format::Qcow2, backing, reaches);
        }
        add("qcow2-data", self.data_file(&secret), Format::Qcow2, Rule::DataFile, true);
        add(
            "qcow2-data-nbd",
            self.data_file_named("qcow2-data-nbd", &nbd),
            Format::Qcow2,
            Rule::DataFile,
            true,
        );
        hostile
    }

    /// Creates an empty sparse vmdk with a parent.
    fn vmdk(&self, name: &str, parent: &str, hint: Hint) -> PathBuf {
        let path = self.path(name);
        qemu_img(&["create", "-q", "-f", "vmdk", text(&path), "1M"]);
        let mut bytes = fs::read(&path).expect("it was made");
        let descriptor = 0x200..0x200 + 20 * 512;
        let end =
            descriptor.start + bytes[descriptor.clone()].iter().position(|&byte| byte == 0).expect("it ends");
        let line = format!("parentFileNameHint=\"{parent}\"\n");
        match hint {
            Hint::InDescriptor => bytes[end..end + line.len()].copy_from_slice(line.as_bytes()),
            // The header gives the descriptor one sector, in which it does not end; QEMU reads on.
            Hint::Beyond => {
                bytes[end..0x400].fill(b'\n');
                bytes[0x400..0x400 + line.len()].copy_from_slice(line.as_bytes());
                bytes[36..44].copy_from_slice(&1u64.to_le_bytes());
            }
        }
        fs::write(&path, bytes).expect("it is ours");
        path
    }

    /// Creates a qcow2 whose data is in the file `secret`.
    fn data_file(&self, secret: &str) -> PathBuf {
        self.data_file_named("qcow2-data", secret)
    }

    fn data_file_named(&self, name: &str, file: &str) -> PathBuf {
        let path = self.path(name);
        // Created with a stand-in, because creating it empties the data file. The name is replaced below.
        let stand_in = self.path(&"d".repeat(60));
        let option = format!("data_file={},data_file_raw=on", text(&stand_in));
        qemu_img(&["create", "-q", "-f", "qcow2", "-o", &option, text(&path), "1M"]);
        let mut bytes = fs::read(&path).expect("it was made");
        let at = bytes.windows(text(&stand_in).len()).position(|window| window == text(&stand_in).as_bytes());
        let at = at.expect("the data file's name");
        assert!(file.len() <= text(&stand_in).len(), "{file}");
        bytes[at - 4..at].copy_from_slice(&u32::try_from(file.len()).expect("short").to_be_bytes());
        bytes[at..at + text(&stand_in).len()].fill(0);
        bytes[at..at + file.len()].copy_from_slice(file.as_bytes());
        fs::write(&path, bytes).expect("it is ours");
        path
    }
}

#[derive(Clone, Copy)]
enum Hint {
    InDescriptor,
    Beyond,
}

/// Returns a descriptor. Its CID is the parent CID of a vmdk without a parent: QEMU compares the two on read.
fn descriptor(create_type: &str, extent: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=ffffffff\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n\n{extent}\n\n\
         ddb.geometry.cylinders = \"1\"\nddb.adapterType = \"ide\"\n"
    )
}

/// Returns the confinements that this kernel supports, at least one.
fn holding() -> Vec<(Confinement, QemuImg)> {
    let path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .find_map(|directory| directory.join("qemu-img").canonicalize().ok())
        .expect("it was looked for");
    let tool = |confinement| (confinement, QemuImg::new(Launcher::at(PROBE), &path, confinement));
    let holding: Vec<_> =
        Confinement::HOLDING.into_iter().map(tool).filter(|(_, tool)| tool.version().is_ok()).collect();
    assert!(!holding.is_empty(), "this kernel gives no sandbox");
    holding
}

fn patience(stop: &AtomicBool) -> Patience<'_> {
    Patience { time: Duration::from_secs(30), stop }
}

fn qemu_img(arguments: &[&str]) {
    let status = Command::new("qemu-img").args(arguments).stdout(Stdio::null()).status().expect("qemu-img");
    assert!(status.success(), "{arguments:?}");
}

fn holds_secret(file: &File) -> bool {
    contains(&bytes(file), SECRET)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn bytes(mut file: &File) -> Vec<u8> {
    use std::io::Seek;
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("readable");
    bytes
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

const PROBE: &str = env!("CARGO_BIN_EXE_sandbox-probe");
const SECRET: &[u8; 512] = &{
    let mut sector = [b'7'; 512];
    let name = *b"glancecast-sender-secret:";
    let mut at = 0;
    while at < name.len() {
        sector[at] = name[at];
        at += 1;
    }
    sector
};
const DISK_BYTES: u64 = 1 << 20;
