"""Native pixel data: every frame equals the bytes put in, whatever its bits, order and place."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.pixels import iter_pixels, pixel_array

from pipeline.errors import DecodeError, FrameIndexError, PixelDataError
from pipeline.frames import FrameReader, build_index, iter_frames
from support.dicom_bytes import BIG, EXPLICIT, IMPLICIT, attributes, element, header, meta, native_file

quick = settings(deadline=None, max_examples=40)


def decoded(data: bytes, **kwargs: Any) -> list[np.ndarray]:
    return list(iter_frames(io.BytesIO(data), **kwargs))


@quick
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_bit_packed_frames_that_start_inside_a_byte(rows: int, columns: int, frames: int, seed: int) -> None:
    expected = np.random.default_rng(seed).integers(0, 2, (frames, rows, columns), dtype=np.uint8)
    pixels = np.packbits(expected.ravel(), bitorder="little").tobytes()
    data = native_file(pixels, vr="OB", rows=rows, columns=columns, bits=1, frames=frames)
    np.testing.assert_array_equal(np.stack(decoded(data)), expected)
    order = [*reversed(range(frames)), 0]
    np.testing.assert_array_equal(np.stack(decoded(data, indices=order)), expected[order])
    assert all(frame.dtype == np.uint8 and frame.flags.writeable for frame in decoded(data))


@quick
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_big_endian_words_of_8_bit_pixels(rows: int, columns: int, frames: int, seed: int) -> None:
    """PS3.5 8.1.2: the bytes of each pair are swapped, across the frames' boundaries too."""
    expected = np.random.default_rng(seed).integers(0, 256, (frames, rows, columns), dtype=np.uint8)
    flat = expected.tobytes()
    words = np.frombuffer(flat + b"\0" * (len(flat) % 2), "u2").byteswap().tobytes()
    data = native_file(words, BIG, vr="OW", rows=rows, columns=columns, frames=frames)
    np.testing.assert_array_equal(np.stack(decoded(data)), expected)
    order = [*reversed(range(frames))]
    np.testing.assert_array_equal(np.stack(decoded(data, indices=order)), expected[order])
    as_bytes = native_file(flat, BIG, vr="OB", rows=rows, columns=columns, frames=frames)
    np.testing.assert_array_equal(np.stack(decoded(as_bytes)), expected)


@quick
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_big_endian_words_of_single_bits(rows: int, columns: int, frames: int, seed: int) -> None:
    """PS3.5 8.1.1: the first pixel is in a word's lowest bit, and so in the second one of its bytes."""
    expected = np.random.default_rng(seed).integers(0, 2, (frames, rows, columns), dtype=np.uint8)
    packed = np.packbits(expected.ravel(), bitorder="little").tobytes()
    words = np.frombuffer(packed + b"\0" * (len(packed) % 2), "u2").byteswap().tobytes()
    data = native_file(words, BIG, vr="OW", rows=rows, columns=columns, bits=1, frames=frames)
    np.testing.assert_array_equal(np.stack(decoded(data)), expected)
    order = [*reversed(range(frames)), 0]
    np.testing.assert_array_equal(np.stack(decoded(data, indices=order)), expected[order])
    as_bytes = native_file(packed, BIG, vr="OB", rows=rows, columns=columns, bits=1, frames=frames)
    np.testing.assert_array_equal(np.stack(decoded(as_bytes)), expected)


@pytest.mark.parametrize(("syntax", "order"), [(EXPLICIT, "<"), (IMPLICIT, "<"), (BIG, ">")])
@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "u1", "i1"])
def test_the_byte_order_is_the_data_s(syntax: str, order: str, kind: str) -> None:
    bits = 8 * int(kind[1])
    limits = np.iinfo(kind)
    expected = np.array([limits.min, limits.max, 1, 0] * 8, kind).reshape(2, 4, 4)
    raw = expected.astype(f"{order}{kind}").tobytes()
    vr = "OB" if bits == 8 else "OW"
    data = native_file(raw, syntax, vr=vr, bits=bits, frames=2, PixelRepresentation=int(kind[0] == "i"))
    frames = decoded(data)
    np.testing.assert_array_equal(np.stack(frames), expected)
    assert all(frame.dtype == np.dtype(f"{order}{kind}") for frame in frames)


