"""Headers that aren't ordinary: what other toolkits read is read, what is wrong is noted, and what is cut is told.

What dcmtk 3.6.7, GDCM 3.2.6 and pydicom make of each of these was looked at when the tests were written: at least one of them
reads it as it is read here, unless something else is said.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from frames.test_quick import seen
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from pipeline.errors import PipelineError
from pipeline.frames import Header, frame_attributes, iter_frames, read_header
from pipeline.frames.byte_sources import HeaderFile
from pipeline.frames.meta import read_meta
from pipeline.frames.unusual_header import CarefulReader
from pipeline.model.syntaxes import encoding_of
from support.corpora import dicom_files
from support.dicom_bytes import (
    BIG,
    DEFLATED,
    DELIMITER,
    EXPLICIT,
    IMPLICIT,
    RLE,
    UNDEFINED,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    header,
    item,
    meta,
    native_file,
    rle_frame,
)

CT = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT", "bits": 16}
PIXELS = np.arange(16, dtype="<u2").reshape(4, 4) * 257
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
PRIVATE = 0x00091001
REFERENCE = element(0x00081155, "UI", "1.2.3", syntax=IMPLICIT)


def image(*more: bytes, syntax: str = EXPLICIT, **parts: Any) -> bytes:
    pixels = PIXELS if syntax != BIG else PIXELS.astype(">u2")
    return native_file(pixels.tobytes(), syntax, more=more, **(CT | parts))


def long_form(tag: int, vr: bytes, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr + b"\0\0"
    return head + struct.pack(f"{order}L", len(value) if length is None else length) + value


def short_form(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + struct.pack("<H", len(value)) + value


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data), source="made.dcm")


def whole(data: bytes) -> Header:
    """Read a file from its first bytes, and from a stream as if it were long; the two must be one."""
    got = read(data)
    padded = data.replace(meta(EXPLICIT), meta(EXPLICIT) + element(0x00080000 + 1, "UL", b"\0" * 4), 1)
    assert list(got.dataset.keys()) == list(read_header(HeaderFile(io.BytesIO(data)), source="x").dataset.keys()), (
        padded
    )
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), PIXELS)
    return got


@pytest.mark.parametrize("vr", [b"ZZ", b"XY", b"OQ", b"??", b"  ", b"zz", b"\x01\x02"])
@pytest.mark.parametrize("form", [long_form, short_form])
def test_an_unknown_value_representation_costs_nothing(vr: bytes, form: Any) -> None:
    """As a new one, PS3.5 7.1.2, or as the mistake that older writers make."""
    got = whole(image(form(PRIVATE, vr, b"abcdefgh")))
    assert got.dataset.get_item(PRIVATE).value == b"abcdefgh"
    assert got.assumptions == ("(0009,1001) has an unknown value representation and is read as UN",)


@pytest.mark.parametrize("value", [b"", b"x" * 300, b"y" * 70_000])
def test_unknown_ones_of_any_length(value: bytes) -> None:
    got = whole(image(long_form(PRIVATE, b"QQ", value)))
    assert (got.dataset.get_item(PRIVATE).value or b"") == value


def test_an_unknown_one_is_what_the_dictionary_says() -> None:
    got = whole(image(long_form(0x00180050, b"ZZ", b"2.5 "), long_form(0x00280010, b"ZZ", b"\4\0"), Rows=None))
    assert (got.dataset.SliceThickness, got.dataset.Rows) == (2.5, 4)


def test_unknown_ones_in_big_endian_and_in_sequences() -> None:
    big = read(image(long_form(PRIVATE, b"ZZ", b"\1\2\3\4", ">"), syntax=BIG))
    assert big.dataset.get_item(PRIVATE).value == b"\1\2\3\4"
    nested = long_form(PRIVATE, b"ZZ", b"abcdefgh") + element(0x00091002, "LO", "behind")
    for ending in (item(nested + ITEM_END, UNDEFINED), item(nested)):
        got = whole(image(element(0x00081140, "SQ", ending + DELIMITER, length=UNDEFINED)))
        (found,) = got.dataset[0x00081140].value
        assert found[0x00091002].value == "behind"


def test_elements_that_switch_to_implicit_vr_are_read_so() -> None:
    got = whole(image(element(PRIVATE, "LO", "abcdefgh", syntax=IMPLICIT)))
    assert got.dataset.get_item(PRIVATE).value == b"abcdefgh"


def test_pixel_data_of_an_unknown_value_representation() -> None:
    data = meta(EXPLICIT) + header(attributes(**CT)) + long_form(0x7FE00010, b"ZZ", PIXELS.tobytes())
    assert whole(data).value_offset == len(data) - PIXELS.nbytes


def in_un(tag: int, items: bytes, syntax: str, length: int | None = None) -> bytes:
    return long_form(tag, b"UN", items, ">" if syntax == BIG else "<", length)


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
@pytest.mark.parametrize("tag", [0x00081140, PRIVATE])
@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_in_un_are_implicit_little_endian(syntax: str, tag: int, undefined: bool) -> None:
    """PS3.5 6.2.2, note 2: whatever the transfer syntax is."""
    items = item(REFERENCE) + item(REFERENCE + ITEM_END, UNDEFINED) + DELIMITER * undefined
    got = read(image(in_un(tag, items, syntax, UNDEFINED if undefined else None), syntax=syntax))
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(image(syntax=syntax)))), PIXELS)
    if undefined or tag != PRIVATE:
        assert [found[0x00081155].value for found in got.dataset[tag].value] == ["1.2.3"] * 2
    else:
        assert got.dataset[tag].value == items
    assert got.assumptions == ()


def test_explicit_items_in_un_and_un_in_items() -> None:
    explicit = item(element(0x00081155, "UI", "1.2.3")) + DELIMITER
    got = whole(image(in_un(0x00081140, explicit, EXPLICIT, UNDEFINED)))
    assert got.dataset[0x00081140].value[0][0x00081155].value == "1.2.3"
    inner = in_un(0x00081140, item(REFERENCE) + DELIMITER, BIG, UNDEFINED)
    outer = element(0x00081115, "SQ", big_item(inner), syntax=BIG)
    got = read(image(outer, syntax=BIG))
    assert got.dataset[0x00081115].value[0][0x00081140].value[0][0x00081155].value == "1.2.3"


def big_item(value: bytes) -> bytes:
    return struct.pack(">HHL", 0xFFFE, 0xE000, len(value)) + value


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_numbers_in_un_are_little_endian(syntax: str) -> None:
    rows = in_un(0x00280010, struct.pack("<H", 4), syntax)
    data = image(rows, syntax=syntax, Rows=None)
    assert read(data).dataset.Rows == 4
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), PIXELS)


def test_pixel_data_in_un_are_little_endian() -> None:
    """GDCM reads them so, pydicom doesn't."""
    data = meta(BIG) + header(attributes(**CT), BIG) + in_un(0x7FE00010, PIXELS.tobytes(), BIG)
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), PIXELS)


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
@pytest.mark.parametrize("undefined", [True, False])
def test_functional_groups_in_un(syntax: str, undefined: bool) -> None:
    def group(z: int) -> bytes:
        position = element(0x00200032, "DS", f"0\\0\\{z}", syntax=IMPLICIT)
        return item(element(0x00209113, "SQ", item(position), syntax=IMPLICIT))

    groups = group(5) + group(7) + DELIMITER * undefined
    more = in_un(0x52009230, groups, syntax, UNDEFINED if undefined else None)
    pixels = np.concatenate([PIXELS, PIXELS]).astype(">u2" if syntax == BIG else "<u2")
    got = read(native_file(pixels.tobytes(), syntax, more=[more], **(CT | {"frames": 2})))
    assert frame_attributes(got, 2).by_frame == {"ImagePositionPatient": [[0.0, 0.0, 5.0], [0.0, 0.0, 7.0]]}


