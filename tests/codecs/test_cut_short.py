"""Half a picture is not a picture: codestreams that end early, with an end marker put behind them, and damaged ones."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.pixels import get_decoder, iter_pixels

from pipeline import codecs
from pipeline.codecs import scans
from pipeline.codecs.entropy import last_codes
from pipeline.codecs.markers import read_jpeg_header
from pipeline.codecs.packets import append_invalid_packets, parses
from pipeline.codecs.tileparts import read_j2k_header, read_tile_parts
from pipeline.errors import CutShortError, DecodeError, PipelineError
from pipeline.frames import build_index, iter_frames
from support.codestreams import (
    DEFLATED_FRAMES,
    END,
    JPEG_XL,
    Stream,
    deflated,
    described,
    image,
    jpeg2000,
    lossless_jpeg,
    rle,
    scan_start,
    tile,
    with_tile_length,
)
from support.corpora import corpus, shared_data

CUTS = 14
"""Places where each codestream is cut, and the last ones."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    codecs.register()
    with warnings.catch_warnings(action="ignore"):
        yield


def large(pixels: np.ndarray) -> np.ndarray:
    """The same in many copies: a picture of which the last block is a small part."""
    return np.tile(pixels, (4, 4, *(1,) * (pixels.ndim - 2)))


def half_black(pixels: np.ndarray) -> np.ndarray:
    """Nothing but one value from the middle on, as around a patient."""
    black = pixels.copy()
    black[len(black) // 2 :] = 3
    return black


GREY, DEEP, COLOUR, WORDS = (large(image(8)), image(12), image(8, samples=3), image(16))
YBR = {"PhotometricInterpretation": "YBR_FULL_422"}


def made(name: str, syntax: str, codestream: bytes, pixels: np.ndarray, bits: int = 8, **others: object) -> Stream:
    return Stream(name, syntax, codestream, pixels, described(pixels, bits, **others))


def saved(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, **options)
    return stream.getvalue()


JPEG = [
    made("grey", uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(GREY, level=90), GREY),
    made("small", uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(image(8), level=95), image(8)),
    made("uniform", uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(np.full_like(GREY, 128)), np.full_like(GREY, 128)),
    made("colour-420", uid.JPEGBaseline8Bit, tile(jfif=True), COLOUR, **YBR),
    made("colour-444-rgb", uid.JPEGBaseline8Bit, tile(stored="RGB", subsampling="444", adobe=0), COLOUR),
    made("twelve-bits", uid.JPEGExtended12Bit, imagecodecs.jpeg8_encode(DEEP, level=95, bitspersample=12), DEEP, 12),
    made("restarts", uid.JPEGBaseline8Bit, saved(GREY, format="JPEG", quality=90, restart_marker_blocks=9), GREY),
    made("progressive", uid.JPEGBaseline8Bit, saved(GREY, format="JPEG", quality=90, progressive=True), GREY),
]
LOSSLESS = [
    *(made(f"predictor-{each}", uid.JPEGLossless, lossless_jpeg(DEEP, 12, each), DEEP, 12) for each in range(1, 8)),
    made("bytes", uid.JPEGLosslessSV1, lossless_jpeg(image(8), 8, 1), image(8)),
    made("words", uid.JPEGLosslessSV1, lossless_jpeg(WORDS, 16, 1), WORDS, 16),
    made("signed", uid.JPEGLosslessSV1, lossless_jpeg(WORDS, 16, 1), WORDS.view("i2"), 16),
    made("colour", uid.JPEGLosslessSV1, lossless_jpeg(COLOUR, 8, 1), COLOUR),
    made("half-black", uid.JPEGLosslessSV1, lossless_jpeg(half_black(DEEP), 12, 1), half_black(DEEP), 12),
    made("half-black-6", uid.JPEGLossless, lossless_jpeg(half_black(DEEP), 12, 6), half_black(DEEP), 12),
    made("uniform", uid.JPEGLosslessSV1, lossless_jpeg(np.full_like(DEEP, 9), 12, 1), np.full_like(DEEP, 9), 12),
    made("row", uid.JPEGLosslessSV1, lossless_jpeg(DEEP[:1], 12, 1), DEEP[:1], 12),
    made("column", uid.JPEGLosslessSV1, lossless_jpeg(DEEP[:, :1], 12, 1), DEEP[:, :1], 12),
]
JPEG_LS = [
    made("grey", uid.JPEGLSLossless, imagecodecs.jpegls_encode(DEEP), DEEP, 12),
    made("near", uid.JPEGLSNearLossless, imagecodecs.jpegls_encode(GREY, level=2), GREY),
    made("half-black", uid.JPEGLSLossless, imagecodecs.jpegls_encode(half_black(DEEP)), half_black(DEEP), 12),
    made("colour", uid.JPEGLSLossless, imagecodecs.jpegls_encode(COLOUR), COLOUR),
]
JPEG_2000 = [
    made("grey", uid.JPEG2000Lossless, jpeg2000(GREY, 8), GREY),
    made("lossy", uid.JPEG2000, imagecodecs.jpeg2k_encode(GREY, level=40, reversible=False, codecformat="J2K"), GREY),
    made("colour", uid.JPEG2000Lossless, jpeg2000(COLOUR, 8, mct=False), COLOUR),
    made("layers", uid.JPEG2000, saved(GREY, format="JPEG2000", no_jp2=True, quality_layers=[40, 10, 1]), GREY),
    made("htj2k", uid.HTJ2KLossless, imagecodecs.htj2k_encode(DEEP, reversible=True), DEEP, 12),
    made("htj2k-colour", uid.HTJ2KLossless, imagecodecs.htj2k_encode(COLOUR, reversible=True), COLOUR),
]


def places(codestream: bytes, start: int) -> list[int]:
    """Where to cut: anywhere, and through all of the last bytes."""
    source = random.Random(len(codestream))  # noqa: S311  damage, not secrets
    anywhere = [source.randrange(start, len(codestream) - 3) for _ in range(CUTS)]
    return sorted({*anywhere, *range(len(codestream) - 10, len(codestream) - 3), len(codestream) - 22})


def refuses(stream: Stream, codestream: bytes, plugin: str = "") -> bool:
    """Return whether a codestream is refused; if not, it is only the picture's last padding bits that have gone."""
    try:
        frame = next(iter_frames(stream.file(codestream), decoding_plugin=plugin))
    except DecodeError as error:
        return error.reason == "decode_failed"
    np.testing.assert_array_equal(frame, next(iter_frames(stream.file(), decoding_plugin=plugin)))
    return False


def all_refused(stream: Stream, codestreams: list[bytes]) -> None:
    others = [name for name in get_decoder(stream.syntax).available_plugins if name != codecs.PLUGIN]
    for codestream in codestreams[::4]:
        for plugin in others:
            refuses(stream, codestream, plugin)
    assert sum(refuses(stream, codestream) for codestream in codestreams) >= len(codestreams) - 2


@pytest.mark.parametrize("stream", [*LOSSLESS, *JPEG_LS], ids=lambda each: f"{each.syntax}-{each.name}")
def test_a_lossless_codestream_with_its_end_put_behind_the_cut(stream: Stream) -> None:
    codestream = stream.codestream
    cuts = places(codestream, scan_start(codestream) + 1) if len(codestream) > 300 else [len(codestream) - 3]
    all_refused(stream, [codestream[:cut] + END for cut in cuts])
    all_refused(stream, [codestream[:cut] for cut in cuts])


@pytest.mark.parametrize("stream", JPEG, ids=lambda each: each.name)
def test_a_lossy_jpeg_with_its_end_put_behind_the_cut(stream: Stream) -> None:
    """Of a large one only what lacks more than its last blocks is known to."""
    codestream, start = stream.codestream, scan_start(stream.codestream) + 1
    small = stream.pixels.size < 1 << 14
    last = len(codestream) - (3 if small else 200)
    source = random.Random(stream.name)  # noqa: S311  damage, not secrets
    cuts = [source.randrange(start, last) for _ in range(CUTS)] if last > start + CUTS else [start + 9]
    all_refused(stream, [codestream[:cut] + END for cut in cuts])
    all_refused(stream, [codestream[:cut] for cut in [*cuts, len(codestream) - 4]])


@pytest.mark.parametrize("stream", JPEG_2000, ids=lambda each: each.name)
def test_jpeg_2000_cut_in_its_packets_or_between_them(stream: Stream) -> None:
    """With lengths that fit, as if that were all; OpenJPEG takes packets for empty, OpenJPH makes up what is missing."""
    codestream = stream.codestream
    first = codestream.index(b"\xff\x93") + 2
    cuts = places(codestream, first)
    for length in (None, 0):
        all_refused(stream, [with_tile_length(codestream[:cut], length) for cut in cuts])
    all_refused(stream, [codestream[:cut] + END for cut in cuts])


@pytest.mark.parametrize("stream", JPEG_2000[:3], ids=lambda each: each.name)
def test_jpeg_2000_cut_at_the_end_of_any_packet(stream: Stream) -> None:
    """There OpenJPEG finds nothing wrong."""
    codestream = stream.codestream
    header = read_j2k_header(codestream)
    found = []
    for cut in range(codestream.index(b"\xff\x93") + 2, len(codestream) - 2):
        data = with_tile_length(codestream[:cut])
        if parses(data, header):
            found.append(cut)
            with pytest.raises(CutShortError, match="packets are missing"):
                next(iter_frames(stream.file(data)))
        if len(found) > 12:
            break
    assert len(found) > 3


def test_a_tile_of_jpeg_2000_that_is_missing() -> None:
    codestream = saved(GREY, format="JPEG2000", no_jp2=True, tile_size=(64, 64))
    stream = made("tiles", uid.JPEG2000Lossless, codestream, GREY)
    np.testing.assert_array_equal(next(iter_frames(stream.file())), GREY)
    last = codestream.rindex(b"\xff\x90\x00\x0a")
    for data, told in (
        (codestream[:last] + END, "1 of its 9 tiles are missing"),
        (codestream[: last + 40] + END, "cut"),
    ):
        for plugin in ("", "pillow", "pylibjpeg"):
            with pytest.raises(CutShortError, match=told):
                next(iter_frames(stream.file(data), decoding_plugin=plugin))


def test_rle_deflated_and_jpeg_xl() -> None:
    for stream in (
        made("rle", uid.RLELossless, rle(DEEP), DEEP, 12),
        made("deflated", DEFLATED_FRAMES, deflated(DEEP), DEEP, 12),
        made("jpeg-xl", JPEG_XL, imagecodecs.jpegxl_encode(COLOUR, distance=1.0), COLOUR),
    ):
        all_refused(stream, [stream.codestream[:cut] for cut in places(stream.codestream, 70)])


@pytest.mark.parametrize("stream", [JPEG[0], JPEG[3], *LOSSLESS[:1], LOSSLESS[11]], ids=lambda each: each.name)
def test_data_that_break_off_at_a_marker_in_the_middle(stream: Stream) -> None:
    """A sector of the disk that holds something else: libjpeg stops at the first marker and makes the rest up."""
    codestream = bytearray(stream.codestream)
    start = scan_start(stream.codestream)
    middle = (start + len(codestream)) // 2
    codestream[middle : middle + 20] = b"\xff\xd9" + bytes(18)
    with pytest.raises(PipelineError):
        next(iter_frames(stream.file(bytes(codestream))))


@pytest.mark.parametrize("stream", LOSSLESS[:9], ids=lambda each: each.name)
def test_lossless_jpeg_with_data_gone_or_doubled_in_the_middle(stream: Stream) -> None:
    codestream, start = stream.codestream, scan_start(stream.codestream)
    middle = (start + len(codestream)) // 2
    for damaged in (
        codestream[: middle - 30] + codestream[middle + 30 :],
        codestream[:middle] + codestream[middle - 60 :],
    ):
        with pytest.raises(CutShortError):
            next(iter_frames(stream.file(damaged)))


@pytest.mark.parametrize("spare", [b"\0", b"\0" * 50, b"\xff" * 7, b"\xaa" * 4])
def test_what_encoders_leave_behind_the_last_bits_does_no_harm(spare: bytes) -> None:
    for stream in (JPEG[0], JPEG[3], LOSSLESS[0], LOSSLESS[11]):
        codestream = stream.codestream[:-2] + spare + END
        expected = next(iter_frames(stream.file()))
        np.testing.assert_array_equal(next(iter_frames(stream.file(codestream))), expected)


@pytest.mark.parametrize("stream", LOSSLESS, ids=lambda each: each.name)
def test_the_last_samples_are_known_without_decoding_twice(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but uniform pictures, of which nothing would be recognised."""
    monkeypatch.setattr(scans, "with_other_ends", lambda *_: pytest.fail("decoded twice"))
    if stream.name == "uniform":
        assert not last_codes(stream.pixels[..., None], [{0: "0"}], 1, 9)
        return
    np.testing.assert_array_equal(next(iter_frames(stream.file())), stream.pixels)


def test_a_point_transform_is_undone() -> None:
    """Predicted are the samples without the bits that it takes away (T.81 H.1.2)."""
    codestream = bytearray(lossless_jpeg(DEEP >> 2, 10, 1))
    codestream[codestream.index(b"\xff\xc3") + 4] = 12
    codestream[scan_start(bytes(codestream)) - 1] = 2
    stream = made("shifted", uid.JPEGLosslessSV1, bytes(codestream), DEEP >> 2 << 2, 12)
    np.testing.assert_array_equal(next(iter_frames(stream.file())), stream.pixels)
    header = read_jpeg_header(stream.codestream)
    assert scans._lossless_reaches(stream.codestream, len(stream.codestream) - 2, header, stream.pixels)
    with pytest.raises(CutShortError):
        next(iter_frames(stream.file(stream.codestream[:-30] + END)))


def test_real_files_are_whole_and_mostly_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    again: set[Path] = set()
    seen: set[Path] = set()
    other = scans.with_other_ends
    for path in corpus():
        try:
            index = build_index(str(path))
        except PipelineError:
            continue
        if index.transfer_syntax_uid not in uid.JPEGTransferSyntaxes or path.stat().st_size > 1_000_000:
            continue
        monkeypatch.setattr(
            scans, "with_other_ends", lambda data, header, path=path: again.add(path) or other(data, header)
        )
        next(iter_frames(str(path)))
        seen |= {path} if int(index.options["rows"]) * int(index.options["columns"]) > 1 << 14 else set()
    assert len(seen) > 8
    assert {path.name for path in again & seen} <= {"color3d_jpeg_baseline.dcm"}  # whose last pixel is grey


BROKEN = {"JPEG2000-embedded-sequence-delimiter.dcm"}
"""Of which no decoder decodes the first frame."""


def test_all_packets_of_real_files_are_found() -> None:
    found = 0
    for path in corpus():
        try:
            index = build_index(str(path))
        except PipelineError:
            continue
        if index.transfer_syntax_uid not in {*uid.JPEG2000TransferSyntaxes} or path.name in BROKEN:
            continue
        with path.open("rb") as file:
            file.seek(index.ranges(0)[0][0])
            data = file.read(index.encoded_bytes(0))
        if not data.startswith(b"\xff\x4f") or len(index.ranges(0)) > 1:
            continue
        header = read_j2k_header(data)
        assert parses(append_invalid_packets(data, header, read_tile_parts(data, header)), header), path.name
        found += 1
    assert found > (20 if shared_data() else 8)


def test_plain_pydicom_hears_of_it_too() -> None:
    stream = replace(LOSSLESS[0], codestream=LOSSLESS[0].codestream[:-40] + END)
    with pytest.raises(RuntimeError, match="its data end before its picture does"):
        next(iter_pixels(stream.file(), decoding_plugin=codecs.PLUGIN))
