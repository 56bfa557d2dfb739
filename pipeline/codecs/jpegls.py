"""JPEG-LS (ITU-T T.87), lossless and near-lossless; PS3.5 8.2.3 and A.4.3."""

from __future__ import annotations

import imagecodecs

from pipeline.codecs.frame import Array, FrameRequest, PreparedFrame, itemsize_of, prepared, require_size
from pipeline.codecs.markers import (
    END,
    SOF_JPEG_LS,
    JpegHeader,
    effective_interpretation,
    has_end,
    read_jpeg_header,
    read_rows,
)
from pipeline.codecs.samples import Coded
from pipeline.errors import CutShortError, PixelDataError

_FULL_SIZE = b"\x11"


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG-LS frame; samples keep the codestream's order, by plane or by pixel.

    Samples are unsigned; the caller extends the sign if Pixel Representation demands it.
    """
    header, coded = read(src, request)
    # Without an end marker CharLS may search forever; decoding shows whether the scan is complete.
    data = src if has_end(src, header) else src + END

    def decode(out: Array) -> None:
        try:
            imagecodecs.jpegls_decode(data, out=out)
        except imagecodecs.JpeglsError as error:
            if header.is_usual and header.sampling == _FULL_SIZE * request.samples_per_pixel:
                raise CutShortError(f"the codestream is cut short or damaged: {error}") from error
            raise

    return prepared(
        request,
        itemsize_of(header.precision),
        decode,
        planar=header.interleave == 0,
        photometric_interpretation=effective_interpretation(header, request),
        coded=coded,
    )


def read(src: bytes, request: FrameRequest) -> tuple[JpegHeader, Coded]:
    """Read the header of one JPEG-LS frame, and refuse one that contradicts the request."""
    header = read_jpeg_header(src)
    if header.process != SOF_JPEG_LS:
        raise PixelDataError("the codestream is JPEG, not JPEG-LS")
    rows, samples = read_rows(src, header), len(header.component_ids)
    require_size(request, rows=rows, columns=header.columns, samples=samples, precision=header.precision)
    return header, Coded(header.precision, is_exact=not header.scan_parameters[0], sign_by_precision=True)
