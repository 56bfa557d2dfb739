"""Types between codecs and their callers: requests, and prepared frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.codecs.samples import WORDS, Coded
from pipeline.errors import CodestreamError, PixelDataError

Array = npt.NDArray[Any]

ITEMSIZES: Final = {1: 1, 8: 1, 16: 2, 32: 4, 64: 8}
"""Bits Allocated → bytes of a decoded sample."""
_PADDING: Final = 16
YBR_FULL = ("YBR_FULL", "YBR_FULL_422")
"""Photometric Interpretations of full-range YCbCr, which becomes RGB unless the caller wants raw frames."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """The attributes of one encoded frame (PS3.3 C.7.6.3), and the wanted conversions."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    photometric_interpretation: str
    planar_configuration: int = 0
    """Used for frames whose encapsulated data are uncompressed."""
    rgb: bool = False
    """Whether the codec converts 8-bit YCbCr of lossy JPEG to RGB."""
    conform: bool = False
    """Whether the colour space in a JPEG or JPEG-LS codestream takes precedence over `photometric_interpretation`, as in
    pydicom, which reads the codestream before it calls a plugin."""
    rle_segment_order: str = ">"
    """``<`` if RLE segments begin with the least significant byte, against the standard."""


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """A codestream whose header has been read and matches the request; nothing is decoded yet."""

    shape: tuple[int, ...]
    """``(rows, columns)``, ``(rows, columns, samples)``, or ``(samples, rows, columns)`` if :attr:`planar`."""
    dtype: np.dtype[Any]
    """Little-endian; the sign is the codestream's, not Pixel Representation's."""
    planar: bool
    photometric_interpretation: str
    """Photometric Interpretation of the decoded frame."""
    decode: Callable[[Array], None]
    """Decodes into a C-contiguous array of :attr:`shape` and :attr:`dtype`."""
    coded: Coded = WORDS
    """Format of the samples."""


def prepared(
    request: FrameRequest,
    itemsize: int,
    decode: Callable[[Array], None],
    *,
    kind: str = "u",
    planar: bool = False,
    photometric_interpretation: str = "",
    coded: Coded = WORDS,
) -> PreparedFrame:
    """Return the prepared frame of a request whose size has been checked."""
    samples = request.samples_per_pixel
    shape: tuple[int, ...] = (request.rows, request.columns)
    if samples > 1:
        shape = (samples, *shape) if planar else (*shape, samples)
    return PreparedFrame(
        shape=shape,
        dtype=_dtype(kind, itemsize),
        planar=planar and samples > 1,
        photometric_interpretation=photometric_interpretation or request.photometric_interpretation,
        decode=decode,
        coded=coded,
    )


@cache
def _dtype(kind: str, itemsize: int) -> np.dtype[Any]:
    return np.dtype(f"<{kind}{itemsize}")


def require_size(request: FrameRequest, *, rows: int, columns: int, samples: int, precision: int = 0) -> None:
    """Refuse a codestream that contradicts the attributes, before memory is allocated.

    Raises
    ------
    CodestreamError
        If it has other rows, columns or samples, or samples with more bits than Bits Allocated.
    """
    seen = (rows, columns, samples)
    declared = (request.rows, request.columns, request.samples_per_pixel)
    if seen != declared:
        raise CodestreamError(
            f"the codestream holds {rows} x {columns} pixels of {samples} samples, but Rows, Columns and Samples per "
            f"Pixel say {declared[0]} x {declared[1]} x {declared[2]}"
        )
    if precision > 8 * ITEMSIZES.get(request.bits_allocated, 0):
        raise CodestreamError(
            f"the codestream's samples have {precision} bits, but Bits Allocated is {request.bits_allocated}"
        )


def spare_bytes(request: FrameRequest) -> int:
    """Return the most bytes after a frame that count as padding; more belong to another picture."""
    return max(request.columns - 1, _PADDING)


def itemsize_of(precision: int, maximum: int = 16) -> int:
    """Return the bytes of the smallest container (1, 2 or 4) for `precision` bits, like pydicom's other plugins."""
    if not 1 <= precision <= maximum:
        raise PixelDataError(f"the codestream's samples have {precision} bits; 1 to {maximum} can be decoded")
    return 1 if precision <= 8 else 2 if precision <= 16 else 4  # noqa: PLR2004  bits of the containers


def plain_bytes(bits_allocated: int, bits_stored: int, pixel_representation: int) -> bool:
    """Return whether samples are whole unsigned bytes, so that nothing precedes the conversion of their colour.

    pydicom clears unused bits and extends signs first, and converts the colour of unsigned bytes only.
    """
    return (bits_allocated, bits_stored, pixel_representation) == (8, 8, 0)
