#!/usr/bin/env python3
"""Compares glancecast's judgement of the corpus with those of oslo.utils and of qemu-img, and writes AGREEMENT.md.

It needs oslo.utils (`pip install oslo.utils` in a virtual environment; `python3 -m venv`) and qemu-img, and no network.
glancecast's judgement is the rule that make.py gives an image, which `cargo test -p glancecast-inspect` holds it to.
Fails if a difference has no explanation in make.py, or an explanation has no difference.
"""

import io
import json
import logging
import os
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import make
from oslo_utils.imageutils import format_inspector

RAW_DECLARED = {"raw", "iso", "gpt", "ami", "aki", "ari", "disk"}
CONVERTED = {"qcow2", "vmdk", "vhd", "vhdx", "vdi"}
VMDK_TYPES = {"monolithicSparse", "streamOptimized"}
TAKEN = "taken"


def oslo(data, declared):
    """What Nova's do_image_deep_inspection makes of oslo.utils: one format, the declared one, and its safety checks."""
    wrapper = format_inspector.InspectWrapper(io.BytesIO(data))
    while wrapper.read(4096):
        pass
    wrapper.close()
    inspectors = {str(inspector): inspector for inspector in wrapper.formats}
    if set(inspectors) == {"iso", "gpt"}:
        del inspectors["gpt"]
    if len(inspectors) > 1:
        return "several: " + ", ".join(sorted(inspectors))
    [(found, inspector)] = inspectors.items()
    allowed = {
        "raw": {"raw", "gpt"}, "ami": {"raw", "gpt", "iso"}, "aki": {"raw", "gpt", "iso"}, "ari": {"raw", "gpt", "iso"},
        "disk": {"raw", "gpt", "iso"}, "nothing": {"raw", "gpt", "iso"} | CONVERTED,
    }.get(declared, {declared})
    if found not in allowed:
        return found
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as failed:
        return "unsafe: " + ", ".join(sorted(failed.failures))
    except format_inspector.ImageFormatError as error:
        return f"error: {error}"
    return TAKEN


def qemu(path, declared):
    """What Nova makes of `qemu-img info`: the declared format, nothing outside, an allowed type of vmdk."""
    run = subprocess.run(["qemu-img", "info", "--output=json", path], capture_output=True, text=True,
                         env={**os.environ, "LC_ALL": "C"})
    if run.returncode != 0:
        reason = run.stderr.strip().splitlines()[0].split(f"'{path}'")[-1]
        return "error: " + reason.removeprefix("qemu-img: ").lstrip(": ")
    info = json.loads(run.stdout)
    found = {"vpc": "vhd"}.get(info["format"], info["format"])
    details = info.get("format-specific", {}).get("data", {})
    for field, place in (("backing-filename", info), ("data-file", details)):
        if field in place:
            return f"{found}, {field} {place[field]}"
    expected = {"raw"} if declared in RAW_DECLARED else {"raw"} | CONVERTED if declared == "nothing" else {declared}
    if found not in expected:
        return found
    kind = details.get("create-type")
    return TAKEN if kind is None or kind in VMDK_TYPES else f"{found}, create-type {kind}"


def explained(image, other, verdict, wrong):
    """An explanation that is needed, or None. It is `wrong` if it is there without a difference, or the other way round."""
    differs = (verdict == TAKEN) != (image["rule"] == make.SOUND)
    reason = image[other]
    if differs and reason is None:
        wrong.append(f"{image['name']}: {other}: {verdict}: this difference has no explanation")
    if not differs and reason is not None:
        wrong.append(f"{image['name']}: {other}: {verdict}: there is no difference to explain")
    return reason


def cell(text):
    """What a tool says may be bytes of the image."""
    return text.encode("unicode_escape").decode().replace("|", "\\|").replace("`", "'")


def check_conversion():
    """qcow2-of-a-text is sound, and its disk begins as text-plain-as-disk does."""
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", "qcow2-of-a-text", "converted"], check=True)
    text = next(image["data"] for image in make.IMAGES if image["name"] == "text-plain-as-disk")
    assert Path("converted").read_bytes().startswith(text)


def main():
    logging.disable(logging.CRITICAL)
    here = Path(__file__).resolve().parent
    make_check = subprocess.run(["python3", str(here / "make.py"), "--check"])
    assert make_check.returncode == 0, "images.txt is not what make.py makes"
    rows, wrong, reasons = [], [], {"oslo": {}, "qemu": {}}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("secret.bin").write_bytes(b"secret" + bytes((1 << 20) - 6))
        for image in make.IMAGES:
            Path(image["name"]).write_bytes(image["data"])
            verdicts = {"oslo": oslo(image["data"], image["claim"]), "qemu": qemu(image["name"], image["claim"])}
            marks = {}
            for other, verdict in verdicts.items():
                reason = explained(image, other, verdict, wrong)
                marks[other] = cell(verdict)
                if reason is not None:
                    names = reasons[other].setdefault(reason, [])
                    names.append(image["name"])
                    marks[other] += f" [{other[0]}{list(reasons[other]).index(reason) + 1}]"
            rows.append(f"| {image['name']} | {image['claim']} | {image['rule']} | {marks['oslo']} | {marks['qemu']} |")
        check_conversion()
        os.chdir(here)
    if wrong:
        raise SystemExit("\n".join(wrong))
    tool = subprocess.run(["qemu-img", "--version"], capture_output=True, text=True).stdout.split()[2]
    (here / "AGREEMENT.md").write_text(record(rows, reasons, tool))
    print(f"{len(rows)} images, {sum(map(len, reasons['oslo'].values()))} differences with oslo.utils, "
          f"{sum(map(len, reasons['qemu'].values()))} with qemu-img")


def record(rows, reasons, tool):
    text = f"""# Agreement with oslo.utils and qemu-img

Made by `agree.py` with oslo.utils {version("oslo.utils")} and qemu-img {tool}. Each image of the corpus is judged three times:

- **glancecast**: the rule that refuses it, or `sound`. `tests/corpus.rs` holds glancecast to it, for the whole image and for
  its beginning.
- **oslo.utils**: as Nova's `do_image_deep_inspection` uses it: the image has one format, which is the declared one, and its
  safety checks pass. Otherwise the format that was found, or the check that failed.
- **qemu-img info**: as Nova reads its answer: the format that was probed is the declared one, with no `backing-filename`, no
  `data-file` and a create type that Nova allows. Otherwise what it says. `vpc` is written vhd. To QEMU iso, gpt and ami are raw.

Nova refuses what either of the two refuses. glancecast refuses all that one of the two refuses, and some more. A mark
refers to the explanation of a difference, below the table.

| image | declared | glancecast | oslo.utils | qemu-img info |
|---|---|---|---|---|
"""
    text += "\n".join(rows) + "\n"
    for other, title in (("oslo", "oslo.utils"), ("qemu", "qemu-img info")):
        text += f"\n## What {title} takes and glancecast refuses\n\n| | {title} | images |\n|---|---|---|\n"
        for number, (reason, names) in enumerate(reasons[other].items(), 1):
            text += f"| {other[0]}{number} | {reason} | {', '.join(names)} |\n"
    return text


if __name__ == "__main__":
    main()
