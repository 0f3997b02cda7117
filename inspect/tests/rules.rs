//! Each rule, with an image that breaks it and nothing else; and what passes.

mod images;

use std::io::Cursor;

use glancecast_inspect::{
    CheckError, Claim, DiskFormat, Facts, Format, HEAD_BYTES, Limits, Odd, Refusal, Rule, VmdkType, Waiver,
    check, check_end, check_head, detect,
};
use images::{DESCRIPTOR, VHDX_METADATA, iso, mbr, put, qcow2, stream_vmdk, vdi, vhd, vhdx, vmdk, with};

#[test]
fn sound_images_pass_and_tell_the_size_of_their_disk() {
    let mib4 = 4 << 20;
    for (image, declared, format, bytes) in [
        (vec![7; 1000], DiskFormat::Raw, Format::Raw, 1000),
        (mbr(), DiskFormat::Raw, Format::Gpt, 4096),
        (iso(), DiskFormat::Iso, Format::Iso, 40 << 10),
        (iso(), DiskFormat::Ami, Format::Iso, 40 << 10),
        (qcow2(), DiskFormat::Qcow2, Format::Qcow2, 1 << 30),
        (vmdk(DESCRIPTOR), DiskFormat::Vmdk, Format::Vmdk, mib4),
        (stream_vmdk(), DiskFormat::Vmdk, Format::Vmdk, mib4),
        (vdi(), DiskFormat::Vdi, Format::Vdi, mib4),
        (vhdx(), DiskFormat::Vhdx, Format::Vhdx, mib4),
    ] {
        let facts = Facts { format, virtual_bytes: bytes, overhang: None, odd: None };
        assert_eq!(judge(&image, declared).unwrap(), facts, "{declared}");
    }
}

#[test]
fn an_image_without_a_record_is_what_it_looks_like() {
    let facts = check(&mut Cursor::new(qcow2()), Claim::Nothing, &Limits::default()).unwrap();
    assert_eq!((facts.format, facts.format.is_raw()), (Format::Qcow2, false));
    assert_eq!(detect(&mut Cursor::new(iso())).unwrap(), [Format::Iso]);
}

#[test]
fn what_hosts_use_as_it_is_is_a_disk() {
    let judge =
        |image: Vec<u8>| check(&mut Cursor::new(image), Claim::Disk, &Limits::default()).map_err(refusal);
    for image in [vec![7; 1000], mbr(), iso()] {
        judge(image).unwrap();
    }
    for image in [qcow2(), vdi(), vhdx(), vhd(), vmdk(DESCRIPTOR), DESCRIPTOR.into()] {
        assert_eq!(judge(image).unwrap_err().rule, Rule::FormatMismatch);
    }
    assert_eq!(judge(with(mbr(), 446, &[1])).unwrap_err().rule, Rule::PartitionTable);
}

#[test]
fn content_of_another_format_than_declared_is_refused() {
    refused(&qcow2(), DiskFormat::Raw, Rule::FormatMismatch, "said to be raw, and its content is qcow2");
    refused(&vec![7; 1000], DiskFormat::Qcow2, Rule::FormatMismatch, "said to be qcow2");
    refused(&iso(), DiskFormat::Raw, Rule::FormatMismatch, "iso");
    refused(&vdi(), DiskFormat::Ami, Rule::FormatMismatch, "vdi");
    refused(b"\xfd7zXZ\0 of a qcow2", DiskFormat::Qcow2, Rule::FormatMismatch, "xz -dc");
    // Shorter than what an inspector wants, and still nothing that QEMU would take for raw.
    refused(&qcow2()[..8], DiskFormat::Raw, Rule::FormatMismatch, "qcow2");
}

