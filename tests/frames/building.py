"""DICOM files made byte by byte, so that tests know what is in them without asking the code under test."""

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
        "HighBit": others.get("BitsStored", bits) - 1,
        "PixelRepresentation": 0,
    } | others
    return {keyword: value for keyword, value in values.items() if value is not None}


def header(values: dict[str, Any], syntax: str = EXPLICIT) -> bytes:
    """Return the data set's elements in order."""
    parts = sorted((TAGS[keyword], value) for keyword, value in values.items())
    return b"".join(element(tag, vr, value, syntax=syntax) for (tag, vr), value in parts)


def native_file(pixels: bytes, syntax: str = EXPLICIT, vr: str = "OW", after: bytes = b"", **values: Any) -> bytes:
    """Return a file with native pixel data."""
    data = header(attributes(**values), syntax) + element(PIXEL_DATA, vr, pixels, syntax=syntax) + after
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
    value: bytes, syntax: str = RLE, *, extra: bytes = b"", after: bytes = b"", length: int = UNDEFINED, **values: Any
) -> bytes:
    """Return a file with encapsulated pixel data; `extra` goes right before them, `after` right behind."""
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, length)
    return meta(syntax) + header(attributes(**values)) + extra + head + value + after


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
