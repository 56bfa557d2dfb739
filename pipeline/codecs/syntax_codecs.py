"""Transfer syntax → codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import imagecodecs

from pipeline.codecs import jpeg, jpeg2000, jpegls, jpegxl, rle, uncompressed
from pipeline.codecs.frame import FrameRequest, PreparedFrame
from pipeline.model import syntaxes


class _Family(NamedTuple):
    """The decoding of some transfer syntaxes (PS3.5 Annex A.4)."""

    prepare: Callable[[bytes, FrameRequest], PreparedFrame]
    codecs: tuple[str, ...]
    """Required codecs of imagecodecs."""


_JPEG = _Family(jpeg.prepare, ("JPEG8",))
_JPEG_LS = _Family(jpegls.prepare, ("JPEGLS",))
_JPEG_2000 = _Family(jpeg2000.prepare, ("JPEG2K",))
_HTJ2K = _Family(jpeg2000.prepare, ("JPEG2K", "HTJ2K"))
_FAMILIES: Final[dict[str, _Family]] = {
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG), _JPEG),
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG_LS), _JPEG_LS),
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG_2000), _JPEG_2000),
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.HTJ2K), _HTJ2K),
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG_XL), _Family(jpegxl.prepare, ("JPEGXL",))),
    syntaxes.RLE_LOSSLESS: _Family(rle.prepare, ("PACKBITS",)),
    syntaxes.ENCAPSULATED_UNCOMPRESSED: _Family(uncompressed.prepare, ()),
    syntaxes.DEFLATED_FRAMES: _Family(uncompressed.prepare_deflated, ("DEFLATE",)),
}
SERVED: Final[frozenset[str]] = frozenset(_FAMILIES)
"""UIDs of the transfer syntaxes that the plugin supports."""


def is_available(uid: str) -> bool:
    """Return whether the installed imagecodecs has the codecs for transfer syntax `uid`."""
    family = _FAMILIES.get(str(uid))
    # Builds of imagecodecs lack codecs whose library is missing on a platform.
    return family is not None and all(getattr(imagecodecs, codec).available for codec in family.codecs)


def prepare(src: bytes, request: FrameRequest) -> PreparedFrame:
    """Read the header of one encoded frame and prepare its decoding.

    Raises
    ------
    CodestreamError
        If the codestream contradicts the attributes or is cut short; :attr:`PreparedFrame.decode` may raise it too.
    PixelDataError
        If the codestream is damaged, or of an unsupported kind.
    """
    return _FAMILIES[str(request.transfer_syntax_uid)].prepare(src, request)
