"""The functions that pydicom requires of a decoding plugin's module.

See "Decoding plugins" in pydicom's documentation: ``is_available``, ``DECODER_DEPENDENCIES`` and the function that
decodes one frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID

from pipeline.codecs.frame import FrameRequest, plain_bytes
from pipeline.codecs.syntax_codecs import SERVED, is_available, prepare

__all__ = ["DECODER_DEPENDENCIES", "RGB_OPTION", "decode_frame", "is_available"]

DECODER_DEPENDENCIES: Final[dict[UID, tuple[str, ...]]] = {UID(uid): ("imagecodecs>=2025.3",) for uid in sorted(SERVED)}
"""Packages that pydicom tells a user to install if :func:`is_available` returns False."""

RGB_OPTION: Final = "rgb_from_codec"
"""Decoding option: if true and ``as_rgb`` is set, the codec itself converts 8-bit YCbCr of lossy JPEG to RGB.

Off by default, because a plugin doesn't see pydicom's option ``raw``: set this option only if you don't want raw pixels. Best used
with one frame per call, because the runner then says RGB, and pydicom warns about each later frame with a JFIF marker.
"""

_DECLARED: Final = "declared_photometric_interpretation"  # options of the runner that keep the dataset's values
_DECLARED_BITS: Final = "declared_bits_allocated"


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame; called by pydicom's decoders.

    Parameters
    ----------
    src : bytes
        The frame's codestream, with joined fragments; padding may follow.
    runner : pydicom.pixels.decoders.base.DecodeRunner
        Describes the frame. Its ``bits_allocated``, ``planar_configuration`` and ``photometric_interpretation`` are set to those
        of the returned frame.

    Returns
    -------
    bytearray
        The frame, little-endian, rows x columns x samples, or by plane; writeable, so that pydicom can correct signs in
        place.

    Raises
    ------
    pipeline.errors.CodestreamError
        If the codestream contradicts the attributes or is cut short.
    pipeline.errors.PixelDataError
        If the codestream is damaged, or of an unsupported kind.
    RuntimeError
        If the codec can't decode the codestream.
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
    """Return the dataset's value, because an earlier frame may have changed the runner's own option."""
    return int(runner.get_option(_DECLARED_BITS, None) or runner.bits_allocated)


def _restore_interpretation(runner: DecodeRunner) -> None:
    """Undo the change by an earlier frame of the same runner, so that no plugin mistakes YCbCr for RGB."""
    declared = runner.get_option(_DECLARED, None)
    if declared is not None and runner.photometric_interpretation == "RGB":
        runner.set_option("photometric_interpretation", declared)
