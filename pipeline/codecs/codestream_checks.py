"""Checks of an encoded frame, whatever the decoder: its codestream must match the attributes and be complete.

Most decoders return whatever they can make of a damaged frame, and pydicom only counts the bytes. So a frame that our own parsers
refuse or can't read isn't accepted from any decoder.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.codecs import jpeg, jpeg2000, jpegls, rle
from pipeline.codecs.boxes import JP2
from pipeline.codecs.frame import Array, FrameRequest
from pipeline.codecs.markers import SOF_JPEG_LS, SOI, read_jpeg_header
from pipeline.codecs.samples import Coded
from pipeline.codecs.syntax_codecs import prepare
from pipeline.codecs.tileparts import START
from pipeline.errors import CodestreamError, PixelDataError
from pipeline.model import syntaxes

_CODESTREAMS: Final = syntaxes.ANY_JPEG_2000 | syntaxes.of_families(syntaxes.Family.JPEG, syntaxes.Family.JPEG_LS)


def examine(src: bytes, request: FrameRequest) -> Coded:
    """Return the format of an encoded frame's samples, by its real encoding, even if the transfer syntax names another.

    Raises
    ------
    CodestreamError
        If the frame contradicts the attributes, or is incomplete.
    PixelDataError
        If the frame is empty, or its header can't be read.
    """
    if not src.strip(b"\0"):
        raise PixelDataError(f"the frame is empty: it has {len(src)} bytes" + ", all of them 0" * bool(src))
    if request.transfer_syntax_uid not in _CODESTREAMS:
        return prepare(src, request).coded
    if src.startswith((START, JP2)):
        return jpeg2000.read(src, request)[-1]
    return jpegls.read(src, request)[-1] if _is_jpeg_ls(src) else jpeg.read(src, request)[-1]


def require_complete(src: bytes, request: FrameRequest, decoded: Array) -> None:
    """Refuse another decoder's result for an incomplete frame.

    Parameters
    ----------
    src : bytes
        A frame that :func:`examine` has accepted.
    request : FrameRequest
    decoded : numpy.ndarray
        The decoder's result, before any correction of samples or colours.

    Raises
    ------
    CutShortError
        If a part of the frame is missing.
    """
    try:
        if request.transfer_syntax_uid == syntaxes.RLE_LOSSLESS or (src.startswith(SOI) and _is_jpeg_ls(src)):
            frame = prepare(src, request)
            frame.decode(np.empty(frame.shape, frame.dtype))
        elif src.startswith((START, JP2)):
            jpeg2000.check(src)
        elif src.startswith(SOI):
            jpeg.check(src, request, decoded)
    except CodestreamError:
        raise
    except (RuntimeError, ImportError):  # our own decoder can't check the frame, so accept the other one's result
        return


def unfit(plugin: str, src: bytes, request: FrameRequest, coded: Coded, *, signed: bool) -> str:
    """Return why a plugin must not decode a frame; empty if it may.

    Parameters
    ----------
    plugin, src, request
        The plugin's name, the frame, and its attributes.
    coded : Coded
        The result of :func:`examine`.
    signed : bool
        Pixel Representation.
    """
    if plugin == "pylibjpeg" and request.transfer_syntax_uid == syntaxes.RLE_LOSSLESS and rle.is_padded(src, request):
        # The panic is written to the terminal before anyone can catch it.
        return "a segment decodes to more bytes than there are pixels, on which its decoder in Rust panics"
    if plugin == "pillow" and coded.is_signed and not signed:
        return "it moves samples that have a sign in the codestream, but none by Pixel Representation"
    return ""


def _is_jpeg_ls(src: bytes) -> bool:
    return read_jpeg_header(src).process == SOF_JPEG_LS
