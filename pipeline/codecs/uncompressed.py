"""Encapsulated frames with the bytes of native pixel data (PS3.5 8.1.1), uncompressed or separately deflated (RFC 1951).

PS3.5 A.4: Encapsulated Uncompressed Explicit VR Little Endian, and Deflated Image Frame Compression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import imagecodecs
import numpy as np

from pipeline.codecs.frame import ITEMSIZES, Array, FrameRequest, PreparedFrame, prepared, spare_bytes
from pipeline.errors import CodestreamError, CutShortError, PixelDataError

_BEST_RATIO: Final = 1032  # of deflate: 258 bytes of a run in two bits


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Prepare one uncompressed frame; few bytes after it count as padding."""
    length = _length(request)
    if len(src) < length:
        raise CutShortError(f"the frame has {len(src)} bytes, but the attributes need {length}")
    if len(src) - length > spare_bytes(request):
        raise CodestreamError(f"the frame has {len(src)} bytes, but the attributes need {length}")
    return _prepared(request, lambda: np.frombuffer(src, "u1", length))


def prepare_deflated(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Prepare one deflated frame."""
    length = _length(request)
    if length > _BEST_RATIO * len(src):
        raise CutShortError(f"{len(src)} deflated bytes can't hold a frame of {length} bytes")

    def inflate() -> Array:
        inflated = np.frombuffer(imagecodecs.deflate_decode(src, raw=True, out=length + length % 2), "u1")
        if inflated.size not in {length, length + length % 2}:
            raise CodestreamError(f"the frame inflates to {inflated.size} bytes, but the attributes need {length}")
        return inflated[:length]

    return _prepared(request, inflate)


def _prepared(request: FrameRequest, read: Callable[[], Array]) -> PreparedFrame:
    def decode(out: Array) -> None:
        data = read()
        if request.bits_allocated == 1:
            out[...] = np.unpackbits(data, count=out.size, bitorder="little").reshape(out.shape)
        elif _is_subsampled(request):
            _spread(data, out.reshape(-1, 2, 3))
        else:
            out[...] = data.view(out.dtype).reshape(out.shape)

    subsampled = _is_subsampled(request)
    return prepared(
        request,
        ITEMSIZES[request.bits_allocated],
        decode,
        planar=request.planar_configuration == 1 and not subsampled,
        photometric_interpretation="YBR_FULL" if subsampled else "",
    )


def _is_subsampled(request: FrameRequest) -> bool:
    """Return whether pairs of pixels share their chroma samples (PS3.3 C.7.6.3.1.2)."""
    return request.photometric_interpretation == "YBR_FULL_422"


def _length(request: FrameRequest) -> int:
    """Return the frame's length in bytes."""
    if request.bits_allocated not in ITEMSIZES or (_is_subsampled(request) and request.bits_allocated != 8):  # noqa: PLR2004
        raise PixelDataError(f"Bits Allocated of {request.bits_allocated} can't be decoded")
    samples = request.rows * request.columns * request.samples_per_pixel
    if _is_subsampled(request):
        if request.columns % 2:
            raise PixelDataError(f"YBR_FULL_422 needs an even number of columns, not {request.columns}")
        samples = samples // 3 * 2
    return -(-samples * request.bits_allocated // 8)


def _spread(data: Array, pairs: Array) -> None:
    """Expand stored pairs (Y1 Y2 Cb Cr) to pixels: each gets its own Y and the shared chroma samples."""
    stored = data.reshape(-1, 4)
    pairs[..., 0] = stored[:, :2]
    pairs[..., 1:] = stored[:, None, 2:]