#[test]
fn formats_that_nova_does_not_take_are_refused() {
    refused(&mbr(), DiskFormat::Gpt, Rule::UnsupportedFormat, "gpt");
    refused(&vhd(), DiskFormat::Vhd, Rule::UnsupportedFormat, "vhd");
    for magic in ["QED\0", "WithoutFreeSpace", "WithouFreSpacExt", "Bochs Virtual HD Image"] {
        let image = with(vec![0; 4096], 0, magic.as_bytes());
        let error = check(&mut Cursor::new(&image), Claim::Nothing, &Limits::default()).unwrap_err();
        assert_eq!(refusal(error).rule, Rule::UnsupportedFormat, "{magic}");
        assert_eq!(judge(&image, DiskFormat::Raw).unwrap_err().rule, Rule::FormatMismatch, "{magic}");
    }
}

#[test]
fn a_vhd_passes_where_it_is_allowed() {
    let limits = Limits { vhd: true, ..Limits::default() };
    let judge = |image: Vec<u8>| {
        check(&mut Cursor::new(image), Claim::Format(DiskFormat::Vhd), &limits).map_err(refusal)
    };
    assert_eq!(judge(vhd()).unwrap().virtual_bytes, 4 << 20);
    assert_eq!(judge(with(vhd(), 60, &4u32.to_be_bytes())).unwrap_err().rule, Rule::BackingFile);
    assert_eq!(judge(with(vhd(), 60, &9u32.to_be_bytes())).unwrap_err().rule, Rule::MalformedHeader);
}

#[test]
fn a_vhd_makes_the_largest_disk_of_those_that_it_tells() {
    let size = |image: Vec<u8>| {
        let limits = Limits { vhd: true, ..Limits::default() };
        check(&mut Cursor::new(image), Claim::Nothing, &limits).map(|facts| facts.virtual_bytes).unwrap()
    };
    let geometry = [0x10, 0x01, 16, 63];
    assert_eq!(size(with(vhd(), 56, &geometry)), 4097 * 16 * 63 * 512);
    assert_eq!(size(with(vhd(), 40, &(5u64 << 20).to_be_bytes())), 5 << 20);
    assert_eq!(size(with(vhd(), 48, &(6u64 << 20).to_be_bytes())), 6 << 20);
}

#[test]
fn a_header_within_another_one_is_refused() {
    let mut both = with(qcow2(), 510, &[0x55, 0xAA]);
    refused(&both, DiskFormat::Qcow2, Rule::SeveralFormats, "qcow2 and gpt");
    put(&mut both, 510, &[0, 0]);
    put(&mut both, 0x40, &0xBEDA_107Fu32.to_le_bytes());
    refused(&both, DiskFormat::Qcow2, Rule::SeveralFormats, "qcow2 and vdi");
}

#[test]
fn a_disc_with_partitions_in_front_is_a_disc() {
    let mut image = iso();
    put(&mut image, 510, &[0x55, 0xAA]);
    assert_eq!(judge(&image, DiskFormat::Iso).unwrap().format, Format::Iso);
}

#[test]
fn a_qcow2_that_needs_other_files_is_refused() {
    let backed = with(qcow2(), 8, &512u64.to_be_bytes());
    refused(&backed, DiskFormat::Qcow2, Rule::BackingFile, "backing file");
    let split = with(qcow2(), 72, &4u64.to_be_bytes());
    refused(&split, DiskFormat::Qcow2, Rule::DataFile, "another file");
}

#[test]
fn only_known_features_of_qcow2_pass() {
    for known in [1u64, 2, 8] {
        judge(&with(qcow2(), 72, &known.to_be_bytes()), DiskFormat::Qcow2).unwrap();
    }
    for bit in (4..64).map(|bit| 1u64 << bit) {
        refused(&with(qcow2(), 72, &bit.to_be_bytes()), DiskFormat::Qcow2, Rule::UnknownFeature, "features");
    }
    // Version 2 has no features.
    judge(&with(with(qcow2(), 72, &0x100u64.to_be_bytes()), 4, &2u32.to_be_bytes()), DiskFormat::Qcow2)
        .unwrap();
}

