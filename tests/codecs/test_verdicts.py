"""What a codestream says of itself holds for every decoder: another picture than the header's is never stored."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

from pipeline import codecs
from pipeline.errors import CodestreamError, DecodeError, PipelineError
from pipeline.frames import FrameReader, SecondReader, build_index, iter_frames
from support.codestreams import (
    COLUMNS,
    DEFLATED_FRAMES,
    END,
    JPEG_XL_LOSSLESS,
    ROWS,
    UNCOMPRESSED,
    Stream,
    deflated,
    described,
    image,
    jpeg2000,
    lossless_jpeg,
    rle,
    scan_start,
    shared_chroma,
    tile,
)

GREY, DEEP, COLOUR = image(8), image(12), image(8, samples=3)
YBR = {"PhotometricInterpretation": "YBR_FULL_422"}


def stream(name: str, syntax: str, codestream: bytes, pixels: np.ndarray, bits: int = 8, **others: Any) -> Stream:
    return Stream(name, syntax, codestream, pixels, described(pixels, bits, **others))


STREAMS = [
    stream("jpeg", uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(GREY, level=95), GREY),
    stream("jpeg-colour", uid.JPEGBaseline8Bit, tile(), COLOUR, **YBR),
    stream("jpeg-12", uid.JPEGExtended12Bit, imagecodecs.jpeg8_encode(DEEP, bitspersample=12), DEEP, 12),
    stream("jpeg-lossless", uid.JPEGLosslessSV1, lossless_jpeg(DEEP, 12, 1), DEEP, 12),
    stream("jpeg-ls", uid.JPEGLSLossless, imagecodecs.jpegls_encode(DEEP), DEEP, 12),
    stream("jpeg-ls-colour", uid.JPEGLSLossless, imagecodecs.jpegls_encode(COLOUR), COLOUR),
    stream("jpeg-2000", uid.JPEG2000Lossless, jpeg2000(DEEP, 12), DEEP, 12),
    stream("jpeg-2000-in-jp2", uid.JPEG2000Lossless, jpeg2000(GREY, 8, codecformat="JP2"), GREY),
    stream("jpeg-2000-colour", uid.JPEG2000Lossless, jpeg2000(COLOUR, 8, mct=False), COLOUR),
    stream("htj2k", uid.HTJ2KLossless, imagecodecs.htj2k_encode(DEEP, reversible=True), DEEP, 12),
    stream("jpeg-xl", JPEG_XL_LOSSLESS, imagecodecs.jpegxl_encode(DEEP, lossless=True, bitspersample=12), DEEP, 12),
]
SWAPPED = {"rows": COLUMNS, "columns": ROWS}
FLAT = {"rows": ROWS // 2, "columns": COLUMNS * 2}
ONE = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
THREE = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
BYTES = {"bits": 8, "BitsStored": 8, "HighBit": 7}


@pytest.fixture(autouse=True, scope="module")
def _registered() -> None:
    codecs.register()


def plugins(made: Stream) -> tuple[str, ...]:
    return ("", *get_decoder(made.syntax).available_plugins)


def contradictions(made: Stream) -> Iterator[dict[str, Any]]:
    """Headers of as many bytes as the codestream decodes to, or whose pixels can't hold its samples."""
    yield from (SWAPPED, FLAT)
    if made.pixels.ndim > 2:
        yield ONE | {"rows": ROWS * 3}
    else:
        yield THREE | {"rows": ROWS // 3}
    if made.pixels.dtype.itemsize > 1:
        yield BYTES
        yield BYTES | {"columns": COLUMNS * 2}


@pytest.mark.parametrize("made", STREAMS, ids=lambda made: made.name)
def test_another_picture_of_the_same_size_is_refused_whoever_decodes_it(made: Stream) -> None:
    for attributes in contradictions(made):
        for plugin in plugins(made):
            for raw in (False, True):
                with pytest.raises(CodestreamError, match="the codestream") as caught:
                    next(iter_frames(made.file(**attributes), decoding_plugin=plugin, raw=raw))
                assert caught.value.reason == "frame_mismatch", (attributes, plugin)
                assert isinstance(caught.value, RuntimeError | ValueError)  # as pydicom's callers expect of a frame


@pytest.mark.parametrize("made", STREAMS, ids=lambda made: made.name)
def test_a_frame_that_is_read_into_a_shard_is_refused_too(made: Stream) -> None:
    file = made.file(**SWAPPED)
    reader = FrameReader(file, build_index(file))
    shard = np.full((COLUMNS, ROWS, *made.pixels.shape[2:]), 77, f"u{made.attributes['bits'] // 8}")
    with pytest.raises(CodestreamError):
        reader.read_into(0, shard)
    assert not shard.any()


def test_who_compares_a_stored_frame_doesnt_believe_another_decoder_either(tmp_path) -> None:
    made = STREAMS[0]
    path = tmp_path / "a.dcm"
    path.write_bytes(made.file(**SWAPPED).getvalue())
    with path.open("rb") as file:
        reader = SecondReader(file, str(path), "imagecodecs 2026", raw=False, options={})
        assert "pillow" in reader.others
        with pytest.raises(CodestreamError):
            next(reader.otherwise([0], np.uint8, "pillow"))
        with pytest.raises(CodestreamError):
            reader.again(0, np.uint8)


def anything(_src: bytes, runner: DecodeRunner) -> bytearray:
    """A plugin that decodes whatever it is given to as many bytes as the header asks for."""
    return bytearray(int(runner.frame_length(unit="bytes")))


@pytest.fixture
def obliging() -> Iterator[None]:
    decoder = get_decoder(uid.JPEGBaseline8Bit)
    decoder._available["obliging"] = anything
    yield
    del decoder._available["obliging"]


@pytest.mark.usefixtures("obliging")
@pytest.mark.parametrize(
    "codestream", [b"", bytes(40), b"\xff\xd8", b"no codestream at all", STREAMS[0].codestream[:60], b"\0" + END]
)
def test_what_our_parsers_cant_read_is_believed_of_nobody(codestream: bytes) -> None:
    for plugin in ("", "obliging"):
        with pytest.raises(DecodeError) as caught:
            next(iter_frames(STREAMS[0].file(codestream), decoding_plugin=plugin))
        assert caught.value.reason == "decode_failed"


@pytest.mark.usefixtures("obliging")
def test_what_they_can_read_others_may_decode() -> None:
    """Arithmetic coding with 12 bits, say: nothing that libjpeg does, but its header says that it is the frame."""
    data = bytearray(STREAMS[0].codestream)
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    del data[scan_start(bytes(data)) : -2]
    assert not next(iter_frames(STREAMS[0].file(bytes(data)), decoding_plugin="obliging")).any()


@pytest.mark.parametrize("size", [0, 1, 2, 40])
def test_an_empty_frame_is_called_so(size: int) -> None:
    for made in STREAMS:
        with pytest.raises(PipelineError, match=f"empty: it has {size + size % 2} bytes"):
            next(iter_frames(made.file(bytes(size))))


def odd_but_right(codestream: bytes) -> Iterator[bytes]:
    """The codestream of a JPEG with what the standard allows, or what decoders pass over, in its header and behind it."""
    frame = next(
        at for at in range(2, 700) if codestream[at] == 0xFF and codestream[at + 1] in {0xC0, 0xC1, 0xC3, 0xF7}
    )
    for between in (b"\xff", b"\xff" * 5, b"\xff\x01", b"junk", b"\xff\x00\xff\x00", b"\xff\xfe\x00\x06note"):
        yield codestream[:frame] + between + codestream[frame:]
        yield codestream[:2] + between + codestream[2:]
    yield codestream + b"\0" * 9
    yield codestream + b"rubbish"
    yield codestream[:-2] + b"\xff" * 3 + codestream[-2:]
    yield codestream[:-2]
    yield codestream[:-1]


@pytest.mark.parametrize(
    "made",
    [made for made in STREAMS if made.name in {"jpeg", "jpeg-colour", "jpeg-12", "jpeg-lossless"}],
    ids=lambda m: m.name,
)
def test_odd_codestreams_are_decoded(made: Stream) -> None:
    expected = next(iter_frames(made.file()))
    for codestream in odd_but_right(made.codestream):
        np.testing.assert_array_equal(next(iter_frames(made.file(codestream))), expected)


def test_jpeg_ls_without_its_end_marker_is_decoded() -> None:
    made = next(made for made in STREAMS if made.name == "jpeg-ls")
    np.testing.assert_array_equal(next(iter_frames(made.file(made.codestream[:-2]))), made.pixels)


@pytest.mark.parametrize("ending", [b"", b"\0", b"\0\0\0", END + b"more"])
def test_jpeg_2000_without_its_end_marker_is_decoded(ending: bytes) -> None:
    for made in STREAMS:
        if made.name in {"jpeg-2000", "jpeg-2000-colour", "htj2k"}:
            np.testing.assert_array_equal(next(iter_frames(made.file(made.codestream[:-2] + ending))), made.pixels)


def planes(sampling: tuple[int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Colours, and their Y, Cb and Cr (PS3.3 C.7.6.3.1.2), the last two of so many pixels each."""
    colours = image(8, samples=3, noise=0)[:45, :39]
    red, green, blue = np.moveaxis(colours.astype(float), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [0.564 * (blue - luma) + 128, 0.713 * (red - luma) + 128]
    across, down = sampling
    made = [
        np.round(plane).clip(0, 255).astype(np.uint8)
        for plane in (luma, *(plane[::down, ::across] for plane in chroma))
    ]
    return colours, made


@pytest.mark.parametrize("sampling", [(2, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("interpretation", ["YBR_FULL_422", "YBR_FULL", "YBR_ICT", "RGB"])
def test_shared_chroma_in_jpeg_2000_is_converted_once(sampling: tuple[int, int], interpretation: str) -> None:
    colours, parts = planes(sampling)
    codestream = shared_chroma(parts, [(1, 1), sampling, sampling])
    made = stream("422", uid.JPEG2000Lossless, codestream, colours, PhotometricInterpretation=interpretation)
    decoded = next(iter_frames(made.file()))
    assert np.abs(decoded.astype(int) - colours).max() < 25
    for options in ({"raw": True}, {"decoding_plugin": "pillow"}, {"decoding_plugin": "pylibjpeg"}):
        with pytest.raises(CodestreamError, match=r"components are subsampled .*2 x"):
            next(iter_frames(made.file(), **options))


def test_other_ways_of_sharing_samples_are_refused_by_name() -> None:
    colours, (luma, blue, red) = planes((2, 1))
    for parts, sampling in (
        ((luma, blue, planes((1, 1))[1][2]), [(1, 1), (2, 1), (1, 1)]),
        ((luma[:, ::2], *planes((1, 1))[1][1:]), [(2, 1), (1, 1), (1, 1)]),
        ((luma, blue[:, ::2], red[:, ::2]), [(1, 1), (4, 1), (4, 1)]),
    ):
        made = stream("odd", uid.JPEG2000Lossless, shared_chroma(list(parts), sampling), colours, **YBR)
        for plugin in plugins(made):
            with pytest.raises(CodestreamError):
                next(iter_frames(made.file(), decoding_plugin=plugin))


def test_components_of_several_formats_are_refused() -> None:
    made = next(made for made in STREAMS if made.name == "jpeg-2000-colour")
    data = bytearray(made.codestream)
    data[data.index(b"\xff\x51") + 2 + 38 + 3] |= 0x80  # the second component's sign
    for plugin in plugins(made):
        with pytest.raises(CodestreamError, match="differ in precision or sign"):
            next(iter_frames(made.file(bytes(data)), decoding_plugin=plugin))


@pytest.mark.parametrize("syntax", [uid.RLELossless, UNCOMPRESSED, DEFLATED_FRAMES])
def test_frames_without_a_size_of_their_own_are_held_against_their_length(syntax: str) -> None:
    def made(pixels: np.ndarray) -> bytes:
        return {uid.RLELossless: rle, DEFLATED_FRAMES: deflated}.get(syntax, lambda each: each.tobytes())(pixels)

    whole = stream("a", syntax, made(GREY), GREY)
    for other in (GREY[:-1], np.vstack([GREY, GREY[:1] | 1, GREY[:1]])):
        with pytest.raises(PipelineError) as caught:
            next(iter_frames(whole.file(made(other))))
        assert caught.value.reason in {"frame_mismatch", "decode_failed"}
    odd = GREY[:, :-1]
    padded = np.append(odd[:5].ravel(), np.uint8(0))
    short = stream("b", syntax, made(padded), odd[:5])
    np.testing.assert_array_equal(next(iter_frames(short.file())), odd[:5])


@pytest.mark.parametrize("name", ["segments", "samples", "bits"])
def test_segments_of_rle_contradict(name: str) -> None:
    attributes = {"segments": {"bits": 8, "BitsStored": 8, "HighBit": 7}, "samples": THREE, "bits": {"bits": 32}}[name]
    made = stream("rle", uid.RLELossless, rle(DEEP), DEEP, 12)
    for plugin in plugins(made):
        with pytest.raises(CodestreamError, match="segments, but the attributes need") as caught:
            next(iter_frames(made.file(**attributes), decoding_plugin=plugin))
        assert caught.value.reason == "frame_mismatch"


def test_frames_after_one_of_less_precision_are_held_against_the_header() -> None:
    """pydicom keeps the bits of one frame for the next; the plugin's own check must not."""
    from pydicom.pixels import iter_pixels  # noqa: PLC0415

    from support.dicom_bytes import encapsulated_file, encapsulated_value  # noqa: PLC0415

    fragments = [jpeg2000(GREY, 8), jpeg2000(DEEP, 12)]
    value = encapsulated_value([part + b"\0" * (len(part) % 2) for part in fragments])
    data = encapsulated_file(value, uid.JPEG2000Lossless, frames=2, **described(DEEP, 12))
    first, second = iter_pixels(io.BytesIO(data), decoding_plugin=codecs.PLUGIN)
    np.testing.assert_array_equal(first, GREY)
    np.testing.assert_array_equal(second, DEEP)


def test_another_family_than_the_transfer_syntax_names_is_checked_as_what_it_is() -> None:
    """Pillow decodes JPEG 2000 in a file that calls it JPEG; of another size it isn't believed."""
    made = replace(stream("wrong", uid.JPEG2000Lossless, jpeg2000(GREY, 8), GREY), syntax=uid.JPEGBaseline8Bit)
    np.testing.assert_array_equal(next(iter_frames(made.file())), GREY)
    with pytest.raises(CodestreamError):
        next(iter_frames(made.file(**SWAPPED)))


@pytest.mark.parametrize("plugin", ["", "pillow", "pylibjpeg"])
def test_colours_of_a_jp2_file_are_converted_once(plugin: str) -> None:
    """Its boxes may say YCbCr, too, as Pillow writes them; the header alone decides (PS3.5 A.4.4)."""
    colours = image(8, samples=3, noise=0)
    file = io.BytesIO()
    Image.fromarray(colours).convert("YCbCr").save(file, "JPEG2000", irreversible=False, mct=0)
    made = stream("jp2", uid.JPEG2000Lossless, file.getvalue(), colours, PhotometricInterpretation="YBR_FULL")
    decoded = next(iter_frames(made.file(), decoding_plugin=plugin))
    assert np.abs(decoded.astype(int) - colours).max() < 5
