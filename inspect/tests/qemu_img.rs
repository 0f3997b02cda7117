//! The inspector and QEMU agree on which images are whole: 200 images that `qemu-img` makes, in every format with
//! tables and with its options, sound, then cut off, then with a table entry that points beyond the end.
//!
//! What is compared:
//!
//! - a sound image passes here and `qemu-img check`, where that supports the format (not vpc);
//! - what `qemu-img` refuses because a place is beyond the end of the file is refused here;
//! - an image that was cut and of which `qemu-img convert` still makes a disk is refused here, unless that disk is equal
//!   to the whole image's. `qemu-img check` lets pass a qcow2 cluster that is cut, and all of what is cut off a vdi;
//! - an image whose entry points beyond the end is refused here, whatever reads that entry.
//!
//! Leaked clusters, which the header of a cut image still counts, are no fault for either. What is refused here as cut
//! was cut: bytes that are missing may have been zeros, which only the disk's owner knows.

use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

use glancecast_inspect::{CheckError, Claim, Limits, Rule, check};
use glancecast_testkit::{Rng, skip};

#[test]
fn the_inspector_and_qemu_img_agree_on_200_images_made_and_damaged_at_random() {
    if Command::new("qemu-img").arg("--version").output().is_err() {
        return skip("needs qemu-img: apt install qemu-utils");
    }
    let seed = env::var("GLANCECAST_TEST_SEED")
        .map_or_else(|_| Rng::seed_from_clock(), |text| text.parse().expect("a number"));
    println!("GLANCECAST_TEST_SEED={seed}");
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let mut tally = Tally::default();
                while let Some(case) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&case| case < IMAGES)
                {
                    Case::new(seed, case, directory.path()).run(&mut tally);
                }
                total.lock().expect("no other thread failed").add(&tally);
            });
        }
    });
    let total = total.into_inner().expect("no thread failed");
    println!("{total:?}");
    assert!(
        total.cut_refused > IMAGES / 4 && total.cut_whole > 0 && total.qemu_refused > IMAGES / 4,
        "{total:?}"
    );
}

#[derive(Debug, Default)]
struct Tally {
    /// Cut images that were refused, and those that still have all that their tables name.
    cut_refused: usize,
    cut_whole: usize,
    /// Damaged images in which `qemu-img` found a place beyond the end of the file.
    qemu_refused: usize,
    /// Cut images in which it found none, and of which it made another disk.
    qemu_fooled: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cut_refused += other.cut_refused;
        self.cut_whole += other.cut_whole;
        self.qemu_refused += other.qemu_refused;
        self.qemu_fooled += other.qemu_fooled;
    }
}

/// One image, from its making to its damages.
struct Case {
    name: String,
    dice: Rng,
    /// QEMU's name of the format.
    format: &'static str,
    raw: PathBuf,
    image: PathBuf,
}

impl Case {
    fn new(seed: u64, case: usize, directory: &Path) -> Self {
        let format = ["qcow2", "qcow2", "qcow2", "vmdk", "vdi", "vhdx", "vpc"][case % 7];
        let dice = Rng::new(seed.wrapping_add(case as u64));
        let (raw, image) = (directory.join("raw"), directory.join("image"));
        Self { name: format!("seed {seed}, image {case}"), dice, format, raw, image }
    }

    fn run(mut self, tally: &mut Tally) {
        self.make();
        let sound = fs::read(&self.image).expect("qemu-img made it");
        assert_eq!(judge(&sound), Ok(()), "{}: sound", self.name);
        let code = self.check().status.code();
        // 63: the format has no check; 3: clusters have leaked, which harms no data.
        assert!([Some(0), Some(3), Some(63)].contains(&code), "{}: {code:?}", self.name);
        self.cut_off(&sound, tally);
        self.point_beyond(sound, tally);
    }

