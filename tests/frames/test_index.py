"""The frame index against files whose bytes the tests made themselves."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pipeline.errors import FrameIndexError, PixelDataError
from pipeline.frames import available_frames, build_index, index_frames, read_header
from pipeline.model import FrameIndex
from support.dicom_bytes import (
    DELIMITER,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    RLE,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    extended_tables,
    header,
    item,
    meta,
    native_file,
    table_offsets,
)

quick = settings(deadline=None, max_examples=60)
END = b"\xff\xd9"


def held(data: bytes, index: FrameIndex, frame: int) -> bytes:
    return b"".join(data[offset : offset + length] for offset, length in index.ranges(frame))


def lenient(data: bytes, **kwargs: Any) -> FrameIndex:
    file = io.BytesIO(data)
    return index_frames(file, read_header(file, source="made"), lenient=True, **kwargs)


@st.composite
def fragmented_frames(draw: st.DrawFn) -> list[list[bytes]]:
    """Frames of one or more even fragments, without any end-of-image marker."""
    fragment = st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\xff", b"\xfe") * 2)
    return draw(st.lists(st.lists(fragment, min_size=1, max_size=4), min_size=1, max_size=12))


def starts_of(frames: list[list[bytes]]) -> list[int]:
    return [int(start) for start in np.cumsum([0, *map(len, frames)])[:-1]]


def assert_holds(data: bytes, index: FrameIndex, frames: list[list[bytes]]) -> None:
    assert index.number_of_frames == available_frames(index) == len(frames)
    for frame, fragments in enumerate(frames):
        assert held(data, index, frame) == b"".join(fragments)
        assert index.encoded_bytes(frame) == sum(map(len, fragments))


@quick
@given(fragmented_frames())
def test_basic_offset_table(frames: list[list[bytes]]) -> None:
    fragments = [fragment for frame in frames for fragment in frame]
    table = table_offsets(fragments, starts_of(frames))
    data = encapsulated_file(encapsulated_value(fragments, table), frames=len(frames))
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "basic_offset_table"
    assert index.notes == ()
    assert_holds(data, index, frames)


@quick
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12))
def test_extended_offset_table(frames: list[bytes]) -> None:
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    tables = extended_tables(table_offsets(padded, range(len(padded))), [len(frame) for frame in frames])
    data = encapsulated_file(encapsulated_value(padded), extra=tables, frames=len(frames))
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "extended_offset_table"
    assert_holds(data, index, [[frame] for frame in frames])


def test_extended_offset_table_in_another_order_than_the_fragments() -> None:
    frames = [b"aa", b"bbbb", b"cccccc"]
    offsets = table_offsets(frames, [2, 0, 1])
    data = encapsulated_file(encapsulated_value(frames), extra=extended_tables(offsets, [6, 2, 4]), frames=3)
    index = build_index(io.BytesIO(data))
    assert_holds(data, index, [[b"cccccc"], [b"aa"], [b"bbbb"]])


@quick
@given(st.lists(st.binary(min_size=2, max_size=40).map(lambda b: b * 2), min_size=2, max_size=12))
def test_one_fragment_a_frame(frames: list[bytes]) -> None:
    data = encapsulated_file(encapsulated_value(frames), frames=len(frames))
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "one_fragment_per_frame"
    assert_holds(data, index, [[frame] for frame in frames])


@quick
@given(fragmented_frames())
def test_single_frame(frames: list[list[bytes]]) -> None:
    fragments = [fragment for frame in frames for fragment in frame]
    data = encapsulated_file(encapsulated_value(fragments), frames=None)
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "single_frame"
    assert_holds(data, index, [fragments])


@quick
@given(fragmented_frames().filter(lambda frames: sum(map(len, frames)) > len(frames) > 1), st.integers(0, 8))
def test_end_of_image_markers(frames: list[list[bytes]], padding: int) -> None:
    ended = [[*frame[:-1], frame[-1] + END + b"\0" * padding] for frame in frames]
    fragments = [fragment for frame in ended for fragment in frame]
    data = encapsulated_file(encapsulated_value(fragments), JPEG, frames=len(frames))
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "end_of_image_markers"
    assert_holds(data, index, ended)


@quick
@given(fragmented_frames().filter(lambda frames: len(frames) > 1), st.data())
def test_a_wrong_basic_table_is_not_believed(frames: list[list[bytes]], data: st.DataObject) -> None:
    fragments = [fragment for frame in frames for fragment in frame]
    table = table_offsets(fragments, starts_of(frames))
    ends = [int(end) for end in np.cumsum([len(fragment) + 8 for fragment in fragments])]
    place = data.draw(st.integers(0, len(table) - 1))
    wrong = data.draw(st.integers(0, ends[-1] + 20).filter(lambda offset: offset not in {0, *ends[:-1]}))
    bad = [*table[:place], wrong, *table[place + 1 :]]
    file = encapsulated_file(encapsulated_value(fragments, bad), frames=len(frames))
    index = lenient(file)
    believed = index.boundaries == "basic_offset_table"
    if believed:  # the entry lies beyond the end: the frames before it are sound, the others missing
        assert wrong >= ends[-1]
        assert available_frames(index) < len(frames)
        with pytest.raises(PixelDataError):
            build_index(io.BytesIO(file))
    else:
        assert any("Basic Offset Table not believed" in note for note in index.notes)


@quick
@given(st.lists(st.binary(min_size=2, max_size=20).map(lambda b: b * 2), min_size=2, max_size=8), st.data())
def test_wrong_extended_tables_are_not_believed(frames: list[bytes], data: st.DataObject) -> None:
    offsets, lengths = table_offsets(frames, range(len(frames))), [len(frame) for frame in frames]
    victim = data.draw(st.sampled_from([offsets, lengths]))
    place = data.draw(st.integers(0, len(frames) - 1))
    victim[place] += data.draw(st.sampled_from([-3, 1, 2, 3, 2**40, 2**63]) if victim[place] else st.just(5))
    file = encapsulated_file(encapsulated_value(frames), extra=extended_tables(offsets, lengths), frames=len(frames))
    index = build_index(io.BytesIO(file))
    assert index.boundaries == "one_fragment_per_frame"
    assert index.notes[0].startswith("Extended Offset Table not believed")
    assert_holds(file, index, [[frame] for frame in frames])


@quick
@given(
    rows=st.integers(1, 7),
    columns=st.integers(1, 7),
    frames=st.integers(1, 9),
    bits=st.sampled_from([1, 8, 16, 32]),
    samples=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_native_ranges_hold_every_bit(  # noqa: PLR0917  one a drawn value
    rows: int, columns: int, frames: int, bits: int, samples: int, seed: int
) -> None:
    size = rows * columns * samples
    stream = np.random.default_rng(seed).integers(0, 2, frames * size * bits, dtype=np.uint8)
    pixels = np.packbits(stream, bitorder="little").tobytes()
    colour = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} if samples == 3 else {}
    data = native_file(pixels, rows=rows, columns=columns, bits=bits, frames=frames, SamplesPerPixel=samples, **colour)
    index = build_index(io.BytesIO(data))
    assert index.boundaries == "native"
    for frame in range(frames):
        got = np.unpackbits(np.frombuffer(held(data, index, frame), np.uint8), bitorder="little")
        skip = frame * size * bits % 8
        expected = stream[frame * size * bits : (frame + 1) * size * bits]
        np.testing.assert_array_equal(got[skip : skip + size * bits], expected)
        assert len(got) - skip - size * bits < 8


@quick
@given(fragmented_frames(), st.booleans())
def test_serialisation_round_trip(frames: list[list[bytes]], table: bool) -> None:
    fragments = [fragment for frame in frames for fragment in frame]
    entries = table_offsets(fragments, starts_of(frames)) if table else None
    index = lenient(encapsulated_file(encapsulated_value(fragments, entries), frames=len(frames)))
    again = FrameIndex.from_bytes(index.to_bytes())
    assert again.to_bytes() == index.to_bytes()
    assert (again.options, again.notes, again.boundaries) == (index.options, index.notes, index.boundaries)
    assert [again.ranges(f) for f in range(available_frames(index))] == [
        index.ranges(f) for f in range(available_frames(index))
    ]


@quick
@given(fragmented_frames(), st.data())
def test_a_part_of_an_index_knows_its_frames_as_the_whole_does(frames: list[list[bytes]], data: st.DataObject) -> None:
    value = encapsulated_value([fragment for frame in frames for fragment in frame])
    cut = data.draw(st.integers(0, len(value) // 2))  # an index made leniently lacks frames
    try:
        index = lenient(encapsulated_file(value[: len(value) - cut], frames=len(frames)))
    except PixelDataError:
        reject()
    start = data.draw(st.integers(0, len(frames)))
    stop = data.draw(st.integers(start, len(frames) + 2))
    part = FrameIndex.read_part(io.BytesIO(index.to_bytes()), start, stop)
    there = available_frames(index)
    assert available_frames(part) == min(stop, there)
    assert (part.options, part.notes, part.number_of_frames) == (index.options, index.notes, index.number_of_frames)
    for frame in range(start, min(stop, there)):
        assert part.ranges(frame) == index.ranges(frame)
    assert len(part.fragment_offsets) == sum(len(index.ranges(frame)) for frame in range(start, min(stop, there)))
    if 0 < start <= there:
        with pytest.raises(FrameIndexError, match="isn't in this part"):
            part.ranges(start - 1)


def test_a_part_of_a_native_index_is_the_whole() -> None:
    index = build_index(io.BytesIO(native_file(np.zeros(12, np.uint8).tobytes(), rows=2, columns=2, bits=8, frames=3)))
    part = FrameIndex.read_part(io.BytesIO(index.to_bytes()), 2, 3)
    assert [part.ranges(frame) for frame in range(3)] == [index.ranges(frame) for frame in range(3)]


def test_what_is_no_index_is_refused() -> None:
    with pytest.raises(ValueError, match="not a serialised frame index"):
        FrameIndex.read_part(io.BytesIO(b"PAR1 and so on"), 0, 1)


def test_an_index_serves_another_process(tmp_path: Any) -> None:
    frames = [bytes([i]) * 6 for i in range(5)]
    path = tmp_path / "a.dcm"
    path.write_bytes(encapsulated_file(encapsulated_value(frames), frames=5))
    (tmp_path / "index").write_bytes(pickle.dumps(build_index(path)))
    code = (
        "import pickle, sys; i = pickle.load(open(sys.argv[1], 'rb')); f = open(sys.argv[2], 'rb');"
        "o, n = i.ranges(3)[0]; f.seek(o); print(f.read(n).hex(), 'pydicom' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "index", path], capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == ["030303030303", "False"]


@pytest.mark.parametrize("frame", [-1, 3, 10**9])
def test_a_frame_out_of_range_names_the_range(frame: int) -> None:
    index = build_index(io.BytesIO(native_file(bytes(48), frames=3)))
    with pytest.raises(FrameIndexError, match="valid indices are 0 to 2"):
        index.ranges(frame)


def truncated_file(frames: int, kept: int, cut: int) -> bytes:
    """A file with table whose last `kept` fragment has lost `cut` bytes, and all after it."""
    fragments = [bytes([i + 1]) * 20 for i in range(frames)]
    value = encapsulated_value(fragments, table_offsets(fragments, range(frames)))
    end = 8 + 4 * frames + 28 * kept - cut
    return encapsulated_file(value[:end], frames=frames)


def test_missing_frames_are_named() -> None:
    data = truncated_file(frames=5, kept=3, cut=0)
    with pytest.raises(PixelDataError, match="frame indices 3 to 4 are missing") as caught:
        build_index(io.BytesIO(data))
    assert caught.value.reason == "frames_missing"
    assert available_frames(lenient(data)) == 3


def test_a_cut_last_fragment_keeps_what_is_there() -> None:
    data = truncated_file(frames=3, kept=3, cut=7)
    index = build_index(io.BytesIO(data))
    assert held(data, index, 2) == b"\3" * 13
    assert any("ends inside the last fragment" in note for note in index.notes)


def test_fewer_fragments_than_frames() -> None:
    data = encapsulated_file(encapsulated_value([b"ab", b"cd"]), frames=3)
    with pytest.raises(PixelDataError, match=r"fewer fragments than frames.*2 fragments, 3 frames") as caught:
        build_index(io.BytesIO(data))
    assert caught.value.reason == "frames_missing"
    assert available_frames(lenient(data)) == 0


def test_more_frames_than_declared_are_left_out() -> None:
    fragments = [b"ab", b"cd", b"ef"]
    data = encapsulated_file(encapsulated_value(fragments, table_offsets(fragments, range(3))), frames=2)
    index = build_index(io.BytesIO(data))
    assert_holds(data, index, [[b"ab"], [b"cd"]])
    assert index.unstored == ("3 frames found, only the declared 2 are stored",)
    assert FrameIndex.from_bytes(index.to_bytes()).unstored == index.unstored


def test_a_missing_delimiter_is_noted() -> None:
    value = encapsulated_value([b"ab", b"cd"], delimiter=b"")
    after = element(0x7FE10010, "LO", "PRIVATE")
    for data in (encapsulated_file(value, frames=2), encapsulated_file(value, frames=2, after=after)):
        index = build_index(io.BytesIO(data))
        assert_holds(data, index, [[b"ab"], [b"cd"]])
        assert index.notes == ("the sequence delimiter is missing",)


@pytest.mark.parametrize(
    ("middle", "text"),
    [
        (item(b"", 0xFFFFFFFF), "undefined item length"),
        (b"\x08\x00\x08\x00CS\0\0", r"unexpected tag \(0008,0008\)"),
    ],
)
def test_a_damaged_item(middle: bytes, text: str) -> None:
    table = item(np.array([0, 10, 20], "<u4").tobytes())
    value = table + item(b"ab") + item(b"cd") + middle + item(b"ef") + DELIMITER
    data = encapsulated_file(value, frames=3)
    with pytest.raises(PixelDataError, match=text) as caught:
        build_index(io.BytesIO(data))
    assert caught.value.reason == "damaged_pixel_data"
    assert available_frames(lenient(data)) == 1  # whether the second frame is whole, nobody knows


def test_encapsulated_data_of_defined_length() -> None:
    value = encapsulated_value([b"ab", b"cd"], delimiter=b"")
    data = encapsulated_file(value, frames=2, length=len(value))
    index = build_index(io.BytesIO(data))
    assert_holds(data, index, [[b"ab"], [b"cd"]])
    assert index.notes == ("encapsulated pixel data in an element of defined length",)


def test_native_data_in_an_encapsulated_syntax() -> None:
    data = meta(RLE) + header(attributes()) + element(0x7FE00010, "OB", bytes(range(16)))
    with pytest.raises(PixelDataError, match="defined length is that of native"):
        build_index(io.BytesIO(data))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_items_in_a_native_syntax(syntax: str) -> None:
    value = encapsulated_value([b"ab"])
    vr = {} if syntax == IMPLICIT else {"syntax": syntax}
    undefined = element(0x7FE00010, "OB", value, **({"syntax": IMPLICIT} | vr), length=0xFFFFFFFF)
    with pytest.raises(PixelDataError, match=r"undefined length.*native"):
        build_index(io.BytesIO(meta(syntax) + header(attributes(), syntax) + undefined))
    with pytest.raises(PixelDataError, match="begin with an item"):
        build_index(io.BytesIO(native_file(value, frames=9)))


def test_native_data_too_short_names_both_numbers() -> None:
    data = native_file(bytes(40), frames=4)
    with pytest.raises(PixelDataError, match=r"40 vs 64 bytes.*2 of 4 frame") as caught:
        build_index(io.BytesIO(data))
    assert caught.value.reason == "pixel_data_too_short"
    assert available_frames(lenient(data)) == 2


def test_native_data_cut_by_the_end_of_the_file() -> None:
    with pytest.raises(PixelDataError, match=r"40 vs 64 bytes"):
        build_index(io.BytesIO(native_file(bytes(64), frames=4)[:-24]))


def test_native_data_with_extra_bytes() -> None:
    assert build_index(io.BytesIO(native_file(bytes(36), frames=2))).notes == (
        "the pixel data hold 4 bytes more than 2 frame(s) need",
    )
    index = build_index(io.BytesIO(native_file(bytes(64), frames=2)))
    assert index.unstored == ("4 frames found, only the declared 2 are stored",)
    assert index.notes == ("the pixel data hold 32 bytes more than 2 frame(s) need",)


def test_colour_of_full_size_that_claims_to_be_subsampled() -> None:
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    with pytest.raises(PixelDataError, match="a third larger"):
        build_index(io.BytesIO(native_file(bytes(48), **colour)))
    assert build_index(io.BytesIO(native_file(bytes(32), **colour))).frame_bits == 256


def test_overrides_take_precedence() -> None:
    data = native_file(bytes(64), frames=1)
    index = build_index(io.BytesIO(data), number_of_frames=4)
    assert (index.number_of_frames, index.notes) == (4, ())
    assert build_index(io.BytesIO(data), rows=8, columns=8).frame_bits == 512


@pytest.mark.parametrize("frames", [0, ""])
def test_no_number_of_frames_is_one_frame(frames: Any) -> None:
    index = build_index(io.BytesIO(native_file(bytes(16), frames=frames)))
    assert (index.number_of_frames, index.notes) == (1, ("Number of Frames is empty or 0: 1 frame assumed",))
