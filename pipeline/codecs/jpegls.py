"""JPEG-LS (ITU-T T.87), lossless and near-lossless; PS3.5 8.2.3 and A.4.3."""

from __future__ import annotations

import imagecodecs

from pipeline.codecs.frame import Array, FrameRequest, PreparedFrame, itemsize_of, prepared, require_size
from pipeline.codecs.markers import SOF_JPEG_LS, conformed, read_jpeg_header, require_end
from pipeline.errors import PixelDataError


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one JPEG-LS frame; samples come in the order that it has: by plane, or by pixel.

    Samples are unsigned; whoever asks extends the sign where Pixel Representation says so.
    """
    header = read_jpeg_header(src)
    if header.process != SOF_JPEG_LS:
        raise PixelDataError("the codestream is JPEG, not JPEG-LS")
    require_size(request, rows=header.rows, columns=header.columns, samples=len(header.component_ids))
    require_end(src, header)

    def decode(out: Array) -> None:
        imagecodecs.jpegls_decode(src, out=out)

    return prepared(
        request,
        itemsize_of(header.precision),
        decode,
        planar=header.interleave == 0,
        photometric_interpretation=conformed(header, request),
        precision=header.precision,
    )
