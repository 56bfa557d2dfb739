"""JPEG (ITU-T T.81): baseline, extended with 8 and 12 bits, and lossless; PS3.5 8.2.1, A.4.1 and A.4.2.

Colours stay as stored unless the caller wants RGB. A frame's colour space follows from its JFIF marker or component ids (see
:func:`pipeline.codecs.markers.effective_interpretation`), from an Adobe marker, or else from Photometric Interpretation.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import imagecodecs
import numpy as np

from pipeline.codecs.frame import (
    YBR_FULL,
    Array,
    FrameRequest,
    PreparedFrame,
    itemsize_of,
    prepared,
    require_size,
)
from pipeline.codecs.markers import JpegHeader, effective_interpretation, read_jpeg_header, read_rows
from pipeline.codecs.samples import Coded
from pipeline.codecs.scans import require_complete
from pipeline.errors import CutShortError
from pipeline.model import syntaxes

_ADOBE_YCBCR = 1
_BASELINE_BITS = 8
_BLOCK = 64  # most samples for one Huffman code, of at least one bit, in a DCT process
_AS_STORED: Final = ("RGB", "RGB")
"""Two equal colour spaces, whatever their name, keep libjpeg from converting."""


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG frame, rows x columns x samples of Bits Allocated."""
    header, coded = read(src, request)
    itemsize = itemsize_of(header.precision)
    interpretation = effective_interpretation(header, request)
    spaces = _colour(header, request, interpretation)

    def decode(out: Array) -> None:
        # 8-bit data with 16 Bits Allocated: extending signs by Bits Stored needs the declared container.
        narrow = out if out.dtype.itemsize == itemsize else np.empty(out.shape, f"<u{itemsize}")
        imagecodecs.jpeg8_decode(src, colorspace=spaces[0], outcolorspace=spaces[1], out=narrow)
        require_complete(src, header, narrow, lambda data: narrow if data is src else _decoded(data, spaces))
        if narrow is not out:
            out[...] = narrow

    return prepared(
        request,
        request.bits_allocated // 8,
        decode,
        photometric_interpretation=interpretation if spaces[0] == spaces[1] else "RGB",
        coded=coded,
    )


def read(src: bytes, request: FrameRequest) -> tuple[JpegHeader, Coded]:
    """Read the header of one JPEG frame, and refuse one that contradicts the request."""
    header = read_jpeg_header(src)
    rows, samples = read_rows(src, header), len(header.component_ids)
    require_size(request, rows=rows, columns=header.columns, samples=samples, precision=header.precision)
    _require_plausible(src, header)
    return header, Coded(header.precision, is_exact=header.is_lossless)


def check(src: bytes, request: FrameRequest, decoded: Array) -> None:
    """Refuse another decoder's result for an incomplete frame."""
    header = read_jpeg_header(src)
    require_complete(src, header, decoded, partial(_decoded, spaces=_spaces(request.samples_per_pixel)))


def _decoded(data: bytes, spaces: tuple[str, str]) -> Array:
    array: Array = imagecodecs.jpeg8_decode(data, colorspace=spaces[0], outcolorspace=spaces[1])
    return array


def _spaces(samples: int) -> tuple[str, str]:
    return ("GRAYSCALE", "GRAYSCALE") if samples == 1 else _AS_STORED


def _colour(header: JpegHeader, request: FrameRequest, interpretation: str) -> tuple[str, str]:
    """Choose the codestream's colour space for libjpeg, and the output's."""
    stored = _spaces(request.samples_per_pixel)
    if request.samples_per_pixel == 1:
        return stored
    # An Adobe marker that contradicts RGB is right: the writers of such files used libjpeg's defaults.
    contradicted = interpretation == "RGB" and header.adobe_transform == _ADOBE_YCBCR
    # Only for 8 bits, like pydicom's own conversion, from which libjpeg's differs by a grey level at most.
    asked_for = request.rgb and interpretation in YBR_FULL and header.precision == _BASELINE_BITS
    # A lossless transfer syntax promises pydicom's bits, whatever the codestream's process.
    asked_for &= request.transfer_syntax_uid in syntaxes.LOSSY_JPEG
    if (contradicted or asked_for) and not header.is_lossless:
        return "YCBCR", "RGB"
    return stored


def _require_plausible(src: bytes, header: JpegHeader) -> None:
    """Refuse a few bytes that claim to be a huge frame, even if the attributes claim so too."""
    if header.is_arithmetic:  # can code a constant frame in no bits at all
        return
    per_bit = 1 if header.is_lossless else _BLOCK
    if header.rows * header.columns > 8 * per_bit * len(src):
        raise CutShortError(f"{len(src)} bytes can't hold {header.rows} x {header.columns} pixels of JPEG")
