"""Files without pixel data: only what SOP Class, attributes and length agree to be no image is left alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.converted_folders import Converted, convert
from support.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PIXEL_DATA,
    attributes,
    element,
    header,
    item,
    meta,
    native_file,
)

ROOT = "1.2.840.10008.5.1.4.1.1"
NO_IMAGES = {
    "structure-set": f"{ROOT}.481.3",
    "plan": f"{ROOT}.481.5",
    "beams-record": f"{ROOT}.481.4",
    "report": f"{ROOT}.88.33",
    "dose-report": f"{ROOT}.88.67",
    "key-objects": f"{ROOT}.88.59",
    "presentation-state": f"{ROOT}.11.1",
    "colour-presentation-state": f"{ROOT}.11.2",
    "registration": f"{ROOT}.66.1",
    "raw-data": f"{ROOT}.66",
    "surfaces": f"{ROOT}.66.5",
    "tracts": f"{ROOT}.66.6",
    "ecg": f"{ROOT}.9.1.1",
    "pdf": f"{ROOT}.104.1",
    "stl": f"{ROOT}.104.3",
    "value-mapping": f"{ROOT}.67",
    "annotations": f"{ROOT}.91.1",
    "hanging-protocol": "1.2.840.10008.5.1.4.38.1",
    "dose-histogram": f"{ROOT}.481.2",
    "private": "1.3.12.2.1107.5.9.1",
}
IMAGES = {
    "ct": f"{ROOT}.2",
    "enhanced-ct": f"{ROOT}.2.1",
    "mr": f"{ROOT}.4",
    "enhanced-mr-colour": f"{ROOT}.4.3",
    "pet": f"{ROOT}.128",
    "nm": f"{ROOT}.20",
    "nm-retired": f"{ROOT}.5",
    "us-volume": f"{ROOT}.6.2",
    "mammography": f"{ROOT}.1.2",
    "rt-image": f"{ROOT}.481.1",
    "slide": f"{ROOT}.77.1.6",
    "video": f"{ROOT}.77.1.1.1",
    "segmentation": f"{ROOT}.66.4",
    "label-map": f"{ROOT}.66.7",
    "parametric-map": f"{ROOT}.30",
    "secondary-capture": f"{ROOT}.7",
    "thickness-map": f"{ROOT}.81.1",
}
SPECTROSCOPY = f"{ROOT}.4.2"
SHAPE = {"Rows": 4, "Columns": 4}
PIXELS = np.arange(16, dtype="<u2")


def data_set(uid: str | None, syntax: str = EXPLICIT, more: tuple[bytes, ...] = (), **values: Any) -> bytes:
    """A file without pixel data; its file meta information names no SOP Class."""
    named = {"SOPClassUID": uid, "Modality": "OT"} | values
    kept = {keyword: value for keyword, value in named.items() if value is not None}
    return unnamed(syntax) + header(kept, syntax, more)


def unnamed(syntax: str, uid: str = "") -> bytes:
    elements = element(0x00020002, "UI", uid) * bool(uid) + element(0x00020010, "UI", syntax)
    return b"\0" * 128 + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(elements))) + elements


def ct(syntax: str = EXPLICIT, **values: Any) -> bytes:
    """The header of a CT slice."""
    return meta(syntax) + header(attributes(bits=16, **({"SOPClassUID": IMAGES["ct"]} | values)), syntax)


def absurd(tag: int, length: int) -> bytes:
    return element(tag, "OB", b"abcd", length=length)


def left_alone() -> dict[str, bytes]:
    files = {f"{name}.dcm": data_set(uid) for name, uid in NO_IMAGES.items()}
    fitting = element(0x56000020, "OF", bytes(8))
    return files | {
        "spectroscopy.dcm": data_set(SPECTROSCOPY, more=(fitting,), **SHAPE),
        "spectroscopy-with-bits.dcm": data_set(SPECTROSCOPY, more=(fitting,), BitsAllocated=32, **SHAPE),
        "private-with-rows.dcm": data_set("1.3.46.670589.11.0.0.12.1", **SHAPE),
        "nothing-said.dcm": data_set(None),
        "implicit.dcm": data_set(NO_IMAGES["report"], IMPLICIT),
        "big.dcm": data_set(NO_IMAGES["plan"], BIG),
        "report-and-a-line-s-end.dcm": data_set(NO_IMAGES["report"]) + b"\r\n",
        "report-and-a-byte.dcm": data_set(NO_IMAGES["report"]) + b"\x17",
        "report-and-zeros.dcm": data_set(NO_IMAGES["report"]) + bytes(1000),
        "private-and-zeros.dcm": data_set(NO_IMAGES["private"]) + bytes(7),
        "report-with-an-icon.dcm": data_set(
            NO_IMAGES["report"],
            more=(element(0x00880200, "SQ", item(element(0x00280010, "US", 8) + element(PIXEL_DATA, "OW", bytes(8)))),),
        ),
    }


def lost() -> dict[str, tuple[bytes, str]]:
    """Images that are lost, each with the reason."""
    long = tuple(element(0x00091000 + number, "LO", "x" * 60) for number in range(16, 250))
    whole, behind = ct(), element(PIXEL_DATA, "OW", PIXELS.tobytes())
    files = {f"{name}.dcm": (data_set(uid), "pixel_data_missing") for name, uid in IMAGES.items()}
    files |= {
        "dose-grid.dcm": (data_set(f"{ROOT}.481.2", BitsAllocated=32, **SHAPE), "pixel_data_missing"),
        "private-image.dcm": (data_set("1.3.12.2.1107.5.9.9", BitsAllocated=8, **SHAPE), "pixel_data_missing"),
        "no-class-image.dcm": (data_set(None, BitsAllocated=8, **SHAPE), "pixel_data_missing"),
        "class-in-meta.dcm": (unnamed(EXPLICIT, IMAGES["mr"]) + header({"Modality": "MR"}), "pixel_data_missing"),
        "elsewhere.dcm": (
            ct("1.2.840.10008.1.2.4.94") + element(0x00287FE0, "UR", "http://elsewhere.example/1"),
            "pixel_data_missing",
        ),
        "at-pixel-data.dcm": (whole, "pixel_data_missing"),
        "at-pixel-data-implicit.dcm": (ct(IMPLICIT), "pixel_data_missing"),
        "at-pixel-data-big.dcm": (ct(BIG), "pixel_data_missing"),
        "at-pixel-data-long.dcm": (
            meta(EXPLICIT) + header(attributes(bits=16, SOPClassUID=IMAGES["ct"]), more=long),
            "pixel_data_missing",
        ),
        "no-data-set.dcm": (unnamed(EXPLICIT), "header_unreadable"),
        "no-data-set-but-a-class.dcm": (meta(EXPLICIT), "pixel_data_too_short"),
        "private-in-a-tag.dcm": (data_set(NO_IMAGES["private"]) + b"\x10\0\x20\0LO", "header_unreadable"),
        "private-in-a-value.dcm": (data_set(NO_IMAGES["private"]) + absurd(0x00091001, 300), "header_unreadable"),
        "report-in-a-value.dcm": (data_set(NO_IMAGES["report"]) + absurd(0x00091001, 300), "header_unreadable"),
        "in-a-sequence.dcm": (
            whole + element(0x00400275, "SQ", item(element(0x00080060, "CS", "CT"), 0xFFFFFFFF), length=0xFFFFFFFF),
            "pixel_data_too_short",
        ),
        "deflated.dcm": (native_file(b"", DEFLATED, Modality="CT", SOPClassUID=IMAGES["ct"])[:-20], ""),
        "no-preamble.dcm": (header(attributes(bits=16, SOPClassUID=IMAGES["ct"])), "pixel_data_missing"),
    }
    for cut in (2, 4, 6, 8, 10, 11):
        files[f"in-pixel-tag-{cut}.dcm"] = (whole + behind[:cut], "pixel_data_too_short")
    for name, length in (("1m", 1 << 20), ("100m", 100 << 20), ("337m", 337256453), ("4g", 0xFFFFFFFE)):
        early = header(attributes(bits=16, SOPClassUID=IMAGES["ct"]), more=[absurd(0x00091010, length)])
        files[f"beyond-{name}.dcm"] = (meta(EXPLICIT) + early + behind, "pixel_data_too_short")
        files[f"beyond-{name}-late.dcm"] = (whole + absurd(0x00990010, length) + behind, "pixel_data_too_short")
    return files


REJECTED, LOST = left_alone(), lost()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    folder = tmp_path_factory.mktemp("without") / "in"
    return convert(folder, REJECTED | {name: file for name, (file, _) in LOST.items()})


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_no_image_is_left_alone(converted: Converted, name: str) -> None:
    row = converted.rows[name]
    assert (row["status"], row["reason"]) == ("rejected", "no_pixel_data"), row


@pytest.mark.parametrize("name", LOST)
def test_an_image_that_is_lost_has_failed(converted: Converted, name: str) -> None:
    row = converted.rows[name]
    assert row["status"] == "failed", row
    assert row["reason"] == (LOST[name][1] or row["reason"]), row
    assert row["message"].startswith(f"{converted.folder / name}: ")


def test_the_message_says_what_speaks_for_an_image(converted: Converted) -> None:
    def told(name: str) -> str:
        return str(converted.rows[name]["message"]).removeprefix(f"{converted.folder / name}: ")

    assert told("ct.dcm") == "no pixel data, although its SOP Class is CT Image Storage"
    assert told("label-map.dcm") == "no pixel data, although its SOP Class is Label Map Segmentation Storage"
    assert told("private-image.dcm") == "no pixel data, although it has Rows, Columns and Bits Allocated"
    assert told("elsewhere.dcm").endswith("; Pixel Data Provider URL refers to another place")
    assert told("in-pixel-tag-6.dcm").startswith("the file ends 6 bytes into an element, before its pixel data")
    assert told("beyond-100m.dcm").startswith("the file ends inside (0009,1010): ")
    assert told("in-a-sequence.dcm").startswith("the file ends inside (0040,0275), before its pixel data")
    assert told("private-in-a-tag.dcm").endswith("it is unknown whether it was an image")
    assert "1 bytes after the last element" in converted.rows["report-and-a-byte.dcm"]["assumptions"]


def test_the_run_says_so(converted: Converted) -> None:
    assert converted.result.exit_code == 1
    assert f"{len(LOST)} of {len(LOST) + len(REJECTED)} files could not be stored" in converted.result.stdout


@pytest.mark.parametrize("options", [{}, {"DICM": b"XXXX"}])
def test_a_file_cut_anywhere_is_never_left_alone(tmp_path: Path, options: dict[str, bytes]) -> None:
    """Cut within or between any two elements, with and without the preamble."""
    data = native_file(PIXELS.tobytes(), bits=16, SOPClassUID=IMAGES["ct"])
    start = 132 if options else 0
    cuts = range(132, len(data) - len(PIXELS.tobytes()) + 2, 3)
    found = convert(tmp_path / "in", {f"{cut}.dcm": data[start:cut] for cut in cuts if cut - start > 40})
    assert {row["status"] for row in found.rows.values()} <= {"failed", "rejected"}
    rejected = {name: row["reason"] for name, row in found.rows.items() if row["status"] == "rejected"}
    assert set(rejected.values()) <= {"not_dicom"}
    assert not rejected or options


def test_files_that_arent_asked_for_are_skipped_and_not_lost(tmp_path: Path) -> None:
    files = {"ct.dcm": ct(Modality="CT"), "mr.dcm": ct(Modality="MR"), "cut.dcm": ct(Modality="MR")[:-5]}
    rows = convert(tmp_path / "in", files, "--set", "select.where={Modality: CT}").rows
    assert {name: row["reason"] for name, row in rows.items()} == {
        "ct.dcm": "pixel_data_missing",
        "mr.dcm": "not_selected",
        "cut.dcm": "pixel_data_too_short",
    }