    fn cut_off(&mut self, sound: &[u8], tally: &mut Tally) {
        let cut = self.place_of_cut(sound.len());
        let at = format!("{}: cut off at byte {cut} of {}", self.name, sound.len());
        let (verdict, found_by_qemu) = self.judge_damaged(&sound[..cut], tally);
        match verdict {
            Err(Rule::CutShort | Rule::TruncatedHeader | Rule::Empty) => tally.cut_refused += 1,
            Err(rule) => panic!("{at}: refused by {rule}"),
            Ok(()) => tally.cut_whole += 1,
        }
        if found_by_qemu {
            return;
        }
        // If qemu-img makes no disk, a compressed cluster does not unpack.
        let Some(made) = self.disk() else { return };
        fs::write(&self.image, sound).expect("room");
        if self.disk().expect("it is sound") != made {
            assert!(verdict.is_err(), "{at}: another disk is made of it");
            tally.qemu_fooled += 1;
        }
    }

    fn point_beyond(&mut self, mut image: Vec<u8>, tally: &mut Tally) {
        let entries = entries(self.format, &image);
        if entries.is_empty() {
            return;
        }
        let (at, beyond) = &entries[self.dice.index(entries.len())];
        image[*at..*at + beyond.len()].copy_from_slice(beyond);
        let (verdict, _) = self.judge_damaged(&image, tally);
        assert_eq!(verdict, Err(Rule::CutShort), "{}: entry at byte {at}", self.name);
    }

    /// Writes the disk and the image.
    fn make(&mut self) {
        let dice = &mut self.dice;
        let mut disk =
            vec![0; [dice.index(3000) * 512 + 512, 1 + dice.index(2 << 20), 1 << 20][dice.index(3)]];
        for _ in 0..dice.index(6) {
            let from = dice.index(disk.len());
            let len = [1, 512, 4096, dice.index(200_000)][dice.index(4)].min(disk.len() - from);
            dice.fill(&mut disk[from..from + len]);
        }
        if dice.one_in(2) {
            disk.last_mut().expect("it has bytes").clone_from(&1);
        }
        fs::write(&self.raw, &disk).expect("room");
        let _ = fs::remove_file(&self.image);
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.qemu_img(
            &[
                &["convert", "-t", "unsafe", "-f", "raw", "-O", self.format],
                &options[..],
                &[path(&self.raw), path(&self.image)],
            ]
            .concat(),
        );
        if self.format == "qcow2" {
            self.change(&options.concat());
        }
    }

    /// Draws the format's options.
    fn options(&mut self) -> Vec<String> {
        let dice = &mut self.dice;
        let mut of = |choices: &[&str]| choices[dice.index(choices.len())].to_owned();
        let mut list = Vec::new();
        match self.format {
            "qcow2" => {
                let compat = of(&["0.10", "1.1", "1.1"]);
                list.push(format!(
                    "cluster_size={}",
                    of(&["512", "1k", "4k", "8k", "64k", "128k", "1M", "2M"])
                ));
                if compat == "1.1" {
                    list.push(format!("refcount_bits={}", of(&["1", "2", "4", "8", "16", "32", "64"])));
                    list.push(format!("lazy_refcounts={}", of(&["on", "off"])));
                }
                list.push(format!("compat={compat}"));
                match of(&["c", "c", "preallocation", "plain", "plain"]).as_str() {
                    "c" if compat == "1.1" => {
                        list.push(format!("compression_type={}", of(&["zlib", "zstd"])));
                    }
                    "preallocation" => {
                        list.push(format!("preallocation={}", of(&["metadata", "falloc", "full"])));
                        return vec!["-o".to_owned(), list.join(",")];
                    }
                    "plain" => return vec!["-o".to_owned(), list.join(",")],
                    _ => {}
                }
                return vec!["-c".to_owned(), "-o".to_owned(), list.join(",")];
            }
            "vmdk" => {
                list.push(format!("subformat={}", of(&["monolithicSparse", "streamOptimized"])));
                list.push(format!("zeroed_grain={}", of(&["on", "off"])));
            }
            "vdi" => list.push(format!("static={}", of(&["on", "off"]))),
            "vhdx" => {
                list.push(format!("subformat={}", of(&["dynamic", "fixed"])));
                list.push(format!("block_size={}", of(&["1M", "2M", "8M", "32M"])));
                list.push(format!("block_state_zero={}", of(&["on", "off"])));
                list.push(format!("log_size={}", of(&["1M", "2M"])));
            }
            _ => list.push(format!("subformat=dynamic,force_size={}", of(&["on", "off"]))),
        }
        vec!["-o".to_owned(), list.join(",")]
    }

