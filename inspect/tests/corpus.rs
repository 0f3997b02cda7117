//! The corpus of hostile images (`corpus/make.py`): each is refused by its rule, whole and by its beginning, and the
//! sound ones among them pass.

mod images;
mod judge;

use std::io::Cursor;
use std::process::Command;

use glancecast_inspect::{CheckError, Claim, HEAD_BYTES, Limits, Rule, check, check_head};

#[test]
fn each_image_is_refused_by_its_rule() {
    let images = corpus();
    assert!(images.len() > 200, "{} images", images.len());
    let wrong: Vec<_> = images.iter().filter_map(|image| image.differs(image.judge())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_beginning_of_each_image_is_judged_as_all_of_it_or_not_at_all() {
    for image in corpus() {
        let head = &image.data[..HEAD_BYTES.min(image.data.len())];
        let verdict = check_head(head, image.data.len() as u64, image.claim, &LIMITS);
        let verdict = verdict.map_err(|refusal| refusal.rule).transpose().map(|facts| facts.map(|_| ()));
        if verdict.is_none() {
            assert!(image.data.len() > HEAD_BYTES && image.name.starts_with("vhdx"), "{}", image.name);
        }
        assert_eq!(verdict.and_then(|verdict| image.differs(verdict)), None);
    }
}

/// A raw image is multicast while it arrives, so that its beginning has to be enough.
#[test]
fn the_beginning_of_a_disk_is_enough() {
    for image in corpus() {
        let mut head = image.data.clone();
        head.resize(HEAD_BYTES, 0);
        let verdict = check_head(&head, 1 << 40, Claim::Disk, &LIMITS);
        let is_table = matches!(image.rule, Some(Rule::PartitionTable));
        match verdict {
            Ok(Some(facts)) => {
                assert!(facts.format.is_raw() && facts.virtual_bytes == 1 << 40, "{}", image.name);
            }
            Ok(None) => panic!("{} needs more than its beginning", image.name),
            Err(refusal) => {
                let rules = [Rule::FormatMismatch, Rule::SeveralFormats, Rule::NotADisk];
                assert!(rules.contains(&refusal.rule) || is_table, "{}: {refusal}", image.name);
            }
        }
    }
}

#[test]
fn each_image_is_judged_in_every_way() {
    corpus().iter().for_each(|image| judge::judge(&image.data));
}

#[test]
fn the_corpus_is_what_its_script_makes() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/make.py");
    match Command::new("python3").args([script, "--check"]).status() {
        Ok(status) => assert!(status.success(), "run corpus/make.py, and commit what it writes"),
        Err(error) => glancecast_testkit::skip(&format!("needs python3, which does not start: {error}")),
    }
}

struct Image {
    name: String,
    claim: Claim,
    /// None: it is sound.
    rule: Option<Rule>,
    data: Vec<u8>,
}

impl Image {
    fn judge(&self) -> Result<(), Rule> {
        match check(&mut Cursor::new(&self.data), self.claim, &LIMITS) {
            Ok(_) => Ok(()),
            Err(CheckError::Refused(refusal)) => Err(refusal.rule),
            Err(CheckError::Read(error)) => panic!("memory can be read: {error}"),
        }
    }

    /// What is wrong with a verdict.
    fn differs(&self, verdict: Result<(), Rule>) -> Option<String> {
        let expected = self.rule.map_or(Ok(()), Err);
        (verdict != expected).then(|| format!("{}: {verdict:?} instead of {expected:?}", self.name))
    }
}

fn corpus() -> Vec<Image> {
    include_str!("../corpus/images.txt").split("\nimage ").skip(1).map(image).collect()
}

fn image(text: &str) -> Image {
    let mut lines = text.lines();
    let name = lines.next().expect("a name").to_owned();
    let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name)).expect(name);
    let claim = match field("claim ") {
        "disk" => Claim::Disk,
        "nothing" => Claim::Nothing,
        format => Claim::Format(format.parse().expect("a disk format")),
    };
    let rule = match field("rule ") {
        "sound" => None,
        word => Some(*Rule::ALL.iter().find(|rule| rule.name() == word).expect("a rule")),
    };
    let mut data = vec![0; field("length ").parse().expect("a length")];
    for line in lines.filter(|line| !line.is_empty()) {
        put(&mut data, line).unwrap_or_else(|| panic!("{name}: {line}"));
    }
    Image { name, claim, rule, data }
}

/// `0x200 ff00` or `0x200 0a * 64`.
fn put(data: &mut [u8], line: &str) -> Option<()> {
    let (at, bytes) = line.strip_prefix("0x")?.split_once(' ')?;
    let rest = data.get_mut(usize::from_str_radix(at, 16).ok()?..)?;
    if let Some((byte, count)) = bytes.split_once(" * ") {
        rest.get_mut(..count.parse().ok()?)?.fill(u8::from_str_radix(byte, 16).ok()?);
    } else {
        for (byte, digits) in rest.iter_mut().zip(bytes.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
    }
    Some(())
}

/// A VHD is taken where it is a file; everything else is as by default.
const LIMITS: Limits<'static> = Limits {
    virtual_bytes_max: 2 << 40,
    vmdk_types: &glancecast_inspect::VmdkType::ALL,
    vhd: true,
    waived: &[],
};
