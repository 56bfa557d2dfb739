"""Positions of TILED_FULL tiles: in rows, planes, optical paths and segments, and across the parts of a concatenation."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frames import FrameAttributes, frame_attributes, read_header
from pipeline.frames.tiles import UNKNOWN_PLACE
from support.converted_folders import convert
from support.dicom_bytes import EXPLICIT, IMPLICIT, attributes, element, header, item, meta, native_file

ACROSS, DOWN, TILE = 3, 2, 8
COLUMN, ROW = "ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix"
ORDER = [(column * TILE + 1, row * TILE + 1) for row, column in itertools.product(range(DOWN), range(ACROSS))]
"""The standard's order (PS3.3 C.7.6.17.3): along rows from left to right, then downwards."""


def number(tag: int, value: int, vr: str = "UL", syntax: str = EXPLICIT) -> bytes:
    return element(tag, vr, struct.pack("<L" if vr == "UL" else "<H", value), syntax=syntax)


def matrix(**more: int) -> list[bytes]:
    tags = {"planes": 0x00480303, "offset": 0x00209228, "part": 0x00209162, "parts": 0x00209163}
    parts = [number(tags[name], value, "US" if name.startswith("part") else "UL") for name, value in more.items()]
    whole = [element(0x00209161, "UI", "1.2.9")] if more.keys() & {"part", "parts", "offset"} else []
    size = [number(0x00480006, ACROSS * TILE), number(0x00480007, DOWN * TILE - 3)]
    return [element(0x00209311, "CS", "TILED_FULL"), *size, *whole, *parts]


def paths(*names: str) -> bytes:
    return element(0x00480105, "SQ", b"".join(item(element(0x00480106, "SH", name)) for name in names))


def segments(*numbers: int) -> bytes:
    return element(0x00620002, "SQ", b"".join(item(number(0x00620004, n, "US")) for n in numbers))


def tiles(frames: int, more: list[bytes], **values: Any) -> FrameAttributes:
    data = native_file(bytes(TILE * TILE * frames), rows=TILE, columns=TILE, frames=frames, more=more, **values)
    return frame_attributes(read_header(io.BytesIO(data), source="made.dcm"), frames)


def places(found: FrameAttributes, frames: int) -> list[tuple[int, int]]:
    columns = [found.by_frame.get(name, [found.constant.get(name)] * frames) for name in (COLUMN, ROW)]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_a_part_goes_on_where_the_one_before_ends(start: int, frames: int) -> None:
    found = tiles(frames, matrix(offset=start, part=1 if start == 0 else 2, parts=2))
    assert places(found, frames) == [ORDER[place % 6] for place in range(start, start + frames)]
    assert found.notes == ()


@pytest.mark.parametrize("start", [0, 4, 6, 9, 17])
def test_planes_and_optical_paths_begin_anew_at_the_first_tile(start: int) -> None:
    frames = 24 - start
    found = tiles(frames, [*matrix(planes=2, offset=start, part=1 + bool(start)), paths("red", "blue")])
    expected = [(path, *place) for path, _, place in itertools.product(("red", "blue"), range(2), ORDER)][start:]
    assert places(found, frames) == [(column, row) for _, column, row in expected]
    identifiers = found.by_frame.get("OpticalPathIdentifier", [found.constant.get("OpticalPathIdentifier")] * frames)
    assert identifiers == [path for path, *_ in expected]


def test_segments_come_last_and_by_number() -> None:
    found = tiles(12, [*matrix(), segments(7, 2)], SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    assert found.by_frame["ReferencedSegmentNumber"] == [2] * 6 + [7] * 6
    assert places(found, 12) == ORDER * 2
    both = tiles(24, [*matrix(), paths("a", "b"), segments(1, 2)])
    assert both.by_frame["OpticalPathIdentifier"] == (["a"] * 6 + ["b"] * 6) * 2
    assert both.by_frame["ReferencedSegmentNumber"] == [1] * 12 + [2] * 12


def test_the_segments_of_a_label_map_share_its_tiles() -> None:
    kind = element(0x00620001, "CS", "LABELMAP")
    assert "ReferencedSegmentNumber" not in tiles(6, [*matrix(), kind, segments(1, 2)]).by_frame


@pytest.mark.parametrize("more", [{"part": 2}, {"part": 3, "parts": 3}, {"parts": 2}])
def test_a_part_that_doesnt_say_where_it_begins_has_no_positions(more: dict[str, int]) -> None:
    found = tiles(3, matrix(**more))
    assert not {COLUMN, ROW} & (found.by_frame.keys() | found.constant.keys())
    assert found.notes == (UNKNOWN_PLACE,)


@pytest.mark.parametrize("more", [{}, {"part": 1, "parts": 2}, {"offset": 0}])
def test_what_begins_at_the_first_tile_needs_no_offset(more: dict[str, int]) -> None:
    found = tiles(6, matrix(**more))
    assert (places(found, 6), found.notes) == (ORDER, ())


def test_positions_that_are_given_go_before() -> None:
    def group(column: int) -> bytes:
        place = number(0x0048021E, column, "UL", IMPLICIT) + number(0x0048021F, 5, "UL", IMPLICIT)
        return item(element(0x0048021A, "SQ", item(place), syntax=IMPLICIT))

    groups = element(0x52009230, "UN", group(40) + group(50))
    assert places(tiles(2, [*matrix(), groups]), 2) == [(40, 5), (50, 5)]


def test_the_parts_of_a_slide_are_converted_so(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, TILE, TILE), np.uint8)
    files, cuts = {}, {"a": (0, 1), "b": (1, 4), "c": (4, 6)}
    for place, (name, (start, stop)) in enumerate(cuts.items()):
        more = matrix(offset=start, part=place + 1, parts=3)
        values = attributes(
            TILE,
            TILE,
            frames=stop - start,
            SOPInstanceUID=f"1.2.3.{place}",
            SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6",
        )
        body = header(values, more=more) + element(0x7FE00010, "OB", pixels[start:stop].tobytes())
        files[f"{name}.dcm"] = meta(EXPLICIT) + body
    found = convert(tmp_path / "in", files)
    for name, (start, stop) in cuts.items():
        file = f"{name}.dcm"
        assert list(zip(found.values(file, COLUMN), found.values(file, ROW), strict=True)) == ORDER[start:stop]
        np.testing.assert_array_equal(found.frames(file), pixels[start:stop])
