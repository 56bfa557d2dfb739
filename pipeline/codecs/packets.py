"""Whether all packets of a JPEG 2000 codestream are there (ITU-T T.800 Annex B): OpenJPEG takes missing ones for empty.

The codestream is parsed, not decoded: Pillow's OpenJPEG reads all packets' headers where nothing but the smallest
resolution is asked of it, in the time that decoding takes for a hundredth of the picture or less.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import imagecodecs
from PIL import Jpeg2KImagePlugin, features

from pipeline.codecs.tileparts import EOC, J2kHeader, TilePart, packs_headers
from pipeline.errors import CutShortError

_NO_PACKET: Final = b"\xff\x7f" * 5
"""Where a packet's header should be: one of lengths that nothing can have (T.800 B.10). Ones, and after a byte of FF the
zero that must follow."""
_SMALLEST: Final = 16
"""Pixels of the smallest resolution that is asked for."""


def require_packets(data: bytes, header: J2kHeader, parts: Sequence[TilePart]) -> None:
    """Refuse a codestream in which packets are missing.

    Raises
    ------
    CutShortError
        They are.
    """
    if header.has_packed_headers or any(packs_headers(data, part) for part in parts):
        return
    other = with_something_left(data, header, parts)
    # Pillow can't parse all that can be decoded, such as tile-parts in turns.
    if not parses(other, header) and not _decodes(other) and (parses(data, header) or _decodes(data)):
        raise CutShortError("the codestream is cut short: packets are missing from its tiles")


def require_sound(data: bytes, header: J2kHeader) -> None:
    """Refuse a codestream that two builds of OpenJPEG find something wrong with; a third may give what it has.

    Raises
    ------
    CutShortError
        They do.
    """
    if not parses(data, header) and not _decodes(data):
        raise CutShortError("the codestream is cut short or damaged: its packets aren't all there")


def parses(data: bytes, header: J2kHeader) -> bool:
    """Whether OpenJPEG finds nothing wrong with the packets' headers and lengths."""
    if not features.check_codec("jpg_2000"):
        return False
    reduce = 0
    while reduce < header.levels and header.shortest >> (reduce + 1) >= _SMALLEST:
        reduce += 1
    try:
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))
        image.reduce = reduce
        # Pillow rounds to the nearest size, OpenJPEG up (T.800 B.5).
        image._size = (_up(image.width, reduce), _up(image.height, reduce))  # noqa: SLF001  for plugins, which have none
        image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _up(size: int, reduce: int) -> int:
    """Round up to what can be halved so often."""
    return -(-size >> reduce) << reduce


def _decodes(data: bytes) -> bool:
    try:
        imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1)
    except (imagecodecs.Jpeg2kError, ImportError):
        return False
    return True


def with_something_left(data: bytes, header: J2kHeader, parts: Sequence[TilePart]) -> bytes:
    """Return the codestream with something behind each tile's last packet that is no packet.

    A decoder that has found all packets never looks at it.
    """
    last = {part.tile: part for part in parts}
    at, pieces = 0, []
    for start, end in header.lengths:  # they would be wrong
        pieces.append(data[at:start])
        at = end
    pieces.append(data[at : header.end])
    for part in parts:
        whole = data[part.start : part.end]
        if last[part.tile] is part:
            whole += _NO_PACKET
        pieces.append(whole[:6] + len(whole).to_bytes(4, "big") + whole[10:])
    return b"".join([*pieces, EOC])
