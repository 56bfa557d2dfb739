"""The plugin over codestreams of our own: all families, depths, signs, colours and marks of colour."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from pipeline import codecs
from pipeline.frames import FrameReader, build_index, iter_frames
from pipeline.model import syntaxes
from support.codestreams import (
    Stream,
    colour_streams,
    described,
    grey_streams,
    image,
    lossy_streams,
    newer_streams,
    tile,
    unused_bits,
)

ALL = [*grey_streams(), *unused_bits(), *colour_streams(), *lossy_streams(), *newer_streams()]
EXACT = [stream for stream in ALL if stream.syntax not in syntaxes.LOSSY_JPEG]
"""Streams that all decoders decode alike; of lossy JPEG 2000 builds of OpenJPEG differ by a grey level."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    codecs.register()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def named(stream: Stream) -> str:
    return stream.name


def apart(first: np.ndarray, second: np.ndarray) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(np.int64) - second.astype(np.int64)).max())


@pytest.mark.parametrize("stream", ALL, ids=named)
def test_what_was_encoded_comes_back(stream: Stream) -> None:
    (decoded,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN)
    assert apart(decoded, stream.pixels) <= stream.apart
    (indexed,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN, indices=[0])
    np.testing.assert_array_equal(indexed, decoded)
    assert indexed.dtype == f"{stream.pixels.dtype.kind}{stream.attributes['bits'] // 8 or 1}"


@pytest.mark.parametrize("stream", EXACT, ids=named)
def test_pydicoms_other_plugins_give_the_same_bits(stream: Stream) -> None:
    (ours,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN)
    for plugin in get_decoder(stream.syntax).available_plugins:
        if any(known in f"{stream.name} {plugin} {failure(stream, plugin)}" for known in THEY_FAIL):
            continue
        (theirs,) = iter_pixels(stream.file(), decoding_plugin=plugin)
        assert theirs.dtype == ours.dtype
        assert apart(theirs, ours) <= (stream.syntax in syntaxes.LOSSY_JPEG_2000), plugin


def failure(stream: Stream, plugin: str) -> str:
    """Why a plugin can't decode it."""
    try:
        next(iter_pixels(stream.file(), decoding_plugin=plugin))
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


THEY_FAIL = {
    "rle-1 pydicom": "decodes no segments of bits",
    "rle-1 pylibjpeg": "likewise",
    "jpeg-2000-rgb-16 pillow": "has no colour of more than 8 bits",
    "read-only": "signs are corrected in place, also of immutable bytes",
}


@pytest.mark.parametrize("stream", ALL, ids=named)
def test_without_pydicoms_runner_bits_are_the_same(stream: Stream) -> None:
    assert_direct_is_the_same(stream)


COLOURS = {
    "jfif": (tile(jfif=True), "YBR_FULL_422"),
    "jfif-called-rgb": (tile(jfif=True), "RGB"),
    "ycc": (tile(), "YBR_FULL_422"),
    "ycc-full": (tile(subsampling="444"), "YBR_FULL"),
    "ycc-422": (tile(subsampling="422"), "YBR_FULL_422"),
    "ycc-adobe-called-rgb": (tile(adobe=1), "RGB"),
    "rgb": (tile(stored="RGB", subsampling="444"), "RGB"),
    "rgb-adobe": (tile(stored="RGB", subsampling="444", adobe=0), "RGB"),
    "rgb-ids": (tile(stored="RGB", subsampling="444", ids=b"RGB"), "RGB"),
    "rgb-ids-called-ybr": (tile(stored="RGB", subsampling="444", ids=b"RGB"), "YBR_FULL_422"),
    "small-rgb-ids-called-ybr": (tile(stored="RGB", subsampling="444", ids=b"rgb"), "YBR_FULL"),
    "jfif-with-rgb-ids": (tile(jfif=True, subsampling="444", ids=b"RGB"), "RGB"),
    "adobe-none-called-ybr": (tile(adobe=0, subsampling="444"), "YBR_FULL"),
}
"""Marks of colour, and Photometric Interpretation."""
PILLOW_FAILS = ("rgb-ids", "rgb-ids-called-ybr")
"""Asked not to convert colour, its libjpeg refuses RGB that calls itself so; real files of the kind are compared with
other plugins in test_agreement.py."""


def coloured(name: str) -> Stream:
    codestream, interpretation = COLOURS[name]
    pixels = image(8, samples=3)
    values = described(pixels, 8, PhotometricInterpretation=interpretation)
    return Stream(name, JPEGBaseline8Bit, codestream, pixels, values)


