"""Frames that aren't what they seem, through a conversion as a user does it: the row, its message, and what verify says."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import uid

from pipeline.errors import DecodeError, PipelineError, foreign_text, without_addresses
from support.codestreams import (
    COLUMNS,
    END,
    ROWS,
    Stream,
    described,
    image,
    jpeg2000,
    lossless_jpeg,
    rle,
    shared_chroma,
    tile,
    with_tile_length,
)
from support.converted_folders import convert, invoke
from support.dicom_bytes import JPEG, encapsulated_file, encapsulated_value, rle_frame

GREY, DEEP, COLOUR = image(8), image(12), image(8, samples=3)
SWAPPED = {"rows": COLUMNS, "columns": ROWS}


def stream(syntax: str, codestream: bytes, pixels: np.ndarray, bits: int = 8, **others: object) -> Stream:
    return Stream("", syntax, codestream, pixels, described(pixels, bits, **others))


def padded_rle(plane: np.ndarray, spare: bytes) -> bytes:
    """RLE of which the last run goes on behind the picture, and perhaps some bytes more."""
    data = rle_frame(np.append(plane.ravel(), np.uint8(0))[None])
    assert len(plane.ravel()) < 128
    return data + spare


def test_contradictions_and_halves(tmp_path: Path) -> None:
    jpeg, lossless = imagecodecs.jpeg8_encode(GREY, level=90), lossless_jpeg(DEEP, 12, 1)
    whole = jpeg2000(GREY, 8)
    first = whole.index(b"\xff\x93")
    streams = {
        "jpeg-swapped": stream(JPEG, jpeg, GREY, **SWAPPED),
        "lossless-swapped": stream(uid.JPEGLosslessSV1, lossless, DEEP, 12, **SWAPPED),
        "j2k-swapped": stream(uid.JPEG2000Lossless, whole, GREY, **SWAPPED),
        "j2k-deep": stream(uid.JPEG2000Lossless, jpeg2000(DEEP, 12), GREY),
        "jpeg-half": stream(JPEG, jpeg[: len(jpeg) // 2] + END, GREY),
        "colour-half": stream(JPEG, tile()[:-400] + END, COLOUR, PhotometricInterpretation="YBR_FULL_422"),
        "lossless-half": stream(uid.JPEGLosslessSV1, lossless[: len(lossless) // 2] + END, DEEP, 12),
        "lossless-less": stream(uid.JPEGLosslessSV1, lossless[:-20] + END, DEEP, 12),
        "j2k-half": stream(uid.JPEG2000Lossless, with_tile_length(whole[: first + 300]), GREY),
        "rle-half": stream(uid.RLELossless, rle(GREY)[:-800], GREY),
        "sound": stream(JPEG, jpeg, GREY),
    }
    files = {
        name: made.file(SOPInstanceUID=f"1.2.3.{number}").getvalue()
        for number, (name, made) in enumerate(streams.items(), 1)
    }
    done = convert(tmp_path / "in", files)
    told = {name: (row["status"], row["reason"]) for name, row in done.rows.items()}
    mismatch, failed = ("failed", "frame_mismatch"), ("failed", "decode_failed")
    assert told == {
        **dict.fromkeys((name for name in files if name.endswith(("swapped", "deep"))), mismatch),
        **dict.fromkeys((name for name in files if name.endswith(("half", "less"))), failed),
        "sound": ("converted", None),
    }
    assert done.result.exit_code == 1
    assert f"{ROWS} x {COLUMNS} pixels" in done.rows["jpeg-swapped"]["message"]
    deletable = {name for name, row in done.verdicts().items() if row["deletable"]}
    assert deletable == {"sound"}


def test_subsampled_jpeg_2000(tmp_path: Path) -> None:
    luma = image(8, noise=0)
    chroma = [np.full((ROWS, COLUMNS // 2), value, np.uint8) for value in (90, 160)]
    codestream = shared_chroma([luma, *chroma], [(1, 1), (2, 1), (2, 1)])
    made = stream(uid.JPEG2000Lossless, codestream, COLOUR, PhotometricInterpretation="YBR_FULL_422")
    done = convert(tmp_path / "in", {"a": made.file().getvalue()})
    assert done.rows["a"]["status"] == "converted"
    assert done.rows["a"]["photometric_interpretation"] == "RGB"
    red = np.clip(luma + 1.402 * (160 - 128), 0, 255)  # PS3.3 C.7.6.3.1.2
    assert np.abs(done.frames("a")[0][..., 0] - red).max() <= 1
    assert done.verdicts()["a"]["verdict"] == "equal"
    raw = convert(tmp_path / "raw", {"a": made.file().getvalue()}, "--set", "decode.raw=true")
    assert (raw.rows["a"]["status"], raw.rows["a"]["reason"]) == ("failed", "decode_failed")
    assert "subsampled" in raw.rows["a"]["message"]


@pytest.mark.parametrize("spare", [b"", b"\0" * 30, b"\x80\x80", b"\x05"], ids=repr)
def test_padded_rle_with_our_plugin_alone(tmp_path: Path, spare: bytes) -> None:
    plane = GREY[:9, :7]
    data = padded_rle(plane, spare + b"\0" * (len(spare) % 2))
    done = convert(
        tmp_path / "in",
        {"a": encapsulated_file(encapsulated_value([data]), rows=9, columns=7)},
        "--plugin",
        "imagecodecs",
    )
    assert done.rows["a"]["status"] == "converted"
    np.testing.assert_array_equal(done.frames("a")[0], plane)
    assert done.verdicts()["a"]["deletable"]


@pytest.mark.parametrize("bits", [8, 16])
def test_no_panic_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str], bits: int) -> None:
    """Of pylibjpeg-rle, which is written in Rust, where it is named and where others come before it."""
    pixels = (GREY[:9, :7] if bits == 8 else DEEP[:9, :7]).copy()
    segments = [padded_rle(part, b"")[64:] for part in ([pixels] if bits == 8 else [pixels >> 8, pixels & 255])]
    offsets = [64, 64 + len(segments[0])][: len(segments)]
    data = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.dcm").write_bytes(
        encapsulated_file(encapsulated_value([data]), rows=9, columns=7, bits=bits, BitsStored=8 + bits // 4)
        if bits == 16
        else encapsulated_file(encapsulated_value([data]), rows=9, columns=7)
    )
    told = ""
    for plugin, code in (("pylibjpeg", 1), ("imagecodecs", 0)):
        out = tmp_path / f"out-{plugin}"
        done = invoke("convert", str(source), str(out), "--cluster", "synchronous", "--plugin", plugin)
        assert done.exit_code == code, done.output
        told += done.output
    told += invoke("verify", str(out), "--source", "--cluster", "synchronous").output
    assert "panicked" not in told + "".join(capfd.readouterr())  # Rust writes to the file descriptor


def test_messages_are_the_same_in_every_run(tmp_path: Path) -> None:
    """Pillow names the object that it can't open, by its address."""
    broken = bytearray(imagecodecs.jpeg8_encode(GREY))
    broken[broken.index(b"\xff\xdb") + 4] = 0x3F  # a quantisation table that can't be
    value = encapsulated_value([bytes(broken) + b"\0" * (len(broken) % 2)])
    files = {
        "broken": encapsulated_file(value, JPEG, **described(GREY, 8)),
        "empty": encapsulated_file(
            encapsulated_value([b"", bytes(40)]), JPEG, frames=2, SOPInstanceUID="1.2.9", **described(GREY, 8)
        ),
    }
    first, second = (convert(tmp_path / name, files).rows for name in ("a", "b"))
    for name, row in first.items():
        assert row["status"] == "failed"
        assert " at 0x" not in row["message"]
        assert row["message"].replace("/a/", "/b/") == second[name]["message"]
    assert "empty: it has 0 bytes" in first["empty"]["message"]


@pytest.mark.parametrize(
    "error", [ValueError("cannot identify <_io.BytesIO object at 0x7fac39bb1260>"), OSError("a at 0x00007FAC39BB1260")]
)
def test_no_error_of_ours_holds_an_address(error: Exception) -> None:
    for text in (foreign_text(error), str(PipelineError(str(error))), str(DecodeError(f"pillow: {error}"))):
        assert "0x" not in text
    assert foreign_text(error).startswith(f"{type(error).__name__}: ")
    assert (
        without_addresses("an unexpected tag at 0x7fe0") == "an unexpected tag at 0x7fe0"
    )  # a place in the file stays
