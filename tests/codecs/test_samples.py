"""Which bits of a word are the sample (PS3.5 8.1.1): the same in native data and in every codec, whoever decodes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.pixels import get_decoder

from pipeline import codecs
from pipeline.codecs import Coded, SampleBits
from pipeline.errors import CodestreamError, DecodeError
from pipeline.frames import FrameReader, build_index, iter_frames
from support.codestreams import (
    DEFLATED_FRAMES,
    JPEG_XL,
    JPEG_XL_LOSSLESS,
    UNCOMPRESSED,
    deflated,
    jpeg2000,
    lossless_jpeg,
    rle,
)
from support.dicom_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, encapsulated_file, encapsulated_value, native_file

ROWS, COLUMNS = 24, 20
Encode = Callable[[np.ndarray], bytes]
NATIVE = {"implicit": IMPLICIT, "explicit": EXPLICIT, "big-endian": BIG, "deflated-file": DEFLATED}
WORDS: dict[str, tuple[str, Encode]] = {
    "rle": (uid.RLELossless, rle),
    "uncompressed": (UNCOMPRESSED, lambda words: words.tobytes()),
    "deflated": (DEFLATED_FRAMES, deflated),
}
"""Encodings of the words themselves."""
NUMBERS: dict[str, tuple[str, Encode]] = {
    "jpeg-lossless": (uid.JPEGLosslessSV1, lambda words: lossless_jpeg(words, 8 * words.itemsize, 1)),
    "jpeg-ls": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "jpeg-2000": (uid.JPEG2000Lossless, lambda words: jpeg2000(words, 8 * words.itemsize)),
    "jpeg-2000-signed": (
        uid.JPEG2000Lossless,
        lambda words: jpeg2000(words.view(f"i{words.itemsize}"), 8 * words.itemsize),
    ),
    "htj2k": (uid.HTJ2KLossless, lambda words: imagecodecs.htj2k_encode(words, reversible=True)),
    "htj2k-signed": (
        uid.HTJ2KLossless,
        lambda words: imagecodecs.htj2k_encode(words.view(f"i{words.itemsize}"), reversible=True),
    ),
    "jpeg-xl": (
        JPEG_XL_LOSSLESS,
        lambda words: imagecodecs.jpegxl_encode(words, lossless=True, bitspersample=8 * words.itemsize),
    ),
}
"""Codestreams of numbers, here of as many bits as the words have."""
ENCAPSULATED = WORDS | NUMBERS


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    codecs.register()
    with warnings.catch_warnings(action="ignore"):
        yield


def sample_words(bits: int, stored: int, low: int, *, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Samples with their extremes, and words that hold them from bit `low` on, with anything in the bits beside."""
    rng = np.random.default_rng(bits * 100 + stored)
    least = -(1 << (stored - 1)) if signed else 0
    samples = rng.integers(least, least + (1 << stored), (ROWS, COLUMNS))
    samples[0, :2] = least, least + (1 << stored) - 1
    beside = rng.integers(0, 1 << bits, samples.shape) & ~(((1 << stored) - 1) << low)
    words = (samples & ((1 << stored) - 1)) << low | beside
    return samples.astype(f"{'i' if signed else 'u'}{bits // 8}"), words.astype(f"u{bits // 8}")


def file_of(name: str, words: np.ndarray, stored: int, high: int, *, signed: bool, **others: Any) -> bytes:
    values = {
        "rows": ROWS,
        "columns": COLUMNS,
        "bits": 8 * words.itemsize,
        "BitsStored": stored,
        "HighBit": high,
        "PixelRepresentation": int(signed),
    } | others
    if name in NATIVE:
        order = ">" if name == "big-endian" else "<"
        vr = "OB" if words.itemsize == 1 else "OW"
        return native_file(words.astype(words.dtype.newbyteorder(order)).tobytes(), NATIVE[name], vr=vr, **values)
    syntax, encode = ENCAPSULATED[name]
    data = encode(words)
    return encapsulated_file(encapsulated_value([data + b"\0" * (len(data) % 2)]), syntax, **values)


