"""The functions that pydicom requires of a decoding plugin's module.

See "Decoding plugins" in pydicom's documentation: ``is_available``, ``DECODER_DEPENDENCIES`` and the function that
decodes one frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID

from pipeline.codecs.families import SERVED, is_available, prepare
from pipeline.codecs.frame import FrameRequest, plain_bytes

__all__ = ["DECODER_DEPENDENCIES", "RGB_OPTION", "decode_frame", "is_available"]

DECODER_DEPENDENCIES: Final[dict[UID, tuple[str, ...]]] = {UID(uid): ("imagecodecs>=2025.3",) for uid in sorted(SERVED)}
"""What pydicom tells a user to install when :func:`is_available` says no."""

RGB_OPTION: Final = "rgb_from_codec"
"""Decoding option: true lets the codec itself convert 8-bit YCbCr of lossy JPEG to RGB, where ``as_rgb`` is set.

Off by default, since pydicom's ``raw`` isn't among the options that a plugin sees: who sets this promises not to ask
for raw pixels. Best used with one frame per call: pydicom warns about every later frame of a runner that holds a JFIF
marker, because the runner says RGB then.
"""

_DECLARED: Final = "declared_photometric_interpretation"  # options in which the runner keeps what the dataset said
_DECLARED_BITS: Final = "declared_bits_allocated"


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame, as pydicom's decoders call it.

    Parameters
    ----------
    src : bytes
        The frame's codestream, all its fragments joined; trailing padding may follow.
    runner : pydicom.pixels.decoders.base.DecodeRunner
        Describes the frame. ``bits_allocated``, ``planar_configuration`` and ``photometric_interpretation`` are set
        to what the returned frame has.

    Returns
    -------
    bytearray
        The frame, little-endian, rows x columns x samples, or by plane; writeable, so that pydicom corrects signs in
        place.

    Raises
    ------
    pipeline.errors.CodestreamError
        The codestream contradicts the attributes, or is cut short.
    pipeline.errors.PixelDataError
        It is damaged, or of a kind that can't be decoded here.
    RuntimeError
        The codec gave up on the codestream.
    """
    _restore_interpretation(runner)
    declared = runner.photometric_interpretation
    frame = prepare(src, _request(runner))
    buffer = bytearray(int(np.prod(frame.shape, dtype=np.int64)) * frame.dtype.itemsize)
    frame.decode(np.frombuffer(buffer, frame.dtype).reshape(frame.shape))

    if runner.bits_allocated != 1:
        runner.set_option(_DECLARED_BITS, _bits_allocated(runner))
        runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", int(frame.planar))
    if frame.photometric_interpretation != declared:
        runner.set_option(_DECLARED, declared)
        runner.set_option("photometric_interpretation", frame.photometric_interpretation)
    return buffer


def _request(runner: DecodeRunner) -> FrameRequest:
    forced = runner.get_option("force_rgb", False) or runner.get_option("force_ybr", False)
    return FrameRequest(
        transfer_syntax_uid=runner.transfer_syntax,
        rows=runner.rows,
        columns=runner.columns,
        samples_per_pixel=runner.samples_per_pixel,
        bits_allocated=_bits_allocated(runner),
        photometric_interpretation=str(runner.photometric_interpretation),
        planar_configuration=runner.get_option("planar_configuration") or 0,
        rgb=bool(runner.get_option(RGB_OPTION, False) and runner.get_option("as_rgb", False) and not forced)
        and plain_bytes(_bits_allocated(runner), runner.bits_stored, runner.pixel_representation),
        rle_segment_order=runner.get_option("rle_segment_order", ">"),
    )


def _bits_allocated(runner: DecodeRunner) -> int:
    """Return what the dataset said: the runner's own option may be what an earlier frame has needed."""
    return int(runner.get_option(_DECLARED_BITS, None) or runner.bits_allocated)


def _restore_interpretation(runner: DecodeRunner) -> None:
    """Undo what an earlier frame of the same runner set, lest its YCbCr be taken for RGB, here or by another plugin."""
    declared = runner.get_option(_DECLARED, None)
    if declared is not None and runner.photometric_interpretation == "RGB":
        runner.set_option("photometric_interpretation", declared)
