"""DICOM files made byte by byte, so that tests know their contents without the code under test."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"

LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV")
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
DELIMITER = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)

TAGS = {
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "Modality": (0x00080060, "CS"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "StudyDate": (0x00080020, "DA"),
    "AccessionNumber": (0x00080050, "SH"),
    "ConversionType": (0x00080064, "CS"),
    "SeriesDescription": (0x0008103E, "LO"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "IssuerOfPatientID": (0x00100021, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "BurnedInAnnotation": (0x00280301, "CS"),
    "SpecimenLabelInImage": (0x00480010, "CS"),
}


def encode(value: Any, vr: str, order: str = "<") -> bytes:
    """Return a value's bytes, padded to even length."""
    if isinstance(value, bytes):
        return value + b"\0" * (len(value) % 2)
    if vr == "US":
        return b"".join(struct.pack(f"{order}H", part) for part in (value if isinstance(value, list) else [value]))
    text = str(value).encode()
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


def element(tag: int, vr: str, value: Any, *, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """Return one data element; `length` overrides the declared length."""
    order = ">" if syntax == BIG else "<"
    data = encode(value, vr, order)
    declared = len(data) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<L", declared) + data
    if vr in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}L", declared) + data
    return head + vr.encode() + struct.pack(f"{order}H", declared) + data


def item(value: bytes, length: int | None = None) -> bytes:
    """Return one item."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


def meta(syntax: str | None) -> bytes:
    """Return preamble, prefix and File Meta Information."""
    elements = element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.7") + element(0x00020003, "UI", "1.2.3.4")
    if syntax is not None:
        elements += element(0x00020010, "UI", syntax)
    return b"\0" * 128 + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(elements))) + elements


def attributes(rows: int = 4, columns: int = 4, bits: int = 8, frames: int | None = 1, **others: Any) -> dict[str, Any]:
    """Return the Image Pixel attributes of a grey image."""
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "OT",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": frames,
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": (others.get("BitsStored") or bits) - 1,
        "PixelRepresentation": 0,
    } | others
    return {keyword: value for keyword, value in values.items() if value is not None}


def header(values: dict[str, Any], syntax: str = EXPLICIT, more: Sequence[bytes] = ()) -> bytes:
    """Return the data set's elements in order, `more` among them."""
    parts = [element(*TAGS[keyword], value, syntax=syntax) for keyword, value in values.items()]
    return b"".join(
        sorted([*parts, *more], key=lambda part: struct.unpack(f"{'>' if syntax == BIG else '<'}HH", part[:4]))
    )


def native_file(  # noqa: PLR0917  one a part of the file
    pixels: bytes,
    syntax: str = EXPLICIT,
    vr: str = "OW",
    after: bytes = b"",
    more: Sequence[bytes] = (),
    before: bytes = b"",
    **values: Any,
) -> bytes:
    """Return a file with native pixel data; `before` goes in front of the data set, `more` into it, `after` behind it."""
    image = header(attributes(**values), syntax, more) + element(PIXEL_DATA, vr, pixels, syntax=syntax)
    data = before + image + after
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
    return meta(syntax) + data


def encapsulated_value(
    fragments: Sequence[bytes], table: Sequence[int] | None = None, *, delimiter: bytes = DELIMITER
) -> bytes:
    """Return encapsulated pixel data: the basic offset table's item, the fragments, the delimiter."""
    entries = b"" if table is None else np.array(table, "<u4").tobytes()
    return item(entries) + b"".join(map(item, fragments)) + delimiter


def encapsulated_file(
    value: bytes,
    syntax: str = RLE,
    *,
    extra: bytes = b"",
    after: bytes = b"",
    length: int = UNDEFINED,
    more: Sequence[bytes] = (),
    **values: Any,
) -> bytes:
    """Return a file with encapsulated pixel data; `extra` goes right before them, `after` right behind, `more` in front."""
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, length)
    return meta(syntax) + header(attributes(**values), more=more) + extra + head + value + after


def table_offsets(fragments: Sequence[bytes], starts: Sequence[int]) -> list[int]:
    """Return the offsets that a table gives to frames which begin with these fragments."""
    ends = np.cumsum([0, *(len(fragment) + 8 for fragment in fragments)])
    return [int(ends[start]) for start in starts]


def extended_tables(offsets: Sequence[int], lengths: Sequence[int]) -> bytes:
    """Return Extended Offset Table and Extended Offset Table Lengths."""
    return element(0x7FE00001, "OV", np.array(offsets, "<u8").tobytes()) + element(
        0x7FE00002, "OV", np.array(lengths, "<u8").tobytes()
    )


def rle_frame(plane: np.ndarray) -> bytes:
    """Encode one 8-bit plane as RLE (PS3.5 Annex G) with literal runs only."""
    rows = b"".join(bytes([len(row) - 1]) + row.tobytes() for row in np.ascontiguousarray(plane, np.uint8))
    data = struct.pack("<16L", 1, 64, *[0] * 14) + rows
    return data + b"\0" * (len(data) % 2)