def every_way(data: bytes, without: frozenset[str] = frozenset()) -> Iterator[np.ndarray]:
    """One frame, by each of the ways that lead to it."""
    index = build_index(io.BytesIO(data))
    named = set(get_decoder(index.transfer_syntax_uid).available_plugins if index.encapsulated else ())
    named -= without
    for plugin in ("", *named):
        for indices in (None, [0]):
            for options in ({}, {"raw": True}, {"force_rgb": False}):  # the last one is none that is known here
                yield next(iter_frames(io.BytesIO(data), indices=indices, decoding_plugin=plugin, **options))
    dtype = np.dtype(f"{'ui'[int(index.options['pixel_representation'])]}{int(index.options['bits_allocated']) // 8}")
    for options in ({}, {"force_rgb": False}):
        shard = np.full((ROWS, COLUMNS), 77, dtype)
        FrameReader(io.BytesIO(data), index, options=options).read_into(0, shard)
        yield shard


def assert_samples(data: bytes, samples: np.ndarray, without: frozenset[str] = frozenset()) -> None:
    for frame in every_way(data, without):
        assert frame.dtype.kind == samples.dtype.kind
        np.testing.assert_array_equal(frame, samples)


def not_asked(name: str, *, signed: bool) -> frozenset[str]:
    """Pillow takes the codestream's sign for a fact."""
    return frozenset({"pillow"} if name == "jpeg-2000-signed" and not signed else ())


def test_pillow_isnt_asked_where_it_would_move_samples() -> None:
    _, words = sample_words(16, 12, 0, signed=False)
    data = file_of("jpeg-2000-signed", words, 12, 11, signed=False)
    with pytest.raises(DecodeError, match="pillow: not tried, because it moves samples"):
        next(iter_frames(io.BytesIO(data), decoding_plugin="pillow"))


@pytest.mark.parametrize("name", [*NATIVE, *ENCAPSULATED])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_bits_above_bits_stored_dont_count(name: str, signed: bool) -> None:
    for bits, stored in ((16, 12), (16, 9), (8, 5)):
        samples, words = sample_words(bits, stored, 0, signed=signed)
        assert_samples(file_of(name, words, stored, stored - 1, signed=signed), samples, not_asked(name, signed=signed))


@pytest.mark.parametrize("name", [*NATIVE, *ENCAPSULATED])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_samples_lie_where_high_bit_says(name: str, signed: bool) -> None:
    for bits, stored, high in ((16, 12, 15), (16, 10, 13), (8, 5, 7), (8, 4, 5)):
        samples, words = sample_words(bits, stored, high - stored + 1, signed=signed)
        data = file_of(name, words, stored, high, signed=signed)
        assert_samples(data, samples, not_asked(name, signed=signed))
        index = build_index(io.BytesIO(data))
        assert index.options["high_bit"] == high
        assert f"bits {high - stored + 1} to {high}" in "".join(index.notes)


@pytest.mark.parametrize("name", [*NATIVE, "rle", "uncompressed", "deflated"])
def test_longer_words(name: str) -> None:
    for bits, stored, high in ((32, 20, 31), (32, 17, 20)):
        for signed in (False, True):
            samples, words = sample_words(bits, stored, high - stored + 1, signed=signed)
            assert_samples(file_of(name, words, stored, high, signed=signed), samples)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_codestream_of_samples_holds_them_wherever_high_bit_puts_them(signed: bool) -> None:
    """Its precision is Bits Stored: there are no other bits (PS3.5 8.2)."""
    samples, _ = sample_words(16, 12, 0, signed=signed)
    plain = samples.view("u2") & 0xFFF
    for syntax, codestream in (
        (uid.JPEGLosslessSV1, lossless_jpeg(plain, 12, 1)),
        (uid.JPEG2000Lossless, jpeg2000(samples, 12)),
        (uid.JPEG2000Lossless, jpeg2000(plain, 12)),
        (JPEG_XL_LOSSLESS, imagecodecs.jpegxl_encode(plain, lossless=True, bitspersample=12)),
    ):
        values = {"rows": ROWS, "columns": COLUMNS, "bits": 16, "BitsStored": 12, "PixelRepresentation": int(signed)}
        for high in (11, 15, 13):
            value = encapsulated_value([codestream + b"\0" * (len(codestream) % 2)])
            assert_samples(encapsulated_file(value, syntax, HighBit=high, **values), samples)


def test_a_precision_that_is_neither_a_samples_nor_a_words_is_refused() -> None:
    samples, _ = sample_words(16, 14, 0, signed=False)
    codestream = jpeg2000(samples, 14)
    value = encapsulated_value([codestream + b"\0" * (len(codestream) % 2)])
    values = {"rows": ROWS, "columns": COLUMNS, "bits": 16, "BitsStored": 12, "HighBit": 15}
    for plugin in ("", "pillow", "pylibjpeg"):
        with pytest.raises(CodestreamError, match="14 bits, neither the 12 of Bits Stored") as caught:
            next(
                iter_frames(
                    io.BytesIO(encapsulated_file(value, uid.JPEG2000Lossless, **values)), decoding_plugin=plugin
                )
            )
        assert caught.value.reason == "frame_mismatch"


