"""JPEG 2000 Part 1 (ITU-T T.800) and High-Throughput JPEG 2000 (T.814); PS3.5 8.2.4, 8.2.14, A.4.4 and A.4.10."""

from __future__ import annotations

from typing import Final

import imagecodecs
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from pipeline.codecs.boxes import J2kHeader, codestream, read_j2k_header, require_whole
from pipeline.codecs.frame import Array, FrameRequest, PreparedFrame, itemsize_of, prepared, require_size
from pipeline.errors import PixelDataError

_HIGH_THROUGHPUT: Final = frozenset({HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL})
_TRANSFORMED: Final = ("YBR_ICT", "YBR_RCT")
_MAX_BITS = 32


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG 2000 frame, rows x columns x samples of 1, 2 or 4 bytes, signed as it says.

    The container follows the codestream's precision, not Bits Allocated, and the codec undoes the multiple component
    transformation: both as pydicom's other plugins do. Whoever asks corrects a sign that contradicts Pixel
    Representation.
    """
    data = codestream(src)
    header = read_j2k_header(data)
    require_size(request, rows=header.rows, columns=header.columns, samples=len(header.components))
    component = _one_component(header)
    itemsize = itemsize_of(component.precision, _MAX_BITS)
    require_whole(data, header)
    # OpenJPH is twice as fast as OpenJPEG on HTJ2K, but rounds the irreversible wavelet in its own way.
    by_openjph = request.transfer_syntax_uid in _HIGH_THROUGHPUT and header.is_reversible

    def decode(out: Array) -> None:
        if by_openjph:
            imagecodecs.htj2k_decode(data, planar=False, out=out)
        else:
            imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1, out=out)

    return prepared(
        request,
        itemsize,
        decode,
        kind="i" if component.is_signed else "u",
        photometric_interpretation="RGB" if request.photometric_interpretation in _TRANSFORMED else "",
        precision=component.precision,
    )


def _one_component(header: J2kHeader) -> J2kHeader.Component:
    """Return the format that all components share."""
    first = header.components[0]
    if any(component != first for component in header.components):
        raise PixelDataError("the codestream's components differ in precision, sign or sampling")
    if first.sampling != (1, 1):
        raise PixelDataError(f"the codestream's components are subsampled {first.sampling}")
    return first
