"""Damaged files end in errors of ours, whatever byte is wrong, and their headers can still be described."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.frames import (
    FrameReader,
    available_frames,
    frame_attributes,
    geometry,
    header_json,
    index_frames,
    iter_frames,
    keyword_values,
    pixel_format,
    read_header,
)
from support.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    element,
    encapsulated_file,
    encapsulated_value,
    item,
    native_file,
    rle_frame,
    table_offsets,
)

SEQUENCE = element(0x00081140, "SQ", item(element(0x00081150, "UI", "1.2.3")))
OPEN_SEQUENCE = element(
    0x00081140, "SQ", item(element(0x00081150, "UI", "1.2.3")) + b"\xfe\xff\xdd\xe0\0\0\0\0", length=0xFFFFFFFF
)
FRAGMENTS = [rle_frame(np.full((4, 4), i, np.uint8)) for i in range(3)]
FILES = {
    "explicit": native_file(bytes(range(48)), EXPLICIT, frames=3),
    "implicit": native_file(
        bytes(range(48)), IMPLICIT, frames=3, after=element(0x7FE10010, "LO", "X", syntax=IMPLICIT)
    ),
    "big": native_file(bytes(range(48)), BIG, frames=3),
    "deflated": native_file(bytes(range(48)), DEFLATED, frames=3),
    "encapsulated": encapsulated_file(
        encapsulated_value(FRAGMENTS, table_offsets(FRAGMENTS, range(3))), frames=3, extra=OPEN_SEQUENCE, after=SEQUENCE
    ),
}


def use(data: bytes) -> int:
    """Do all that a run does with a file; return how many frames it gave."""
    file = io.BytesIO(data)
    header = read_header(file, source="damaged")
    text, _ = header_json(header)
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    json.dumps(keyword_values(header, ("PatientName", "Rows", "ReferencedStudySequence", "Modality")), allow_nan=False)
    json.dumps(geometry(header), allow_nan=False)
    if header.pixel_keyword and pixel_format(header).frame_bytes > 100_000_000:
        return 0
    index = index_frames(file, header)
    json.dumps(frame_attributes(header, min(index.number_of_frames, 1000)), allow_nan=False)
    reader = FrameReader(file, index, source="damaged")
    for frame in range(min(available_frames(index), 5)):
        reader.read(frame)
    return available_frames(index)


@pytest.mark.parametrize("name", FILES)
def test_the_sound_files_are_sound(name: str) -> None:
    assert use(FILES[name]) == 3


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FILES)),
    place=st.floats(0, 1, exclude_max=True),
    change=st.binary(min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
@example(name="encapsulated", place=0.5, change=b"\0", cut=0.583984375)
def test_any_change_and_any_cut(name: str, place: float, change: bytes, cut: float | None) -> None:
    data = bytearray(FILES[name])
    start = 128 + int(place * (len(data) - 128))
    data[start : start + len(change)] = change
    damaged = bytes(data if cut is None else data[: int(cut * len(data))])
    for attempt in (lambda: use(damaged), lambda: sum(1 for _ in _few(damaged))):
        try:
            attempt()
        except PipelineError as error:
            assert str(error)  # noqa: PT017  any of our errors will do


def _few(data: bytes) -> list[np.ndarray]:
    frames = iter_frames(io.BytesIO(data))
    found = []
    for frame in frames:
        found.append(frame)
        if frame.nbytes > 1_000_000 or len(found) > 5:
            break
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_every_single_byte_set_to_ff_and_00(name: str) -> None:
    outcomes = set()
    for place in range(132, len(FILES[name])):
        for value in (0x00, 0xFF):
            data = bytearray(FILES[name])
            data[place] = value
            try:
                outcomes.add("sound" if use(bytes(data)) == 3 else "other")
            except PipelineError as error:
                outcomes.add(error.reason)
    assert {"sound", "invalid_attribute"} <= outcomes or name == "deflated"
