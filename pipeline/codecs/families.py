"""Which codec serves which transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import imagecodecs
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
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

from pipeline.codecs import jpeg, jpeg2000, jpegls, jpegxl, rle, uncompressed
from pipeline.codecs.frame import FrameRequest, PreparedFrame
from pipeline.codecs.syntaxes import DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED, JPEG_XL

_FAMILIES: Final[dict[str, tuple[Callable[[bytes, FrameRequest], PreparedFrame], tuple[str, ...]]]] = {
    JPEGBaseline8Bit: (jpeg.prepare, ("JPEG8",)),
    JPEGExtended12Bit: (jpeg.prepare, ("JPEG8",)),
    JPEGLossless: (jpeg.prepare, ("JPEG8",)),
    JPEGLosslessSV1: (jpeg.prepare, ("JPEG8",)),
    JPEGLSLossless: (jpegls.prepare, ("JPEGLS",)),
    JPEGLSNearLossless: (jpegls.prepare, ("JPEGLS",)),
    JPEG2000Lossless: (jpeg2000.prepare, ("JPEG2K",)),
    JPEG2000: (jpeg2000.prepare, ("JPEG2K",)),
    HTJ2KLossless: (jpeg2000.prepare, ("JPEG2K", "HTJ2K")),
    HTJ2KLosslessRPCL: (jpeg2000.prepare, ("JPEG2K", "HTJ2K")),
    HTJ2K: (jpeg2000.prepare, ("JPEG2K", "HTJ2K")),
    RLELossless: (rle.prepare, ("PACKBITS",)),
    ENCAPSULATED_UNCOMPRESSED: (uncompressed.prepare, ()),
    DEFLATED_FRAMES: (uncompressed.prepare_deflated, ("DEFLATE",)),
    **dict.fromkeys(JPEG_XL, (jpegxl.prepare, ("JPEGXL",))),
}
"""Transfer syntax (PS3.5 Annex A.4) to the function that prepares a frame, and the codecs that imagecodecs must have."""

SERVED: Final[frozenset[str]] = frozenset(_FAMILIES)
"""UIDs of the transfer syntaxes that the plugin serves."""


def is_available(uid: str) -> bool:
    """Whether this build of imagecodecs has the codecs for transfer syntax `uid`."""
    family = _FAMILIES.get(str(uid))
    # Builds of imagecodecs leave codecs out where a platform lacks the library.
    return family is not None and all(getattr(imagecodecs, codec).available for codec in family[1])


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one encoded frame: what decoding it will give.

    Raises
    ------
    PixelDataError
        The codestream contradicts the attributes, is cut short or is damaged.
    """
    return _FAMILIES[str(request.transfer_syntax_uid)][0](src, request)
