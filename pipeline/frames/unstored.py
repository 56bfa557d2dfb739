"""Data of a file that may be an image but aren't stored anywhere; such an original must not be deleted."""

from __future__ import annotations

from pipeline.frames.header import Header
from pipeline.frames.values import find_value
from pipeline.model import FrameIndex

_OVERLAYS = range(0x60000000, 0x61000000)
_OVERLAY_ROWS, _OVERLAY_BITS, _OVERLAY_POSITION, _OVERLAY_DATA = 0x0010, 0x0100, 0x0102, 0x3000
_ICON = 0x00880200
_EMBEDDED = "the overlay of group {:04X} lies in bits of the pixel data that don't belong to the pixels"


def unstored(header: Header, index: FrameIndex, *, header_kept: bool = True) -> tuple[str, ...]:
    """Describe data besides the declared frames that may be an image and aren't kept.

    These are frames beyond Number of Frames, other pixel data, undescribed bytes, elements too long for the header, and overlays
    in the pixel data's unused bits; without a kept header, also the images in the header.

    Parameters
    ----------
    header : Header
        With the elements after the pixel data.
    index : FrameIndex
    header_kept : bool
        Whether the header is stored, with its overlay planes and icons (``metadata.header``).
    """
    return (*index.unstored, *header.unstored, *_overlays(header, kept=header_kept))


def _overlays(header: Header, *, kept: bool) -> list[str]:
    """Describe overlays in the pixel data (PS3.5 8.1.2, retired), and images in a header that isn't kept."""
    tags = header.elements.by_tag
    descriptions = []
    high = [tag for tag in tags if tag >= _OVERLAYS.start]
    for group in [tag - _OVERLAY_ROWS for tag in high if tag in _OVERLAYS and tag & 0xFFFF == _OVERLAY_ROWS]:
        if group + _OVERLAY_DATA not in tags:
            descriptions += [_EMBEDDED.format(group >> 16)] * _is_embedded(header, group)
        elif not kept:
            descriptions.append(f"the overlay plane of group {group >> 16:04X} is left out with the header")
    if not kept and _ICON in tags:
        descriptions.append("the icon image is left out with the header")
    return descriptions


def _is_embedded(header: Header, group: int) -> bool:
    """Return whether an overlay without its own data lies in bits of the pixels, by its bits and bit position."""
    bits, position = (find_value(header.elements, group + number) for number in (_OVERLAY_BITS, _OVERLAY_POSITION))
    return bits not in (None, 1) or position not in (None, 0)
