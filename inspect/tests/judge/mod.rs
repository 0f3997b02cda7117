//! Judging an image in every way at once, and the rules that hold for all verdicts; images from the bytes of a fuzzer.
#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::OnceLock;

use glancecast_inspect::{
    CheckError, Claim, DiskFormat, HEAD_BYTES, Limits, Refusal, check, check_head, detect,
};

use crate::images::full::{full_qcow2, full_stream_vmdk, full_vdi, full_vhd, full_vhdx, full_vmdk};
use crate::images::{DESCRIPTOR, VHDX_METADATA, iso, mbr, qcow2, stream_vmdk, vdi, vhd, vhdx, vmdk};

/// # Panics
/// If the judgements of the whole image and of its beginning contradict each other, or are no judgements.
pub(crate) fn judge(image: &[u8]) {
    [Claim::Nothing, Claim::Disk, Claim::Format(DiskFormat::Raw)]
        .into_iter()
        .for_each(|claim| judge_as(image, claim, usize::MAX));
}

/// The images that a fuzzer changes: of every format, with empty tables and with full ones.
pub(crate) fn bases() -> Vec<Vec<u8>> {
    let text = DESCRIPTOR.as_bytes().repeat(6);
    let mut bases = vec![
        qcow2(),
        vmdk(DESCRIPTOR),
        stream_vmdk(),
        vhd(),
        vdi(),
        vhdx(),
        iso(),
        mbr(),
        text,
        vec![0; 4096],
    ];
    // The committed inputs name a base by its number.
    bases.extend([full_qcow2(), full_vmdk(), full_stream_vmdk(), full_vhd(), full_vdi(), full_vhdx()]);
    bases
}

/// The image of a fuzzer's bytes: one of [`bases`] with changes, or the bytes as they are; declared to be of some
/// format, and read in pieces of some length.
pub(crate) fn fuzzed(input: &[u8]) {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let Some((&[base, claim, piece], rest)) = input.split_first_chunk() else { return };
    let claim = match FORMATS.get(usize::from(claim) % 16) {
        Some(&format) => Claim::Format(format),
        None if claim % 2 == 0 => Claim::Disk,
        None => Claim::Nothing,
    };
    let piece = if piece == 0 { usize::MAX } else { usize::from(piece) * 16 };
    match BASES.get_or_init(bases).get(usize::from(base)) {
        Some(base) => judge_as(&changed(base, rest), claim, piece),
        None => judge_as(rest, claim, piece),
    }
}

fn judge_as(image: &[u8], claim: Claim, piece_max: usize) {
    let pieces = || Pieces { image: Cursor::new(image), piece_max };
    let formats = detect(&mut pieces()).expect("memory can be read");
    assert!(!formats.is_empty() && formats.is_sorted());
    let limits = Limits { vhd: true, ..Limits::default() };
    let whole = match check(&mut pieces(), claim, &limits) {
        Ok(facts) => {
            assert!(formats.contains(&facts.format) && facts.virtual_bytes <= limits.virtual_bytes_max);
            Ok(facts)
        }
        Err(CheckError::Refused(refusal)) => {
            assert_shown(&refusal);
            Err(refusal)
        }
        Err(CheckError::Read(error)) => panic!("memory can be read: {error}"),
    };
    let head = &image[..HEAD_BYTES.min(image.len())];
    match check_head(head, image.len() as u64, claim, &limits).transpose() {
        None => assert!(image.len() > head.len(), "all of it is there"),
        Some(verdict) => assert_eq!(verdict, whole),
    }
}

/// What is shown to a person is one line, and cannot move the cursor of their terminal.
fn assert_shown(refusal: &Refusal) {
    let text = refusal.to_string();
    assert!(!text.is_empty() && text.len() < 1_000 && !text.contains(char::is_control), "{text:?}");
}

/// Changes are a place and what is put there; nothing to put cuts the image off at that place.
fn changed(base: &[u8], mut changes: &[u8]) -> Vec<u8> {
    let mut image = base.to_vec();
    while let Some((&[high, low, len], rest)) = changes.split_first_chunk() {
        let place = u16::from_be_bytes([high, low]);
        let region = [0, 32 << 10, 192 << 10, VHDX_METADATA, VHDX_METADATA + (64 << 10)];
        let from_end = image.len().saturating_sub(2048);
        let start = region.get(usize::from(place >> 13)).copied().unwrap_or(from_end);
        let at = start + usize::from(place & 0x1FFF);
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(len)));
        changes = rest;
        if bytes.is_empty() {
            image.truncate(at);
        } else if at < image.len() {
            let len = bytes.len().min(image.len() - at);
            image[at..at + len].copy_from_slice(&bytes[..len]);
        }
    }
    image
}

/// Gives a piece at a time, as files and pipes may.
struct Pieces<'a> {
    image: Cursor<&'a [u8]>,
    piece_max: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.piece_max);
        self.image.read(&mut buffer[..len])
    }
}

impl Seek for Pieces<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.image.seek(to)
    }
}

const FORMATS: [DiskFormat; 12] = [
    DiskFormat::Raw,
    DiskFormat::Qcow2,
    DiskFormat::Vmdk,
    DiskFormat::Vhd,
    DiskFormat::Vhdx,
    DiskFormat::Vdi,
    DiskFormat::Iso,
    DiskFormat::Gpt,
    DiskFormat::Luks,
    DiskFormat::Ami,
    DiskFormat::Aki,
    DiskFormat::Ari,
];