#[test]
fn a_feature_is_named_as_the_image_names_it_and_steers_no_terminal() {
    let extension = |name: &[u8]| {
        let mut entry = [0; 48];
        (entry[0], entry[1]) = (0, 7);
        entry[2..2 + name.len()].copy_from_slice(name);
        let image = with(with(qcow2(), 72, &(1u64 << 7).to_be_bytes()), 112, &0x6803_F857u32.to_be_bytes());
        with(with(image, 116, &48u32.to_be_bytes()), 120, &entry)
    };
    for (name, shown) in [(&b"cloudy"[..], "\"cloudy\""), (b"a\x1b[2J\nb", "\"a?[2J?b\""), (b"", "bit 7;")] {
        refused(&extension(name), DiskFormat::Qcow2, Rule::UnknownFeature, shown);
    }
    let all = with(qcow2(), 72, &(u64::MAX - 4).to_be_bytes());
    refused(&all, DiskFormat::Qcow2, Rule::UnknownFeature, "extended_l2, bit 4), bit 5, bit 6 and 57 more");
    // A table whose length is beyond the image.
    let endless = with(extension(b"cloudy"), 116, &u32::MAX.to_be_bytes());
    refused(&endless, DiskFormat::Qcow2, Rule::UnknownFeature, "cloudy");
}

#[test]
fn what_a_format_needs_and_nobody_knows_is_named() {
    let compression = with(with(qcow2(), 72, &8u64.to_be_bytes()), 104, &[9]);
    refused(&compression, DiskFormat::Qcow2, Rule::UnknownFeature, "compression of the unknown type 9");
    judge(&with(with(qcow2(), 72, &8u64.to_be_bytes()), 104, &[1]), DiskFormat::Qcow2).unwrap();
    refused(&with(vmdk(DESCRIPTOR), 77, &[7, 0]), DiskFormat::Vmdk, Rule::UnknownFeature, "method 7");
    refused(&with(vmdk(DESCRIPTOR), 4, &[4]), DiskFormat::Vmdk, Rule::MalformedHeader, "of version 4");
    // A further region, and a further item of metadata; the first of each is known.
    let id: Vec<u8> = (1..=16).collect();
    let name = "04030201-0605-0807-090A-0B0C0D0E0F10";
    let second = (192 << 10) + 48;
    let region = with(with(vhdx(), (192 << 10) + 8, &[2]), second, &id);
    judge(&region, DiskFormat::Vhdx).unwrap();
    refused(&with(region, second + 28, &[1]), DiskFormat::Vhdx, Rule::UnknownFeature, name);
    let third = VHDX_METADATA + 96;
    let item = with(with(vhdx(), VHDX_METADATA + 10, &[3]), third, &id);
    judge(&item, DiskFormat::Vhdx).unwrap();
    refused(&with(item, third + 24, &[4]), DiskFormat::Vhdx, Rule::UnknownFeature, name);
    refused(
        &with(vdi(), 0x4C, &[9]),
        DiskFormat::Vdi,
        Rule::MalformedHeader,
        "unknown type 9; known are 1 (dynamic)",
    );
    refused(&with(qcow2(), 7, &[1]), DiskFormat::Qcow2, Rule::MalformedHeader, "convert -f qcow -O qcow2");
}

#[test]
fn a_disk_image_of_macos_is_known_by_its_end() {
    let mut dmg = vec![0; 4096];
    put(&mut dmg, 4096 - 512, b"koly\0\0\0\x04\0\0\x02\0");
    let end = |image: &[u8], limits: &Limits<'_>| {
        let facts = check(&mut Cursor::new(image), Claim::Disk, limits).unwrap();
        check_end(&mut Cursor::new(image), facts, limits)
    };
    let error = refusal(end(&dmg, &Limits::default()).unwrap_err());
    assert!(error.rule == Rule::NotADisk && error.text.contains("convert -f dmg"), "{error}");
    let waived = Limits { waived: &[Waiver::NotADisk], ..Limits::default() };
    assert_eq!(end(&dmg, &waived).unwrap().odd.map(Odd::waiver), Some(Waiver::NotADisk));
    for sound in [with(dmg.clone(), 4096 - 505, &[5]), with(dmg, 4096 - 502, &[1]), vec![7; 100], mbr()] {
        assert_eq!(end(&sound, &Limits::default()).unwrap().odd, None);
    }
}

