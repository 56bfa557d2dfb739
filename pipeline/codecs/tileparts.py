"""Main header and tile-parts of JPEG 2000 codestreams (ITU-T T.800 Annex A)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.errors import CutShortError, PixelDataError

START: Final = b"\xff\x4f\xff\x51"
"""First markers of each codestream: SOC and SIZ."""
EOC: Final = b"\xff\xd9"
_SOT, _COD, _COC, _TLM, _PPM, _PPT, _SOD = 0xFF90, 0xFF52, 0xFF53, 0xFF55, 0xFF60, 0xFF61, 0xFF93
_SOT_LENGTH: Final = 12
_SIZE: Final = 36  # bytes of the payload of SIZ before its components
_FEW: Final = 257  # components that a single byte numbers (table A.20)


class Component(NamedTuple):
    """Format of one component's samples, and the pixels per sample, horizontally and vertically."""

    precision: int
    is_signed: bool
    sampling: tuple[int, int]


class TilePart(NamedTuple):
    """A part of a tile, starting with its SOT marker."""

    tile: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class J2kHeader:
    """Content of the main header."""

    rows: int
    columns: int
    """Columns of the first component, like `rows` (B.2)."""
    components: tuple[Component, ...]
    tiles: int
    shortest: int
    """Pixels of the shortest side of picture and tiles."""
    is_reversible: bool
    levels: int
    """Number of decompositions: how often each component's resolution can be halved."""
    has_packed_headers: bool
    """Whether the main header holds the packets' headers (PPM)."""
    lengths: tuple[tuple[int, int], ...]
    """Start and end of each segment with lengths of tile-parts (TLM)."""
    end: int
    """End of the main header, at the first tile-part."""


def read_j2k_header(data: bytes) -> J2kHeader:
    """Read the main header.

    Raises
    ------
    PixelDataError
        If the data don't start with SOC and SIZ, or the main header is damaged or cut short.
    """
    if data[:4] != START:
        raise PixelDataError("the data aren't a JPEG 2000 codestream: no SOC and SIZ markers")
    size = _segment(data, 2)
    count = int.from_bytes(size[34:_SIZE], "big")
    columns, rows, left, top, across, down, tiles_left, tiles_top = (
        int.from_bytes(size[at : at + 4], "big") for at in range(2, 34, 4)
    )
    if (
        not (count and across and down)
        or len(size) < _SIZE + 3 * count
        or 0 in size[_SIZE + 1 :: 3] + size[_SIZE + 2 :: 3]
    ):
        raise PixelDataError("the codestream's SIZ segment is damaged")
    found = list(_segments(data, 4 + 2 + len(size)))
    styles = [style for marker, payload, _ in found if (style := _style(marker, payload, count))]
    components = tuple(_component(size[at : at + 3]) for at in range(_SIZE, _SIZE + 3 * count, 3))
    wide, high = components[0].sampling
    return J2kHeader(
        rows=-(-rows // high) + -top // high,
        columns=-(-columns // wide) + -left // wide,
        components=components,
        tiles=-(-(columns - tiles_left) // across) * -(-(rows - tiles_top) // down),
        shortest=min(rows - top, columns - left, across, down),
        is_reversible=bool(styles) and all(style[4:5] == b"\x01" for style in styles),
        levels=min((style[0] for style in styles), default=0),
        has_packed_headers=any(marker == _PPM for marker, _, _ in found),
        lengths=tuple((at, at + 4 + len(payload)) for marker, payload, at in found if marker == _TLM),
        end=found[-1][2] + 4 + len(found[-1][1]) if found else 4 + 2 + len(size),
    )


def read_tile_parts(data: bytes, header: J2kHeader) -> list[TilePart]:
    """Return the tile-parts; their lengths must lead exactly to the end of the data, and all tiles must occur.

    The end-of-codestream marker may be missing, since some encoders omit it.

    Raises
    ------
    CutShortError
        If the lengths lead elsewhere, or tiles are missing.
    """
    parts: list[TilePart] = []
    at = header.end
    while int.from_bytes(data[at : at + 2], "big") == _SOT and at + _SOT_LENGTH <= len(data):
        tile, length = int.from_bytes(data[at + 4 : at + 6], "big"), int.from_bytes(data[at + 6 : at + 10], "big")
        if not length:  # T.800 A.4.2: the last tile-part may reach to the end
            end = data.rfind(EOC, at)
            parts.append(TilePart(tile, at, end if end >= 0 else len(data)))
            break
        parts.append(TilePart(tile, at, at + max(length, _SOT_LENGTH)))
        at = parts[-1].end
    if not parts or parts[-1].end > len(data) or not _ends(data, parts[-1].end):
        raise CutShortError("the codestream is cut short or damaged: its tile-parts don't lead to its end")
    missing = header.tiles - len({part.tile for part in parts})
    if missing > 0:
        raise CutShortError(
            f"the codestream is cut short or damaged: {missing} of its {header.tiles} tiles are missing"
        )
    return parts


def _ends(data: bytes, at: int) -> bool:
    """Return whether a codestream ends here; an end marker inside the last tile-part means that data were cut."""
    if data.startswith(EOC, at):
        return True
    last = data[at - _SOT_LENGTH : at].rstrip(b"\0")
    return not (last.endswith(EOC) or data[at:].strip(b"\0"))


def packs_headers(data: bytes, part: TilePart) -> bool:
    """Return whether the header of a tile-part holds packets' headers (PPT)."""
    at = part.start + _SOT_LENGTH
    while (marker := int.from_bytes(data[at : at + 2], "big")) != _SOD and at + 4 <= part.end:
        if marker == _PPT:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _component(text: bytes) -> Component:
    # T.800 table A.11: the sign in the highest bit, then the depth minus one.
    return Component((text[0] & 0x7F) + 1, bool(text[0] & 0x80), (text[1], text[2]))


def _style(marker: int, payload: bytes, components: int) -> bytes:
    """Return the SPcod or SPcoc fields (T.800 table A.15): the first byte is the levels, the fifth the wavelet."""
    if marker == _COD:
        return payload[5:]
    return payload[2 if components < _FEW else 3 :] if marker == _COC else b""


def _segments(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, payload and offset of the main header's segments after SIZ."""
    while (marker := int.from_bytes(data[at : at + 2], "big")) != _SOT:
        payload = _segment(data, at)
        yield marker, payload, at
        at += 2 + 2 + len(payload)


def _segment(data: bytes, at: int) -> bytes:
    """Return the payload of the marker segment at byte `at`, without its length."""
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if data[at : at + 1] != b"\xff" or length < 2 or at + 2 + length > len(data):  # noqa: PLR2004  counts itself
        raise PixelDataError(f"the codestream is cut short or damaged in the segment at byte {at}")
    return data[at + 4 : at + 2 + length]