    /// Adds what only a qcow2 has.
    fn change(&mut self, options: &str) {
        let (image, raw) = (path(&self.image).to_owned(), path(&self.raw).to_owned());
        // A snapshot may need refcounts of more bits, and an attempt leaves errors behind.
        let counts_enough =
            ["compat=0.10", "_bits=16", "_bits=32", "_bits=64"].iter().any(|option| options.contains(option));
        if counts_enough && self.dice.one_in(2) {
            self.qemu_img(&["snapshot", "-c", "first", &image]);
            let mut disk = fs::read(&self.raw).expect("it was written");
            let half = disk.len() / 2;
            self.dice.fill(&mut disk[..half]);
            fs::write(&self.raw, disk).expect("room");
            self.qemu_img(&["convert", "-n", "-t", "unsafe", "-f", "raw", "-O", "qcow2", &raw, &image]);
            self.qemu_img(&["snapshot", "-c", "a second one", &image]);
        } else if self.dice.one_in(3) {
            self.qemu_img(&["resize", &image, "+3M"]);
        }
        // Version 2 has no bitmaps.
        if self.dice.one_in(3) {
            let _ = self.qemu_img_ends(&["bitmap", "--add", &image, "changes"]);
        }
    }

    /// Draws the place at which an image of `bytes` is cut off: anywhere, near its end, or where clusters end.
    fn place_of_cut(&mut self, bytes: usize) -> usize {
        match self.dice.index(3) {
            0 => self.dice.index(bytes),
            1 => bytes - 1 - self.dice.index(bytes.min(128 << 10)),
            _ => self.dice.index(bytes) / 4096 * 4096,
        }
    }

    /// Writes a damaged image and judges it; also returns whether `qemu-img` finds a place beyond the end of the file,
    /// which then has to be refused here.
    fn judge_damaged(&self, image: &[u8], tally: &mut Tally) -> (Result<(), Rule>, bool) {
        fs::write(&self.image, image).expect("room");
        let verdict = judge(image);
        let check = self.check();
        let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        let line = said.lines().find(|line| BEYOND.iter().any(|words| line.contains(words)));
        if let Some(line) = line {
            tally.qemu_refused += 1;
            assert!(verdict.is_err(), "{}: {} bytes pass, and qemu-img: {line}", self.name, image.len());
        }
        (verdict, line.is_some())
    }

    fn check(&self) -> Output {
        self.qemu_img_ends(&["check", "-f", self.format, path(&self.image)])
    }

    /// Returns the disk that `qemu-img` makes of the image, if it makes one.
    fn disk(&self) -> Option<Vec<u8>> {
        let made = self.qemu_img_ends(&[
            "convert",
            "-f",
            self.format,
            "-O",
            "raw",
            path(&self.image),
            path(&self.raw),
        ]);
        made.status.success().then(|| fs::read(&self.raw).expect("qemu-img made it"))
    }

    fn qemu_img(&self, arguments: &[&str]) {
        let end = self.qemu_img_ends(arguments);
        assert!(end.status.success(), "{}: qemu-img {arguments:?}: {end:?}", self.name);
    }

    fn qemu_img_ends(&self, arguments: &[&str]) -> Output {
        Command::new("qemu-img").args(arguments).stdin(Stdio::null()).output().expect("qemu-img starts")
    }
}