#[test]
fn a_rule_that_is_waived_is_told_and_no_other_is() {
    let limits = Limits { waived: &Waiver::ALL, ..Limits::default() };
    let judge = |image: &[u8]| check(&mut Cursor::new(image), Claim::Disk, &limits).map_err(refusal);
    let flag = with(mbr(), 446, &[0x81]);
    let archive = with(vec![0; 4096], 0, b"7z\xbc\xaf\x27\x1c");
    for (image, waiver) in [(&flag, Waiver::PartitionTable), (&archive, Waiver::NotADisk)] {
        assert_eq!(judge(image).unwrap().odd.map(Odd::waiver), Some(waiver));
        let one = [waiver];
        let others: Vec<Waiver> = Waiver::ALL.into_iter().filter(|other| !one.contains(other)).collect();
        let limits = Limits { waived: &others, ..Limits::default() };
        let error = check(&mut Cursor::new(image), Claim::Disk, &limits).unwrap_err();
        assert_eq!(refusal(error).rule.name(), waiver.name());
    }
    assert_eq!(judge(&mbr()).unwrap().odd, None);
    assert_eq!(judge(b"# x\nversion=1\n").unwrap_err().rule, Rule::FormatMismatch);
    assert_eq!(judge(&[]).unwrap_err().rule, Rule::Empty);
}

#[test]
fn a_qcow2_header_that_makes_no_sense_is_refused() {
    for (at, value) in [(4, 1u32), (4, 4), (20, 8), (20, 22), (100, 103), (100, 1 << 17)] {
        let image = with(qcow2(), at, &value.to_be_bytes());
        refused(&image, DiskFormat::Qcow2, Rule::MalformedHeader, "qcow2");
    }
    refused(&with(qcow2(), 32, &2u32.to_be_bytes()), DiskFormat::Qcow2, Rule::Encrypted, "encrypted");
}

#[test]
fn a_qcow2_header_may_be_as_short_and_as_long_as_qemu_allows() {
    let clusters = |bits: u32| with(qcow2(), 20, &bits.to_be_bytes());
    let header = |image, bytes: u32| with(image, 100, &bytes.to_be_bytes());
    for image in [clusters(9), clusters(21), header(qcow2(), 104), header(clusters(9), 512)] {
        judge(&image, DiskFormat::Qcow2).unwrap();
    }
    // An extension that ends where its cluster does needs no end of extensions.
    let last = |len: u32| {
        let image = with(header(clusters(9), 104), 104, &0x1234_5678u32.to_be_bytes());
        with(image, 108, &len.to_be_bytes())
    };
    judge(&last(400), DiskFormat::Qcow2).unwrap();
    refused(&last(401), DiskFormat::Qcow2, Rule::MalformedHeader, "beyond byte 512");
}

#[test]
fn a_truncated_header_is_refused() {
    for len in [4, 71, 72, 511] {
        refused(&qcow2()[..len], DiskFormat::Qcow2, Rule::TruncatedHeader, &format!("after {len} bytes"));
    }
    refused(&vmdk(DESCRIPTOR)[..511], DiskFormat::Vmdk, Rule::TruncatedHeader, "vmdk header");
    refused(&vmdk(DESCRIPTOR)[..1024], DiskFormat::Vmdk, Rule::TruncatedHeader, "descriptor");
    refused(&vdi()[..400], DiskFormat::Vdi, Rule::TruncatedHeader, "VDI");
    refused(&vhdx()[..200 << 10], DiskFormat::Vhdx, Rule::TruncatedHeader, "region table");
    refused(&vhdx()[..VHDX_METADATA + 100], DiskFormat::Vhdx, Rule::TruncatedHeader, "metadata table");
}

