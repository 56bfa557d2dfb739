"""JPEG-LS (ITU-T T.87), lossless and near-lossless; PS3.5 8.2.3 and A.4.3."""

from __future__ import annotations

import imagecodecs
from pydicom.pixels.decoders.base import DecodeRunner

from pipeline.codecs.markers import SOF_JPEG_LS, read_jpeg_header
from pipeline.codecs.state import frame_buffer, itemsize_of, require_size, set_planar
from pipeline.errors import PixelDataError


def decode(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one JPEG-LS frame, in the order of samples that it has: by plane, or by pixel.

    Samples are unsigned; pydicom extends the sign where Pixel Representation asks for it.
    """
    header = read_jpeg_header(src)
    if header.process != SOF_JPEG_LS:
        raise PixelDataError("the codestream is JPEG, not JPEG-LS")
    samples = len(header.component_ids)
    require_size(runner, rows=header.rows, columns=header.columns, samples=samples)
    itemsize = itemsize_of(header.precision)

    planar = samples > 1 and header.interleave == 0
    shape: tuple[int, ...] = (header.rows, header.columns)
    if samples > 1:
        shape = (samples, *shape) if planar else (*shape, samples)
    buffer, frame = frame_buffer(shape, f"u{itemsize}")
    imagecodecs.jpegls_decode(src, out=frame)

    runner.set_option("bits_allocated", 8 * itemsize)
    set_planar(runner, int(planar))
    return buffer
