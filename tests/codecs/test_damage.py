"""Codestreams cut short or damaged: an error, or what pydicom's others make of them; never a crash, never old memory."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import JPEGBaseline8Bit

from pipeline import codecs
from pipeline.errors import PipelineError
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
)

COLOUR = Stream(
    "tile",
    JPEGBaseline8Bit,
    tile(jfif=True),
    image(8, samples=3),
    described(image(8, samples=3), 8, PhotometricInterpretation="YBR_FULL_422"),
)
STREAMS = [
    COLOUR,
    *(stream for stream in grey_streams() if stream.name.split("-")[-2] in {"8", "12", "rle"}),
    *colour_streams(),
    *lossy_streams(),
    *newer_streams(),
]
FLIPS = 12
"""Damaged variants of each codestream."""
OPENJPEGS_LIMITS = (0, 2**8 - 1, 2**16 - 1, -(2**15), 2**15 - 1)
"""Where damage leads out of a sample's range, OpenJPEG clips it; OpenJPH, which decodes HTJ2K here, wraps it around."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    codecs.register()
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def named(stream: Stream) -> str:
    return stream.name


@pytest.mark.parametrize("stream", STREAMS, ids=named)
def test_cut_short(stream: Stream) -> None:
    for part in (0.0, 0.1, 0.3, 0.6, 0.9, 0.97):
        data = stream.codestream[: int(len(stream.codestream) * part)]
        with pytest.raises(RuntimeError):
            next(iter_pixels(stream.file(data), decoding_plugin=codecs.PLUGIN))
        with pytest.raises(PipelineError):
            next(iter_frames(stream.file(data), decoding_plugin=codecs.PLUGIN))


@pytest.mark.parametrize("stream", STREAMS, ids=named)
def test_damaged_anywhere(stream: Stream) -> None:
    for data in damaged(stream):
        ours = outcome(stream, data, codecs.PLUGIN)
        if ours is None:
            continue
        for plugin in get_decoder(stream.syntax).available_plugins:
            theirs = outcome(stream, data, plugin)
            if theirs is not None and stream.syntax not in syntaxes.LOSSY_JPEG:
                apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
                same = apart <= (stream.syntax in syntaxes.LOSSY_JPEG_2000)
                if stream.name.startswith("htj2k"):
                    same |= np.isin(theirs, OPENJPEGS_LIMITS)
                assert same.all(), plugin
        assert_old_memory_stays_hidden(stream, data)


def damaged(stream: Stream) -> Iterator[bytes]:
    """The codestream with a byte changed here and there."""
    source = random.Random(stream.name)  # noqa: S311  damage, not secrets
    for _ in range(FLIPS):
        data = bytearray(stream.codestream)
        for _ in range(source.choice((1, 1, 4))):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        yield bytes(data)


def outcome(stream: Stream, data: bytes, plugin: str) -> np.ndarray | None:
    try:
        (frame,) = iter_pixels(stream.file(data), decoding_plugin=plugin)
    except (RuntimeError, ValueError):
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pylibjpeg's, at a segment of more bytes than pixels
            raise
        return None
    return frame


def assert_old_memory_stays_hidden(stream: Stream, data: bytes) -> None:
    """What a codec leaves out isn't filled with what lay in the memory before."""
    file = stream.file(data)
    reader = FrameReader(file, build_index(file), decoding_plugin=codecs.PLUGIN)
    dtype = np.dtype(f"{stream.pixels.dtype.kind}{stream.attributes['bits'] // 8 or 1}")
    frames = [np.full(stream.pixels.shape, fill, dtype) for fill in (0, 85)]
    for frame in frames:
        try:
            reader.read_into(0, frame)
        except PipelineError:
            assert not frame.any()
    np.testing.assert_array_equal(*frames)
