"""RLE Lossless (PS3.5 Annex G): one PackBits segment per byte of a sample, the most significant byte first."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import imagecodecs
import numpy as np

from pipeline.codecs.frame import ITEMSIZES, Array, FrameRequest, PreparedFrame, prepared, spare_bytes
from pipeline.errors import CodestreamError, CutShortError, PixelDataError

_HEADER: Final = 64  # bytes (G.5)
_MAX_SEGMENTS: Final = 15
_NOTHING: Final = 128  # a control byte without a run (G.3.1)
_BEST_RATIO: Final = 64  # two bytes encode at most 128 (G.3.1)


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Split one RLE frame into its segments; samples stay ordered by plane.

    With Bits Allocated 1, segments hold packed bits, the first pixel in the lowest bit (PS3.5 8.1.1), and each pixel becomes a
    byte.
    """
    bits, samples, pixels = request.bits_allocated, request.samples_per_pixel, request.rows * request.columns
    segments = _frame_segments(src, request)
    itemsize = ITEMSIZES[bits]
    spare = spare_bytes(request)
    step = 1 if request.rle_segment_order == ">" else -1

    def unpack(segment: bytes, length: int) -> Array:
        return _unpack_into(segment, np.empty(length, "u1"), spare)

    def decode(out: Array) -> None:
        for number, plane in enumerate(out.reshape(samples, pixels)):
            parts = segments[number * itemsize : (number + 1) * itemsize][::step]
            if bits == 1:
                plane[:] = np.unpackbits(unpack(parts[0], -(-pixels // 8)), count=pixels, bitorder="little")
            elif itemsize == 1:
                _unpack_into(parts[0], plane, spare)
            else:
                _join([unpack(part, pixels) for part in parts], plane)

    return prepared(request, itemsize, decode, planar=True)


def is_padded(src: bytes, request: FrameRequest) -> bool:
    """Return whether a segment decodes to a different number of bytes than its pixels need, padding included."""
    pixels = request.rows * request.columns
    expected = -(-pixels // 8) if request.bits_allocated == 1 else pixels
    return any(len(_unpacked(segment)) != expected for segment in _frame_segments(src, request))


def _frame_segments(src: bytes, request: FrameRequest) -> list[bytes]:
    bits, pixels = request.bits_allocated, request.rows * request.columns
    if bits not in ITEMSIZES:
        raise PixelDataError(f"Bits Allocated is {bits}; only RLE of 1, 8, 16, 32 and 64 bits can be decoded")
    segments = _segments(src, request.samples_per_pixel * ITEMSIZES[bits])
    _require_plausible(segments, -(-pixels // 8) if bits == 1 else pixels)
    return segments


def _segments(src: bytes, expected: int) -> list[bytes]:
    """Split the frame into its segments, by the offsets in its header (G.5)."""
    header = np.frombuffer(src[:_HEADER], "<u4") if len(src) >= _HEADER else np.zeros(16, "<u4")
    count = int(header[0])
    if not 0 < count <= _MAX_SEGMENTS:
        raise PixelDataError(f"the {len(src)} bytes aren't an RLE frame: their header declares {count} segments")
    if count != expected:
        raise CodestreamError(f"the RLE frame has {count} segments, but the attributes need {expected}")
    offsets = [*header[1 : count + 1].tolist(), len(src)]
    if offsets[0] < _HEADER or any(first >= second for first, second in pairwise(offsets)):
        raise CutShortError(f"the RLE frame's offsets are damaged, or its {len(src)} bytes cut short: {offsets[:-1]}")
    return [src[first:second] for first, second in pairwise(offsets)]


def _require_plausible(segments: list[bytes], length: int) -> None:
    """Refuse segments that are too short for the attributes, before memory is allocated."""
    shortest = min(map(len, segments))
    if length > _BEST_RATIO * shortest:
        raise CutShortError(f"an RLE segment of {shortest} bytes can't hold {length} bytes")


def _join(parts: list[Array], plane: Array) -> None:
    """Combine the bytes of all samples, given from the most significant on."""
    np.left_shift(parts[0], 8, out=plane, dtype=plane.dtype)
    for part in parts[1:-1]:
        plane |= part
        plane <<= 8
    plane |= parts[-1]


def _unpack_into(segment: bytes, plane: Array, spare: int) -> Array:
    """Decode one segment, which must hold as many bytes as `plane`, or up to `spare` more."""
    try:
        found = len(imagecodecs.packbits_decode(segment, out=plane.data))
    except imagecodecs.PackbitsError:
        decoded = _unpacked(segment, plane.size)
        found = len(decoded)
        plane[:found] = np.frombuffer(decoded, "u1", min(found, plane.size))
    if found < plane.size:
        raise CutShortError(f"an RLE segment holds {found} bytes instead of {plane.size}")
    if found - plane.size > spare:
        raise CodestreamError(f"an RLE segment holds {found} bytes, but Rows and Columns make {plane.size}")
    return plane


def _unpacked(segment: bytes, size: int | None = None) -> bytes:
    """Decode a segment that some writers pad with further runs, or with bytes that aren't runs.

    Zeros after `size` bytes are ignored.
    """
    at, found, last = 0, 0, len(segment.rstrip(b"\0"))
    while at + 1 < len(segment) and (size is None or found < size or at < last):
        control = segment[at]
        if control == _NOTHING:
            at += 1
            continue
        stop = at + 2 + (control if control < _NOTHING else 0)
        if stop > len(segment):
            break
        found += control + 1 if control < _NOTHING else 2 * _NOTHING + 1 - control
        at = stop
    return bytes(imagecodecs.packbits_decode(segment[:at]))
