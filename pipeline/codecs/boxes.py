"""JP2 boxes around a JPEG 2000 codestream (ITU-T T.800 Annex I), and boxes of JPEG XL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.errors import PixelDataError

JP2: Final = b"\x00\x00\x00\x0cjP  "
"""Beginning of a JP2 file."""
_SIGNATURE_BOX: Final = 12
_BOX_TO_END, _BOX_LARGE = 0, 1


def walk_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each box's content (ISO base media boxes, T.800 I.4), up to a damaged box."""
    at = 0
    while at + 8 <= len(data):
        length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if length == _BOX_LARGE:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = len(data) if length == _BOX_TO_END else at + length
        if end < start:
            return
        yield kind, start, end
        at = end


def bare(data: bytes) -> bytes:
    """Return the bare codestream, which some writers wrap in a JP2 file against PS3.5 A.4.4."""
    if not data.startswith(JP2):
        return data
    for kind, start, end in walk_boxes(data):
        if kind == b"jp2c":
            return data[start:end]
    raise PixelDataError("the JP2 file in the pixel data holds no codestream")


def stalls_pydicom(data: bytes) -> bool:
    """Return whether pydicom's search for the codestream in a JP2 file never ends: at a box of length 0 before it."""
    at = _SIGNATURE_BOX if data.startswith(JP2) else len(data)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if not length or data[at + 4 : at + 8] == b"jp2c":
            return not length and data[at + 4 : at + 8] != b"jp2c"
        at += length
    return False
