"""JPEG 2000 Part 1 (ITU-T T.800) and High-Throughput JPEG 2000 (T.814); PS3.5 8.2.4, 8.2.14, A.4.4 and A.4.10."""

from __future__ import annotations

from typing import Final

import imagecodecs
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from pipeline.codecs.boxes import J2kHeader, codestream, read_j2k_header, require_whole
from pipeline.codecs.state import frame_buffer, itemsize_of, require_size, set_planar
from pipeline.errors import PixelDataError

_HIGH_THROUGHPUT: Final = frozenset({HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL})
_TRANSFORMED: Final = (PhotometricInterpretation.YBR_ICT, PhotometricInterpretation.YBR_RCT)
_MAX_BITS = 32


def decode(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one JPEG 2000 frame into rows x columns x samples of 1, 2 or 4 bytes, signed as the codestream says.

    The container follows the codestream's precision, not Bits Allocated, and the codec undoes the multiple component
    transformation: both as pydicom's other plugins do. pydicom corrects a sign that contradicts Pixel Representation.
    """
    data = codestream(src)
    header = read_j2k_header(data)
    require_size(runner, rows=header.rows, columns=header.columns, samples=len(header.components))
    component = _one_component(header)
    itemsize = itemsize_of(component.precision, _MAX_BITS)
    require_whole(data, header)

    samples = len(header.components)
    shape = (header.rows, header.columns, samples)[: 3 if samples > 1 else 2]
    buffer, frame = frame_buffer(shape, f"{'i' if component.is_signed else 'u'}{itemsize}")
    # OpenJPH is twice as fast as OpenJPEG on HTJ2K, but rounds the irreversible wavelet in its own way.
    if runner.transfer_syntax in _HIGH_THROUGHPUT and header.is_reversible:
        imagecodecs.htj2k_decode(data, planar=False, out=frame)
    else:
        imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1, out=frame)

    runner.set_option("bits_allocated", 8 * itemsize)
    set_planar(runner, 0)
    if runner.photometric_interpretation in _TRANSFORMED:
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return buffer


def _one_component(header: J2kHeader) -> J2kHeader.Component:
    """Return the format that all components share."""
    first = header.components[0]
    if any(component != first for component in header.components):
        raise PixelDataError("the codestream's components differ in precision, sign or sampling")
    if first.sampling != (1, 1):
        raise PixelDataError(f"the codestream's components are subsampled {first.sampling}")
    return first