@pytest.mark.parametrize("name", COLOURS)
def test_marks_of_colour_mean_what_they_mean_to_pydicom(name: str) -> None:
    stream = coloured(name)
    for raw in (False, True):
        (ours,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN, raw=raw)
        (in_codec,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN, raw=raw, rgb_from_codec=not raw)
        assert apart(ours, in_codec) <= 1
        if name not in PILLOW_FAILS:
            (theirs,) = iter_pixels(stream.file(), decoding_plugin="pillow", raw=raw)
            assert apart(ours, theirs) <= 2
            assert apart(in_codec, theirs) <= 2
    (mine,) = iter_frames(stream.file())
    assert np.median(np.abs(mine.astype(int) - stream.pixels)) < 8  # colours as they were, not converted twice
    assert_direct_is_the_same(stream)


@pytest.mark.parametrize(
    "attributes",
    [
        {"BitsStored": 2, "HighBit": 1},
        {"BitsStored": 7, "HighBit": 6},
        {"PixelRepresentation": 1},
        {"bits": 16, "BitsStored": 8},
    ],
    ids=str,
)
def test_ycbcr_of_other_than_whole_unsigned_bytes_is_left_to_pydicom(attributes: dict[str, int]) -> None:
    """Unused bits are cleared and signs extended before colour is converted, or the conversion is refused."""
    stream = coloured("ycc-full")
    ours, theirs = outcome(iter_frames, stream, attributes), outcome(iter_pixels, stream, attributes)
    assert ours == theirs


def test_a_lossy_codestream_in_a_lossless_transfer_syntax_has_pydicoms_bits() -> None:
    stream = replace(coloured("ycc-full"), syntax=JPEGLosslessSV1)
    (ours,) = iter_frames(stream.file(), decoding_plugin=codecs.PLUGIN)
    (theirs,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN)
    np.testing.assert_array_equal(ours, theirs)


def outcome(function: Callable[..., Iterator[np.ndarray]], stream: Stream, attributes: dict[str, int]) -> object:
    try:
        return [frame.tolist() for frame in function(stream.file(**attributes), decoding_plugin=codecs.PLUGIN)]
    except ValueError as error:
        return "color space conversion" in str(error)


def test_ycbcr_with_an_adobe_marker_is_converted_once() -> None:
    """Pillow's plugin converts it twice: libjpeg does for the marker, then pydicom for YBR_FULL."""
    pixels = image(8, samples=3)
    values = described(pixels, 8, PhotometricInterpretation="YBR_FULL")
    stream = Stream("adobe", JPEGBaseline8Bit, tile(adobe=1, subsampling="444"), pixels, values)
    (ours,) = iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN)
    (theirs,) = iter_pixels(stream.file(), decoding_plugin="pillow")
    assert apart(ours, pixels) < 40 < apart(theirs, pixels)
    assert_direct_is_the_same(stream)


def assert_direct_is_the_same(stream: Stream) -> None:
    """iter_frames and read_into, which go around pydicom's runner, against the plugin in it."""
    for raw in (False, True):
        options = {"decoding_plugin": codecs.PLUGIN, "raw": raw, "rgb_from_codec": not raw}
        for indices in (None, [0]):
            (theirs,) = iter_pixels(stream.file(), indices=indices, **options)
            (ours,) = iter_frames(stream.file(), indices=indices, raw=raw)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        assert_read_into_is_the_same(stream.file(), theirs, raw=raw)


def assert_read_into_is_the_same(file: io.BytesIO, expected: np.ndarray, *, raw: bool) -> None:
    reader = FrameReader(file, build_index(file), raw=raw)
    shard = np.full((3, *expected.shape), 77, expected.dtype)
    assert reader.read_into(0, shard[1]).array.base is shard
    np.testing.assert_array_equal(shard[1], expected)
    assert (shard[::2] == 77).all()
    scattered = np.full((*expected.shape, 2), 77, expected.dtype)[..., 0]
    reader.read_into(0, scattered)
    np.testing.assert_array_equal(scattered, expected)


def test_restart_markers() -> None:
    pixels = image(8, samples=3)
    from PIL import Image  # noqa: PLC0415

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, restart_marker_blocks=2)
    assert b"\xff\xd0" in stream.getvalue()
    values = described(pixels, 8, PhotometricInterpretation="YBR_FULL_422")
    made = Stream("restart", JPEGBaseline8Bit, stream.getvalue(), pixels, values)
    (theirs,) = iter_pixels(made.file(), decoding_plugin="pillow")
    (ours,) = iter_frames(made.file())
    assert apart(ours, theirs) <= 2
    assert_direct_is_the_same(made)
