"""Items that end otherwise than they should: without delimiter, in padding, in garbage; or begin without an offset table."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PixelDataError
from pipeline.frames import available_frames, build_index, iter_frames, read_header
from support.dicom_bytes import (
    DELIMITER,
    JPEG,
    RLE,
    element,
    encapsulated_file,
    encapsulated_value,
    extended_tables,
    item,
    rle_frame,
    table_offsets,
)

PLANES = [np.full((4, 4), value, np.uint8) for value in (10, 20, 30)]
FRAGMENTS = [rle_frame(plane) for plane in PLANES]
TABLE = table_offsets(FRAGMENTS, range(3))
MARKED = [b"\xff\xd8\xff\xe0" + bytes([value]) * 20 + b"\xff\xd9" for value in (1, 2, 3)]
GARBAGE = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(range(1, 60))
MISSING = "the sequence delimiter is missing"


def file(delimiter: bytes, table: list[int] | None = TABLE, **values: Any) -> bytes:
    return encapsulated_file(encapsulated_value(FRAGMENTS, table, delimiter=delimiter), **({"frames": 3} | values))


def assert_whole(data: bytes) -> tuple[str, ...]:
    """Assert that all frames are there; return what is noted."""
    np.testing.assert_array_equal(list(iter_frames(io.BytesIO(data))), PLANES)
    header = read_header(io.BytesIO(data), source="made.dcm")
    return *build_index(io.BytesIO(data)).notes, *header.assumptions


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 10, 12, 15, 16, 17, 100, 4001, 3_000_000])
@pytest.mark.parametrize("table", [TABLE, None], ids=["table", "no-table"])
def test_zeros_in_place_of_the_delimiter(count: int, table: list[int] | None) -> None:
    assert assert_whole(file(bytes(count), table)) == (f"{MISSING}: {count} bytes of padding are in its place",)


@pytest.mark.parametrize("kept", range(1, 8))
def test_a_delimiter_that_is_cut(kept: int) -> None:
    assert assert_whole(file(DELIMITER[:kept])) == (f"{MISSING}: {kept} bytes of padding are in its place",)


@pytest.mark.parametrize("padding", [b"\r\n", b"\n", b"  ", b" " * 50, b"\0\0\r\n" + bytes(30)])
def test_other_padding(padding: bytes) -> None:
    assert assert_whole(file(padding)) == (f"{MISSING}: {len(padding)} bytes of padding are in its place",)


def test_zeros_before_elements_that_follow() -> None:
    behind = element(0x7FE10010, "LO", "PRIVATE") + element(0xFFFCFFFC, "OB", bytes(20))
    data = file(bytes(8) + behind)
    assert assert_whole(data) == (f"{MISSING}: 8 bytes of padding are in its place",)
    assert read_header(io.BytesIO(data), source="made.dcm").trailing == {0x7FE10010, 0xFFFCFFFC}


@pytest.mark.parametrize("defined", [True, False])
def test_zeros_within_a_defined_length(defined: bool) -> None:
    value = encapsulated_value(FRAGMENTS, TABLE, delimiter=bytes(12))
    behind = element(0x7FE10010, "LO", "PRIVATE") if defined else b""
    data = encapsulated_file(value, frames=3, length=len(value) if defined else 0xFFFFFFFF, after=behind)
    assert_whole(data)


@pytest.mark.parametrize("table", [TABLE, None], ids=["table", "no-table"])
@pytest.mark.parametrize("garbage", [GARBAGE, b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\x10", b"\1" * 7])
def test_garbage_behind_the_last_frame_costs_none(garbage: bytes, table: list[int] | None) -> None:
    """A frame of RLE is one fragment (PS3.5 A.4.2), so the last one is whole."""
    index = build_index(io.BytesIO(file(garbage, table)))
    assert_whole(file(garbage, table))
    (told,) = index.unstored
    assert told.startswith("the bytes after the last fragment can't be read: ")


@pytest.mark.parametrize("by", [2, 40, 5000])
def test_where_bytes_were_added_the_last_frame_is_doubtful(by: int) -> None:
    """Its item's length is as it was, and the delimiter comes later than it should."""
    last = FRAGMENTS[2][:70] + bytes(by) + FRAGMENTS[2][70:]
    value = encapsulated_value(FRAGMENTS[:2], TABLE, delimiter=b"") + item(last, len(FRAGMENTS[2])) + DELIMITER
    data = encapsulated_file(value, frames=3, after=element(0xFFFCFFFC, "OB", b"\1" * 20))
    with pytest.raises(PixelDataError, match="frame index 2 is missing"):
        build_index(io.BytesIO(data))


