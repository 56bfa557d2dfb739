"""Reading headers: everything before and behind the pixel data, of sound and of damaged files."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from pipeline.errors import (
    InvalidAttributeError,
    MissingAttributeError,
    NoPixelDataError,
    NotDicomError,
    PipelineError,
    PixelDataError,
    SourceError,
)
from pipeline.frames import Header, build_index, iter_frames, open_source, pixel_format, read_header
from support.corpora import NOT_DICOM, TAKEN_OTHERWISE, WITHOUT_PREAMBLE, corpus, dicom_files
from support.dicom_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    RLE,
    TAGS,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    header,
    item,
    meta,
    native_file,
)

BEHIND = element(0x7FE10010, "LO", "PRIVATE") + element(0xFFFCFFFC, "OB", b"\0" * 10)
LIKE_TEXT = b"PatientID,Modality\n1,CT\n" * 20
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(300)


def read(data: bytes, **kwargs: Any) -> Header:
    return read_header(io.BytesIO(data), source="made.dcm", **kwargs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", dicom_files(3_000_000, TAKEN_OTHERWISE), ids=lambda p: p.name)
def test_every_real_header_is_read_whole(path: Path) -> None:
    expected = dcmread(path)
    with open_source(str(path)) as file:
        got = read_header(file, source=path.name)
    pixels = {0x7FE00008, 0x7FE00009, 0x7FE00010}
    assert not got.truncated
    ours, theirs = set(got.dataset.keys()), set(expected.keys()) - pixels
    assert theirs <= ours | {0}, theirs - ours
    assert ours <= theirs


@pytest.mark.parametrize(
    "path", [path for path in corpus() if path.name in NOT_DICOM | WITHOUT_PREAMBLE], ids=lambda path: path.name
)
def test_the_lists_of_what_pydicom_takes_for_no_dicom(path: Path) -> None:
    with pytest.raises(InvalidDicomError):
        dcmread(path)
    if path.name in WITHOUT_PREAMBLE:
        assert read(path.read_bytes()).assumptions[0] == "no DICOM preamble"
    else:
        with pytest.raises(PipelineError) as caught:
            read(path.read_bytes())
        assert caught.value.reason in {"not_dicom", "archive"}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_elements_behind_native_pixel_data(syntax: str) -> None:
    behind = element(0x7FE10010, "LO", "PRIVATE", syntax=syntax) + element(0xFFFCFFFC, "OB", b"\0\0", syntax=syntax)
    got = read(native_file(bytes(16), syntax, after=behind))
    assert got.trailing == {0x7FE10010, 0xFFFCFFFC}
    assert got.dataset[0x7FE10010].value in {"PRIVATE", b"PRIVATE "}
    assert (got.value_length, got.assumptions, got.deflated) == (16, (), syntax == DEFLATED)


def test_elements_behind_encapsulated_pixel_data() -> None:
    data = encapsulated_file(encapsulated_value([b"ab" * 9, b"cd"]), after=BEHIND, frames=2)
    got = read(data)
    assert got.trailing == {0x7FE10010, 0xFFFCFFFC}
    assert got.value_length is None
    assert data[got.value_offset :].startswith(item(b"") + item(b"ab" * 9))


def test_garbage_behind_the_pixel_data_costs_nothing() -> None:
    for garbage in (bytes(64), b"\xff" * 33, LIKE_TEXT, b"\0"):
        got = read(native_file(bytes(16), after=garbage))
        assert not got.trailing
        assert got.pixel_keyword == "PixelData"
    assert read(native_file(bytes(16), after=bytes(64))).assumptions == ("64 bytes after the last element are ignored",)
    assert read(native_file(bytes(16), after=LIKE_TEXT)).unstored == (
        f"{len(LIKE_TEXT)} bytes after the last element aren't data elements",
    )


@pytest.mark.parametrize("data", [b"", b"\0" * 4, LIKE_TEXT, PNG, bytes(5000), b"\x1f\x8b\x08" + bytes(200), b"[1, 2]"])
def test_what_isnt_dicom(data: bytes) -> None:
    with pytest.raises(NotDicomError, match="not DICOM") as caught:
        read(data)
    assert caught.value.source == "made.dcm"


def test_random_bytes_are_never_dicom() -> None:
    generator = np.random.default_rng(0)
    for size in generator.integers(1, 2000, 300):
        with pytest.raises(NotDicomError):
            read(generator.bytes(int(size)))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_without_preamble_and_meta_the_encoding_is_found_and_said(syntax: str) -> None:
    data = header(attributes(), syntax) + element(0x7FE00010, "OW", bytes(range(16)), syntax=syntax)
    got = read(data)
    assert got.transfer_syntax_uid == syntax
    assert got.assumptions[0] == "no DICOM preamble"
    assert "assumed" in got.assumptions[1]
    assert build_index(io.BytesIO(data)).ranges(0) == [(len(data) - 16, 16)]
    with pytest.raises(MissingAttributeError, match="'transfer_syntax_uid' is required"):
        list(iter_frames(io.BytesIO(data)))
    assert next(iter_frames(io.BytesIO(data), transfer_syntax_uid=syntax)).size == 16


def test_meta_without_preamble() -> None:
    data = native_file(bytes(16))[132:]
    assert read(data).assumptions == ("no DICOM preamble",)
    assert len(list(iter_frames(io.BytesIO(data)))) == 1


def test_a_data_set_with_dicm_at_byte_128() -> None:
    first = element(0x00080005, "CS", "ISO_IR 100") + element(0x00080008, "CS", "A" * 94)
    data = first + element(0x00080080, "LO", "DICM" + "B" * 200) + header(attributes(), EXPLICIT)[-30:]
    assert data[128:132] == b"DICM"
    assert read(data).assumptions[0] == "no DICOM preamble"


def test_no_transfer_syntax_in_the_meta() -> None:
    data = meta(None) + header(attributes(), IMPLICIT) + element(0x7FE00010, "OW", bytes(16), syntax=IMPLICIT)
    assert read(data).assumptions == ("no Transfer Syntax UID: Implicit VR Little Endian assumed",)


@pytest.mark.filterwarnings("ignore:Expected")
def test_another_vr_encoding_than_declared() -> None:
    data = meta(EXPLICIT) + header(attributes(), IMPLICIT) + element(0x7FE00010, "OW", bytes(16), syntax=IMPLICIT)
    assert read(data).assumptions == ("the transfer syntax declares explicit VR, the data set is in implicit VR",)
    assert len(list(iter_frames(io.BytesIO(data)))) == 1


def test_command_elements_are_tolerated() -> None:
    command = element(0x00000002, "UI", "1.2.840.10008.1.1", syntax=IMPLICIT)
    command = element(0x00000000, "UL", struct.pack("<L", len(command)), syntax=IMPLICIT) + command
    data = meta(EXPLICIT) + command + native_file(bytes(16))[len(meta(EXPLICIT)) :]
    assert read(data).dataset.AffectedSOPClassUID == "1.2.840.10008.1.1"
    assert read(command + native_file(bytes(16))[len(meta(EXPLICIT)) :]).pixel_keyword == "PixelData"


@pytest.mark.parametrize("undefined", [True, False])
def test_absurd_lengths_take_no_memory(undefined: bool) -> None:
    """An element that declares 4 GB in a file of 1 kB, at the top and in an undefined-length sequence."""
    absurd = element(0x00091010, "OB", b"abcd", length=0xFFFFFFF0)
    if undefined:
        absurd = element(0x00081140, "SQ", item(absurd, 0xFFFFFFFF), length=0xFFFFFFFF)
    data = meta(EXPLICIT) + header({"SOPClassUID": "1.2", "Modality": "OT"}) + absurd
    tracemalloc.start()
    try:
        read(data)
    except PipelineError as error:
        assert error.reason == "header_unreadable"  # noqa: PT017  either is fine, memory is what counts
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_large_elements_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.frames.header_reader.LARGE_ELEMENT", 1000)
    large = element(0x00091010, "OB", bytes(2000))
    data = meta(EXPLICIT) + element(0x00080060, "CS", "OT") + large + header({"Rows": 4, "Columns": 4})
    got = read(data)
    assert 0x00091010 not in got.dataset
    assert got.dataset.Rows == 4
    assert got.unstored == ("(0009,1010) of 2000 bytes left out of the header",)


def test_deeply_nested_sequences_are_refused() -> None:
    depth = 3000
    nested = (element(0x00081140, "SQ", b"", length=0xFFFFFFFF) + item(b"", 0xFFFFFFFF)) * depth
    data = meta(EXPLICIT) + element(0x00080060, "CS", "OT") + nested
    with pytest.raises(PipelineError, match=r"made\.dcm: sequences are nested more than 64 deep") as caught:
        read(data)
    assert caught.value.reason == "header_too_deep"


@pytest.mark.parametrize("cut", range(132, len(native_file(bytes(16))) - 16, 7))
def test_a_header_cut_anywhere_is_an_error_of_ours(cut: int) -> None:
    data = native_file(bytes(16))[:cut]
    with pytest.raises(PipelineError) as caught:
        pixel_format(read(data))
    assert caught.value.reason in {"header_unreadable", "pixel_data_missing", "pixel_data_too_short"}


def test_an_image_cut_before_its_pixel_data_is_no_file_without_image() -> None:
    long_element = element(0x00291010, "OB", bytes(500))
    data = meta(EXPLICIT) + header(attributes()) + long_element
    with pytest.raises(NoPixelDataError, match="although its SOP Class is Secondary Capture Image Storage") as caught:
        pixel_format(read(data))
    assert caught.value.reason == "pixel_data_missing"
    with pytest.raises(PixelDataError, match=r"ends inside \(0029,1010\): 400 of 500 bytes") as caught:
        pixel_format(read(data[:-100]))
    assert caught.value.reason == "pixel_data_too_short"


@pytest.mark.parametrize(
    ("tag", "vr", "value", "text"),
    [
        (0x00280100, "US", [8, 0], r"\(0028,0100\) 'Bits Allocated' must be one whole number, not \[8, 0\]"),
        (0x00280010, "LO", "many", r"\(0028,0010\) 'Rows' must be one whole number, not a text$"),
        (0x00280008, "IS", "1\\2", r"\(0028,0008\) 'Number of Frames' must be one"),
        (0x00280004, "CS", "RGB\\RGB", r"\(0028,0004\) 'Photometric Interpretation' must be one text"),
        (0x00280004, "CS", "PURPLE", r"Unknown .* 'Photometric Interpretation' value$"),
        (0x00280011, "US", 0, r"\(0028,0011\) 'Columns' value of '0' is invalid"),
        (0x00280100, "US", 12, r"'Bits Allocated' value of '12' is invalid"),
        (0x00280100, "US", 24, r"'Bits Allocated' of 24.*not supported by NumPy"),
        (0x00280101, "US", 9, r"'Bits Stored' value of '9' is invalid"),
        (0x00280002, "US", 2, r"'Samples per Pixel' value of '2' is invalid"),
        (0x00280103, "US", 2, r"'Pixel Representation' value of '2' is invalid"),
        (0x00280008, "IS", -1, r"'Number of Frames' value of '-1' is invalid"),
    ],
)
def test_wrong_attributes_are_named_with_their_values(tag: int, vr: str, value: Any, text: str) -> None:
    keyword = next(keyword for keyword, entry in TAGS.items() if entry[0] == tag)
    values = attributes()
    del values[keyword]
    parts = sorted([*[(TAGS[k][0], TAGS[k][1], v) for k, v in values.items()], (tag, vr, value)], key=lambda p: p[0])
    data = meta(EXPLICIT) + b"".join(element(*part) for part in parts) + element(0x7FE00010, "OW", bytes(16))
    for check in (lambda: pixel_format(read(data)), lambda: next(iter_frames(io.BytesIO(data)))):
        with pytest.raises(InvalidAttributeError, match=text):
            check()


@pytest.mark.parametrize(
    "keyword", ["Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation"]
)
def test_missing_attributes_are_named(keyword: str) -> None:
    data = native_file(bytes(16), **{keyword: None}) if keyword not in {"Rows", "Columns"} else b""
    if not data:
        values = attributes()
        del values[keyword]
        data = meta(EXPLICIT) + header(values) + element(0x7FE00010, "OW", bytes(16))
    with pytest.raises(MissingAttributeError, match=r"Missing required element: \(0028,"):
        pixel_format(read(data))


def test_planar_configuration_matters_only_to_native_data() -> None:
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    with pytest.raises(MissingAttributeError, match="Planar Configuration"):
        pixel_format(read(native_file(bytes(48), **colour)))
    assert pixel_format(read(encapsulated_file(encapsulated_value([b"ab"]), RLE, **colour))).samples_per_pixel == 3


def test_opening() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("/no/such/file.dcm")
    assert caught.value.reason == "file_not_found"
    with pytest.raises(FileNotFoundError):
        next(iter_frames("/no/such/file.dcm"))


def test_two_pixel_data_elements_use_the_first() -> None:
    floats = element(0x7FE00008, "OF", bytes(64))
    values = attributes(bits=32)
    data = meta(EXPLICIT) + header(values) + floats + element(0x7FE00010, "OW", bytes(64))
    got = read(data)
    assert got.pixel_keyword == "FloatPixelData"
    assert got.unstored == ("the file also has PixelData, but only FloatPixelData is stored",)


class Broken(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    readinto = read  # type: ignore[assignment]


def test_a_file_that_cant_be_read() -> None:
    with pytest.raises(SourceError, match="Input/output error") as caught:
        read_header(Broken(native_file(bytes(16))), source="made.dcm")
    assert caught.value.reason == "unreadable"