@pytest.mark.parametrize("delimiter", [DELIMITER, ITEM_END])
def test_delimiters_outside_of_sequences_are_passed(delimiter: bytes) -> None:
    """pydicom ends at one of an item, dcmtk and GDCM at one of a sequence."""
    got = whole(image(element(0x00081140, "SQ", item(b"")) + delimiter))
    assert got.assumptions == ("a delimiter outside of sequences",)


def test_a_sequence_without_delimiter_ends_with_the_next_element() -> None:
    """No toolkit that was asked reads this one."""
    got = whole(image(element(0x00081140, "SQ", item(element(0x00081155, "UI", "1.2.3")), length=UNDEFINED)))
    assert got.dataset[0x00081140].value[0][0x00081155].value == "1.2.3"
    assert got.assumptions == ("the delimiter of the sequence (0008,1140) is missing",)


def test_an_item_that_is_too_long_ends_with_its_sequence() -> None:
    wrong = item(element(0x00081155, "UI", "1.2.3"), 200) + DELIMITER
    got = whole(image(element(0x00081140, "SQ", wrong, length=UNDEFINED)))
    assert got.assumptions == ("an item's delimiter is missing, or its length is wrong",)


@pytest.mark.parametrize("by", [-1000, -30, -2, 2, 30, 1000])
def test_group_lengths_may_be_wrong(by: int) -> None:
    wrong = struct.pack("<L", max(len(meta(EXPLICIT)) - 144 + by, 0))
    data = meta(EXPLICIT)[:140] + wrong + meta(EXPLICIT)[144:] + image()[len(meta(EXPLICIT)) :]
    assert whole(data).assumptions == ()
    lengths = element(0x00080000, "UL", struct.pack("<L", 1000 + by)), element(0x00280000, "UL", struct.pack("<L", 3))
    assert whole(image(*lengths)).assumptions == ()