def test_garbage_behind_an_end_of_image_marker_costs_none() -> None:
    values = {"frames": 3, "rows": 16, "columns": 16}
    for fragments in (MARKED, [part for stream in MARKED for part in (stream[:10], stream[10:])]):
        data = encapsulated_file(encapsulated_value(fragments, delimiter=GARBAGE), JPEG, **values)
        assert available_frames(build_index(io.BytesIO(data))) == 3
        data = encapsulated_file(encapsulated_value(fragments[:-1], delimiter=GARBAGE), JPEG, **values)
        with pytest.raises(PixelDataError):
            build_index(io.BytesIO(data))


def test_garbage_may_hide_the_rest_of_a_frame() -> None:
    """A last frame that ends with no marker may have lost a fragment, whatever the table says."""
    stream = [*MARKED[:2], MARKED[2][:-2]]
    table = table_offsets(stream, range(3))
    for value in (encapsulated_value(stream, table, delimiter=GARBAGE), encapsulated_value(stream, delimiter=GARBAGE)):
        data = encapsulated_file(value, JPEG, frames=3, rows=16, columns=16)
        with pytest.raises(PixelDataError, match="frame index 2 is missing") as caught:
            build_index(io.BytesIO(data))
        assert caught.value.reason == "damaged_pixel_data"
        assert available_frames(build_index(io.BytesIO(data), lenient=True)) == 2


def test_garbage_behind_frames_that_nothing_declares_costs_none() -> None:
    data = encapsulated_file(
        encapsulated_value(MARKED, table_offsets(MARKED, range(3)), delimiter=GARBAGE),
        JPEG,
        frames=2,
        rows=16,
        columns=16,
    )
    index = build_index(io.BytesIO(data))
    assert available_frames(index) == 2
    assert index.unstored[0] == "3 frames found, only the declared 2 are stored"


def test_garbage_behind_an_extended_offset_table_costs_none() -> None:
    tables = extended_tables(TABLE, list(map(len, FRAGMENTS)))
    assert_whole(encapsulated_file(encapsulated_value(FRAGMENTS, delimiter=GARBAGE), frames=3, extra=tables))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_where_the_offset_table_is_missing_its_item_is_a_frame(frames: int) -> None:
    """Without it the first frame would be taken for the table, and the second one for the first."""
    value = b"".join(map(item, FRAGMENTS[:frames])) + DELIMITER
    data = encapsulated_file(value, RLE, frames=frames if frames > 1 else None)
    index = build_index(io.BytesIO(data))
    assert index.notes[0] == "the basic offset table is missing: the first item is a fragment"
    np.testing.assert_array_equal(list(iter_frames(io.BytesIO(data))), PLANES[:frames])


def test_a_missing_offset_table_and_frames_that_nothing_declares() -> None:
    data = encapsulated_file(b"".join(map(item, FRAGMENTS)) + DELIMITER, RLE, frames=None)
    index = build_index(io.BytesIO(data))
    np.testing.assert_array_equal(list(iter_frames(io.BytesIO(data))), PLANES[:1])
    assert index.unstored == ("3 frames found, only the declared 1 is stored (Number of Frames is absent)",)


def test_a_frame_in_several_fragments_stays_one() -> None:
    """Also where a piece of it looks like nothing that begins."""
    for cuts in ((8,), (2, 40), (30, 32, 50)):
        edges = [0, *cuts, len(FRAGMENTS[0])]
        pieces = [FRAGMENTS[0][start:stop] for start, stop in itertools.pairwise(edges)]
        for frames in (None, 1):
            data = encapsulated_file(encapsulated_value(pieces), RLE, frames=frames)
            np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), PLANES[0])
            assert build_index(io.BytesIO(data)).unstored == ()
