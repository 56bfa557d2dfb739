"""What of a file may be an image and is stored nowhere: such an original is more than what a conversion keeps of it."""

from __future__ import annotations

from pipeline.frames.header import Header
from pipeline.frames.values import find_value
from pipeline.model import FrameIndex

_OVERLAYS = range(0x60000000, 0x61000000)
_OVERLAY_ROWS, _OVERLAY_BITS, _OVERLAY_POSITION, _OVERLAY_DATA = 0x0010, 0x0100, 0x0102, 0x3000
_ICON = 0x00880200
_EMBEDDED = "the overlay of group {:04X} lies in bits of the pixel data that are no part of the pixels"


def unstored(header: Header, index: FrameIndex, *, header_kept: bool = True) -> tuple[str, ...]:
    """Return, in words, what the file holds beside its declared frames that may be an image and isn't kept.

    Frames beyond Number of Frames, other pixel data, bytes that nothing describes, elements too long for the header,
    overlays in the pixel data's unused bits; where the header isn't kept, also the images in it.

    Parameters
    ----------
    header : Header
        With the elements behind the pixel data.
    index : FrameIndex
    header_kept : bool
        Whether the header is stored, with its overlay planes and icons (``metadata.header``).
    """
    return (*index.unstored, *header.unstored, *_overlays(header, kept=header_kept))


def _overlays(header: Header, *, kept: bool) -> list[str]:
    """Tell of overlays in the pixel data (PS3.5 8.1.2, retired), and of images in a header that isn't kept."""
    tags = header.elements.by_tag
    told = []
    high = [tag for tag in tags if tag >= _OVERLAYS.start]
    for group in [tag - _OVERLAY_ROWS for tag in high if tag in _OVERLAYS and tag & 0xFFFF == _OVERLAY_ROWS]:
        if group + _OVERLAY_DATA not in tags:
            told += [_EMBEDDED.format(group >> 16)] * _is_embedded(header, group)
        elif not kept:
            told.append(f"the overlay plane of group {group >> 16:04X} is left out with the header")
    if not kept and _ICON in tags:
        told.append("the icon image is left out with the header")
    return told


def _is_embedded(header: Header, group: int) -> bool:
    """Whether an overlay without data of its own lies in bits of the pixels: it has all their bits, or not the first."""
    bits, position = (find_value(header.elements, group + number) for number in (_OVERLAY_BITS, _OVERLAY_POSITION))
    return bits not in (None, 1) or position not in (None, 0)
