"""Completeness of a JPEG 2000 codestream's packets (ITU-T T.800 Annex B), because OpenJPEG treats missing ones as empty.

The codestream is parsed, not decoded: when only the smallest resolution is requested, Pillow's OpenJPEG reads all packet headers,
in less than a hundredth of the time for decoding the picture.
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
"""An invalid packet header with impossible lengths (T.800 B.10): ones, and the zero that must follow each byte FF."""
_SMALLEST: Final = 16
"""Pixels of the smallest resolution that is requested."""


def require_packets(data: bytes, header: J2kHeader, parts: Sequence[TilePart]) -> None:
    """Refuse a codestream with missing packets.

    Raises
    ------
    CutShortError
        If packets are missing.
    """
    if header.has_packed_headers or any(packs_headers(data, part) for part in parts):
        return
    other = append_invalid_packets(data, header, parts)
    # Pillow can't parse some valid codestreams, such as ones with interleaved tile-parts.
    if not parses(other, header) and not _decodes(other) and (parses(data, header) or _decodes(data)):
        raise CutShortError("the codestream is cut short: packets are missing from its tiles")


def require_sound(data: bytes, header: J2kHeader) -> None:
    """Refuse a codestream that two builds of OpenJPEG reject, even if another decoder returns a picture.

    Raises
    ------
    CutShortError
        If both reject the codestream.
    """
    if not parses(data, header) and not _decodes(data):
        raise CutShortError("the codestream is cut short or damaged: its packets aren't all there")


def parses(data: bytes, header: J2kHeader) -> bool:
    """Return whether OpenJPEG accepts the headers and lengths of all packets."""
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
    """Round up to a multiple of 2 ** `reduce`."""
    return -(-size >> reduce) << reduce


def _decodes(data: bytes) -> bool:
    try:
        imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1)
    except (imagecodecs.Jpeg2kError, ImportError):
        return False
    return True


def append_invalid_packets(data: bytes, header: J2kHeader, parts: Sequence[TilePart]) -> bytes:
    """Return the codestream with an invalid packet appended to each tile.

    A decoder that has found all packets never reads it.
    """
    last = {part.tile: part for part in parts}
    at, pieces = 0, []
    for start, end in header.lengths:  # drop these segments, because the lengths change
        pieces.append(data[at:start])
        at = end
    pieces.append(data[at : header.end])
    for part in parts:
        whole = data[part.start : part.end]
        if last[part.tile] is part:
            whole += _NO_PACKET
        pieces.append(whole[:6] + len(whole).to_bytes(4, "big") + whole[10:])
    return b"".join([*pieces, EOC])
