"""Which codec serves which transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import imagecodecs

from pipeline.codecs import jpeg, jpeg2000, jpegls, jpegxl, rle, uncompressed
from pipeline.codecs.frame import FrameRequest, PreparedFrame
from pipeline.model import syntaxes


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
