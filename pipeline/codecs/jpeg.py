"""JPEG (ITU-T T.81): baseline, extended with 8 and 12 bits, and lossless; PS3.5 8.2.1, A.4.1 and A.4.2.

Colour stays as it is stored unless RGB is asked for. What a frame's colour space is, is said by its JFIF marker or
component ids (see :func:`pipeline.codecs.markers.conformed`), by an Adobe marker, or else by Photometric Interpretation.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from pipeline.codecs.frame import (
    LOSSY_JPEG,
    YBR_FULL,
    Array,
    FrameRequest,
    PreparedFrame,
    itemsize_of,
    prepared,
    require_size,
)
from pipeline.codecs.markers import JpegHeader, conformed, read_jpeg_header, require_end
from pipeline.errors import PixelDataError

_ADOBE_YCBCR = 1
_BASELINE_BITS = 8
_BLOCK = 64  # samples that one Huffman code, at least a bit long, stands for in a DCT process


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG frame, rows x columns x samples of Bits Allocated."""
    header = read_jpeg_header(src)
    require_size(request, rows=header.rows, columns=header.columns, samples=len(header.component_ids))
    itemsize = itemsize_of(header.precision)
    _require_container(request, itemsize)
    _require_plausible(src, header)
    require_end(src, header)
    interpretation = conformed(header, request)
    stored, wanted = _colour(header, request, interpretation)

    def decode(out: Array) -> None:
        # 8-bit data of 16 Bits Allocated: signs are extended by Bits Stored, which needs the declared container.
        narrow = out if out.dtype.itemsize == itemsize else np.empty(out.shape, f"<u{itemsize}")
        imagecodecs.jpeg8_decode(src, colorspace=stored, outcolorspace=wanted, out=narrow)
        if narrow is not out:
            out[...] = narrow

    return prepared(
        request,
        request.bits_allocated // 8,
        decode,
        photometric_interpretation="RGB" if wanted != stored else interpretation,
        precision=header.precision,
    )


def _colour(header: JpegHeader, request: FrameRequest, interpretation: str) -> tuple[str, str]:
    """Choose the colour space to tell libjpeg that the codestream has, and the one to ask for."""
    if request.samples_per_pixel == 1:
        return "GRAYSCALE", "GRAYSCALE"
    # An Adobe marker that contradicts RGB is right: such files' writers used libjpeg's defaults.
    contradicted = interpretation == "RGB" and header.adobe_transform == _ADOBE_YCBCR
    # pydicom's own conversion is one for 8 bits, and so is that bound to be within a grey level of it.
    asked_for = request.rgb and interpretation in YBR_FULL and header.precision == _BASELINE_BITS
    # A lossless transfer syntax promises pydicom's bits, whatever the codestream is.
    asked_for &= request.transfer_syntax_uid in LOSSY_JPEG
    if (contradicted or asked_for) and not header.is_lossless:
        return "YCBCR", "RGB"
    # Two equal names keep libjpeg from converting; which name doesn't matter then.
    return "RGB", "RGB"


def _require_container(request: FrameRequest, itemsize: int) -> None:
    if 8 * itemsize > request.bits_allocated:
        raise PixelDataError(
            f"the codestream's samples need {8 * itemsize} bits, but Bits Allocated is {request.bits_allocated}"
        )


def _require_plausible(src: bytes, header: JpegHeader) -> None:
    """Refuse a few bytes that claim to be a huge frame, which the attributes may claim too."""
    if header.is_arithmetic:  # can code a constant frame in no bits at all
        return
    per_bit = 1 if header.is_lossless else _BLOCK
    if header.rows * header.columns > 8 * per_bit * len(src):
        raise PixelDataError(f"{len(src)} bytes can't hold {header.rows} x {header.columns} pixels of JPEG")