def repeated(syntax: str, encoding: str = EXPLICIT) -> bytes:
    elements = element(0x00020002, "UI", CT["SOPClassUID"], syntax=encoding)
    elements += element(0x00020010, "UI", syntax, syntax=encoding)
    length = struct.pack(">L" if encoding == BIG else "<L", len(elements))
    return element(0x00020000, "UL", length, syntax=encoding) + elements


REPEATED = "the file meta information is repeated in the data set: the first copy counts"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("second", [EXPLICIT, IMPLICIT, BIG, RLE, DEFLATED, "1.2.3"])
def test_the_first_file_meta_information_holds(second: str, times: int) -> None:
    data = image()
    got = whole(data[: len(meta(EXPLICIT))] + repeated(second) * times + data[len(meta(EXPLICIT)) :])
    assert got.transfer_syntax_uid == EXPLICIT
    assert got.assumptions == (REPEATED,)
    assert min(got.dataset.keys()) >> 16 == 8


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("as_data", [True, False])
def test_it_may_be_repeated_as_the_data_set_is_encoded_or_not(syntax: str, as_data: bool) -> None:
    again = repeated(EXPLICIT, syntax if as_data and syntax != DEFLATED else EXPLICIT)
    if syntax == DEFLATED and as_data:
        data = image(syntax=syntax, before=again)
    else:
        data = image(syntax=syntax)
        data = data[: len(meta(syntax))] + again + data[len(meta(syntax)) :]
    got = read(data)
    assert (got.transfer_syntax_uid, got.assumptions) == (syntax, (REPEATED,))
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), PIXELS)


def test_frames_are_decoded_by_the_first_transfer_syntax() -> None:
    planes = [np.full((4, 4), value, np.uint8) for value in (3, 5)]
    data = encapsulated_file(encapsulated_value([rle_frame(plane) for plane in planes]), RLE, frames=2)
    again = data[: len(meta(RLE))] + repeated(EXPLICIT) + data[len(meta(RLE)) :]
    np.testing.assert_array_equal(list(iter_frames(io.BytesIO(again))), planes)


