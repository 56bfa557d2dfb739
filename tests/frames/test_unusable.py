"""One value that can't be used costs its frame, not the whole array; and it is noted."""

from __future__ import annotations

import io
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frames import FrameAttributes, frame_attributes, read_header
from support.converted_folders import convert
from support.dicom_bytes import element, item, native_file

PIXELS = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
GOOD = "0\\0\\5"


def macro(sequence: int, *elements: bytes) -> bytes:
    return element(sequence, "SQ", item(b"".join(elements)))


def group(position: str, *more: bytes) -> bytes:
    return item(macro(0x00209113, element(0x00200032, "DS", position)) + b"".join(more))


def groups(*items: bytes) -> bytes:
    return element(0x52009230, "SQ", b"".join(items))


def attributes_of(*more: bytes, frames: int = 4) -> FrameAttributes:
    data = native_file(PIXELS[:frames].tobytes(), frames=frames, more=more)
    return frame_attributes(read_header(io.BytesIO(data), source="made.dcm"), frames)


@pytest.mark.parametrize(
    "bad",
    ["0\\0", "0\\0\\5\\1", "5", "0\\0\\five", "0\\\\5", "0\\0\\nan", "0\\0\\inf", "a\\b\\c", "0,0,5", "1 2 3", "\\\\"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_bad_position_costs_its_frame(bad: str) -> None:
    found = attributes_of(groups(group("0\\0\\1"), group(bad), group("0\\0\\3"), group("0\\0\\4")))
    assert found.by_frame["ImagePositionPatient"] == [[0.0, 0.0, 1.0], None, [0.0, 0.0, 3.0], [0.0, 0.0, 4.0]]
    assert found.notes == ("ImagePositionPatient isn't 3 numbers in 1 frame(s), the first is frame index 1: left out",)


@pytest.mark.filterwarnings("ignore")
def test_what_isnt_there_isnt_bad() -> None:
    found = attributes_of(groups(group(GOOD), group(""), item(b""), group("0\\0\\6")))
    assert found.by_frame["ImagePositionPatient"] == [[0.0, 0.0, 5.0], None, None, [0.0, 0.0, 6.0]]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("sequence", "tag", "vr", "bad", "keyword", "what"),
    [
        (0x00289110, 0x00280030, "DS", "0.5", "PixelSpacing", "isn't 2 numbers"),
        (0x00289110, 0x00180050, "DS", "1\\2", "SliceThickness", "isn't one number"),
        (0x00289145, 0x00281053, "DS", "1.0.0", "RescaleSlope", "isn't one number"),
        (0x00209116, 0x00200037, "DS", "1\\0\\0\\0\\1", "ImageOrientationPatient", "isn't 6 numbers"),
        (0x00189117, 0x00189087, "FD", struct.pack("<2d", 1, 2), "DiffusionBValue", "isn't one number"),
        (0x00189117, 0x00189087, "FD", struct.pack("<d", math.nan), "DiffusionBValue", "isn't one number"),
        (0x00189117, 0x00189087, "FD", b"\1\2\3\4", "DiffusionBValue", "isn't one number"),
        (0x00189114, 0x00189082, "FD", struct.pack("<2d", 1, 2), "EffectiveEchoTime", "isn't one number"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_of_any_keyword_of_numbers(  # noqa: PLR0917  one a drawn value
    sequence: int, tag: int, vr: str, bad: Any, keyword: str, what: str
) -> None:
    where = "in 2 frame(s), the first is frame index 2"
    wrong = macro(sequence, element(tag, vr, bad))
    found = attributes_of(groups(group("0\\0\\1"), group("0\\0\\2"), group(GOOD, wrong), group("0\\0\\6", wrong)))
    assert keyword not in found.constant
    assert found.by_frame.get(keyword, [None] * 4) == [None] * 4
    assert found.notes == (f"{keyword} {what} {where}: left out",)


@pytest.mark.filterwarnings("ignore")
def test_a_bad_value_of_the_whole_instance() -> None:
    found = attributes_of(element(0x00280030, "DS", "0.5"), element(0x00281050, "DS", "40\\80"), frames=1)
    assert "PixelSpacing" not in found.constant
    assert found.constant["WindowCenter"] == [40.0, 80.0]  # of which there may be any number
    assert found.notes == ("PixelSpacing isn't 2 numbers: left out",)
    shared = element(0x52009229, "SQ", item(macro(0x00289110, element(0x00280030, "DS", "0.5"))))
    found = attributes_of(element(0x00280030, "DS", "1\\2"), shared, frames=1)
    assert found.constant["PixelSpacing"] == [1.0, 2.0]
    assert found.notes == ("PixelSpacing isn't 2 numbers: left out",)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_groups_of_another_number_are_noted(count: int) -> None:
    found = attributes_of(groups(*[group(f"0\\0\\{place}") for place in range(count)]))
    assert found.by_frame == {}
    assert found.notes == (f"the Per-frame Functional Groups have {count} item(s) for 4 frame(s): left out",)


def test_groups_that_cant_be_parsed_are_noted() -> None:
    found = attributes_of(element(0x52009230, "SQ", b"\1\2\3\4\5\6"))
    assert found.notes == ("the Per-frame Functional Groups have 0 item(s) for 4 frame(s): left out",)


@pytest.mark.parametrize(
    ("tag", "vr", "values", "keyword", "count"),
    [
        (0x00181065, "DS", "0\\10\\10", "FrameTimeVector", 3),
        (0x00181065, "DS", "0\\10\\10\\10\\10", "FrameTimeVector", 5),
        (0x00181065, "DS", "10", "FrameTimeVector", 1),
        (0x3004000C, "DS", "0\\2\\4", "GridFrameOffsetVector", 3),
        (0x00540070, "US", struct.pack("<2H", 1, 2), "TimeSlotVector", 2),
        (0x00540080, "US", struct.pack("<6H", *range(6)), "SliceVector", 6),
        (0x00181065, "DS", "0\\ten\\10\\10", "FrameTimeVector", 0),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_vectors_of_another_length_are_noted(tag: int, vr: str, values: Any, keyword: str, count: int) -> None:
    found = attributes_of(element(tag, vr, values))
    assert keyword not in found.by_frame | found.constant
    assert found.notes == (f"{keyword} has {count} value(s) for 4 frame(s): left out",)


def test_a_multi_frame_image_keeps_numbers_beside_its_pixels(tmp_path: Path) -> None:
    bad = groups(group("0\\0\\1"), group("0\\0"), group("0\\0\\3"), group("0\\0\\4"))
    found = convert(tmp_path / "in", {"a.dcm": native_file(PIXELS.tobytes(), frames=4, more=[bad])})
    stored = np.array(found.values("a.dcm", "ImagePositionPatient"))
    np.testing.assert_array_equal(stored, [[0, 0, 1], [math.nan] * 3, [0, 0, 3], [0, 0, 4]])
    assert stored.dtype == np.float64
    assert "ImagePositionPatient isn't 3 numbers in 1 frame(s)" in found.rows["a.dcm"]["assumptions"]
    assert found.verdicts()["a.dcm"]["verdict"] == "equal"


def test_a_stack_keeps_numbers_beside_its_pixels(tmp_path: Path) -> None:
    """One slice has a position of two numbers, one has two windows, one has no slope."""
    files = {}
    for place, frame in enumerate(PIXELS):
        position = f"0\\0\\{place}" if place != 2 else "0\\0"
        window = "40" if place != 1 else "40\\300"
        slope = [element(0x00281053, "DS", str(place + 1))] if place != 3 else []
        more = [
            element(0x0020000D, "UI", "1.2.1"),
            element(0x0020000E, "UI", "1.2.2"),
            element(0x00200032, "DS", position),
            element(0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
            element(0x00281050, "DS", window),
            *slope,
        ]
        files[f"{place}.dcm"] = native_file(frame.tobytes(), more=more, SOPInstanceUID=f"1.2.3.{place}")
    found = convert(tmp_path / "in", files)
    assert len({row["image"] for row in found.rows.values()}) == 1
    positions = {name: found.values(name, "ImagePositionPatient")[0] for name in files}
    assert [positions[f"{place}.dcm"] for place in (0, 1, 3)] == [[0, 0, 0], [0, 0, 1], [0, 0, 3]]
    assert np.isnan(positions["2.dcm"]).all()
    windows = [found.values(name, "WindowCenter")[0] for name in files]
    np.testing.assert_array_equal(windows, [[40, math.nan], [40, 300], [40, math.nan], [40, math.nan]])
    slopes = [found.values(name, "RescaleSlope")[0] for name in files]
    np.testing.assert_array_equal(slopes, [1, 2, 3, math.nan])
    row = found.rows["2.dcm"]
    assert "ImagePositionPatient isn't 3 numbers: left out" in row["assumptions"]
    assert json.loads(row["attributes"]).get("ImagePositionPatient") is None
    assert {row["verdict"] for row in found.verdicts().values()} == {"equal"}
