"""Photometric Interpretation against the other attributes: noted or refused, and never a colour too many."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from pipeline.errors import InvalidAttributeError, MissingAttributeError, PixelDataError
from pipeline.frames import build_index, iter_frames
from support.codestreams import COLUMNS, ROWS, described, image
from support.converted_folders import convert
from support.dicom_bytes import BIG, EXPLICIT, IMPLICIT, JPEG, encapsulated_file, encapsulated_value, native_file

BYTES = bytes(range(48))
THREE = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
SHARED = THREE | {"PhotometricInterpretation": "YBR_FULL_422"}


def decoded(data: bytes, **options: Any) -> np.ndarray:
    return next(iter_frames(io.BytesIO(data), **options))


def notes(data: bytes) -> str:
    return "; ".join(build_index(io.BytesIO(data)).notes)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_ICT", "CMYK", "HSV", "ARGB"])
@pytest.mark.parametrize("rows", [4, 8])
def test_one_sample_is_grey_whatever_it_is_called(label: str, rows: int) -> None:
    """Also of three columns, which pydicom would take for red, green and blue."""
    columns = 24 // rows if rows == 8 else 4
    data = native_file(BYTES[: rows * columns], rows=rows, columns=columns, PhotometricInterpretation=label)
    np.testing.assert_array_equal(decoded(data).ravel(), np.frombuffer(BYTES, "u1", rows * columns))
    assert f"Photometric Interpretation is {label}, but there is 1 sample per pixel" in notes(data)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_one_component_of_a_jpeg_is_grey(label: str) -> None:
    grey = image(8)
    codestream = imagecodecs.jpeg8_encode(grey, level=100)
    value = encapsulated_value([codestream + b"\0" * (len(codestream) % 2)])
    data = encapsulated_file(value, JPEG, **described(grey, 8, PhotometricInterpretation=label))
    for plugin in ("", "pillow"):
        assert np.abs(decoded(data, decoding_plugin=plugin).astype(int) - grey).max() < 4
    assert "1 sample per pixel" in notes(data)


@pytest.mark.parametrize("label", ["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "CMYK", "ARGB"])
def test_three_samples_are_stored_and_noted(label: str) -> None:
    data = native_file(BYTES, PhotometricInterpretation=label, **THREE)
    np.testing.assert_array_equal(decoded(data).ravel(), np.frombuffer(BYTES, "u1"))
    assert f"Photometric Interpretation is {label}, but there are 3 samples per pixel" in notes(data)


@pytest.mark.parametrize("label", ["YBR_ICT", "YBR_RCT"])
def test_a_transformation_of_jpeg_2000_elsewhere_is_noted(label: str) -> None:
    data = native_file(BYTES, PhotometricInterpretation=label, **THREE)
    np.testing.assert_array_equal(decoded(data).ravel(), np.frombuffer(BYTES, "u1"))
    assert f"{label}, which only JPEG 2000 has" in notes(data)


@pytest.mark.parametrize("label", ["MONOCHROME2", "RGB", "YBR_FULL", "HSV"])
def test_ordinary_labels_are_no_note(label: str) -> None:
    values = {} if label == "MONOCHROME2" else THREE
    assert not notes(native_file(BYTES if values else BYTES[:16], PhotometricInterpretation=label, **values))


@pytest.mark.parametrize("blanks", ["{} ", " {}", "  {}  ", "{}\0", "{} \0", "\0{}"])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_blanks_around_a_label_mean_nothing(blanks: str, syntax: str) -> None:
    for label, values, pixels in (("MONOCHROME2", {}, BYTES[:16]), ("RGB", THREE, BYTES)):
        data = native_file(pixels, syntax, vr="OB", PhotometricInterpretation=blanks.format(label).encode(), **values)
        assert build_index(io.BytesIO(data)).options["photometric_interpretation"] == label
        np.testing.assert_array_equal(decoded(data).ravel(), np.frombuffer(pixels, "u1"))
        assert not notes(data)


@pytest.mark.parametrize("blanks", [b"  ", b"\0\0", b" \0"])
def test_a_label_of_blanks_is_none(blanks: bytes) -> None:
    with pytest.raises(MissingAttributeError, match="Photometric Interpretation"):
        decoded(native_file(BYTES, PhotometricInterpretation=blanks))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"SamplesPerPixel": 4, "PlanarConfiguration": 0, "PhotometricInterpretation": "CMYK"}, "invalid_attribute"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "missing_attribute"),
        ({"PhotometricInterpretation": "YBR_FULL_422"}, "contradictory_attributes"),
        (SHARED | {"rows": 3, "columns": 3}, "contradictory_attributes"),
    ],
    ids=str,
)
def test_what_cant_be_told_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises((InvalidAttributeError, MissingAttributeError)) as caught:
        build_index(io.BytesIO(native_file(bytes(64), **values)))
    assert caught.value.reason == reason


def spread(stored: np.ndarray) -> np.ndarray:
    """Y Y Cb Cr to two pixels of three samples each (PS3.3 C.7.6.3.1.2)."""
    pairs = stored.reshape(*stored.shape[:-1], -1, 4)
    first, second = pairs[..., [0, 2, 3]], pairs[..., [1, 2, 3]]
    return np.stack([first, second], -2).reshape(*stored.shape[:-1], -1, 3)


@pytest.mark.parametrize("spare", [0, 2, 4, 6, 8, 14, 18, 32, 64, 100])
@pytest.mark.parametrize("shape", [(4, 4), (1, 2), (2, 2), (2, 4)])
def test_bytes_behind_subsampled_colour_are_padding(shape: tuple[int, int], spare: int) -> None:
    """Unless they are just as many as colour of full size has more."""
    rows, columns = shape
    size = rows * columns * 2
    stored = np.random.default_rng(size).integers(0, 256, (rows, columns * 2), np.uint8)
    data = native_file(stored.tobytes() + bytes(spare), vr="OB", rows=rows, columns=columns, **SHARED)
    if 2 * spare == size:
        with pytest.raises(PixelDataError, match="a third larger"):
            decoded(data)
        return
    np.testing.assert_array_equal(decoded(data, raw=True), spread(stored))
    assert ("bytes more than" in notes(data)) == bool(spare)


def test_rows_of_subsampled_colour_that_are_filled_up_to_pairs() -> None:
    for rows, columns, frames in ((3, 3, 1), (2, 5, 2), (5, 1, 3)):
        stored = np.random.default_rng(columns).integers(0, 256, (frames, rows, (columns + 1) * 2), np.uint8)
        data = native_file(stored.tobytes(), vr="OB", rows=rows, columns=columns, frames=frames, **SHARED)
        for indices in (None, range(frames)):
            found = np.stack(list(iter_frames(io.BytesIO(data), raw=True, indices=indices)))
            np.testing.assert_array_equal(found, spread(stored)[:, :, :columns])
        assert "each row ends with an additional pixel" in notes(data)


def test_pairs_that_go_on_from_row_to_row() -> None:
    stored = np.random.default_rng(1).integers(0, 256, 4 * 3 * 2, np.uint8)
    data = native_file(stored.tobytes(), vr="OB", rows=4, columns=3, **SHARED)
    np.testing.assert_array_equal(decoded(data, raw=True), spread(stored).reshape(4, 3, 3))
    assert "across the ends of rows" in notes(data)


def test_subsampled_colour_has_no_planes() -> None:
    """PS3.3 C.7.6.3.1.2: Planar Configuration is 0 then."""
    stored = np.random.default_rng(2).integers(0, 256, (4, 8), np.uint8)
    data = native_file(stored.tobytes(), vr="OB", **SHARED | {"PlanarConfiguration": 1})
    np.testing.assert_array_equal(decoded(data, raw=True), spread(stored))
    assert "Planar Configuration is 1" in notes(data)


def test_what_becomes_of_them_in_a_conversion(tmp_path: Path) -> None:
    """Noted in the row, and whether an original may go is what another path to its pixels says."""
    grey = image(8)
    words = (image(12).astype("u2") << 4) | 5
    whole = {"rows": ROWS, "columns": COLUMNS}
    stored = np.random.default_rng(3).integers(0, 256, (3, 8), np.uint8)
    bits = (image(8) > 128).astype(np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").view("u2").byteswap().tobytes()
    files = {
        "rgb": native_file(grey.tobytes(), PhotometricInterpretation="RGB", SOPInstanceUID="1.2.3.1", **whole),
        "ybr": native_file(grey.tobytes(), PhotometricInterpretation="YBR_FULL", SOPInstanceUID="1.2.3.2", **whole),
        "three": native_file(BYTES, PhotometricInterpretation="PALETTE COLOR", SOPInstanceUID="1.2.3.3", **THREE),
        "blank": native_file(BYTES[:16], PhotometricInterpretation=b" MONOCHROME1", SOPInstanceUID="1.2.3.4"),
        "high": native_file(words.tobytes(), bits=16, BitsStored=12, HighBit=15, SOPInstanceUID="1.2.3.5", **whole),
        "filled": native_file(stored.tobytes(), vr="OB", rows=3, columns=3, SOPInstanceUID="1.2.3.6", **SHARED),
        "bits": native_file(packed, BIG, vr="OW", bits=1, SOPInstanceUID="1.2.3.7", **whole),
        "422": native_file(BYTES, vr="OB", PhotometricInterpretation="YBR_FULL_422", SOPInstanceUID="1.2.3.8"),
    }
    done = convert(tmp_path / "in", files)
    for name, note in {
        "rgb": "1 sample",
        "ybr": "1 sample",
        "three": "3 samples",
        "high": "High Bit",
        "filled": "odd",
    }.items():
        assert note in done.rows[name]["assumptions"]
    assert done.rows["blank"]["assumptions"] is None or "Photometric" not in done.rows["blank"]["assumptions"]
    np.testing.assert_array_equal(done.frames("ybr")[0], grey)
    np.testing.assert_array_equal(done.frames("high")[0], image(12))
    assert done.values("high", "HighBit") == [11]
    np.testing.assert_array_equal(done.frames("bits")[0], bits)
    assert done.frames("filled").shape == (1, 3, 3, 3)
    assert (done.rows["422"]["status"], done.rows["422"]["reason"]) == ("failed", "contradictory_attributes")
    verdicts = done.verdicts()
    assert {name: (row["verdict"], row["deletable"]) for name, row in verdicts.items()} == {
        name: ("equal", True) if name != "422" else ("not_stored", False) for name in files
    }
    assert verdicts["high"]["compared_by"] == "pydicom"
