"""JPEG XL (ISO/IEC 18181): lossless, lossy, and losslessly recompressed JPEG; PS3.5 A.4."""

from __future__ import annotations

from typing import Final

import imagecodecs
import numpy as np

from pipeline.codecs.boxes import walk_boxes
from pipeline.codecs.frame import ITEMSIZES, Array, FrameRequest, PreparedFrame, prepared, require_size
from pipeline.codecs.samples import Coded
from pipeline.errors import CodestreamError, PixelDataError
from pipeline.model import syntaxes

_CONTAINER: Final = b"\x00\x00\x00\x0cJXL "
_PARTS: Final = {b"jxlc": 0, b"jxlp": 4}
"""Box with the codestream or a part of it → bytes of the part's number before the data."""
_CODESTREAM: Final = b"\xff\x0a"
_HEADER: Final = 16  # bytes that hold the size, and more
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_RGB: Final = 3
_PRECISIONS: Final = (8, 10, 12)


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Decode one JPEG XL frame; libjxl returns RGB, whatever the stored colour space.

    Only the size is checked before, because the rest of the header can't be read without decoding.
    """
    coded = read(src, request)
    array: Array = imagecodecs.jpegxl_decode(src, numthreads=1)
    samples = request.samples_per_pixel
    expected = (request.rows, request.columns) if samples == 1 else (request.rows, request.columns, samples)
    if array.shape != expected or array.dtype.kind != "u" or array.dtype.itemsize > ITEMSIZES[request.bits_allocated]:
        raise CodestreamError(
            f"the codestream holds {array.dtype} of shape {array.shape}, but the attributes make {expected} of "
            f"{request.bits_allocated} bits"
        )

    def decode(out: Array) -> None:
        np.copyto(out, array, casting="no")

    interpretation = "RGB" if samples == _RGB else ""
    return prepared(request, array.dtype.itemsize, decode, photometric_interpretation=interpretation, coded=coded)


def read(src: bytes, request: FrameRequest) -> Coded:
    """Read the header of one JPEG XL frame, and refuse one that contradicts the request."""
    rows, columns, precision = read_header(src)
    require_size(request, rows=rows, columns=columns, samples=request.samples_per_pixel, precision=precision)
    return Coded(
        precision, is_exact=request.transfer_syntax_uid == syntaxes.JPEG_XL_LOSSLESS, sign_by_precision=precision > 0
    )


def read_header(src: bytes) -> tuple[int, int, int]:
    """Return rows, columns and bits of a sample (0 if unknown), see ISO/IEC 18181-1, SizeHeader and ImageMetadata.

    Raises
    ------
    PixelDataError
        If the data aren't JPEG XL, or are cut short.
    """
    head = _codestream_head(src)
    if not head.startswith(_CODESTREAM) or len(head) < _HEADER // 2:
        raise PixelDataError("the data aren't a JPEG XL codestream, or are cut short")
    bits = _Bits(int.from_bytes(head[2:], "little"))
    small = bool(bits.take(1))
    rows = _extent(bits, small=small)
    ratio = bits.take(3)
    across, down = _RATIOS[ratio - 1]
    columns = rows * across // down if ratio else _extent(bits, small=small)
    return rows, columns, _precision(bits)


def _precision(bits: _Bits) -> int:
    """Return the bits of a sample; 0 if other fields precede them."""
    if bits.take(1):  # all defaults
        return _PRECISIONS[0]
    # with extra fields: orientation, and flags for intrinsic size, preview and animation
    if (bits.take(1) and bits.take(6) >> 3) or bits.take(1):
        return 0
    choice = bits.take(2)
    return _PRECISIONS[choice] if choice < len(_PRECISIONS) else bits.take(6) + 1


class _Bits:
    """A reader of bits, from the lowest on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _extent(bits: _Bits, *, small: bool) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _codestream_head(src: bytes) -> bytes:
    """Return the codestream's first bytes, from inside its box if the data are in a container."""
    if not src.startswith(_CONTAINER):
        return src[:_HEADER]
    for kind, start, _ in walk_boxes(src):
        if kind in _PARTS:
            at = start + _PARTS[kind]
            return src[at : at + _HEADER]
    raise PixelDataError("the JPEG XL file in the pixel data holds no codestream")
