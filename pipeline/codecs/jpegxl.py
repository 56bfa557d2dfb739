"""JPEG XL (ISO/IEC 18181): lossless, lossy, and losslessly recompressed JPEG; PS3.5 A.4."""

from __future__ import annotations

from typing import Final

import imagecodecs
import numpy as np

from pipeline.codecs.boxes import walk_boxes
from pipeline.codecs.frame import Array, FrameRequest, PreparedFrame, prepared
from pipeline.errors import PixelDataError

_CONTAINER: Final = b"\x00\x00\x00\x0cJXL "
_PARTS: Final = {b"jxlc": 0, b"jxlp": 4}
"""Boxes that hold the codestream or a part of it, and the bytes of the part's number in front."""
_CODESTREAM: Final = b"\xff\x0a"
_HEADER: Final = 16  # bytes that hold the size, and more
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_RGB: Final = 3


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Decode one JPEG XL frame; libjxl gives RGB, whatever the colours were stored as.

    The size is looked at first, for the rest of the header can't be read without decoding.
    """
    rows, columns = read_size(src)
    if (rows, columns) != (request.rows, request.columns):
        raise PixelDataError(
            f"the codestream holds {rows} x {columns} pixels, but Rows and Columns say {request.rows} x "
            f"{request.columns}"
        )
    array: Array = imagecodecs.jpegxl_decode(src, numthreads=1)
    samples = request.samples_per_pixel
    expected = (rows, columns) if samples == 1 else (rows, columns, samples)
    if array.shape != expected or array.dtype.kind != "u":
        raise PixelDataError(f"the codestream holds {array.dtype} of shape {array.shape}, not {expected}")

    def decode(out: Array) -> None:
        np.copyto(out, array, casting="no")

    return prepared(request, array.dtype.itemsize, decode, photometric_interpretation="RGB" if samples == _RGB else "")


def read_size(src: bytes) -> tuple[int, int]:
    """Return rows and columns (ISO/IEC 18181-1, SizeHeader).

    Raises
    ------
    PixelDataError
        The data aren't JPEG XL, or are cut short.
    """
    head = _codestream_head(src)
    if not head.startswith(_CODESTREAM) or len(head) < _HEADER // 2:
        raise PixelDataError("the data aren't a JPEG XL codestream, or are cut short")
    bits = _Bits(int.from_bytes(head[2:], "little"))
    small = bool(bits.take(1))
    rows = _extent(bits, small=small)
    ratio = bits.take(3)
    if not ratio:
        return rows, _extent(bits, small=small)
    across, down = _RATIOS[ratio - 1]
    return rows, rows * across // down


class _Bits:
    """Bits from the lowest on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _extent(bits: _Bits, *, small: bool) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _codestream_head(src: bytes) -> bytes:
    """Return the codestream's first bytes, from behind the boxes where there are any."""
    if not src.startswith(_CONTAINER):
        return src[:_HEADER]
    for kind, start, _ in walk_boxes(src):
        if kind in _PARTS:
            at = start + _PARTS[kind]
            return src[at : at + _HEADER]
    raise PixelDataError("the JPEG XL file in the pixel data holds no codestream")
