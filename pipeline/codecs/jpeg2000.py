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
"""Pixels per sample of each component, across and down: 4:2:2 and 4:2:0."""


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG 2000 frame, rows x columns x samples of 1, 2 or 4 bytes, signed as it says.

    The container follows the codestream's precision, not Bits Allocated, and the codec undoes the multiple component
    transformation: both as pydicom's other plugins do. Whoever asks corrects a sign that contradicts Pixel
    Representation. Components of which two pixels or four share the chroma come as RGB.
    """
    data, header, coded = read(src, request)
    itemsize = itemsize_of(coded.precision, _MAX_BITS)
    subsampled = _is_subsampled(header)
    # OpenJPH is faster than OpenJPEG on HTJ2K, but rounds the irreversible wavelet in its own way, and takes zeros for
    # what is missing inside of packets.
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
    """Return the bare codestream of one JPEG 2000 frame and its header; refuse one that isn't the whole frame asked for."""
    data = bare(src)
    header = read_j2k_header(data)
    first = _one_format(header, request)
    samples = len(header.components)
    require_size(request, rows=header.rows, columns=header.columns, samples=samples, precision=first.precision)
    parts = read_tile_parts(data, header)
    require_packets(data, header, parts)
    if data.find(EOC, parts[-1].end) < 0:  # OpenJPEG wants it, although the tile-parts are all there
        data = data[: parts[-1].end] + EOC
    coded = Coded(first.precision, first.is_signed, is_exact=header.is_reversible, sign_by_precision=True)
    return data, header, coded


def check(src: bytes) -> None:
    """Refuse what another decoder has made of a frame that is damaged."""
    data = bare(src)
    require_sound(data, read_j2k_header(data))


def _is_subsampled(header: J2kHeader) -> bool:
    return len({component.sampling for component in header.components}) > 1


def _one_format(header: J2kHeader, request: FrameRequest) -> Component:
    """Return the first component's format, which all have to share but for the size of chroma."""
    first, *others = header.components
    if any(other[:2] != first[:2] for other in others):
        raise CodestreamError("the codestream's components differ in precision or sign")
    sampling = [component.sampling for component in header.components]
    if _is_subsampled(header) and not (request.rgb and sampling in _SHARED_CHROMA and not first.is_signed):
        shared = ", ".join(f"{across} x {down}" for across, down in sampling)
        raise CodestreamError(
            f"the codestream's components are subsampled (each sample stands for {shared} pixels): only imagecodecs "
            "decodes that, to RGB of 8 bits, where two or four pixels share their chroma",
            reason="decode_failed",
        )
    return first
