#!/usr/bin/env python3
"""Makes the corpus of hostile images: writes images.txt beside this file, or with --files DIR each image as a file.

Each image is made from its format's own document, named where the format's builder is, and is sound but for what its name
says. `claim` is what the image is declared to be: a disk_format of Glance, `disk` (a host uses it as it is) or `nothing`.
`rule` is the rule that refuses it, or SOUND. Where oslo.utils or qemu-img take what glancecast refuses, `oslo` and `qemu`
say why; agree.py checks that. Nothing here depends on time, place or chance.
"""

import struct
import sys
from pathlib import Path

SECTOR = 512
SOUND = "sound"
IMAGES = []


class Image:
    """Bytes by their place; zeros in between."""

    def __init__(self, length=0):
        self.length = length
        self.pieces = []

    def put(self, at, data):
        self.pieces.append((at, bytes(data)))
        self.length = max(self.length, at + len(data))
        return self

    def cut(self, length):
        data = self.data()[:length]
        self.pieces, self.length = [(0, data)], length
        return self

    def data(self):
        data = bytearray(self.length)
        for at, piece in self.pieces:
            data[at : at + len(piece)] = piece
        return bytes(data)


def add(name, claim, rule, image, oslo=None, qemu=None):
    data = image if isinstance(image, bytes) else image.data()
    assert all(name != other["name"] for other in IMAGES), name
    IMAGES.append(dict(name=name, claim=claim, rule=rule, data=data, oslo=oslo, qemu=qemu))