def test_the_second_tells_what_the_first_lacks() -> None:
    data = image(syntax=IMPLICIT)
    got = read(meta(None) + repeated(IMPLICIT) + data[len(meta(IMPLICIT)) :])
    assert (got.transfer_syntax_uid, got.assumptions) == (IMPLICIT, (REPEATED,))


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_where_the_file_ends_inside_a_sequence_what_was_read_stays(encoding: str) -> None:
    """pydicom drops all elements of such a data set, and says so to nobody."""
    inner = element(0x00081155, "UI", "1.2.3", syntax=encoding) * 20
    sequence = element(0x00081140, "SQ", item(inner, UNDEFINED), syntax=encoding, length=UNDEFINED)
    got = read(meta(encoding) + header({"SOPClassUID": "1.2.3", "Modality": "OT"}, encoding, [sequence[:-30]])[:-1])
    assert got.truncated in {"the file ends inside (0008,1140)", ""}
    got = read(meta(encoding) + header({"SOPClassUID": "1.2.3"}, encoding) + sequence[:-5])
    assert (got.truncated, got.dataset.SOPClassUID) == ("the file ends inside (0008,1140)", "1.2.3")


@pytest.mark.parametrize("length", [5000, 1 << 20, 100 << 20, 0xFFFFFFFE])
def test_a_length_beyond_the_file_is_told(length: int) -> None:
    data = image(element(PRIVATE, "OB", b"abcd", length=length))
    behind = len(data) - data.index(b"abcd")
    assert read(data).truncated == f"the file ends inside (0009,1001): {behind} of {length} bytes"


def test_a_file_of_zeros_costs_little() -> None:
    got = read(meta(EXPLICIT) + element(0x00080060, "CS", "OT") + bytes(3_000_000))
    assert list(got.dataset.keys()) == [0x00080060]
    assert not got.left_over


def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag in {0x7FE00008, 0x7FE00009, 0x7FE00010}


def little_where_un(dataset: Dataset) -> Dataset:
    """What pydicom reads, but what is UN as the standard says."""
    for tag, raw in dataset._dict.items():
        if isinstance(raw, RawDataElement) and raw.VR == "UN":
            dataset._dict[tag] = raw._replace(is_little_endian=True)
    return dataset


MENDED = {
    *("SC_rgb_jpeg.dcm", "meta_missing_tsyntax.dcm", "rtplan_truncated.dcm", "image_dfl.dcm"),
    "CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm",
}
"""Files with another encoding than they say, without one, cut short or deflated: they aren't read as they lie there."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", dicom_files(1_500_000, MENDED), ids=lambda p: p.name)
def test_of_sound_files_it_reads_what_pydicom_reads(path: Any) -> None:
    data = path.read_bytes()
    own, theirs = HeaderFile(io.BytesIO(data)), io.BytesIO(data)
    got = read(data)
    read_meta(own, io.BytesIO(data), path.name, [], guess=True)
    theirs.seek(own.tell())
    implicit, little = encoding_of(got.transfer_syntax_uid)
    found = CarefulReader(own, stop, 1 << 26).read(implicit=implicit, little=little)
    expected = little_where_un(read_dataset(theirs, implicit, little, stop_when=stop))
    assert own.tell() == theirs.tell()
    # sequences in big endian are read at once, because pydicom would mistake what is UN in them
    assert seen(found) == seen(expected) if little else found == expected


def test_what_cant_be_in_a_sequence_is_an_error() -> None:
    with pytest.raises(PipelineError, match=r"\(0008,0060\) instead of an item of \(0008,1140\)") as caught:
        read(image(element(0x00081140, "SQ", element(0x00080060, "CS", "OT"), length=UNDEFINED)))
    assert caught.value.reason == "header_unreadable"