def test_unused_bits_are_corrected_unless_told_otherwise() -> None:
    pixels = np.full((4, 4), 0xF123, "<u2").tobytes()
    data = native_file(pixels, bits=16, BitsStored=12)
    assert decoded(data)[0].max() == 0x123
    assert decoded(data, correct_unused_bits=False)[0].min() == 0xF123


COLOUR = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}


def test_every_frame_of_subsampled_colour_is_expanded() -> None:
    """iter_pixels forgets YBR_FULL_422 after the first frame."""
    pixels = np.random.default_rng(0).integers(0, 256, 3 * 4 * 4 * 2, dtype=np.uint8).tobytes()
    data = native_file(pixels, vr="OB", frames=3, PhotometricInterpretation="YBR_FULL_422", **COLOUR)
    with pytest.raises(ValueError, match="reshape"):
        list(iter_pixels(io.BytesIO(data)))
    for raw in (False, True):
        expected = pixel_array(dcmread(io.BytesIO(data)), raw=raw)
        np.testing.assert_array_equal(np.stack(decoded(data, raw=raw)), expected)
    reader = FrameReader(io.BytesIO(data), build_index(io.BytesIO(data)))
    assert reader.read(2).photometric_interpretation == "RGB"


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_by_plane_comes_by_pixel(planar: int) -> None:
    expected = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    stored = expected if planar == 0 else expected.transpose(0, 3, 1, 2)
    colour = COLOUR | {"PlanarConfiguration": planar, "PhotometricInterpretation": "RGB"}
    data = native_file(np.ascontiguousarray(stored).tobytes(), vr="OB", frames=2, **colour)
    np.testing.assert_array_equal(np.stack(decoded(data)), expected)


def test_writeable_unless_view_only() -> None:
    data = native_file(bytes(64), frames=4)
    for frame in decoded(data):
        frame[:] = 1
    assert not any(frame.flags.writeable for frame in decoded(data, view_only=True))


def test_frames_of_a_dataset_are_nobody_elses() -> None:
    dataset = dcmread(io.BytesIO(native_file(bytes(64), frames=4)))
    for frame in iter_frames(dataset):
        frame[:] = 1
    assert not any(dataset.PixelData)


def test_a_view_of_a_dataset_isnt_a_copy() -> None:
    dataset = dcmread(io.BytesIO(native_file(bytes(64), frames=4)))
    whole = np.frombuffer(dataset.PixelData, np.uint8)
    assert all(np.shares_memory(frame, whole) for frame in iter_frames(dataset, view_only=True))


@pytest.mark.parametrize(("kept", "whole"), [(48, 3), (50, 3), (15, 0)])
def test_whole_frames_come_before_the_error(kept: int, whole: int) -> None:
    data = native_file(bytes(range(64)), frames=4)[: kept - 64]
    frames: list[np.ndarray] = []
    with pytest.raises(PixelDataError, match=f"frame ind.*{whole}") as caught:
        frames.extend(iter_frames(io.BytesIO(data)))
    assert [frame[0, 0] for frame in frames] == [16 * i for i in range(whole)]
    assert caught.value.reason == "pixel_data_too_short"
    if whole:
        assert decoded(data, indices=[whole - 1])[0].size == 16
    with pytest.raises(PixelDataError):
        decoded(data, indices=[whole])


def test_never_more_frames_than_declared() -> None:
    data = native_file(bytes(64), frames=2)
    dataset = dcmread(io.BytesIO(data))
    with pytest.warns(UserWarning, match="excess padding"):
        assert len(list(iter_frames(dataset))) == 2
    assert len(decoded(data)) == 2


@pytest.mark.parametrize(("keyword", "tag", "kind"), [("Float", 0x7FE00008, "f4"), ("DoubleFloat", 0x7FE00009, "f8")])
def test_floats(keyword: str, tag: int, kind: str) -> None:
    values = np.linspace(-1, 1, 32).astype(f"<{kind}").reshape(2, 4, 4)
    bits = 8 * values.itemsize
    parts = attributes(bits=bits, frames=2)
    del parts["BitsStored"], parts["HighBit"], parts["PixelRepresentation"]
    data = meta(EXPLICIT) + header(parts) + element(tag, "OF" if bits == 32 else "OD", values.tobytes())
    assert build_index(io.BytesIO(data)).options["pixel_keyword"] == f"{keyword}PixelData"
    np.testing.assert_array_equal(np.stack(decoded(data)), values)