@pytest.mark.parametrize(("stored", "high"), [(12, 10), (12, 0), (16, 11), (12, 16), (12, 255)])
def test_a_high_bit_that_cant_be_is_noted_and_not_believed(stored: int, high: int) -> None:
    samples, words = sample_words(16, stored, 0, signed=True)
    data = file_of("explicit", words, stored, high, signed=True)
    index = build_index(io.BytesIO(data))
    assert "high_bit" not in index.options
    assert any(f"High Bit {high} contradicts Bits Stored {stored}" in note for note in index.notes)
    assert_samples(data, samples)


def test_an_ordinary_index_says_nothing_of_it() -> None:
    _, words = sample_words(16, 12, 0, signed=False)
    index = build_index(io.BytesIO(file_of("explicit", words, 12, 11, signed=False)))
    assert "high_bit" not in index.options
    assert index.notes == ()


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_loss_beyond_the_range_of_samples_doesnt_come_out_at_its_other_end(signed: bool) -> None:
    """Of 16 bits that hold 12 a lossy codestream may decode to 4097: that is white, not black."""
    least, most = (-2048, 2047) if signed else (0, 4095)
    samples = np.full((ROWS, COLUMNS), least, "i2" if signed else "u2")
    samples[5:17, 4:13] = most
    made = {
        uid.JPEG2000: imagecodecs.jpeg2k_encode(
            samples, level=60, reversible=False, codecformat="J2K", bitspersample=16
        )
    }
    if not signed:  # words of two's complement aren't coded with loss
        made[uid.JPEGLSNearLossless] = imagecodecs.jpegls_encode(samples, level=9)
        made[JPEG_XL] = imagecodecs.jpegxl_encode(samples, distance=1.0, bitspersample=16)
    for syntax, codestream in made.items():
        value = encapsulated_value([codestream + b"\0" * (len(codestream) % 2)])
        values = {"rows": ROWS, "columns": COLUMNS, "bits": 16, "BitsStored": 12, "HighBit": 11}
        data = encapsulated_file(value, syntax, PixelRepresentation=int(signed), **values)
        for frame in every_way(data):
            assert np.abs(frame.astype(int) - samples).max() < 1000
            assert frame.min() >= least
            assert frame.max() <= most


def test_corrections_can_be_switched_off() -> None:
    _, words = sample_words(16, 12, 0, signed=False)
    for name, option in (("explicit", "correct_unused_bits"), ("rle", "correct_unused_bits")):
        data = file_of(name, words, 12, 15, signed=False)
        np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data), **{option: False})), words)


def test_views_are_copied_where_samples_are_moved() -> None:
    samples, words = sample_words(16, 12, 4, signed=False)
    data = file_of("explicit", words, 12, 15, signed=False)
    frame = next(iter_frames(io.BytesIO(data), view_only=True))
    np.testing.assert_array_equal(frame, samples)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_the_rule_itself(order: str, size: int) -> None:
    """Against Python's integers, for every place that samples can have in a word."""
    bits = 8 * size
    words = np.random.default_rng(size).integers(0, 256, (40, size), np.uint8).view(f"{order}u{size}").ravel()
    for stored in {1, bits // 2, bits - 1, bits}:
        for high in range(stored - 1, bits):
            for signed in (False, True):
                found = SampleBits(stored, high, signed).correct(words.copy())
                plain = [int(word) >> (high - stored + 1) & ((1 << stored) - 1) for word in words]
                expected = [value - (1 << stored) if signed and value >> (stored - 1) else value for value in plain]
                assert found.tolist() == expected, (stored, high, signed)
                assert found.dtype == np.dtype(f"{order}{'i' if signed else 'u'}{size}")


def test_nothing_is_copied_where_nothing_is_to_be_done() -> None:
    words = np.arange(9, dtype="u2")
    words.flags.writeable = False
    assert np.shares_memory(SampleBits(16, 15, signed=True).correct(words), words)
    assert np.shares_memory(SampleBits(12, 11, signed=False).correct(words, Coded(12, sign_by_precision=True)), words)
    assert not np.shares_memory(SampleBits(12, 11, signed=False).correct(words), words)
