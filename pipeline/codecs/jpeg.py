"""JPEG (ITU-T T.81): baseline, extended with 8 and 12 bits, and lossless; PS3.5 8.2.1, A.4.1 and A.4.2.

Colour stays as it is stored, so that pydicom converts it, or with ``raw`` doesn't. What a frame's colour space is, is
said by a JFIF marker (pydicom sets the runner to YBR for it, before the plugin is called), by an Adobe marker, or else
by Photometric Interpretation.
"""

from __future__ import annotations

from typing import Final

import imagecodecs
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner

from pipeline.codecs.markers import JpegHeader, read_jpeg_header, require_end
from pipeline.codecs.state import RGB_OPTION, frame_buffer, itemsize_of, require_size, set_planar
from pipeline.errors import PixelDataError

_ADOBE_YCBCR = 1
_YBR: Final = (PhotometricInterpretation.YBR_FULL, PhotometricInterpretation.YBR_FULL_422)
_BLOCK = 64  # samples that one Huffman code, at least a bit long, stands for in a DCT process


def decode(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one JPEG frame into rows x columns x samples of 1 or 2 bytes."""
    header = read_jpeg_header(src)
    samples = len(header.component_ids)
    require_size(runner, rows=header.rows, columns=header.columns, samples=samples)
    itemsize = itemsize_of(header.precision)
    _require_container(runner, itemsize)
    _require_plausible(src, header)
    require_end(src)

    stored, wanted = _colour(header, runner)
    shape = (header.rows, header.columns, samples)[: 3 if samples > 1 else 2]
    buffer, frame = frame_buffer(shape, f"u{itemsize}")
    imagecodecs.jpeg8_decode(src, colorspace=stored, outcolorspace=wanted, out=frame)

    runner.set_option("bits_allocated", 8 * itemsize)
    set_planar(runner, 0)
    if wanted != stored:
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return buffer


def _colour(header: JpegHeader, runner: DecodeRunner) -> tuple[str, str]:
    """Choose the colour space to tell libjpeg that the codestream has, and the one to ask for."""
    if runner.samples_per_pixel == 1:
        return "GRAYSCALE", "GRAYSCALE"
    interpretation = runner.photometric_interpretation
    # An Adobe marker that contradicts RGB is right: such files' writers used libjpeg's defaults.
    if interpretation == PhotometricInterpretation.RGB and header.adobe_transform == _ADOBE_YCBCR:
        if not header.is_lossless and not header.has_rgb_ids:
            return "YCBCR", "RGB"
    elif interpretation in _YBR and _rgb_wanted(runner) and header.precision == 8 and not header.is_lossless:  # noqa: PLR2004  bits
        return "YCBCR", "RGB"
    # Two equal names keep libjpeg from converting; which name doesn't matter then.
    return "RGB", "RGB"


def _rgb_wanted(runner: DecodeRunner) -> bool:
    """Whether whoever called pydicom lets the codec convert, and pydicom would convert otherwise."""
    forced = runner.get_option("force_rgb", False) or runner.get_option("force_ybr", False)
    return bool(runner.get_option(RGB_OPTION, False) and runner.get_option("as_rgb", False) and not forced)


def _require_container(runner: DecodeRunner, itemsize: int) -> None:
    if 8 * itemsize > runner.bits_allocated:
        raise PixelDataError(
            f"the codestream's samples need {8 * itemsize} bits, but Bits Allocated is {runner.bits_allocated}"
        )


def _require_plausible(src: bytes, header: JpegHeader) -> None:
    """Refuse a few bytes that claim to be a huge frame, which the attributes may claim too."""
    if header.is_arithmetic:  # can code a constant frame in no bits at all
        return
    per_bit = 1 if header.is_lossless else _BLOCK
    if header.rows * header.columns > 8 * per_bit * len(src):
        raise PixelDataError(f"{len(src)} bytes can't hold {header.rows} x {header.columns} pixels of JPEG")
