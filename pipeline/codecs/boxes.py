"""The headers of JPEG 2000 codestreams (ITU-T T.800 Annex A), with or without the JP2 boxes around (Annex I)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.errors import PixelDataError

_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  "
_SIGNATURE_BOX: Final = 12
_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_SOT, _EOC, _COD, _COC, _SIZ_FIXED = 0xFF90, b"\xff\xd9", 0xFF52, 0xFF53, 40
_SOT_LENGTH = 12
_BOX_TO_END, _BOX_LARGE = 0, 1


@dataclass(frozen=True, slots=True)
class J2kHeader:
    """What the main header says; ``end`` is where it ends, at the first tile-part."""

    class Component(NamedTuple):
        """Format of one component's samples, and the pixels per sample across and down."""

        precision: int
        is_signed: bool
        sampling: tuple[int, int]

    rows: int
    columns: int
    components: tuple[Component, ...]
    is_reversible: bool
    end: int


def walk_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box's type and where its contents begin and end (ISO base media boxes, T.800 I.4), up to a damaged one."""
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


def codestream(data: bytes) -> bytes:
    """Take the codestream out of the JP2 file that some writers wrap it in, against PS3.5 A.4.4."""
    if not data.startswith(_SIGNATURE):
        return data
    for kind, start, end in walk_boxes(data):
        if kind == b"jp2c":
            return data[start:end]
    raise PixelDataError("the JP2 file in the pixel data holds no codestream")


def stalls_pydicom(data: bytes) -> bool:
    """Whether pydicom's search for the codestream in a JP2 file would never end: at a box of length 0 before it."""
    at = _SIGNATURE_BOX if data.startswith(_SIGNATURE) else len(data)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if not length or data[at + 4 : at + 8] == b"jp2c":
            return not length and data[at + 4 : at + 8] != b"jp2c"
        at += length
    return False


def read_j2k_header(data: bytes) -> J2kHeader:
    """Read the main header.

    Raises
    ------
    PixelDataError
        The data don't start with SOC and SIZ, or the main header is damaged or cut short.
    """
    if data[:4] != _SOC_SIZ:
        raise PixelDataError("the data aren't a JPEG 2000 codestream: no SOC and SIZ markers")
    size = _segment(data, 2)
    count = int.from_bytes(size[34:36], "big")
    if not count or len(size) < 36 + 3 * count:
        raise PixelDataError("the codestream's SIZ segment is damaged")
    columns, rows, left, top = (int.from_bytes(size[at : at + 4], "big") for at in (2, 6, 10, 14))
    kernels, end = _kernels(data, 4 + len(size) + 2)
    return J2kHeader(
        rows=rows - top,
        columns=columns - left,
        components=tuple(_component(size[at : at + 3]) for at in range(36, 36 + 3 * count, 3)),
        is_reversible=bool(kernels) and all(kernels),
        end=end,
    )


def require_whole(data: bytes, header: J2kHeader) -> None:
    """Refuse a codestream cut short: the lengths of its tile-parts must lead to the end-of-codestream marker.

    OpenJPH decodes what is there and takes zeros for the rest.
    """
    at = header.end
    while data[at : at + 2] != _EOC:
        if int.from_bytes(data[at : at + 2], "big") != _SOT or at + _SOT_LENGTH > len(data):
            raise PixelDataError("the codestream is cut short or damaged: its tile-parts don't lead to its end")
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if length == 0:  # T.800 A.4.2: the last tile-part may reach to the end
            if data.rfind(_EOC, at) < 0:
                raise PixelDataError("the codestream is cut short: no end-of-codestream marker")
            return
        at += max(length, _SOT_LENGTH)


def _component(text: bytes) -> J2kHeader.Component:
    # T.800 table A.11: the sign in the highest bit, then the depth minus one.
    return J2kHeader.Component((text[0] & 0x7F) + 1, bool(text[0] & 0x80), (text[1], text[2]))


def _kernels(data: bytes, at: int) -> tuple[list[bool], int]:
    """Whether each COD and COC segment names the reversible wavelet, and where the main header ends."""
    kernels: list[bool] = []
    while (marker := int.from_bytes(data[at : at + 2], "big")) != _SOT:
        payload = _segment(data, at)
        # T.800 tables A.12, A.13, A.20 and A.22: the transformation is the fifth byte of the SPcod or SPcoc fields.
        if marker == _COD:
            kernels.append(payload[9:10] == b"\x01")
        elif marker == _COC:
            kernels.append(payload[-1:] == b"\x01" if not payload[1] & 1 else payload[7:8] == b"\x01")
        at += 2 + 2 + len(payload)
    return kernels, at


def _segment(data: bytes, at: int) -> bytes:
    """Return the payload of the marker segment at byte `at`, without its length."""
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if data[at : at + 1] != b"\xff" or length < 2 or at + 2 + length > len(data):  # noqa: PLR2004  counts itself
        raise PixelDataError(f"the codestream is cut short or damaged in the segment at byte {at}")
    return data[at + 4 : at + 2 + length]
