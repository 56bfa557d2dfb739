"""The functions that pydicom requires of a decoding plugin's module.

See "Decoding plugins" in pydicom's documentation: ``is_available``, ``DECODER_DEPENDENCIES`` and the function that
decodes one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import imagecodecs
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.codecs import jpeg, jpeg2000, jpegls, rle

_FAMILIES: Final[dict[UID, tuple[Callable[[bytes, DecodeRunner], bytearray], tuple[str, ...]]]] = {
    JPEGBaseline8Bit: (jpeg.decode, ("JPEG8",)),
    JPEGExtended12Bit: (jpeg.decode, ("JPEG8",)),
    JPEGLossless: (jpeg.decode, ("JPEG8",)),
    JPEGLosslessSV1: (jpeg.decode, ("JPEG8",)),
    JPEGLSLossless: (jpegls.decode, ("JPEGLS",)),
    JPEGLSNearLossless: (jpegls.decode, ("JPEGLS",)),
    JPEG2000Lossless: (jpeg2000.decode, ("JPEG2K",)),
    JPEG2000: (jpeg2000.decode, ("JPEG2K",)),
    HTJ2KLossless: (jpeg2000.decode, ("JPEG2K", "HTJ2K")),
    HTJ2KLosslessRPCL: (jpeg2000.decode, ("JPEG2K", "HTJ2K")),
    HTJ2K: (jpeg2000.decode, ("JPEG2K", "HTJ2K")),
    RLELossless: (rle.decode, ("PACKBITS",)),
}
"""Transfer syntax (PS3.5 Annex A.4) to the function that decodes it, and the codecs that imagecodecs must have."""

DECODER_DEPENDENCIES: Final[dict[UID, tuple[str, ...]]] = dict.fromkeys(_FAMILIES, ("imagecodecs>=2025.3",))
"""What pydicom tells a user to install when :func:`is_available` says no."""


def is_available(uid: str) -> bool:
    """Whether this build of imagecodecs has the codecs for transfer syntax `uid`."""
    family = _FAMILIES.get(UID(uid))
    # Builds of imagecodecs leave codecs out where a platform lacks the library.
    return family is not None and all(getattr(imagecodecs, codec).available for codec in family[1])


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
        The frame, little-endian, rows x columns x samples; writeable, so that pydicom corrects signs in place.

    Raises
    ------
    pipeline.errors.PixelDataError
        The codestream contradicts the attributes, is cut short or is damaged.
    RuntimeError
        The codec gave up on the codestream.
    """
    return _FAMILIES[runner.transfer_syntax][0](src, runner)
