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
_BASELINE_BITS = 8
_DECLARED: Final = "declared_photometric_interpretation"  # option in which the runner keeps what the dataset said
_YBR: Final = (PhotometricInterpretation.YBR_FULL, PhotometricInterpretation.YBR_FULL_422)
_BLOCK = 64  # samples that one Huffman code, at least a bit long, stands for in a DCT process


def decode(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one JPEG frame into rows x columns x samples of Bits Allocated."""
    _restore_interpretation(runner)
    header = read_jpeg_header(src)
    samples = len(header.component_ids)
    require_size(runner, rows=header.rows, columns=header.columns, samples=samples)
    itemsize = itemsize_of(header.precision)
    _require_container(runner, itemsize)
    _require_plausible(src, header)
    require_end(src, header)

    stored, wanted = _colour(header, runner)
    shape = (header.rows, header.columns, samples)[: 3 if samples > 1 else 2]
    buffer, frame = frame_buffer(shape, f"u{itemsize}")
    imagecodecs.jpeg8_decode(src, colorspace=stored, outcolorspace=wanted, out=frame)

    set_planar(runner, 0)
    if wanted != stored or header.has_rgb_ids:
        runner.set_option(_DECLARED, runner.photometric_interpretation)
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    # 8-bit data of 16 Bits Allocated: pydicom extends signs by Bits Stored, which needs the declared container.
    wide = runner.bits_allocated // 8
    return buffer if wide == itemsize else bytearray(frame.astype(f"<u{wide}").data)


def _restore_interpretation(runner: DecodeRunner) -> None:
    """Undo what an earlier frame of the same runner set, lest its YCbCr be taken for RGB, here or by another plugin."""
    declared = runner.get_option(_DECLARED, None)
    if declared is not None and runner.photometric_interpretation == PhotometricInterpretation.RGB:
        runner.set_option("photometric_interpretation", declared)


def _colour(header: JpegHeader, runner: DecodeRunner) -> tuple[str, str]:
    """Choose the colour space to tell libjpeg that the codestream has, and the one to ask for."""
    if runner.samples_per_pixel == 1:
        return "GRAYSCALE", "GRAYSCALE"
    interpretation = runner.photometric_interpretation
    # An Adobe marker that contradicts RGB is right: such files' writers used libjpeg's defaults.
    contradicted = interpretation == PhotometricInterpretation.RGB and header.adobe_transform == _ADOBE_YCBCR
    # pydicom's own conversion is one for 8 bits, and so is that bound to be within a grey level of it.
    asked_for = interpretation in _YBR and header.precision == _BASELINE_BITS and _rgb_wanted(runner)
    if (contradicted or (asked_for and not header.has_rgb_ids)) and not header.is_lossless:
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
