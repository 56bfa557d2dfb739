"""Which codec serves which transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

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


class _Family(NamedTuple):
    """How frames of some transfer syntaxes (PS3.5 Annex A.4) are decoded."""

    prepare: Callable[[bytes, FrameRequest], PreparedFrame]
    codecs: tuple[str, ...]
    """What imagecodecs must have."""


_JPEG = _Family(jpeg.prepare, ("JPEG8",))
_JPEG_LS = _Family(jpegls.prepare, ("JPEGLS",))
_JPEG_2000 = _Family(jpeg2000.prepare, ("JPEG2K",))
_HTJ2K = _Family(jpeg2000.prepare, ("JPEG2K", "HTJ2K"))
_FAMILIES: Final[dict[str, _Family]] = {
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), _JPEG),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), _JPEG_LS),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000), _JPEG_2000),
    **dict.fromkeys((HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), _HTJ2K),
    RLELossless: _Family(rle.prepare, ("PACKBITS",)),
    ENCAPSULATED_UNCOMPRESSED: _Family(uncompressed.prepare, ()),
    DEFLATED_FRAMES: _Family(uncompressed.prepare_deflated, ("DEFLATE",)),
    **dict.fromkeys(JPEG_XL, _Family(jpegxl.prepare, ("JPEGXL",))),
}
SERVED: Final[frozenset[str]] = frozenset(_FAMILIES)
"""UIDs of the transfer syntaxes that the plugin serves."""


def is_available(uid: str) -> bool:
    """Whether this build of imagecodecs has the codecs for transfer syntax `uid`."""
    family = _FAMILIES.get(str(uid))
    # Builds of imagecodecs leave codecs out where a platform lacks the library.
    return family is not None and all(getattr(imagecodecs, codec).available for codec in family.codecs)


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one encoded frame: what decoding it will give.

    Raises
    ------
    CodestreamError
        The codestream contradicts the attributes, or is cut short; so also :attr:`PreparedFrame.decode`.
    PixelDataError
        It is damaged, or of a kind that can't be decoded here.
    """
    return _FAMILIES[str(request.transfer_syntax_uid)].prepare(src, request)