def le(*fields):
    """Little-endian numbers, each as (bits, value)."""
    return b"".join(value.to_bytes(bits // 8, "little") for bits, value in fields)


def be(*fields):
    return b"".join(value.to_bytes(bits // 8, "big") for bits, value in fields)


# ---- Texts that QEMU takes for a VMDK: "Virtual Disk Format 5.0", VMware, "The Descriptor File"; QEMU's block/vmdk.c,
# vmdk_probe and vmdk_open_desc_file. "secret.bin" stands for a file of the host.

FLAT = b'CID=5341a033\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\nRW 2048 FLAT "secret.bin" 0\n'
TEXT = b"# Disk DescriptorFile\nversion=1\n" + FLAT
MBR_ENTRY = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0]) + le((32, 2048), (32, 2048))
GPT_ENTRY = bytes([0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]) + le((32, 1), (32, 2047))


def disk(text, length=4096):
    """A disk that begins with a text."""
    return Image(length).put(0, text)


def partitioned(image, entry=MBR_ENTRY):
    """UEFI 2.10, 5.2.1, "Legacy Master Boot Record": four entries from byte 446 on, and the signature."""
    return image.put(446, entry).put(510, b"\x55\xaa")


def disc(image):
    """ECMA-119, 8.4, "Primary Volume Descriptor": sector 16 of 2048 bytes; the system area before it is free for use."""
    volume = b"\x01CD001\x01" + bytes(73) + le((32, 20)) + be((32, 20))
    volume = volume.ljust(128, b"\0") + le((16, 2048)) + be((16, 2048))
    return image.put(32768, volume.ljust(2048, b"\0"))


OSLO_TEXT = "wants all of the first 512 bytes printable, and a create type in the text"
for dress, text in {
    "plain": TEXT,
    "without-comment": b"version=1\n" + FLAT,
    "version-2": TEXT.replace(b"version=1", b"version=2"),
    "version-3": TEXT.replace(b"version=1", b"version=3"),
    "crlf": TEXT.replace(b"\n", b"\r\n"),
    "lines-of-spaces": b"  \n   \r\n#\n \n" + TEXT,
    "padded": TEXT.ljust(600, b"\n"),
    "bytes-in-comment": b"#\x00\xff\xfe\x80\r\n#\x1b[31m\n" + TEXT,
    "nul-comment": b"#" + bytes(100) + b"\n" + TEXT,
    "binary-after-version": b"version=1\n\x00\xff" + TEXT,
    "comment-to-the-buffers-end": b"#" + b"c" * 500 + b"\n" + b"version=1\n",
}.items():
    shown = OSLO_TEXT if dress != "padded" else None
    # A text that opens nothing is still one that QEMU probes as vmdk.
    add(f"text-{dress}-as-raw", "raw", "format-mismatch", disk(text), oslo=shown)
    add(f"text-{dress}-as-disk", "disk", "format-mismatch", disk(text), oslo=shown)
for claim in ("ami", "aki", "ari"):
    add(f"text-as-{claim}", claim, "format-mismatch", disk(TEXT), oslo=OSLO_TEXT)
add("text-as-nothing", "nothing", "vmdk-extent", disk(TEXT), oslo=OSLO_TEXT)
add("text-as-gpt", "gpt", "several-formats", partitioned(disk(TEXT)), oslo=OSLO_TEXT)
add("text-before-partitions", "raw", "several-formats", partitioned(disk(TEXT)), oslo=OSLO_TEXT)
add("text-before-gpt", "raw", "several-formats", partitioned(disk(TEXT), GPT_ENTRY), oslo=OSLO_TEXT)
add("text-before-partitions-as-disk", "disk", "several-formats", partitioned(disk(TEXT)), oslo=OSLO_TEXT)
add("text-in-fat-boot-sector", "raw", "format-mismatch",
    disk(b"#" + bytes(15) + b"\x02\0\0\0\0\xf8\n" + TEXT).put(510, b"\x55\xaa"), oslo=OSLO_TEXT)
add("text-in-system-area", "iso", "several-formats", disc(disk(TEXT)), oslo=OSLO_TEXT)
add("text-in-system-area-with-partitions", "iso", "several-formats", disc(partitioned(disk(TEXT))), oslo=OSLO_TEXT)
add("text-in-system-area-as-ami", "ami", "several-formats", disc(disk(TEXT)), oslo=OSLO_TEXT)
add("text-in-system-area-as-raw", "raw", "several-formats", disc(disk(TEXT)))
add("text-shorter-than-a-sector", "raw", "format-mismatch", b"version=1\n",
    oslo="finds no create type")
add("text-with-parent-as-raw", "raw", "format-mismatch",
    disk(TEXT.replace(b"createType", b'parentFileNameHint="secret.bin"\ncreateType')), oslo=OSLO_TEXT)
add("text-across-the-buffers-end", "raw", "format-mismatch", disk(b"#" + b"c" * 502 + b"\n" + b"version=1\n"),
    oslo="finds no create type", qemu="probes 512 bytes, and the line ends behind them; older ones probed 2048")
add("text-without-version", "raw", "format-mismatch", disk(FLAT.ljust(600, b"\n")),
    qemu="goes by the version; Nova by the create type")
add("text-of-version-4", "raw", "format-mismatch", disk(b"version=4\n" + FLAT.ljust(600, b"\n")),
    qemu="knows the versions 1 to 3; Nova goes by the create type")
add("text-that-ends-in-its-version", "raw", "format-mismatch", b"# Disk DescriptorFile\nversion=1",
    oslo="finds no create type", qemu="wants the line's end")
add("disk-that-begins-with-a-comment", "raw", SOUND, disk(b"#!/bin/sh\necho version=1\n" + b"\xff" * 512))
add("disk-with-late-version", "raw", SOUND, disk(b"\0version=1\n"))
add("disk-with-the-version-of-a-qcow", "raw", SOUND, disk(bytes(4) + be((32, 1))))

# ---- qcow2: QEMU's docs/interop/qcow2.rst, "Header" and "Header extensions".

QCOW2_CLUSTER = 4096


def qcow2(version=3, backing=b"", backing_offset=None, backing_size=None, size=1 << 20, crypt=0, features=0, bits=12,
          header_length=112, snapshots=0, extensions=b"", content=b""):
    at = 512 if backing_offset is None else backing_offset
    header = b"QFI\xfb" + be(
        (32, version), (64, at if backing or backing_offset else 0),
        (32, len(backing) if backing_size is None else backing_size), (32, bits), (64, size), (32, crypt), (32, 1),
        (64, 3 * QCOW2_CLUSTER), (64, QCOW2_CLUSTER), (32, 1), (32, snapshots),
        (64, 6 * QCOW2_CLUSTER if snapshots else 0))
    if version >= 3:
        header += be((64, features), (64, 0), (64, 0), (32, 4), (32, header_length)) + bytes(8)
    image = Image(7 * QCOW2_CLUSTER).put(0, header).put(header_length if version >= 3 else 72, extensions)
    image.put(QCOW2_CLUSTER, be((64, 2 * QCOW2_CLUSTER)))
    image.put(2 * QCOW2_CLUSTER, be(*[(16, 1)] * 7))
    if content:
        image.put(3 * QCOW2_CLUSTER, be((64, 1 << 63 | 4 * QCOW2_CLUSTER)))
        image.put(4 * QCOW2_CLUSTER, be((64, 1 << 63 | 5 * QCOW2_CLUSTER))).put(5 * QCOW2_CLUSTER, content)
    if snapshots:
        # "Snapshots": a header of 40 bytes, extra data, id and name.
        image.put(6 * QCOW2_CLUSTER, be((64, 3 * QCOW2_CLUSTER), (32, 1), (16, 1), (16, 4), (32, 0), (32, 0), (64, 0),
                                        (32, 0), (32, 16), (64, 0), (64, size)) + b"1name")
    return image.put(at, backing) if backing else image


def extension(kind, data):
    return be((32, kind), (32, len(data))) + data.ljust((len(data) + 7) & ~7, b"\0")


BACKING_FORMAT, DATA_FILE, CRYPTO, FEATURES = 0xE2792ACA, 0x44415441, 0x0537BE77, 0x6803F857
IN_THE_IMAGE = "looks at no more than the header's fields"
NEVER_OPENED = "goes by other fields, and leaves this one out"

add("qcow2", "qcow2", SOUND, qcow2())
add("qcow2-version-2", "qcow2", SOUND, qcow2(version=2))
add("qcow2-snapshot", "qcow2", SOUND, qcow2(snapshots=1))
add("qcow2-feature-names", "qcow2", SOUND, qcow2(extensions=extension(FEATURES, b"\0\0dirty bit".ljust(48, b"\0"))))
add("qcow2-empty-backing-format", "qcow2", SOUND, qcow2(extensions=extension(BACKING_FORMAT, b"")))
# Sound, and its disk is not: text-plain, as it comes out of qemu-img convert.
add("qcow2-of-a-text", "qcow2", SOUND, qcow2(content=TEXT))
for name, target in {
    "path": b"/etc/shadow", "relative": b"secret.bin", "nbd": b"nbd://192.0.2.1:10809/x", "ssh": b"ssh://192.0.2.1/x",
    "json": b'json:{"driver":"file","filename":"secret.bin"}', "fd": b"/proc/self/fd/3",
}.items():
    add(f"qcow2-backing-{name}", "qcow2", "backing-file", qcow2(backing=target))
add("qcow2-backing-as-nothing", "nothing", "backing-file", qcow2(backing=b"secret.bin"))
add("qcow2-backing-version-2", "qcow2", "backing-file", qcow2(version=2, backing=b"secret.bin"))
add("qcow2-backing-without-name", "qcow2", "backing-file", qcow2(backing_offset=512),
    qemu="reads a name of no bytes")
add("qcow2-backing-length-alone", "qcow2", "backing-file", qcow2(backing_size=10), oslo=NEVER_OPENED, qemu=NEVER_OPENED)
add("qcow2-backing-beyond-cluster", "qcow2", "backing-file", qcow2(backing=b"x", backing_offset=6 * QCOW2_CLUSTER))
add("qcow2-backing-format-alone", "qcow2", "backing-file", qcow2(extensions=extension(BACKING_FORMAT, b"raw")),
    oslo=IN_THE_IMAGE, qemu="has a format, and no file that it is of")
add("qcow2-backing-format-last", "qcow2", "backing-file",
    qcow2(extensions=extension(FEATURES, bytes(48)) + extension(0x12345678, b"x") + extension(BACKING_FORMAT, b"raw")),
    oslo=IN_THE_IMAGE, qemu="has a format, and no file that it is of")
add("qcow2-data-file", "qcow2", "data-file", qcow2(features=4, extensions=extension(DATA_FILE, b"secret.bin")))
add("qcow2-data-file-without-name", "qcow2", "data-file", qcow2(features=4),
    qemu="shows the name of a data file, and there is none; converting it fails")
add("qcow2-data-file-version-2", "qcow2", "data-file", qcow2(version=2).put(72, be((64, 4))),
    qemu="reads no features of version 2; oslo.utils does")
add("qcow2-data-file-name-alone", "qcow2", "data-file", qcow2(extensions=extension(DATA_FILE, b"secret.bin")),
    oslo=IN_THE_IMAGE)
add("qcow2-data-file-name-version-2", "qcow2", "data-file",
    qcow2(version=2, extensions=extension(DATA_FILE, b"secret.bin")),
    oslo=IN_THE_IMAGE, qemu="shows a data file of version 3 only, and opens one where a feature says so")
for bit in (4, 5, 7, 8, 31, 32, 63):
    add(f"qcow2-feature-{bit}", "qcow2", "unknown-feature", qcow2(features=1 << bit))
add("qcow2-encrypted-aes", "qcow2", "encrypted", qcow2(crypt=1), oslo=IN_THE_IMAGE,
    qemu="tells its format, and would ask for the key when it reads")
add("qcow2-encrypted-luks", "qcow2", "encrypted", qcow2(crypt=2), oslo=IN_THE_IMAGE)
add("qcow2-crypto-header", "qcow2", "encrypted", qcow2(extensions=extension(CRYPTO, bytes(16))), oslo=IN_THE_IMAGE)
add("qcow2-version-4", "qcow2", "malformed-header", qcow2(version=4))
add("qcow2-version-0", "qcow2", "malformed-header", qcow2(version=0))
add("qcow2-clusters-of-256", "qcow2", "malformed-header", qcow2(bits=8), oslo=IN_THE_IMAGE)
add("qcow2-clusters-of-4m", "qcow2", "malformed-header", qcow2(bits=22), oslo=IN_THE_IMAGE)
add("qcow2-short-header", "qcow2", "malformed-header", qcow2(header_length=96), oslo=IN_THE_IMAGE)
add("qcow2-header-beyond-cluster", "qcow2", "malformed-header", qcow2(header_length=4104), oslo=IN_THE_IMAGE)
add("qcow2-extension-beyond-cluster", "qcow2", "malformed-header",
    qcow2(extensions=be((32, 0x12345678), (32, 4096))), oslo=IN_THE_IMAGE)
add("qcow2-extension-beyond-head", "qcow2", "malformed-header",
    qcow2(bits=17, extensions=be((32, 0x12345678), (32, 65600))), oslo=IN_THE_IMAGE)
add("qcow2-extension-to-the-heads-end", "qcow2", "malformed-header",
    qcow2(bits=17, extensions=be((32, 0x12345678), (32, 65416))), oslo=IN_THE_IMAGE)
add("qcow2-cut-in-header", "qcow2", "truncated-header", qcow2().cut(100))
add("qcow2-absurd-size", "qcow2", "virtual-size", qcow2(size=1 << 62), oslo="Nova compares it with the flavor's disk")
add("qcow2-as-raw", "raw", "format-mismatch", qcow2())
add("qcow2-as-disk", "disk", "format-mismatch", qcow2())
add("qcow2-as-iso", "iso", "format-mismatch", qcow2())
add("qcow2-in-system-area", "iso", "several-formats", disc(qcow2()))
add("qcow2-with-partitions", "raw", "several-formats", partitioned(qcow2()))
add("qcow2-with-vdi", "qcow2", "several-formats", qcow2(version=2).put(64, le((32, 0xBEDA107F))))

# ---- qcow: the first version; QEMU's block/qcow.c, QCowHeader.


def qcow(backing=b""):
    header = b"QFI\xfb" + be((32, 1), (64, 512 if backing else 0), (32, len(backing)), (32, 0), (64, 1 << 20), (8, 12),
                             (8, 9), (16, 0), (32, 0), (64, 48))
    return Image(4096).put(0, header).put(512, backing)


add("qcow", "qcow2", "malformed-header", qcow())
add("qcow-backing", "qcow2", "backing-file", qcow(backing=b"secret.bin"))
add("qcow-backing-as-nothing", "nothing", "backing-file", qcow(backing=b"secret.bin"))
add("qcow-as-raw", "raw", "format-mismatch", qcow())

# ---- QED: QEMU's docs/interop/qed_spec.rst, "Specification".


def qed(features=0, backing=b""):
    header = b"QED\0" + le((32, 65536), (32, 2), (32, 1), (64, features), (64, 0), (64, 0), (64, 65536), (64, 1 << 20),
                           (32, 64 if backing else 0), (32, len(backing)))
    return Image(3 * 65536).put(0, header + backing)


add("qed", "nothing", "unsupported-format", qed())
add("qed-as-raw", "raw", "format-mismatch", qed())
add("qed-backing", "nothing", "backing-file", qed(features=1, backing=b"secret.bin"))
add("qed-backing-feature-alone", "nothing", "backing-file", qed(features=1))
add("qed-backing-name-alone", "nothing", "backing-file", qed(backing=b"secret.bin"))

add("qed-backing-offset-alone", "nothing", "backing-file", qed().put(56, b"\x40"))
add("qed-backing-length-alone", "nothing", "backing-file", qed().put(60, b"\x40"))

# ---- VMDK: "Virtual Disk Format 5.0", VMware: "Hosted Sparse Extents", "The Descriptor File", "Stream-Optimized
# Compressed Sparse Extents"; "ESX Server Sparse Extents" of 1.1. QEMU's block/vmdk.c for what is read of it.

SPARSE = 'RW 2048 SPARSE "disk.vmdk"'
AT_END = (1 << 64) - 1


def descriptor(kind="monolithicSparse", extents=SPARSE, cid="parentCID=ffffffff", comment="", field="", ddb=""):
    lines = ["# Disk DescriptorFile", comment, "version=1", "CID=7b2c7e6d", cid, f'createType="{kind}"', field, "",
             "# Extent description", extents, "", "# The Disk Data Base", "#DDB", "", 'ddb.virtualHWVersion = "4"', ddb]
    return "\n".join(lines).encode() + b"\n"


def sparse_header(version=1, flags=1, capacity=2048, at=1, sectors=20, directory=21, compression=0):
    return b"KDMV" + le((32, version), (32, flags), (64, capacity), (64, 128), (64, at), (64, sectors), (32, 512),
                        (64, 0), (64, directory), (64, 27), (8, 0)) + b"\n \r\n" + le((16, compression))


def vmdk(text=None, at=SECTOR, **header):
    """Header, descriptor, a grain directory of one table, and that table."""
    image = Image(27 * SECTOR).put(0, sparse_header(**header)).put(at, descriptor() if text is None else text)
    directory = header.get("directory", 21)
    return image.put((21 if directory == AT_END else directory) * SECTOR, le((32, 22)))


def stream(text=None, marker=3, pad=0, magic=b"KDMV", end=0, tail=b"", **footer):
    """The same for a stream: the footer's marker, the footer, and the marker of the end."""
    fields = dict(version=3, flags=0x30001, compression=1)
    image = vmdk(descriptor("streamOptimized") if text is None else text, directory=AT_END, **fields)
    second = sparse_header(**{**fields, **footer})
    image.put(27 * SECTOR, le((64, 1), (32, 0), (32, marker), (8, pad)))
    image.put(28 * SECTOR, magic + second[4:]).put(29 * SECTOR, le((64, 0), (32, 0), (32, end)))
    return image.put(30 * SECTOR - 1, b"\0" + tail)


BY_INFO = "looks for no parent; Nova learns of it from qemu-img info"
ONE_CASE = "compares capitals; a parent in another dress is none"

add("vmdk", "vmdk", SOUND, vmdk())
add("vmdk-stream", "vmdk", SOUND, stream())
for name, target in {
    "path": "/etc/shadow", "relative": "secret.bin", "nbd": "nbd://192.0.2.1:10809/x",
    "json": "json:{'driver':'file','filename':'secret.bin'}", "fd": "/proc/self/fd/3",
}.items():
    add(f"vmdk-parent-{name}", "vmdk", "backing-file", vmdk(descriptor(field=f'parentFileNameHint="{target}"')),
        oslo=BY_INFO)
HINT = 'parentFileNameHint="secret.bin"'
add("vmdk-parent-as-nothing", "nothing", "backing-file", vmdk(descriptor(field=HINT)), oslo=BY_INFO)
add("vmdk-parent-in-comment", "vmdk", "backing-file", vmdk(descriptor(comment="# " + HINT)), oslo=BY_INFO)
add("vmdk-parent-in-ddb", "vmdk", "backing-file", vmdk(descriptor(ddb=f"ddb.comment = {HINT}")), oslo=BY_INFO)
add("vmdk-parent-in-extents-name", "vmdk", "backing-file",
    vmdk(descriptor(extents='RW 2048 SPARSE "parentFileNameHint=xsecret.bin"')), oslo=BY_INFO)
add("vmdk-parent-without-quotes", "vmdk", "backing-file", vmdk(descriptor(field="parentFileNameHint=secret.bin")),
    oslo=BY_INFO)
add("vmdk-parent-in-capitals", "vmdk", "backing-file", vmdk(descriptor(field=HINT.upper())), oslo=BY_INFO, qemu=ONE_CASE)
add("vmdk-parent-in-small-letters", "vmdk", "backing-file", vmdk(descriptor(field=HINT.lower())), oslo=BY_INFO,
    qemu=ONE_CASE)
add("vmdk-parent-behind-descriptor", "vmdk", "backing-file",
    vmdk(descriptor().ljust(SECTOR, b"\n") + HINT.encode(), sectors=1), oslo=BY_INFO)
add("vmdk-parent-far-behind-descriptor", "vmdk", "backing-file",
    vmdk(descriptor().ljust(20 * SECTOR - len(HINT), b"\n") + HINT.encode(), sectors=1), oslo=BY_INFO)
add("vmdk-parent-at-the-end-of-20-sectors", "vmdk", "backing-file",
    vmdk(descriptor().ljust(20 * SECTOR - len(HINT), b"\n") + HINT.encode()), oslo=BY_INFO)
add("vmdk-parent-behind-20-sectors", "vmdk", "backing-file",
    vmdk((descriptor().ljust(21 * SECTOR, b"\n") + HINT.encode() + b"\n").ljust(24 * SECTOR, b"\n"), sectors=24,
         directory=25),
    oslo=BY_INFO, qemu="searches 20 sectors; VMware reads all of the descriptor")
add("vmdk-hint-behind-nul", "vmdk", SOUND, vmdk(descriptor() + b"\0" + HINT.encode()))
add("vmdk-parent-cid", "vmdk", "backing-file", vmdk(descriptor(cid="parentCID=7b2c7e6d")), oslo=BY_INFO,
    qemu="goes by the hint alone")
add("vmdk-parent-cid-too-long", "vmdk", "backing-file", vmdk(descriptor(cid="parentCID=ffffffff0")), oslo=BY_INFO,
    qemu="goes by the hint alone")
add("vmdk-parent-cid-in-capitals", "vmdk", SOUND, vmdk(descriptor(cid="parentCID=FFFFFFFF")))
add("vmdk-second-parent-cid", "vmdk", "backing-file", vmdk(descriptor(field="parentcid=1")), oslo=BY_INFO,
    qemu="goes by the hint alone")
add("vmdk-parent-stream", "vmdk", "backing-file",
    stream(descriptor("streamOptimized", field=HINT)), oslo=BY_INFO)
for kind, flat in {"FLAT": " 0", "VMFS": "", "VMFSSPARSE": "", "SESPARSE": "", "ZERO": "", "VMFSRDM": "", "VMFSRAW": ""}.items():
    add(f"vmdk-extent-{kind.lower()}", "vmdk", "vmdk-extent", vmdk(descriptor(extents=f'RW 2048 {kind} "secret.bin"{flat}')),
        oslo="looks at the name of an extent, not at its kind", qemu="reads no extents where the header has a capacity")
EXTENT_UNREAD = "reads no extents where the header has a capacity"
add("vmdk-extent-path", "vmdk", "vmdk-extent", vmdk(descriptor(extents='RW 2048 SPARSE "/etc/shadow"')), qemu=EXTENT_UNREAD)
add("vmdk-extent-path-of-windows", "vmdk", "vmdk-extent", vmdk(descriptor(extents='RW 2048 SPARSE "..\\\\x"')),
    oslo="knows the slash only", qemu=EXTENT_UNREAD)
add("vmdk-extent-second", "vmdk", "vmdk-extent", vmdk(descriptor(extents=SPARSE + '\nRW 2048 SPARSE "other.vmdk"')),
    oslo="counts no extents", qemu=EXTENT_UNREAD)
add("vmdk-extent-over-lines", "vmdk", "vmdk-extent", vmdk(descriptor(extents='RW\n2048 FLAT "secret.bin" 0')), qemu=EXTENT_UNREAD)
add("vmdk-extent-with-tabs", "vmdk", "vmdk-descriptor", vmdk(descriptor(extents=SPARSE + '\nRW\t2048\tFLAT\t"a=b"\t0')),
    oslo="takes the line for a field, as no space is before its =", qemu=EXTENT_UNREAD)
add("vmdk-extent-none", "vmdk", "vmdk-extent", vmdk(descriptor(extents="")), qemu=EXTENT_UNREAD)
add("vmdk-without-capacity", "vmdk", "vmdk-extent",
    vmdk(descriptor("monolithicSparse", extents='RW 2048 FLAT "secret.bin" 0'), capacity=0),
    oslo="looks at no capacity; Nova learns from qemu-img info")
add("vmdk-without-capacity-flat", "vmdk", "vmdk-extent",
    vmdk(descriptor("monolithicFlat", extents='RW 2048 FLAT "secret.bin" 0'), capacity=0))
for kind in ("monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "vmfsSparse", "seSparse", "custom",
             "fullDevice", "partitionedDevice"):
    add(f"vmdk-type-{kind.lower()}", "vmdk", "vmdk-type", vmdk(descriptor(kind)),
        qemu="tells the type by the header: monolithicSparse")
add("vmdk-type-hidden-in-comment", "vmdk", "vmdk-type",
    vmdk(descriptor("vmfs", comment='# createType="monolithicSparse"')),
    oslo="goes by the first of several", qemu="tells the type by the header: monolithicSparse")
add("vmdk-type-none", "vmdk", "vmdk-descriptor", vmdk(descriptor().replace(b"createType", b"kind")),
    qemu="tells the type by the header: monolithicSparse")
add("vmdk-type-endless", "vmdk", "vmdk-descriptor", vmdk(descriptor("x" * 64)),
    qemu="tells the type by the header: monolithicSparse")
add("vmdk-line-unknown", "vmdk", "vmdk-descriptor", vmdk(descriptor(field="hello there")),
    qemu="passes over lines that it does not know")
add("vmdk-descriptor-in-utf8", "vmdk", "vmdk-descriptor", vmdk(descriptor(comment="# \u00e9")),
    qemu="passes over lines that it does not know")
add("vmdk-descriptor-elsewhere", "vmdk", "vmdk-descriptor", vmdk(at=2 * SECTOR).put(28, le((64, 2))))
add("vmdk-version-4", "vmdk", "malformed-header", vmdk(version=4))
add("vmdk-version-0", "vmdk", "malformed-header", vmdk(version=0), qemu="has no least version")
add("vmdk-cut-in-descriptor", "vmdk", "truncated-header", vmdk().cut(2 * SECTOR))
add("vmdk-absurd-size", "vmdk", "virtual-size", vmdk(capacity=1 << 62), oslo="Nova compares it with the flavor's disk")
FOOTER = "takes the footer for the header, and has no objection to it"
for name, changes, qemu in (
    ("capacity-none", dict(capacity=0), FOOTER),
    ("capacity", dict(capacity=4096), FOOTER),
    ("descriptor", dict(at=2), FOOTER),
    ("descriptor-length", dict(sectors=1), FOOTER),
    ("version", dict(version=1), FOOTER),
    ("flags", dict(flags=1), FOOTER),
    ("compression", dict(compression=0), FOOTER),
    ("another-footer", dict(directory=AT_END), None),
    ("magic", dict(magic=b"VMDK"), None),
    ("marker", dict(marker=2), None),
    ("end-marker", dict(end=1), None),
    ("padding", dict(pad=1), FOOTER),
):
    unseen = {"capacity-none", "capacity", "flags", "compression"}
    add(f"vmdk-footer-{name}", "vmdk", "vmdk-footer", stream(**changes), qemu=qemu,
        oslo="compares signature, version and the descriptor's place" if name in unseen else None)
add("vmdk-footer-within-a-sector", "vmdk", "vmdk-footer", stream(tail=b"x"))
add("vmdk-text", "vmdk", "vmdk-extent", disk(TEXT.ljust(600, b"\n"), 600))
add("vmdk-text-sparse", "vmdk", "vmdk-extent", disk(descriptor().ljust(600, b"\n"), 600),
    oslo="takes a text that says so for one of the two types; Nova learns from qemu-img info")
add("vmdk-text-with-parent", "vmdk", "backing-file",
    disk((b"version=1\n" + HINT.encode() + b"\n" + FLAT).ljust(600, b"\n"), 600))
add("vmdk-esx", "vmdk", "vmdk-type", Image(4096).put(0, b"COWD" + le((32, 1), (32, 3), (32, 2048), (32, 1), (32, 4),
                                                                     (32, 1), (32, 8))))
add("vmdk-esx-with-parent", "vmdk", "backing-file",
    Image(8192).put(0, b"COWD" + le((32, 1), (32, 3), (32, 2048), (32, 1), (32, 32), (32, 1), (32, 8)))
    .put(SECTOR, descriptor("vmfsSparse", field=HINT)))
add("vmdk-esx-as-raw", "raw", "format-mismatch", Image(4096).put(0, b"COWD"), oslo="knows no sparse extents of ESX")
add("vmdk-as-raw", "raw", "format-mismatch", vmdk())
add("vmdk-as-disk", "disk", "format-mismatch", vmdk())
# SESparse has no magic that anything probes; only a descriptor leads to it.
add("vmdk-sesparse-extent", "raw", "not-a-disk",
    Image(4096).put(0, le((64, 0xCAFEBABE), (64, 0x200000001), (64, 2048), (64, 8))),
    oslo="looks at no content of a raw image", qemu="takes what it does not know for a disk")

# ---- VHD: "Virtual Hard Disk Image Format Specification 1.0", Microsoft: "Hard Disk Footer Format", "Dynamic Disk Header
# Format", "Parent Locator Entries".

NOVA_NO_VHD = "Nova takes no vhd: its tools call the format vhd and vpc and want them to agree"


def checksum(data):
    return be((32, ~sum(data) & 0xFFFFFFFF))


def vhd_footer(kind, cookie=b"conectix"):
    footer = cookie + be((32, 2), (32, 0x10000), (64, 512 if kind > 2 else AT_END), (32, 0)) + b"qem2" + be((32, 0x50003)) + b"Wi2k"
    footer += be((64, 4 << 20), (64, 4 << 20), (16, 120), (8, 4), (8, 17), (32, kind))
    footer = footer.ljust(512, b"\0")
    return footer[:64] + checksum(footer) + footer[68:]


def vhd(kind=3, parent=b"", name=b"", locator=b""):
    header = b"cxsparse" + be((64, AT_END), (64, 1536), (32, 0x10000), (32, 2), (32, 2 << 20), (32, 0)) + parent
    header = (header.ljust(64, b"\0") + name).ljust(576, b"\0") + locator
    header = header.ljust(1024, b"\0")
    header = header[:36] + checksum(header) + header[40:]
    image = Image(2560).put(0, vhd_footer(kind)).put(512, header).put(1536, b"\xff" * 512)
    return image.put(2048, vhd_footer(kind))


add("vhd", "vhd", SOUND, vhd())
add("vhd-differencing", "vhd", "backing-file", vhd(kind=4, name="secret.vhd".encode("utf-16-be")),
    oslo="has no check of vhd", qemu="opens it as a dynamic one, without its parent")
UNREAD = "opens it as a dynamic one, and does not look"
add("vhd-parent-uuid", "vhd", "backing-file", vhd(parent=b"\x01" * 16), oslo="has no check of vhd", qemu=UNREAD)
add("vhd-parent-name", "vhd", "backing-file", vhd(name="secret.vhd".encode("utf-16-be")), oslo="has no check of vhd",
    qemu=UNREAD)
add("vhd-parent-locator", "vhd", "backing-file", vhd(locator=b"W2ku" + be((32, 1), (32, 20), (32, 0), (64, 2048))),
    oslo="has no check of vhd", qemu=UNREAD)
add("vhd-parent-last-locator", "vhd", "backing-file", vhd(locator=bytes(168) + b"MacX".ljust(24, b"\0")),
    oslo="has no check of vhd", qemu=UNREAD)
add("vhd-of-type-2-in-front", "vhd", "malformed-header", vhd(kind=2), oslo="has no check of vhd")
add("vhd-as-raw", "raw", "format-mismatch", vhd())
add("vhd-as-disk", "disk", "format-mismatch", vhd())
# A fixed VHD and a dmg are told by their end, which nothing probes; to all three they are disks.
add("vhd-fixed", "raw", SOUND, Image(8192).put(8192, vhd_footer(2)))
add("vhd-fixed-as-vhd", "vhd", "format-mismatch", Image(8192).put(8192, vhd_footer(2)))
add("dmg", "raw", SOUND, Image(8192).put(8192, (b"koly" + be((32, 4), (32, 512))).ljust(512, b"\0")))

# ---- VHDX: [MS-VHDX]: 2.2 "Header Section", 2.2.3 "Region Table", 2.6 "Metadata Region".


def crc32c_of(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC32C = [crc32c_of(byte) for byte in range(256)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def guid(text):
    first, second, third, *rest = text.split("-")
    return le((32, int(first, 16)), (16, int(second, 16)), (16, int(third, 16))) + bytes.fromhex("".join(rest))


BAT, METADATA = guid("2DC27766-F623-4200-9D64-115E9BFD4A08"), guid("8B7CA206-4790-4B9A-B8FE-575F050F886E")
FILE_PARAMETERS, VIRTUAL_SIZE = guid("CAA16737-FA36-4D43-B3B6-33F0AA44E76B"), guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8")
PAGE_83, LOGICAL = guid("BECA12AB-B2E6-4523-93EF-C309E000C746"), guid("8141BF1D-A96F-4709-BA47-F233A8FAAB5F")
PHYSICAL, PARENT_LOCATOR = guid("CDA348C7-445D-4471-9CC9-E9885251C556"), guid("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C")
MIB = 1 << 20
VHDX_ITEMS = [(FILE_PARAMETERS, le((32, MIB), (32, 0))), (VIRTUAL_SIZE, le((64, 4 * MIB))), (PAGE_83, b"\x01" * 16),
              (LOGICAL, le((32, 512))), (PHYSICAL, le((32, 512)))]
VHDX_REGIONS = [(METADATA, 2 * MIB), (BAT, 3 * MIB)]


def vhdx(items=VHDX_ITEMS, regions=VHDX_REGIONS, signature=b"regi", table=b"metadata", region_count=None, item_count=None,
         size=None):
    def summed(data, length):
        data = data.ljust(length, b"\0")
        return data[:4] + le((32, crc32c(data))) + data[8:]

    image = Image(4 * MIB).put(0, b"vhdxfile")
    for at, sequence in ((64 << 10, 1), (128 << 10, 2)):
        header = b"head" + le((32, 0), (64, sequence)) + b"\x02" * 32 + bytes(16) + le((16, 0), (16, 1), (32, MIB), (64, MIB))
        image.put(at, summed(header, 4096))
    entries = b"".join(kind + le((64, at), (32, MIB), (32, 1)) for kind, at in regions)
    count = len(regions) if region_count is None else region_count
    image.put(192 << 10, summed(signature + le((32, 0), (32, count), (32, 0)) + entries, 64 << 10))
    entries, at = b"", 64 << 10
    for kind, data in items:
        entries += kind + le((32, at), (32, len(data)), (32, 6), (32, 0))
        image.put(2 * MIB + at, data)
        at += (len(data) + 7) & ~7
    count = len(items) if item_count is None else item_count
    return image.put(2 * MIB, table + le((16, 0), (16, count)) + bytes(20) + entries)


def item(kind, data):
    return [(id, data if id == kind else old) for id, old in VHDX_ITEMS]


NO_VHDX_CHECK = "has no check of vhdx"
NO_TABLE = "stops at a table that makes no sense, and then knows the format and no size"
add("vhdx", "vhdx", SOUND, vhdx())
LOCATOR = (PARENT_LOCATOR, guid("B04AEFB7-D19E-4A81-B789-25B8E9445913") + bytes(4))
add("vhdx-differencing", "vhdx", "backing-file", vhdx(item(FILE_PARAMETERS, le((32, MIB), (32, 2))) + [LOCATOR]),
    oslo=NO_VHDX_CHECK)
add("vhdx-parent-without-locator", "vhdx", "backing-file", vhdx(item(FILE_PARAMETERS, le((32, MIB), (32, 2)))),
    oslo=NO_VHDX_CHECK)
add("vhdx-parent-and-blocks-kept", "vhdx", "backing-file", vhdx(item(FILE_PARAMETERS, le((32, MIB), (32, 3)))),
    oslo=NO_VHDX_CHECK)
add("vhdx-locator-alone", "vhdx", "backing-file", vhdx(VHDX_ITEMS + [LOCATOR]), oslo=NO_VHDX_CHECK)
add("vhdx-two-file-parameters", "vhdx", "malformed-header",
    vhdx(VHDX_ITEMS + [(FILE_PARAMETERS, le((32, MIB), (32, 2)))]), oslo="goes by the first of several")
add("vhdx-two-sizes", "vhdx", "malformed-header", vhdx(VHDX_ITEMS + [(VIRTUAL_SIZE, le((64, 8 * MIB)))]),
    oslo="goes by the first of several")
add("vhdx-two-metadata-regions", "vhdx", "malformed-header", vhdx(regions=VHDX_REGIONS + [(METADATA, 3 * MIB)]),
    oslo="goes by the first of several")
add("vhdx-without-size", "vhdx", "malformed-header", vhdx([(id, old) for id, old in VHDX_ITEMS if id != VIRTUAL_SIZE]),
    oslo=NO_VHDX_CHECK)
add("vhdx-without-metadata", "vhdx", "malformed-header", vhdx(regions=VHDX_REGIONS[1:]), oslo=NO_VHDX_CHECK)
add("vhdx-region-signature", "vhdx", "malformed-header", vhdx(signature=b"rega"), oslo=NO_TABLE)
add("vhdx-metadata-signature", "vhdx", "malformed-header", vhdx(table=b"metadatA"))
add("vhdx-too-many-regions", "vhdx", "malformed-header", vhdx(region_count=2048), oslo=NO_TABLE)
add("vhdx-too-many-items", "vhdx", "malformed-header", vhdx(item_count=2048), oslo=NO_TABLE)
add("vhdx-cut-in-metadata", "vhdx", "truncated-header", vhdx().cut(2 * MIB + 4096))
add("vhdx-absurd-size", "vhdx", "virtual-size", vhdx(item(VIRTUAL_SIZE, le((64, 1 << 62)))),
    oslo="Nova compares it with the flavor's disk")
add("vhdx-as-raw", "raw", "format-mismatch", vhdx())
add("vhdx-magic-as-disk", "disk", "format-mismatch", disk(b"vhdxfile"))

# ---- VDI: QEMU's block/vdi.c, "VdiHeader"; VirtualBox's VDICore.h.


def vdi(kind=1, link=b"", parent=b"", size=MIB, length=2 * SECTOR):
    header = b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0")
    header += le((32, 0xBEDA107F), (32, 0x10001), (32, 0x190), (32, kind), (32, 0)) + bytes(256)
    header += le((32, 512), (32, 1024), (32, 0), (32, 0), (32, 0), (32, 512), (32, 0), (64, size), (32, MIB), (32, 0), (32, 1),
                 (32, 0)) + b"\x01" * 32 + link.ljust(16, b"\0") + parent
    return Image(length).put(0, header).put(512, b"\xff" * 4)


NO_VDI_CHECK = "has no check of vdi"
add("vdi", "vdi", SOUND, vdi())
add("vdi-static", "vdi", SOUND, vdi(kind=2))
for kind, rule in ((0, "malformed-header"), (3, "backing-file"), (4, "backing-file"), (5, "malformed-header")):
    add(f"vdi-of-type-{kind}", "vdi", rule, vdi(kind=kind), oslo=NO_VDI_CHECK,
        qemu="looks at the type for a static one only")
add("vdi-link", "vdi", "backing-file", vdi(link=b"\x01" * 16), oslo=NO_VDI_CHECK)
add("vdi-link-last-byte", "vdi", "backing-file", vdi(link=bytes(15) + b"\x01"), oslo=NO_VDI_CHECK)
add("vdi-parent", "vdi", "backing-file", vdi(parent=b"\x01" * 16), oslo=NO_VDI_CHECK)
add("vdi-parent-last-byte", "vdi", "backing-file", vdi(parent=bytes(15) + b"\x01"), oslo=NO_VDI_CHECK)
add("vdi-cut-in-header", "vdi", "truncated-header", vdi().cut(400), qemu="reads zeros behind the end of the file")
add("vdi-absurd-size", "vdi", "virtual-size", vdi(size=1 << 62), oslo="Nova compares it with the flavor's disk")
add("vdi-as-raw", "raw", "format-mismatch", vdi())
add("vdi-with-partitions", "raw", "several-formats", partitioned(vdi()))
add("vdi-in-system-area", "iso", "several-formats", disc(vdi()))

# ---- Formats that are not taken: QEMU's docs/interop/parallels.rst, "Header"; block/bochs.c, bochs_header; block/cloop.c;
# "LUKS On-Disk Format Specification 1.2.3", 2.1; of each at least what QEMU probes.

PARALLELS = le((32, 2), (32, 4), (32, 120), (32, 2048), (32, 1), (64, 2048)) + bytes(20)
BOCHS = (b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + b"Growing".ljust(16, b"\0")
         + le((32, 0x20000), (32, 512), (32, 1), (32, 1), (32, 512), (32, 0), (64, MIB)))
CLOOP = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
LUKS = b"LUKS\xba\xbe" + be((16, 1))
for name, magic, found in (
    ("parallels", b"WithoutFreeSpace" + PARALLELS, "unsupported-format"),
    ("parallels-extended", b"WithouFreSpacExt" + PARALLELS, "unsupported-format"),
    ("bochs", BOCHS, "unsupported-format"),
    ("cloop", CLOOP, "unsupported-format"),
    ("luks", LUKS, "encrypted"),
):
    known = "luks" if name == "luks" else None
    unknown = None if known else "does not know the format; Nova learns of it from qemu-img info"
    add(name, "nothing", found, disk(magic), oslo=unknown)
    add(f"{name}-as-raw", "raw", "format-mismatch", disk(magic), oslo=unknown)
    add(f"{name}-as-disk", "disk", "format-mismatch", disk(magic), oslo=unknown)
    add(f"{name}-in-system-area", "iso", "several-formats", disc(disk(magic)), oslo=unknown)
add("luks-as-luks", "luks", "encrypted", disk(LUKS), oslo="takes luks; what Nova does with it depends on force_raw_images")

# ---- Disks and discs.

add("disk", "raw", SOUND, Image(4096))
add("disk-with-partitions", "raw", SOUND, partitioned(Image(4096)))
add("disk-with-gpt", "raw", SOUND, partitioned(Image(4096), GPT_ENTRY))
add("disc", "iso", SOUND, disc(Image(40960)))
add("disc-with-partitions", "iso", SOUND, disc(partitioned(Image(40960))))
add("disc-as-raw", "raw", "format-mismatch", disc(Image(40960)), qemu="knows no discs: raw to it; Nova tells them apart")
add("disk-as-iso", "iso", "format-mismatch", Image(40960), qemu="knows no discs: raw to it; Nova tells them apart")
add("disk-as-qcow2", "qcow2", "format-mismatch", Image(4096))
add("disk-as-gpt", "gpt", "unsupported-format", partitioned(Image(4096)), oslo="knows gpt; to qemu-img it is raw, and Nova wants the two to agree",
    qemu="knows no gpt: raw to it")
add("partition-with-unknown-flag", "raw", "partition-table", partitioned(Image(4096), b"\x7f" + MBR_ENTRY[1:]),
    qemu="looks at no partitions")
add("gpt-beside-partition", "raw", "partition-table", partitioned(Image(4096), GPT_ENTRY + MBR_ENTRY), qemu="looks at no partitions")
add("gpt-not-at-second-sector", "raw", "partition-table",
    partitioned(Image(4096), GPT_ENTRY[:8] + le((32, 2)) + GPT_ENTRY[12:]), qemu="looks at no partitions")
add("partitions-none", "raw", "partition-table", partitioned(Image(4096), bytes(16)), qemu="looks at no partitions")

# ---- Boot sectors that work, and that Nova refuses in a raw image: UEFI 2.10, 5.2.1 and 5.2.3; "Microsoft FAT
# Specification", 3.1; "exFAT File System Specification", 3.1.

NO_TABLE = "looks at no partitions"
FAT12 = b"\xeb\x3c\x90mkfs.fat" + le((16, 512), (8, 1), (16, 1), (8, 2), (16, 224), (16, 2880), (8, 0xF0))
NTFS = b"\xeb\x52\x90NTFS    " + le((16, 512), (8, 8)) + bytes(7) + b"\xf8"
for name, table, start in (
    ("gpt-from-chs-0-1-0", GPT_ENTRY[:2] + b"\x01" + GPT_ENTRY[3:], b""),
    ("gpt-from-chs-0-0-0", bytes(4) + GPT_ENTRY[4:], b""),
    ("partition-with-flag-81", b"\x81" + MBR_ENTRY[1:], b""),
    ("ntfs-without-table", b"boot code, where others have a table".ljust(64), NTFS),
    ("exfat-without-table", bytes(64), b"\xeb\x76\x90EXFAT   "),
    ("fat-of-a-floppy", bytes(64), FAT12.ljust(54, b"\0") + b"FAT12   "),
):
    add(name, "raw", "partition-table", partitioned(Image(4096).put(0, start), table), qemu=NO_TABLE)
add("fat-of-a-disk", "raw", SOUND, partitioned(Image(4096).put(0, FAT12[:-1] + b"\xf8"), bytes(64)))

# ---- Files that are no disk. Each mark is that of the format's document; of most, `file` knows it too.

UNSEEN = dict(oslo="looks at no content of a raw image", qemu="takes what it does not know for a disk")
TAR_NAME = b"disk.raw".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"00000000012\0" * 2


def tar(name, magic):
    """POSIX.1-2017, pax, "ustar Interchange Format"; without the magic it is the form of Unix 7."""
    head = name.ljust(100, b"\0") + TAR_NAME[100:]
    head = (head + b" " * 8 + b"0").ljust(257, b"\0") + magic
    return Image(4096).put(0, head).put(148, b"%06o\0 " % sum(head))


for name, mark in {
    "xz": b"\xfd7zXZ\0\0\x04",
    "gzip": b"\x1f\x8b\x08\x08\0\0\0\0\x02\x03disk.raw\0",
    "bzip2": b"BZh91AY&SY",
    "bzip2-empty": b"BZh9\x17\x72\x45\x38\x50\x90",
    "zstd": b"\x28\xb5\x2f\xfd\x04",
    "zstd-skipped-first": b"\x50\x2a\x4d\x18\x04\0\0\0",
    "lz4": b"\x04\x22\x4d\x18\x64",
    "lz4-old": b"\x02\x21\x4c\x18",
    "lzma": b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0",
    "lzip": b"LZIP\x01\x0c",
    "lzop": b"\x89LZO\0\r\n\x1a\n",
    "compress": b"\x1f\x9d\x90\x41\x04",
    "zip": b"PK\x03\x04\x14",
    "zip-empty": b"PK\x05\x06",
    "7z": b"7z\xbc\xaf\x27\x1c\0\x04",
    "rar": b"Rar!\x1a\x07\0",
    "rar-5": b"Rar!\x1a\x07\x01\0",
    "cpio": b"070701" + b"0" * 104,
    "cpio-odc": b"070707" + b"0" * 70,
    "cpio-old": le((16, 0o070707)) + bytes(18) + le((16, 2)) + bytes(4) + b".\0",
    "deb": b"!<arch>\ndebian-binary",
    "rpm": b"\xed\xab\xee\xdb\x03",
    "cabinet": b"MSCF" + bytes(4),
    "wim": b"MSWIM" + bytes(3),
    "encase": b"EVF\x09\x0d\x0a\xff\0",
    "android-sparse": b"\x3a\xff\x26\xed\x01",
    "partclone": b"partclone-image",
    "rbd-export": b"rbd image v2\n",
    "zfs-stream": bytes(8) + le((64, 0x2F5BACBAC)),
    "web-page": b"\n<!DOCTYPE html>\n",
    "ovf": b'\xef\xbb\xbf<?xml version="1.0"?>\n<Envelope',
    "git-lfs": b"version https://git-lfs.github.com/spec/v1\n",
}.items():
    add(f"{name}-as-raw", "raw", "not-a-disk", disk(mark), **UNSEEN)
    add(f"{name}-as-disk", "disk", "not-a-disk", disk(mark), **UNSEEN)
for name, archive in (
    ("tar", tar(b"disk.raw", b"ustar\x0000")),
    ("tar-of-gnu", tar(b"disk.raw", b"ustar  \0")),
    ("tar-of-unix-7", tar(b"disk.raw", b"")),
    ("ova", tar(b"vm.ovf", b"ustar\x0000")),
):
    add(f"{name}-as-nothing", "nothing", "not-a-disk", archive, **UNSEEN)
    add(f"{name}-as-ami", "ami", "not-a-disk", archive, **UNSEEN)
add("xz-with-the-mark-of-a-boot-sector", "raw", "not-a-disk", disk(b"\xfd7zXZ\0").put(510, b"\x55\xaa"), qemu=NO_TABLE)
add("cpio-as-ari", "ari", SOUND, disk(b"070701" + b"0" * 104))
add("gzip-as-aki", "aki", SOUND, disk(b"\x1f\x8b\x08\0"))
add("disk-that-begins-as-an-archive", "raw", SOUND, partitioned(disk(b"PK\x03\x04")))
for name, mark in (("ext4", b""), ("squashfs", b"hsqs"), ("cramfs", b"\x45\x3d\xcd\x28"), ("xfs", b"XFSB"), ("lvm", bytes(512) + b"LABELONE")):
    add(f"{name}-without-table", "raw", SOUND, disk(mark))

# ---- Nothing.

NOTHING = "has no least size"
add("empty-as-raw", "raw", "empty", b"", oslo=NOTHING, qemu=NOTHING)
add("empty-as-disk", "disk", "empty", b"", oslo=NOTHING, qemu=NOTHING)
add("empty-as-nothing", "nothing", "empty", b"", oslo=NOTHING, qemu=NOTHING)
add("qcow2-of-nothing", "qcow2", "empty", qcow2(size=0), oslo=NOTHING, qemu=NOTHING)


def rows(data):
    """What is not zero, 32 bytes a line; a byte that is repeated for some lines is written once."""
    at = 0
    while at < len(data):
        row = data[at : at + 32]
        if row[:1] * 32 != row:
            if any(row):
                yield f"{at:#x} {row.rstrip(bytes(1)).hex()}"
            at += 32
            continue
        start = at
        while data[at : at + 32] == row:
            at += 32
        if row[0]:
            yield f"{start:#x} {row[:1].hex()} * {at - start}"


def text():
    lines = ["# Made by make.py. An image: its name; what it is declared to be, and the rule that refuses it; its length;",
             "# then what is not zero: the place, and bytes in hexadecimal, or one of them and how often it is there."]
    for image in IMAGES:
        data = image["data"]
        lines += ["", f"image {image['name']}", f"claim {image['claim']}", f"rule {image['rule']}", f"length {len(data)}"]
        lines += rows(data)
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:2] == ["--files"]:
        folder = Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        for image in IMAGES:
            (folder / image["name"]).write_bytes(image["data"])
    elif sys.argv[1:2] == ["--check"]:
        sys.exit(Path(__file__).with_name("images.txt").read_text() != text())
    else:
        Path(__file__).with_name("images.txt").write_text(text())


if __name__ == "__main__":
    main()