/// Returns where an image has entries that name places, and for each one bytes that name a place beyond its end.
fn entries(format: &str, image: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let end = image.len() as u64;
    match format {
        "qcow2" => qcow2_entries(image),
        "vmdk" => {
            let (grain, directory) = (le(image, 20..28), le(image, 56..64) as usize * 512);
            let tables = le(image, 12..20).div_ceil(grain * 512) as usize;
            let used = |from: usize, count| {
                (0..count).map(move |i| from + i * 4).filter(|&at| le(image, at..at + 4) > 1)
            };
            let grains =
                used(directory, tables).flat_map(|at| used(le(image, at..at + 4) as usize * 512, 512));
            let all: Vec<usize> = used(directory, tables).chain(grains).collect();
            all.into_iter().map(|at| (at, (end as u32 / 512 + 1).to_le_bytes().to_vec())).collect()
        }
        "vdi" => {
            let (map, blocks) = (le(image, 0x154..0x158) as usize, le(image, 0x180..0x184) as usize);
            let used = (0..blocks).map(|i| map + i * 4).filter(|&at| le(image, at..at + 4) < 0xFFFF_FFFE);
            used.map(|at| (at, (end as u32 >> 20).to_le_bytes().to_vec())).collect()
        }
        "vhdx" => {
            let regions = 192 << 10;
            let table =
                [16, 48].map(|at| regions + at).into_iter().find(|&at| le(image, at..at + 4) == 0x2DC2_7766);
            let table =
                table.map(|at| le(image, at + 16..at + 24) as usize).expect("a block allocation table");
            let used = (0..32).map(|i| table + i * 8).filter(|&at| le(image, at..at + 8) & 7 == 6);
            used.map(|at| (at, (((end >> 20) + 1) << 20 | 6).to_le_bytes().to_vec())).collect()
        }
        _ => {
            let (table, blocks) =
                (be(image, 512 + 16..512 + 24) as usize, be(image, 512 + 28..512 + 32) as usize);
            let used = (0..blocks).map(|i| table + i * 4).filter(|&at| be(image, at..at + 4) != 0xFFFF_FFFF);
            used.map(|at| (at, (end as u32 / 512 + 1).to_be_bytes().to_vec())).collect()
        }
    }
}

/// Of both levels of the disk, of the refcount table, and of the header.
fn qcow2_entries(image: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let cluster = 1u64 << be(image, 20..24);
    let beyond = (image.len() as u64).next_multiple_of(cluster) + cluster;
    let place = |at: usize| be(image, at..at + 8) & 0x00FF_FFFF_FFFF_FE00;
    let used = |from: usize, count: usize| {
        (0..count).map(move |i| from + i * 8).filter(move |&at| at + 8 <= image.len() && place(at) != 0)
    };
    let (first, count) = (be(image, 40..48) as usize, be(image, 36..40) as usize);
    let (refcounts, clusters) = (be(image, 48..56) as usize, be(image, 56..60));
    let second = used(first, count).flat_map(|at| used(place(at) as usize, (cluster / 8) as usize));
    let refcount_entries = used(refcounts, (clusters * cluster / 8) as usize);
    let all: Vec<usize> =
        [40, 48].into_iter().chain(used(first, count)).chain(second).chain(refcount_entries).collect();
    all.into_iter()
        .map(|at| (at, (be(image, at..at + 8) & (0b11 << 62) | beyond).to_be_bytes().to_vec()))
        .collect()
}

fn judge(image: &[u8]) -> Result<(), Rule> {
    let limits = Limits { vhd: true, ..Limits::default() };
    match check(&mut Cursor::new(image), Claim::Nothing, &limits) {
        Ok(_) => Ok(()),
        Err(CheckError::Refused(refusal)) => Err(refusal.rule),
        Err(CheckError::Read(error)) => panic!("memory can be read: {error}"),
    }
}

fn le(image: &[u8], range: Range<usize>) -> u64 {
    image[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn be(image: &[u8], range: Range<usize>) -> u64 {
    image[range].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

const IMAGES: usize = 200;
/// What `qemu-img` says of a place beyond the end of the file: `qcow2_inc_refcounts_imrt`, `check_refblocks`,
/// `vmdk_check`, `vhdx_check_bat_entries`, `vpc_open`.
const BEYOND: [&str; 5] = [
    "exceeding the end of the file",
    "is outside image",
    "points after EOF",
    "points after end of file",
    "points after the end of file",
];