#[test]
fn a_disk_larger_than_the_limit_is_refused() {
    let absurd = with(qcow2(), 24, &(1u64 << 62).to_be_bytes());
    refused(&absurd, DiskFormat::Qcow2, Rule::VirtualSize, "4611686018427387904 bytes");
    let limits = Limits { virtual_bytes_max: 999, ..Limits::default() };
    let error = check(&mut Cursor::new(vec![0; 1000]), Claim::Format(DiskFormat::Raw), &limits).unwrap_err();
    assert_eq!(refusal(error).rule, Rule::VirtualSize);
    check(&mut Cursor::new(vec![0; 999]), Claim::Format(DiskFormat::Raw), &limits).unwrap();
    refused(
        &with(vmdk(DESCRIPTOR), 12, &u64::MAX.to_le_bytes()),
        DiskFormat::Vmdk,
        Rule::VirtualSize,
        "2^64",
    );
}

#[test]
fn a_vmdk_without_data_of_its_own_is_named_with_its_files_and_the_command() {
    let extents: String = (1..=5).map(|i| format!("RW 4192256 SPARSE \"disk-s00{i}.vmdk\"\r\n")).collect();
    let text =
        format!("# Disk DescriptorFile\r\nversion=1\r\ncreateType=\"twoGbMaxExtentSparse\"\r\n{extents}");
    for declared in [DiskFormat::Vmdk, DiskFormat::Raw, DiskFormat::Ami] {
        let rule = if declared == DiskFormat::Vmdk { Rule::VmdkExtent } else { Rule::FormatMismatch };
        refused(
            text.as_bytes(),
            declared,
            rule,
            "\"disk-s003.vmdk\", 2 more: where all files of the disk are, run",
        );
    }
    let foul = "version=1\nRDONLY 1 FLAT \"\x1b[2J/etc/passwd\u{202e}\" 0\n";
    refused(foul.as_bytes(), DiskFormat::Raw, Rule::FormatMismatch, "\"?[2J/etc/passwd???\"");
    refused(b"version=1\n", DiskFormat::Raw, Rule::FormatMismatch, "its data is in other files");
    // The first of the files of that disk, and one of ESX.
    refused(
        &with(vmdk(DESCRIPTOR), 28, &[0; 16]),
        DiskFormat::Vmdk,
        Rule::VmdkDescriptor,
        "one extent of a disk",
    );
    refused(&with(vec![0; 4096], 0, b"COWD"), DiskFormat::Vmdk, Rule::VmdkType, "one sparse extent of ESX");
    refused(
        &with(vec![0; 4096], 0, b"COWD"),
        DiskFormat::Raw,
        Rule::FormatMismatch,
        "one sparse extent of ESX",
    );
}

#[test]
fn a_vmdk_whose_data_is_elsewhere_is_refused() {
    let text = DESCRIPTOR.replace("monolithicSparse", "monolithicFlat").replace("SPARSE", "FLAT");
    refused(text.as_bytes(), DiskFormat::Vmdk, Rule::VmdkExtent, "\"disk.vmdk\"");
    refused(DESCRIPTOR.as_bytes(), DiskFormat::Vmdk, Rule::VmdkExtent, "\"disk.vmdk\"");
    // QEMU knows a descriptor by its first line alone.
    refused(b"# x\nversion=1\n", DiskFormat::Raw, Rule::FormatMismatch, "vmdk");
    refused(text.as_bytes(), DiskFormat::Raw, Rule::FormatMismatch, "vmdk");
    for extent in ["RW 8192 SPARSE \"/etc/passwd\"", "RW 8192 FLAT \"disk-flat.vmdk\" 0", "RW 8192"] {
        let image = vmdk(&DESCRIPTOR.replace("RW 8192 SPARSE \"disk.vmdk\"", extent));
        refused(&image, DiskFormat::Vmdk, Rule::VmdkExtent, "extent");
    }
    let none = vmdk(&DESCRIPTOR.replace("RW 8192 SPARSE \"disk.vmdk\"", ""));
    refused(&none, DiskFormat::Vmdk, Rule::VmdkExtent, "no extents");
    let empty = with(vmdk(DESCRIPTOR), 12, &0u64.to_le_bytes());
    refused(&empty, DiskFormat::Vmdk, Rule::VmdkExtent, "no data of its own");
}

