"""JPEG 2000 Part 1 (ITU-T T.800) and High-Throughput JPEG 2000 (T.814); PS3.5 8.2.4, 8.2.14, A.4.4 and A.4.10."""

from __future__ import annotations

from typing import Final

import imagecodecs

from pipeline.codecs.boxes import bare
from pipeline.codecs.frame import Array, FrameRequest, PreparedFrame, itemsize_of, prepared, require_size
from pipeline.codecs.packets import parses, require_packets, require_sound
from pipeline.codecs.samples import Coded
from pipeline.codecs.tileparts import EOC, Component, J2kHeader, read_j2k_header, read_tile_parts
from pipeline.errors import CodestreamError
from pipeline.model import syntaxes

_HIGH_THROUGHPUT: Final = syntaxes.of_families(syntaxes.Family.HTJ2K)
_TRANSFORMED: Final = ("YBR_ICT", "YBR_RCT")
_MAX_BITS = 32
_FULL = (1, 1)
_SHARED_CHROMA: Final = ([_FULL, (2, 1), (2, 1)], [_FULL, (2, 2), (2, 2)])
"""Pixels per sample of each component, horizontally and vertically: 4:2:2 and 4:2:0."""


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG 2000 frame, rows x columns x samples of 1, 2 or 4 bytes, with the codestream's sign.

    As in pydicom's other plugins, the container follows the codestream's precision, not Bits Allocated, and the codec undoes the
    multiple component transformation. The caller corrects a sign that contradicts Pixel Representation. Components with subsampled
    chroma become RGB.
    """
    data, header, coded = read(src, request)
    itemsize = itemsize_of(coded.precision, _MAX_BITS)
    subsampled = _is_subsampled(header)
    # OpenJPH is faster than OpenJPEG for HTJ2K, but rounds the irreversible wavelet differently, and replaces missing data in
    # packets by zeros.
    by_openjph = request.transfer_syntax_uid in _HIGH_THROUGHPUT and header.is_reversible and not subsampled
    by_openjph = by_openjph and parses(data, header)

    def decode(out: Array) -> None:
        if by_openjph:
            imagecodecs.htj2k_decode(data, planar=False, out=out)
        else:
            imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1, out=out)

    transformed = subsampled or request.photometric_interpretation in _TRANSFORMED
    return prepared(
        request,
        itemsize,
        decode,
        kind="i" if coded.is_signed else "u",
        photometric_interpretation="RGB" if transformed else "",
        coded=coded,
    )


def read(src: bytes, request: FrameRequest) -> tuple[bytes, J2kHeader, Coded]:
    """Return the bare codestream of one JPEG 2000 frame and its header; refuse an incomplete or contradicting one."""
    data = bare(src)
    header = read_j2k_header(data)
    first = _one_format(header, request)
    samples = len(header.components)
    require_size(request, rows=header.rows, columns=header.columns, samples=samples, precision=first.precision)
    parts = read_tile_parts(data, header)
    require_packets(data, header, parts)
    if data.find(EOC, parts[-1].end) < 0:  # OpenJPEG needs this marker, even if all tile-parts are there
        data = data[: parts[-1].end] + EOC
    coded = Coded(first.precision, first.is_signed, is_exact=header.is_reversible, sign_by_precision=True)
    return data, header, coded


def check(src: bytes) -> None:
    """Refuse another decoder's result for a damaged frame."""
    data = bare(src)
    require_sound(data, read_j2k_header(data))


def _is_subsampled(header: J2kHeader) -> bool:
    return len({component.sampling for component in header.components}) > 1


def _one_format(header: J2kHeader, request: FrameRequest) -> Component:
    """Return the first component's format; all others must have the same, except for subsampled chroma."""
    first, *others = header.components
    if any(other[:2] != first[:2] for other in others):
        raise CodestreamError("the codestream's components differ in precision or sign")
    sampling = [component.sampling for component in header.components]
    if _is_subsampled(header) and not (request.rgb and sampling in _SHARED_CHROMA and not first.is_signed):
        shared = ", ".join(f"{across} x {down}" for across, down in sampling)
        raise CodestreamError(
            f"the codestream's components are subsampled (one sample for {shared} pixels): this is decoded only by "
            "imagecodecs, to RGB of 8 bits, and only if two or four pixels share their chroma",
            reason="decode_failed",
        )
    return first