@pytest.mark.parametrize("bad", [1.0, "0", None, [0]])
def test_an_index_is_an_integer(bad: Any) -> None:
    with pytest.raises(TypeError):
        decoded(native_file(bytes(16)), indices=[bad])


def test_any_integer_is_an_index() -> None:
    data = native_file(bytes(range(32)), frames=2)
    got = [frame[0, 0] for frame in decoded(data, indices=[np.int64(1), np.uint8(0), True, np.True_])]
    assert got == [16, 0, 16, 16]


def test_indices() -> None:
    data = native_file(bytes(range(48)), frames=3)
    assert decoded(data, indices=[]) == []
    assert decoded(data, indices=iter(())) == []
    assert [frame[0, 0] for frame in decoded(data, indices=(i for i in (2, 0, 2)))] == [32, 0, 32]
    for bad in (-1, 3):
        with pytest.raises(FrameIndexError, match="valid indices are 0 to 2"):
            decoded(data, indices=[0, bad])


def test_read_as() -> None:
    data = native_file(np.array([0, 1, 2, 300] * 4, "<u2").tobytes(), bits=16)
    reader = FrameReader(io.BytesIO(data), build_index(io.BytesIO(data)), source="a.dcm")
    assert reader.read_as(0, "int32").array.dtype == np.int32
    assert reader.read_as(0, ">u2").array.dtype == np.dtype(">u2")
    with pytest.raises(DecodeError, match="uint8 can't hold") as caught:
        reader.read_as(0, "uint8")
    assert (caught.value.reason, caught.value.source, caught.value.frame) == ("frame_mismatch", "a.dcm", 0)


PLAIN = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 5),
        "columns": st.integers(1, 5),
        "frames": st.integers(1, 3),
        "bits": st.sampled_from([8, 16, 32]),
        "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "RGB", "PALETTE COLOR"]),
        "PixelRepresentation": st.sampled_from([0, 1]),
        "PlanarConfiguration": st.sampled_from([0, 1]),
    }
)


@quick
@given(PLAIN, st.data(), st.sampled_from([EXPLICIT, IMPLICIT, BIG]), st.sampled_from([{}, {"raw": True}]))
def test_frames_read_straight_into_an_array_are_what_pydicom_makes_of_them(values, data, syntax, options) -> None:
    """Whatever is above Bits Stored; with kinds of frames among them that only pydicom's way can serve."""
    stored = data.draw(st.integers(1, values["bits"]))
    samples = 3 if values["PhotometricInterpretation"] == "RGB" else 1
    values |= {"BitsStored": stored, "HighBit": stored - 1, "SamplesPerPixel": samples}
    size = values["rows"] * values["columns"] * values["frames"] * values["SamplesPerPixel"] * values["bits"] // 8
    pixels = np.random.default_rng(stored).integers(0, 256, size, np.uint8).tobytes()
    file = io.BytesIO(
        native_file(pixels + b"\0" * (size % 2), syntax, vr="OB" if values["bits"] == 8 else "OW", **values)
    )
    index = build_index(file)
    reader, by_pydicom = FrameReader(file, index, **options), FrameReader(file, index, **options)
    by_pydicom._plain = None
    for frame in range(values["frames"]):
        expected = by_pydicom.read(frame)
        out = np.full(expected.array.shape, 77, expected.array.dtype)
        decoded = reader.read_into(frame, out)
        np.testing.assert_array_equal(out, expected.array)
        assert decoded.photometric_interpretation == expected.photometric_interpretation
        assert decoded.decoder == ""


def test_the_usual_native_frames_are_read_straight() -> None:
    for values in ({}, {"bits": 16, "BitsStored": 12}, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}):
        colour = {"PlanarConfiguration": 0} if "SamplesPerPixel" in values else {}
        file = io.BytesIO(native_file(bytes(96), **values, **colour))
        assert FrameReader(file, build_index(file))._plain is not None