#[test]
fn only_allowed_types_of_vmdk_pass() {
    let image = vmdk(&DESCRIPTOR.replace("monolithicSparse", "twoGbMaxExtentSparse"));
    refused(&image, DiskFormat::Vmdk, Rule::VmdkType, "twogbmaxextentsparse");
    refused(&with(vec![0; 4096], 0, b"COWD"), DiskFormat::Vmdk, Rule::VmdkType, "ESX");
    let limits = Limits { vmdk_types: &[VmdkType::StreamOptimized], ..Limits::default() };
    let error =
        check(&mut Cursor::new(vmdk(DESCRIPTOR)), Claim::Format(DiskFormat::Vmdk), &limits).unwrap_err();
    assert_eq!(refusal(error).rule, Rule::VmdkType);
}

#[test]
fn a_vmdk_descriptor_has_to_be_understood() {
    let line = vmdk(&DESCRIPTOR.replace("CID=7b2c7e6d", "hello there"));
    refused(&line, DiskFormat::Vmdk, Rule::VmdkDescriptor, "not understood");
    refused(&vmdk("version=1\n"), DiskFormat::Vmdk, Rule::VmdkDescriptor, "no create type");
    refused(&vmdk(&format!("é{DESCRIPTOR}")), DiskFormat::Vmdk, Rule::VmdkDescriptor, "not a text");
    let elsewhere = with(vmdk(DESCRIPTOR), 28, &2u64.to_le_bytes());
    refused(&elsewhere, DiskFormat::Vmdk, Rule::VmdkDescriptor, "behind its header");
    refused(&with(vmdk(DESCRIPTOR), 4, &4u32.to_le_bytes()), DiskFormat::Vmdk, Rule::MalformedHeader, "4");
}

#[test]
fn a_vmdk_descriptor_ends_where_qemu_stops_reading() {
    const READ_BYTES: usize = (1 << 20) - 1;
    let mut image = vmdk(DESCRIPTOR);
    image.resize(2 << 20, 0);
    put(&mut image, 36, &u64::MAX.to_le_bytes());
    put(&mut image, 56, &4095u64.to_le_bytes());
    judge(&image, DiskFormat::Vmdk).unwrap();
    image[512 + DESCRIPTOR.len()..4095 * 512].fill(b'\n');
    put(&mut image, 512 + READ_BYTES, b"\xE9");
    judge(&image, DiskFormat::Vmdk).unwrap();
    put(&mut image, 512 + READ_BYTES - 1, b"\xE9");
    refused(&image, DiskFormat::Vmdk, Rule::VmdkDescriptor, "not a text");
}

#[test]
fn a_vmdk_footer_says_what_the_header_says() {
    let footer = stream_vmdk().len() - 1536;
    for (at, value) in [
        (footer + 12, &[9][..]),                      // the marker
        (footer + 8, &[1]),                           // its length
        (footer + 16, &[1]),                          // its padding
        (footer + 512, b"X"),                         // the magic
        (footer + 512 + 12, &[1]),                    // the capacity
        (footer + 512 + 28, &[2]),                    // the descriptor's place
        (footer + 512 + 56, &u64::MAX.to_le_bytes()), // another footer
        (footer + 1024, &[1]),                        // the end's marker
    ] {
        refused(&with(stream_vmdk(), at, value), DiskFormat::Vmdk, Rule::VmdkFooter, "footer");
    }
}

#[test]
fn a_broken_partition_table_is_refused() {
    let image = with(mbr(), 446, &[0x7F]);
    refused(&image, DiskFormat::Raw, Rule::PartitionTable, "boot flag 0x7f");
}

#[test]
fn disks_with_parents_are_refused() {
    let child = with(vhdx(), VHDX_METADATA + (64 << 10) + 4, &2u32.to_le_bytes());
    refused(&child, DiskFormat::Vhdx, Rule::BackingFile, "differencing");
    refused(&with(vdi(), 0x4C, &4u32.to_le_bytes()), DiskFormat::Vdi, Rule::BackingFile, "type 4");
}

#[test]
fn a_vhdx_without_its_tables_is_refused() {
    for (at, value) in [
        (192 << 10, &b"X"[..]),
        ((192 << 10) + 8, &2048u32.to_le_bytes()),
        ((192 << 10) + 16, b"X"),
        (VHDX_METADATA, b"X"),
        (VHDX_METADATA + 10, &2048u16.to_le_bytes()),
        (VHDX_METADATA + 64, b"X"),
    ] {
        refused(&with(vhdx(), at, value), DiskFormat::Vhdx, Rule::MalformedHeader, "makes sense");
    }
}

#[test]
fn a_vhdx_may_have_full_tables() {
    let regions = with(vhdx(), (192 << 10) + 8, &2047u32.to_le_bytes());
    judge(&with(regions, VHDX_METADATA + 10, &2047u16.to_le_bytes()), DiskFormat::Vhdx).unwrap();
}

#[test]
fn an_encrypted_disk_is_refused() {
    refused(&with(vec![0; 4096], 0, b"LUKS\xba\xbe\0\x01"), DiskFormat::Luks, Rule::Encrypted, "LUKS");
}

#[test]
fn the_beginning_is_enough_for_all_but_footers_and_far_metadata() {
    let long = |mut image: Vec<u8>| {
        image.resize(1 << 21, 0);
        image
    };
    for (image, declared) in [
        (long(vec![7; 1000]), DiskFormat::Raw),
        (long(mbr()), DiskFormat::Raw),
        (long(qcow2()), DiskFormat::Qcow2),
        (long(vmdk(DESCRIPTOR)), DiskFormat::Vmdk),
        (long(vdi()), DiskFormat::Vdi),
        (iso(), DiskFormat::Iso),
    ] {
        let (head, bytes) = (&image[..HEAD_BYTES.min(image.len())], image.len() as u64);
        let facts = check_head(head, bytes, Claim::Format(declared), &Limits::default()).unwrap();
        assert_eq!(facts, Some(judge(&image, declared).unwrap()), "{declared}");
    }
    for (image, declared) in [(long(stream_vmdk()), DiskFormat::Vmdk), (vhdx(), DiskFormat::Vhdx)] {
        let facts =
            check_head(&image[..HEAD_BYTES], image.len() as u64, Claim::Format(declared), &Limits::default());
        assert_eq!(facts, Ok(None), "{declared}");
    }
    let head = &long(qcow2())[..HEAD_BYTES];
    let error = check_head(head, 1 << 30, Claim::Format(DiskFormat::Raw), &Limits::default()).unwrap_err();
    assert_eq!(error.rule, Rule::FormatMismatch);
}

#[test]
fn an_image_that_ends_before_what_is_looked_at_is_judged_by_its_beginning() {
    for (image, declared) in
        [(vec![7; 100], DiskFormat::Raw), (qcow2(), DiskFormat::Qcow2), (vdi(), DiskFormat::Vdi)]
    {
        let facts = check_head(&image, image.len() as u64, Claim::Format(declared), &Limits::default());
        assert_eq!(facts, Ok(Some(judge(&image, declared).unwrap())), "{declared}");
    }
}

fn judge(image: &[u8], declared: DiskFormat) -> Result<Facts, Refusal> {
    check(&mut Cursor::new(image), Claim::Format(declared), &Limits::default()).map_err(refusal)
}

#[track_caller]
fn refused(image: &[u8], declared: DiskFormat, rule: Rule, words: &str) {
    let refusal = judge(image, declared).expect_err("it is refused");
    assert_eq!(refusal.rule, rule, "{refusal}");
    let text = refusal.to_string();
    assert!(text.contains(words) && text.ends_with(&format!("(rule {rule})")), "{text}");
}

fn refusal(error: CheckError) -> Refusal {
    match error {
        CheckError::Refused(refusal) => refusal,
        CheckError::Read(error) => panic!("memory can be read: {error}"),
    }
}
